/** Shapes and arrangement: reshape, transpose, concat, split, roll, ... as in paddle.tensor.manipulation. */
import { isFloat, isInteger as isIntegerType, type DType } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, normalizeAxes, normalizeAxis, numel, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo as broadcastNode,
  cast as castNode,
  expand as expandNode,
  flip as flipNode,
  gather as gatherNode,
  pad as padNode,
  permute,
  reshape as reshapeNode,
  sliceAxis,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { underPolicy } from './autocast.ts'
import { checkDtype } from './creation.ts'
import { broadcastNodes, checkTensor, promoteTypes } from './promotion.ts'
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

// ---- shape --------------------------------------------------------------------------------------------------------------

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
  return expand(x, y.shape)
}

/** All tensors expanded to their common shape, `paddle.broadcast_tensors`. */
export function broadcastTensors(inputs: readonly Tensor[]): Tensor[] {
  if (inputs.length === 0) return []
  inputs.forEach((x) => checkTensor(x, 'broadcastTensors'))
  return broadcastNodes(
    'broadcastTensors',
    inputs.map((x) => x.node),
  ).map((n) => new Tensor(n))
}

/** The common shape of two shapes, `paddle.broadcast_shape`. */
export function broadcastShape(xShape: Shape, yShape: Shape): number[] {
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

// ---- joining and splitting ----------------------------------------------------------------------------------------------

/**
 * Pieces next to each other: each is padded with zeros to the whole and they are added, in a balanced tree, so that the gradient of a
 * piece is a plain slice. (A negative zero comes out positive.)
 */
export function concatNodes(pieces: readonly Node[], axis: number): Node {
  if (pieces.length === 1) return pieces[0]!
  const half = pieces.length >> 1
  const a = concatNodes(pieces.slice(0, half), axis)
  const b = concatNodes(pieces.slice(half), axis)
  const [n, m] = [a.shape[axis]!, b.shape[axis]!]
  if (n === 0) return b
  if (m === 0) return a
  const amounts = (size: number): number[] => a.shape.map((_, i) => (i === axis ? size : 0))
  const none = amounts(0)
  return binary(a.dtype === 'bool' ? 'or' : 'add', padNode(a, none, amounts(m)), padNode(b, amounts(n), none))
}

function joined(op: string, x: readonly Tensor[]): Node[] {
  if (!Array.isArray(x) || x.length === 0) throw new ArgumentError(`${op}: needs an array of at least one tensor`)
  x.forEach((piece) => checkTensor(piece, op))
  const nodes = underPolicy(
    op,
    x.map((piece: Tensor) => piece.node),
  )
  const dtype = nodes.reduce((d, n) => promoteTypes(d, n.dtype, op), nodes[0]!.dtype)
  return nodes.map((n) => castNode(n, dtype))
}

/** Tensors joined along an axis; the other axes must agree, `paddle.concat`. */
export function concat(x: readonly Tensor[], axis = 0): Tensor {
  const nodes = joined('concat', x)
  const first = nodes[0]!.shape
  const a = normalizeAxis(axis, first.length, 'concat')
  for (const n of nodes) {
    if (n.shape.length !== first.length || n.shape.some((d, i) => i !== a && d !== first[i]))
      throw new ShapeError(
        `concat: ${formatShape(first)} and ${formatShape(n.shape)} differ in another axis than ${a}, along which they are joined`,
      )
  }
  return new Tensor(concatNodes(nodes, a))
}

/** Tensors of one shape joined along a new axis, `paddle.stack`. */
export function stack(x: readonly Tensor[], axis = 0): Tensor {
  const nodes = joined('stack', x)
  const { shape } = nodes[0]!
  const a = normalizeAxis(axis, shape.length + 1, 'stack')
  for (const n of nodes) {
    if (formatShape(n.shape) !== formatShape(shape))
      throw new ShapeError(`stack: shapes ${formatShape(shape)} and ${formatShape(n.shape)} differ`)
  }
  const thin = [...shape.slice(0, a), 1, ...shape.slice(a)]
  return new Tensor(
    concatNodes(
      nodes.map((n) => reshapeNode(n, thin)),
      a,
    ),
  )
}

/** Joined along the first axis, vectors as rows; numbers count as vectors of one, `paddle.vstack`. */
export function vstack(x: readonly Tensor[]): Tensor {
  return concat(x.map((v) => (v.ndim < 2 ? reshape(v, [1, v.size]) : v)))
}

/** Joined along the second axis, vectors along their only one, `paddle.hstack`. */
export function hstack(x: readonly Tensor[]): Tensor {
  const pieces = x.map((v) => (v.ndim === 0 ? reshape(v, [1]) : v))
  return concat(pieces, pieces.every((v) => v.ndim === 1) ? 0 : 1)
}

/** Joined along the third axis; vectors become [1, n, 1], matrices [n, m, 1], `paddle.dstack`. */
export function dstack(x: readonly Tensor[]): Tensor {
  return concat(
    x.map((v) => (v.ndim < 2 ? reshape(v, [1, v.size, 1]) : v.ndim === 2 ? unsqueeze(v, 2) : v)),
    2,
  )
}

/** As `vstack`, `paddle.row_stack`. */
export function rowStack(x: readonly Tensor[]): Tensor {
  return vstack(x)
}

/** Vectors as columns, matrices side by side, `paddle.column_stack`. */
export function columnStack(x: readonly Tensor[]): Tensor {
  return hstack(x.map((v) => (v.ndim < 2 ? reshape(v, [v.size, 1]) : v)))
}

/** Each piece [from, to) of an axis. */
function cut(x: Tensor, axis: number, bounds: readonly (readonly [number, number])[]): Tensor[] {
  return bounds.map(([from, to]) => new Tensor(sliceAxis(x.node, axis, from, to)))
}

function consecutive(sizes: readonly number[]): [number, number][] {
  let at = 0
  return sizes.map((s) => [at, (at += s)])
}

/** An axis cut into equal parts, or into sections of given sizes, one of which may be -1, `paddle.split`. */
export function split(x: Tensor, numOrSections: Axes, axis = 0): Tensor[] {
  checkTensor(x, 'split')
  const a = normalizeAxis(axis, x.ndim, 'split')
  const size = x.shape[a]!
  if (typeof numOrSections === 'number') {
    if (!Number.isInteger(numOrSections) || numOrSections < 1 || size % numOrSections !== 0)
      throw new ArgumentError(
        `split: axis ${a} of ${formatShape(x.shape)} does not divide into ${numOrSections} equal parts`,
      )
    return cut(x, a, consecutive(new Array<number>(numOrSections).fill(size / numOrSections)))
  }
  const known = numOrSections.reduce((s, d) => (d === -1 ? s : s + d), 0)
  const unknown = numOrSections.filter((d) => d === -1).length
  if (
    numOrSections.some((d) => !Number.isInteger(d) || d < -1) ||
    unknown > 1 ||
    (unknown ? known > size : known !== size)
  )
    throw new ArgumentError(
      `split: sections [${numOrSections.join(', ')}] do not make up the ${size} elements of axis ${a} of ${formatShape(x.shape)}`,
    )
  return cut(x, a, consecutive(numOrSections.map((d) => (d === -1 ? size - known : d))))
}

/** An axis cut into parts of nearly equal size (an integer), or at the given positions, `paddle.tensor_split`. */
export function tensorSplit(x: Tensor, numOrIndices: Axes, axis = 0): Tensor[] {
  checkTensor(x, 'tensorSplit')
  const a = normalizeAxis(axis, x.ndim, 'tensorSplit')
  const size = x.shape[a]!
  if (typeof numOrIndices === 'number') {
    if (!Number.isInteger(numOrIndices) || numOrIndices < 1)
      throw new ArgumentError(`tensorSplit: needs a positive number of parts, got ${numOrIndices}`)
    const [least, extra] = [Math.floor(size / numOrIndices), size % numOrIndices]
    return cut(x, a, consecutive(Array.from({ length: numOrIndices }, (_, i) => least + (i < extra ? 1 : 0))))
  }
  const at = numOrIndices.map((i) => Math.min(Math.max(i < 0 ? i + size : i, 0), size))
  const starts = [0, ...at]
  const stops = [...at, size]
  return cut(
    x,
    a,
    starts.map((s, i) => [s, Math.max(s, stops[i]!)]),
  )
}

/** `tensorSplit` along axis 1 (axis 0 for vectors), `paddle.hsplit`. */
export function hsplit(x: Tensor, numOrIndices: Axes): Tensor[] {
  return tensorSplit(x, numOrIndices, x.ndim === 1 ? 0 : 1)
}

/** `tensorSplit` along axis 0 of at least two, `paddle.vsplit`. */
export function vsplit(x: Tensor, numOrIndices: Axes): Tensor[] {
  if (x.ndim < 2) throw new ShapeError(`vsplit: needs at least two axes, got ${formatShape(x.shape)}`)
  return tensorSplit(x, numOrIndices, 0)
}

/** `tensorSplit` along axis 2, `paddle.dsplit`. */
export function dsplit(x: Tensor, numOrIndices: Axes): Tensor[] {
  return tensorSplit(x, numOrIndices, 2)
}

/** An axis cut into `chunks` equal parts, `paddle.chunk`. */
export function chunk(x: Tensor, chunks: number, axis = 0): Tensor[] {
  return split(x, chunks, axis)
}

/** The slices of an axis, without it, `paddle.unbind`. */
export function unbind(x: Tensor, axis = 0): Tensor[] {
  checkTensor(x, 'unbind')
  const a = normalizeAxis(axis, x.ndim, 'unbind')
  const rest = x.shape.filter((_, i) => i !== a)
  return Array.from({ length: x.shape[a]! }, (_, i) => new Tensor(reshapeNode(sliceAxis(x.node, a, i, i + 1), rest)))
}

/** As `unbind`, `paddle.unstack`. */
export function unstack(x: Tensor, axis = 0): Tensor[] {
  return unbind(x, axis)
}

// ---- order --------------------------------------------------------------------------------------------------------------

/** Axes reversed, `paddle.flip`. */
export function flip(x: Tensor, axis: Axes): Tensor {
  checkTensor(x, 'flip')
  return new Tensor(flipNode(x.node, normalizeAxes(axis, x.ndim, 'flip')))
}

/** As `flip`, `paddle.reverse`. */
export function reverse(x: Tensor, axis: Axes): Tensor {
  return flip(x, axis)
}

/** Elements moved along an axis, what leaves at the end comes back in front; without an axis over the flat tensor, `paddle.roll`. */
export function roll(x: Tensor, shifts: Axes, axis?: Axes): Tensor {
  checkTensor(x, 'roll')
  if (axis === undefined) return reshapeAs(roll(flatten(x), shifts, 0), x)
  const by = typeof shifts === 'number' ? [shifts] : shifts
  const axes = typeof axis === 'number' ? [axis] : axis
  if (by.length !== axes.length) throw new ArgumentError(`roll: ${by.length} shifts for ${axes.length} axes`)
  let node = x.node
  axes.forEach((given, i) => {
    const a = normalizeAxis(given, x.ndim, 'roll')
    const size = node.shape[a]!
    if (size === 0) return
    const start = (size - (((by[i]! % size) + size) % size)) % size
    if (start !== 0) node = concatNodes([sliceAxis(node, a, start, size), sliceAxis(node, a, 0, start)], a)
  })
  return new Tensor(node)
}

/** Turned by k quarter turns in the plane of two axes, from the first towards the second, `paddle.rot90`. */
export function rot90(x: Tensor, k = 1, axes: readonly [number, number] = [0, 1]): Tensor {
  checkTensor(x, 'rot90')
  const a = normalizeAxis(axes[0], x.ndim, 'rot90')
  const b = normalizeAxis(axes[1], x.ndim, 'rot90')
  if (a === b) throw new ArgumentError(`rot90: the axes [${axes.join(', ')}] are the same`)
  const turns = ((k % 4) + 4) % 4
  if (turns === 0) return new Tensor(x.node)
  if (turns === 2) return flip(x, [a, b])
  return turns === 1 ? swapaxes(flip(x, b), a, b) : flip(swapaxes(x, a, b), b)
}

/**
 * Each element of an axis (without one: of the flat tensor) repeated in place, `paddle.repeat_interleave`. `repeats` is one number or one
 * an element; a tensor of repeats is read with `await repeats.data()` first, since the shape depends on it.
 */
export function repeatInterleave(x: Tensor, repeats: Axes, axis?: number): Tensor {
  checkTensor(x, 'repeatInterleave')
  if (axis === undefined) return repeatInterleave(flatten(x), repeats, 0)
  const a = normalizeAxis(axis, x.ndim, 'repeatInterleave')
  const size = x.shape[a]!
  const valid = (r: number): boolean => Number.isInteger(r) && r >= 0
  if (typeof repeats === 'number') {
    if (!valid(repeats)) throw new ArgumentError(`repeatInterleave: repeats must not be negative, got ${repeats}`)
    const { shape } = x
    const apart = reshapeNode(x.node, [...shape.slice(0, a + 1), 1, ...shape.slice(a + 1)])
    const repeated = expandNode(apart, [...shape.slice(0, a + 1), repeats, ...shape.slice(a + 1)])
    return new Tensor(reshapeNode(repeated, [...shape.slice(0, a), size * repeats, ...shape.slice(a + 1)]))
  }
  if (repeats.length !== size || !repeats.every(valid))
    throw new ArgumentError(`repeatInterleave: axis ${a} has ${size} elements, got the repeats [${repeats.join(', ')}]`)
  const index = Int32Array.from(repeats.flatMap((r, i) => new Array<number>(r).fill(i)))
  const positions = fromHost({ dtype: 'int32', shape: [index.length], data: index })
  return new Tensor(gatherNode(x.node, positions.node, a))
}

/** At least one axis each: numbers become vectors of one, `paddle.atleast_1d`. */
export function atleast1d(...inputs: readonly Tensor[]): Tensor | Tensor[] {
  return oneOrMany(inputs.map((x) => (x.ndim === 0 ? reshape(x, [1]) : x)))
}

/** At least two axes each, new ones in front, `paddle.atleast_2d`. */
export function atleast2d(...inputs: readonly Tensor[]): Tensor | Tensor[] {
  return oneOrMany(inputs.map((x) => (x.ndim < 2 ? reshape(x, [1, x.size]) : x)))
}

/** At least three axes each: vectors become [1, n, 1], matrices [n, m, 1], `paddle.atleast_3d`. */
export function atleast3d(...inputs: readonly Tensor[]): Tensor | Tensor[] {
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
  return isFloat(x.dtype)
}

/** Whether the dtype is an integer's, `paddle.is_integer`. */
export function isInteger(x: Tensor): boolean {
  return isIntegerType(x.dtype)
}
