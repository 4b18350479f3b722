/** Exponentials and logarithms of f32. */
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { Expr } from './kernel.ts'
import { polynomial, powerOfTwo } from './math-parts.ts'

const LOG2_E = 1.44269502
/** ln 2 in two parts; the first has 9 bits, so that its products with exponents are exact. */
const LN2_HIGH = 0.693359375
const LN2_LOW = -0.000212194442

/** x = n ln 2 + r with |r| <= ln 2 / 2. */
function reduceByLn2(scope: Scope, x: Expr): { n: Expr; r: Expr } {
  const n = scope.let('n', ir.round(ir.mul(x, LOG2_E)))
  return { n, r: scope.let('r', ir.fma(n, -LN2_LOW, ir.fma(n, -LN2_HIGH, x))) }
}

/** e^x / 2^halvings; e^x = 2^n (1 + r + r^2 q(r)). */
export function exponential(scope: Scope, x: Expr, halvings: 0 | 1 = 0): Expr {
  const { n, r } = reduceByLn2(scope, x)
  // q(r) = (e^r - 1 - r) / r^2
  const q = polynomial(r, [0.49999994, 0.1666652, 0.041668382, 0.0083687054, 0.0013814993])
  const mantissa = ir.add(ir.fma(ir.mul(r, r), q, r), 1)
  // Adding to the exponent's bits is right while the result is a normal number; the rest is selected away.
  const scaled = ir.bitcast(
    ir.add(ir.bitcast(mantissa, 'i32'), ir.shl(ir.sub(ir.convert(n, 'i32'), halvings), 23)),
    'f32',
  )
  const normal = scope.let('scaled', scaled)
  // max(0, x) is 0 below the range and NaN for NaN.
  const low = ir.select(ir.ge(x, halvings === 0 ? -87.33654 : -86.64339), normal, ir.max(0, x))
  return ir.select(ir.ge(x, halvings === 0 ? 88.72284 : 89.41599), Infinity, low)
}

/** e^x - 1 = 2 (t p + (t - 1/2)) with t = 2^(n - 1) and p = e^r - 1. */
export function expm1(scope: Scope, x: Expr): Expr {
  const clamped = scope.let('clamped', ir.min(89, ir.max(-25, x)))
  const { n, r } = reduceByLn2(scope, clamped)
  const q = polynomial(r, [0.5, 0.16666666, 0.041666362, 0.0083333897, 0.0013940614, 0.0001984597])
  const p = ir.fma(ir.mul(r, r), q, r)
  const t = scope.let('t', powerOfTwo(ir.sub(ir.convert(n, 'i32'), 1)))
  const result = ir.mul(ir.fma(t, p, ir.sub(t, 0.5)), 2)
  // Keeps the sign of -0.
  return ir.select(ir.eq(x, 0), x, result)
}

/**
 * x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for positive normal x (subnormal ones too, by scaling).
 */
export function splitExponent(scope: Scope, x: Expr): { e: Expr; f: Expr } {
  const tiny = scope.let('tiny', ir.lt(x, 1.17549435e-38))
  const bits = scope.let('bits', ir.bitcast(ir.select(tiny, ir.mul(x, 8388608), x), 'i32'))
  // 0x3f3504f3 is sqrt(1/2).
  const offset = scope.let('offset', ir.sub(bits, 0x3f3504f3))
  const e = ir.sub(ir.convert(ir.shr(offset, 23), 'f32'), ir.select(tiny, ir.f32(23, x.type.lanes), 0))
  const mantissa = ir.bitcast(ir.add(ir.and(offset, 0x7fffff), 0x3f3504f3), 'f32')
  return { e: scope.let('e', e), f: scope.let('f', ir.sub(mantissa, 1)) }
}

/** e ln 2 + log(1 + f) + correction; log(1 + f) = f - f^2 / 2 + f^3 q(f). */
function logarithmOf(scope: Scope, e: Expr, f: Expr, correction: Expr | null): Expr {
  const q = polynomial(
    f,
    [0.33333313, -0.25000009, 0.20002107, -0.16667998, 0.1421975, -0.12405681, 0.11886957, -0.11674664, 0.067479283],
  )
  const square = scope.let('square', ir.mul(f, f))
  const cubic = ir.mul(ir.mul(square, f), q)
  const low = ir.fma(e, LN2_LOW, correction ? ir.add(cubic, correction) : cubic)
  return ir.fma(e, LN2_HIGH, ir.add(f, ir.fma(square, -0.5, low)))
}

export function logarithm(scope: Scope, x: Expr): Expr {
  const { e, f } = splitExponent(scope, x)
  const result = scope.let('result', logarithmOf(scope, e, f, null))
  return logarithmLimits(x, x, result)
}

/** -infinity at 0, NaN below and for NaN, and infinity stays; `argument` is what the logarithm is of. */
function logarithmLimits(argument: Expr, x: Expr, result: Expr): Expr {
  const finite = ir.select(ir.lt(argument, Infinity), result, x)
  return ir.select(ir.gt(argument, 0), finite, ir.select(ir.eq(argument, 0), -Infinity, ir.f32(NaN, x.type.lanes)))
}

/** log(u) + (x - (u - 1)) / u, where u = 1 + x as rounded. */
export function log1p(scope: Scope, x: Expr): Expr {
  const u = scope.let('u', ir.add(x, 1))
  // What rounding u lost: exact in this order for each side of 1.
  const lost = ir.select(ir.ge(x, 1), ir.sub(1, ir.sub(u, x)), ir.sub(x, ir.sub(u, 1)))
  const { e, f } = splitExponent(scope, u)
  const result = scope.let('result', logarithmOf(scope, e, f, ir.div(lost, u)))
  return ir.select(ir.lt(ir.abs(x), 2 ** -25), x, logarithmLimits(u, x, result))
}
