/**
 * The geometry that convolutions, pools and their relatives share: sizes an axis, Paddle's ways of writing a padding, data formats,
 * and the sizes that come out.
 */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, type Shape } from '../../common/shape.ts'
import { broadcastTo, reshape } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { squeeze, unsqueeze } from '../../tensor/shaping.ts'
import type { Tensor } from '../../tensor/tensor.ts'

/** One number for all spatial axes, or one an axis. */
export type Spatial = number | readonly number[]

/**
 * Padding of spatial axes: one number, one an axis, [before, after] of each axis in a row, pairs for all axes (batch and channel
 * first or last, with zeros), `'SAME'` (output size = ceil(input / stride)) or `'VALID'` (none).
 */
export type Padding = Spatial | readonly (readonly number[])[] | 'SAME' | 'VALID' | 'same' | 'valid'

/** `NCHW` (default) or `NHWC`; `NCL`, `NLC`, `NCDHW` and `NDHWC` for one and three spatial axes. */
export type DataFormat = 'NCL' | 'NLC' | 'NCHW' | 'NHWC' | 'NCDHW' | 'NDHWC' | 'NC'

/** Whether the channel axis follows the batch axis. */
export function channelsFirst(format: DataFormat | undefined, op: string): boolean {
  if (format === undefined || format.startsWith('NC')) return true
  if (format.endsWith('C') && format.startsWith('N')) return false
  throw new ArgumentError(
    `${op}: dataFormat '${String(format)}' is not known; use NCHW or NHWC (NCL, NLC, NCDHW, NDHWC)`,
  )
}

/**
 * What is computed over one axis, over two, of which the first has one element: programs know convolutions and pools over two axes and three,
 * so that recordings for an export go this way.
 */
export function overTwoAxes(
  x: Tensor,
  format: DataFormat | undefined,
  op: string,
  body: (x: Tensor, format: 'NCHW' | 'NHWC') => Tensor,
): Tensor {
  const first = channelsFirst(format, op)
  const axis = first ? 2 : 1
  return squeeze(body(unsqueeze(x, axis), first ? 'NCHW' : 'NHWC'), axis)
}

/** Padding of one axis as one of two; `size` and `kernel` are that axis'. */
export function paddingOverTwoAxes(
  padding: Padding,
  size: number,
  kernel: number,
  stride: number,
  first: boolean,
  op: string,
): Padding {
  if (typeof padding === 'string') return padding
  const { low, high } = resolvePadding(padding, [size], [kernel], [stride], first, op)
  return [0, 0, low[0]!, high[0]!]
}

/** Padding as Paddle's operators write it: one number an axis, or two where its ends differ. */
export function paddingAttributes(padding: Padding, pads: Pads): { paddings: number[]; padding_algorithm: string } {
  const padding_algorithm = typeof padding === 'string' ? padding.toUpperCase() : 'EXPLICIT'
  const isEven = pads.low.every((p, i) => p === pads.high[i])
  const paddings = isEven ? [...pads.low] : pads.low.flatMap((p, i) => [p, pads.high[i]!])
  return { paddings: padding_algorithm === 'EXPLICIT' ? paddings : pads.low.map(() => 0), padding_algorithm }
}

/** Sizes, strides and paddings are below 2^31, as Paddle's ints: their products can be counted. */
const largest = 2 ** 31 - 1

/** A spatial option as one number an axis. Throws ArgumentError unless all are integers of at least `least`. */
export function perAxis(value: Spatial, n: number, op: string, name: string, least = 1): number[] {
  const list = typeof value === 'number' ? new Array<number>(n).fill(value) : [...value]
  if (list.length === 1 && n > 1) list.push(...new Array<number>(n - 1).fill(list[0]!))
  if (list.length !== n || list.some((v) => !Number.isInteger(v) || v < least || v > largest)) {
    throw new ArgumentError(
      `${op}: ${name} must be an integer from ${least} to ${largest}, or ${n} of them, got ${JSON.stringify(value)}`,
    )
  }
  return list
}

/** Padding before and after each spatial axis. */
export interface Pads {
  readonly low: number[]
  readonly high: number[]
}

/** The spatial axes of an array of rank n + 2. */
export function spatialAxes(n: number, first: boolean): number[] {
  return Array.from({ length: n }, (_, i) => (first ? 2 : 1) + i)
}

/** Paddings an axis, for the given sizes of the spatial axes. */
export function resolvePadding(
  padding: Padding,
  sizes: readonly number[],
  kernel: readonly number[],
  stride: readonly number[],
  first: boolean,
  op: string,
): Pads {
  const n = sizes.length
  const fail = (): ArgumentError =>
    new ArgumentError(
      `${op}: padding must be a non-negative integer, ${n} or ${2 * n} of them, pairs for all ${n + 2} axes, 'SAME' or 'VALID', got ${JSON.stringify(padding)}`,
    )
  if (typeof padding === 'string') {
    const name = padding.toUpperCase()
    if (name === 'VALID') return { low: sizes.map(() => 0), high: sizes.map(() => 0) }
    if (name !== 'SAME') throw fail()
    const total = sizes.map((d, i) => Math.max((Math.ceil(d / stride[i]!) - 1) * stride[i]! + kernel[i]! - d, 0))
    return { low: total.map((t) => Math.floor(t / 2)), high: total.map((t) => t - Math.floor(t / 2)) }
  }
  let flat: number[]
  if (typeof padding === 'number') flat = new Array<number>(n).fill(padding)
  else if (padding.some((p) => typeof p !== 'number')) {
    const pairs = padding as readonly (readonly number[])[]
    if (pairs.length !== n + 2 || pairs.some((p) => !Array.isArray(p) || p.length !== 2)) throw fail()
    const others = first ? pairs.slice(0, 2) : [pairs[0]!, pairs[n + 1]!]
    if (others.flat().some((p) => p !== 0))
      throw new ArgumentError(`${op}: batch and channel axes cannot be padded, got ${JSON.stringify(padding)}`)
    flat = (first ? pairs.slice(2) : pairs.slice(1, n + 1)).flat()
  } else flat = [...(padding as readonly number[])]
  if (flat.length === 1 && n > 1) flat = new Array<number>(n).fill(flat[0]!)
  if (flat.length === n) flat = flat.flatMap((p) => [p, p])
  if (flat.length !== 2 * n || flat.some((p) => !Number.isInteger(p) || p < 0 || p > largest)) throw fail()
  return { low: flat.filter((_, i) => i % 2 === 0), high: flat.filter((_, i) => i % 2 === 1) }
}

/** Number of positions of a window over an axis. */
export function positions(
  size: number,
  pad: number,
  kernel: number,
  stride: number,
  dilation = 1,
  ceil = false,
): number {
  const room = size + pad - ((kernel - 1) * dilation + 1)
  return room < 0 ? 0 : Math.floor((room + (ceil ? stride - 1 : 0)) / stride) + 1
}

/** Throws ShapeError unless `x` has n spatial axes beside batch and channels. */
export function checkRank(shape: Shape, n: number, op: string, format: string): void {
  if (shape.length !== n + 2)
    throw new ShapeError(`${op}: the input must have ${n + 2} axes (${format}), got ${formatShape(shape)}`)
}

/** A vector along one axis of `shape`, repeated along the others. */
export function spreadVector(vector: Node, axis: number, shape: Shape): Node {
  return broadcastTo(
    reshape(
      vector,
      shape.map((_, i) => (i === axis ? vector.shape[0]! : 1)),
    ),
    shape,
  )
}
