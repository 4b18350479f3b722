/**
 * Transcendental functions as arithmetic of the kernel IR, so that every dialect has the same ones and loops around them become
 * vectors: straight lines with selects, for f32 of any number of lanes. Errors are below 3 units in the last place (most below 2) over
 * the whole range; NaN, infinities and signed zeros come out as IEEE 754 wants them; results below the normal range may be zero.
 * f64 takes the host's functions, one number at a time, but for erf, which JavaScript hosts lack.
 *
 * The polynomials are minimax fits (Remez exchange in 160-bit arithmetic) of the function named beside each, weighted by the relative
 * error of the result.
 */
import { InternalError } from '../common/errors.ts'
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { CallIr, Expr } from './kernel.ts'
import { erf32, erf64 } from './math-erf.ts'
import { exponential, expm1, log1p, logarithm } from './math-exponential.ts'
import { acosh, asinh, atanh, cosh, sigmoid, sinh, tanh } from './math-hyperbolic.ts'
import { arccosine, arcsine, arctangent, arctangent2 } from './math-inverse.ts'
import { power } from './math-power.ts'
import { cosine, sine, tangent } from './math-trigonometry.ts'

export type MathFunction = Exclude<CallIr, 'pow' | 'atan2' | 'fmod'> | 'sigmoid' | 'rsqrt' | 'reciprocal'

/** The function of x, by statements in `scope` where values are used more than once. */
export function mathUnary(scope: Scope, fn: MathFunction, x: Expr): Expr {
  if (fn === 'reciprocal') return ir.div(1, x)
  if (fn === 'rsqrt') return ir.div(1, ir.sqrt(x))
  const value = scope.let('x', x)
  if (x.type.scalar === 'f64') {
    if (fn === 'erf') return erf64(scope, value)
    if (fn === 'sigmoid') return ir.div(1, ir.add(1, ir.call('exp', ir.neg(value))))
    return ir.call(fn, value)
  }
  if (x.type.scalar !== 'f32') throw new InternalError(`${fn} of ${x.type.scalar}: expected f32 or f64`)
  return scope.let(fn, singles[fn](scope, value))
}

const singles: Readonly<Record<Exclude<MathFunction, 'rsqrt' | 'reciprocal'>, (scope: Scope, x: Expr) => Expr>> = {
  exp: exponential,
  expm1,
  log: logarithm,
  log1p,
  tanh,
  sigmoid,
  erf: erf32,
  sin: sine,
  cos: cosine,
  tan: tangent,
  asin: arcsine,
  acos: arccosine,
  atan: arctangent,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
}

/** x^y by the rules of C and NumPy: x^0 and 1^y are 1 even for NaN. */
export function mathPower(scope: Scope, x: Expr, y: Expr): Expr {
  return mathBinary(scope, 'pow', power, x, y)
}

/** The angle of the point (x, y), in [-pi, pi]. */
export function mathArctangent2(scope: Scope, y: Expr, x: Expr): Expr {
  return mathBinary(scope, 'atan2', arctangent2, y, x)
}

function mathBinary(
  scope: Scope,
  fn: 'pow' | 'atan2',
  single: (scope: Scope, a: Expr, b: Expr) => Expr,
  a: Expr,
  b: Expr,
): Expr {
  if (a.type.scalar === 'f64') return ir.call(fn, a, b)
  if (a.type.scalar !== 'f32') throw new InternalError(`${fn} of ${a.type.scalar}: expected f32 or f64`)
  return scope.let(fn, single(scope, scope.let('x', a), scope.let('y', b)))
}
