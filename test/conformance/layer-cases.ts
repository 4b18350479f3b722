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

export const layerCases: Readonly<Record<string, LayerCase>> = {
  layer_prelu: ofX(() => new nn.PReLU(3)),
}
