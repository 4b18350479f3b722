/** Recurrences: all layers and directions of an RNN are one operator, over inputs in which time stands first. */
import { FormatError } from '../../../../common/errors.ts'
import { dropout } from '../../../../nn/functional/dropout.ts'
import { recurrence, recurrentOperands, type CellKind } from '../../../../nn/functional/rnn.ts'
import { lessThan } from '../../../../tensor/comparison.ts'
import { arange } from '../../../../tensor/creation.ts'
import { concat, stack, unstack } from '../../../../tensor/manipulation.ts'
import { cast, reshape } from '../../../../tensor/shaping.ts'
import { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, text, type Operator, type OperatorCall, type OperatorResults } from '../operator.ts'

const kinds = new Map<string, CellKind>([
  ['LSTM', 'lstm'],
  ['GRU', 'gru'],
  ['RNN_TANH', 'tanh'],
  ['RNN_RELU', 'relu'],
])

/** True at the steps that sequences of these lengths have: [T, B]. */
function validSteps(lengths: Tensor, time: number): Tensor {
  return lessThan(reshape(arange(0, time, 1, 'int64'), [time, 1]), reshape(cast(lengths, 'int64'), [1, -1]))
}

/** x [T, B, input] and states [layers * directions, B, hidden] give outputs [T, B, directions * hidden] and the last states. */
function run(call: OperatorCall): OperatorResults {
  const mode = call.text('mode')
  const kind = kinds.get(mode)
  if (!kind)
    throw new FormatError(`operator 'rnn': the mode '${mode}' is unknown; known: ${[...kinds.keys()].join(', ')}`)
  const layers = call.number('num_layers')
  const directions = call.bool('is_bidirec') ? 2 : 1
  const cells = layers * directions
  const weights = call.list('weight_list')
  const states = call.list('pre_state').map((s) => unstack(s, 0))
  if (weights.length !== 4 * cells || states.some((s) => s.length !== cells))
    throw new FormatError(
      `operator 'rnn': ${layers} layers of ${directions} directions need ${4 * cells} weights and ${cells} states, got ${weights.length} and ${states.map((s) => s.length).join(', ')}`,
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
      const given = [x, ...at.map((i) => weights[i]!), ...states.map((s) => s[cell]!)]
      const [input, weightIh, weightHh, biasIh, biasHh, ...initial] = recurrentOperands(
        given.map((t) => t.node),
        'rnn',
      )
      const result = recurrence(
        kind,
        input!,
        initial,
        { weightIh: weightIh!, weightHh: weightHh!, biasIh: biasIh!, biasHh: biasHh! },
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
    run,
  },
} satisfies Record<string, Operator>
