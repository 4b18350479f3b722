/** A program recorded for inference at given shapes of its inputs: simplified over weights that do not change. */
import { autoCast } from '../amp/auto-cast.ts'
import type { Shape } from '../common/shape.ts'
import { cast } from '../graph/build.ts'
import { foldConstants } from '../graph/fold.ts'
import type { Node } from '../graph/node.ts'
import { recognizeAttention } from '../graph/recognize-attention.ts'
import type { TranslatedLayer } from '../io/formats/program/translated-layer.ts'
import { noGrad } from '../tensor/autograd.ts'
import { backendOf, withDevice } from '../tensor/device.ts'
import { tensorsIn } from '../tensor/nested.ts'
import { InputPlace } from '../tensor/prepared.ts'
import { recordAside } from '../tensor/session.ts'
import type { Precision } from './engine.ts'

export interface Recording {
  readonly inputs: readonly InputPlace[]
  /** The outputs of the program, over the tensors of `inputs` and weights. */
  readonly outputs: readonly Node[]
}

/** Throws what the program's operators throw for these shapes. */
export function recordInference(
  layer: TranslatedLayer,
  shapes: readonly Shape[],
  device: string,
  precision: Precision,
): Recording {
  return recordAside(() =>
    withDevice(device, () => {
      const inputs = layer.program.inputs.map(({ dtype }, i) => new InputPlace(device, dtype, shapes[i]!))
      const changing = new Set(inputs.map((p) => p.storage))
      const isFixed = (leaf: Node): boolean => leaf.op !== 'buffer' || !changing.has(leaf.attributes.storage)
      const outputs = noGrad(() => {
        const out = inPrecision(precision, () => layer(...inputs.map((p) => p.tensor)))
        const folded = foldConstants(
          tensorsIn(out).map(({ node }) => (node.dtype === precision ? cast(node, 'float32') : node)),
          isFixed,
        )
        // Who interprets the graph takes it as the file has it.
        return backendOf(device).interpret ? folded : recognizeAttention(folded)
      })
      return { inputs, outputs }
    }),
  )
}

/** Records products with operands that are rounded, as mixed precision does. */
function inPrecision<T>(precision: Precision, body: () => T): T {
  return precision === 'bfloat16' ? autoCast({ dtype: precision, level: 'O1' }, body) : body()
}
