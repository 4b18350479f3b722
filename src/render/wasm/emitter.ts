/**
 * What the parts of the expression compiler share: the code so far, and how to get the value of an operand. A vector of more than four
 * lanes is a list of groups, each one v128.
 */
import type { CallIr, Expr, Parameter, ReduceIr, ScalarType, Stmt } from '../../codegen/kernel.ts'
import { InternalError } from '../../common/errors.ts'
import type { CodeWriter } from './code.ts'
import type { PlainOpcode, ValueType } from './opcodes.ts'

export const groupLanes = 4

export interface Emitter {
  readonly code: CodeWriter
  readonly parameters: readonly Parameter[]
  readonly relaxedSimd: boolean
  /** Pushes the value of an expression: of one group of lanes, for a vector. */
  value(e: Expr, group: number): void
  /** Whether the value is needed again in the same statement. */
  isShared(e: Expr): boolean
  /** Computes a value into a local until the statement ends, so that `value` is cheap; pushes nothing. */
  keep(e: Expr, group: number): void
  /** Emits code that may be skipped: what it computes is not known after it. */
  branch(emit: () => void): void
  /** A local until the statement ends. */
  temporary(type: ValueType): number
  /** Number of the imported function behind a call. */
  callee(fn: CallIr): number
}

export type StoreStmt = Extract<Stmt, { kind: 'store' }>
export type LoadExpr = Extract<Expr, { kind: 'load' }>
export type GatherExpr = Extract<Expr, { kind: 'gather' }>
export type BinaryExpr = Extract<Expr, { kind: 'binary' }>
export type ScalarShape = 'i32' | 'i64' | 'f32' | 'f64'
export type VectorShape = 'i32x4' | 'f32x4'

const shapes: Readonly<Record<ScalarType, ScalarShape>> = {
  index: 'i32',
  i32: 'i32',
  mask: 'i32',
  i64: 'i64',
  f32: 'f32',
  f64: 'f64',
}

export function scalarShape(scalar: ScalarType): ScalarShape {
  return shapes[scalar]
}

export function vectorShape(scalar: ScalarType): VectorShape {
  if (scalar === 'f32') return 'f32x4'
  if (scalar === 'i32' || scalar === 'mask') return 'i32x4'
  throw new InternalError(`WebAssembly has no lanes of ${scalar}: vectors have f32, i32 or mask elements`)
}

export function valueType(e: Expr): ValueType {
  return e.type.lanes > 1 ? 'v128' : shapes[e.type.scalar]
}

export function groupsOf(e: Expr): number {
  const { lanes } = e.type
  if (lanes > 1 && lanes % groupLanes !== 0)
    throw new InternalError(`${lanes} lanes in a kernel for WebAssembly, which has multiples of ${groupLanes}`)
  return Math.max(1, lanes / groupLanes)
}

/** The instruction that joins two values of a reduction; max and min of floats keep a NaN. */
export function reduceOpcode(op: ReduceIr, shape: VectorShape | 'f32' | 'f64'): PlainOpcode {
  if (op === 'add' || op === 'mul') return `${shape}.${op}`
  return shape === 'i32x4' ? `${shape}.${op}_s` : `${shape}.${op}`
}

/** The constant that every lane of a vector holds, if that is so. */
export function uniform(e: Expr): Expr | null {
  if (e.kind === 'splat') return e.x
  return e.kind === 'const' ? { ...e, type: { scalar: e.type.scalar, lanes: 1 } } : null
}

/** Splits a byte address into what must be computed and what the instruction adds itself. */
export function splitAddress(at: Expr): { base: Expr; offset: number } {
  if (at.kind === 'binary' && at.op === 'add' && at.b.kind === 'const') {
    const offset = Number(at.b.value)
    if (offset >= 0 && offset <= maxOffset) return { base: at.a, offset }
  }
  return { base: at, offset: 0 }
}

/**
 * Bytes at the start of the memory that no buffer may use: an address less a constant offset then stays positive, and instructions
 * can add the offset without wrapping around.
 */
export const reservedBytes = 65536
const maxOffset = 32768
