/**
 * Gradients that are zero but where something was picked: by a slice, by rows of an index, by a position along an axis; and their sums with others.
 */
import { numel, type Shape } from '../common/shape.ts'
import { binary, constant, constantValue, gather, iota, pad, recordedPad, reshape, scatter, slice } from './build.ts'
import type { Node } from './node.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)

/** Zeros of `shape` plus g at the positions that a slice took. */
export function unslice(g: Node, shape: Shape, start: readonly number[], step: readonly number[]): Node {
  let out = g
  shape.forEach((_, i) => {
    const s = step[i]!
    if (s === 1 || out.shape[i] === 0) return
    // [.., n, ..] -> [.., n, 1, ..] -> zeros after each element -> [.., n * s, ..]
    const before = out.shape.slice(0, i)
    const after = out.shape.slice(i + 1)
    const n = out.shape[i]!
    const apart = reshape(out, [...before, n, 1, ...after])
    const zeros = apart.shape.map((__, a) => (a === i + 1 ? s - 1 : 0))
    const spaced = reshape(
      pad(
        apart,
        zeros.map(() => 0),
        zeros,
      ),
      [...before, n * s, ...after],
    )
    const stop = spaced.shape.map((d, a) => (a === i ? (n - 1) * s + 1 : d))
    out = slice(
      spaced,
      stop.map(() => 0),
      stop,
    )
  })
  // Also where nothing is to be added: as `leading` took all.
  return recordedPad(
    out,
    start.map((s, i) => (out.shape[i] === 0 ? 0 : s)),
    shape.map((d, i) => d - out.shape[i]! - (out.shape[i] === 0 ? 0 : start[i]!)),
  )
}

/** Shortest row for which a look-up is little beside what it fetches. */
const shortestRow = 32

/** Fewest elements that are worth being left out of memory, where most rows of a gradient are zero: 1 MB in float32. */
const fewestLeftOut = 2 ** 18

/**
 * Zeros of `shape` with rows of `g` added at the positions along `axis` that `index` names. Where these are few, as the tokens of a batch
 * in a vocabulary, only rows that are named are in memory, behind one of zeros: whoever reads the gradient looks up which row is whose.
 * The sums are the same, row by row and in the same order.
 */
export function rowSums(shape: Shape, index: Node, g: Node, axis: number): Node {
  const rows = shape[axis]!
  const count = numel(index.shape)
  const leftOut = (rows - count - 1) * (numel(shape) / rows)
  const isFew = count > 0 && 4 * count <= rows && leftOut >= fewestLeftOut
  const inner = numel(shape.slice(axis + 1))
  if (!isFew || inner < shortestRow) return scatter(constant(0, g.dtype, shape), index, g, axis, 'add')
  // Of the entries of an index that name one row the last one stays, and stands for them all.
  const numbers = add(iota([count], 0, 'int32'), constant(1, 'int32', [count]))
  const standIns = scatter(constant(0, 'int32', [rows]), index, reshape(numbers, index.shape), 0, 'set')
  const named = shape.map((d, i) => (i === axis ? count + 1 : d))
  const sums = scatter(constant(0, g.dtype, named), gather(standIns, index, 0), g, axis, 'add')
  return gather(sums, standIns, axis)
}

/** Zeros of `shape` with g added at the positions that an index of g's rank names along `axis`. */
export function addAt(shape: Shape, index: Node, g: Node, axis: number): Node {
  // Move the axis last and flatten, so that one scatter along the flat axis does it.
  const size = numel(shape)
  let flat = constant(0, index.dtype, index.shape)
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    const coordinate = i === axis ? index : iota(index.shape, i, index.dtype)
    flat = add(flat, binary('mul', coordinate, constant(stride, index.dtype, index.shape)))
    stride *= shape[i]!
  }
  const n = numel(index.shape)
  return reshape(scatter(constant(0, g.dtype, [size]), reshape(flat, [n]), reshape(g, [n]), 0, 'add'), shape)
}

/** a + b, where one of them adds to zeros: added to the other one instead, so that no zeros are written and summed. */
export function sumOf(a: Node, b: Node): Node {
  return addedTo(a, b) ?? addedTo(b, a) ?? add(a, b)
}

function addedTo(base: Node, sum: Node): Node | null {
  if (sum.op === 'reshape' && sum.storage === null) {
    const [inner] = sum.sources as readonly [Node]
    const flat = addedTo(reshape(base, inner.shape), inner)
    return flat && reshape(flat, sum.shape)
  }
  if (sum.op !== 'scatter' || sum.storage !== null || sum.attributes.mode !== 'add') return null
  const [zeros, index, updates] = sum.sources as readonly [Node, Node, Node]
  return constantValue(zeros) === 0 ? scatter(base, index, updates, sum.attributes.axis, 'add') : null
}
