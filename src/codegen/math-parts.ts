/** What the expansions of functions have in common: polynomials, and the bits of floats. */
import * as ir from './builder.ts'
import type { Expr } from './kernel.ts'

/** Coefficients from the lowest power up, by Horner's rule. */
export function polynomial(x: Expr, coefficients: readonly number[]): Expr {
  const [last, ...rest] = [...coefficients].reverse()
  return rest.reduce<Expr>((sum, c) => ir.fma(sum, x, c), ir.constant(last!, x.type.scalar, x.type.lanes))
}

/** 2^k for integers -126 to 127. */
export function powerOfTwo(k: Expr): Expr {
  return ir.bitcast(ir.shl(ir.add(k, 127), 23), 'f32')
}

/** The magnitude of x with the sign of `sign`. */
export function copySign(x: Expr, sign: Expr): Expr {
  const bits = ir.and(ir.bitcast(sign, 'i32'), -0x80000000)
  return ir.bitcast(ir.or(ir.bitcast(ir.abs(x), 'i32'), bits), 'f32')
}

/** x, negated where `sign` is negative (-0 counts). */
export function multiplySign(x: Expr, sign: Expr): Expr {
  const bits = ir.and(ir.bitcast(sign, 'i32'), -0x80000000)
  return ir.bitcast(ir.xor(ir.bitcast(x, 'i32'), bits), 'f32')
}
