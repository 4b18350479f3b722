/** Lowering of the elementwise ops to the kernel IR, for any dtype and number of lanes. bool values are masks in registers. */
import { isFloat, isInteger, type DType } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { opInfo, type OpName } from '../graph/ops.ts'
import * as ir from './builder.ts'
import type { Expr } from './kernel.ts'
import { mathArctangent2, mathPower, mathUnary, type MathFunction } from './math.ts'

/** Register type of a value of a dtype: bool is a mask here. */
export function valueScalar(dtype: DType): 'mask' | 'i32' | 'i64' | 'f32' | 'f64' {
  return dtype === 'bool' ? 'mask' : (ir.registerType(dtype).scalar as 'i32' | 'i64' | 'f32' | 'f64')
}

/** 8-bit integers wrap after each operation, as they would in memory. */
function wrap(dtype: DType, x: Expr): Expr {
  if (dtype === 'uint8') return ir.and(x, 255)
  if (dtype === 'int8') return ir.shr(ir.shl(x, 24), 24)
  return x
}

/**
 * Whether a number stands in the text of kernels: small and special ones do, others are arguments, so that changing them compiles nothing. Those of
 * int64 are counts and lengths, which are small by chance.
 */
export function isWritten(value: number | bigint, dtype: DType): boolean {
  const n = Number(value)
  return !Number.isFinite(n) || (Number.isInteger(n * 2) && Math.abs(n) <= (dtype === 'int64' ? 2 : 8))
}

export function constantOf(value: number | bigint, dtype: DType): Expr {
  if (dtype === 'bool') return ir.ne(ir.i32(Number(value) !== 0 ? 1 : 0), 0)
  const scalar = valueScalar(dtype)
  return ir.constant(scalar === 'f32' || scalar === 'f64' ? Number(value) : value, scalar)
}

export function emitCast(scope: ir.Scope, x: Expr, from: DType, to: DType): Expr {
  if (to === 'bool') return from === 'bool' ? x : ir.ne(x, 0)
  if (isFloat(from) && isInteger(to)) return wrap(to, toInteger(scope, x, to === 'int64' ? 'i64' : 'i32'))
  return wrap(to, ir.convert(x, valueScalar(to)))
}

/** Truncation; what the integer cannot hold, and NaN, give the smallest one, as x86 and Paddle on it do. */
function toInteger(scope: ir.Scope, x: Expr, scalar: 'i32' | 'i64'): Expr {
  const value = scope.let('x', x)
  const limit = scalar === 'i64' ? 2 ** 63 : 2 ** 31
  const fits = ir.and(ir.ge(value, -limit), ir.lt(value, limit))
  return ir.select(fits, ir.convert(value, scalar), scalar === 'i64' ? -(2n ** 63n) : -(2 ** 31))
}

/** NaN where either is NaN: the IR's min and max, of one instruction, give the second operand then. */
function propagating(scope: ir.Scope, op: 'max' | 'min', a: Expr, b: Expr): Expr {
  const [x, y] = [scope.let('a', a), scope.let('b', b)]
  if (x.type.scalar !== 'f32' && x.type.scalar !== 'f64') return ir.binary(op, x, y)
  if (isNumber(x)) return ir.binary(op, x, y)
  if (isNumber(y)) return ir.binary(op, y, x)
  return ir.select(ir.ne(x, x), x, ir.binary(op, x, y))
}

/** Whether a value is a constant other than NaN. */
function isNumber(e: Expr): boolean {
  return e.kind === 'const' && !Number.isNaN(Number(e.value))
}

function floorQuotient(scope: ir.Scope, a: Expr, b: Expr): { quotient: Expr; remainder: Expr } {
  const [x, y] = [scope.let('a', a), scope.let('b', b)]
  if (x.type.scalar === 'f32' || x.type.scalar === 'f64') {
    const raw = scope.let('rest', ir.call('fmod', x, y))
    const opposite = scope.let('opposite', ir.and(ir.ne(raw, 0), ir.ne(ir.lt(raw, 0), ir.lt(y, 0))))
    // x less its rest is a multiple of y, but for rounding.
    const whole = scope.let('whole', ir.round(ir.div(ir.sub(x, raw), y)))
    const lower = ir.select(opposite, ir.sub(whole, 1), whole)
    return {
      quotient: ir.select(ir.eq(y, 0), ir.div(x, y), lower),
      remainder: ir.select(opposite, ir.add(raw, y), raw),
    }
  }
  // Zero divisors give 0 and -1 negates: neither may reach the division instruction.
  const zero = ir.eq(y, 0)
  const minusOne = ir.eq(y, -1)
  const divisor = scope.let('divisor', ir.select(ir.or(zero, minusOne), 1, y))
  const q = scope.let('q', ir.div(x, divisor))
  const r = scope.let('r', ir.sub(x, ir.mul(q, divisor)))
  const lower = ir.and(ir.ne(r, 0), ir.ne(ir.lt(r, 0), ir.lt(divisor, 0)))
  const quotient = ir.select(zero, 0, ir.select(minusOne, ir.neg(x), ir.select(lower, ir.sub(q, 1), q)))
  const remainder = ir.select(ir.or(zero, minusOne), 0, ir.select(lower, ir.add(r, divisor), r))
  return { quotient, remainder }
}

function truncatedQuotient(scope: ir.Scope, a: Expr, b: Expr): Expr {
  const [x, y] = [scope.let('a', a), scope.let('b', b)]
  if (x.type.scalar === 'f32' || x.type.scalar === 'f64') return ir.div(x, y)
  const zero = ir.eq(y, 0)
  const minusOne = ir.eq(y, -1)
  const q = ir.div(x, ir.select(ir.or(zero, minusOne), 1, y))
  return ir.select(zero, 0, ir.select(minusOne, ir.neg(x), q))
}

/** x ** n for integers, through float64 as in Paddle: exact below 2^53. */
function integerPower(scope: ir.Scope, x: Expr, n: Expr): Expr {
  const exact = ir.call('pow', ir.convert(x, 'f64'), ir.convert(n, 'f64'))
  return toInteger(scope, ir.round(exact), x.type.scalar === 'i64' ? 'i64' : 'i32')
}

/** Shifts by any number: beyond the width, and by negative numbers, nothing but the sign is left. */
function shift(scope: ir.Scope, op: 'shl' | 'shr', x: Expr, by: Expr): Expr {
  const last = x.type.scalar === 'i64' ? 63 : 31
  const n = scope.let('n', by)
  const outside = scope.let('outside', ir.or(ir.lt(n, 0), ir.gt(n, last)))
  const shifted = ir.binary(op, x, ir.select(outside, last, n))
  return op === 'shr' ? shifted : ir.select(outside, 0, shifted)
}

/**
 * One op on values in registers. `dtype` is that of the sources; `isProduct` says which of them are products, or their negatives. Those are rounded before they go into a sum: where a
 * product is fused with one it would otherwise be another number than where it is not (softmax of products around 1e10, less their maximum: infinity).
 */
export function emitOperation(
  scope: ir.Scope,
  op: OpName,
  dtype: DType,
  args: readonly Expr[],
  isProduct: (source: number) => boolean,
): Expr {
  const [a, b, c] = args as [Expr, Expr, Expr]
  const mask = dtype === 'bool'
  switch (op) {
    case 'neg':
    case 'abs':
      return wrap(dtype, ir.unary(op, a))
    case 'floor':
    case 'ceil':
    case 'round':
    case 'trunc':
    case 'sqrt':
      return ir.unary(op, a)
    case 'sign': {
      const x = scope.let('x', a)
      const zero = ir.constant(0, x.type.scalar, x.type.lanes)
      const signed = ir.select(ir.gt(x, 0), ir.add(zero, 1), ir.select(ir.lt(x, 0), ir.sub(zero, 1), zero))
      return isFloat(dtype) ? ir.select(ir.ne(x, x), x, signed) : signed
    }
    case 'not':
      return mask ? ir.not(a) : wrap(dtype, ir.xor(a, -1))
    case 'add':
    case 'sub': {
      const [x, y] = isFloat(dtype) ? [a, b].map((v, n) => (isProduct(n) ? ir.rounded(v) : v)) : [a, b]
      return wrap(dtype, ir.binary(op, x!, y!))
    }
    case 'mul':
      return wrap(dtype, ir.mul(a, b))
    case 'div':
      return wrap(dtype, truncatedQuotient(scope, a, b))
    case 'mod':
      return wrap(dtype, floorQuotient(scope, a, b).remainder)
    case 'floordiv':
      return wrap(dtype, floorQuotient(scope, a, b).quotient)
    case 'pow':
      return isFloat(dtype) ? mathPower(scope, a, b) : wrap(dtype, integerPower(scope, a, b))
    case 'atan2':
      return mathArctangent2(scope, a, b)
    case 'max':
    case 'min':
      return propagating(scope, op, a, b)
    case 'eq':
    case 'ne':
    case 'lt':
    case 'le':
    case 'gt':
    case 'ge':
      if (mask) return ir.compare(op, ir.convert(a, 'i32'), ir.convert(b, 'i32'))
      return ir.compare(op, a, b)
    case 'and':
    case 'or':
    case 'xor':
      return wrap(dtype, ir.binary(op, a, b))
    case 'shl':
    case 'shr':
      return wrap(dtype, shift(scope, op, a, b))
    case 'where':
      return mask || b.type.scalar === 'mask' ? maskSelect(a, b, c) : ir.select(a, b, c)
    default:
      if (opInfo(op).group === 'unary') return mathUnary(scope, op as MathFunction, a)
      throw new InternalError(`no elementwise lowering for ${op}`)
  }
}

function maskSelect(condition: Expr, a: Expr, b: Expr): Expr {
  if (a.type.scalar !== 'mask') return ir.select(condition, a, b)
  return ir.or(ir.and(condition, a), ir.and(ir.not(condition), b))
}
