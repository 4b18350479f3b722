/**
 * What the lowering of a contraction takes and gives: operands as strided views, an epilogue that is fused into the store, and
 * steps (kernels with their arguments) over the operands and temporaries, for which the scheduler finds memory.
 */
import type { DType } from '../../common/dtype.ts'
import type { ContractSpec } from '../../graph/node.ts'
import type { Capabilities } from '../capabilities.ts'
import type { Scope } from '../builder.ts'
import type { Expr, Kernel } from '../kernel.ts'

/** An operand's elements: `offset + sum of coordinate * stride`. Strides count elements and may be 0 or negative. */
export interface StridedView {
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset: number
}

/** A tensor that the epilogue reads beside each result; strides are by axis of `out` (0: the same value along it). */
export interface EpilogueOperand {
  readonly dtype: DType
  readonly strides: readonly number[]
  readonly offset: number
}

/** out, results = build(sum of products, operands, scalars), evaluated once per element where the sum is complete. */
export interface Epilogue {
  /** Part of the kernel's title: `+bias+relu`. */
  readonly title: string
  /** Epilogues with equal keys (and operands' dtypes and stride classes) build equal expressions: kernels are kept by it. */
  readonly key: string
  readonly operands: readonly EpilogueOperand[]
  /** More results beside `out`, by dtype: they lie in memory as `out` does. Default none. */
  readonly results?: readonly DType[]
  /** Numbers of the program or of the run, which become scalar parameters. */
  readonly scalars: readonly ('i32' | 'i64' | 'f32' | 'f64')[]
  /**
   * `value` is the sum in registers (f32 for float16 and bfloat16), `operands` are loaded in the same number of lanes, 1 or a vector's;
   * `scalars` have one lane. Returns the values of `out` and of `results`, in the register types of their dtypes. Called several times for
   * one kernel.
   */
  build(scope: Scope, value: Expr, operands: readonly Expr[], scalars: readonly Expr[]): readonly Expr[]
}

export interface ContractProblem {
  readonly spec: ContractSpec
  /** Of both operands. */
  readonly dtype: DType
  readonly lhs: StridedView
  readonly rhs: StridedView
  readonly out: StridedView
  /** Of the result; default: the operands'. */
  readonly outDType?: DType
  readonly epilogue?: Epilogue
  /**
   * Operands that stay what they are while the problem is solved again and again (weights that never change, or in a loop over time), so that
   * what is made of them alone is computed once. Default none.
   */
  readonly constant?: { readonly lhs: boolean; readonly rhs: boolean }
  /** Whether it is a step of a loop over time: few rows meet weights, which take longer to pack than to multiply. Default false. */
  readonly inLoop?: boolean
  readonly capabilities: Capabilities
}

export type ContractArgument =
  | { readonly kind: 'lhs' | 'rhs' | 'out' | 'scratch' }
  | { readonly kind: 'temporary'; readonly number: number }
  /** Operand, further result or scalar `number` of the epilogue. */
  | { readonly kind: 'operand' | 'result' | 'scalar'; readonly number: number }
  | { readonly kind: 'index'; readonly value: number }

export interface ContractStep {
  readonly kernel: Kernel
  /** One for each of the kernel's parameters. */
  readonly arguments: readonly ContractArgument[]
  /** Iterations of the parallel loop; never 0. */
  readonly extent: number
  readonly grain: number
  readonly scratchBytes: number
  readonly flops: number
  readonly bytes: number
}

export interface LoweredContract {
  /** In order; none where the result has no elements. */
  readonly steps: readonly ContractStep[]
  /** Memory that lives from the first step to the last, 64-byte aligned. */
  readonly temporaries: readonly { readonly bytes: number }[]
  /** Kernels that compute the same contraction where its sizes make another form pay. */
  readonly siblings?: readonly Kernel[]
}
