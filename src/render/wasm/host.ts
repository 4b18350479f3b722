/** What kernels call in their host: `Math`, with the corners where JavaScript differs from IEEE 754's recommendations, and erf. */
import type { CallIr } from '../../codegen/kernel.ts'

export type HostFunction = (x: number, y: number) => number

/** 1^y and x^0 are 1 even for NaN, and so is (-1)^Infinity; `Math.pow` says NaN. */
function pow(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1
  return Math.pow(x, y)
}

/**
 * The error function to about 1e-15: its power series near zero, in the form without alternating signs, and the continued fraction of
 * erfc beyond (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const magnitude = Math.abs(x)
  if (!(magnitude < 6)) return Number.isNaN(x) ? x : Math.sign(x)
  if (magnitude < 3) {
    let term = x
    let sum = x
    for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) sum += term *= (2 * x * x) / (2 * n + 1)
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
  }
  let fraction = 0
  for (let n = 60; n > 0; n--) fraction = n / 2 / (magnitude + fraction)
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (magnitude + fraction)))
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
