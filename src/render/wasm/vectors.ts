/** Vector expressions and stores, one group of four lanes at a time. */
import { InternalError } from '../../common/errors.ts'
import type { DType } from '../../common/dtype.ts'
import type { CompareIr, Expr, ScalarType, Type, UnaryIr } from '../../codegen/kernel.ts'
import {
  groupLanes,
  groupsOf,
  reduceOpcode,
  splitAddress,
  uniform,
  vectorShape,
  type BinaryExpr,
  type Emitter,
  type GatherExpr,
  type LoadExpr,
  type StoreStmt,
  type VectorShape,
} from './emitter.ts'
import { memoryDType } from './lower.ts'
import type { MemoryOpcode, PlainOpcode } from './opcodes.ts'
import { emitDivision, emitSelect } from './scalars.ts'

const oneBits = 0x3f800000

/** Instructions that bring four elements of a dtype from memory to lanes of 32 bits; half-precision elements as their bits. */
const loads: Partial<Record<DType, readonly [MemoryOpcode, ...PlainOpcode[]]>> = {
  bool: ['v128.load32_zero', 'i16x8.extend_low_i8x16_u', 'i32x4.extend_low_i16x8_u'],
  uint8: ['v128.load32_zero', 'i16x8.extend_low_i8x16_u', 'i32x4.extend_low_i16x8_u'],
  int8: ['v128.load32_zero', 'i16x8.extend_low_i8x16_s', 'i32x4.extend_low_i16x8_s'],
  float16: ['v128.load16x4_u'],
  bfloat16: ['v128.load16x4_u'],
  int32: ['v128.load'],
  float32: ['v128.load'],
}

/** Loads of one element to an i32, for gathers, and bytes of an element. */
const elements: Partial<Record<DType, readonly [MemoryOpcode, number]>> = {
  bool: ['i32.load8_u', 1],
  uint8: ['i32.load8_u', 1],
  int8: ['i32.load8_s', 1],
  float16: ['i32.load16_u', 2],
  bfloat16: ['i32.load16_u', 2],
  int32: ['v128.load32_zero', 4],
  float32: ['v128.load32_zero', 4],
}

function lookUp<T>(table: Partial<Record<DType, T>>, dtype: DType): T {
  const row = table[dtype]
  if (row === undefined)
    throw new InternalError(`lanes of ${dtype} in a kernel: vectors have elements of at most 32 bits`)
  return row
}

function compareOpcode(op: CompareIr, scalar: ScalarType): PlainOpcode {
  if (scalar === 'f32') return `f32x4.${op}`
  if (op === 'eq' || op === 'ne') return `i32x4.${op}`
  return scalar === 'mask' ? `i32x4.${op}_u` : `i32x4.${op}_s`
}

/** Pushes one group of a vector expression that is no variable. */
export function emitVector(em: Emitter, e: Expr, group: number): void {
  const { code } = em
  const shape = vectorShape(e.type.scalar)
  switch (e.kind) {
    case 'const': {
      const value = Number(e.value)
      if (shape === 'f32x4') return code.v128(new Float32Array(groupLanes).fill(value))
      return code.v128(new Int32Array(groupLanes).fill(e.type.scalar === 'mask' ? -value : value))
    }
    case 'unary':
      em.value(e.x, group)
      return e.op === 'rounded' ? undefined : code.op(unaryOpcode(e.op, e.type, shape))
    case 'binary':
      return emitBinary(em, e, group, shape)
    case 'compare':
      em.value(e.a, group)
      em.value(e.b, group)
      return code.op(compareOpcode(e.op, e.a.type.scalar))
    case 'select': {
      const condition = uniform(e.condition)
      if (condition) return emitSelect(em, condition, e.a, e.b, group)
      em.value(e.a, group)
      em.value(e.b, group)
      em.value(e.condition, group)
      return code.op(em.relaxedSimd ? 'i32x4.relaxed_laneselect' : 'v128.bitselect')
    }
    case 'fma':
      em.value(e.a, group)
      em.value(e.b, group)
      if (!em.relaxedSimd) code.op('f32x4.mul')
      em.value(e.c, group)
      return code.op(em.relaxedSimd ? 'f32x4.relaxed_madd' : 'f32x4.add')
    case 'convert':
      return emitConvert(em, e, group, shape)
    case 'bitcast':
      return em.value(e.x, group)
    case 'load':
      return emitLoad(em, e, group)
    case 'gather':
      return emitGather(em, e, group)
    case 'splat':
      return emitSplat(em, e, shape)
    case 'zip': {
      // The two or four lanes of each operand that this group takes: where they begin, counted from the operand's first lane.
      if (e.run === groupLanes)
        return em.value(
          group % 2 === 0 ? e.a : e.b,
          (group >> 1) + (e.half === 'low' ? 0 : e.type.lanes / groupLanes / 2),
        )
      const half = e.span === 'four' ? groupLanes : e.type.lanes
      const start = (e.span === 'four' ? group * groupLanes : group * 2) + (e.half === 'low' ? 0 : half / 2)
      const from = Math.floor(start / groupLanes)
      const first = start % groupLanes
      em.value(e.a, from)
      em.value(e.b, from)
      return code.shuffle(
        e.run === 1 ? [first, first + 4, first + 1, first + 5] : [first, first + 1, first + 4, first + 5],
      )
    }
    case 'ramp': {
      em.value(e.base, 0)
      code.op('i32x4.splat')
      code.v128(Int32Array.from({ length: groupLanes }, (_, i) => group * groupLanes + i))
      return code.op('i32x4.add')
    }
    default:
      throw new InternalError(`a vector ${e.kind} in a kernel: calls take one lane at a time`)
  }
}

function unaryOpcode(op: Exclude<UnaryIr, 'rounded'>, type: Type, shape: VectorShape): PlainOpcode {
  if (op === 'not') return 'v128.not'
  if (shape === 'f32x4') return `f32x4.${op === 'round' ? 'nearest' : op}`
  if (op === 'neg' || op === 'abs') return `i32x4.${op}`
  throw new InternalError(`${op} of lanes of ${type.scalar} in a kernel`)
}

const shifts: Partial<Record<string, PlainOpcode>> = { shl: 'i32x4.shl', shr: 'i32x4.shr_s', ushr: 'i32x4.shr_u' }

function emitBinary(em: Emitter, e: BinaryExpr, group: number, shape: VectorShape): void {
  const { code } = em
  const shift = shifts[e.op]
  if (shift) {
    const count = uniform(e.b)
    if (!count) return emitByLanes(em, e, group)
    em.value(e.a, group)
    em.value(count, 0)
    return code.op(shift)
  }
  if (e.op === 'mulhi') {
    em.keep(e.a, group)
    em.keep(e.b, group)
    for (const half of ['low', 'high'] as const) {
      em.value(e.a, group)
      em.value(e.b, group)
      code.op(`i64x2.extmul_${half}_i32x4_u`)
    }
    return code.shuffle([1, 3, 5, 7])
  }
  if (shape === 'i32x4' && (e.op === 'div' || e.op === 'rem')) return emitByLanes(em, e, group)
  if (shape === 'f32x4' && (e.op === 'min' || e.op === 'max')) {
    // pmin(b, a) is a < b ? a : b.
    em.value(e.b, group)
    em.value(e.a, group)
    return code.op(`f32x4.p${e.op}`)
  }
  em.value(e.a, group)
  em.value(e.b, group)
  switch (e.op) {
    case 'and':
    case 'or':
    case 'xor':
      return code.op(`v128.${e.op}`)
    case 'div':
    case 'sub':
      return code.op(e.op === 'div' ? 'f32x4.div' : `${shape}.sub`)
    case 'add':
    case 'mul':
    case 'min':
    case 'max':
      return code.op(reduceOpcode(e.op, shape))
    default:
      throw new InternalError(`${e.op} of lanes of ${e.type.scalar} in a kernel`)
  }
}

/** Division of integers, and shifts by a count for each lane, which have no vector instruction. */
function emitByLanes(em: Emitter, e: BinaryExpr, group: number): void {
  const { code } = em
  const [a, b] = [em.temporary('i32'), em.temporary('i32')]
  em.keep(e.a, group)
  em.keep(e.b, group)
  em.value(e.a, group)
  for (let lane = 0; lane < groupLanes; lane++) {
    for (const [operand, local] of [
      [e.a, a],
      [e.b, b],
    ] as const) {
      em.value(operand, group)
      code.lane('i32x4.extract_lane', lane)
      code.set(local)
    }
    if (e.op === 'div' || e.op === 'rem')
      emitDivision(
        em,
        e.op,
        'i32',
        () => code.get(a),
        () => code.get(b),
      )
    else {
      code.get(a)
      code.get(b)
      code.op(e.op === 'shl' ? 'i32.shl' : e.op === 'shr' ? 'i32.shr_s' : 'i32.shr_u')
    }
    code.lane('i32x4.replace_lane', lane)
  }
}

function emitConvert(em: Emitter, e: Extract<Expr, { kind: 'convert' }>, group: number, shape: VectorShape): void {
  const { code } = em
  em.value(e.x, group)
  if (e.x.type.scalar === 'mask') {
    if (shape === 'i32x4') {
      code.i32(31)
      return code.op('i32x4.shr_u')
    }
    code.v128(new Int32Array(groupLanes).fill(oneBits))
    return code.op('v128.and')
  }
  if (e.x.type.scalar === 'f32' && shape === 'i32x4') code.op('i32x4.trunc_sat_f32x4_s')
  if (e.x.type.scalar !== 'f32' && shape === 'f32x4') code.op('f32x4.convert_i32x4_s')
}

/** The same in every group. */
function emitSplat(em: Emitter, e: Extract<Expr, { kind: 'splat' }>, shape: VectorShape): void {
  const { code } = em
  const dtype = e.x.kind === 'load' ? memoryDType(em.parameters[e.x.buffer]) : null
  if (e.x.kind === 'load' && (dtype === 'float32' || dtype === 'int32') && !em.isShared(e.x)) {
    const { base, offset } = splitAddress(e.x.at)
    em.value(base, 0)
    return code.memory('v128.load32_splat', 2, offset)
  }
  if (e.type.scalar === 'mask') code.i32(0)
  em.value(e.x, 0)
  if (e.type.scalar === 'mask') code.op('i32.sub')
  code.op(`${shape}.splat`)
}

function emitLoad(em: Emitter, e: LoadExpr, group: number): void {
  const dtype = memoryDType(em.parameters[e.buffer])
  const [memory, ...widen] = lookUp(loads, dtype)
  const { base, offset } = splitAddress(e.at)
  const [, bytes] = lookUp(elements, dtype)
  em.value(base, 0)
  em.code.memory(memory, Math.log2(bytes), offset + group * groupLanes * bytes)
  for (const opcode of widen) em.code.op(opcode)
}

function emitGather(em: Emitter, e: GatherExpr, group: number): void {
  const { code } = em
  const [memory, bytes] = lookUp(elements, memoryDType(em.parameters[e.buffer]))
  const address = em.temporary('i32')
  em.keep(e.stride, 0)
  em.value(e.at, 0)
  if (group > 0) {
    em.value(e.stride, 0)
    code.i32(group * groupLanes)
    code.op('i32.mul')
    code.op('i32.add')
  }
  code.tee(address)
  code.memory(memory, Math.log2(bytes), 0)
  if (bytes < 4) code.op('i32x4.splat')
  const lanes = em.temporary('v128')
  const element = em.temporary('i32')
  for (let lane = 1; lane < groupLanes; lane++) {
    code.set(lanes)
    code.get(address)
    em.value(e.stride, 0)
    code.op('i32.add')
    code.tee(address)
    if (bytes < 4) {
      code.memory(memory, Math.log2(bytes), 0)
      code.set(element)
      code.get(lanes)
      code.get(element)
      code.lane('i32x4.replace_lane', lane)
    } else {
      code.get(lanes)
      code.memoryLane('v128.load32_lane', 2, 0, lane)
    }
  }
}

/** Stores all groups; every group is computed before the first is stored. */
export function emitVectorStore(em: Emitter, s: StoreStmt): void {
  const { code } = em
  const dtype = memoryDType(em.parameters[s.buffer])
  const [, bytes] = lookUp(elements, dtype)
  const { base, offset } = splitAddress(s.at)
  const groups = groupsOf(s.value)
  if (groups > 1) em.keep(base, 0)
  for (let g = 0; g < groups; g++) {
    em.value(base, 0)
    em.value(s.value, g)
    if (bytes === 4) continue
    if (bytes === 1) {
      code.v128(new Int32Array(groupLanes).fill(0xff))
      code.op('v128.and')
    }
    narrow(em, bytes)
  }
  for (let g = groups - 1; g >= 0; g--) {
    const at = offset + g * groupLanes * bytes
    if (bytes === 4) code.memory('v128.store', 2, at)
    else code.memoryLane(bytes === 2 ? 'v128.store64_lane' : 'v128.store32_lane', Math.log2(bytes), at, 0)
  }
}

/** Packs the low 1 or 2 bytes of the lanes of the vector on top; higher bytes are 0. */
function narrow(em: Emitter, bytes: number): void {
  const v = em.temporary('v128')
  em.code.tee(v)
  em.code.get(v)
  em.code.op('i16x8.narrow_i32x4_u')
  if (bytes === 2) return
  em.code.tee(v)
  em.code.get(v)
  em.code.op('i8x16.narrow_i16x8_u')
}
