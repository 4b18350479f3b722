/** How each recorded layer case is built and called in our API: Paddle's expressions are in the case's JSON (`layer`, `call`). */
import { nn, type Tensor } from '../../src/index.ts'
import type { Inputs } from './operator-cases.ts'

/** Builds a layer, and says how to call it: outputs in Paddle's order, flattened. */
export type LayerCase = () => { readonly layer: nn.Layer; readonly call: (inputs: Inputs) => readonly Tensor[] }

function layerCase<L extends nn.Layer>(
  make: () => L,
  call: (layer: L, inputs: Inputs) => readonly Tensor[],
): LayerCase {
  return () => {
    const layer = make()
    return { layer, call: (inputs) => call(layer, inputs) }
  }
}

const ofX = (make: () => nn.TensorLayer): LayerCase => layerCase(make, (m, { x }) => [m(x!)])

type OneState = nn.Layer & ((x: Tensor) => [Tensor, Tensor])
type TwoStates = nn.Layer &
  ((x: Tensor, states?: readonly [Tensor, Tensor] | null, lengths?: Tensor) => [Tensor, readonly [Tensor, Tensor]])
const recurrent = (make: () => OneState): LayerCase => layerCase(make, (m, { x }) => m(x!))
const lstm = (make: () => TwoStates): LayerCase =>
  layerCase(make, (m, { x, h, c, n }) => {
    const [y, states] = m(x!, h ? [h, c!] : null, n)
    return [y, ...states]
  })

export const layerCases: Readonly<Record<string, LayerCase>> = {
  layer_batchnorm1d_train: ofX(() => new nn.BatchNorm1D(3)),
  layer_batchnorm2d_train: ofX(() => new nn.BatchNorm2D(3)),
  layer_groupnorm: ofX(() => new nn.GroupNorm(2, 4)),
  layer_gru: recurrent(() => new nn.GRU(4, 5)),
  layer_gru_bi: recurrent(() => new nn.GRU(4, 5, { direction: 'bidirect' })),
  layer_lstm: lstm(() => new nn.LSTM(4, 5)),
  layer_lstm_bi2: lstm(() => new nn.LSTM(4, 3, { numLayers: 2, direction: 'bidirect' })),
  layer_lstm_bi2_time_major_init: lstm(
    () => new nn.LSTM(4, 3, { numLayers: 2, direction: 'bidirect', timeMajor: true }),
  ),
  layer_lstm_cell: lstm(() => new nn.LSTMCell(4, 5)),
  layer_lstm_seqlen: lstm(() => new nn.LSTM(4, 3, { direction: 'bidirect' })),
  layer_simple_rnn: recurrent(() => new nn.SimpleRNN(4, 5)),
  layer_prelu: ofX(() => new nn.PReLU(3)),
}
