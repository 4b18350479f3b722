/**
 * Folding of constants while kernels are built: index arithmetic with 0 and 1, and operations on constants. Floats fold only where
 * the result has the same bits for every operand (x * 1, but not x + 0, which loses the sign of -0).
 */
import type { BinaryIr, Expr, ScalarType } from './kernel.ts'

type UnaryExpr = Extract<Expr, { kind: 'unary' }>
type BinaryExpr = Extract<Expr, { kind: 'binary' }>
type ConstExpr = Extract<Expr, { kind: 'const' }>

/** The value as its type holds it: f32 rounded, i32 wrapped, i64 as a bigint where a number cannot hold it. */
export function normalizeConstant(value: number | bigint, scalar: ScalarType): number | bigint {
  switch (scalar) {
    case 'f32':
      return Math.fround(Number(value))
    case 'f64':
      return Number(value)
    case 'i32':
      return typeof value === 'bigint' ? Number(BigInt.asIntN(32, value)) : value | 0
    case 'mask':
      return value ? 1 : 0
    default: {
      if (typeof value === 'number') return Object.is(value, -0) ? 0 : value
      const wrapped = BigInt.asIntN(64, value)
      const narrow = Number(wrapped)
      return Number.isSafeInteger(narrow) ? narrow : wrapped
    }
  }
}

const integerFolds: Partial<Record<BinaryIr, (a: bigint, b: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? 0n : a / b),
  rem: (a, b) => (b === 0n ? 0n : a % b),
  min: (a, b) => (a < b ? a : b),
  max: (a, b) => (a > b ? a : b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr: (a, b) => a >> b,
}

/** f64 arithmetic rounded to f32 once is f32 arithmetic, for these four. */
const floatFolds: Partial<Record<BinaryIr, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
}

function isFloat(scalar: ScalarType): boolean {
  return scalar === 'f32' || scalar === 'f64'
}

function withValue(like: Expr, value: number | bigint): Expr {
  return { kind: 'const', type: like.type, value: normalizeConstant(value, like.type.scalar) }
}

export function foldUnary(e: UnaryExpr): Expr {
  if (e.x.kind !== 'const') return e
  if (e.op === 'neg') return withValue(e, typeof e.x.value === 'bigint' ? -e.x.value : -e.x.value)
  if (e.op === 'abs' && typeof e.x.value === 'number') return withValue(e, Math.abs(e.x.value))
  return e
}

export function foldBinary(e: BinaryExpr): Expr {
  const { a, b } = e
  if (a.kind === 'const' && b.kind === 'const') {
    if (isFloat(e.type.scalar)) {
      const fold = floatFolds[e.op]
      return fold ? withValue(e, fold(Number(a.value), Number(b.value))) : e
    }
    const fold = e.type.scalar === 'mask' ? undefined : integerFolds[e.op]
    return fold ? withValue(e, fold(BigInt(a.value), BigInt(b.value))) : e
  }
  if (isFloat(e.type.scalar)) return foldFloatIdentity(e)
  return e.type.scalar === 'mask' ? e : foldIntegerIdentity(e)
}

function foldFloatIdentity(e: BinaryExpr): Expr {
  const { op, a, b } = e
  if ((op === 'mul' || op === 'div') && is(b, 1)) return a
  if (op === 'mul' && is(a, 1)) return b
  return e
}

function foldIntegerIdentity(e: BinaryExpr): Expr {
  const { op, a, b } = e
  switch (op) {
    case 'add':
      if (is(a, 0)) return b
      if (is(b, 0)) return a
      return reassociate(e)
    case 'sub':
    case 'shl':
    case 'shr':
    case 'ushr':
    case 'xor':
    case 'or':
      return is(b, 0) ? a : e
    case 'mul':
      if (is(a, 0) || is(b, 1)) return a
      if (is(b, 0) || is(a, 1)) return b
      return e
    case 'div':
      return is(b, 1) ? a : e
    case 'rem':
      return is(b, 1) ? withValue(e, 0) : e
    default:
      return e
  }
}

/** (x + 1) + 2 is x + 3. */
function reassociate(e: BinaryExpr): Expr {
  const { a, b } = e
  if (b.kind !== 'const' || a.kind !== 'binary' || a.op !== 'add' || a.b.kind !== 'const') return e
  const sum = withValue(e, BigInt(a.b.value) + BigInt(b.value))
  return foldBinary({ ...e, a: a.a, b: sum })
}

function is(e: Expr, value: number): e is ConstExpr {
  return e.kind === 'const' && e.value === value
}
