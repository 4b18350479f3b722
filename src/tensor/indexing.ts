/** Reading and writing by position: gather, scatter, takeAlongAxis, ... as in paddle.tensor.manipulation. */
import { isInteger } from '../common/dtype.ts'
import { DTypeError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, normalizeAxis, numel, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  flatIndex,
  gather as gatherNode,
  reshape,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { checkTensor, constantLike } from './promotion.ts'
import { Tensor } from './tensor.ts'

/** Throws DTypeError unless the index is int32 or int64; narrow integers are widened. */
export function indexNode(index: Tensor, op: string): Node {
  checkTensor(index, op)
  if (!isInteger(index.dtype))
    throw new DTypeError(`${op}: an index must hold integers, got ${index.dtype}; cast it with .astype('int64')`)
  return index.dtype === 'int32' ? index.node : castNode(index.node, 'int64')
}

function vectorIndex(index: Tensor, op: string): Node {
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

/**
 * Row-major offsets in `shape` of the elements that an index of the same rank picks along `axis`. Negative positions count from the
 * end; positions outside the axis become an offset outside the tensor, so that the gather or scatter reports them.
 */
export function elementOffsets(shape: Shape, index: Node, axis: number): Node {
  const size = shape[axis]!
  const wide = castNode(index, 'int64')
  const of = (v: number): Node => constantLike(wide, v)
  const fromStart = where(binary('lt', wide, of(0)), binary('add', wide, of(size)), wide)
  const inside = binary('and', binary('ge', fromStart, of(0)), binary('lt', fromStart, of(size)))
  return where(inside, flatIndex(shape, fromStart, axis), of(numel(shape)))
}

/** Index and array shapes of takeAlongAxis and putAlongAxis: the index repeated to the array's shape but for the axis. */
export function alongAxis(
  arr: Tensor,
  indices: Tensor,
  axis: number,
  broadcast: boolean,
  op: string,
): { index: Node; array: Node; axis: number } {
  checkTensor(arr, op)
  const index = indexNode(indices, op)
  const a = normalizeAxis(axis, arr.ndim, op)
  if (index.shape.length !== arr.ndim)
    throw new ShapeError(
      `${op}: the index ${formatShape(index.shape)} must have the rank of the tensor ${formatShape(arr.shape)}`,
    )
  if (!broadcast) {
    index.shape.forEach((d, i) => {
      if (i !== a && d > arr.shape[i]!)
        throw new ShapeError(
          `${op}: the index ${formatShape(index.shape)} exceeds the tensor ${formatShape(arr.shape)} at axis ${i}`,
        )
    })
    return { index, array: arr.node, axis: a }
  }
  const others = (s: Shape): number[] => s.map((d, i) => (i === a ? 1 : d))
  const common = broadcastShapes(others(index.shape), others(arr.shape), op)
  const withAxis = (size: number): number[] => common.map((d, i) => (i === a ? size : d))
  return {
    index: broadcastTo(index, withAxis(index.shape[a]!)),
    array: broadcastTo(arr.node, withAxis(arr.shape[a]!)),
    axis: a,
  }
}

/**
 * out[i][j] = arr[indices[i][j]][j] for axis 0: one element for each index, `paddle.take_along_axis`. The index has arr's rank and,
 * where `broadcast` (default), repeats to arr's shape but for the axis.
 */
export function takeAlongAxis(arr: Tensor, indices: Tensor, axis: number, broadcast = true): Tensor {
  const { index, array, axis: a } = alongAxis(arr, indices, axis, broadcast, 'takeAlongAxis')
  const offsets = elementOffsets(array.shape, index, a)
  return new Tensor(gatherNode(reshape(array, [numel(array.shape)]), offsets, 0))
}
