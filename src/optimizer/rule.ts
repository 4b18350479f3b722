/**
 * An update rule: what one optimizer does, as pure functions on graph nodes. The engine (rule-optimizer.ts) does the rest:
 * clipping, weight decay, master weights, skipping, in-place writes and state dictionaries.
 */
import type { DType } from '../common/dtype.ts'
import type { Shape } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import type { Tensor } from '../tensor/tensor.ts'

export type Nodes<K extends string = string> = Readonly<Record<K, Node>>

/** How an accumulator begins. */
export interface AccumulatorSpec {
  readonly initial: number
  /** Default: the dtype of the computation. */
  readonly dtype?: DType
  /** Default: the parameter's shape, or [1] for counters. */
  readonly shape?: (parameter: Shape) => Shape
}

export type AccumulatorSpecs<K extends string = string> = Readonly<Record<K, AccumulatorSpec>>

/** What a rule sees of one parameter in one step. All floating nodes have one dtype, float32 or float64. */
export interface UpdateInput<H, S extends string, N extends string> {
  /** The value before the step. */
  readonly param: Node
  /** The gradient after clipping and regularisation. */
  readonly grad: Node
  /** The learning rate of this parameter, of rank 0. */
  readonly lr: Node
  /** Accumulators before the step. */
  readonly state: Nodes<S>
  /** What `tick` made of the counters. */
  readonly numbers: Nodes<N>
  readonly hyper: H
  /** Decoupled weight decay; 0 unless the rule has `decoupledDecay`. */
  readonly weightDecay: number
  /** For rules that treat parameters differently by name. */
  readonly parameter: Tensor
}

export interface UpdateResult<S extends string> {
  readonly param: Node
  /** Accumulators after the step; those left out stay. */
  readonly state: Partial<Nodes<S>>
}

export interface Tick<C extends string, N extends string> {
  /** Counters after the step. */
  readonly counters: Nodes<C>
  /** What the updates of this step need of them. */
  readonly numbers: Nodes<N>
}

export interface Rule<H, S extends string = string, C extends string = string, N extends string = string> {
  /** Accumulators of each parameter, under Paddle's names. */
  state(hyper: H, lr: number): AccumulatorSpecs<S>
  /** Accumulators of shape [1] that move alike for all parameters with the same past (powers of beta): these share one tensor. */
  counters?(hyper: H): AccumulatorSpecs<C>
  /** Once a step for all parameters that share counters and learning rate: what need not be recorded for each. */
  tick?(counters: Nodes<C>, hyper: H, lr: Node): Tick<C, N>
  update(input: UpdateInput<H, S, N>): UpdateResult<S>
  /** Weight decay that is a number goes to `update` instead of into the gradient (AdamW). */
  readonly decoupledDecay?: boolean
  /** Paddle keeps the counters in the parameter's shape (NAdam, RAdam): state dictionaries follow. */
  readonly fullSizeCounters?: boolean
}
