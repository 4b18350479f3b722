/** Softmax and its logarithm as compositions: what functions of layers and losses record. */
import { binary, custom, detach, reduce, tupleOutput, unary } from './build.ts'
import { spread } from './gradient.ts'
import type { CustomGradient, Node } from './node.ts'

const mul = (a: Node, b: Node): Node => binary('mul', a, b)

/** x minus its maximum along an axis. Gradients pass the maximum by: it cancels out. */
function shifted(x: Node, axis: number): Node {
  return binary('sub', x, spread(detach(reduce('reduceMax', x, [axis])), x.shape, [axis]))
}

export function softmaxNode(x: Node, axis: number): Node {
  if (x.shape[axis] === 0) return x
  const e = unary('exp', shifted(x, axis))
  const y = binary('div', e, spread(reduce('reduceSum', e, [axis]), x.shape, [axis]))
  if (!y.needsGrad) return y
  // By its result alone, so that neither the exponentials nor their sums are kept: dx = y (g - sum(g y)).
  const gradient: CustomGradient = (node, given) => {
    const [g, out] = [given.get(0)!, tupleOutput(node, 0)]
    const sum = reduce('reduceSum', mul(g, out), [axis])
    return [null, mul(out, binary('sub', g, spread(sum, x.shape, [axis])))]
  }
  return custom([y], [x], gradient)[0]!
}

export function logSoftmaxNode(x: Node, axis: number): Node {
  if (x.shape[axis] === 0) return x
  const z = shifted(x, axis)
  const total = unary('log', reduce('reduceSum', unary('exp', z), [axis]))
  return binary('sub', z, spread(total, x.shape, [axis]))
}
