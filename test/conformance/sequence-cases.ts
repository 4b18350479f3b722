/** The recorded cases of recurrent layers and transformers. */
import { nn } from '../../src/index.ts'
import { layerCase, type LayerCase } from './layer-case.ts'

/** SimpleRNN and GRU: output and state. */
const ofSequence = (make: () => nn.GRU | nn.SimpleRNN): LayerCase => layerCase(make, (m, { x }) => m(x!))

export const sequenceCases: Readonly<Record<string, LayerCase>> = {
  layer_gru: ofSequence(() => new nn.GRU(4, 5)),
  layer_gru_bi: ofSequence(() => new nn.GRU(4, 5, { direction: 'bidirect' })),
  layer_lstm: layerCase(
    () => new nn.LSTM(4, 5),
    (m, { x }) => m(x!).flat(),
  ),
  layer_lstm_bi2: layerCase(
    () => new nn.LSTM(4, 3, { numLayers: 2, direction: 'bidirect' }),
    (m, { x }) => m(x!).flat(),
  ),
  layer_lstm_bi2_time_major_init: layerCase(
    () => new nn.LSTM(4, 3, { numLayers: 2, direction: 'bidirectional', timeMajor: true }),
    (m, { x, h, c }) => m(x!, [h!, c!]).flat(),
  ),
  layer_lstm_cell: layerCase(
    () => new nn.LSTMCell(4, 5),
    (m, { x, h, c }) => m(x!, [h!, c!]).flat(),
  ),
  layer_lstm_seqlen: layerCase(
    () => new nn.LSTM(4, 3, { direction: 'bidirect' }),
    (m, { x, n }) => m(x!, null, n).flat(),
  ),
  layer_transformer_encoder: layerCase(
    () => new nn.TransformerEncoder(new nn.TransformerEncoderLayer(8, 2, 16, { dropout: 0, activation: 'gelu' }), 2),
    (m, { x }) => [m(x!)],
  ),
  layer_transformer_encoder_prenorm: layerCase(
    () =>
      new nn.TransformerEncoder(
        new nn.TransformerEncoderLayer(8, 2, 16, { dropout: 0, activation: 'relu', normalizeBefore: true }),
        2,
        new nn.LayerNorm(8),
      ),
    (m, { x }) => [m(x!)],
  ),
  layer_simple_rnn: ofSequence(() => new nn.SimpleRNN(4, 5)),
}
