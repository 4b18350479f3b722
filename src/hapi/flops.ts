/** `flops`: multiplications of a network, counted on its recorded graph, as `paddle.flops` counts them by layer. */
import type { DType } from '../common/dtype.ts'
import { numel } from '../common/shape.ts'
import { topologicalOrder, type ContractAxis, type Node, type NodeOf } from '../graph/node.ts'
import type { Layer } from '../nn/layer.ts'
import { recordLayerCalls, zeroInputs, type InputSizes, type LayerCall } from './layer-calls.ts'

export interface FlopsOptions {
  /** Of the inputs, in order. Default float32. */
  readonly dtypes?: readonly DType[]
  /** Prints a line for each layer that multiplies. Default false. */
  readonly printDetail?: boolean
  readonly print?: (text: string) => void
}

/** Sizes of the letters of a contraction: plain axes say them. */
function letterSizes(node: NodeOf<'contract'>): Map<number, number> {
  const sizes = new Map<number, number>()
  const read = (axes: readonly ContractAxis[], shape: readonly number[]): void =>
    axes.forEach((axis, i) => {
      if (typeof axis === 'number') sizes.set(axis, shape[i]!)
    })
  read(node.attributes.lhs, node.sources[0]!.shape)
  read(node.attributes.rhs, node.sources[1]!.shape)
  read(node.attributes.out, node.shape)
  return sizes
}

/** Multiply-accumulates of one node: those of contractions; a loop's are its body's times its length. */
export function multiplications(node: Node): number {
  if (node.op === 'contract') return [...letterSizes(node).values()].reduce((a, b) => a * b, 1)
  if (node.op === 'attention') {
    const [query, key, value] = node.sources as [Node, Node, Node]
    return numel(query.shape.slice(0, 3)) * key.shape[1]! * (key.shape[3]! + value.shape[3]!)
  }
  if (node.op !== 'scan') return 0
  const { body, length } = node.attributes
  const inside = topologicalOrder(body.outputs).reduce((sum, n) => sum + multiplications(n), 0)
  return inside * length
}

/** The innermost call in which a node was recorded. */
function callOf(node: Node, calls: readonly LayerCall[]): LayerCall | undefined {
  let best: LayerCall | undefined
  for (const call of calls) {
    if (node.id < call.from || node.id >= call.to) continue
    if (!best || call.to - call.from < best.to - best.from) best = call
  }
  return best
}

/**
 * Multiply-accumulates of matrix products and convolutions (and of their gates in recurrent layers) for an input of this size. Additions of
 * biases, activations, norms and pools are not counted. Nothing is computed.
 * @example flops(new SimpleCNN(), [1, 3, 32, 32], { printDetail: true })
 */
export function flops(network: Layer, inputSize: InputSizes, options: FlopsOptions = {}): number {
  const { calls, outputs } = recordLayerCalls(network, zeroInputs(inputSize, options.dtypes))
  const byLayer = new Map<string, { readonly name: string; count: number }>()
  let total = 0
  for (const node of topologicalOrder(outputs)) {
    const count = multiplications(node)
    if (count === 0) continue
    total += count
    const call = callOf(node, calls)
    const path = call?.path ?? ''
    const entry = byLayer.get(path) ?? { name: call?.layer.constructor.name ?? '', count: 0 }
    entry.count += count
    byLayer.set(path, entry)
  }
  if (options.printDetail) {
    const print = options.print ?? ((text: string): void => void process.stdout.write(text))
    const lines = [...byLayer].map(
      ([path, { name, count }]) => `${path || '(network)'} (${name}): ${count.toLocaleString('en-US')}`,
    )
    print(`${[...lines, `Total multiply-accumulates: ${total.toLocaleString('en-US')}`].join('\n')}\n`)
  }
  return total
}
