/** How each recorded layer case is built and called in our API: Paddle's expressions are in the case's JSON (`layer`, `call`). */
import { nn } from '../../src/index.ts'
import { layerCase, type LayerCase } from './layer-case.ts'
import { sequenceCases } from './sequence-cases.ts'

const ofX = (make: () => nn.TensorLayer): LayerCase => layerCase(make, (m, { x }) => [m(x!)])

export const layerCases: Readonly<Record<string, LayerCase>> = {
  ...sequenceCases,
  layer_batchnorm1d_train: ofX(() => new nn.BatchNorm1D(3)),
  layer_batchnorm2d_train: ofX(() => new nn.BatchNorm2D(3)),
  layer_embedding: layerCase(
    () => new nn.Embedding(10, 4, { paddingIdx: 2 }),
    (m, { i }) => [m(i!)],
  ),
  layer_spectral_like_weightnorm: ofX(() => nn.utils.weightNorm(new nn.Linear(4, 3), 'weight', 1)),
  layer_groupnorm: ofX(() => new nn.GroupNorm(2, 4)),
  layer_prelu: ofX(() => new nn.PReLU(3)),
}
