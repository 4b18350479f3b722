/** A forward pass that is recorded and never run, to see which layers are called, with which shapes, and what they record. */
import type { DType } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { recordingMark, type Node } from '../graph/node.ts'
import type { Layer } from '../nn/layer.ts'
import { noGrad } from '../tensor/autograd.ts'
import { zeros } from '../tensor/creation.ts'
import { Tensor } from '../tensor/tensor.ts'

/** Shape of an input (null or -1 becomes 1), or shapes of several. */
export type InputSizes = readonly (number | null)[] | readonly (readonly (number | null)[])[]

/** One call of a layer. */
export interface LayerCall {
  readonly layer: Layer
  /** Path from the network, empty for itself. */
  readonly path: string
  readonly inputs: readonly number[][]
  readonly outputs: readonly number[][]
  /** Ids of the nodes that were recorded inside: from, and up to before. */
  readonly from: number
  readonly to: number
}

const shapesIn = (value: unknown): number[][] => {
  if (value instanceof Tensor) return [value.shape]
  if (Array.isArray(value)) return value.flatMap(shapesIn)
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(shapesIn)
  return []
}

/** Zeros of the sizes asked for. Throws ArgumentError for none. */
export function zeroInputs(sizes: InputSizes, dtypes: readonly DType[] = []): Tensor[] {
  if (!Array.isArray(sizes) || sizes.length === 0)
    throw new ArgumentError('give the shape of an input, such as [1, 3, 32, 32], or a list of shapes')
  const list = (Array.isArray(sizes[0]) ? sizes : [sizes]) as readonly (readonly (number | null)[])[]
  return list.map((shape, i) =>
    zeros(
      shape.map((d) => (d === null || d === -1 ? 1 : d)),
      dtypes[i] ?? 'float32',
    ),
  )
}

/** Calls the network in eval mode without gradients; gives all calls in order, outermost last, and the nodes of the outputs. */
export function recordLayerCalls(network: Layer, inputs: readonly Tensor[]): { calls: LayerCall[]; outputs: Node[] } {
  const calls: LayerCall[] = []
  const open: number[] = []
  const modes = network.sublayers(true).map((layer) => [layer, layer.training] as const)
  const removers = network.namedSublayers({ includeSelf: true }).flatMap(([path, layer]) => [
    layer.registerForwardPreHook(() => void open.push(recordingMark())),
    layer.registerForwardPostHook((_, args, output) => {
      const from = open.pop()!
      calls.push({ layer, path, inputs: shapesIn(args), outputs: shapesIn(output), from, to: recordingMark() })
    }),
  ])
  try {
    network.eval()
    const output = noGrad(() => (network as unknown as (...args: readonly Tensor[]) => unknown)(...inputs))
    const outputs: Node[] = []
    const collect = (value: unknown): void => {
      if (value instanceof Tensor) outputs.push(value.node)
      else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect)
    }
    collect(output)
    return { calls, outputs }
  } finally {
    for (const remove of removers) remove()
    for (const [layer, training] of modes) layer.training = training
  }
}
