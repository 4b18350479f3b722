/** Hyperbolic functions, their inverses and the logistic function of f32, by exponentials and logarithms. */
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { Expr } from './kernel.ts'
import { exponential, expm1, log1p } from './math-exponential.ts'
import { copySign, polynomial } from './math-parts.ts'

const LN2 = 0.693147182

export function sigmoid(scope: Scope, x: Expr): Expr {
  return ir.div(1, ir.add(1, exponential(scope, scope.let('negative', ir.neg(x)))))
}

/** t / (t + 2) with t = e^(2 |x|) - 1. */
export function tanh(scope: Scope, x: Expr): Expr {
  const magnitude = ir.min(10, ir.abs(x))
  const t = scope.let('t', expm1(scope, scope.let('twice', ir.mul(magnitude, 2))))
  return copySign(ir.div(t, ir.add(t, 2)), x)
}

/** e^|x| / 2 - e^-|x| / 2, or x + x^3 p(x^2) up to 1. */
export function sinh(scope: Scope, x: Expr): Expr {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const square = scope.let('square', ir.mul(x, x))
  const p = polynomial(square, [0.166666672, 0.0083333496, 0.000198361668, 0.00000281691655])
  const small = scope.let('small', ir.fma(ir.mul(x, square), p, x))
  const half = scope.let('half', exponential(scope, magnitude, 1))
  const large = copySign(ir.sub(half, ir.div(0.25, half)), x)
  return ir.select(ir.lt(magnitude, 1), small, large)
}

export function cosh(scope: Scope, x: Expr): Expr {
  const half = scope.let('half', exponential(scope, scope.let('magnitude', ir.abs(x)), 1))
  return ir.add(half, ir.div(0.25, half))
}

/** Beyond this the square of x adds nothing but overflow, and the result is log(2 x). */
const LARGE = 2 ** 30

/** log(|x| + sqrt(x^2 + 1)) = log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))). */
export function asinh(scope: Scope, x: Expr): Expr {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const square = scope.let('square', ir.mul(x, x))
  const isLarge = scope.let('isLarge', ir.gt(magnitude, LARGE))
  const sum = ir.add(magnitude, ir.div(square, ir.add(1, ir.sqrt(ir.add(square, 1)))))
  const logarithm = log1p(scope, scope.let('u', ir.select(isLarge, magnitude, sum)))
  return copySign(ir.add(logarithm, ir.select(isLarge, ir.f32(LN2, x.type.lanes), 0)), x)
}

/** log(x + sqrt(x^2 - 1)) = log1p(t + sqrt(2 t + t^2)) with t = x - 1. */
export function acosh(scope: Scope, x: Expr): Expr {
  const t = scope.let('t', ir.sub(x, 1))
  const isLarge = scope.let('isLarge', ir.gt(x, LARGE))
  const sum = ir.add(t, ir.sqrt(ir.fma(t, t, ir.mul(t, 2))))
  const logarithm = log1p(scope, scope.let('u', ir.select(isLarge, x, sum)))
  const result = ir.add(logarithm, ir.select(isLarge, ir.f32(LN2, x.type.lanes), 0))
  return ir.select(ir.ge(x, 1), result, NaN)
}

/** log((1 + x) / (1 - x)) / 2. */
export function atanh(scope: Scope, x: Expr): Expr {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const u = scope.let('u', ir.div(ir.mul(magnitude, 2), ir.sub(1, magnitude)))
  return copySign(ir.mul(log1p(scope, u), 0.5), x)
}
