/** What losses over alignments (CTC, transducers) share: probabilities in log space without infinities, and their reductions. */
import { formatShape, sameShape } from '../../../common/shape.ts'
import { ShapeError } from '../../../common/errors.ts'
import { binary, cast, detach, iota, pad, sliceAxis, unary, where } from '../../../graph/build.ts'
import type { Node } from '../../../graph/node.ts'
import { checkInteger, constantLike } from '../../../tensor/promotion.ts'
import type { Tensor } from '../../../tensor/tensor.ts'

/** The logarithm of an impossible event: finite, so that no difference of two is NaN, and far below any sum of real ones. */
export const impossible = -1e30

const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const add = (a: Node, b: Node): Node => binary('add', a, b)

/** log(e^a + e^b + ..) elementwise. The maximum cancels out of the gradient. */
export function logAddExp(terms: readonly Node[]): Node {
  const most = detach(terms.reduce((a, b) => binary('max', a, b)))
  const total = terms.map((t) => unary('exp', sub(t, most))).reduce(add)
  return add(most, unary('log', total))
}

/** x moved `by` places up its last axis; impossible where nothing arrives. */
export function shiftUp(x: Node, by: number): Node {
  const last = x.shape.length - 1
  const size = x.shape[last]!
  if (by >= size) return constantLike(x, impossible)
  const along = (n: number): number[] => x.shape.map((_, i) => (i === last ? n : 0))
  const moved = pad(sliceAxis(x, last, 0, size - by), along(by), along(0))
  const position = iota(x.shape, last, 'int32')
  return where(binary('ge', position, constantLike(position, by)), moved, constantLike(x, impossible))
}

/** Lengths as int64, one for each of `batch` sequences. */
export function lengthNode(lengths: Tensor, batch: number, name: string, op: string): Node {
  checkInteger(lengths, op, name)
  if (!sameShape(lengths.shape, [batch]))
    throw new ShapeError(`${op}: ${name} must be [${batch}], one a sequence, got ${formatShape(lengths.shape)}`)
  return cast(lengths.node, 'int64')
}

/** The value of `loss` with its gradient multiplied by `factor` (of the same shape). */
export function withScaledGradient(loss: Node, factor: Node): Node {
  const scaled = binary('mul', loss, factor)
  return add(scaled, detach(sub(loss, scaled)))
}
