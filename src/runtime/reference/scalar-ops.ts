/** The elementwise ops of the oracle, one line each, on JS numbers; those of integers on BigInt. Results are rounded to the dtype by the caller. */
import { erf } from '../../common/erf.ts'
import type { BinaryOp, UnaryOp } from '../../graph/ops.ts'

const roundHalfEven = (x: number): number => {
  const r = Math.round(x)
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r === 0 && x < 0 ? -0 : r
}

export const unaryNumber: Record<UnaryOp, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundHalfEven,
  trunc: Math.trunc,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
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
  sigmoid: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  not: (x) => ~x,
}

/** The remainder with the sign of the divisor. */
const floorRemainder = (a: number, b: number): number => {
  const r = a % b
  return r !== 0 && r < 0 !== b < 0 ? r + b : r
}

const bool = (b: boolean): number => (b ? 1 : 0)

export const binaryNumber: Record<BinaryOp, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: (a, b) => (a === 1 || b === 0 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b)),
  atan2: Math.atan2,
  mod: floorRemainder,
  floordiv: (a, b) => {
    if (b === 0) return a / b
    const whole = roundHalfEven((a - (a % b)) / b)
    return floorRemainder(a, b) === a % b ? whole : whole - 1
  },
  max: Math.max,
  min: Math.min,
  eq: (a, b) => bool(a === b),
  ne: (a, b) => bool(a !== b),
  lt: (a, b) => bool(a < b),
  le: (a, b) => bool(a <= b),
  gt: (a, b) => bool(a > b),
  ge: (a, b) => bool(a >= b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => (b < 0 || b > 31 ? 0 : a << b),
  shr: (a, b) => a >> (b < 0 || b > 31 ? 31 : b),
}

/** a ** b through float64, as Paddle does it: beyond the range of `bits`, the smallest integer. */
export function integerPower(a: bigint, b: bigint, bits: 32 | 64): bigint {
  const x = roundHalfEven(Math.pow(Number(a), Number(b)))
  const limit = 2 ** (bits - 1)
  return x >= -limit && x < limit ? BigInt(x) : BigInt(-limit)
}

const floorQuotient = (a: bigint, b: bigint): bigint => {
  if (b === 0n) return 0n
  const q = a / b
  return a % b !== 0n && a < 0n !== b < 0n ? q - 1n : q
}

/** Integers, of any size: the result is wrapped by the caller. Division by zero gives 0, as the compiled kernels do. */
export const binaryBigint: Partial<Record<BinaryOp, (a: bigint, b: bigint) => bigint | number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? 0n : a / b),
  mod: (a, b) => (b === 0n ? 0n : a - floorQuotient(a, b) * b),
  floordiv: floorQuotient,
  max: (a, b) => (a > b ? a : b),
  min: (a, b) => (a < b ? a : b),
  eq: (a, b) => bool(a === b),
  ne: (a, b) => bool(a !== b),
  lt: (a, b) => bool(a < b),
  le: (a, b) => bool(a <= b),
  gt: (a, b) => bool(a > b),
  ge: (a, b) => bool(a >= b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => (b < 0n || b > 63n ? 0n : a << b),
  shr: (a, b) => a >> (b < 0n || b > 63n ? 63n : b),
}

export const unaryBigint: Partial<Record<UnaryOp, (x: bigint) => bigint>> = {
  neg: (x) => -x,
  abs: (x) => (x < 0n ? -x : x),
  sign: (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n),
  not: (x) => ~x,
}
