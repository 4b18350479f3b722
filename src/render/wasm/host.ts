/** What kernels call in their host: `Math`, with the corners where JavaScript differs from IEEE 754's recommendations. */
import { erf } from '../../common/erf.ts'
import type { CallIr } from '../../codegen/kernel.ts'

export type HostFunction = (x: number, y: number) => number

/** 1^y and x^0 are 1 even for NaN, and so is (-1)^Infinity; `Math.pow` says NaN. */
function pow(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1
  return Math.pow(x, y)
}

export const hostFunctions: Readonly<Record<CallIr, HostFunction>> = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  erf,
  pow,
  atan2: Math.atan2,
  fmod: (x, y) => x % y,
}
