/** dtype and shape: cast, reshape, transpose, expand, ... as in paddle.tensor.manipulation. */
import { isFloat, isInteger as isIntegerType, type DType } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import {
  broadcastShapes,
  checkShape,
  formatShape,
  normalizeAxes,
  normalizeAxis,
  numel,
  type Shape,
} from '../common/shape.ts'
import {
  broadcastTo as broadcastNode,
  cast as castNode,
  expand as expandNode,
  permute,
  reshape as reshapeNode,
} from '../graph/build.ts'
import { checkDtype } from './creation.ts'
import { broadcastNodes, checkTensor, checkTensors } from './promotion.ts'
import { fromHost, Tensor } from './tensor.ts'

export type Axes = number | readonly number[]

/** The same numbers in another dtype: truncated for integers, `!= 0` for bool, `paddle.cast`. */
export function cast<D extends DType>(x: Tensor, dtype: D): Tensor<D> {
  checkTensor(x, 'cast')
  checkDtype(dtype, 'cast')
  return new Tensor<D>(castNode(x.node, dtype))
}

/** As `cast`, `Tensor.astype`. */
export function astype<D extends DType>(x: Tensor, dtype: D): Tensor<D> {
  return cast(x, dtype)
}

/** The shape asked for with 0 (copy that axis of `from`) and -1 (work it out) filled in. */
function inferShape(size: number, from: Shape, shape: Shape, op: string): number[] {
  if (!Array.isArray(shape))
    throw new ArgumentError(`${op}: the shape must be an array of integers, got ${typeof shape}`)
  let unknown = -1
  const sizes = (shape as readonly number[]).map((d, i) => {
    if (!Number.isInteger(d) || d < -1)
      throw new ShapeError(`${op}: ${formatShape(shape)} has ${d}; allowed are sizes, 0 (copy) and one -1`)
    if (d === -1) {
      if (unknown >= 0) throw new ShapeError(`${op}: ${formatShape(shape)} has more than one -1`)
      unknown = i
      return 1
    }
    if (d !== 0 || size === 0) return d
    if (i >= from.length) throw new ShapeError(`${op}: 0 at axis ${i} copies an axis that ${formatShape(from)} lacks`)
    return from[i]!
  })
  if (unknown >= 0) {
    const known = numel(sizes)
    if (known === 0 ? size !== 0 : size % known !== 0)
      throw new ShapeError(`${op}: ${size} elements of ${formatShape(from)} do not fit ${formatShape(shape)}`)
    sizes[unknown] = known === 0 ? 0 : size / known
  }
  return sizes
}

/**
 * The same elements in another shape, `paddle.reshape`. 0 copies the size of that axis from x, one -1 is worked out.
 * Throws ShapeError where the numbers of elements differ.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  checkTensor(x, 'reshape')
  return new Tensor(reshapeNode(x.node, inferShape(x.size, x.node.shape, shape, 'reshape')))
}

/** As `reshape`, `paddle.view` with a shape. */
export function view(x: Tensor, shape: Shape): Tensor {
  return reshape(x, shape)
}

/** x in the shape of `other`, `paddle.view_as`. */
export function viewAs(x: Tensor, other: Tensor): Tensor {
  return reshapeAs(x, other)
}

/** x in the shape of `other`. Throws ShapeError where the numbers of elements differ. */
export function reshapeAs(x: Tensor, other: Tensor): Tensor {
  checkTensor(x, 'reshapeAs')
  checkTensor(other, 'reshapeAs')
  return new Tensor(reshapeNode(x.node, other.shape))
}

/** Axes startAxis ... stopAxis as one, `paddle.flatten`. */
export function flatten(x: Tensor, startAxis = 0, stopAxis = -1): Tensor {
  checkTensor(x, 'flatten')
  if (x.ndim === 0) return new Tensor(reshapeNode(x.node, [1]))
  const first = normalizeAxis(startAxis, x.ndim, 'flatten')
  const last = normalizeAxis(stopAxis, x.ndim, 'flatten')
  if (first > last) throw new ArgumentError(`flatten: startAxis ${startAxis} lies behind stopAxis ${stopAxis}`)
  const { shape } = x
  return new Tensor(
    reshapeNode(x.node, [...shape.slice(0, first), numel(shape.slice(first, last + 1)), ...shape.slice(last + 1)]),
  )
}

/** Axis `axis` as several axes; one of them may be -1, `paddle.unflatten`. */
export function unflatten(x: Tensor, axis: number, shape: Shape): Tensor {
  checkTensor(x, 'unflatten')
  const a = normalizeAxis(axis, x.ndim, 'unflatten')
  const inner = inferShape(x.shape[a]!, [x.shape[a]!], shape, 'unflatten')
  return new Tensor(reshapeNode(x.node, [...x.shape.slice(0, a), ...inner, ...x.shape.slice(a + 1)]))
}

/** Axes of size 1 removed: all, or those named that have size 1, `paddle.squeeze`. */
export function squeeze(x: Tensor, axis?: Axes): Tensor {
  checkTensor(x, 'squeeze')
  const axes = normalizeAxes(axis, x.ndim, 'squeeze')
  return new Tensor(
    reshapeNode(
      x.node,
      x.shape.filter((d, i) => d !== 1 || !axes.includes(i)),
    ),
  )
}

/** New axes of size 1; several are inserted one after the other, each counted in the shape made so far, `paddle.unsqueeze`. */
export function unsqueeze(x: Tensor, axis: Axes): Tensor {
  checkTensor(x, 'unsqueeze')
  const shape = x.shape
  for (const a of typeof axis === 'number' ? [axis] : axis)
    shape.splice(normalizeAxis(a, shape.length + 1, 'unsqueeze'), 0, 1)
  return new Tensor(reshapeNode(x.node, shape))
}

/** Axes in another order; by default reversed, `paddle.transpose`. */
export function transpose(x: Tensor, perm?: readonly number[]): Tensor {
  checkTensor(x, 'transpose')
  const order = perm ?? x.shape.map((_, i) => x.ndim - 1 - i)
  if (order.length !== x.ndim)
    throw new ArgumentError(
      `transpose: perm [${order.join(', ')}] has ${order.length} axes, the tensor ${formatShape(x.shape)} has ${x.ndim}`,
    )
  return new Tensor(
    permute(
      x.node,
      order.map((a) => normalizeAxis(a, x.ndim, 'transpose')),
    ),
  )
}

/** A vector as it is, a matrix transposed, `paddle.t`. Throws ShapeError for more axes. */
export function t(x: Tensor): Tensor {
  checkTensor(x, 't')
  if (x.ndim > 2)
    throw new ShapeError(`t: takes at most two axes, got ${formatShape(x.shape)}; use transpose with perm`)
  return transpose(x)
}

/** Two axes exchanged, `paddle.swapaxes`. */
export function swapaxes(x: Tensor, axis0: number, axis1: number): Tensor {
  checkTensor(x, 'swapaxes')
  const a = normalizeAxis(axis0, x.ndim, 'swapaxes')
  const b = normalizeAxis(axis1, x.ndim, 'swapaxes')
  return new Tensor(
    permute(
      x.node,
      x.shape.map((_, i) => (i === a ? b : i === b ? a : i)),
    ),
  )
}

/** Matrices in the last two axes transposed, `paddle.linalg.matrix_transpose`. */
export function matrixTranspose(x: Tensor): Tensor {
  checkTensor(x, 'matrixTranspose')
  if (x.ndim < 2) throw new ShapeError(`matrixTranspose: needs at least two axes, got ${formatShape(x.shape)}`)
  return swapaxes(x, -2, -1)
}

/** Axes `source` moved to places `destination`, the others in their order, `paddle.moveaxis`. */
export function moveaxis(x: Tensor, source: Axes, destination: Axes): Tensor {
  checkTensor(x, 'moveaxis')
  const from = (typeof source === 'number' ? [source] : source).map((a) => normalizeAxis(a, x.ndim, 'moveaxis'))
  const to = (typeof destination === 'number' ? [destination] : destination).map((a) =>
    normalizeAxis(a, x.ndim, 'moveaxis'),
  )
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length)
    throw new ArgumentError(`moveaxis: [${from.join(', ')}] and [${to.join(', ')}] must name as many distinct axes`)
  const rest = x.shape.map((_, i) => i).filter((i) => !from.includes(i))
  const order = x.shape.map((_, i) => {
    const k = to.indexOf(i)
    return k >= 0 ? from[k]! : rest.shift()!
  })
  return new Tensor(permute(x.node, order))
}

/** Axes of size 1 repeated and new ones put in front; -1 keeps a size, `paddle.expand`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkTensor(x, 'expand')
  const missing = shape.length - x.ndim
  if (missing < 0)
    throw new ShapeError(`expand: ${formatShape(shape)} has fewer axes than the tensor ${formatShape(x.shape)}`)
  const sizes = shape.map((d, i) => {
    if (d !== -1) return d
    if (i < missing) throw new ShapeError(`expand: -1 at axis ${i} of ${formatShape(shape)}, which the tensor lacks`)
    return x.shape[i - missing]!
  })
  return new Tensor(broadcastNode(x.node, sizes))
}

/** As `expand`, `paddle.broadcast_to`. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return expand(x, shape)
}

/** x expanded to the shape of y, `paddle.expand_as`. */
export function expandAs(x: Tensor, y: Tensor): Tensor {
  checkTensor(y, 'expandAs')
  return expand(x, y.shape)
}

/** All tensors expanded to their common shape, `paddle.broadcast_tensors`. */
export function broadcastTensors(inputs: readonly Tensor[]): Tensor[] {
  checkTensors(inputs, 'broadcastTensors')
  return broadcastNodes(
    'broadcastTensors',
    inputs.map((x) => x.node),
  ).map((n) => new Tensor(n))
}

/** The common shape of two shapes, `paddle.broadcast_shape`. */
export function broadcastShape(xShape: Shape, yShape: Shape): number[] {
  checkShape(xShape, 'broadcastShape')
  checkShape(yShape, 'broadcastShape')
  return broadcastShapes(xShape, yShape, 'broadcastShape')
}

/** The tensor repeated along each axis; missing axes are put in front, `paddle.tile`. */
export function tile(x: Tensor, repeatTimes: Axes): Tensor {
  checkTensor(x, 'tile')
  const given = typeof repeatTimes === 'number' ? [repeatTimes] : repeatTimes
  if (given.some((r) => !Number.isInteger(r) || r < 0))
    throw new ArgumentError(`tile: repeats must be non-negative integers, got [${given.join(', ')}]`)
  const rank = Math.max(given.length, x.ndim)
  const sizes = [...new Array<number>(rank - x.ndim).fill(1), ...x.shape]
  const repeats = [...new Array<number>(rank - given.length).fill(1), ...given]
  const apart = reshapeNode(
    x.node,
    sizes.flatMap((d) => [1, d]),
  )
  const repeated = expandNode(
    apart,
    sizes.flatMap((d, i) => [repeats[i]!, d]),
  )
  return new Tensor(
    reshapeNode(
      repeated,
      sizes.map((d, i) => d * repeats[i]!),
    ),
  )
}

/** At least one axis each: numbers become vectors of one, `paddle.atleast_1d`. */
export function atleast1d(...inputs: readonly Tensor[]): Tensor | Tensor[] {
  checkTensors(inputs, 'atleast1d')
  return oneOrMany(inputs.map((x) => (x.ndim === 0 ? reshape(x, [1]) : x)))
}

/** At least two axes each, new ones in front, `paddle.atleast_2d`. */
export function atleast2d(...inputs: readonly Tensor[]): Tensor | Tensor[] {
  checkTensors(inputs, 'atleast2d')
  return oneOrMany(inputs.map((x) => (x.ndim < 2 ? reshape(x, [1, x.size]) : x)))
}

/** At least three axes each: vectors become [1, n, 1], matrices [n, m, 1], `paddle.atleast_3d`. */
export function atleast3d(...inputs: readonly Tensor[]): Tensor | Tensor[] {
  checkTensors(inputs, 'atleast3d')
  return oneOrMany(inputs.map((x) => (x.ndim < 2 ? reshape(x, [1, x.size, 1]) : x.ndim === 2 ? unsqueeze(x, 2) : x)))
}

const oneOrMany = (out: Tensor[]): Tensor | Tensor[] => (out.length === 1 ? out[0]! : out)

/** The size of each axis, as an int64 vector, `paddle.shape`. */
export function shape(x: Tensor): Tensor {
  checkTensor(x, 'shape')
  return fromHost({ dtype: 'int64', shape: [x.ndim], data: BigInt64Array.from(x.shape, BigInt) })
}

/** The number of axes, as an int32 tensor of rank 0, `paddle.rank`. */
export function rank(x: Tensor): Tensor {
  checkTensor(x, 'rank')
  return fromHost({ dtype: 'int32', shape: [], data: Int32Array.of(x.ndim) })
}

/** Whether the argument is a Tensor, `paddle.is_tensor`. */
export function isTensor(x: unknown): x is Tensor {
  return x instanceof Tensor
}

/** Whether the dtype is floating, `paddle.is_floating_point`. */
export function isFloatingPoint(x: Tensor): boolean {
  checkTensor(x, 'isFloatingPoint')
  return isFloat(x.dtype)
}

/** Whether the dtype is an integer's, `paddle.is_integer`. */
export function isInteger(x: Tensor): boolean {
  checkTensor(x, 'isInteger')
  return isIntegerType(x.dtype)
}
