/** Rearrangements of channels and space, as in paddle.nn.functional.vision and extension: views, but for temporalShift's padding. */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, numel, type Shape } from '../../common/shape.ts'
import { constant, contract, pad as padNode, permute, reshape, sliceAxis, window } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { concatNodes } from '../../tensor/manipulation.ts'
import { checkFloat, checkTensor } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator } from '../../tensor/tracer.ts'
import { channelsFirst, perAxis, positions, type DataFormat, type Spatial } from './geometry.ts'

interface Image {
  readonly node: Node
  readonly n: number
  readonly c: number
  readonly h: number
  readonly w: number
  readonly first: boolean
}

function imageOf(op: string, x: Tensor, format: DataFormat | undefined): Image {
  checkTensor(x, op)
  if (x.ndim !== 4) throw new ShapeError(`${op}: the input must have 4 axes, got ${formatShape(x.shape)}`)
  const first = channelsFirst(format, op)
  const [n, a, b, d] = x.shape as [number, number, number, number]
  const [c, h, w] = first ? [a, b, d] : [d, a, b]
  return { node: x.node, n, c, h, w, first }
}

const arranged = (x: Node, apart: Shape, order: readonly number[], joined: Shape): Tensor =>
  new Tensor(reshape(permute(reshape(x, apart), order), joined))

function checkFactor(op: string, name: string, factor: number, size: number, what: string): void {
  if (!Number.isInteger(factor) || factor < 1 || size % factor !== 0)
    throw new ArgumentError(`${op}: ${name} must be a positive integer that divides the ${size} ${what}, got ${factor}`)
}

/** [N, C * r^2, H, W] to [N, C, H * r, W * r], `paddle.nn.functional.pixel_shuffle`. */
export function pixelShuffle(x: Tensor, upscaleFactor: number, dataFormat?: DataFormat): Tensor {
  const r = upscaleFactor
  const { node, n, c, h, w, first } = imageOf('pixelShuffle', x, dataFormat)
  checkFactor('pixelShuffle', 'upscaleFactor squared', r * r, c, 'channels')
  const rest = c / (r * r)
  const out = first
    ? arranged(node, [n, rest, r, r, h, w], [0, 1, 4, 2, 5, 3], [n, rest, h * r, w * r])
    : arranged(node, [n, h, w, rest, r, r], [0, 1, 4, 2, 5, 3], [n, h * r, w * r, rest])
  return asOperator('pixel_shuffle', out, () => ({
    inputs: { x },
    attributes: { upscale_factor: r, data_format: first ? 'NCHW' : 'NHWC' },
  }))
}

/** [N, C, H * r, W * r] to [N, C * r^2, H, W], `paddle.nn.functional.pixel_unshuffle`. */
export function pixelUnshuffle(x: Tensor, downscaleFactor: number, dataFormat?: DataFormat): Tensor {
  const r = downscaleFactor
  const { node, n, c, h, w, first } = imageOf('pixelUnshuffle', x, dataFormat)
  checkFactor('pixelUnshuffle', 'downscaleFactor', r, h, 'rows')
  checkFactor('pixelUnshuffle', 'downscaleFactor', r, w, 'columns')
  const [rows, columns] = [h / r, w / r]
  return first
    ? arranged(node, [n, c, rows, r, columns, r], [0, 1, 3, 5, 2, 4], [n, c * r * r, rows, columns])
    : arranged(node, [n, rows, r, columns, r, c], [0, 1, 3, 5, 2, 4], [n, rows, columns, c * r * r])
}

/** Channels of `groups` groups dealt out in turn, `paddle.nn.functional.channel_shuffle`. */
export function channelShuffle(x: Tensor, groups: number, dataFormat?: DataFormat): Tensor {
  const { node, n, c, h, w, first } = imageOf('channelShuffle', x, dataFormat)
  checkFactor('channelShuffle', 'groups', groups, c, 'channels')
  return first
    ? arranged(node, [n, groups, c / groups, h, w], [0, 2, 1, 3, 4], x.shape)
    : arranged(node, [n, h, w, groups, c / groups], [0, 1, 2, 4, 3], x.shape)
}

/**
 * Moves the first `shiftRatio` (default 0.25) of the channels one step on and as many one step back in time: x [N * segments, C, H, W],
 * `paddle.nn.functional.temporal_shift` (Lin et al. 2019).
 */
export function temporalShift(x: Tensor, segNum: number, shiftRatio = 0.25, dataFormat?: DataFormat): Tensor {
  const op = 'temporalShift'
  const { node, n, c, h, w, first } = imageOf(op, x, dataFormat)
  checkFactor(op, 'segNum', segNum, n, 'frames')
  if (!(shiftRatio > 0 && shiftRatio <= 0.5))
    throw new ArgumentError(`${op}: shiftRatio must lie in (0, 0.5], got ${shiftRatio}`)
  const frames = reshape(node, first ? [n / segNum, segNum, c, h, w] : [n / segNum, segNum, h, w, c])
  const axis = first ? 2 : 4
  const [one, two] = [Math.floor(c * shiftRatio), Math.floor(c * 2 * shiftRatio)]
  const part = (from: number, to: number): Node => sliceAxis(frames, axis, from, to)
  const shifted = (v: Node, low: number): Node => {
    const amounts = (a: number): number[] => v.shape.map((_, i) => (i === 1 ? a : 0))
    const kept = low ? sliceAxis(v, 1, 0, segNum - 1) : sliceAxis(v, 1, 1, segNum)
    return padNode(kept, amounts(low), amounts(1 - low))
  }
  const pieces = [shifted(part(0, one), 1), shifted(part(one, two), 0), part(two, c)]
  return new Tensor(reshape(concatNodes(pieces, axis), x.shape))
}

export interface UnfoldOptions {
  /** Default 1. */
  readonly strides?: Spatial
  /** One number, [height, width] or [top, left, bottom, right]. Default 0. */
  readonly paddings?: Spatial
  /** Default 1. */
  readonly dilations?: Spatial
}

interface Patches {
  readonly kernel: number[]
  readonly stride: number[]
  readonly dilation: number[]
  readonly low: readonly number[]
  readonly high: readonly number[]
}

/** Of `n` axes. */
function patches(op: string, n: number, kernelSizes: Spatial, options: UnfoldOptions): Patches {
  const given = options.paddings ?? 0
  const p = typeof given === 'number' ? [given] : given
  const once = p.length === 1 ? new Array<number>(n).fill(p[0]!) : p
  const ends = once.length === n ? [...once, ...once] : once
  if (ends.length !== 2 * n || p.some((v) => !Number.isInteger(v) || v < 0))
    throw new ArgumentError(
      `${op}: paddings must be one, ${n} or ${2 * n} non-negative integers, got ${JSON.stringify(given)}`,
    )
  return {
    kernel: perAxis(kernelSizes, n, op, 'kernelSizes'),
    stride: perAxis(options.strides ?? 1, n, op, 'strides'),
    dilation: perAxis(options.dilations ?? 1, n, op, 'dilations'),
    low: ends.slice(0, n),
    high: ends.slice(n),
  }
}

/** Numbers of patches in each direction. */
function patchCounts(op: string, p: Patches, sizes: readonly number[]): number[] {
  const counts = sizes.map((d, i) => positions(d, p.low[i]! + p.high[i]!, p.kernel[i]!, p.stride[i]!, p.dilation[i]!))
  if (counts.some((k) => k < 1))
    throw new ShapeError(`${op}: patches of ${formatShape(p.kernel)} do not fit into ${formatShape(sizes)}`)
  return counts
}

/** Sliding patches as columns: [N, C, H, W] to [N, C * kh * kw, patches], `paddle.nn.functional.unfold`. */
export function unfold(x: Tensor, kernelSizes: Spatial, options: UnfoldOptions = {}): Tensor {
  const { node, n, c, h, w } = imageOf('unfold', x, undefined)
  const p = patches('unfold', 2, kernelSizes, options)
  const [rows, columns] = patchCounts('unfold', p, [h, w]) as [number, number]
  const padded = padNode(node, [0, 0, ...p.low], [0, 0, ...p.high])
  const [kh, kw] = p.kernel as [number, number]
  const across = window(padded, 3, kw, p.stride[1]!, p.dilation[1]!)
  // [n, c, row, kh, column, kw]
  const both = window(across, 2, kh, p.stride[0]!, p.dilation[0]!)
  const out = reshape(permute(both, [0, 1, 3, 5, 2, 4]), [n, c * kh * kw, rows * columns])
  return asOperator('unfold', new Tensor(out), () => ({
    inputs: { x },
    attributes: {
      kernel_sizes: p.kernel,
      strides: p.stride,
      paddings: [...p.low, ...p.high],
      dilations: p.dilation,
    },
  }))
}

/**
 * Adds patches up where they overlap: [N, C * kh * kw, patches] to [N, C, H, W], the transpose of `unfold`, `paddle.nn.functional.fold`. Three
 * output sizes make volumes [N, C, D, H, W], and one [N, C, L], as in ONNX.
 */
export function fold(x: Tensor, outputSizes: Spatial, kernelSizes: Spatial, options: UnfoldOptions = {}): Tensor {
  const op = 'fold'
  checkFloat(x, op)
  const axes = typeof outputSizes === 'number' ? 2 : outputSizes.length
  const sizes = perAxis(outputSizes, axes, op, 'outputSizes')
  const p = patches(op, axes, kernelSizes, options)
  const counts = patchCounts(op, p, sizes)
  const taps = numel(p.kernel)
  const [n, channels, length] = x.shape
  if (x.ndim !== 3 || channels! % taps !== 0 || length !== numel(counts))
    throw new ShapeError(
      `${op}: the input must be [N, C * ${taps}, ${numel(counts)}] for an output of ${formatShape(sizes)}, got ${formatShape(x.shape)}`,
    )
  const c = channels! / taps
  const apart = reshape(x.node, [n!, c, ...p.kernel, ...counts])
  const ones = constant(1, x.dtype, p.kernel)
  // Letters: n 0, c 1, then taps, then positions.
  const tap = sizes.map((_, i) => 2 + i)
  const windows = sizes.map((_, i) => ({
    position: 2 + axes + i,
    tap: 2 + i,
    stride: p.stride[i]!,
    dilation: p.dilation[i]!,
    padding: p.low[i]!,
  }))
  const spec = { lhs: apart.shape.map((_, i) => i), rhs: tap, out: [0, 1, ...windows] }
  return new Tensor(contract(apart, ones, spec, [n!, c, ...sizes]))
}
