/**
 * x^y of f32 as 2^(y log2 x), with the logarithm and the product carried as sums of two floats: an error of one unit in log2 x
 * would grow by y log2 x, up to 128, in the result.
 */
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { Expr } from './kernel.ts'
import { splitExponent } from './math-exponential.ts'
import { multiplySign, polynomial, powerOfTwo } from './math-parts.ts'

/** 2 / ln 2, and the same in 12 bits and the rest. */
const TWO_LOG2_E = 2.88539004
const TWO_LOG2_E_HIGH = 2.88476562
const TWO_LOG2_E_LOW = 0.000624456792

/** The upper 12 bits of the significand: products of two such numbers are exact. */
function upperHalf(x: Expr): Expr {
  return ir.bitcast(ir.and(ir.bitcast(x, 'i32'), -0x1000), 'f32')
}

/** log2 of positive x as high + low, `high` in 12 bits. With s = f / (2 + f): log2(1 + f) = 2 / ln 2 (s + s^3 / 3 + ...). */
function log2InParts(scope: Scope, x: Expr): { high: Expr; low: Expr } {
  const name = (text: string, value: Expr): Expr => scope.let(text, value)
  const { e, f } = splitExponent(scope, x)
  const t = name('t', ir.add(f, 2))
  const tHigh = name('tHigh', upperHalf(t))
  const tLow = name('tLow', ir.sub(f, ir.sub(tHigh, 2)))
  const s = name('s', ir.div(f, t))
  const sHigh = name('sHigh', upperHalf(s))
  // What sHigh lacks of f / t; the products are exact.
  const rest = ir.sub(ir.sub(f, ir.mul(sHigh, tHigh)), ir.mul(sHigh, tLow))
  const sLow = name('sLow', ir.div(rest, t))
  const square = name('square', ir.mul(s, s))
  const c = polynomial(square, [0.961796701, 0.577082872, 0.411706328, 0.340221405])
  const cubic = ir.mul(ir.mul(s, square), c)
  const upper = name('upper', ir.mul(sHigh, TWO_LOG2_E_HIGH))
  const lower = name('lower', ir.fma(sHigh, TWO_LOG2_E_LOW, ir.fma(sLow, TWO_LOG2_E, cubic)))
  const high = name('high', upperHalf(ir.add(ir.add(e, upper), lower)))
  return { high, low: name('low', ir.sub(lower, ir.sub(ir.sub(high, e), upper))) }
}

/** 2^(high + low), to the limits of the range. */
function exp2OfSum(scope: Scope, high: Expr, low: Expr): Expr {
  const n = scope.let('n', ir.max(-160, ir.min(160, ir.round(ir.add(high, low)))))
  const r = scope.let('r', ir.max(-1, ir.min(1, ir.add(ir.sub(high, n), low))))
  // (2^r - 1) / r
  const p = polynomial(
    r,
    [0.693147182, 0.240226507, 0.0555041023, 0.00961803738, 0.00133339351, 0.000154668713, 0.0000151962786],
  )
  // In two factors, since 2^n alone may lie outside the range.
  const exponent = scope.let('exponent', ir.convert(n, 'i32'))
  const half = scope.let('half', ir.shr(exponent, 1))
  return ir.mul(ir.mul(ir.fma(r, p, 1), powerOfTwo(half)), powerOfTwo(ir.sub(exponent, half)))
}

export function power(scope: Scope, x: Expr, y: Expr): Expr {
  const name = (text: string, value: Expr): Expr => scope.let(text, value)
  const magnitude = name('magnitude', ir.abs(x))
  const { high, low } = log2InParts(scope, magnitude)
  // Larger exponents overflow or underflow as these do; infinities do not survive the splitting.
  const limited = name('limited', ir.max(-(2 ** 32), ir.min(2 ** 32, y)))
  const yHigh = name('yHigh', upperHalf(limited))
  const yLow = ir.sub(limited, yHigh)
  const productLow = name('productLow', ir.fma(yLow, high, ir.mul(limited, low)))
  const finite = name('finite', exp2OfSum(scope, name('productHigh', ir.mul(yHigh, high)), productLow))

  const isPositive = name('isPositive', ir.gt(y, 0))
  const ofZero = ir.select(isPositive, 0, ir.f32(Infinity, x.type.lanes))
  const ofInfinity = ir.select(isPositive, Infinity, ir.f32(0, x.type.lanes))
  const atLimits = ir.select(ir.eq(magnitude, 0), ofZero, ir.select(ir.eq(magnitude, Infinity), ofInfinity, finite))
  const unsigned = name('unsigned', atLimits)

  const isInteger = ir.eq(ir.trunc(y), y)
  // From 2^24 on all floats are even.
  const isOdd = ir.and(ir.lt(ir.abs(y), 2 ** 24), ir.ne(ir.and(ir.convert(limited, 'i32'), 1), 0))
  const signed = ir.select(ir.and(isInteger, isOdd), multiplySign(unsigned, x), unsigned)
  const isReal = ir.or(ir.ge(x, 0), ir.or(isInteger, ir.eq(magnitude, Infinity)))
  const real = ir.select(ir.and(isReal, ir.and(ir.eq(x, x), ir.eq(y, y))), signed, NaN)
  return ir.select(ir.or(ir.eq(x, 1), ir.eq(y, 0)), 1, real)
}
