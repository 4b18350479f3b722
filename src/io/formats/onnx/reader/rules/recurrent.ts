/** LSTM, GRU and RNN: gates are put in Paddle's order, and weights of directions become parameters of their own. Sequences read from behind. */
import { allocateHost, type HostArray } from '../../../../../common/dtype.ts'
import { FormatError } from '../../../../../common/errors.ts'
import { formatShape, sameShape, type Shape } from '../../../../../common/shape.ts'
import { isNumber } from '../../../program/inference/known.ts'
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type RuleTable } from '../rule.ts'

interface Cell {
  readonly mode: (activations: readonly string[]) => string | null
  /** Where each of Paddle's gates stands among ONNX's: i, f, c, o of i, o, f, c; r, z, c of z, r, h. */
  readonly gates: readonly number[]
  readonly states: 1 | 2
  readonly activations: readonly string[]
}

const cells: Readonly<Record<'LSTM' | 'GRU' | 'RNN', Cell>> = {
  LSTM: {
    mode: (a) => (a.join() === 'sigmoid,tanh,tanh' ? 'LSTM' : null),
    gates: [0, 2, 3, 1],
    states: 2,
    activations: ['Sigmoid', 'Tanh', 'Tanh'],
  },
  GRU: {
    mode: (a) => (a.join() === 'sigmoid,tanh' ? 'GRU' : null),
    gates: [1, 0, 2],
    states: 1,
    activations: ['Sigmoid', 'Tanh'],
  },
  RNN: {
    mode: (a) => ({ tanh: 'RNN_TANH', relu: 'RNN_RELU' })[a.join()] ?? null,
    gates: [0],
    states: 1,
    activations: ['Tanh'],
  },
}

/** Rows of one direction, gate after gate in Paddle's order, from [directions, gates * hidden, ..]; `offset` counts gates. */
function gateRows(
  array: HostArray,
  direction: number,
  gates: readonly number[],
  hidden: number,
  offset = 0,
): HostArray {
  const rowSize = array.shape.slice(2).reduce((a, b) => a * b, 1)
  const rows = array.shape[1]!
  const block = hidden * rowSize
  const data = allocateHost(array.dtype, gates.length * block)
  const start = direction * rows * rowSize
  gates.forEach((g, i) => {
    const from = start + (offset + g) * block
    data.set(array.data.subarray(from, from + block) as never, i * block)
  })
  return { dtype: array.dtype, shape: [gates.length * hidden, ...array.shape.slice(2)], data }
}

/** What the sizes say must be what the weights are: all that is made of them is as large as they. */
function checkWeight(array: HostArray, name: string, expected: Shape): void {
  if (sameShape(array.shape, expected)) return
  const [is, wanted] = [formatShape(array.shape), formatShape(expected)]
  throw new FormatError(`has ${name} of shape ${is}; its direction, hidden_size and inputs ask for ${wanted}`)
}

function modeOf(n: NodeCall, cell: Cell, directions: number): string {
  const given = n.texts('activations')
  const all = given && given.length > 0 ? given : Array.from({ length: directions }, () => cell.activations).flat()
  const each = all.length / directions
  const modes = Array.from({ length: directions }, (_, d) =>
    cell.mode(all.slice(d * each, (d + 1) * each).map((a) => a.toLowerCase())),
  )
  const [mode] = modes
  if (!mode || modes.some((m) => m !== mode)) return n.refuse(`activations ${all.join(', ')}`)
  return mode
}

/** A state that is not given is 0: [directions, batch, hidden]. */
function initialState(
  n: NodeCall,
  i: number,
  x: string,
  directions: number,
  hidden: number,
  batchFirst: boolean,
): string {
  if (n.has(i)) return batchFirst ? n.emit('transpose', { x: n.operand(i) }, { perm: [1, 0, 2] }) : n.operand(i)
  const batch = n.knownOf(x).shape?.[1]
  const dtype = n.dtype()
  if (isNumber(batch)) return n.emit('full', {}, { shape: [directions, batch, hidden], value: 0, dtype })
  const size = (v: number): string => n.number(v, 'int64', [1])
  const shape = n.emit('concat', { x: [size(directions), n.sizeOf(x, 1), size(hidden)] }, { axis: 0 })
  return n.emit('full_with_tensor', { value: n.number(0, 'float32'), shape }, { dtype })
}

/** The three gates of peepholes in Paddle's order: i, f, o of ONNX's i, o, f. */
const peepholeGates = [0, 2, 1]

/** The input [T, B, ..] the other way round in time: of sequences with lengths, each by itself. */
function backwards(n: NodeCall, x: string): string {
  if (!n.has(4)) return n.emit('flip', { x }, { axis: [0] })
  return n.emit('onnx.ReverseSequence', { x, lengths: n.operand(4) }, { time_axis: 0, batch_axis: 1 })
}

const reverseSequence: Convert = (n) => {
  const attributes = { time_axis: n.int('time_axis', 0), batch_axis: n.int('batch_axis', 1) }
  n.give('onnx.ReverseSequence', { x: n.operand(0), lengths: n.operand(1) }, attributes)
}

const recurrent = (kind: 'LSTM' | 'GRU' | 'RNN'): Convert => {
  return (n) => {
    const cell = cells[kind]
    const direction = n.text('direction', 'forward')
    if (!['forward', 'reverse', 'bidirectional'].includes(direction)) n.refuse(`direction '${direction}'`)
    const directions = direction === 'bidirectional' ? 2 : 1
    const mode = modeOf(n, cell, directions)
    if (n.node.attributes.has('clip')) n.refuse('clip')
    if (n.int('input_forget', 0) !== 0) n.refuse('input_forget')
    const [w, r, b, p] = [n.constant(1), n.constant(2), n.constant(3), n.constant(7)]
    if (!w || !r || (n.has(3) && !b) || (n.has(7) && !p)) return n.refuse('weights that are computed')
    const isResetBefore = kind === 'GRU' && n.int('linear_before_reset', 0) === 0
    const hidden = n.int('hidden_size') ?? r.shape[2]!
    const batchFirst = n.int('layout', 0) !== 0
    const isReversed = direction === 'reverse'
    const given = batchFirst ? n.emit('transpose', { x: n.operand(0) }, { perm: [1, 0, 2] }) : n.operand(0)
    const x = isReversed ? backwards(n, given) : given
    const { gates } = cell
    const rows = gates.length * hidden
    checkWeight(w, 'W', [directions, rows, w.shape[2]!])
    checkWeight(r, 'R', [directions, rows, hidden])
    if (b) checkWeight(b, 'B', [directions, 2 * rows])
    if (p) checkWeight(p, 'P', [directions, 3 * hidden])
    const zeros = (): HostArray => {
      return { dtype: w.dtype, shape: [rows], data: allocateHost(w.dtype, rows) }
    }
    const matrices: string[] = []
    const biases: string[] = []
    const peepholes: string[] = []
    for (let d = 0; d < directions; d++) {
      const side = d === 0 ? '' : '_reverse'
      matrices.push(n.weight(gateRows(w, d, gates, hidden), `weight_ih_l0${side}`))
      matrices.push(n.weight(gateRows(r, d, gates, hidden), `weight_hh_l0${side}`))
      const bias = (offset: number): HostArray => (b ? gateRows(b, d, gates, hidden, offset) : zeros())
      biases.push(n.weight(bias(0), `bias_ih_l0${side}`), n.weight(bias(gates.length), `bias_hh_l0${side}`))
      if (p) peepholes.push(n.weight(gateRows(p, d, peepholeGates, hidden), `peephole_l0${side}`))
    }
    const states = Array.from({ length: cell.states }, (_, i) =>
      initialState(n, 5 + i, x, directions, hidden, batchFirst),
    )
    const inputs = {
      x,
      pre_state: states,
      weight_list: [...matrices, ...biases, ...peepholes],
      sequence_length: n.optional(4),
    }
    const attributes = { dropout_prob: 0, is_bidirec: directions === 2, hidden_size: hidden, num_layers: 1 }
    const slots = { out: null, state: cell.states }
    const beyondPaddle = isResetBefore ? 'GRU_RESET_BEFORE' : p ? 'LSTM_PEEPHOLE' : null
    const made = beyondPaddle
      ? n.emitAll('onnx.rnn', inputs, { ...attributes, mode: beyondPaddle }, slots)
      : n.emitAll(
          'rnn',
          { ...inputs, dropout_state_in: null },
          { ...attributes, input_size: w.shape[2]!, mode, seed: 0, is_test: true },
          slots,
        )
    results(n, made['out']![0]!, made['state']!, { directions, hidden, isReversed, batchFirst })
  }
}

interface Form {
  readonly directions: number
  readonly hidden: number
  readonly isReversed: boolean
  readonly batchFirst: boolean
}

/** [T, B, directions * hidden] as [T, directions, B, hidden], and the last states; batch first in the other layout. */
function results(
  n: NodeCall,
  out: string,
  states: readonly string[],
  { directions, hidden, isReversed, batchFirst }: Form,
): void {
  if (n.wants(0)) {
    const forward = isReversed ? backwards(n, out) : out
    const apart = n.emit('reshape', { x: forward }, { shape: [0, 0, directions, hidden] })
    n.give('transpose', { x: apart }, { perm: batchFirst ? [1, 0, 2, 3] : [0, 2, 1, 3] })
  }
  states.forEach((state, i) => {
    if (batchFirst) n.give('transpose', { x: state }, { perm: [1, 0, 2] }, 'out', i + 1)
    else n.bind(i + 1, state)
  })
}

const limits = 'constant weights; activations of its own; no clipping'

export const recurrentRules: RuleTable = {
  GRU: always(recurrent('GRU'), limits),
  LSTM: always(recurrent('LSTM'), `${limits}; no input_forget`),
  RNN: always(recurrent('RNN'), limits),
  ReverseSequence: always(reverseSequence),
}
