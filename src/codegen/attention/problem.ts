/** What the lowering of an attention takes: operands as they lie in memory, and what its form asks for. */
import type { DType } from '../../common/dtype.ts'
import type { AttentionSizes } from '../../graph/attention.ts'
import type { Capabilities } from '../capabilities.ts'

/** [B, S, heads, features] in memory; features are neighbours. Strides count elements. */
export interface HeadsView {
  readonly dtype: DType
  readonly offset: number
  readonly batch: number
  readonly position: number
  readonly head: number
}

/** [B, H, S, S'] in memory, 0 along axes that it repeats. */
export interface MaskView {
  readonly dtype: DType
  readonly offset: number
  readonly strides: readonly [batch: number, head: number, query: number, key: number]
}

export interface AttentionProblem {
  readonly sizes: AttentionSizes
  readonly scale: number
  readonly isCausal: boolean
  readonly mask: MaskView | null
  /** Where draws decide which weights stay: how their place arrives, as numbers of the run or in memory. */
  readonly dropout: { readonly place: 'numbers' | 'memory' } | null
  readonly query: HeadsView
  readonly key: HeadsView
  readonly value: HeadsView
  readonly capabilities: Capabilities
}

export interface ForwardProblem extends AttentionProblem {
  readonly outDType: DType
  /** Whether what a gradient needs goes to memory: the logarithms of the sums, and which weights stay. */
  readonly isDifferentiated: boolean
}

export interface BackwardProblem extends AttentionProblem {
  /** The result's gradient, and the result. */
  readonly given: HeadsView
  readonly result: HeadsView
  readonly outDTypes: readonly [query: DType, key: DType, value: DType]
}

/** Numbers of operands (`kind: 'operand'`), results (`'result'`) and scalars of the steps. */
export const operandNumbers = {
  query: 0,
  key: 1,
  value: 2,
  mask: 3,
  stream: 4,
  offset: 5,
  given: 6,
  result: 7,
  logarithms: 8,
  decisions: 9,
} as const
export const scalarNumbers = { scale: 0, threshold: 1, kept: 2, stream: 3, offset: 4 } as const
