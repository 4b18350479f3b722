/** Reading and writing by brackets, as Python's x[1:3, ..., mask], and the functions that are such reads and writes. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, normalizeAxis, numel, type Shape } from '../common/shape.ts'
import { broadcastTo, iota, reshape, scatter as scatterNode, where } from '../graph/build.ts'
import { maskedSelect } from './data-dependent.ts'
import { IndexSlice, readIndex, type IndexItem } from './index-expression.ts'
import { maskedScatter } from './indexing.ts'
import { checkTensor, valueNode, type Operand } from './promotion.ts'
import { Tensor } from './tensor.ts'

/** x with the elements at index tensors (one for each of the first axes, broadcast together) set, or added to, `paddle.index_put`. */
export function indexPut(x: Tensor, indices: readonly Tensor[], value: Operand, accumulate = false): Tensor {
  checkTensor(x, 'indexPut')
  return write(x, indices, value, accumulate ? 'add' : 'set')
}

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
  const items = ranges(x, axes, starts, ends, strides, op)
  return new Tensor(readIndex(x.node, items))
}

/** The index that takes starts[i]:ends[i]:strides[i] of each of `axes`, and the others whole. */
function ranges(
  x: Tensor,
  axes: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  strides: readonly number[] | null,
  op: string,
): IndexItem[] {
  checkTensor(x, op)
  if (starts.length !== axes.length || ends.length !== axes.length || (strides && strides.length !== axes.length))
    throw new ArgumentError(`${op}: ${axes.length} axes need as many starts, ends and strides`)
  const items = x.shape.map((): IndexItem => new IndexSlice(null, null, 1))
  axes.forEach((given, i) => {
    items[normalizeAxis(given, x.ndim, op)] = new IndexSlice(starts[i]!, ends[i]!, strides?.[i] ?? 1)
  })
  return items
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
  return write(x, ranges(x, axes, starts, ends, strides, 'sliceScatter'), value, 'set')
}
