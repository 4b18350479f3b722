/**
 * Sine, cosine and tangent of f32 for every argument. The reduction modulo pi/2 multiplies the mantissa by the bits of 2/pi that
 * matter for its exponent, in integers (M. Payne, R. Hanek, "Radian reduction for trigonometric functions", SIGNUM Newsletter 18,
 * 1983): the same straight line for 1 and for 1e38, where subtracting multiples of pi/2 would need branches.
 */
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { Expr } from './kernel.ts'
import { multiplySign, polynomial } from './math-parts.ts'

/** 32 zero bits, then the binary digits of 2/pi. */
const TWO_OVER_PI = [0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163b0]

/** pi/2 in two parts. */
const HALF_PI_HIGH = 1.57079637
const HALF_PI_LOW = -4.37113883e-8

interface Reduced {
  /** Multiples of pi/2 taken away, modulo 4. */
  readonly quadrant: Expr
  /** What is left of |x|, in [-pi/4, pi/4]. */
  readonly r: Expr
}

function reduce(scope: Scope, x: Expr): Reduced {
  const { lanes } = x.type
  const name = (text: string, value: Expr): Expr => scope.let(text, value)
  const magnitude = name('magnitude', ir.abs(x))
  const bits = name('bits', ir.bitcast(magnitude, 'i32'))
  const mantissa = name('mantissa', ir.or(ir.and(bits, 0x7fffff), 0x800000))
  // |x| = mantissa 2^(exponent - 150). Digits of 2/pi that contribute multiples of 4 are skipped, so that the product modulo 1
  // is a quarter of x 2/pi modulo 4. Below 0.5 nothing is skipped, and the result is not used.
  const skip = name('skip', ir.max(ir.sub(ir.shr(bits, 23), 152 - 32), 0))
  const word = name('word', ir.shr(skip, 5))
  // By masks of all ones, since compilers move shifts into the branches of selects and then find no vectors.
  const masks = [0, 1, 2, 3, 4].map((i) => name('mask', ir.neg(ir.convert(ir.eq(word, i), 'i32'))))
  const words = [0, 1, 2, 3].map((k) =>
    name(
      'w',
      masks.map((mask, i) => ir.and(mask, TWO_OVER_PI[i + k]!)).reduce((x, y) => ir.or(x, y)),
    ),
  )
  const shift = name('shift', ir.and(skip, 31))
  const unshift = name('unshift', ir.sub(31, shift))
  const [a0, a1, a2] = [0, 1, 2].map((k) =>
    name('a', ir.or(ir.shl(words[k]!, shift), ir.ushr(ir.ushr(words[k + 1]!, 1), unshift))),
  ) as [Expr, Expr, Expr]

  // The upper 64 of the lower 96 bits of mantissa * (a0 a1 a2).
  const carried = name('carried', ir.mulhi(mantissa, a2))
  const low = name('low', ir.add(ir.mul(mantissa, a1), carried))
  const carry = ir.convert(ir.lt(ir.xor(low, -0x80000000), ir.xor(carried, -0x80000000)), 'i32')
  const high = name('high', ir.add(ir.add(ir.mul(mantissa, a0), ir.mulhi(mantissa, a1)), carry))

  // The top two bits count quarters; the rest, rounded to the nearest quarter, is signed.
  const quarters = name('quarters', ir.ushr(ir.add(high, 0x20000000), 30))
  const rest = name('rest', ir.sub(high, ir.shl(quarters, 30)))
  const sign = name('sign', ir.shr(rest, 31))
  const [upper, lower] = [name('upper', ir.xor(rest, sign)), name('lower', ir.xor(low, sign))]
  // 29 + 32 bits as two floats without rounding: 24 bits, and 24 below them.
  const leading = name('leading', ir.convert(ir.ushr(upper, 5), 'f32'))
  const trailing = ir.convert(ir.or(ir.shl(ir.and(upper, 31), 19), ir.ushr(lower, 13)), 'f32')
  const fraction = ir.fma(trailing, HALF_PI_HIGH * 2 ** -49, ir.mul(leading, HALF_PI_LOW * 2 ** -25))
  const angle = name('angle', ir.fma(leading, HALF_PI_HIGH * 2 ** -25, fraction))
  const signed = ir.select(ir.lt(sign, 0), ir.neg(angle), angle)

  const isSmall = name('isSmall', ir.le(magnitude, 0.785398))
  return {
    quadrant: name('quadrant', ir.select(isSmall, ir.i32(0, lanes), quarters)),
    r: name('r', ir.select(isSmall, magnitude, signed)),
  }
}

/** sin(r) = r + r^3 s(r^2) */
function sineOf(r: Expr, square: Expr): Expr {
  const s = polynomial(square, [-0.166666672, 0.00833332911, -0.000198393114, 0.00000271811018])
  return ir.fma(ir.mul(r, square), s, r)
}

/** cos(r) = 1 - r^2 / 2 + r^4 c(r^2) */
function cosineOf(square: Expr): Expr {
  const c = polynomial(square, [0.0416666679, -0.00138888834, 0.0000247994667, -2.72061357e-7])
  return ir.fma(ir.mul(square, square), c, ir.fma(square, -0.5, 1))
}

/** The sine of r plus `quadrant` right angles; NaN for infinite x. */
function sineInQuadrant(scope: Scope, x: Expr, r: Expr, quadrant: Expr): Expr {
  const square = scope.let('square', ir.mul(r, r))
  const isOdd = ir.ne(ir.and(quadrant, 1), 0)
  const value = ir.select(isOdd, cosineOf(square), sineOf(r, square))
  // Bit 1 of the quadrant becomes the sign.
  const flipped = ir.bitcast(ir.xor(ir.bitcast(value, 'i32'), ir.shl(ir.and(quadrant, 2), 30)), 'f32')
  return ir.select(ir.lt(ir.abs(x), Infinity), flipped, NaN)
}

export function sine(scope: Scope, x: Expr): Expr {
  const { quadrant, r } = reduce(scope, x)
  return multiplySign(sineInQuadrant(scope, x, r, quadrant), x)
}

export function cosine(scope: Scope, x: Expr): Expr {
  const { quadrant, r } = reduce(scope, x)
  return sineInQuadrant(scope, x, r, ir.add(quadrant, 1))
}

export function tangent(scope: Scope, x: Expr): Expr {
  const { quadrant, r } = reduce(scope, x)
  const square = scope.let('square', ir.mul(r, r))
  const [s, c] = [scope.let('s', sineOf(r, square)), scope.let('c', cosineOf(square))]
  const isOdd = scope.let('isOdd', ir.ne(ir.and(quadrant, 1), 0))
  const value = ir.div(ir.select(isOdd, ir.neg(c), s), ir.select(isOdd, s, c))
  return ir.select(ir.lt(ir.abs(x), Infinity), multiplySign(value, x), NaN)
}
