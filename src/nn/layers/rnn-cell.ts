/** Recurrent cells: one step, as in paddle.nn.layer.rnn. All weights start uniform on +-1 / sqrt(hiddenSize). */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { cast, constant } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { underPolicy } from '../../tensor/autocast.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { cellRules, cellStep, type CellMode, type CellWeights } from '../functional/rnn.ts'
import { Uniform } from '../initializer/index.ts'
import { Layer } from '../layer.ts'
import type { Parameter, ParamAttrLike } from '../parameter.ts'
import { checkSizes } from './options.ts'

export interface CellOptions {
  readonly weightIhAttr?: ParamAttrLike
  readonly weightHhAttr?: ParamAttrLike
  /** `false`: no bias. */
  readonly biasIhAttr?: ParamAttrLike | false
  readonly biasHhAttr?: ParamAttrLike | false
}

export interface SimpleRNNCellOptions extends CellOptions {
  /** Default `'tanh'`. */
  readonly activation?: 'tanh' | 'relu'
}

/** States of a cell: one tensor [batch, hidden], or several. */
export type CellStates = Tensor | readonly Tensor[]

/** Base of cells; `RNN` runs any of them. A cell of your own gives its state shapes and a `forward(inputs, states)` that returns [output, states]. */
export abstract class RNNCellBase<S extends CellStates = CellStates> extends Layer {
  /** Shapes of the states without the batch axis. */
  abstract readonly stateShapes: readonly (readonly number[])[]

  abstract override forward(inputs: Tensor, states?: S | null): [output: Tensor, states: S]

  /** States of zeros for the batch of `batchReference` (whose axis `batchAxis` counts samples). */
  getInitialStates(batchReference: Tensor, batchAxis = 0): S {
    const batch = batchReference.shape[batchAxis]!
    const states = this.stateShapes.map((s) => new Tensor(constant(0, this.stateDtype(batchReference), [batch, ...s])))
    return (states.length === 1 ? states[0] : states) as S
  }

  /** The dtype of states made here. */
  protected stateDtype(batchReference: Tensor): Tensor['dtype'] {
    return this.parameters()[0]?.dtype ?? batchReference.dtype
  }
}

/** A cell of this library: equations by mode. */
export abstract class BuiltInCell<S extends CellStates = CellStates> extends RNNCellBase<S> {
  readonly inputSize: number
  readonly hiddenSize: number
  readonly mode: CellMode
  weight_ih: Parameter
  weight_hh: Parameter
  bias_ih: Parameter | null
  bias_hh: Parameter | null

  protected constructor(mode: CellMode, inputSize: number, hiddenSize: number, options: CellOptions) {
    super()
    checkSizes(this.constructor.name, { inputSize, hiddenSize })
    this.inputSize = inputSize
    this.hiddenSize = hiddenSize
    this.mode = mode
    const rows = cellRules[mode].gates * hiddenSize
    const bound = 1 / Math.sqrt(hiddenSize)
    const defaultInitializer = new Uniform({ low: -bound, high: bound })
    const bias = (attr: ParamAttrLike | false): Parameter | null =>
      this.createParameter({ shape: [rows], attr, isBias: true, defaultInitializer })
    this.weight_ih = this.createParameter({ shape: [rows, inputSize], attr: options.weightIhAttr, defaultInitializer })
    this.weight_hh = this.createParameter({ shape: [rows, hiddenSize], attr: options.weightHhAttr, defaultInitializer })
    this.bias_ih = bias(options.biasIhAttr)
    this.bias_hh = bias(options.biasHhAttr)
  }

  get stateShapes(): readonly (readonly number[])[] {
    return cellRules[this.mode].states === 2 ? [[this.hiddenSize], [this.hiddenSize]] : [[this.hiddenSize]]
  }

  /** Input, states and weights under mixed precision, of one dtype. */
  operands(x: Tensor, states: readonly Tensor[]): { x: Node; states: Node[]; weights: CellWeights } {
    const wanted = [x, this.weight_ih, this.weight_hh].map((t) => t.node)
    const [input, weightIh, weightHh] = underPolicy(this.mode === 'LSTM' ? 'lstm' : 'rnn', wanted)
    const { dtype } = weightIh!
    const to = (n: Node): Node => cast(n, dtype)
    for (const s of states) {
      if (s.ndim !== 2 || s.shape[1] !== this.hiddenSize)
        throw new ShapeError(
          `${this.constructor.name}: states must be [batch, ${this.hiddenSize}], got ${formatShape(s.shape)}`,
        )
    }
    return {
      x: to(input!),
      states: states.map((s) => to(s.node)),
      weights: {
        weightIh: weightIh!,
        weightHh: to(weightHh!),
        biasIh: this.bias_ih && to(this.bias_ih.node),
        biasHh: this.bias_hh && to(this.bias_hh.node),
      },
    }
  }

  forward(inputs: Tensor, states?: S | null): [output: Tensor, states: S] {
    if (inputs.ndim !== 2)
      throw new ShapeError(
        `${this.constructor.name}: the input must be [batch, features], got ${formatShape(inputs.shape)}`,
      )
    const given = stateList(states ?? this.getInitialStates(inputs))
    if (given.length !== this.stateShapes.length)
      throw new ArgumentError(`${this.constructor.name}: needs ${this.stateShapes.length} states, got ${given.length}`)
    const o = this.operands(inputs, given)
    const next = cellStep(this.mode, o.x, o.states, o.weights).map((n) => new Tensor(n))
    return [next[0]!, (next.length === 1 ? next[0] : next) as S]
  }

  override extraRepr(): string {
    return `${this.inputSize}, ${this.hiddenSize}`
  }
}

/** States as a list. */
export function stateList(states: CellStates): readonly Tensor[] {
  return states instanceof Tensor ? [states] : states
}

/** h' = tanh(W_ih x + b_ih + W_hh h + b_hh), `paddle.nn.SimpleRNNCell`. @example const [y, h] = cell(x, h0) */
export class SimpleRNNCell extends BuiltInCell<Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: SimpleRNNCellOptions = {}) {
    super(simpleMode(options.activation), inputSize, hiddenSize, options)
  }
}

export function simpleMode(activation = 'tanh'): CellMode {
  if (activation !== 'tanh' && activation !== 'relu')
    throw new ArgumentError(`SimpleRNN: activation must be tanh or relu, got '${activation}'`)
  return activation === 'tanh' ? 'RNN_TANH' : 'RNN_RELU'
}

/** Long short-term memory with gates i, f, c, o; states are (hidden, cell), `paddle.nn.LSTMCell`. @example const [y, [h, c]] = cell(x) */
export class LSTMCell extends BuiltInCell<readonly [Tensor, Tensor]> {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    super('LSTM', inputSize, hiddenSize, options)
  }
}

/** Gated recurrent unit with gates r, z, c, `paddle.nn.GRUCell`. The reset gate acts on the recurrent product. */
export class GRUCell extends BuiltInCell<Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    super('GRU', inputSize, hiddenSize, options)
  }
}
