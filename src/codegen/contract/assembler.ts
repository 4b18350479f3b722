/**
 * A kernel builder that keeps the arguments of a launch beside the parameters of its kernel, so that sizes and strides never get
 * into the kernel itself and the two lists cannot disagree.
 */
import { sizeOf, type DType } from '../../common/dtype.ts'
import { InternalError } from '../../common/errors.ts'
import { index, KernelBuilder, type BufferParameter } from '../builder.ts'
import type { Expr, Kernel } from '../kernel.ts'
import type { ContractArgument, ContractStep, Epilogue } from './problem.ts'

/** Memory that a step reads or writes. */
export type Memory = Exclude<ContractArgument, { kind: 'index' | 'scalar' | 'scratch' }>

/** Whether a stride is of the class 0, 1 or 2 (see `Assembler.stride` and `smallStride`). */
export function isStride(e: Expr, value: 0 | 1 | 2): boolean {
  return e.kind === 'const' && e.value === value
}

type ScratchDType = 'float32' | 'float64' | 'int32' | 'int64'

/** Kernels by structure: what depends on sizes is in the arguments, so that a kernel is written once for all sizes. */
let kernels = new Map<string, Kernel>()

/** Runs `body` without the kernels that are kept: what it writes must be the same. For tests. */
export function withFreshKernels<T>(body: () => T): T {
  const kept = kernels
  kernels = new Map()
  try {
    return body()
  } finally {
    kernels = kept
  }
}

export class Assembler extends KernelBuilder {
  private readonly arguments: ContractArgument[] = []
  private readonly buffers = new Map<string, BufferParameter>()
  private scratchElements = 0
  private scratchParameter: BufferParameter | null = null
  /** Everything that the kernel's structure depends on. */
  private structure: string
  private isComplete = false
  private known: Kernel | undefined

  /** `template` names the code that writes the kernel, with all that it decides on besides the parameters that it asks for. */
  constructor(template: string, title: string) {
    super(title)
    this.structure = template
  }

  /** Adds to the structure's name; parameters must all be asked for before the loop is written. */
  note(what: string): void {
    if (this.isComplete) throw new InternalError(`contract: ${what} asked for inside a kernel`)
    this.structure += ` ${what}`
  }

  /** A size, stride or offset that the kernel's structure must not depend on. */
  size(value: number): Expr {
    if (!Number.isSafeInteger(value)) throw new InternalError(`contract: ${value} is no size`)
    this.note('n')
    this.arguments.push({ kind: 'index', value })
    return super.index()
  }

  /** A stride: 0 and 1 are classes of their own and stand in the kernel. */
  stride(value: number): Expr {
    if (value !== 0 && value !== 1) return this.size(value)
    this.note(String(value))
    return index(value)
  }

  /** As `stride`, but 2 stands in the kernel, too. */
  smallStride(value: number): Expr {
    if (value !== 2) return this.stride(value)
    this.note('2')
    return index(2)
  }

  memory(of: Memory, dtype: DType, access: 'read' | 'write' | 'update'): BufferParameter {
    const key = 'number' in of ? `${of.kind} ${of.number}` : of.kind
    const known = this.buffers.get(key)
    this.note(known ? `again ${known.parameter}` : `${dtype} ${access}`)
    if (known) return known
    this.arguments.push(of)
    const buffer = super.buffer(dtype, access)
    this.buffers.set(key, buffer)
    return buffer
  }

  /** Private memory of `elements`; several requests share one parameter. Returns its start, aligned to 64 bytes. */
  reserve(dtype: ScratchDType, elements: number): { buffer: BufferParameter; at: Expr } {
    this.note(`scratch ${dtype}`)
    if (!this.scratchParameter) {
      this.arguments.push({ kind: 'scratch' })
      this.scratchParameter = super.scratch(dtype)
    }
    const at = this.scratchElements
    this.scratchElements += Math.ceil(elements / 16) * 16
    return { buffer: this.scratchParameter, at: this.size(at) }
  }

  /** The scalar parameters of an epilogue, whose key becomes part of the structure. */
  scalars(epilogue: Epilogue | undefined): Expr[] {
    this.note(epilogue ? `epilogue ${epilogue.key}` : 'plain')
    return (epilogue?.scalars ?? []).map((type, number) => this.number(number, type))
  }

  /** Number `number` of the program or of the run. */
  number(number: number, type: 'i32' | 'i64' | 'f32' | 'f64'): Expr {
    this.note(type)
    this.arguments.push({ kind: 'scalar', number })
    return super.scalar(type)
  }

  /** Writes the loop, unless a kernel of this structure is at hand. */
  override parallel(name: string, body: (i: Expr) => void): void {
    this.isComplete = true
    this.known = kernels.get(this.structure)
    if (!this.known) super.parallel(name, body)
  }

  step(extent: number, grain: number, flops: number, bytes: number): ContractStep {
    const width = this.scratchParameter ? sizeOf(this.scratchParameter.dtype) : 0
    const kernel = this.known ?? this.build()
    kernels.set(this.structure, kernel)
    return {
      kernel,
      arguments: this.arguments,
      extent,
      grain: Math.max(1, Math.floor(grain)),
      scratchBytes: this.scratchElements * width,
      flops,
      bytes,
    }
  }
}
