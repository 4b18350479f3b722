/** One step of a recurrence as a layer: SimpleRNNCell, LSTMCell, GRUCell and their base, as in paddle.nn.layer.rnn. */
import type { DType } from '../../common/dtype.ts'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, sameShape, type Shape } from '../../common/shape.ts'
import type { Node } from '../../graph/node.ts'
import { full } from '../../tensor/creation.ts'
import { checkFloat, getDefaultDtype } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import {
  cellStep,
  gateCount,
  recurrence,
  recurrentOperands,
  type CellKind,
  type CellWeights,
  type RecurrenceOptions,
} from '../functional/rnn.ts'
import { Constant, Uniform } from '../initializer/index.ts'
import { Layer } from '../layer.ts'
import type { Parameter, ParamAttrLike } from '../parameter.ts'
import { checkSizes } from './options.ts'

/** States of a cell: a tensor, or nested arrays of them. */
export type States = Tensor | readonly States[]
/** Sizes of the states without the batch: `[hidden]`, or nested arrays of such. */
export type StateShape = readonly number[] | readonly StateShape[]

const isSizes = (shape: StateShape): shape is readonly number[] => shape.every((s) => typeof s === 'number')

/** The tensors of nested states, in order. */
export function flattenStates(states: States): Tensor[] {
  return states instanceof Tensor ? [states] : states.flatMap(flattenStates)
}

/** Tensors in the nesting of `like`. */
export function nestStates(like: States, flat: readonly Tensor[]): States {
  let next = 0
  const build = (part: States): States => (part instanceof Tensor ? flat[next++]! : part.map(build))
  return build(like)
}

/** Base of cells; write your own by giving `stateShape` and `forward(inputs, states)`, which returns [outputs, new states]. */
export abstract class RNNCellBase extends Layer {
  /** Sizes of the states without the batch. */
  abstract get stateShape(): StateShape

  /**
   * One step: inputs [B, ..] and states of the step before. A cell declares the nesting of states that it takes; `never` stands for all
   * of them here.
   */
  abstract override forward(inputs: Tensor, states: never): readonly [Tensor, States]

  /**
   * States filled with `initValue` for the batch of `batchRef`, whose axis `batchDimIdx` is the batch. `shape` and `dtype` replace those
   * of the cell.
   */
  getInitialStates(
    batchRef: Tensor,
    options: {
      readonly shape?: StateShape
      readonly dtype?: DType
      readonly initValue?: number
      readonly batchDimIdx?: number
    } = {},
  ): States {
    const batch = batchRef.shape[options.batchDimIdx ?? 0]
    if (batch === undefined)
      throw new ShapeError(`getInitialStates: ${formatShape(batchRef.shape)} has no axis ${options.batchDimIdx ?? 0}`)
    const dtype = options.dtype ?? this.parameters()[0]?.dtype ?? getDefaultDtype()
    const build = (shape: StateShape): States =>
      isSizes(shape) ? full([batch, ...shape], options.initValue ?? 0, dtype) : shape.map(build)
    return build(options.shape ?? this.stateShape)
  }
}

/** Attributes of a cell's parameters; `false` freezes a weight at 1 or a bias at 0. */
export interface CellAttributes {
  readonly weightIhAttr?: ParamAttrLike | false
  readonly weightHhAttr?: ParamAttrLike | false
  readonly biasIhAttr?: ParamAttrLike | false
  readonly biasHhAttr?: ParamAttrLike | false
}

/** What the three built-in cells share: their parameters, and running over one step or a whole sequence. */
export abstract class GatedCell extends RNNCellBase {
  readonly inputSize: number
  readonly hiddenSize: number
  readonly #kind: CellKind
  weight_ih: Parameter
  weight_hh: Parameter
  bias_ih: Parameter
  bias_hh: Parameter

  protected constructor(
    kind: CellKind,
    inputSize: number,
    hiddenSize: number,
    attributes: CellAttributes,
    stateSize = hiddenSize,
  ) {
    super()
    checkSizes(this.constructor.name, { inputSize, hiddenSize, projSize: stateSize })
    this.inputSize = inputSize
    this.hiddenSize = hiddenSize
    this.#kind = kind
    const rows = gateCount(kind) * hiddenSize
    this.weight_ih = this.parameter([rows, inputSize], attributes.weightIhAttr, false)
    this.weight_hh = this.parameter([rows, stateSize], attributes.weightHhAttr, false)
    this.bias_ih = this.parameter([rows], attributes.biasIhAttr, true)
    this.bias_hh = this.parameter([rows], attributes.biasHhAttr, true)
  }

  /** A parameter drawn from U(-1/sqrt(hidden), 1/sqrt(hidden)); frozen at 1 (a bias at 0) where `attr` is false. */
  protected parameter(shape: Shape, attr: ParamAttrLike | false | undefined, isBias: boolean): Parameter {
    const bound = 1 / Math.sqrt(this.hiddenSize)
    const frozen = attr === false
    const parameter = this.createParameter({
      shape,
      isBias,
      attr: frozen ? { initializer: new Constant(isBias ? 0 : 1) } : attr,
      defaultInitializer: new Uniform({ low: -bound, high: bound }),
    })
    if (frozen) parameter.stopGradient = true
    return parameter
  }

  /** The projection of an LSTM's output, if it has one. */
  protected get projection(): Parameter | null {
    return null
  }

  /** Inputs, states and weights in one dtype. */
  #operands(x: Tensor, states: readonly Tensor[]): { x: Node; states: Node[]; weights: CellWeights } {
    const op = this.constructor.name
    checkFloat(x, op, 'inputs')
    const parameters = [this.weight_ih, this.weight_hh, this.bias_ih, this.bias_hh]
    if (this.projection) parameters.push(this.projection)
    const nodes = [x, ...states, ...parameters].map((t) => t.node)
    const [input, ...rest] = recurrentOperands(nodes, op)
    const [weightIh, weightHh, biasIh, biasHh, weightHo] = rest.slice(states.length)
    return {
      x: input!,
      states: rest.slice(0, states.length),
      weights: { weightIh: weightIh!, weightHh: weightHh!, biasIh: biasIh!, biasHh: biasHh!, weightHo },
    }
  }

  /** The next states, the output first. */
  protected step(x: Tensor, states: States | null | undefined): Tensor[] {
    const op = this.constructor.name
    if (x.ndim !== 2) throw new ShapeError(`${op}: inputs must be [B, ${this.inputSize}], got ${formatShape(x.shape)}`)
    const given = this.checkedStates(states ?? this.getInitialStates(x), x.shape[0]!)
    const { x: input, states: before, weights } = this.#operands(x, given)
    return cellStep(this.#kind, input, before, weights, op).map((n) => new Tensor(n))
  }

  /** A whole sequence in one loop: outputs [T, B, output] as a node, and the last states. */
  sequence(
    x: Tensor,
    states: readonly Tensor[],
    options: RecurrenceOptions,
  ): { readonly output: Node; readonly states: Tensor[] } {
    const { x: input, states: initial, weights } = this.#operands(x, states)
    const result = recurrence(this.#kind, input, initial, weights, options, this.constructor.name)
    return { output: result.output, states: result.states.map((n) => new Tensor(n)) }
  }

  /** The tensors of given states; throws unless they have the cell's shapes. */
  checkedStates(states: States, batch: number): Tensor[] {
    const given = flattenStates(states)
    const expected = isSizes(this.stateShape) ? [this.stateShape] : (this.stateShape as readonly (readonly number[])[])
    const wanted = expected.map((s) => [batch, ...s])
    if (given.length !== wanted.length || given.some((g, i) => !sameShape(g.shape, wanted[i]!)))
      throw new ShapeError(
        `${this.constructor.name}: states must be ${wanted.map(formatShape).join(' and ')}, got ${given.map((g) => formatShape(g.shape)).join(' and ')}`,
      )
    return given
  }

  override extraRepr(): string {
    return `${this.inputSize}, ${this.hiddenSize}`
  }
}

/** Activations of an Elman cell. */
export type RNNActivation = 'tanh' | 'relu'

export function checkActivation(activation: string, layer: string): asserts activation is RNNActivation {
  if (activation !== 'tanh' && activation !== 'relu')
    throw new ArgumentError(`${layer}: activation must be 'tanh' or 'relu', got '${activation}'`)
}

/** h' = act(x W_ih^T + b_ih + h W_hh^T + b_hh), `paddle.nn.SimpleRNNCell`. */
export class SimpleRNNCell extends GatedCell {
  readonly activation: RNNActivation

  constructor(
    inputSize: number,
    hiddenSize: number,
    options: CellAttributes & { readonly activation?: RNNActivation } = {},
  ) {
    const activation = options.activation ?? 'tanh'
    checkActivation(activation, 'SimpleRNNCell')
    super(activation, inputSize, hiddenSize, options)
    this.activation = activation
  }

  get stateShape(): readonly number[] {
    return [this.hiddenSize]
  }

  /** Inputs [B, input], state [B, hidden] (zeros by default); gives the output and the new state, which are the same tensor. */
  override forward(inputs: Tensor, states?: Tensor | null): [Tensor, Tensor] {
    const [h] = this.step(inputs, states)
    return [h!, h!]
  }

  override extraRepr(): string {
    return super.extraRepr() + (this.activation === 'tanh' ? '' : `, activation=${this.activation}`)
  }
}

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates), gates in the order i, f, c, o: c' = f c + i tanh(..),
 * h' = o tanh(c'), `paddle.nn.LSTMCell`. With `projSize` the output is h' times `weight_ho` [hidden, projSize].
 */
export class LSTMCell extends GatedCell {
  readonly projSize: number
  weight_ho: Parameter | null

  constructor(inputSize: number, hiddenSize: number, options: CellAttributes & { readonly projSize?: number } = {}) {
    const projSize = options.projSize ?? 0
    if (!(projSize >= 0 && projSize < Math.max(hiddenSize, 1)))
      throw new ArgumentError(`LSTMCell: projSize must be below hiddenSize ${hiddenSize}, got ${projSize}`)
    super('lstm', inputSize, hiddenSize, options, projSize || hiddenSize)
    this.projSize = projSize
    this.weight_ho = projSize > 0 ? this.parameter([hiddenSize, projSize], options.weightHhAttr, false) : null
  }

  protected override get projection(): Parameter | null {
    return this.weight_ho
  }

  get stateShape(): readonly (readonly number[])[] {
    return [[this.projSize || this.hiddenSize], [this.hiddenSize]]
  }

  /** Inputs [B, input], states [h, c] (zeros by default); gives the output h' and [h', c']. */
  override forward(inputs: Tensor, states?: readonly [Tensor, Tensor] | null): [Tensor, [Tensor, Tensor]] {
    const [h, c] = this.step(inputs, states)
    return [h!, [h!, c!]]
  }
}

/**
 * Gated recurrent unit (Cho et al., arXiv:1406.1078), gates in the order r, z, c: c = tanh(W x + b + r (U h + b_h)), h' = z h + (1 - z) c,
 * `paddle.nn.GRUCell`.
 */
export class GRUCell extends GatedCell {
  constructor(inputSize: number, hiddenSize: number, options: CellAttributes = {}) {
    super('gru', inputSize, hiddenSize, options)
  }

  get stateShape(): readonly number[] {
    return [this.hiddenSize]
  }

  /** Inputs [B, input], state [B, hidden] (zeros by default); gives the output and the new state, which are the same tensor. */
  override forward(inputs: Tensor, states?: Tensor | null): [Tensor, Tensor] {
    const [h] = this.step(inputs, states)
    return [h!, h!]
  }
}
