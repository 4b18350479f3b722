/** A recorded layer case: how the layer is built, and how it is called. */
import type { nn, Tensor } from '../../src/index.ts'
import type { Inputs } from './operator-cases.ts'

/** Builds a layer, and says how to call it: outputs in Paddle's order, flattened. */
export type LayerCase = () => { readonly layer: nn.Layer; readonly call: (inputs: Inputs) => readonly Tensor[] }

export function layerCase<L extends nn.Layer>(
  make: () => L,
  call: (layer: L, inputs: Inputs) => readonly Tensor[],
): LayerCase {
  return () => {
    const layer = make()
    return { layer, call: (inputs) => call(layer, inputs) }
  }
}
