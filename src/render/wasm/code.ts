/**
 * The body of one function: instructions as bytes, locals with reuse, and, where asked, the same instructions as text for people
 * and snapshot tests.
 */
import { Bytes } from './encoder.ts'
import {
  constOpcodes,
  controlOpcodes,
  laneOpcodes,
  localOpcodes,
  memoryLaneOpcodes,
  memoryOpcodes,
  plainOpcodes,
  valueTypeCodes,
  type LaneOpcode,
  type MemoryLaneOpcode,
  type MemoryOpcode,
  type PlainOpcode,
  type ValueType,
} from './opcodes.ts'

const emptyBlock = 0x40

export class CodeWriter {
  private readonly code = new Bytes()
  private readonly types: ValueType[]
  private readonly parameters: number
  private readonly free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] }
  private readonly lines: string[] | null
  private indent = 1
  /** The local that the last instruction set, and where that instruction starts: set + get becomes tee. */
  private lastSet = -1
  private lastSetStart = 0

  constructor(parameters: readonly ValueType[], withText = false) {
    this.types = [...parameters]
    this.parameters = parameters.length
    this.lines = withText ? [] : null
  }

  /** A local that nobody uses. */
  local(type: ValueType): number {
    return this.free[type].pop() ?? this.types.push(type) - 1
  }

  release(local: number): void {
    this.free[this.types[local]!].push(local)
  }

  op(name: PlainOpcode): void {
    if (name === 'end' || name === 'else') this.indent--
    this.write(plainOpcodes[name], name)
    if (name === 'else') this.indent++
  }

  get(local: number): void {
    if (this.lastSet === local) {
      this.code.length = this.lastSetStart
      this.lines?.pop()
      this.tee(local)
    } else this.localOp('local.get', local)
  }

  set(local: number): void {
    const start = this.code.length
    this.localOp('local.set', local)
    this.lastSet = local
    this.lastSetStart = start
  }

  tee(local: number): void {
    this.localOp('local.tee', local)
  }

  i32(value: number): void {
    this.write(constOpcodes['i32.const'], `i32.const ${value | 0}`)
    this.code.s32(value)
  }

  i64(value: bigint): void {
    this.write(constOpcodes['i64.const'], `i64.const ${value}`)
    this.code.s64(value)
  }

  f32(value: number): void {
    this.write(constOpcodes['f32.const'], `f32.const ${value}`)
    this.code.f32(value)
  }

  f64(value: number): void {
    this.write(constOpcodes['f64.const'], `f64.const ${value}`)
    this.code.f64(value)
  }

  /** Four lanes of 32 bits each. */
  v128(words: Int32Array | Float32Array): void {
    this.write(constOpcodes['v128.const'], `v128.const [${[...words].join(' ')}]`)
    this.code.raw(new Uint8Array(words.buffer, words.byteOffset, 16))
  }

  /** Four 32-bit lanes out of the eight of two vectors. */
  shuffle(lanes: readonly [number, number, number, number]): void {
    this.write(constOpcodes['i8x16.shuffle'], `i32x4 shuffle [${lanes.join(' ')}]`)
    for (const lane of lanes) for (let b = 0; b < 4; b++) this.code.byte(lane * 4 + b)
  }

  memory(name: MemoryOpcode, align: number, offset: number): void {
    this.write(memoryOpcodes[name], offset ? `${name} offset=${offset}` : name)
    this.memoryArgument(align, offset)
  }

  memoryLane(name: MemoryLaneOpcode, align: number, offset: number, lane: number): void {
    this.write(memoryLaneOpcodes[name], `${name} ${lane}${offset ? ` offset=${offset}` : ''}`)
    this.memoryArgument(align, offset)
    this.code.byte(lane)
  }

  lane(name: LaneOpcode, lane: number): void {
    this.write(laneOpcodes[name], `${name} ${lane}`)
    this.code.byte(lane)
  }

  /** select for v128, which needs its type. */
  selectVector(): void {
    this.write(controlOpcodes['select t'], 'select v128')
    this.code.u32(1)
    this.code.byte(valueTypeCodes.v128)
  }

  block(kind: 'block' | 'loop' | 'if', result?: ValueType): void {
    this.write(controlOpcodes[kind], result ? `${kind} (result ${result})` : kind)
    this.code.byte(result ? valueTypeCodes[result] : emptyBlock)
    this.indent++
  }

  branchIf(depth: number): void {
    this.write(controlOpcodes.br_if, `br_if ${depth}`)
    this.code.u32(depth)
  }

  call(functionNumber: number, name: string): void {
    this.write(controlOpcodes.call, `call $${name}`)
    this.code.u32(functionNumber)
  }

  /** The body as the code section wants it: runs of locals of one type, then the instructions. */
  finish(): Bytes {
    this.op('end')
    const runs: { type: ValueType; count: number }[] = []
    for (const type of this.types.slice(this.parameters)) {
      const last = runs[runs.length - 1]
      if (last?.type === type) last.count++
      else runs.push({ type, count: 1 })
    }
    const out = new Bytes()
    out.u32(runs.length)
    for (const run of runs) {
      out.u32(run.count)
      out.byte(valueTypeCodes[run.type])
    }
    out.raw(this.code.view())
    return out
  }

  get text(): string {
    return (this.lines ?? []).join('\n')
  }

  private localOp(name: keyof typeof localOpcodes, local: number): void {
    this.write(localOpcodes[name], `${name} ${local}`)
    this.code.u32(local)
  }

  private memoryArgument(align: number, offset: number): void {
    this.code.u32(align)
    this.code.u32(offset)
  }

  private write(opcode: number, text: string): void {
    this.lastSet = -1
    if (opcode > 0xff) {
      this.code.byte(opcode >>> 16)
      this.code.u32(opcode & 0xffff)
    } else this.code.byte(opcode)
    this.lines?.push('  '.repeat(this.indent) + text)
  }
}
