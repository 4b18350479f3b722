/** Sums, means, extrema and other functions that fold axes, and the running ones, as in paddle.tensor.math and stat. */
import { isFloat, type DType } from '../common/dtype.ts'
import { ShapeError } from '../common/errors.ts'
import { formatShape, normalizeAxes, numel } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  detach,
  reduce,
  reduceKeep,
  reshape,
  unary,
  where,
} from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import type { Node } from '../graph/node.ts'
import type { ReduceOp } from '../graph/ops.ts'
import { logSumExpNode } from '../graph/softmax.ts'
import { underPolicy } from './autocast.ts'
import { checkDtype } from './creation.ts'
import { diagonal } from './diagonal.ts'
import { checkFloat, checkTensor, constantLike, floatNode, getDefaultDtype } from './promotion.ts'
import type { Axes } from './shaping.ts'
import { Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

export interface ReduceOptions {
  /** Keeps the folded axes with size 1. Default false. */
  readonly keepdim?: boolean
}

export interface SumOptions extends ReduceOptions {
  /** The dtype to which elements are cast first. */
  readonly dtype?: DType
}

type AxesOption = Axes | null | undefined

/** The axes to fold, all where none are named. */
const axesOf = (axis: AxesOption, rank: number, op: string): number[] => {
  const axes = normalizeAxes(axis ?? undefined, rank, op)
  return Array.isArray(axis) && axis.length === 0 ? normalizeAxes(undefined, rank, op) : axes
}

/** Folds axes of a node. */
function fold(op: ReduceOp, x: Node, axes: readonly number[], keepdim = false): Node {
  return keepdim ? reduceKeep(op, x, axes) : reduce(op, x, axes)
}

/** Folds in the dtype that sums and products use: the one asked for; for bools, and in sums for int32, int64. */
function accumulator(x: Tensor, op: string, dtype: DType | undefined, widens: readonly DType[]): Node {
  checkTensor(x, op)
  const node = underPolicy(op, [x.node])[0]!
  if (dtype !== undefined) {
    checkDtype(dtype, op)
    return castNode(node, dtype)
  }
  return widens.includes(node.dtype) ? castNode(node, 'int64') : node
}

/** Sum over axes (default all); bool and int32 give int64, `paddle.sum`. An empty sum is 0. */
export function sum(x: Tensor, axis?: AxesOption, options: SumOptions = {}): Tensor {
  const node = accumulator(x, 'sum', options.dtype, ['bool', 'int32'])
  return new Tensor(fold('reduceSum', node, axesOf(axis, x.ndim, 'sum'), options.keepdim))
}

/** x summed over the axes along which `target` would be repeated to x's shape: the reverse of broadcasting, `paddle.reduce_as`. */
export function reduceAs(x: Tensor, target: Tensor): Tensor {
  checkTensor(x, 'reduceAs')
  checkTensor(target, 'reduceAs')
  const lead = x.ndim - target.ndim
  const fits = lead >= 0 && target.shape.every((d, i) => d === 1 || d === x.shape[lead + i])
  if (!fits) throw new ShapeError(`reduceAs: ${formatShape(target.shape)} is not repeated to ${formatShape(x.shape)}`)
  const axes = x.shape.map((_, i) => i).filter((i) => i < lead || target.shape[i - lead] !== x.shape[i])
  return axes.length === 0 ? x : new Tensor(reshape(sum(x, axes).node, target.shape))
}

/** As `sum`, with NaN counted as 0, `paddle.nansum`. */
export function nansum(x: Tensor, axis?: AxesOption, options: SumOptions = {}): Tensor {
  return sum(withoutNaN(x, 'nansum'), axis, options)
}

/** x with zeros in place of NaN. */
function withoutNaN(x: Tensor, op: string): Tensor {
  checkTensor(x, op)
  const n = x.node
  return isFloat(n.dtype) ? new Tensor(where(binary('ne', n, n), constantLike(n, 0), n)) : x
}

/** Number of elements that fold into one. */
const countOf = (x: Node, axes: readonly number[]): number => numel(axes.map((a) => x.shape[a]!))

function meanNode(x: Node, axes: readonly number[], keepdim?: boolean): Node {
  const total = fold('reduceSum', x, axes, keepdim)
  const count = countOf(x, axes)
  return isFloat(x.dtype)
    ? binary('mul', total, constantLike(total, count === 0 ? NaN : 1 / count))
    : binary('div', total, constantLike(total, Math.max(count, 1)))
}

/** Arithmetic mean over axes (default all); integers stay integers (truncated), as in `paddle.mean`. NaN of no element. */
export function mean(x: Tensor, axis?: AxesOption, options: SumOptions = {}): Tensor {
  checkTensor(x, 'mean')
  let node = underPolicy('mean', [x.node])[0]!
  if (options.dtype !== undefined) node = castNode(node, options.dtype)
  if (node.dtype === 'bool') node = castNode(node, getDefaultDtype())
  const axes = axesOf(axis, x.ndim, 'mean')
  const out = new Tensor(meanNode(node, axes, options.keepdim))
  if (node !== x.node || !isFloat(node.dtype)) return out
  return asOperator('mean', out, () => ({
    inputs: { x },
    attributes: { axis: [...axes], keepdim: options.keepdim ?? false },
  }))
}

/** Mean of the elements that are not NaN, `paddle.nanmean`. */
export function nanmean(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  checkFloat(x, 'nanmean')
  const axes = axesOf(axis, x.ndim, 'nanmean')
  const valid = castNode(binary('eq', x.node, x.node), x.dtype)
  const total = fold('reduceSum', withoutNaN(x, 'nanmean').node, axes, options.keepdim)
  return new Tensor(binary('div', total, fold('reduceSum', valid, axes, options.keepdim)))
}

/** Product over axes (default all), `paddle.prod`. An empty product is 1. */
export function prod(x: Tensor, axis?: AxesOption, options: SumOptions = {}): Tensor {
  const node = accumulator(x, 'prod', options.dtype, ['bool'])
  return new Tensor(fold('reduceProd', node, axesOf(axis, x.ndim, 'prod'), options.keepdim))
}

function extremum(
  op: 'reduceMax' | 'reduceMin',
  name: string,
  x: Tensor,
  axis: AxesOption,
  options: ReduceOptions,
): Tensor {
  checkTensor(x, name)
  const bool = x.dtype === 'bool'
  const node = bool ? castNode(x.node, 'int32') : x.node
  const out = fold(op, node, axesOf(axis, x.ndim, name), options.keepdim)
  return new Tensor(bool ? castNode(out, 'bool') : out)
}

/** The largest element, NaN if one is; every element that attains it receives the whole gradient, `paddle.max`. Throws ShapeError over an empty axis. */
export function max(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  return extremum('reduceMax', 'max', x, axis, options)
}

/** The smallest element, `paddle.min`. */
export function min(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  return extremum('reduceMin', 'min', x, axis, options)
}

/** An extremum whose gradient is shared evenly: the mean of the elements that attain it. */
function sharedExtremum(
  op: 'reduceMax' | 'reduceMin',
  name: string,
  x: Tensor,
  axis: AxesOption,
  options: ReduceOptions,
): Tensor {
  checkTensor(x, name)
  const axes = axesOf(axis, x.ndim, name)
  if (!x.node.needsGrad) return extremum(op, name, x, axis, options)
  const best = detach(reduce(op, x.node, axes))
  const attains = binary('eq', x.node, spread(best, x.node.shape, axes))
  const zero = constantLike(x.node, 0)
  const count = fold('reduceSum', where(attains, constantLike(x.node, 1), zero), axes, options.keepdim)
  // Differences to the extremum itself are 0: the value stays exact, and their mean carries the gradient.
  const difference = where(attains, binary('sub', x.node, detach(x.node)), zero)
  const share = binary('div', fold('reduceSum', difference, axes, options.keepdim), count)
  const value = options.keepdim ? reshape(best, share.shape) : best
  const isFinite = binary('lt', unary('abs', value), constantLike(value, Infinity))
  return new Tensor(where(isFinite, binary('add', value, share), value))
}

/** The largest element; the gradient is shared evenly by those that attain it, `paddle.amax`. */
export function amax(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  return sharedExtremum('reduceMax', 'amax', x, axis, options)
}

/** The smallest element; the gradient is shared evenly by those that attain it, `paddle.amin`. */
export function amin(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  return sharedExtremum('reduceMin', 'amin', x, axis, options)
}

function truth(
  op: 'reduceMax' | 'reduceMin',
  name: string,
  x: Tensor,
  axis: AxesOption,
  options: ReduceOptions,
): Tensor<'bool'> {
  checkTensor(x, name)
  const axes = axesOf(axis, x.ndim, name)
  const node = castNode(castNode(x.node, 'bool'), 'int32')
  const isEmpty = axes.some((a) => x.shape[a] === 0)
  // Of no element, all hold and none does.
  const folded = isEmpty
    ? fold(op === 'reduceMin' ? 'reduceProd' : 'reduceSum', node, axes, options.keepdim)
    : fold(op, node, axes, options.keepdim)
  return new Tensor(castNode(folded, 'bool'))
}

/** Whether all elements are true (not 0), `paddle.all`. */
export function all(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor<'bool'> {
  return truth('reduceMin', 'all', x, axis, options)
}

/** Whether any element is true (not 0), `paddle.any`. */
export function any(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor<'bool'> {
  return truth('reduceMax', 'any', x, axis, options)
}

/** Number of elements that are not 0, int64, `paddle.count_nonzero`. */
export function countNonzero(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  checkTensor(x, 'countNonzero')
  const node = castNode(castNode(x.node, 'bool'), 'int64')
  return new Tensor(fold('reduceSum', node, axesOf(axis, x.ndim, 'countNonzero'), options.keepdim))
}

export interface VarianceOptions extends ReduceOptions {
  /** Divides by n - 1 instead of n. Default true. */
  readonly unbiased?: boolean
}

/** Variance over axes, unbiased by default; from the deviations, not from squares, `paddle.var`. */
export function variance(x: Tensor, axis?: AxesOption, options: VarianceOptions = {}): Tensor {
  const node = floatNode(x, 'var')
  const axes = axesOf(axis, x.ndim, 'var')
  const center = reduceKeep('reduceSum', node, axes)
  const count = countOf(node, axes)
  const average = binary('mul', center, constantLike(center, 1 / count))
  const deviation = binary('sub', node, broadcastTo(average, node.shape))
  const squares = fold('reduceSum', binary('mul', deviation, deviation), axes, options.keepdim)
  const divisor = count - ((options.unbiased ?? true) ? 1 : 0)
  return new Tensor(binary('mul', squares, constantLike(squares, divisor > 0 ? 1 / divisor : NaN)))
}

/** Standard deviation over axes, unbiased by default, `paddle.std`. */
export function std(x: Tensor, axis?: AxesOption, options: VarianceOptions = {}): Tensor {
  return new Tensor(unary('sqrt', variance(x, axis, options).node))
}

/** log of the sum of exponentials, without overflow, `paddle.logsumexp`. */
export function logsumexp(x: Tensor, axis?: AxesOption, options: ReduceOptions = {}): Tensor {
  const node = floatNode(x, 'logsumexp')
  const axes = axesOf(axis, x.ndim, 'logsumexp')
  if (axes.some((a) => x.shape[a] === 0))
    return new Tensor(unary('log', fold('reduceSum', node, axes, options.keepdim)))
  const peak = detach(reduce('reduceMax', node, axes))
  // An infinite peak would make Infinity - Infinity.
  const isFinite = binary('lt', unary('abs', peak), constantLike(peak, Infinity))
  const shift = where(isFinite, peak, constantLike(peak, 0))
  const out = logSumExpNode(node, axes, shift)
  return new Tensor(
    options.keepdim
      ? reshape(
          out,
          node.shape.map((d, i) => (axes.includes(i) ? 1 : d)),
        )
      : out,
  )
}

/** Sum of diagonal `offset` of the matrices in `axis1` and `axis2`, `paddle.trace`. */
export function trace(x: Tensor, offset = 0, axis1 = 0, axis2 = 1): Tensor {
  return sum(diagonal(x, offset, axis1, axis2), -1)
}
