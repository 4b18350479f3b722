/**
 * Pools over one, two or three axes, as in paddle.nn.functional.pooling. A pool is a reduction over the taps of sliding windows, which are
 * views. The gradient of a maximum goes to the first element that attains it.
 */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, numel } from '../../common/shape.ts'
import { binary, custom, iota, leading, reduce, reshape, unary, where, window } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { CustomGradient, Node } from '../../graph/node.ts'
import { checkFloat, constantLike } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator, noteOperator, notesOperators, type OperatorAttribute } from '../../tensor/tracer.ts'
import {
  channelsFirst,
  checkRank,
  overTwoAxes,
  paddingAttributes,
  paddingOverTwoAxes,
  perAxis,
  positions,
  resolvePadding,
  spatialAxes,
  spreadVector,
  type DataFormat,
  type Padding,
  type Pads,
  type Spatial,
} from './geometry.ts'
import { padConstant } from './pad.ts'

export interface PoolOptions {
  /** Default: the kernel size. */
  readonly stride?: Spatial | null
  /** Default 0. */
  readonly padding?: Padding
  /** Rounds the number of positions up, so that all elements are covered. Default false. */
  readonly ceilMode?: boolean
  readonly dataFormat?: DataFormat
}

export interface MaxPoolOptions extends PoolOptions {
  /** Also returns where each maximum stands: its offset in the flat spatial axes, int32. Default false. */
  readonly returnMask?: boolean
}

export interface AvgPoolOptions extends PoolOptions {
  /** Leaves padding out of the average. Default true. */
  readonly exclusive?: boolean
  /** Divides every window's sum by this instead of by its size. */
  readonly divisorOverride?: number
}

/** Windows over the spatial axes of a padded input: each axis has become (position, tap). */
interface Windows {
  readonly x: Node
  readonly node: Node
  /** The spatial axes of x. */
  readonly axes: readonly number[]
  /** The axes of the taps in `node`. */
  readonly tapAxes: readonly number[]
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly pads: Pads
  readonly sizes: readonly number[]
  readonly outSizes: readonly number[]
}

/** An axis as (position, tap). Where windows neither overlap nor leave gaps that is a reshape, whose gradient is one too. */
export function windowAxis(x: Node, axis: number, taps: number, stride: number, count: number): Node {
  if (taps !== stride) return window(x, axis, taps, stride)
  return reshape(leading(x, axis, count * taps), [...x.shape.slice(0, axis), count, taps, ...x.shape.slice(axis + 1)])
}

function windows(op: string, n: number, x: Tensor, kernelSize: Spatial, options: PoolOptions, fill: number): Windows {
  checkFloat(x, op)
  const first = channelsFirst(options.dataFormat, op)
  checkRank(x.shape, n, op, first ? 'N, C, spatial' : 'N, spatial, C')
  const kernel = perAxis(kernelSize, n, op, 'kernelSize')
  const stride = perAxis(options.stride ?? kernelSize, n, op, 'stride')
  const axes = spatialAxes(n, first)
  const sizes = axes.map((a) => x.shape[a]!)
  const pads = resolvePadding(options.padding ?? 0, sizes, kernel, stride, first, op)
  const outSizes = sizes.map((d, i) =>
    positions(d, pads.low[i]! + pads.high[i]!, kernel[i]!, stride[i]!, 1, options.ceilMode ?? false),
  )
  if (outSizes.some((d) => d < 1))
    throw new ShapeError(
      `${op}: the window ${formatShape(kernel)} does not fit into the input ${formatShape(x.shape)} padded by ${formatShape(pads.low)} and ${formatShape(pads.high)}`,
    )
  // What the last window reaches beyond the input; rows that no window reaches are not padded.
  const high = sizes.map((d, i) => Math.max((outSizes[i]! - 1) * stride[i]! + kernel[i]! - d - pads.low[i]!, 0))
  const onAxes = (amounts: readonly number[]): number[] => x.shape.map((_, i) => amounts[axes.indexOf(i)] ?? 0)
  let node = padConstant(x.node, { low: onAxes(pads.low), high: onAxes(high) }, fill)
  for (let i = n - 1; i >= 0; i--) node = windowAxis(node, axes[i]!, kernel[i]!, stride[i]!, outSizes[i]!)
  const tapAxes = axes.map((a, i) => a + i + 1)
  return { x: x.node, node, axes, tapAxes, kernel, stride, pads, sizes, outSizes }
}

/** The number of each tap of a window, along several axes. */
function tapNumbers(shape: readonly number[], tapAxes: readonly number[]): Node {
  let numbers: Node | null = null
  for (const axis of tapAxes) {
    const at = iota(shape, axis, 'int32')
    numbers = numbers ? binary('add', binary('mul', numbers, constantLike(numbers, shape[axis]!)), at) : at
  }
  return numbers!
}

/** The maximum over the taps. Its gradient goes to the first tap that attains it. */
export function maximumOver(node: Node, tapAxes: readonly number[]): Node {
  const most = reduce('reduceMax', node, tapAxes)
  if (!most.needsGrad) return most
  const gradient: CustomGradient = ({ sources }, given) => {
    const from = sources[1]!
    const chosen = spread(reduce('argmax', from, tapAxes), from.shape, tapAxes)
    const g = spread(given.get(0)!, from.shape, tapAxes)
    return [null, where(binary('eq', tapNumbers(from.shape, tapAxes), chosen), g, constantLike(g, 0))]
  }
  return custom([most], [node], gradient)[0]!
}

/** Flat spatial offset of the tap that `argmax` chose; `source` gives the coordinate on one axis from position and tap. */
export function maskOf(
  node: Node,
  tapAxes: readonly number[],
  axes: readonly number[],
  sizes: readonly number[],
  source: (i: number, position: Node, tap: Node) => Node,
): Node {
  const chosen = reduce('argmax', node, tapAxes)
  const kernel = tapAxes.map((a) => node.shape[a]!)
  let offset: Node | null = null
  for (let i = 0; i < axes.length; i++) {
    const inner = numel(kernel.slice(i + 1))
    const tap = binary('mod', binary('floordiv', chosen, constantLike(chosen, inner)), constantLike(chosen, kernel[i]!))
    const at = source(i, iota(chosen.shape, axes[i]!, 'int32'), tap)
    offset = offset ? binary('add', binary('mul', offset, constantLike(offset, sizes[i]!)), at) : at
  }
  return offset!
}

/** Attributes of the operator that a pool is. */
function poolAttributes(
  w: Windows,
  options: PoolOptions,
  type: string,
  exclusive: boolean,
): Record<string, OperatorAttribute> {
  const first = channelsFirst(options.dataFormat, type)
  const format = w.kernel.length === 3 ? ['NCDHW', 'NDHWC'] : ['NCHW', 'NHWC']
  return {
    kernel_size: w.kernel,
    strides: w.stride,
    ...paddingAttributes(options.padding ?? 0, w.pads),
    ceil_mode: options.ceilMode ?? false,
    exclusive,
    data_format: format[first ? 0 : 1]!,
    pooling_type: type,
    global_pooling: false,
    adaptive: false,
  }
}

/** A pool over one axis, while it is recorded for an export. */
function recordedOverTwoAxes<O extends PoolOptions>(
  op: string,
  x: Tensor,
  kernelSize: Spatial,
  options: O,
  body: (x: Tensor, kernel: Spatial, options: O) => Tensor,
): Tensor {
  const first = channelsFirst(options.dataFormat, op)
  const [kernel] = perAxis(kernelSize, 1, op, 'kernelSize') as [number]
  const [stride] = perAxis(options.stride ?? kernelSize, 1, op, 'stride') as [number]
  const size = x.shape[first ? 2 : 1]!
  return overTwoAxes(x, options.dataFormat, op, (wide, dataFormat) =>
    body(wide, [1, kernel], {
      ...options,
      stride: [1, stride],
      padding: paddingOverTwoAxes(options.padding ?? 0, size, kernel, stride, first, op),
      dataFormat,
    }),
  )
}

function maxPool(
  op: string,
  n: number,
  x: Tensor,
  kernelSize: Spatial,
  options: MaxPoolOptions,
): Tensor | [Tensor, Tensor] {
  if (n === 1 && !options.returnMask && notesOperators())
    return recordedOverTwoAxes(op, x, kernelSize, options, (t, k, o) => maxPool(op, 2, t, k, o) as Tensor)
  const w = windows(op, n, x, kernelSize, options, -Infinity)
  const out = new Tensor(maximumOver(w.node, w.tapAxes))
  if (!options.returnMask)
    return asOperator(`pool${n}d`, out, () => ({
      inputs: { x },
      attributes: poolAttributes(w, options, 'max', true),
    }))
  const mask = maskOf(w.node, w.tapAxes, w.axes, w.sizes, (i, position, tap) => {
    const start = binary('mul', position, constantLike(position, w.stride[i]!))
    return binary('add', binary('sub', start, constantLike(start, w.pads.low[i]!)), tap)
  })
  const results: [Tensor, Tensor] = [out, new Tensor(mask)]
  noteOperator(
    `max_pool${n}d_with_index`,
    () => ({ out: results[0], mask: results[1] }),
    () => ({
      inputs: { x },
      attributes: {
        kernel_size: w.kernel,
        strides: w.stride,
        paddings: w.pads.low,
        global_pooling: false,
        adaptive: false,
        ceil_mode: options.ceilMode ?? false,
      },
    }),
  )
  return results
}

/** How many elements each window along an axis averages, where all are alike; else null. */
function windowCount(w: Windows, i: number, exclusive: boolean): number | null {
  const low = exclusive ? 0 : -w.pads.low[i]!
  const high = exclusive ? w.sizes[i]! : w.sizes[i]! + w.pads.high[i]!
  const count = (p: number): number => {
    const start = p * w.stride[i]! - w.pads.low[i]!
    return Math.min(start + w.kernel[i]!, high) - Math.max(start, low)
  }
  // Concave in p: three windows that are alike, both ends among them, speak for all.
  const last = w.outSizes[i]! - 1
  return count(0) === count(last) && count(0) === count(Math.min(1, last)) ? count(0) : null
}

/** The same counts as a node along `axis` of `shape`. */
function countNode(w: Windows, i: number, exclusive: boolean, like: Node): Node {
  const p = iota([w.outSizes[i]!], 0, like.dtype)
  const number = (v: number): Node => constantLike(p, v)
  const start = binary('sub', binary('mul', p, number(w.stride[i]!)), number(w.pads.low[i]!))
  const low = exclusive ? 0 : -w.pads.low[i]!
  const high = exclusive ? w.sizes[i]! : w.sizes[i]! + w.pads.high[i]!
  const stop = binary('min', binary('add', start, number(w.kernel[i]!)), number(high))
  return spreadVector(binary('sub', stop, binary('max', start, number(low))), w.axes[i]!, like.shape)
}

function avgPool(op: string, n: number, x: Tensor, kernelSize: Spatial, options: AvgPoolOptions): Tensor {
  if (n === 1 && notesOperators())
    return recordedOverTwoAxes(op, x, kernelSize, options, (t, k, o) => avgPool(op, 2, t, k, o))
  const w = windows(op, n, x, kernelSize, options, 0)
  let out = reduce('reduceSum', w.node, w.tapAxes)
  if (options.divisorOverride !== undefined) {
    if (!(options.divisorOverride > 0))
      throw new ArgumentError(`${op}: divisorOverride must be positive, got ${options.divisorOverride}`)
    return new Tensor(binary('mul', out, constantLike(out, 1 / options.divisorOverride)))
  }
  const exclusive = options.exclusive ?? true
  let uniform = 1
  for (let i = 0; i < n; i++) {
    const count = windowCount(w, i, exclusive)
    if (count !== null) uniform *= count
    else out = binary('div', out, countNode(w, i, exclusive, out))
  }
  return asOperator(`pool${n}d`, new Tensor(binary('mul', out, constantLike(out, 1 / uniform))), () => ({
    inputs: { x },
    attributes: poolAttributes(w, options, 'avg', exclusive),
  }))
}

/** A power-average pool: (sum of x^p)^(1/p) over each window. */
function lpPool(op: string, n: number, x: Tensor, normType: number, kernelSize: Spatial, options: PoolOptions): Tensor {
  if (!(normType > 0)) throw new ArgumentError(`${op}: normType must be positive, got ${normType}`)
  const w = windows(op, n, x, kernelSize, options, normType === Infinity ? -Infinity : 0)
  if (normType === Infinity) return new Tensor(maximumOver(w.node, w.tapAxes))
  const powers = normType === 2 ? binary('mul', w.node, w.node) : binary('pow', w.node, constantLike(w.node, normType))
  const total = reduce('reduceSum', powers, w.tapAxes)
  return new Tensor(normType === 2 ? unary('sqrt', total) : binary('pow', total, constantLike(total, 1 / normType)))
}

/** What a pool gives: with `returnMask` also where the maxima stand. */
export type Pooled<O> = O extends { readonly returnMask: true } ? [Tensor, Tensor] : Tensor

/** Maximum over windows of x [N, C, L], `paddle.nn.functional.max_pool1d`. */
export function maxPool1d<O extends MaxPoolOptions>(x: Tensor, kernelSize: Spatial, options: O = {} as O): Pooled<O> {
  return maxPool('maxPool1d', 1, x, kernelSize, options) as Pooled<O>
}

/**
 * Maximum over windows of x [N, C, H, W], `paddle.nn.functional.max_pool2d`: H' = floor((H + padding - kh) / stride) + 1.
 * @example maxPool2d(x, 3, { stride: 2, padding: 1 }); const [y, mask] = maxPool2d(x, 2, { returnMask: true })
 */
export function maxPool2d<O extends MaxPoolOptions>(x: Tensor, kernelSize: Spatial, options: O = {} as O): Pooled<O> {
  return maxPool('maxPool2d', 2, x, kernelSize, options) as Pooled<O>
}

/** Maximum over windows of x [N, C, D, H, W], `paddle.nn.functional.max_pool3d`. */
export function maxPool3d<O extends MaxPoolOptions>(x: Tensor, kernelSize: Spatial, options: O = {} as O): Pooled<O> {
  return maxPool('maxPool3d', 3, x, kernelSize, options) as Pooled<O>
}

/** Average over windows of x [N, C, L], `paddle.nn.functional.avg_pool1d`. */
export function avgPool1d(x: Tensor, kernelSize: Spatial, options: AvgPoolOptions = {}): Tensor {
  return avgPool('avgPool1d', 1, x, kernelSize, options)
}

/** Average over windows of x [N, C, H, W]; padding does not count unless `exclusive` is false, `paddle.nn.functional.avg_pool2d`. */
export function avgPool2d(x: Tensor, kernelSize: Spatial, options: AvgPoolOptions = {}): Tensor {
  return avgPool('avgPool2d', 2, x, kernelSize, options)
}

/** Average over windows of x [N, C, D, H, W], `paddle.nn.functional.avg_pool3d`. */
export function avgPool3d(x: Tensor, kernelSize: Spatial, options: AvgPoolOptions = {}): Tensor {
  return avgPool('avgPool3d', 3, x, kernelSize, options)
}

/** (sum of x^p)^(1/p) over windows of x [N, C, L], `paddle.nn.functional.lp_pool1d`. */
export function lpPool1d(x: Tensor, normType: number, kernelSize: Spatial, options: PoolOptions = {}): Tensor {
  return lpPool('lpPool1d', 1, x, normType, kernelSize, options)
}

/** (sum of x^p)^(1/p) over windows of x [N, C, H, W]; the maximum for p = Infinity, `paddle.nn.functional.lp_pool2d`. */
export function lpPool2d(x: Tensor, normType: number, kernelSize: Spatial, options: PoolOptions = {}): Tensor {
  return lpPool('lpPool2d', 2, x, normType, kernelSize, options)
}
