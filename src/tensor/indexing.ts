/** Reading and writing by position: gather, scatter, masks, ... as in paddle.tensor.manipulation. */
import { isInteger } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, normalizeAxis, numel, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  cumulate,
  gather as gatherNode,
  iota,
  permute,
  reshape,
  scatter as scatterNode,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { zeros } from './creation.ts'
import { leadingOffsets } from './index-expression.ts'
import { checkTensor, constantLike, valueNode, type Operand } from './promotion.ts'
import { Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

/** Throws DTypeError unless the index is int32 or int64; narrow integers are widened. */
export function indexNode(index: Tensor, op: string): Node {
  checkTensor(index, op)
  if (!isInteger(index.dtype))
    throw new DTypeError(`${op}: an index must hold integers, got ${index.dtype}; cast it with .astype('int64')`)
  return index.dtype === 'int32' ? index.node : castNode(index.node, 'int64')
}

export function vectorIndex(index: Tensor, op: string): Node {
  const node = indexNode(index, op)
  const { shape } = node
  if (shape.length > 2 || (shape.length === 2 && shape[1] !== 1))
    throw new ShapeError(`${op}: the index must be a vector, got ${formatShape(shape)}`)
  return shape.length === 2 ? reshape(node, [shape[0]!]) : node
}

/** Slices of an axis picked by an index vector (rank 0 drops the axis), `paddle.gather`. Negative positions count from the end. */
export function gather(x: Tensor, index: Tensor, axis = 0): Tensor {
  checkTensor(x, 'gather')
  return new Tensor(gatherNode(x.node, vectorIndex(index, 'gather'), normalizeAxis(axis, x.ndim, 'gather')))
}

/** As `gather` with an index of rank 1, `paddle.index_select`. */
export function indexSelect(x: Tensor, index: Tensor, axis = 0): Tensor {
  checkTensor(x, 'indexSelect')
  const positions = indexNode(index, 'indexSelect')
  if (positions.shape.length !== 1)
    throw new ShapeError(`indexSelect: the index must be a vector, got ${formatShape(index.shape)}`)
  return new Tensor(gatherNode(x.node, positions, normalizeAxis(axis, x.ndim, 'indexSelect')))
}

/** The elements of the flat tensor at positions; `mode` says what positions outside do, `paddle.take`. */
export function take(x: Tensor, index: Tensor, mode: 'raise' | 'wrap' | 'clip' = 'raise'): Tensor {
  checkTensor(x, 'take')
  let node = castNode(indexNode(index, 'take'), 'int64')
  const size = constantLike(node, x.size)
  if (mode === 'wrap') node = binary('mod', node, size)
  else if (mode === 'clip')
    node = binary('min', binary('max', node, constantLike(node, 0)), constantLike(node, x.size - 1))
  else if (mode !== 'raise')
    throw new ArgumentError(`take: mode must be 'raise', 'wrap' or 'clip', got '${String(mode)}'`)
  return new Tensor(gatherNode(reshape(x.node, [x.size]), node, 0))
}

/** Slices of x that the last axis of the index addresses: index [.., k] names positions in the first k axes, `paddle.gather_nd`. */
export function gatherNd(x: Tensor, index: Tensor): Tensor {
  checkTensor(x, 'gatherNd')
  const node = indexNode(index, 'gatherNd')
  const { shape } = x
  const { offsets, depth } = leadingOffsets(node, shape, 'gatherNd')
  return asOperator('gather_nd', new Tensor(gatherNode(leading(x.node, depth), offsets, 0)), () => ({
    inputs: { x, index },
  }))
}

/** x with its first `depth` axes as one. */
function leading(x: Node, depth: number): Node {
  return reshape(x, [numel(x.shape.slice(0, depth)), ...x.shape.slice(depth)])
}

/**
 * x with rows replaced by (`overwrite`, default) or, after these rows were set to 0, summed from updates at an index vector,
 * `paddle.scatter`. Of repeated positions the last update stays.
 */
export function scatter(x: Tensor, index: Tensor, updates: Tensor, overwrite = true): Tensor {
  checkTensor(x, 'scatter')
  checkTensor(updates, 'scatter')
  const positions = vectorIndex(index, 'scatter')
  const values = castNode(updates.node, x.dtype)
  if (overwrite) return new Tensor(scatterNode(x.node, positions, values, 0, 'set'))
  const cleared = scatterNode(x.node, positions, constantLike(values, 0), 0, 'set')
  return new Tensor(scatterNode(cleared, positions, values, 0, 'add'))
}

/** x plus updates at the slices that the index addresses as in `gatherNd`, `paddle.scatter_nd_add`. */
export function scatterNdAdd(x: Tensor, index: Tensor, updates: Tensor): Tensor {
  checkTensor(x, 'scatterNdAdd')
  checkTensor(updates, 'scatterNdAdd')
  const { offsets, depth } = leadingOffsets(indexNode(index, 'scatterNdAdd'), x.shape, 'scatterNdAdd')
  const sum = scatterNode(leading(x.node, depth), offsets, castNode(updates.node, x.dtype), 0, 'add')
  return new Tensor(reshape(sum, x.shape))
}

/** Zeros of a shape plus updates at the slices that the index addresses, `paddle.scatter_nd`. */
export function scatterNd(index: Tensor, updates: Tensor, shape: Shape): Tensor {
  checkTensor(updates, 'scatterNd')
  return scatterNdAdd(zeros(shape, updates.dtype), index, updates)
}

/** x with `value` added to the slices of an axis that an index vector names; repeated positions add up, `paddle.index_add`. */
export function indexAdd(x: Tensor, index: Tensor, axis: number, value: Tensor): Tensor {
  checkTensor(x, 'indexAdd')
  checkTensor(value, 'indexAdd')
  const a = normalizeAxis(axis, x.ndim, 'indexAdd')
  return new Tensor(scatterNode(x.node, vectorIndex(index, 'indexAdd'), castNode(value.node, x.dtype), a, 'add'))
}

/** x with the slices of an axis that an index vector names set to a number, `paddle.index_fill`. */
export function indexFill(x: Tensor, index: Tensor, axis: number, value: Operand): Tensor {
  checkTensor(x, 'indexFill')
  const a = normalizeAxis(axis, x.ndim, 'indexFill')
  const positions = vectorIndex(index, 'indexFill')
  const shape = x.shape.map((d, i) => (i === a ? positions.shape[0]! : d))
  return new Tensor(scatterNode(x.node, positions, valueNode(value, x.dtype, shape), a, 'set'))
}

/** x where the mask is false, a number (or a tensor of rank 0) where it is true, `paddle.masked_fill`. */
export function maskedFill(x: Tensor, mask: Tensor, value: Operand): Tensor {
  checkTensor(x, 'maskedFill')
  checkMask(mask, 'maskedFill')
  const shape = broadcastShapes(x.shape, mask.shape, 'maskedFill')
  return new Tensor(where(broadcastTo(mask.node, shape), valueNode(value, x.dtype, shape), broadcastTo(x.node, shape)))
}

export function checkMask(mask: Tensor, op: string): void {
  checkTensor(mask, op)
  if (mask.dtype !== 'bool')
    throw new DTypeError(`${op}: a mask must be bool, got ${mask.dtype}; compare it with 0 first`)
}

/** x with the elements under the mask replaced, in order, by the elements of `value`, `paddle.masked_scatter`. */
export function maskedScatter(x: Tensor, mask: Tensor, value: Tensor): Tensor {
  checkTensor(x, 'maskedScatter')
  checkMask(mask, 'maskedScatter')
  checkTensor(value, 'maskedScatter')
  const full = broadcastTo(mask.node, x.node.shape)
  const n = x.size
  const flat = reshape(full, [n])
  // The k-th true element takes value k; false ones look at a place that is not used.
  const rank = binary('sub', cumulate('sum', castNode(flat, 'int64'), 0), constant(1, 'int64', [n]))
  const source = where(flat, rank, constantLike(rank, 0))
  const values = reshape(castNode(value.node, x.dtype), [value.size])
  const taken = value.size === 0 ? reshape(x.node, [n]) : gatherNode(values, source, 0)
  return new Tensor(where(full, reshape(taken, x.shape), x.node))
}

/** Sliding windows of an axis: each of `size` elements, `step` apart, on a new last axis, `paddle.unfold` of a tensor. */
export function unfold(x: Tensor, axis: number, size: number, step: number): Tensor {
  checkTensor(x, 'unfold')
  const a = normalizeAxis(axis, x.ndim, 'unfold')
  const length = x.shape[a]!
  if (!Number.isInteger(size) || size < 0 || size > length || !Number.isInteger(step) || step < 1)
    throw new ArgumentError(`unfold: windows of ${size} every ${step} do not fit the ${length} elements of axis ${a}`)
  const windows = Math.floor((length - size) / step) + 1
  const shape = [windows, size]
  const first = binary('mul', iota(shape, 0, 'int64'), constant(step, 'int64', shape))
  const picked = gatherNode(x.node, binary('add', first, iota(shape, 1, 'int64')), a)
  const order = picked.shape.map((_, i) => i).filter((i) => i !== a + 1)
  return new Tensor(permute(picked, [...order, a + 1]))
}
