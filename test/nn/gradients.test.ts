/** Gradients of loops, losses over alignments and attention, by finite differences. */
import { beforeAll, describe, test } from 'vitest'
import { nn, setDevice, setDefaultDtype, stack, toTensor, type Tensor } from '../../src/index.ts'
import { gradcheck, type Argument, type Differentiable, type GradcheckOptions } from '../gradcheck.ts'

const F = nn.functional
const small: readonly [number, number] = [-0.8, 0.8]
const argument = (...shape: number[]): Argument => ({ shape, range: small })
const int = (values: number[] | number[][]): Tensor => toTensor(values, { dtype: 'int64' })

type Row = readonly [string, Differentiable, readonly Argument[], GradcheckOptions?]

/** A layer with its parameters replaced by arguments: what it computes as a function of them. */
function functional(layer: nn.Layer, run: (x: Tensor) => Tensor | readonly Tensor[]): Differentiable {
  const parameters = layer.parameters()
  return (x, ...values) => {
    parameters.forEach((p, i) => (p.node = values[i]!.node))
    return run(x!)
  }
}

const hidden = 2
const weights = (gates: number, inputs: number): Argument[] => [
  argument(gates * hidden, inputs),
  argument(gates * hidden, hidden),
  argument(gates * hidden),
  argument(gates * hidden),
]

function rows(): Row[] {
  const lstmCell = new nn.LSTMCell(3, hidden)
  const lstm = new nn.LSTM(3, hidden)
  const both = new nn.LSTM(2, hidden, { direction: 'bidirect' })
  const gru = new nn.GRU(3, hidden)
  const rnn = new nn.SimpleRNN(3, hidden)
  return [
    ['LSTMCell', functional(lstmCell, (x) => lstmCell(x).flat()), [argument(2, 3), ...weights(4, 3)]],
    ['LSTM', functional(lstm, (x) => lstm(x).flat()), [argument(1, 3, 3), ...weights(4, 3)], { second: false }],
    [
      'LSTM in both directions over sequences of unequal length',
      functional(both, (x) => both(x, null, int([3, 1])).flat()),
      [argument(2, 3, 2), ...weights(4, 2), ...weights(4, 2)],
      { second: false },
    ],
    ['GRU', functional(gru, (x) => gru(x)), [argument(2, 2, 3), ...weights(3, 3)]],
    ['SimpleRNN', functional(rnn, (x) => rnn(x)), [argument(1, 3, 3), ...weights(1, 3)]],
    [
      'ctcLoss',
      (x) =>
        F.ctcLoss(
          x!,
          int([
            [1, 1],
            [2, 1],
            [1, 0],
          ]),
          int([4, 3, 2]),
          int([2, 2, 1]),
          { reduction: 'none' },
        ),
      [{ shape: [4, 3, 3] }],
    ],
    [
      'rnntLoss',
      (x) =>
        F.rnntLoss(
          x!,
          int([
            [1, 2],
            [2, 0],
          ]),
          int([3, 2]),
          int([2, 1]),
          { reduction: 'none', fastemitLambda: 0 },
        ),
      [{ shape: [2, 3, 3, 3] }],
    ],
    [
      'scaledDotProductAttention',
      (q, k, v, m) => F.scaledDotProductAttention(q!, k!, v!, { attnMask: m! }),
      [argument(1, 2, 2, 2), argument(1, 3, 2, 2), argument(1, 3, 2, 2), argument(2, 3)],
    ],
    [
      'causal attention with shared key heads',
      (q, k) =>
        F.scaledDotProductAttention(q!, k!, stack([k!.slice([3], [0], [2]), k!.slice([3], [0], [2])]).sum(0), {
          isCausal: true,
        }),
      [argument(1, 3, 2, 2), argument(1, 3, 1, 2)],
    ],
  ]
}

describe('gradients by finite differences', () => {
  beforeAll(() => {
    setDevice('reference')
    setDefaultDtype('float64')
    return () => setDefaultDtype('float32')
  })

  const cases = rows().map(([name, f, args, options]) => ({ name, f, args, options }))

  test.each(cases)('$name', async ({ f, args, options }) => {
    await gradcheck(f, args, options)
  })
})
