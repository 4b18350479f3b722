/**
 * Resizing, as in paddle.nn.functional.interpolate: each spatial axis by itself. Positions are computed in the graph from the ratio of
 * the sizes, a number of the run, so new sizes compile nothing.
 */
import { ArgumentError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { binary, cast, constant, expand, gather, iota, reshape, scalar, unary, broadcastTo } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { checkTensor, constantLike, floatNode } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator } from '../../tensor/tracer.ts'
import { adaptiveAvgPool1d, adaptiveAvgPool2d, adaptiveAvgPool3d } from './adaptive-pooling.ts'
import { channelsFirst, spatialAxes, spreadVector, type DataFormat } from './geometry.ts'
import { cubicWeights, resizedBy } from './sampling.ts'

export type InterpolateMode = 'nearest' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear' | 'area'

export interface InterpolateOptions {
  /** Sizes of the spatial axes that come out. */
  readonly size?: number | readonly number[] | null
  /** Factors on the sizes, instead of `size`; the results are rounded down. */
  readonly scaleFactor?: number | readonly number[] | null
  /** Default `'nearest'`. */
  readonly mode?: InterpolateMode
  /** First and last elements keep their places. Default false. */
  readonly alignCorners?: boolean
  /** For linear modes: 0 (default) takes elements as areas around their centres, 1 as points at multiples of the ratio. */
  readonly alignMode?: 0 | 1
  readonly dataFormat?: DataFormat
}

/** How one axis is resized. */
interface AxisPlan {
  readonly size: number
  readonly out: number
  /** Elements of the input an element of the output. */
  readonly ratio: number
  readonly halfPixel: boolean
}

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const clamped = (x: Node, low: number, high: number): Node =>
  binary('min', binary('max', x, constantLike(x, low)), constantLike(x, high))

/** A number of the run over the shape of `x`. */
const run = (value: number, x: Node): Node => broadcastTo(scalar(value, x.dtype), x.shape)

/** Where each element of the output stands in the input: ratio * i, or ratio * (i + 0.5) - 0.5. */
function sourcePositions({ out, ratio, halfPixel }: AxisPlan): Node {
  const i = iota([out], 0, 'float32')
  if (!halfPixel) return mul(i, run(ratio, i))
  return sub(mul(add(i, constantLike(i, 0.5)), run(ratio, i)), constantLike(i, 0.5))
}

/** Elements of an axis at integer positions, each times a factor along that axis. */
function taken(x: Node, axis: number, index: Node, factor: Node): Node {
  const picked = gather(x, cast(index, 'int64'), axis)
  return mul(picked, spreadVector(cast(factor, x.dtype), axis, picked.shape))
}

function nearestAxis(x: Node, axis: number, plan: AxisPlan): Node {
  const { size, out } = plan
  if (out % size === 0 && plan.ratio === size / out) {
    // Whole multiples repeat elements: a view, whose gradient is a sum.
    const apart = reshape(x, [...x.shape.slice(0, axis + 1), 1, ...x.shape.slice(axis + 1)])
    const repeated = expand(apart, [...x.shape.slice(0, axis + 1), out / size, ...x.shape.slice(axis + 1)])
    return reshape(repeated, [...x.shape.slice(0, axis), out, ...x.shape.slice(axis + 1)])
  }
  const at = sourcePositions({ ...plan, halfPixel: false })
  return gather(x, cast(clamped(unary('floor', at), 0, size - 1), 'int64'), axis)
}

function linearAxis(x: Node, axis: number, plan: AxisPlan): Node {
  const last = plan.size - 1
  const at = binary('max', sourcePositions(plan), constant(0, 'float32', [plan.out]))
  const below = clamped(unary('floor', at), 0, last)
  const above = clamped(add(below, constantLike(below, 1)), 0, last)
  const share = sub(at, below)
  return add(taken(x, axis, below, sub(constantLike(share, 1), share)), taken(x, axis, above, share))
}

function cubicAxis(x: Node, axis: number, plan: AxisPlan): Node {
  const at = sourcePositions(plan)
  const floor = unary('floor', at)
  const terms = cubicWeights(sub(at, floor)).map((weight, k) =>
    taken(x, axis, clamped(add(floor, constantLike(floor, k - 1)), 0, plan.size - 1), weight),
  )
  return terms.reduce(add)
}

/** Spatial axes that a mode takes; 0 for any number. */
const ranks: Readonly<Record<InterpolateMode, number>> = {
  nearest: 0,
  area: 0,
  linear: 1,
  bilinear: 2,
  bicubic: 2,
  trilinear: 3,
}

/** One number a spatial axis. */
function sizesOf(value: number | readonly number[], n: number, name: string): number[] {
  const list = typeof value === 'number' ? new Array<number>(n).fill(value) : [...value]
  if (list.length !== n || list.some((v) => !(v > 0)))
    throw new ArgumentError(
      `interpolate: ${name} must be a positive number or ${n} of them, got ${JSON.stringify(value)}`,
    )
  return list
}

/**
 * Resizes the spatial axes of x [N, C, L], [N, C, H, W] or [N, C, D, H, W] to `size` or by `scaleFactor`, `paddle.nn.functional.interpolate`.
 * @example interpolate(x, { scaleFactor: 2, mode: 'bilinear' })
 */
export function interpolate(x: Tensor, options: InterpolateOptions = {}): Tensor {
  const { size, scaleFactor, mode = 'nearest', alignCorners = false, alignMode = 0 } = options
  checkTensor(x, 'interpolate')
  const n = x.ndim - 2
  if (!(mode in ranks))
    throw new ArgumentError(`interpolate: mode '${mode}' is not known; use ${Object.keys(ranks).join(', ')}`)
  if (n < 1 || n > 3 || (ranks[mode] !== 0 && ranks[mode] !== n))
    throw new ArgumentError(
      `interpolate: mode '${mode}' does not take an input of ${x.ndim} axes, ${formatShape(x.shape)}`,
    )
  if ((size === undefined || size === null) === (scaleFactor === undefined || scaleFactor === null))
    throw new ArgumentError('interpolate: give size or scaleFactor, one of them')
  if (alignMode !== 0 && alignMode !== 1)
    throw new ArgumentError(`interpolate: alignMode must be 0 or 1, got ${String(alignMode)}`)
  if (alignCorners && (mode === 'nearest' || mode === 'area'))
    throw new ArgumentError(`interpolate: alignCorners is not for mode '${mode}'`)
  const first = channelsFirst(options.dataFormat, 'interpolate')
  const axes = spatialAxes(n, first)
  const sizes = axes.map((a) => x.shape[a]!)
  const scales = scaleFactor === undefined || scaleFactor === null ? null : sizesOf(scaleFactor, n, 'scaleFactor')
  const outs = scales ? sizes.map((d, i) => resizedBy(d, scales[i]!)) : sizesOf(size!, n, 'size')
  if (outs.some((o) => !Number.isInteger(o) || o < 1))
    throw new ArgumentError(`interpolate: the output would have the size ${formatShape(outs)}`)
  if (mode === 'area') return byArea(x, outs, first)
  let node = floatNode(x, `${mode}_interp`)
  axes.forEach((axis, i) => {
    const [from, out] = [sizes[i]!, outs[i]!]
    const free = scales ? 1 / scales[i]! : from / out
    const ratio = out === 1 ? 0 : alignCorners ? (from - 1) / (out - 1) : free
    const halfPixel = !alignCorners && (mode === 'bicubic' || alignMode === 0)
    const plan = { size: from, out, ratio, halfPixel }
    if (from === out && ratio === 1) return
    if (mode === 'nearest') node = nearestAxis(node, axis, plan)
    else node = mode === 'bicubic' ? cubicAxis(node, axis, plan) : linearAxis(node, axis, plan)
  })
  return asOperator(`${mode}_interp`, new Tensor(node), () => ({
    inputs: { x },
    attributes: {
      data_format: (first ? ['NCW', 'NCHW', 'NCDHW'] : ['NWC', 'NHWC', 'NDHWC'])[n - 1]!,
      ...Object.fromEntries(
        ['out_d', 'out_h', 'out_w'].map((name, i) => [name, (scales ? -1 : outs[i - 3 + n]) ?? -1]),
      ),
      scale: scales ?? [],
      interp_method: mode,
      align_corners: alignCorners,
      align_mode: alignMode,
    },
  }))
}

function byArea(x: Tensor, outs: readonly number[], first: boolean): Tensor {
  if (!first) throw new ArgumentError("interpolate: mode 'area' takes channels first")
  return [adaptiveAvgPool1d, adaptiveAvgPool2d, adaptiveAvgPool3d][outs.length - 1]!(x, outs)
}

/** As `interpolate`, `paddle.nn.functional.upsample`. */
export function upsample(x: Tensor, options: InterpolateOptions = {}): Tensor {
  return interpolate(x, options)
}
