/** Recurrent layers over whole sequences: RNN and BiRNN around cells, and SimpleRNN, LSTM, GRU, as in paddle.nn.layer.rnn. */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, sameShape } from '../../common/shape.ts'
import { binary, broadcastTo, cast, iota, permute, reshape } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { zeros } from '../../tensor/creation.ts'
import { concatNodes, stack, unstack } from '../../tensor/manipulation.ts'
import { checkFloat, checkInteger } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { noteOperator } from '../../tensor/tracer.ts'
import { dropout as dropElements } from '../functional/dropout.ts'
import { runLoop, type LoopOptions } from '../../tensor/loop.ts'
import { Layer } from '../layer.ts'
import {
  checkActivation,
  flattenStates,
  GatedCell,
  GRUCell,
  LSTMCell,
  nestStates,
  SimpleRNNCell,
  type CellAttributes,
  type RNNActivation,
  type RNNCellBase,
  type States,
} from './rnn-cell.ts'

/** True at the steps that sequences of these lengths have: [T, B]. */
function validSteps(lengths: Tensor, time: number, batch: number, op: string): Node {
  checkInteger(lengths, op, 'sequenceLength')
  if (!sameShape(lengths.shape, [batch]))
    throw new ShapeError(`${op}: sequenceLength must be [${batch}], one a sequence, got ${formatShape(lengths.shape)}`)
  const shape = [time, batch]
  return binary('lt', iota(shape, 0, 'int64'), broadcastTo(cast(lengths.node, 'int64'), shape))
}

/** Sizes of a sequence's axes; throws unless there is a time and a batch axis. */
function timeAndBatch(x: Tensor, timeMajor: boolean, op: string): [number, number] {
  checkFloat(x, op, 'inputs')
  if (x.ndim < 3)
    throw new ShapeError(
      `${op}: inputs must be ${timeMajor ? '[T, B, ..]' : '[B, T, ..]'}, got ${formatShape(x.shape)}`,
    )
  return timeMajor ? [x.shape[0]!, x.shape[1]!] : [x.shape[1]!, x.shape[0]!]
}

/** Time and batch exchanged unless time stands first anyway. */
function swapTime(x: Node, timeMajor: boolean): Node {
  return timeMajor ? x : permute(x, [1, 0, ...x.shape.slice(2).map((_, i) => i + 2)])
}

/** A cell over a sequence: outputs [T, B, ..] as a node, and the last states as flat tensors. */
function runCell(
  cell: RNNCellBase,
  x: Tensor,
  states: States,
  options: LoopOptions & { readonly timeMajor: boolean },
): { readonly output: Node; readonly states: Tensor[] } {
  const { timeMajor } = options
  if (cell instanceof GatedCell) {
    const batch = x.shape[timeMajor ? 1 : 0]!
    if (x.ndim !== 3)
      throw new ShapeError(`${cell.constructor.name}: inputs must have 3 axes, got ${formatShape(x.shape)}`)
    return cell.sequence(x, cell.checkedStates(states, batch), options)
  }
  const initial = flattenStates(states)
  const result = runLoop(
    (carried, [slice]) => {
      const before = nestStates(
        states,
        carried.map((n) => new Tensor(n)),
      )
      const [output, after] = cell(new Tensor(slice!), before as never)
      return { states: flattenStates(after).map((t) => t.node), outputs: [output.node] }
    },
    initial.map((t) => t.node),
    [swapTime(x.node, timeMajor)],
    options,
  )
  return { output: result.outputs[0]!, states: result.states.map((n) => new Tensor(n)) }
}

export interface RNNOptions {
  /** From the last step to the first. Default false. */
  readonly isReverse?: boolean
  /** Inputs and outputs are [T, B, ..] instead of [B, T, ..]. Default false. */
  readonly timeMajor?: boolean
}

/**
 * Runs any cell over a sequence, `paddle.nn.RNN`. The cell is recorded once and becomes a loop, so its `forward` must not look at values, and a
 * random draw in it is the same at every step.
 */
export class RNN extends Layer {
  cell: RNNCellBase
  readonly isReverse: boolean
  readonly timeMajor: boolean

  constructor(cell: RNNCellBase, options: RNNOptions = {}) {
    super()
    this.cell = cell
    this.isReverse = options.isReverse ?? false
    this.timeMajor = options.timeMajor ?? false
  }

  /**
   * Inputs [B, T, ..] ([T, B, ..] for `timeMajor`), states of the cell (zeros by default), lengths [B]: past its length a sequence keeps
   * its states. Gives the outputs and the last states.
   */
  override forward(inputs: Tensor, initialStates?: States | null, sequenceLength?: Tensor | null): [Tensor, States] {
    const [time, batch] = timeAndBatch(inputs, this.timeMajor, 'RNN')
    const states = initialStates ?? this.cell.getInitialStates(inputs, { batchDimIdx: this.timeMajor ? 1 : 0 })
    const mask = sequenceLength ? validSteps(sequenceLength, time, batch, 'RNN') : null
    const result = runCell(this.cell, inputs, states, { reverse: this.isReverse, timeMajor: this.timeMajor, mask })
    return [new Tensor(swapTime(result.output, this.timeMajor)), nestStates(states, result.states)]
  }
}

/** Two cells over a sequence, the second from its end; outputs are joined, `paddle.nn.BiRNN`. */
export class BiRNN extends Layer {
  cell_fw: RNNCellBase
  cell_bw: RNNCellBase
  readonly timeMajor: boolean

  constructor(cellFw: RNNCellBase, cellBw: RNNCellBase, options: Pick<RNNOptions, 'timeMajor'> = {}) {
    super()
    this.cell_fw = cellFw
    this.cell_bw = cellBw
    this.timeMajor = options.timeMajor ?? false
  }

  /** As `RNN.forward`, with states of both cells: [forward, backward]. */
  override forward(
    inputs: Tensor,
    initialStates?: readonly [States, States] | null,
    sequenceLength?: Tensor | null,
  ): [Tensor, [States, States]] {
    const { timeMajor } = this
    const [time, batch] = timeAndBatch(inputs, timeMajor, 'BiRNN')
    const mask = sequenceLength ? validSteps(sequenceLength, time, batch, 'BiRNN') : null
    const run = (cell: RNNCellBase, given: States | undefined, reverse: boolean): { output: Node; states: States } => {
      const states = given ?? cell.getInitialStates(inputs, { batchDimIdx: timeMajor ? 1 : 0 })
      const result = runCell(cell, inputs, states, { reverse, timeMajor, mask })
      return { output: result.output, states: nestStates(states, result.states) }
    }
    const forward = run(this.cell_fw, initialStates?.[0], false)
    const backward = run(this.cell_bw, initialStates?.[1], true)
    const joined = concatNodes([forward.output, backward.output], forward.output.shape.length - 1)
    return [new Tensor(swapTime(joined, timeMajor)), [forward.states, backward.states]]
  }
}

export type Direction = 'forward' | 'bidirect' | 'bidirectional'

export interface RecurrentOptions extends CellAttributes {
  /** Default 1. */
  readonly numLayers?: number
  /** Default `'forward'`; `'bidirect'` and `'bidirectional'` are the same. */
  readonly direction?: Direction
  /** Inputs and outputs are [T, B, ..] instead of [B, T, ..]. Default false. */
  readonly timeMajor?: boolean
  /** Between layers, while training. Default 0. */
  readonly dropout?: number
}

/**
 * What SimpleRNN, LSTM and GRU share: layers of cells, in one or both directions. Every parameter stands twice in the state dictionary, as in
 * Paddle: flat (`weight_ih_l0`, `weight_hh_l1_reverse`) and by cell (`0.cell.weight_ih`, `1.cell_bw.weight_hh`).
 */
export abstract class RNNBase extends Layer {
  readonly inputSize: number
  readonly hiddenSize: number
  readonly numLayers: number
  readonly timeMajor: boolean
  readonly dropout: number
  readonly bidirectional: boolean
  readonly #cells: GatedCell[][]

  protected constructor(
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions,
    makeCell: (inputSize: number) => GatedCell,
    outputSize = hiddenSize,
  ) {
    super()
    const { numLayers = 1, direction = 'forward', timeMajor = false, dropout = 0 } = options
    const name = this.constructor.name
    if (!['forward', 'bidirect', 'bidirectional'].includes(direction))
      throw new ArgumentError(`${name}: direction must be 'forward', 'bidirect' or 'bidirectional', got '${direction}'`)
    if (!Number.isInteger(numLayers) || numLayers < 1)
      throw new ArgumentError(`${name}: numLayers must be a positive integer, got ${numLayers}`)
    if (!(dropout >= 0 && dropout <= 1)) throw new ArgumentError(`${name}: dropout must lie in [0, 1], got ${dropout}`)
    this.inputSize = inputSize
    this.hiddenSize = hiddenSize
    this.numLayers = numLayers
    this.timeMajor = timeMajor
    this.dropout = dropout
    this.bidirectional = direction !== 'forward'
    const directions = this.bidirectional ? 2 : 1
    this.#cells = Array.from({ length: numLayers }, (_, l) =>
      Array.from({ length: directions }, () => makeCell(l === 0 ? inputSize : directions * outputSize)),
    )
    this.#cells.forEach((cells, l) => {
      const [forward, backward] = cells as [GatedCell, GatedCell?]
      this.addSublayer(
        String(l),
        backward ? new BiRNN(forward, backward, { timeMajor }) : new RNN(forward, { timeMajor }),
      )
      cells.forEach((cell, d) => {
        for (const part of ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'] as const)
          this.addParameter(`${part}_l${l}${d === 1 ? '_reverse' : ''}`, cell[part])
      })
    })
  }

  /** The last axis of each state. */
  protected abstract get stateSizes(): readonly number[]
  /** What programs call its cells: LSTM, GRU, RNN_TANH, RNN_RELU. */
  protected abstract get mode(): string

  /** All layers and directions: outputs, and each state stacked over layers and directions. */
  protected run(x: Tensor, initial: readonly Tensor[] | null, sequenceLength: Tensor | null): [Tensor, Tensor[]] {
    const op = this.constructor.name
    const [time, batch] = timeAndBatch(x, this.timeMajor, op)
    const rows = this.#cells.length * this.#cells[0]!.length
    const wanted = this.stateSizes.map((size) => [rows, batch, size])
    if (initial && (initial.length !== wanted.length || initial.some((s, i) => !sameShape(s.shape, wanted[i]!))))
      throw new ShapeError(
        `${op}: initial states must be ${wanted.map(formatShape).join(' and ')} (layers x directions, batch, size), got ${initial.map((s) => formatShape(s.shape)).join(' and ')}`,
      )
    const apart = initial?.map((s) => unstack(s, 0))
    const mask = sequenceLength ? validSteps(sequenceLength, time, batch, op) : null
    const last: Tensor[][] = wanted.map(() => [])
    let input = x
    let { timeMajor } = this
    this.#cells.forEach((cells, l) => {
      if (l > 0) input = dropElements(input, this.dropout, { training: this.training })
      const outputs = cells.map((cell, d) => {
        const row = l * cells.length + d
        const states = wanted.map((s, i) => apart?.[i]![row] ?? zeros([batch, s[2]!], x.dtype))
        const result = cell.sequence(input, states, { reverse: d === 1, timeMajor, mask, zeroPadding: true })
        result.states.forEach((s, i) => last[i]!.push(s))
        return result.output
      })
      // From here on time stands first.
      input = new Tensor(concatNodes(outputs, 2))
      timeMajor = true
    })
    const states = last.map((s) => stackRows(s))
    if (sameShape(wanted[0]!, wanted.at(-1)!)) this.#note(x, initial, sequenceLength, input, states)
    return [new Tensor(swapTime(input.node, this.timeMajor)), states]
  }

  /** All layers are one operator, over inputs in which time stands first. */
  #note(
    x: Tensor,
    initial: readonly Tensor[] | null,
    lengths: Tensor | null,
    out: Tensor,
    state: readonly Tensor[],
  ): void {
    const cells = this.#cells.flat()
    const weights = cells.flatMap((c) => [c.weight_ih, c.weight_hh])
    const biases = cells.flatMap((c) => [c.bias_ih, c.bias_hh])
    if ([...weights, ...biases].some((w) => !w)) return
    noteOperator(
      'rnn',
      () => ({ out, state }),
      () => ({
        inputs: {
          x: new Tensor(swapTime(x.node, this.timeMajor)),
          pre_state: initial ?? state.map((s) => zeros(s.shape, s.dtype)),
          weight_list: [...weights, ...biases] as Tensor[],
          sequence_length: lengths,
        },
        attributes: {
          dropout_prob: this.dropout,
          is_bidirec: this.bidirectional,
          input_size: this.inputSize,
          hidden_size: this.hiddenSize,
          num_layers: this.numLayers,
          mode: this.mode,
          seed: 0,
          is_test: !this.training,
        },
      }),
    )
  }

  override extraRepr(): string {
    const { inputSize, hiddenSize, numLayers, timeMajor, dropout } = this
    return (
      `${inputSize}, ${hiddenSize}` +
      (numLayers === 1 ? '' : `, num_layers=${numLayers}`) +
      (timeMajor ? ', time_major=true' : '') +
      (dropout === 0 ? '' : `, dropout=${dropout}`)
    )
  }
}

/** [B, H] tensors as [n, B, H]. */
function stackRows(rows: readonly Tensor[]): Tensor {
  const [only] = rows
  return rows.length === 1 ? new Tensor(reshape(only!.node, [1, ...only!.shape])) : stack(rows, 0)
}

/** Elman networks, `paddle.nn.SimpleRNN`: h' = act(x W_ih^T + b_ih + h W_hh^T + b_hh). */
export class SimpleRNN extends RNNBase {
  readonly activation: RNNActivation

  constructor(
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions & { readonly activation?: RNNActivation } = {},
  ) {
    checkActivation(options.activation ?? 'tanh', 'SimpleRNN')
    super(inputSize, hiddenSize, options, (size) => new SimpleRNNCell(size, hiddenSize, options))
    this.activation = options.activation ?? 'tanh'
  }

  protected get mode(): string {
    return `RNN_${this.activation.toUpperCase()}`
  }

  protected get stateSizes(): readonly number[] {
    return [this.hiddenSize]
  }

  /**
   * Inputs [B, T, input] ([T, B, input] for `timeMajor`), state [layers * directions, B, hidden] (zeros by default), lengths [B]: outputs past
   * the length are 0 and the state returned is that of the last valid step. Gives outputs [B, T, hidden * directions] and the state.
   */
  override forward(inputs: Tensor, initialStates?: Tensor | null, sequenceLength?: Tensor | null): [Tensor, Tensor] {
    const [output, states] = this.run(inputs, initialStates ? [initialStates] : null, sequenceLength ?? null)
    return [output, states[0]!]
  }
}

/** Long short-term memory, `paddle.nn.LSTM`; see LSTMCell for the equations. */
export class LSTM extends RNNBase {
  readonly projSize: number

  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions & { readonly projSize?: number } = {}) {
    const projSize = options.projSize ?? 0
    super(inputSize, hiddenSize, options, (size) => new LSTMCell(size, hiddenSize, options), projSize || hiddenSize)
    this.projSize = projSize
  }

  protected get mode(): string {
    return 'LSTM'
  }

  protected get stateSizes(): readonly number[] {
    return [this.projSize || this.hiddenSize, this.hiddenSize]
  }

  /**
   * Inputs [B, T, input] ([T, B, input] for `timeMajor`), states [h, c], each [layers * directions, B, hidden] (zeros by default), lengths
   * [B]: outputs past the length are 0 and the states returned are those of the last valid step. Gives outputs
   * [B, T, hidden * directions] and [h, c].
   */
  override forward(
    inputs: Tensor,
    initialStates?: readonly [Tensor, Tensor] | null,
    sequenceLength?: Tensor | null,
  ): [Tensor, [Tensor, Tensor]] {
    const [output, states] = this.run(inputs, initialStates ?? null, sequenceLength ?? null)
    return [output, [states[0]!, states[1]!]]
  }
}

/** Gated recurrent units, `paddle.nn.GRU`; see GRUCell for the equations. Arguments and results are those of SimpleRNN. */
export class GRU extends RNNBase {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, options, (size) => new GRUCell(size, hiddenSize, options))
  }

  protected get mode(): string {
    return 'GRU'
  }

  protected get stateSizes(): readonly number[] {
    return [this.hiddenSize]
  }

  /** See `SimpleRNN.forward`. */
  override forward(inputs: Tensor, initialStates?: Tensor | null, sequenceLength?: Tensor | null): [Tensor, Tensor] {
    const [output, states] = this.run(inputs, initialStates ? [initialStates] : null, sequenceLength ?? null)
    return [output, states[0]!]
  }
}
