/** Scalar expressions and stores of one element. */
import { InternalError } from '../../common/errors.ts'
import type { BinaryIr, CompareIr, Expr, ScalarType } from '../../codegen/kernel.ts'
import { some } from '../../codegen/walk.ts'
import {
  groupsOf,
  reduceOpcode,
  scalarShape,
  splitAddress,
  vectorShape,
  type BinaryExpr,
  type Emitter,
  type GatherExpr,
  type LoadExpr,
  type ScalarShape,
  type StoreStmt,
} from './emitter.ts'
import { memoryDType } from './lower.ts'
import type { MemoryOpcode, PlainOpcode } from './opcodes.ts'
import type { DType } from '../../common/dtype.ts'

interface MemoryAccess {
  readonly load: MemoryOpcode
  readonly store: MemoryOpcode
  readonly align: number
}

/** Half-precision elements move as the i32 of their bits. */
const memoryAccess: Readonly<Record<DType, MemoryAccess>> = {
  bool: { load: 'i32.load8_u', store: 'i32.store8', align: 0 },
  uint8: { load: 'i32.load8_u', store: 'i32.store8', align: 0 },
  int8: { load: 'i32.load8_s', store: 'i32.store8', align: 0 },
  float16: { load: 'i32.load16_u', store: 'i32.store16', align: 1 },
  bfloat16: { load: 'i32.load16_u', store: 'i32.store16', align: 1 },
  int32: { load: 'i32.load', store: 'i32.store', align: 2 },
  float32: { load: 'f32.load', store: 'f32.store', align: 2 },
  int64: { load: 'i64.load', store: 'i64.store', align: 3 },
  float64: { load: 'f64.load', store: 'f64.store', align: 3 },
}

const integerOps: Partial<Record<BinaryIr, 'add' | 'sub' | 'mul' | 'and' | 'or' | 'xor' | 'shl' | 'shr_s' | 'shr_u'>> =
  {
    add: 'add',
    sub: 'sub',
    mul: 'mul',
    and: 'and',
    or: 'or',
    xor: 'xor',
    shl: 'shl',
    shr: 'shr_s',
    ushr: 'shr_u',
  }

/** From and to, by the types of WebAssembly; what is missing needs no instruction. */
const conversions: Partial<Record<`${ScalarShape} ${ScalarShape}`, PlainOpcode>> = {
  'i32 i64': 'i64.extend_i32_s',
  'i32 f32': 'f32.convert_i32_s',
  'i32 f64': 'f64.convert_i32_s',
  'i64 i32': 'i32.wrap_i64',
  'i64 f32': 'f32.convert_i64_s',
  'i64 f64': 'f64.convert_i64_s',
  'f32 i32': 'i32.trunc_sat_f32_s',
  'f32 i64': 'i64.trunc_sat_f32_s',
  'f32 f64': 'f64.promote_f32',
  'f64 i32': 'i32.trunc_sat_f64_s',
  'f64 i64': 'i64.trunc_sat_f64_s',
  'f64 f32': 'f32.demote_f64',
}

const bitcasts: Partial<Record<`${ScalarShape} ${ScalarShape}`, PlainOpcode>> = {
  'f32 i32': 'i32.reinterpret_f32',
  'i32 f32': 'f32.reinterpret_i32',
  'f64 i64': 'i64.reinterpret_f64',
  'i64 f64': 'f64.reinterpret_i64',
}

export function compareOpcode(op: CompareIr, scalar: ScalarType): PlainOpcode {
  const shape = scalarShape(scalar)
  if (shape === 'f32' || shape === 'f64') return `${shape}.${op}`
  if (op === 'eq' || op === 'ne') return `${shape}.${op}`
  return scalar === 'mask' ? `i32.${op}_u` : `${shape}.${op}_s`
}

export function emitConstant(em: Emitter, value: number | bigint, scalar: ScalarType): void {
  const shape = scalarShape(scalar)
  if (shape === 'f32') em.code.f32(Number(value))
  else if (shape === 'f64') em.code.f64(Number(value))
  else if (shape === 'i64') em.code.i64(BigInt(value))
  else em.code.i32(typeof value === 'bigint' ? Number(BigInt.asIntN(32, value)) : value)
}

/** Pushes the value of an expression of one lane that is no variable and no parameter. */
export function emitScalar(em: Emitter, e: Expr): void {
  const { code } = em
  const shape = scalarShape(e.type.scalar)
  switch (e.kind) {
    case 'const':
      return emitConstant(em, e.value, e.type.scalar)
    case 'unary':
      return emitUnary(em, e, shape)
    case 'binary':
      return emitBinary(em, e, shape)
    case 'compare':
      em.value(e.a, 0)
      em.value(e.b, 0)
      return code.op(compareOpcode(e.op, e.a.type.scalar))
    case 'select':
      return emitSelect(em, e.condition, e.a, e.b, 0)
    case 'fma':
      return emitFma(em, e, shape)
    case 'convert':
    case 'bitcast': {
      em.value(e.x, 0)
      const table = e.kind === 'convert' ? conversions : bitcasts
      const opcode = table[`${scalarShape(e.x.type.scalar)} ${shape}`]
      if (opcode) code.op(opcode)
      return
    }
    case 'load':
      return emitLoad(em, e)
    case 'reduceLanes':
      return emitReduceLanes(em, e.op, e.x)
    case 'call':
      for (const x of e.args) {
        em.value(x, 0)
        if (shape === 'f32') code.op('f64.promote_f32')
      }
      code.call(em.callee(e.fn), e.fn)
      if (shape === 'f32') code.op('f32.demote_f64')
      return
    case 'gather':
      return emitLoad(em, e)
    case 'splat':
      return em.value(e.x, 0)
    case 'ramp':
      return em.value(e.base, 0)
    case 'zip':
      throw new InternalError('zip of one lane in a kernel')
    case 'pairs':
    case 'dot':
      throw new InternalError(`${e.kind} of bfloat16 in a kernel for WebAssembly`)
    default:
      throw new InternalError(`a kernel has no local for ${e.kind === 'variable' ? e.name : `parameter ${e.index}`}`)
  }
}

/** The one rounding of f32 needs lanes: a number must not depend on whether its loop's tail computed it. */
function emitFma(em: Emitter, e: Extract<Expr, { kind: 'fma' }>, shape: ScalarShape): void {
  const { code } = em
  if (shape === 'f32' && em.relaxedSimd) {
    for (const x of [e.a, e.b, e.c]) {
      em.value(x, 0)
      code.op('f32x4.splat')
    }
    code.op('f32x4.relaxed_madd')
    return code.lane('f32x4.extract_lane', 0)
  }
  em.value(e.a, 0)
  em.value(e.b, 0)
  code.op(shape === 'f64' ? 'f64.mul' : 'f32.mul')
  em.value(e.c, 0)
  code.op(shape === 'f64' ? 'f64.add' : 'f32.add')
}

function emitUnary(em: Emitter, e: Extract<Expr, { kind: 'unary' }>, shape: ScalarShape): void {
  const { code } = em
  const isFloat = shape === 'f32' || shape === 'f64'
  if (isFloat && e.op !== 'not') {
    em.value(e.x, 0)
    if (e.op === 'rounded') return
    return code.op(`${shape}.${e.op === 'round' ? 'nearest' : e.op}`)
  }
  switch (e.op) {
    case 'not':
      em.value(e.x, 0)
      if (e.type.scalar === 'mask') return code.op('i32.eqz')
      emitConstant(em, -1, e.type.scalar)
      return code.op(shape === 'i64' ? 'i64.xor' : 'i32.xor')
    case 'neg':
      emitConstant(em, 0, e.type.scalar)
      em.value(e.x, 0)
      return code.op(shape === 'i64' ? 'i64.sub' : 'i32.sub')
    case 'abs':
      em.keep(e.x, 0)
      em.value(e.x, 0)
      emitConstant(em, 0, e.type.scalar)
      em.value(e.x, 0)
      code.op(shape === 'i64' ? 'i64.sub' : 'i32.sub')
      em.value(e.x, 0)
      emitConstant(em, 0, e.type.scalar)
      code.op(shape === 'i64' ? 'i64.ge_s' : 'i32.ge_s')
      return code.op('select')
    default:
      throw new InternalError(`${e.op} of ${e.type.scalar} in a kernel`)
  }
}

function emitBinary(em: Emitter, e: BinaryExpr, shape: ScalarShape): void {
  const { code } = em
  if (e.op === 'min' || e.op === 'max') {
    em.keep(e.a, 0)
    em.keep(e.b, 0)
    for (let i = 0; i < 2; i++) {
      em.value(e.a, 0)
      em.value(e.b, 0)
    }
    code.op(compareOpcode(e.op === 'min' ? 'lt' : 'gt', e.type.scalar))
    return code.op('select')
  }
  if (shape === 'f32' || shape === 'f64') {
    if (e.op !== 'add' && e.op !== 'sub' && e.op !== 'mul' && e.op !== 'div')
      throw new InternalError(`${e.op} of ${shape} in a kernel`)
    em.value(e.a, 0)
    em.value(e.b, 0)
    return code.op(`${shape}.${e.op}`)
  }
  if (e.op === 'mulhi') {
    for (const x of [e.a, e.b]) {
      em.value(x, 0)
      code.op('i64.extend_i32_u')
    }
    code.op('i64.mul')
    code.i64(32n)
    code.op('i64.shr_u')
    return code.op('i32.wrap_i64')
  }
  if (e.op === 'div' || e.op === 'rem') {
    const known = e.b.kind === 'const' && e.b.value !== 0 && e.b.value !== -1
    if (!known) {
      em.keep(e.a, 0)
      em.keep(e.b, 0)
      return emitDivision(
        em,
        e.op,
        shape,
        () => em.value(e.a, 0),
        () => em.value(e.b, 0),
      )
    }
    em.value(e.a, 0)
    em.value(e.b, 0)
    return code.op(`${shape}.${e.op}_s`)
  }
  em.value(e.a, 0)
  const power = e.op === 'mul' && e.b.kind === 'const' ? Math.log2(Number(e.b.value)) : NaN
  if (Number.isInteger(power) && shape === 'i32') {
    code.i32(power)
    return code.op('i32.shl')
  }
  em.value(e.b, 0)
  code.op(`${shape}.${integerOps[e.op]!}`)
}

/**
 * Integer division that cannot trap: x / 0 and x % 0 are 0, and the lowest number divided by -1 wraps. `pushA` and `pushB` push the
 * operands, as often as they are called.
 */
export function emitDivision(
  em: Emitter,
  op: 'div' | 'rem',
  shape: 'i32' | 'i64',
  pushA: () => void,
  pushB: () => void,
): void {
  const { code } = em
  pushB()
  emitConstant(em, 1, shape)
  code.op(`${shape}.add`)
  emitConstant(em, 1, shape)
  code.op(`${shape}.le_u`)
  code.block('if', shape)
  if (op === 'div') {
    // Right for both divisors, 0 and -1.
    pushA()
    pushB()
    code.op(`${shape}.mul`)
  } else emitConstant(em, 0, shape)
  code.op('else')
  pushA()
  pushB()
  code.op(`${shape}.${op}_s`)
  code.op('end')
}

/** Whether an arm of a select should run only where it is chosen: memory that may not exist, or work that costs. */
function isLazy(arm: Expr): boolean {
  return some(arm, (x) => x.kind === 'load' || x.kind === 'gather' || x.kind === 'call')
}

/** A choice by a scalar condition between scalars, or between groups of vectors. */
export function emitSelect(em: Emitter, condition: Expr, a: Expr, b: Expr, group: number): void {
  const { code } = em
  const isVector = a.type.lanes > 1
  if (isLazy(a) || isLazy(b)) {
    em.value(condition, 0)
    code.block('if', isVector ? 'v128' : scalarShape(a.type.scalar))
    em.branch(() => em.value(a, group))
    code.op('else')
    em.branch(() => em.value(b, group))
    return code.op('end')
  }
  em.value(a, group)
  em.value(b, group)
  em.value(condition, 0)
  if (isVector) code.selectVector()
  else code.op('select')
}

function emitLoad(em: Emitter, e: LoadExpr | GatherExpr): void {
  const { load, align } = memoryAccess[memoryDType(em.parameters[e.buffer])]
  const { base, offset } = splitAddress(e.at)
  em.value(base, 0)
  em.code.memory(load, align, offset)
}

export function emitStore(em: Emitter, s: StoreStmt): void {
  const { store, align } = memoryAccess[memoryDType(em.parameters[s.buffer])]
  const { base, offset } = splitAddress(s.at)
  em.value(base, 0)
  em.value(s.value, 0)
  em.code.memory(store, align, offset)
}

function emitReduceLanes(em: Emitter, op: Extract<Expr, { kind: 'reduceLanes' }>['op'], x: Expr): void {
  const { code } = em
  const join = reduceOpcode(op, vectorShape(x.type.scalar))
  for (let g = 0; g < groupsOf(x); g++) {
    em.value(x, g)
    if (g > 0) code.op(join)
  }
  const v = em.temporary('v128')
  for (const lanes of [
    [2, 3, 0, 1],
    [1, 0, 3, 2],
  ] as const) {
    code.tee(v)
    code.get(v)
    code.get(v)
    code.shuffle(lanes)
    code.op(join)
  }
  code.lane(x.type.scalar === 'f32' ? 'f32x4.extract_lane' : 'i32x4.extract_lane', 0)
}
