/** Recurrent layers over time, as in paddle.nn.layer.rnn: wrappers of a cell, and SimpleRNN, LSTM and GRU of several layers. */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { permute, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { concat, stack, unbind } from '../../tensor/manipulation.ts'
import { constantLike } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { NamedEntries } from '../container.ts'
import { dropout } from '../functional/dropout.ts'
import { recurrence, stepMask } from '../functional/rnn.ts'
import { Layer } from '../layer.ts'
import { checkSizes } from './options.ts'
import {
  BuiltInCell,
  GRUCell,
  LSTMCell,
  SimpleRNNCell,
  stateList,
  type CellOptions,
  type CellStates,
  type RNNCellBase,
} from './rnn-cell.ts'

/** What a pass over time needs beside the cell. */
interface Pass {
  readonly reverse: boolean
  /** [time, batch], or null where all sequences are whole. */
  readonly mask: Node | null
}

/** A cell over x [time, batch, features]. */
function run<S extends CellStates>(
  cell: RNNCellBase<S>,
  x: Tensor,
  initial: S | null | undefined,
  pass: Pass,
): [Tensor, S] {
  const states = initial ?? cell.getInitialStates(x, 1)
  if (!(cell instanceof BuiltInCell)) return unrolled(cell, x, states, pass)
  const o = cell.operands(x, stateList(states))
  const { outputs, states: finals } = recurrence(cell.mode, o.x, o.states, o.weights, pass)
  const list = finals.map((n) => new Tensor(n))
  return [new Tensor(outputs), (list.length === 1 ? list[0] : list) as unknown as S]
}

/** A user's own cell, step by step: it may draw random numbers or have hooks, so its steps are not one loop body. */
function unrolled<S extends CellStates>(
  cell: RNNCellBase<S>,
  x: Tensor,
  initial: S,
  { reverse, mask }: Pass,
): [Tensor, S] {
  const slices = unbind(x, 0)
  const valid = mask ? unbind(new Tensor(mask), 0) : null
  const outputs = new Array<Tensor>(slices.length)
  let states = initial
  for (let k = 0; k < slices.length; k++) {
    const t = reverse ? slices.length - 1 - k : k
    const [output, next] = (cell as unknown as (x: Tensor, s: S) => [Tensor, S])(slices[t]!, states)
    const here = valid?.[t]?.node
    outputs[t] = here ? new Tensor(choose(here, output.node, constantLike(output.node, 0))) : output
    if (!here) states = next
    else {
      const before = stateList(states)
      const after = stateList(next).map((n, i) => new Tensor(choose(here, n.node, before[i]!.node)))
      states = (next instanceof Tensor ? after[0] : after) as S
    }
  }
  return [stack(outputs, 0), states]
}

/** `a` for the samples where `valid` [batch] is true, `b` for the others. */
function choose(valid: Node, a: Node, b: Node): Node {
  const others = a.shape.map((_, i) => i).slice(1)
  return where(spread(valid, a.shape, others), a, b)
}

/** [batch, time, ..] and [time, batch, ..] into each other. */
function swapTime(x: Tensor): Tensor {
  return new Tensor(permute(x.node, [1, 0, ...x.shape.map((_, i) => i).slice(2)]))
}

function maskFor(x: Tensor, sequenceLength: Tensor | null | undefined, name: string): Node | null {
  if (!sequenceLength) return null
  if (sequenceLength.ndim !== 1 || sequenceLength.shape[0] !== x.shape[1])
    throw new ShapeError(
      `${name}: sequenceLength must be [${x.shape[1]}], one a sample, got ${formatShape(sequenceLength.shape)}`,
    )
  return stepMask(sequenceLength.node, x.shape[0]!)
}

function timeFirst(x: Tensor, timeMajor: boolean, name: string): Tensor {
  if (x.ndim !== 3)
    throw new ShapeError(
      `${name}: the input must be ${timeMajor ? '[time, batch, features]' : '[batch, time, features]'}, got ${formatShape(x.shape)}`,
    )
  return timeMajor ? x : swapTime(x)
}

export interface RNNOptions {
  /** Inputs and outputs are [time, batch, features] instead of [batch, time, features]. Default false. */
  readonly timeMajor?: boolean
}

/** Runs a cell over time, `paddle.nn.RNN`; `isReverse` (default false) from the last step to the first. */
export class RNN<S extends CellStates = CellStates> extends Layer {
  cell: RNNCellBase<S>
  readonly isReverse: boolean
  readonly timeMajor: boolean

  constructor(cell: RNNCellBase<S>, options: RNNOptions & { readonly isReverse?: boolean } = {}) {
    super()
    this.cell = cell
    this.isReverse = options.isReverse ?? false
    this.timeMajor = options.timeMajor ?? false
  }

  forward(inputs: Tensor, initialStates?: S | null, sequenceLength?: Tensor | null): [outputs: Tensor, finalStates: S] {
    const x = timeFirst(inputs, this.timeMajor, 'RNN')
    const pass = { reverse: this.isReverse, mask: maskFor(x, sequenceLength, 'RNN') }
    const [outputs, states] = run(this.cell, x, initialStates, pass)
    return [this.timeMajor ? outputs : swapTime(outputs), states]
  }
}

/** Runs one cell forwards and one backwards, and joins their outputs along the features, `paddle.nn.BiRNN`. */
export class BiRNN<S extends CellStates = CellStates> extends Layer {
  cell_fw: RNNCellBase<S>
  cell_bw: RNNCellBase<S>
  readonly timeMajor: boolean

  constructor(cellForward: RNNCellBase<S>, cellBackward: RNNCellBase<S>, options: RNNOptions = {}) {
    super()
    this.cell_fw = cellForward
    this.cell_bw = cellBackward
    this.timeMajor = options.timeMajor ?? false
  }

  forward(
    inputs: Tensor,
    initialStates?: readonly [S, S] | null,
    sequenceLength?: Tensor | null,
  ): [outputs: Tensor, finalStates: [S, S]] {
    const x = timeFirst(inputs, this.timeMajor, 'BiRNN')
    const mask = maskFor(x, sequenceLength, 'BiRNN')
    const [forwards, forwardStates] = run(this.cell_fw, x, initialStates?.[0], { reverse: false, mask })
    const [backwards, backwardStates] = run(this.cell_bw, x, initialStates?.[1], { reverse: true, mask })
    const outputs = concat([forwards, backwards], 2)
    return [this.timeMajor ? outputs : swapTime(outputs), [forwardStates, backwardStates]]
  }
}

export interface RecurrentOptions extends CellOptions, RNNOptions {
  /** Layers on top of each other. Default 1. */
  readonly numLayers?: number
  /** Default `'forward'`; `'bidirect'` and `'bidirectional'` run both ways. */
  readonly direction?: 'forward' | 'bidirect' | 'bidirectional'
  /** Probability of dropping elements between layers while training. Default 0. */
  readonly dropout?: number
}

/**
 * Several layers of cells. Parameters stand under Paddle's two names: flat (`weight_ih_l0_reverse`) and by the cell that holds them
 * (`0.cell_bw.weight_ih`).
 */
abstract class RecurrentLayer<S extends CellStates> extends NamedEntries<RNN<S> | BiRNN<S>> {
  readonly inputSize: number
  readonly hiddenSize: number
  readonly numLayers: number
  readonly direction: string
  readonly numDirections: 1 | 2
  readonly timeMajor: boolean
  readonly dropout: number
  /** Number of state tensors. */
  readonly #states: number

  protected constructor(
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions,
    makeCell: (inputs: number) => BuiltInCell<S>,
  ) {
    super()
    const name = this.constructor.name
    const { numLayers = 1, direction = 'forward', dropout: p = 0, timeMajor = false } = options
    checkSizes(name, { inputSize, hiddenSize, numLayers })
    if (!['forward', 'bidirect', 'bidirectional'].includes(direction))
      throw new ArgumentError(`${name}: direction must be forward, bidirect or bidirectional, got '${direction}'`)
    if (!(p >= 0 && p <= 1)) throw new ArgumentError(`${name}: dropout must lie in [0, 1], got ${p}`)
    this.inputSize = inputSize
    this.hiddenSize = hiddenSize
    this.numLayers = numLayers
    this.direction = direction
    this.numDirections = direction === 'forward' ? 1 : 2
    this.timeMajor = timeMajor
    this.dropout = p
    let states = 1
    for (let l = 0; l < numLayers; l++) {
      const inputs = l === 0 ? inputSize : hiddenSize * this.numDirections
      const cells = Array.from({ length: this.numDirections }, () => makeCell(inputs))
      states = cells[0]!.stateShapes.length
      const [forwards, backwards] = cells
      this.entriesByName.set(
        String(l),
        backwards ? new BiRNN<S>(forwards!, backwards, { timeMajor }) : new RNN<S>(forwards!, { timeMajor }),
      )
      cells.forEach((cell, d) => this.#nameFlat(cell, `_l${l}${d === 0 ? '' : '_reverse'}`))
    }
    this.#states = states
  }

  #nameFlat(cell: BuiltInCell<S>, suffix: string): void {
    for (const name of ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'] as const) {
      const parameter = cell[name]
      if (parameter) this.addParameter(name + suffix, parameter)
    }
  }

  /** Cells of a layer: the one forwards, and the one backwards where there is one. */
  #cells(layer: RNN<S> | BiRNN<S>): RNNCellBase<S>[] {
    return layer instanceof BiRNN ? [layer.cell_fw, layer.cell_bw] : [layer.cell]
  }

  /** The states [layers * directions, batch, hidden] as those of each cell. */
  #split(states: S): S[] {
    const list = stateList(states)
    const count = this.numLayers * this.numDirections
    if (list.length !== this.#states)
      throw new ArgumentError(`${this.constructor.name}: needs ${this.#states} state tensors, got ${list.length}`)
    for (const s of list) {
      if (s.ndim !== 3 || s.shape[0] !== count || s.shape[2] !== this.hiddenSize)
        throw new ShapeError(
          `${this.constructor.name}: states must be [${count}, batch, ${this.hiddenSize}] (layers * directions first), got ${formatShape(s.shape)}`,
        )
    }
    const parts = list.map((s) => unbind(s, 0))
    return Array.from({ length: count }, (_, i) => {
      const own = parts.map((p) => p[i]!)
      return (own.length === 1 ? own[0] : own) as unknown as S
    })
  }

  /** The states of all cells as [layers * directions, batch, hidden]. */
  #join(states: readonly S[]): S {
    const joined = Array.from({ length: this.#states }, (_, k) =>
      stack(
        states.map((s) => stateList(s)[k]!),
        0,
      ),
    )
    return (joined.length === 1 ? joined[0] : joined) as unknown as S
  }

  forward(inputs: Tensor, initialStates?: S | null, sequenceLength?: Tensor | null): [outputs: Tensor, finalStates: S] {
    let x = timeFirst(inputs, this.timeMajor, this.constructor.name)
    const mask = maskFor(x, sequenceLength, this.constructor.name)
    const given = initialStates ? this.#split(initialStates) : null
    const finals: S[] = []
    let l = 0
    for (const layer of this) {
      if (l++ > 0 && this.dropout > 0) x = dropout(x, this.dropout, { training: this.training })
      const outputs: Tensor[] = []
      this.#cells(layer).forEach((cell, d) => {
        const [y, states] = run(cell, x, given?.[finals.length], { reverse: d === 1, mask })
        outputs.push(y)
        finals.push(states)
      })
      x = outputs.length === 1 ? outputs[0]! : concat(outputs, 2)
    }
    return [this.timeMajor ? x : swapTime(x), this.#join(finals)]
  }

  override extraRepr(): string {
    const parts = [`${this.inputSize}, ${this.hiddenSize}`]
    if (this.numLayers > 1) parts.push(`num_layers=${this.numLayers}`)
    if (this.direction !== 'forward') parts.push(`direction=${this.direction}`)
    if (this.timeMajor) parts.push('time_major=true')
    if (this.dropout > 0) parts.push(`dropout=${this.dropout}`)
    return parts.join(', ')
  }
}

export interface SimpleRNNOptions extends RecurrentOptions {
  /** Default `'tanh'`. */
  readonly activation?: 'tanh' | 'relu'
}

/** The Elman network over time, `paddle.nn.SimpleRNN`: outputs [batch, time, directions * hidden], states [layers * directions, batch, hidden]. */
export class SimpleRNN extends RecurrentLayer<Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: SimpleRNNOptions = {}) {
    super(inputSize, hiddenSize, options, (inputs) => new SimpleRNNCell(inputs, hiddenSize, options))
  }
}

/**
 * Long short-term memory over time, `paddle.nn.LSTM`.
 * @example const [y, [h, c]] = new nn.LSTM(64, 128, { numLayers: 2, direction: 'bidirect' })(x) // y: [batch, time, 256]
 */
export class LSTM extends RecurrentLayer<readonly [Tensor, Tensor]> {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, options, (inputs) => new LSTMCell(inputs, hiddenSize, options))
  }
}

/** Gated recurrent units over time, `paddle.nn.GRU`. */
export class GRU extends RecurrentLayer<Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, options, (inputs) => new GRUCell(inputs, hiddenSize, options))
  }
}
