/**
 * Sums of probabilities that are kept as logarithms. "Impossible" is the finite -1e30: infinities would make NaN of gradients. The maximum
 * that is taken out first cancels, so gradients pass it by and are exact also where terms tie.
 */
import { binary, detach, reduce, sliceAxis, unary } from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { constantLike } from '../../../tensor/promotion.ts'
import { padConstant } from '../pad.ts'

export const impossible = -1e30

/** Whether a sum is below this, nothing possible was in it. */
export const barelyPossible = -1e29

/** log(sum of e^x) of several nodes. */
export function logSumOf(terms: readonly Node[]): Node {
  const peak = detach(terms.reduce((a, b) => binary('max', a, b)))
  const total = terms.map((t) => unary('exp', binary('sub', t, peak))).reduce((a, b) => binary('add', a, b))
  return binary('add', peak, unary('log', total))
}

/** log(sum of e^x) over axes, which are removed. */
export function logSumOver(x: Node, axes: readonly number[]): Node {
  const peak = detach(reduce('reduceMax', x, axes))
  const total = reduce('reduceSum', unary('exp', binary('sub', x, spread(peak, x.shape, axes))), axes)
  return binary('add', peak, unary('log', total))
}

/** x moved by `steps` positions to the right along the last axis of two; what comes in is impossible. */
export function shifted(x: Node, steps: number): Node {
  const size = x.shape[1]!
  if (steps >= size) return constantLike(x, impossible)
  return padConstant(sliceAxis(x, 1, 0, size - steps), { low: [0, steps], high: [0, 0] }, impossible)
}
