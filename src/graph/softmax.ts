/** Softmax and its logarithm as compositions: what functions of layers and losses record. */
import { binary, custom, detach, reduce, tupleOutput, unary } from './build.ts'
import { spread } from './gradient.ts'
import type { CustomGradient, Node } from './node.ts'

const mul = (a: Node, b: Node): Node => binary('mul', a, b)

const sub = (a: Node, b: Node): Node => binary('sub', a, b)

/** The maximum along axes. Gradients pass it by: it cancels out. */
const peak = (x: Node, axes: readonly number[]): Node => detach(reduce('reduceMax', x, axes))

/** x minus its maximum along an axis. */
const shifted = (x: Node, axis: number): Node => sub(x, spread(peak(x, [axis]), x.shape, [axis]))

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

/**
 * log of the sum of e^z along axes, which go. Its gradient computes the exponentials again, dz = g e^(z - log sum), which takes less time than
 * keeping them: a pass over z each way, and one number a row.
 */
function logTotal(z: Node, axes: readonly number[]): Node {
  const y = unary('log', reduce('reduceSum', unary('exp', z), axes))
  if (!y.needsGrad) return y
  const gradient: CustomGradient = (node, given) => {
    const [, from] = node.sources as readonly [Node, Node]
    const over = (n: Node): Node => spread(n, from.shape, axes)
    return [null, mul(over(given.get(0)!), unary('exp', sub(from, over(tupleOutput(node, 0)))))]
  }
  return custom([y], [z], gradient)[0]!
}

export function logSoftmaxNode(x: Node, axis: number): Node {
  if (x.shape[axis] === 0) return x
  const z = shifted(x, axis)
  return sub(z, spread(logTotal(z, [axis]), x.shape, [axis]))
}

/** log of the sum of e^x along axes, which go; `shift`, which should be near the maximum and by default is it, keeps it from overflowing. */
export function logSumExpNode(x: Node, axes: readonly number[], shift = peak(x, axes)): Node {
  return binary('add', logTotal(sub(x, spread(shift, x.shape, axes)), axes), shift)
}
