/**
 * Adaptive pools, which are told the size of their output, and unpooling, which puts maxima back where they stood. Windows of unequal
 * length are gathered with their taps masked.
 */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, numel, sameShape } from '../../common/shape.ts'
import { binary, cast, constant, gather, iota, reduce, reshape, scatter, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { checkFloat, checkInteger, constantLike } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator, notesOperators, type OperatorAttribute } from '../../tensor/tracer.ts'
import {
  channelsFirst,
  checkRank,
  overTwoAxes,
  perAxis,
  spatialAxes,
  spreadVector,
  type DataFormat,
  type Spatial,
} from './geometry.ts'
import { maskOf, maximumOver, windowAxis, type PoolOptions, type Pooled } from './pooling.ts'

/** Windows of an adaptive pool: position i covers floor(i * size / out) to ceil((i + 1) * size / out). */
interface AdaptiveWindows {
  readonly node: Node
  readonly axes: readonly number[]
  readonly tapAxes: readonly number[]
  readonly sizes: readonly number[]
  readonly outSizes: readonly number[]
}

/** First coordinate of each window, over `shape` where `position` counts. */
function adaptiveStart(position: Node, size: number, out: number): Node {
  return binary('floordiv', binary('mul', position, constantLike(position, size)), constantLike(position, out))
}

function adaptiveStop(position: Node, size: number, out: number): Node {
  const next = binary('add', position, constantLike(position, 1))
  const raised = binary('add', binary('mul', next, constantLike(next, size)), constantLike(next, out - 1))
  return binary('floordiv', raised, constantLike(raised, out))
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

/** An axis as (position, tap); taps beyond a window hold `fill`. */
function adaptiveAxis(x: Node, axis: number, out: number, fill: number): Node {
  const size = x.shape[axis]!
  if (size % out === 0) return windowAxis(x, axis, size / out, size / out, out)
  // Window i starts (i * size) mod out parts of an element late: any multiple of the common divisor, and the last one reaches furthest.
  const longest = Math.ceil((out - commonDivisor(size, out) + size) / out)
  const shape = [out, longest]
  const position = iota(shape, 0, 'int64')
  const at = binary('add', adaptiveStart(position, size, out), iota(shape, 1, 'int64'))
  const inside = binary('lt', at, adaptiveStop(position, size, out))
  const taken = gather(x, where(inside, at, constantLike(at, 0)), axis)
  const before = taken.shape.slice(0, axis).map(() => 1)
  const after = taken.shape.slice(axis + 2).map(() => 1)
  const mask = reshape(inside, [...before, ...shape, ...after])
  return where(spreadTo(mask, taken.shape), taken, constantLike(taken, fill))
}

function spreadTo(x: Node, shape: readonly number[]): Node {
  const axes = shape.flatMap((d, i) => (x.shape[i] === 1 && d !== 1 ? [i] : []))
  return spread(
    reshape(
      x,
      x.shape.filter((_, i) => !axes.includes(i)),
    ),
    shape,
    axes,
  )
}

/** A size of an adaptive pool's output: null keeps the input's. */
export type AdaptiveSize = number | null | readonly (number | null)[]

function adaptiveWindows(
  op: string,
  n: number,
  x: Tensor,
  outputSize: AdaptiveSize,
  format: DataFormat | undefined,
  fill: number,
): AdaptiveWindows {
  checkFloat(x, op)
  const first = channelsFirst(format, op)
  checkRank(x.shape, n, op, first ? 'N, C, spatial' : 'N, spatial, C')
  const axes = spatialAxes(n, first)
  const sizes = axes.map((a) => x.shape[a]!)
  const list = outputSize === null || typeof outputSize === 'number' ? sizes.map(() => outputSize) : outputSize
  if (list.length !== n)
    throw new ArgumentError(`${op}: outputSize must be a number or ${n} of them, got ${JSON.stringify(outputSize)}`)
  const outSizes = perAxis(
    list.map((s, i) => s ?? sizes[i]!),
    n,
    op,
    'outputSize',
  )
  if (sizes.some((d) => d === 0)) throw new ShapeError(`${op}: nothing to pool in ${formatShape(x.shape)}`)
  let node = x.node
  for (let i = n - 1; i >= 0; i--) node = adaptiveAxis(node, axes[i]!, outSizes[i]!, fill)
  return { node, axes, tapAxes: axes.map((a, i) => a + i + 1), sizes, outSizes }
}

function adaptiveAvgPool(op: string, n: number, x: Tensor, outputSize: AdaptiveSize, format?: DataFormat): Tensor {
  if (n === 1 && notesOperators())
    return overTwoAxes(x, format, op, (wide, f) => adaptiveAvgPool(op, 2, wide, sizeOverTwoAxes(outputSize), f))
  const w = adaptiveWindows(op, n, x, outputSize, format, 0)
  let out = reduce('reduceSum', w.node, w.tapAxes)
  let uniform = 1
  for (let i = 0; i < n; i++) {
    const [size, count] = [w.sizes[i]!, w.outSizes[i]!]
    if (size % count === 0) {
      uniform *= size / count
      continue
    }
    const position = iota([count], 0, 'int64')
    const length = binary('sub', adaptiveStop(position, size, count), adaptiveStart(position, size, count))
    out = binary('div', out, spreadVector(cast(length, out.dtype), w.axes[i]!, out.shape))
  }
  const result = new Tensor(binary('mul', out, constantLike(out, 1 / uniform)))
  // An axis that keeps its size, whatever that is, has no number: then it is a mean over the others.
  const wanted = outputSize === null || typeof outputSize === 'number' ? [outputSize] : outputSize
  if (wanted.includes(null) && wanted.every((s) => s === null || s === 1))
    return asOperator('mean', result, () => ({
      inputs: { x },
      attributes: { axis: w.axes.filter((_, i) => wanted[i] === 1), keepdim: true },
    }))
  return asOperator(`pool${n}d`, result, () => ({ inputs: { x }, attributes: adaptiveAttributes(w, 'avg', format) }))
}

/** Attributes of the operator that an adaptive pool is. */
function adaptiveAttributes(
  w: AdaptiveWindows,
  type: string,
  dataFormat: DataFormat | undefined,
): Record<string, OperatorAttribute> {
  const ones = w.axes.map(() => 1)
  const format = w.axes.length === 3 ? ['NCDHW', 'NDHWC'] : ['NCHW', 'NHWC']
  return {
    kernel_size: w.outSizes,
    strides: ones,
    paddings: ones.map(() => 0),
    padding_algorithm: 'EXPLICIT',
    ceil_mode: false,
    exclusive: true,
    data_format: format[channelsFirst(dataFormat, type) ? 0 : 1]!,
    pooling_type: type,
    global_pooling: false,
    adaptive: true,
  }
}

/** The size of a pool over one axis as that of one over two. */
const sizeOverTwoAxes = (size: AdaptiveSize): AdaptiveSize => [1, ...(typeof size === 'object' && size ? size : [size])]

function adaptiveMaxPool(
  op: string,
  n: number,
  x: Tensor,
  outputSize: AdaptiveSize,
  options: AdaptiveMaxPoolOptions,
): Tensor | [Tensor, Tensor] {
  if (n === 1 && !options.returnMask && notesOperators())
    return overTwoAxes(
      x,
      undefined,
      op,
      (wide) => adaptiveMaxPool(op, 2, wide, sizeOverTwoAxes(outputSize), options) as Tensor,
    )
  const w = adaptiveWindows(op, n, x, outputSize, undefined, -Infinity)
  const out = new Tensor(maximumOver(w.node, w.tapAxes))
  if (!options.returnMask)
    return asOperator(`pool${n}d`, out, () => ({
      inputs: { x },
      attributes: adaptiveAttributes(w, 'max', undefined),
    }))
  const mask = maskOf(w.node, w.tapAxes, w.axes, w.sizes, (i, position, tap) =>
    binary('add', adaptiveStart(position, w.sizes[i]!, w.outSizes[i]!), tap),
  )
  return [out, new Tensor(mask)]
}

export interface AdaptiveMaxPoolOptions {
  /** Also returns where each maximum stands: its offset in the flat spatial axes, int32. Default false. */
  readonly returnMask?: boolean
}

export interface AdaptiveAvgPoolOptions {
  readonly dataFormat?: DataFormat
}

/** Average of x [N, C, L] over `outputSize` windows, `paddle.nn.functional.adaptive_avg_pool1d`. */
export function adaptiveAvgPool1d(x: Tensor, outputSize: AdaptiveSize): Tensor {
  return adaptiveAvgPool('adaptiveAvgPool1d', 1, x, outputSize)
}

/** Average of x [N, C, H, W] over windows that make an output of the given size; null keeps an axis, `paddle.nn.functional.adaptive_avg_pool2d`. */
export function adaptiveAvgPool2d(x: Tensor, outputSize: AdaptiveSize, options: AdaptiveAvgPoolOptions = {}): Tensor {
  return adaptiveAvgPool('adaptiveAvgPool2d', 2, x, outputSize, options.dataFormat)
}

/** Average of x [N, C, D, H, W] over windows that make an output of the given size, `paddle.nn.functional.adaptive_avg_pool3d`. */
export function adaptiveAvgPool3d(x: Tensor, outputSize: AdaptiveSize, options: AdaptiveAvgPoolOptions = {}): Tensor {
  return adaptiveAvgPool('adaptiveAvgPool3d', 3, x, outputSize, options.dataFormat)
}

/** Maximum of x [N, C, L] over `outputSize` windows, `paddle.nn.functional.adaptive_max_pool1d`. */
export function adaptiveMaxPool1d<O extends AdaptiveMaxPoolOptions>(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: O = {} as O,
): Pooled<O> {
  return adaptiveMaxPool('adaptiveMaxPool1d', 1, x, outputSize, options) as Pooled<O>
}

/** Maximum of x [N, C, H, W] over windows that make an output of the given size, `paddle.nn.functional.adaptive_max_pool2d`. */
export function adaptiveMaxPool2d<O extends AdaptiveMaxPoolOptions>(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: O = {} as O,
): Pooled<O> {
  return adaptiveMaxPool('adaptiveMaxPool2d', 2, x, outputSize, options) as Pooled<O>
}

/** Maximum of x [N, C, D, H, W] over windows that make an output of the given size, `paddle.nn.functional.adaptive_max_pool3d`. */
export function adaptiveMaxPool3d<O extends AdaptiveMaxPoolOptions>(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: O = {} as O,
): Pooled<O> {
  return adaptiveMaxPool('adaptiveMaxPool3d', 3, x, outputSize, options) as Pooled<O>
}

export interface UnpoolOptions extends Pick<PoolOptions, 'stride'> {
  /** Default 0. */
  readonly padding?: Spatial
  /** Size of the spatial axes, or of all axes. Default: (size - 1) * stride - 2 * padding + kernel. */
  readonly outputSize?: readonly number[]
}

function maxUnpool(
  op: string,
  n: number,
  x: Tensor,
  indices: Tensor,
  kernelSize: Spatial,
  options: UnpoolOptions,
): Tensor {
  checkFloat(x, op)
  checkInteger(indices, op, 'indices')
  checkRank(x.shape, n, op, 'N, C, spatial')
  if (!sameShape(x.shape, indices.shape))
    throw new ShapeError(`${op}: x ${formatShape(x.shape)} and indices ${formatShape(indices.shape)} differ in shape`)
  const kernel = perAxis(kernelSize, n, op, 'kernelSize')
  const stride = perAxis(options.stride ?? kernelSize, n, op, 'stride')
  const padding = perAxis(options.padding ?? 0, n, op, 'padding', 0)
  const { outputSize } = options
  if (outputSize && outputSize.length !== n && outputSize.length !== n + 2)
    throw new ArgumentError(`${op}: outputSize must have ${n} or ${n + 2} sizes, got [${outputSize.join(', ')}]`)
  const sizes =
    outputSize?.slice(-n) ?? x.shape.slice(2).map((d, i) => (d - 1) * stride[i]! - 2 * padding[i]! + kernel[i]!)
  const planes = x.shape[0]! * x.shape[1]!
  const area = numel(sizes)
  const count = numel(x.shape)
  // Every plane has its own stretch of one flat output.
  const flat = reshape(cast(indices.node, 'int64'), [planes, planes === 0 ? 0 : count / planes])
  const start = binary('mul', iota(flat.shape, 0, 'int64'), constantLike(flat, area))
  const inside = binary('and', binary('ge', flat, constantLike(flat, 0)), binary('lt', flat, constantLike(flat, area)))
  // An index beyond its plane must not land in the next one: it is sent out of range, which is an error when it runs.
  const at = where(inside, binary('add', start, flat), constantLike(flat, planes * area))
  const base = constant(0, x.dtype, [planes * area])
  const out = scatter(base, reshape(at, [count]), reshape(x.node, [count]), 0, 'set')
  return new Tensor(reshape(out, [x.shape[0]!, x.shape[1]!, ...sizes]))
}

/** Puts maxima back where `maxPool1d` found them, zeros elsewhere, `paddle.nn.functional.max_unpool1d`. */
export function maxUnpool1d(x: Tensor, indices: Tensor, kernelSize: Spatial, options: UnpoolOptions = {}): Tensor {
  return maxUnpool('maxUnpool1d', 1, x, indices, kernelSize, options)
}

/** Puts maxima back where `maxPool2d` with `returnMask` found them, zeros elsewhere, `paddle.nn.functional.max_unpool2d`. */
export function maxUnpool2d(x: Tensor, indices: Tensor, kernelSize: Spatial, options: UnpoolOptions = {}): Tensor {
  return maxUnpool('maxUnpool2d', 2, x, indices, kernelSize, options)
}

/** Puts maxima back where `maxPool3d` found them, `paddle.nn.functional.max_unpool3d`. */
export function maxUnpool3d(x: Tensor, indices: Tensor, kernelSize: Spatial, options: UnpoolOptions = {}): Tensor {
  return maxUnpool('maxUnpool3d', 3, x, indices, kernelSize, options)
}
