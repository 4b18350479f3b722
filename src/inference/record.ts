/**
 * A program recorded for inference at given shapes of its inputs: simplified over weights that do not change. Inputs whose values decide shapes
 * (sizes to reshape to, a number of steps) are recorded with their values.
 */
import { autoCast } from '../amp/auto-cast.ts'
import type { HostArray } from '../common/dtype.ts'
import { UnsupportedError } from '../common/errors.ts'
import type { Shape } from '../common/shape.ts'
import { cast } from '../graph/build.ts'
import { foldConstants } from '../graph/fold.ts'
import type { Node } from '../graph/node.ts'
import { recognizeAttention } from '../graph/recognize-attention.ts'
import { atHand } from '../io/formats/program/host-values.ts'
import type { TranslatedLayer } from '../io/formats/program/translated-layer.ts'
import { noGrad } from '../tensor/autograd.ts'
import { backendOf, withDevice } from '../tensor/device.ts'
import { tensorsIn } from '../tensor/nested.ts'
import { InputPlace } from '../tensor/prepared.ts'
import { PlaceReadError } from '../tensor/realize.ts'
import { recordAside } from '../tensor/session.ts'
import type { Precision } from './engine.ts'

/** Inputs, by number, whose values shapes depend on: a recording needs them. */
export class ValuesNeededError extends UnsupportedError {
  readonly inputs: readonly number[]

  constructor(inputs: readonly number[], names: readonly string[]) {
    super(
      `the shapes of what the model computes depend on the values of ${names.map((n) => `'${n}'`).join(', ')}, which have to be constants of the model here`,
    )
    this.inputs = inputs
  }
}

export interface Recording {
  readonly inputs: readonly InputPlace[]
  /** The outputs of the program, over the tensors of `inputs` and weights. */
  readonly outputs: readonly Node[]
}

/**
 * Throws what the program's operators throw for these shapes, and ValuesNeededError for values that are not among `values`: those of inputs, by number, that
 * are constants of the recording.
 */
export function recordInference(
  layer: TranslatedLayer,
  shapes: readonly Shape[],
  device: string,
  precision: Precision,
  values: ReadonlyMap<number, HostArray> = new Map(),
): Recording {
  return recordAside(() =>
    withDevice(device, () => {
      const inputs = layer.program.inputs.map(({ dtype }, i) => new InputPlace(device, dtype, shapes[i]!))
      const isFixed = (leaf: Node): boolean => leaf.op !== 'buffer' || !leaf.attributes.storage.isPlace
      const given = inputs.map((p, i) => (values.has(i) ? atHand(values.get(i)!) : p.tensor))
      const outputs = noGrad(() => {
        const out = namingPlaces(layer, inputs, () => inPrecision(precision, () => layer(...given)))
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

function namingPlaces<T>(layer: TranslatedLayer, inputs: readonly InputPlace[], body: () => T): T {
  try {
    return body()
  } catch (error) {
    if (!(error instanceof PlaceReadError)) throw error
    const read = inputs.flatMap((p, i) => (error.places.includes(p.storage) ? [i] : []))
    throw new ValuesNeededError(
      read,
      read.map((i) => layer.program.inputs[i]!.name),
    )
  }
}

/** Records products with operands that are rounded, as mixed precision does. */
function inPrecision<T>(precision: Precision, body: () => T): T {
  return precision === 'bfloat16' ? autoCast({ dtype: precision, level: 'O1' }, body) : body()
}
