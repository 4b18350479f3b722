/** One element for each index along an axis: takeAlongAxis and putAlongAxis, as in paddle.tensor.manipulation. */
import { isFloat, type DType } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, normalizeAxis, numel, sameShape, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  flatIndex,
  gather as gatherNode,
  iota,
  reduce,
  reshape,
  scatter as scatterNode,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { indexNode } from './indexing.ts'
import { checkTensor, constantLike, valueNode, type Operand } from './promotion.ts'
import { Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

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
  const out = new Tensor(gatherNode(reshape(array, [numel(array.shape)]), offsets, 0))
  if (!sameShape(index.shape, indices.shape) || !sameShape(array.shape, arr.shape)) return out
  return asOperator('take_along_axis', out, () => ({ inputs: { arr, indices }, attributes: { axis: a } }))
}

/** As `takeAlongAxis` along axis 1: row i of the result holds the elements of row i at index row i, `paddle.index_sample`. */
export function indexSample(x: Tensor, index: Tensor): Tensor {
  checkTensor(x, 'indexSample')
  checkTensor(index, 'indexSample')
  if (x.ndim !== 2 || index.ndim !== 2 || x.shape[0] !== index.shape[0])
    throw new ShapeError(
      `indexSample: needs two matrices of as many rows, got ${formatShape(x.shape)} and ${formatShape(index.shape)}`,
    )
  return takeAlongAxis(x, index, 1, false)
}

export type PutReduction = 'assign' | 'add' | 'mul' | 'multiply' | 'amin' | 'amax' | 'mean'

export interface PutAlongAxisOptions {
  /** What happens where something is already: `assign` (default) replaces it. */
  readonly reduce?: PutReduction
  /** Whether arr's own elements take part in the reduction. Default true. */
  readonly includeSelf?: boolean
  /** Repeats the index to arr's shape but for the axis. Default true. */
  readonly broadcast?: boolean
}

/**
 * arr with out[indices[i][j]][j] = values[i][j] for axis 0, or reduced with what is there, `paddle.put_along_axis`. Products and extrema
 * compare every position of the axis with every index: their cost is the product of both.
 */
export function putAlongAxis(
  arr: Tensor,
  indices: Tensor,
  values: Operand,
  axis: number,
  options: PutAlongAxisOptions = {},
): Tensor {
  const { reduce: how = 'assign', includeSelf = true, broadcast = true } = options
  const { index, array, axis: a } = alongAxis(arr, indices, axis, broadcast, 'putAlongAxis')
  const updates = valueNode(values, arr.dtype, index.shape)
  const count = numel(index.shape)
  const size = numel(array.shape)
  const offsets = reshape(elementOffsets(array.shape, index, a), [count])
  const into = (base: Node, what: Node, kind: 'add' | 'set'): Node =>
    reshape(scatterNode(reshape(base, [size]), offsets, reshape(what, [count]), 0, kind), array.shape)
  if (how === 'assign') return new Tensor(into(array, updates, 'set'))
  const start = includeSelf ? array : into(array, constantLike(updates, 0), 'set')
  if (how === 'add') return new Tensor(into(start, updates, 'add'))
  if (how === 'mean') {
    const sum = into(start, updates, 'add')
    const own = includeSelf ? constantLike(array, 1) : into(constantLike(array, 1), constantLike(updates, 0), 'set')
    const counts = into(own, constantLike(updates, 1), 'add')
    return new Tensor(binary(isFloat(arr.dtype) ? 'div' : 'floordiv', sum, counts))
  }
  return new Tensor(putReduced(array, index, updates, a, how, includeSelf))
}

/** Products and extrema: each position of the axis meets each index on a new axis behind it. */
function putReduced(
  array: Node,
  index: Node,
  updates: Node,
  axis: number,
  how: PutReduction,
  includeSelf: boolean,
): Node {
  const kinds = {
    mul: ['reduceProd', 'mul'],
    multiply: ['reduceProd', 'mul'],
    amin: ['reduceMin', 'min'],
    amax: ['reduceMax', 'max'],
  } as const
  const kind = kinds[how as keyof typeof kinds]
  if (!kind) throw new ArgumentError(`putAlongAxis: there is no reduction '${how}'`)
  const [fold, join] = kind
  const n = index.shape[axis]!
  if (n === 0) return array
  const shape = [...array.shape.slice(0, axis + 1), n, ...array.shape.slice(axis + 1)]
  const wide = castNode(index, 'int64')
  const fromStart = where(
    binary('lt', wide, constantLike(wide, 0)),
    binary('add', wide, constantLike(wide, array.shape[axis]!)),
    wide,
  )
  const spread = (v: Node): Node =>
    broadcastTo(reshape(v, [...v.shape.slice(0, axis), 1, ...v.shape.slice(axis)]), shape)
  const hits = binary('eq', spread(fromStart), iota(shape, axis, 'int64'))
  const neutral = fold === 'reduceProd' ? 1 : fold === 'reduceMax' ? lowest(array.dtype) : highest(array.dtype)
  const met = reduce(fold, where(hits, spread(updates), constant(neutral, array.dtype, shape)), [axis + 1])
  if (includeSelf) return binary(join, array, met)
  const touched = castNode(reduce('reduceMax', castNode(hits, 'int32'), [axis + 1]), 'bool')
  return where(touched, met, array)
}

const integerBits: Partial<Record<DType, number>> = { uint8: 8, int8: 7, int32: 31, int64: 63 }
const highest = (dtype: DType): number | bigint =>
  isFloat(dtype) ? Infinity : dtype === 'int64' ? 2n ** 63n - 1n : 2 ** integerBits[dtype]! - 1
const lowest = (dtype: DType): number | bigint =>
  isFloat(dtype) ? -Infinity : dtype === 'uint8' ? 0 : dtype === 'int64' ? -(2n ** 63n) : -(2 ** integerBits[dtype]!)
