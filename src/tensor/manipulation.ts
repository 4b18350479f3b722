/** Joining, splitting and order: concat, stack, split, flip, roll, ... as in paddle.tensor.manipulation. */
import { allocateHost } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, normalizeAxes, normalizeAxis } from '../common/shape.ts'
import {
  binary,
  cast as castNode,
  expand as expandNode,
  flip as flipNode,
  gather as gatherNode,
  pad as padNode,
  reshape as reshapeNode,
  sliceAxis,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { underPolicy } from './autocast.ts'
import { checkTensor, checkTensors, promoteTypes } from './promotion.ts'
import { flatten, reshape, reshapeAs, swapaxes, unsqueeze, type Axes } from './shaping.ts'
import { fromHost, Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

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
  checkTensors(x, op)
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
  return asOperator('concat', new Tensor(concatNodes(nodes, a)), () => ({ inputs: { x }, attributes: { axis: a } }))
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
  const out = concatNodes(
    nodes.map((n) => reshapeNode(n, thin)),
    a,
  )
  return asOperator('stack', new Tensor(out), () => ({ inputs: { x }, attributes: { axis: a } }))
}

/** Joined along the first axis, vectors as rows; numbers count as vectors of one, `paddle.vstack`. */
export function vstack(x: readonly Tensor[]): Tensor {
  checkTensors(x, 'vstack')
  return concat(x.map((v) => (v.ndim < 2 ? reshape(v, [1, v.size]) : v)))
}

/** Joined along the second axis, vectors along their only one, `paddle.hstack`. */
export function hstack(x: readonly Tensor[]): Tensor {
  checkTensors(x, 'hstack')
  const pieces = x.map((v) => (v.ndim === 0 ? reshape(v, [1]) : v))
  return concat(pieces, pieces.every((v) => v.ndim === 1) ? 0 : 1)
}

/** Joined along the third axis; vectors become [1, n, 1], matrices [n, m, 1], `paddle.dstack`. */
export function dstack(x: readonly Tensor[]): Tensor {
  checkTensors(x, 'dstack')
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
  checkTensors(x, 'columnStack')
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

/** Each piece is a Tensor of its own: more of them than this are a slip. */
const maxPieces = 2 ** 20

function checkPieces(count: number, op: string): void {
  if (count > maxPieces)
    throw new ArgumentError(
      `${op}: ${count} tensors, more than the ${maxPieces} that one call makes; use slices of the tensor`,
    )
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
    checkPieces(numOrSections, 'split')
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
    checkPieces(numOrIndices, 'tensorSplit')
    const [least, extra] = [Math.floor(size / numOrIndices), size % numOrIndices]
    return cut(x, a, consecutive(Array.from({ length: numOrIndices }, (_, i) => least + (i < extra ? 1 : 0))))
  }
  if (!numOrIndices.every(Number.isInteger))
    throw new ArgumentError(`tensorSplit: positions are integers, got [${numOrIndices.join(', ')}]`)
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
  checkTensor(x, 'hsplit')
  return tensorSplit(x, numOrIndices, x.ndim === 1 ? 0 : 1)
}

/** `tensorSplit` along axis 0 of at least two, `paddle.vsplit`. */
export function vsplit(x: Tensor, numOrIndices: Axes): Tensor[] {
  checkTensor(x, 'vsplit')
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
  checkPieces(x.shape[a]!, 'unbind')
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
  if (!by.every(Number.isSafeInteger)) throw new ArgumentError(`roll: shifts are integers, got [${by.join(', ')}]`)
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
  if (!Number.isInteger(k)) throw new ArgumentError(`rot90: k must be an integer, got ${k}`)
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
  const index = allocateHost(
    'int32',
    repeats.reduce((a, b) => a + b, 0),
  )
  let at = 0
  repeats.forEach((r, i) => index.fill(i, at, (at += r)))
  const positions = fromHost({ dtype: 'int32', shape: [index.length], data: index })
  return new Tensor(gatherNode(x.node, positions.node, a))
}
