/** The error function: a polynomial near zero, and 1 - erfc beyond, where erfc is an exponential times something smooth. */
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { Expr } from './kernel.ts'
import { exponential } from './math-exponential.ts'
import { copySign, polynomial } from './math-parts.ts'

export function erf32(scope: Scope, x: Expr): Expr {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const square = scope.let('square', ir.mul(x, x))
  // erf(x) / x - 1 of x^2, on [0, 1]
  const p = polynomial(
    square,
    [0.128379166, -0.37612626, 0.112835854, -0.0268538129, 0.00518832915, -0.000801020593, 0.0000785390075],
  )
  // log(erfc(x)) on [1, 4]; beyond, erf is 1.
  const far = scope.let('far', ir.min(4, magnitude))
  const q = polynomial(
    far,
    [
      0.0000189839775, -1.12882566, -0.63462162, -0.107006229, 0.0243779235, -0.00392013974, 0.000388836837,
      -0.0000176608428,
    ],
  )
  const large = ir.sub(1, exponential(scope, scope.let('q', q)))
  const small = scope.let('small', ir.fma(x, p, x))
  return ir.select(ir.lt(magnitude, 1), small, copySign(large, x))
}

export function erf64(scope: Scope, x: Expr): Expr {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const square = scope.let('square', ir.mul(x, x))
  const p = polynomial(
    square,
    [
      0.1283791670955126, -0.3761263890318375, 0.11283791670954857, -0.026866170645072903, 0.005223977624780933,
      -0.0008548326978745879, 0.00012055331037029039, -1.4925593509887897e-5, 1.6460972863356102e-6,
      -1.635002569608336e-7, 1.4657882913944917e-8, -1.1365677425557395e-9, 5.945280488824124e-11,
    ],
  )
  const far = scope.let('far', ir.min(6, magnitude))
  // erfc(x) e^(x^2) on [1, 6], of t = (x - 3) / (x + 3)
  const t = scope.let('t', ir.div(ir.sub(far, 3), ir.add(far, 3)))
  const scaled = polynomial(
    t,
    [
      0.17900115118139015, -0.3262335600430329, 0.2456038017123023, -0.15011593650151422, 0.07166583719716285,
      -0.02439249928642002, 0.004269136444484397, 0.0007077459571825441, -0.000597064784628265, 4.52561198325741e-5,
      6.408414283867477e-5, -1.2824399941603906e-5, -8.067259039524508e-6, 1.8768439437660496e-6, 1.191108116217258e-6,
    ],
  )
  const large = scope.let('large', ir.sub(1, ir.mul(ir.call('exp', ir.neg(ir.mul(far, far))), scaled)))
  const signed = ir.select(ir.lt(x, 0), ir.neg(large), large)
  return scope.let('erf', ir.select(ir.lt(magnitude, 1), ir.fma(x, p, x), signed))
}
