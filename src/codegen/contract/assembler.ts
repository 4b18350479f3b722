/**
 * A kernel builder that keeps the arguments of a launch beside the parameters of its kernel, so that sizes and strides never get
 * into the kernel itself and the two lists cannot disagree.
 */
import { sizeOf, type DType } from '../../common/dtype.ts'
import { InternalError } from '../../common/errors.ts'
import { index, KernelBuilder, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { ContractArgument, ContractStep, Epilogue } from './problem.ts'

/** Memory that a step reads or writes. */
export type Memory = Exclude<ContractArgument, { kind: 'index' | 'scalar' | 'scratch' }>

/** Whether a stride is of the class 0 or 1 (see `Assembler.stride`). */
export function isStride(e: Expr, value: 0 | 1): boolean {
  return e.kind === 'const' && e.value === value
}

type ScratchDType = 'float32' | 'float64' | 'int32' | 'int64'

export class Assembler extends KernelBuilder {
  private readonly arguments: ContractArgument[] = []
  private readonly buffers = new Map<string, BufferParameter>()
  private scratchElements = 0
  private scratchParameter: BufferParameter | null = null

  /** A size, stride or offset that the kernel's structure must not depend on. */
  size(value: number): Expr {
    if (!Number.isSafeInteger(value)) throw new InternalError(`contract: ${value} is no size`)
    this.arguments.push({ kind: 'index', value })
    return super.index()
  }

  /** A stride: 0 and 1 are classes of their own and stand in the kernel. */
  stride(value: number): Expr {
    return value === 0 || value === 1 ? index(value) : this.size(value)
  }

  memory(of: Memory, dtype: DType, access: 'read' | 'write' | 'update'): BufferParameter {
    const key = JSON.stringify(of)
    const known = this.buffers.get(key)
    if (known) return known
    this.arguments.push(of)
    const buffer = super.buffer(dtype, access)
    this.buffers.set(key, buffer)
    return buffer
  }

  /** Private memory of `elements`; several requests share one parameter. Returns its start, aligned to 64 bytes. */
  reserve(dtype: ScratchDType, elements: number): { buffer: BufferParameter; at: Expr } {
    if (!this.scratchParameter) {
      this.arguments.push({ kind: 'scratch' })
      this.scratchParameter = super.scratch(dtype)
    }
    const at = this.scratchElements
    this.scratchElements += Math.ceil(elements / 16) * 16
    return { buffer: this.scratchParameter, at: at === 0 ? index(0) : this.size(at) }
  }

  scalars(epilogue: Epilogue | undefined): Expr[] {
    return (epilogue?.scalars ?? []).map((type, number) => {
      this.arguments.push({ kind: 'scalar', number })
      return super.scalar(type)
    })
  }

  step(extent: number, grain: number, flops: number, bytes: number): ContractStep {
    const width = this.scratchParameter ? sizeOf(this.scratchParameter.dtype) : 0
    return {
      kernel: this.build(),
      arguments: this.arguments,
      extent,
      grain: Math.max(1, Math.floor(grain)),
      scratchBytes: this.scratchElements * width,
      flops,
      bytes,
    }
  }
}
