/**
 * The normal form of a contraction that the GEMM template takes: letters sorted into batch, rows (free in the first operand), columns
 * (free in the second, the side of the vectors) and contracted ones, each with its stride in every view. Windows are gone by then.
 */
import type { DType } from '../../common/dtype.ts'
import { originOf, type AffineDim } from './affine.ts'
import type { Axis } from './axes.ts'
import type { Memory } from './assembler.ts'
import type { ContractProblem, ContractStep, Epilogue } from './problem.ts'

/** A letter with its strides, 0 in the views that lack it. */
export interface FormAxis {
  readonly size: number
  readonly a: number
  readonly b: number
  readonly out: number
  readonly operands: readonly number[]
  /** Whether a window moves by two elements along it: a stride of 2 is part of the structure then. Default not. */
  readonly isEverySecond?: boolean
}

export interface FormView {
  readonly memory: Memory
  readonly dtype: DType
  readonly offset: number
  /** Whether the values never change. */
  readonly isConstant?: boolean
}

export interface Form {
  readonly title: string
  /** Of a convolution or one of its gradients: packing meets each element once for every tap. */
  readonly isConvolution: boolean
  readonly a: FormView
  readonly b: FormView
  readonly out: FormView
  readonly epilogue: Epilogue | undefined
  /** Outer to inner. */
  readonly batch: readonly FormAxis[]
  readonly rows: readonly FormAxis[]
  readonly columns: readonly FormAxis[]
  readonly contracted: readonly FormAxis[]
  /** Where some of the columns are computed, but not stored. */
  readonly runs?: ColumnPitch
}

/** Runs of `size` columns, each `pitch` columns behind the one before; `columns` are those of the runs alone, as the result has them. */
export interface ColumnPitch {
  readonly size: number
  readonly pitch: number
  readonly columns: readonly FormAxis[]
}

/** The result of a problem, from the element at `origin` on. */
export function resultView({ out, outDType, dtype }: ContractProblem, origin: number): FormView {
  return { memory: { kind: 'out' }, dtype: outDType ?? dtype, offset: out.offset + origin }
}

/** The result's axes with the strides of an operand of the epilogue. */
export function besideOut(out: readonly AffineDim[], strides: readonly number[]): AffineDim[] {
  return out.map((dim, i) => ({ ...dim, stride: strides[i]! }))
}

/** The epilogue, with the offsets of its operands at the first element that `out` names. */
export function epilogueOf({ epilogue }: ContractProblem, out: readonly AffineDim[]): Epilogue | undefined {
  return (
    epilogue && {
      ...epilogue,
      operands: epilogue.operands.map((o) => ({ ...o, offset: o.offset + originOf(besideOut(out, o.strides)) })),
    }
  )
}

/** Steps under construction; temporaries are numbered in the order of their requests. */
export class StepList {
  readonly steps: ContractStep[] = []
  readonly temporaries: { bytes: number }[] = []
  /** Number of the next temporary. */
  private next = 0

  temporary(bytes: number): Memory {
    const number = this.next++
    const rounded = Math.ceil(bytes / 64) * 64
    const known = this.temporaries[number]
    if (known) known.bytes = Math.max(known.bytes, rounded)
    else this.temporaries.push({ bytes: rounded })
    return { kind: 'temporary', number }
  }

  /** Makes a temporary longer. */
  extend(memory: Memory, bytes: number): void {
    if (memory.kind === 'temporary') this.temporaries[memory.number]!.bytes += bytes
  }

  /** Writes the steps of parts, of which each after the first requests the temporaries of the one before it again, in the same order. */
  parts<T>(parts: readonly T[], emit: (part: T, number: number) => void): void {
    const { next } = this
    parts.forEach((part, number) => {
      this.next = next
      emit(part, number)
    })
    this.next = this.temporaries.length
  }
}

export function formSize(axes: readonly FormAxis[]): number {
  return axes.reduce((n, axis) => n * axis.size, 1)
}

/** Strides in the chosen views, for flattening. */
export function axesIn(axes: readonly FormAxis[], views: readonly ('a' | 'b' | 'out' | 'operands')[]): Axis[] {
  return axes.map((axis) => ({ size: axis.size, strides: views.flatMap((v) => axis[v]) }))
}
