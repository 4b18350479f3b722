/** Median, quantiles, mode, covariance, as in paddle.tensor.stat. */
import { isFloat } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, normalizeAxis } from '../common/shape.ts'
import {
  argsort as argsortNode,
  binary,
  cast as castNode,
  constant,
  cumulate,
  gatherElements,
  iota,
  reduceKeep,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { concatNodes } from './manipulation.ts'
import { checkTensor, constantLike, floatNode } from './promotion.ts'
import type { ReduceOptions } from './reduction.ts'
import { Tensor } from './tensor.ts'

/** The axis to fold; the flat tensor where none is named. `shape` is what folding leaves. */
function folded(
  x: Node,
  axis: number | null | undefined,
  keepdim: boolean,
  op: string,
): { node: Node; axis: number; shape: number[] } {
  if (axis === undefined || axis === null) {
    const size = x.shape.reduce((a, b) => a * b, 1)
    return { node: reshape(x, [size]), axis: 0, shape: keepdim ? x.shape.map(() => 1) : [] }
  }
  const rank = Math.max(x.shape.length, 1)
  const a = normalizeAxis(axis, rank, op)
  const node = x.shape.length === 0 ? reshape(x, [1]) : x
  const shape = x.shape.flatMap((d, i) => (i !== a ? [d] : keepdim ? [1] : []))
  return { node, axis: a, shape }
}

function checkNotEmpty(x: Node, axis: number, op: string): void {
  if (x.shape[axis] === 0) throw new ShapeError(`${op}: axis ${axis} of ${formatShape(x.shape)} has no element`)
}

/** Elements of an axis in order, NaN last. */
function sorted(x: Node, axis: number): Node {
  return gatherElements(x, argsortNode(x, axis, false), axis)
}

export const isNaNNode = (x: Node): Node => binary('ne', x, x)

/** Whether an axis holds a NaN; the axis stays with size 1. */
function anyNaN(x: Node, axis: number): Node {
  return castNode(reduceKeep('reduceMax', castNode(isNaNNode(x), 'int32'), [axis]), 'bool')
}

export interface MedianOptions extends ReduceOptions {
  /** The mean of the two middle elements (`avg`, default), or the lower one with its position (`min`). */
  readonly mode?: 'avg' | 'min'
}

type MedianOf<O extends MedianOptions> = O extends { readonly mode: 'min' } ? [Tensor, Tensor] : Tensor

/** The middle element of an axis (of the flat tensor), NaN if one is NaN, `paddle.median`. With mode `min`, [values, positions]. */
export function median<O extends MedianOptions = MedianOptions>(
  x: Tensor,
  axis?: number | null,
  options?: O,
): MedianOf<O> {
  const { keepdim = false, mode = 'avg' } = options ?? {}
  checkTensor(x, 'median')
  const wide = mode === 'avg' ? floatNode(x, 'median') : x.node
  const { node, axis: a, shape } = folded(wide, axis, keepdim, 'median')
  checkNotEmpty(node, a, 'median')
  const n = node.shape[a]!
  const order = argsortNode(node, a, false)
  const low = sliceAxis(order, a, (n - 1) >> 1, ((n - 1) >> 1) + 1)
  const nan = isFloat(node.dtype) ? anyNaN(node, a) : null
  if (mode === 'min') {
    // NaN is sorted last: the first NaN of the axis stands for all.
    const firstNaN = nan ? firstPosition(isNaNNode(node), a) : low
    const position = nan ? where(nan, firstNaN, low) : low
    const value = gatherElements(node, position, a)
    return [new Tensor(reshape(value, shape)), new Tensor(reshape(position, shape))] as MedianOf<O>
  }
  const high = sliceAxis(order, a, n >> 1, (n >> 1) + 1)
  const both = binary('add', gatherElements(node, low, a), gatherElements(node, high, a))
  const middle = binary('mul', both, constantLike(both, 0.5))
  return new Tensor(reshape(nan ? where(nan, constantLike(middle, NaN), middle) : middle, shape)) as MedianOf<O>
}

/** Position of the first true element; the axis stays with size 1. */
function firstPosition(condition: Node, axis: number): Node {
  return castNode(reduceKeep('argmax', castNode(condition, 'int32'), [axis]), 'int64')
}

/** Interpolates in a sorted axis at fractional positions (size 1 along the axis). */
function interpolate(ordered: Node, position: Node, axis: number, how: Interpolation): Node {
  const lowPosition = unary('floor', position)
  const highPosition = unary('ceil', position)
  const at = (p: Node): Node => gatherElements(ordered, castNode(p, 'int64'), axis)
  if (how === 'lower') return at(lowPosition)
  if (how === 'higher') return at(highPosition)
  if (how === 'nearest') return at(unary('round', position))
  const low = at(lowPosition)
  const high = at(highPosition)
  const half = constantLike(low, 0.5)
  if (how === 'midpoint') return binary('mul', binary('add', low, high), half)
  const weight = castNode(binary('sub', position, lowPosition), ordered.dtype)
  return binary('add', low, binary('mul', weight, binary('sub', high, low)))
}

export type Interpolation = 'linear' | 'lower' | 'higher' | 'midpoint' | 'nearest'

export interface QuantileOptions extends ReduceOptions {
  readonly interpolation?: Interpolation
}

function quantiles(
  op: string,
  x: Tensor,
  q: number | readonly number[],
  axis: number | readonly number[] | null | undefined,
  options: QuantileOptions,
  ignoreNaN: boolean,
): Tensor {
  const { keepdim = false, interpolation = 'linear' } = options
  const list = typeof q === 'number' ? [q] : q
  for (const p of list) if (!(p >= 0 && p <= 1)) throw new ArgumentError(`${op}: q must lie in [0, 1], got ${p}`)
  if (list.length === 0) throw new ArgumentError(`${op}: q is empty`)
  const wide = floatNode(x, op)
  // Several axes fold as one, moved last.
  const {
    node,
    axis: a,
    shape,
  } = Array.isArray(axis)
    ? mergeAxes(wide, axis as readonly number[], keepdim, op)
    : folded(wide, axis as number | null | undefined, keepdim, op)
  checkNotEmpty(node, a, op)
  const ordered = sorted(node, a)
  const isNaNAt = isNaNNode(node)
  const valid = reduceKeep('reduceSum', castNode(unary('not', isNaNAt), 'float64'), [a])
  const last = ignoreNaN
    ? binary('max', binary('sub', valid, constantLike(valid, 1)), constantLike(valid, 0))
    : constantLike(valid, node.shape[a]! - 1)
  const empty = ignoreNaN ? binary('eq', valid, constantLike(valid, 0)) : anyNaN(node, a)
  const results = list.map((p) => {
    const value = interpolate(ordered, binary('mul', last, constantLike(last, p)), a, interpolation)
    return reshape(where(empty, constantLike(value, NaN), value), shape)
  })
  if (typeof q === 'number') return new Tensor(results[0]!)
  return new Tensor(
    concatNodes(
      results.map((r) => reshape(r, [1, ...r.shape])),
      0,
    ),
  )
}

function mergeAxes(
  x: Node,
  axes: readonly number[],
  keepdim: boolean,
  op: string,
): { node: Node; axis: number; shape: number[] } {
  const rank = x.shape.length
  const chosen = axes.map((a) => normalizeAxis(a, rank, op))
  const kept = x.shape.map((_, i) => i).filter((i) => !chosen.includes(i))
  const size = chosen.reduce((s, a) => s * x.shape[a]!, 1)
  const moved = new Tensor(x).transpose([...kept, ...chosen]).node
  return {
    node: reshape(moved, [...kept.map((i) => x.shape[i]!), size]),
    axis: kept.length,
    shape: x.shape.flatMap((d, i) => (kept.includes(i) ? [d] : keepdim ? [1] : [])),
  }
}

/**
 * The value below which a share q of the elements lies, `paddle.quantile`; NaN where an element is. A list of q gives a new first axis.
 * Throws ArgumentError for q outside [0, 1].
 */
export function quantile(
  x: Tensor,
  q: number | readonly number[],
  axis?: number | readonly number[] | null,
  options: QuantileOptions = {},
): Tensor {
  return quantiles('quantile', x, q, axis, options, false)
}

/** As `quantile`, of the elements that are not NaN, `paddle.nanquantile`. */
export function nanquantile(
  x: Tensor,
  q: number | readonly number[],
  axis?: number | readonly number[] | null,
  options: QuantileOptions = {},
): Tensor {
  return quantiles('nanquantile', x, q, axis, options, true)
}

/** The median of the elements that are not NaN, `paddle.nanmedian`. */
export function nanmedian(x: Tensor, axis?: number | readonly number[] | null, options: ReduceOptions = {}): Tensor {
  return quantiles('nanmedian', x, 0.5, axis, { ...options, interpolation: 'midpoint' }, true)
}

/** The k-th smallest element of an axis and its position, `paddle.kthvalue`. */
export function kthvalue(x: Tensor, k: number, axis = -1, options: ReduceOptions = {}): [Tensor, Tensor] {
  checkTensor(x, 'kthvalue')
  const { node, axis: a, shape } = folded(x.node, axis, options.keepdim ?? false, 'kthvalue')
  const n = node.shape[a]!
  if (!Number.isInteger(k) || k < 1 || k > n)
    throw new ArgumentError(`kthvalue: k must lie between 1 and the ${n} elements of axis ${a}, got ${k}`)
  const position = sliceAxis(argsortNode(node, a, false), a, k - 1, k)
  return [new Tensor(reshape(gatherElements(node, position, a), shape)), new Tensor(reshape(position, shape))]
}

/** The commonest element of an axis (of several the smallest) and its last position, `paddle.mode`. */
export function mode(x: Tensor, axis = -1, options: ReduceOptions = {}): [Tensor, Tensor] {
  checkTensor(x, 'mode')
  const { node, axis: a, shape } = folded(x.node, axis, options.keepdim ?? false, 'mode')
  checkNotEmpty(node, a, 'mode')
  const order = argsortNode(node, a, false)
  const ordered = gatherElements(node, order, a)
  const n = node.shape[a]!
  const i = iota(node.shape, a, 'int64')
  // Runs of equal elements: where each starts, and how long it is so far.
  const before = sliceAxis(ordered, a, 0, n - 1)
  const changes = binary('ne', sliceAxis(ordered, a, 1, n), before)
  const first = constant(
    1,
    'bool',
    ordered.shape.map((d, axisIndex) => (axisIndex === a ? 1 : d)),
  )
  const starts = n === 1 ? first : concatNodes([first, changes], a)
  const runStart = cumulate('max', where(starts, i, constantLike(i, 0)), a)
  const longest = castNode(reduceKeep('argmax', binary('sub', i, runStart), [a]), 'int64')
  const position = gatherElements(order, longest, a)
  return [new Tensor(reshape(gatherElements(node, position, a), shape)), new Tensor(reshape(position, shape))]
}

export interface CovarianceOptions {
  /** Each row is a variable (default); else each column. */
  readonly rowvar?: boolean
  /** Divides by n - 1 (default) instead of n. */
  readonly ddof?: boolean
  /** How often each observation occurs (integers). */
  readonly fweights?: Tensor | null
  /** The weight of each observation. */
  readonly aweights?: Tensor | null
}

/** Covariance matrix of variables given as rows, `paddle.linalg.cov`. */
export function cov(x: Tensor, options: CovarianceOptions = {}): Tensor {
  const { rowvar = true, ddof = true, fweights, aweights } = options
  checkTensor(x, 'cov')
  if (x.ndim < 1 || x.ndim > 2) throw new ShapeError(`cov: needs a vector or a matrix, got ${formatShape(x.shape)}`)
  let node = floatNode(x, 'cov')
  if (node.shape.length === 1) node = reshape(node, [1, x.size])
  let m = new Tensor(node)
  if (!rowvar && x.ndim === 2) m = m.transpose()
  const n = m.shape[1]!
  const { dtype } = node
  let weight: Tensor | null = fweights ? fweights.astype(dtype) : null
  if (aweights) weight = weight ? weight.multiply(aweights.astype(dtype)) : aweights.astype(dtype)
  if (!weight) {
    const centered = m.subtract(m.mean(1, { keepdim: true }))
    return squeezeSingle(centered.matmul(centered, { transposeY: true }).divide(n - (ddof ? 1 : 0)), x)
  }
  const total = weight.sum()
  const average = m.multiply(weight).sum(1, { keepdim: true }).divide(total)
  const centered = m.subtract(average)
  const correction = !ddof
    ? total
    : total.subtract(aweights ? weight.multiply(aweights.astype(dtype)).sum().divide(total) : 1)
  return squeezeSingle(centered.multiply(weight).matmul(centered, { transposeY: true }).divide(correction), x)
}

/** One variable has a variance, not a matrix. */
const squeezeSingle = (m: Tensor, x: Tensor): Tensor => (x.ndim === 1 ? m.reshape([]) : m)

/** Correlation coefficients of variables given as rows, `paddle.linalg.corrcoef`. */
export function corrcoef(x: Tensor, rowvar = true): Tensor {
  const c = cov(x, { rowvar })
  if (c.ndim === 0) return c.divide(c)
  const deviation = c.diagonal().sqrt()
  return c.divide(deviation.unsqueeze(1)).divide(deviation.unsqueeze(0)).clip(-1, 1)
}
