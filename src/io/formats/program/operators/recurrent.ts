/** Recurrences: all layers and directions of an RNN are one operator, over inputs in which time stands first. */
import { FormatError } from '../../../../common/errors.ts'
import { dropout } from '../../../../nn/functional/dropout.ts'
import { recurrence, recurrentOperands, type CellKind } from '../../../../nn/functional/rnn.ts'
import { takeAlongAxis } from '../../../../tensor/along-axis.ts'
import { lessThan } from '../../../../tensor/comparison.ts'
import { arange } from '../../../../tensor/creation.ts'
import { concat, stack, unstack } from '../../../../tensor/manipulation.ts'
import { subtract } from '../../../../tensor/math.ts'
import { where } from '../../../../tensor/search.ts'
import { cast, reshape } from '../../../../tensor/shaping.ts'
import { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, text, type Operator, type OperatorCall, type OperatorResults } from '../operator.ts'

interface Mode {
  readonly kind: CellKind
  /** Whether each cell has a vector of peepholes, behind the biases of all cells. */
  readonly hasPeepholes?: boolean
}

type Modes = ReadonlyMap<string, Mode>

const paddleModes: Modes = new Map([
  ['LSTM', { kind: 'lstm' }],
  ['GRU', { kind: 'gru' }],
  ['RNN_TANH', { kind: 'tanh' }],
  ['RNN_RELU', { kind: 'relu' }],
])

/** What ONNX has beyond Paddle. */
const onnxModes: Modes = new Map([
  ['LSTM_PEEPHOLE', { kind: 'lstm', hasPeepholes: true }],
  ['GRU_RESET_BEFORE', { kind: 'gruResetBefore' }],
])

/** True at the steps that sequences of these lengths have: [T, B]. */
function validSteps(lengths: Tensor, time: number): Tensor {
  return lessThan(reshape(arange(0, time, 1, 'int64'), [time, 1]), reshape(cast(lengths, 'int64'), [1, -1]))
}

/** x [T, B, input] and states [layers * directions, B, hidden] give outputs [T, B, directions * hidden] and the last states. */
function run(call: OperatorCall, modes: Modes): OperatorResults {
  const name = call.text('mode')
  const mode = modes.get(name)
  if (!mode)
    throw new FormatError(
      `operator '${call.type}': the mode '${name}' is unknown; known: ${[...modes.keys()].join(', ')}`,
    )
  const { kind, hasPeepholes = false } = mode
  const layers = call.number('num_layers')
  const directions = call.bool('is_bidirec') ? 2 : 1
  const cells = layers * directions
  const weights = call.list('weight_list')
  const states = call.list('pre_state').map((s) => unstack(s, 0))
  const each = hasPeepholes ? 5 : 4
  if (weights.length !== each * cells || states.some((s) => s.length !== cells))
    throw new FormatError(
      `operator '${call.type}': ${layers} layers of ${directions} directions need ${each * cells} weights and ${cells} states, got ${weights.length} and ${states.map((s) => s.length).join(', ')}`,
    )
  let x = call.tensor('x')
  const lengths = call.optional('sequence_length')
  const mask = lengths ? validSteps(lengths, x.shape[0]!).node : null
  const last: Tensor[][] = states.map(() => [])
  for (let layer = 0; layer < layers; layer++) {
    if (layer > 0) x = dropout(x, call.number('dropout_prob'), { training: call.training })
    const outputs = Array.from({ length: directions }, (_, d) => {
      const cell = layer * directions + d
      // Weights of all cells stand before the biases.
      const at = [2 * cell, 2 * cell + 1, 2 * (cells + cell), 2 * (cells + cell) + 1]
      if (hasPeepholes) at.push(4 * cells + cell)
      const given = [x, ...states.map((s) => s[cell]!), ...at.map((i) => weights[i]!)]
      const [input, ...nodes] = recurrentOperands(
        given.map((t) => t.node),
        'rnn',
      )
      const initial = nodes.slice(0, states.length)
      const [weightIh, weightHh, biasIh, biasHh, peephole] = nodes.slice(states.length)
      const result = recurrence(
        kind,
        input!,
        initial,
        { weightIh: weightIh!, weightHh: weightHh!, biasIh: biasIh!, biasHh: biasHh!, peephole: peephole ?? null },
        { timeMajor: true, reverse: d === 1, mask, zeroPadding: true },
        'rnn',
      )
      result.states.forEach((s, i) => last[i]!.push(new Tensor(s)))
      return new Tensor(result.output)
    })
    x = concat(outputs, 2)
  }
  return { out: x, state: last.map((s) => stack(s, 0)) }
}

/** x with the first elements of each sequence the other way round, as many as its length. */
function reverseSequence(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const [timeAxis, batchAxis] = [call.number('time_axis'), call.number('batch_axis')]
  const along = (axis: number): number[] => x.shape.map((_, i) => (i === axis ? -1 : 1))
  const lengths = reshape(cast(call.tensor('lengths'), 'int64'), along(batchAxis))
  const steps = reshape(arange(0, x.shape[timeAxis]!, 1, 'int64'), along(timeAxis))
  return takeAlongAxis(x, where(lessThan(steps, lengths), subtract(subtract(lengths, 1), steps), steps), timeAxis)
}

export const recurrences = {
  rnn: {
    inputs: ['x', 'pre_state*', 'weight_list*', 'sequence_length?', 'dropout_state_in?'],
    outputs: ['out', 'dropout_state_out?', 'state*', 'reserve?'],
    attributes: {
      dropout_prob: float(0),
      is_bidirec: bool(false),
      input_size: int(10),
      hidden_size: int(100),
      num_layers: int(1),
      mode: text('RNN_TANH'),
      seed: int(0),
      is_test: bool(false),
    },
    run: (call) => run(call, paddleModes),
  },
  'onnx.rnn': {
    inputs: ['x', 'pre_state*', 'weight_list*', 'sequence_length?'],
    outputs: ['out', 'state*'],
    attributes: {
      is_bidirec: bool(false),
      hidden_size: int(),
      num_layers: int(1),
      dropout_prob: float(0),
      mode: text(),
    },
    run: (call) => run(call, onnxModes),
  },
  'onnx.ReverseSequence': {
    inputs: ['x', 'lengths'],
    outputs: ['out'],
    attributes: { time_axis: int(0), batch_axis: int(1) },
    run: reverseSequence,
  },
} satisfies Record<string, Operator>
