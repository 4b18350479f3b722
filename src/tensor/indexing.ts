/** Reading and writing by position: gather, scatter, takeAlongAxis, ... as in paddle.tensor.manipulation. */
import { isFloat, isInteger, type DType } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, normalizeAxis, numel, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  cumulate,
  flatIndex,
  gather as gatherNode,
  iota,
  permute,
  reduce,
  reshape,
  scatter as scatterNode,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { zeros } from './creation.ts'
import { maskedSelect } from './data-dependent.ts'
import { IndexSlice, leadingOffsets, readIndex, type IndexItem } from './index-expression.ts'
import { checkOperand, checkTensor, constantLike, scalarNode, type Operand } from './promotion.ts'
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

/** As `takeAlongAxis` along axis 1: row i of the result holds the elements of row i at index row i, `paddle.index_sample`. */
export function indexSample(x: Tensor, index: Tensor): Tensor {
  if (x.ndim !== 2 || index.ndim !== 2 || x.shape[0] !== index.shape[0])
    throw new ShapeError(
      `indexSample: needs two matrices of as many rows, got ${formatShape(x.shape)} and ${formatShape(index.shape)}`,
    )
  return takeAlongAxis(x, index, 1, false)
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
  return new Tensor(gatherNode(leading(x.node, depth), offsets, 0))
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

/** x with the elements at index tensors (one for each of the first axes, broadcast together) set, or added to, `paddle.index_put`. */
export function indexPut(x: Tensor, indices: readonly Tensor[], value: Operand, accumulate = false): Tensor {
  checkTensor(x, 'indexPut')
  return write(x, indices, value, accumulate ? 'add' : 'set')
}

/** A number or tensor as a node of a dtype, repeated to a shape. */
function valueNode(value: Operand, dtype: DType, shape: Shape): Node {
  checkOperand(value, 'set')
  return broadcastTo(
    value instanceof Tensor ? castNode(value.node, dtype) : castNode(scalarNode(value, dtype), dtype),
    shape,
  )
}

/** x where the mask is false, a number (or a tensor of rank 0) where it is true, `paddle.masked_fill`. */
export function maskedFill(x: Tensor, mask: Tensor, value: Operand): Tensor {
  checkTensor(x, 'maskedFill')
  checkMask(mask, 'maskedFill')
  const shape = broadcastShapes(x.shape, mask.shape, 'maskedFill')
  return new Tensor(where(broadcastTo(mask.node, shape), valueNode(value, x.dtype, shape), broadcastTo(x.node, shape)))
}

function checkMask(mask: Tensor, op: string): void {
  checkTensor(mask, op)
  if (mask.dtype !== 'bool')
    throw new DTypeError(`${op}: a mask must be bool, got ${mask.dtype}; compare it with 0 first`)
}

/** x with the elements under the mask replaced, in order, by the elements of `value`, `paddle.masked_scatter`. */
export function maskedScatter(x: Tensor, mask: Tensor, value: Tensor): Tensor {
  checkTensor(x, 'maskedScatter')
  checkMask(mask, 'maskedScatter')
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

// ---- brackets -----------------------------------------------------------------------------------------------------------

/**
 * x[...index] as in Python: positions, slices (`slice(0, 4, 2)` or `'0:4:2'`), `'...'`, `null` for a new axis, arrays or integer tensors of
 * positions. A mask as the only item gives a promise, as `maskedSelect`. Throws IndexOutOfRangeError for a position outside its axis.
 * @example getItem(x, 0, '1:3', '...'); await getItem(x, greaterThan(x, 0))
 */
export function getItem(x: Tensor, mask: Tensor<'bool'>): Promise<Tensor>
export function getItem(x: Tensor, ...index: IndexItem[]): Tensor
export function getItem(x: Tensor, ...index: IndexItem[]): Tensor | Promise<Tensor> {
  checkTensor(x, 'getItem')
  const [only] = index
  if (index.length === 1 && only instanceof Tensor && only.dtype === 'bool') return maskedSelect(x, only)
  return new Tensor(readIndex(x.node, index))
}

/** x with the elements that the index names replaced or added to: a scatter at the positions that the same index reads. */
function write(x: Tensor, index: readonly IndexItem[], value: Operand, mode: 'add' | 'set'): Tensor {
  const n = x.size
  const places = readIndex(reshape(iota([n], 0, 'int64'), x.shape), index)
  const count = numel(places.shape)
  if (count === 0) return new Tensor(x.node)
  // As in NumPy, leading axes of size 1 of the value are ignored.
  let given = value
  while (given instanceof Tensor && given.ndim > places.shape.length && given.shape[0] === 1)
    given = new Tensor(reshape(given.node, given.shape.slice(1)))
  const updates = reshape(valueNode(given, x.dtype, places.shape), [count])
  const flat = scatterNode(reshape(x.node, [n]), reshape(places, [count]), updates, 0, mode)
  return new Tensor(reshape(flat, x.shape))
}

/** x with a value under a mask over its first axes: broadcast, or one slice for each true element in order. */
function writeMask(x: Tensor, mask: Tensor, value: Operand): Tensor {
  const rest = x.shape.slice(mask.ndim)
  if (formatShape(mask.shape) !== formatShape(x.shape.slice(0, mask.ndim)))
    throw new ShapeError(
      `set: the mask ${formatShape(mask.shape)} does not cover the first axes of ${formatShape(x.shape)}`,
    )
  const full = broadcastTo(reshape(mask.node, [...mask.shape, ...rest.map(() => 1)]), x.shape)
  const inOrder = value instanceof Tensor && value.ndim === rest.length + 1 && value.shape[0] !== 1
  if (inOrder) return maskedScatter(x, new Tensor(full), value)
  const single =
    value instanceof Tensor && value.ndim > rest.length ? new Tensor(reshape(value.node, value.shape.slice(1))) : value
  return new Tensor(where(full, valueNode(single, x.dtype, x.shape), x.node))
}

/**
 * A copy of x with the elements at an index (one item, or an array of them) replaced by a number or a tensor that broadcasts to what the
 * index reads; a mask may be the only item. The method `x.set(index, value)` replaces x's own value.
 * @example x.set([0, '1:3'], 5); x.set(lessThan(x, 0), 0)
 */
export function setItem(x: Tensor, index: IndexItem | readonly IndexItem[], value: Operand): Tensor {
  checkTensor(x, 'set')
  const items: readonly IndexItem[] = Array.isArray(index) ? (index as readonly IndexItem[]) : [index as IndexItem]
  const [only] = items
  if (items.length === 1 && only instanceof Tensor && only.dtype === 'bool') return writeMask(x, only, value)
  return write(x, items, value, 'set')
}

/** A range of an axis for `get` and `set`, as Python's `slice`; or, given a tensor, `paddle.slice`: x[starts[i]:ends[i]] on each of `axes`. */
export function slice(start?: number | null, stop?: number | null, step?: number): IndexSlice
export function slice(
  input: Tensor,
  axes: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
): Tensor
export function slice(
  first?: Tensor | number | null,
  second?: readonly number[] | number | null,
  third?: readonly number[] | number,
  ends?: readonly number[],
): IndexSlice | Tensor {
  if (first instanceof Tensor)
    return stridedSlice(first, second as readonly number[], third as readonly number[], ends!, null, 'slice')
  // slice(stop) with one argument, as in Python.
  if (second === undefined && third === undefined) return new IndexSlice(null, first ?? null, 1)
  return new IndexSlice(
    first ?? null,
    (second as number | null | undefined) ?? null,
    (third as number | undefined) ?? 1,
  )
}

/** x[starts[i]:ends[i]:strides[i]] on each of `axes`, `paddle.strided_slice`. */
export function stridedSlice(
  x: Tensor,
  axes: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  strides: readonly number[] | null,
  op = 'stridedSlice',
): Tensor {
  checkTensor(x, op)
  if (starts.length !== axes.length || ends.length !== axes.length || (strides && strides.length !== axes.length))
    throw new ArgumentError(`${op}: ${axes.length} axes need as many starts, ends and strides`)
  const items = x.shape.map((): IndexItem => new IndexSlice(null, null, 1))
  axes.forEach((given, i) => {
    items[normalizeAxis(given, x.ndim, op)] = new IndexSlice(starts[i]!, ends[i]!, strides?.[i] ?? 1)
  })
  return new Tensor(readIndex(x.node, items))
}

/** The block of a shape (-1: to the end) at offsets, `paddle.crop`. Throws ShapeError where it does not lie inside. */
export function crop(x: Tensor, shape: Shape = x.shape, offsets: Shape = x.shape.map(() => 0)): Tensor {
  checkTensor(x, 'crop')
  const stops = x.shape.map((d, i) => (shape[i] === -1 ? d : (offsets[i] ?? 0) + (shape[i] ?? d)))
  if (shape.length !== x.ndim || offsets.length !== x.ndim || stops.some((s, i) => s > x.shape[i]! || offsets[i]! < 0))
    throw new ShapeError(
      `crop: ${formatShape(shape)} at ${formatShape(offsets)} does not lie in ${formatShape(x.shape)}`,
    )
  return new Tensor(
    readIndex(
      x.node,
      stops.map((s, i) => new IndexSlice(offsets[i]!, s, 1)),
    ),
  )
}

/** A copy of x with the slice at `index` of an axis replaced, `paddle.select_scatter`. */
export function selectScatter(x: Tensor, values: Tensor, axis: number, index: number): Tensor {
  checkTensor(x, 'selectScatter')
  const a = normalizeAxis(axis, x.ndim, 'selectScatter')
  return write(
    x,
    x.shape.slice(0, a + 1).map((_, i): IndexItem => (i === a ? index : ':')),
    values,
    'set',
  )
}

/** A copy of x with x[starts[i]:ends[i]:strides[i]] on each of `axes` replaced, `paddle.slice_scatter`. */
export function sliceScatter(
  x: Tensor,
  value: Tensor,
  axes: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  strides: readonly number[] = axes.map(() => 1),
): Tensor {
  checkTensor(x, 'sliceScatter')
  const items = x.shape.map((): IndexItem => ':')
  axes.forEach((given, i) => {
    items[normalizeAxis(given, x.ndim, 'sliceScatter')] = new IndexSlice(starts[i]!, ends[i]!, strides[i]!)
  })
  return write(x, items, value, 'set')
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
