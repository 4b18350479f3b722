/**
 * Normalisations, as in paddle.nn.functional.norm: compositions of sums and elementwise ops, which the compiler fuses. Statistics of
 * float16 and bfloat16 inputs are computed in float32.
 */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, normalizeAxis, numel, sameShape, type Shape } from '../../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  contract,
  custom,
  detach,
  permute,
  reduce,
  reshape,
  unary,
  window,
} from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import { withGrad, type CustomGradient, type Node } from '../../graph/node.ts'
import { vectorNorm } from '../../tensor/norm.ts'
import { checkOptional, checkTensors, constantLike, floatNode } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator } from '../../tensor/tracer.ts'
import { channelsFirst, spreadVector, type DataFormat } from './geometry.ts'
import { padConstant } from './pad.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const times = (x: Node, factor: number): Node => mul(x, constantLike(x, factor))
const wide = (x: Node): Node => (x.dtype === 'float16' || x.dtype === 'bfloat16' ? cast(x, 'float32') : x)

/** Mean over axes, which are removed. */
function meanOver(x: Node, axes: readonly number[]): Node {
  return times(reduce('reduceSum', x, axes), 1 / numel(axes.map((a) => x.shape[a]!)))
}

interface Standardized {
  /** (x - mean) / sqrt(variance + epsilon) */
  readonly out: Node
  readonly mean: Node
  /** Divided by n, not by n - 1. */
  readonly variance: Node
  /** 1 / sqrt(variance + epsilon) */
  readonly scale: Node
}

/** x with mean 0 and variance 1 over some axes. */
function standardize(x: Node, axes: readonly number[], epsilon: number): Standardized {
  const mean = meanOver(x, axes)
  const centered = sub(x, spread(mean, x.shape, axes))
  const variance = meanOver(mul(centered, centered), axes)
  const scale = unary('rsqrt', add(variance, constantLike(variance, epsilon)))
  return { out: mul(centered, spread(scale, x.shape, axes)), mean, variance, scale }
}

/** x * weight + bias, each spread by `place`. */
function affine(
  x: Node,
  weight: Tensor | null | undefined,
  bias: Tensor | null | undefined,
  place: (v: Node) => Node,
): Node {
  let out = x
  if (weight) out = mul(out, place(cast(weight.node, x.dtype)))
  if (bias) out = add(out, place(cast(bias.node, x.dtype)))
  return out
}

/**
 * The affine map `out` of channels that were standardised as `s`, with the gradient of all of it. With h the standardised x and n elements in a
 * channel: db = sum(g), dw = sum(g h), dx = w scale (g - (db + h dw) / n) (Ioffe & Szegedy 2015, section 3). Derived op by op, dx takes three
 * sums of its own.
 */
function withChannelGradient(
  out: Node,
  x: Node,
  s: Standardized,
  axes: readonly number[],
  { weight, bias }: Pick<BatchNormOptions, 'weight' | 'bias'>,
): Node {
  if (!out.needsGrad) return out
  const share = 1 / numel(axes.map((a) => x.shape[a]!))
  const gradient: CustomGradient = (node, given) => {
    const [, from, mean, scale, w] = node.sources as readonly [Node, Node, Node, Node, Node]
    const over = (v: Node): Node => spread(v, from.shape, axes)
    const g = given.get(0)!
    const h = mul(sub(from, over(mean)), over(scale))
    const [db, dw] = [reduce('reduceSum', g, axes), reduce('reduceSum', mul(g, h), axes)]
    const common = add(over(times(db, share)), mul(h, over(times(dw, share))))
    return [null, mul(over(mul(w, scale)), sub(g, common)), null, null, dw, db]
  }
  const vector = (v: Tensor | null | undefined, otherwise: number): Node =>
    v ? cast(v.node, x.dtype) : constantLike(s.mean, otherwise)
  return custom([out], [x, s.mean, s.scale, vector(weight, 1), vector(bias, 0)], gradient)[0]!
}

function checkVector(op: string, name: string, v: Tensor | null | undefined, size: number): void {
  checkOptional(v, op)
  if (v && (v.ndim !== 1 || v.shape[0] !== size))
    throw new ShapeError(`${op}: ${name} must be [${size}], got ${formatShape(v.shape)}`)
}

/** The axis of the channels, and the others. */
function channelAxes(shape: Shape, format: DataFormat | undefined, op: string): { axis: number; others: number[] } {
  const axis = channelsFirst(format, op) ? 1 : shape.length - 1
  if (shape.length < 2) throw new ShapeError(`${op}: the input needs batch and channel axes, got ${formatShape(shape)}`)
  return { axis, others: shape.map((_, i) => i).filter((i) => i !== axis) }
}

export interface BatchNormOptions {
  readonly weight?: Tensor | null
  readonly bias?: Tensor | null
  /** Uses the batch's statistics and updates the running ones. Default false. */
  readonly training?: boolean
  /** How much of the running statistics is kept. Default 0.9. */
  readonly momentum?: number
  /** Default 1e-5. */
  readonly epsilon?: number
  readonly dataFormat?: DataFormat
  /** Normalises by the running statistics also while training. Default: the opposite of `training`. */
  readonly useGlobalStats?: boolean | null
}

/** running = momentum * running + (1 - momentum) * batch, in place. */
function updateRunning(running: Tensor, batch: Node, momentum: number): void {
  withGrad(false, () => {
    const kept = times(running.node, momentum)
    running.assign(new Tensor(add(kept, times(cast(batch, running.dtype), 1 - momentum))))
  })
}

/**
 * Batch normalisation (Ioffe & Szegedy 2015) of [N, C, ..] over all axes but the channels', `paddle.nn.functional.batch_norm`. While training
 * the running mean and variance (biased, as Paddle's) are updated in place: running = momentum * running + (1 - momentum) * batch.
 */
export function batchNorm(x: Tensor, runningMean: Tensor, runningVar: Tensor, options: BatchNormOptions = {}): Tensor {
  const { weight, bias, training = false, momentum = 0.9, epsilon = 1e-5 } = options
  const input = floatNode(x, 'batch_norm')
  const { axis, others } = channelAxes(input.shape, options.dataFormat, 'batchNorm')
  const channels = input.shape[axis]!
  checkTensors([runningMean, runningVar], 'batchNorm')
  for (const [name, v] of Object.entries({ runningMean, runningVar, weight, bias }))
    checkVector('batchNorm', name, v, channels)
  const n = wide(input)
  const place = (v: Node): Node => spreadVector(v, axis, n.shape)
  const useRunning = options.useGlobalStats ?? !training
  let out: Node
  if (useRunning) {
    const variance = cast(runningVar.node, n.dtype)
    const scale = unary('rsqrt', add(variance, constantLike(variance, epsilon)))
    out = affine(mul(sub(n, place(cast(runningMean.node, n.dtype))), place(scale)), weight, bias, place)
  } else {
    const s = standardize(n, others, epsilon)
    out = withChannelGradient(affine(s.out, weight, bias, place), n, s, others, options)
    updateRunning(runningMean, s.mean, momentum)
    updateRunning(runningVar, s.variance, momentum)
  }
  return asOperator('batch_norm_', new Tensor(cast(out, input.dtype)), () => ({
    inputs: { x, mean: runningMean, variance: runningVar, scale: weight, bias },
    attributes: {
      is_test: !training,
      momentum,
      epsilon,
      data_format: axis === 1 ? 'NCHW' : 'NHWC',
      use_global_stats: options.useGlobalStats ?? false,
      trainable_statistics: false,
    },
  }))
}

/** x's last axes as one normalised shape. */
function normalizedAxes(
  op: string,
  shape: Shape,
  normalizedShape: number | readonly number[],
): { axes: number[]; sizes: number[] } {
  const sizes = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape]
  const start = shape.length - sizes.length
  if (sizes.length === 0 || start < 0 || !sameShape(shape.slice(start), sizes))
    throw new ShapeError(
      `${op}: the last axes of the input ${formatShape(shape)} must be the normalised shape ${formatShape(sizes)}`,
    )
  return { axes: sizes.map((_, i) => start + i), sizes }
}

/** Weight and bias of all normalised elements (Paddle stores them flat), spread over the last axes. */
function affineLast(op: string, x: Node, sizes: readonly number[], { weight, bias }: LayerNormOptions): Node {
  for (const v of [weight, bias]) {
    checkOptional(v, op)
    if (v && v.size !== numel(sizes))
      throw new ShapeError(`${op}: weight and bias must have ${numel(sizes)} elements, got ${formatShape(v.shape)}`)
  }
  return affine(x, weight, bias, (v) => broadcastTo(reshape(v, sizes), x.shape))
}

export interface LayerNormOptions {
  /** [prod(normalizedShape)], or of that shape. */
  readonly weight?: Tensor | null
  readonly bias?: Tensor | null
  /** Default 1e-5. */
  readonly epsilon?: number
}

/** Normalisation of the last axes, whose sizes are `normalizedShape` (Ba et al. 2016), `paddle.nn.functional.layer_norm`. */
export function layerNorm(
  x: Tensor,
  normalizedShape: number | readonly number[],
  options: LayerNormOptions = {},
): Tensor {
  const input = floatNode(x, 'layer_norm')
  const { axes, sizes } = normalizedAxes('layerNorm', input.shape, normalizedShape)
  const n = wide(input)
  const { out } = standardize(n, axes, options.epsilon ?? 1e-5)
  return asOperator('layer_norm', new Tensor(cast(affineLast('layerNorm', out, sizes, options), input.dtype)), () => ({
    inputs: { x, scale: options.weight, bias: options.bias },
    attributes: { epsilon: options.epsilon ?? 1e-5, begin_norm_axis: axes[0]! },
  }))
}

/** x / sqrt(mean(x^2) + epsilon) over the last axes (Zhang & Sennrich 2019), `paddle.incubate.nn.functional.fused_rms_norm`. */
export function rmsNorm(
  x: Tensor,
  normalizedShape: number | readonly number[],
  options: LayerNormOptions = {},
): Tensor {
  const input = floatNode(x, 'rms_norm')
  const { axes, sizes } = normalizedAxes('rmsNorm', input.shape, normalizedShape)
  const n = wide(input)
  const square = meanOver(mul(n, n), axes)
  const scale = unary('rsqrt', add(square, constantLike(square, options.epsilon ?? 1e-5)))
  const out = mul(n, spread(scale, n.shape, axes))
  return new Tensor(cast(affineLast('rmsNorm', out, sizes, options), input.dtype))
}

export interface GroupNormOptions extends LayerNormOptions {
  readonly dataFormat?: DataFormat
}

/** Normalisation of groups of channels of each sample (Wu & He 2018), `paddle.nn.functional.group_norm`. */
export function groupNorm(x: Tensor, numGroups: number, options: GroupNormOptions = {}): Tensor {
  const input = floatNode(x, 'group_norm')
  const { axis } = channelAxes(input.shape, options.dataFormat, 'groupNorm')
  const channels = input.shape[axis]!
  if (!Number.isInteger(numGroups) || numGroups < 1 || channels % numGroups !== 0)
    throw new ArgumentError(`groupNorm: numGroups must divide the ${channels} channels, got ${numGroups}`)
  checkVector('groupNorm', 'weight', options.weight, channels)
  checkVector('groupNorm', 'bias', options.bias, channels)
  const n = wide(input)
  const apart = reshape(n, [...n.shape.slice(0, axis), numGroups, channels / numGroups, ...n.shape.slice(axis + 1)])
  // All axes but the batch's and the groups'.
  const axes = apart.shape.map((_, i) => i).filter((i) => i !== 0 && i !== axis)
  const out = reshape(standardize(apart, axes, options.epsilon ?? 1e-5).out, n.shape)
  const result = affine(out, options.weight, options.bias, (v) => spreadVector(v, axis, n.shape))
  return asOperator('group_norm', new Tensor(cast(result, input.dtype)), () => ({
    inputs: { x, scale: options.weight, bias: options.bias },
    attributes: {
      epsilon: options.epsilon ?? 1e-5,
      groups: numGroups,
      data_format: axis === 1 ? 'NCHW' : 'NHWC',
    },
  }))
}

export interface InstanceNormOptions extends GroupNormOptions {}

/** Normalisation of each channel of each sample (Ulyanov et al. 2016), `paddle.nn.functional.instance_norm`. */
export function instanceNorm(x: Tensor, options: InstanceNormOptions = {}): Tensor {
  const input = floatNode(x, 'instance_norm')
  const { axis, others } = channelAxes(input.shape, options.dataFormat, 'instanceNorm')
  if (input.shape.length < 3)
    throw new ShapeError(`instanceNorm: the input needs spatial axes, got ${formatShape(input.shape)}`)
  checkVector('instanceNorm', 'weight', options.weight, input.shape[axis]!)
  checkVector('instanceNorm', 'bias', options.bias, input.shape[axis]!)
  const n = wide(input)
  const spatial = others.filter((i) => i !== 0)
  const { out } = standardize(n, spatial, options.epsilon ?? 1e-5)
  const result = affine(out, options.weight, options.bias, (v) => spreadVector(v, axis, n.shape))
  const made = new Tensor(cast(result, input.dtype))
  // Programs know it with channels first only; elsewhere it stays what it is composed of.
  if (axis !== 1) return made
  return asOperator('instance_norm', made, () => ({
    inputs: { x, scale: options.weight, bias: options.bias },
    attributes: { epsilon: options.epsilon ?? 1e-5 },
  }))
}

export interface LocalResponseNormOptions {
  /** Default 1e-4. */
  readonly alpha?: number
  /** Default 0.75. */
  readonly beta?: number
  /** Default 1. */
  readonly k?: number
  readonly dataFormat?: DataFormat
}

/** x / (k + alpha * mean of squares of `size` neighbouring channels)^beta (Krizhevsky et al. 2012), `paddle.nn.functional.local_response_norm`. */
export function localResponseNorm(x: Tensor, size: number, options: LocalResponseNormOptions = {}): Tensor {
  const { alpha = 1e-4, beta = 0.75, k = 1 } = options
  if (!Number.isInteger(size) || size < 1)
    throw new ArgumentError(`localResponseNorm: size must be a positive integer, got ${size}`)
  const n = floatNode(x, 'local_response_norm')
  if (n.shape.length < 3)
    throw new ShapeError(`localResponseNorm: the input needs spatial axes, got ${formatShape(n.shape)}`)
  const { axis } = channelAxes(n.shape, options.dataFormat, 'localResponseNorm')
  const onChannels = (amount: number): number[] => n.shape.map((_, i) => (i === axis ? amount : 0))
  const low = Math.floor(size / 2)
  const padded = padConstant(mul(n, n), { low: onChannels(low), high: onChannels(size - 1 - low) }, 0)
  const mean = times(reduce('reduceSum', window(padded, axis, size, 1), [axis + 1]), 1 / size)
  const divisor = add(times(mean, alpha), constantLike(mean, k))
  return new Tensor(binary('div', n, binary('pow', divisor, constantLike(divisor, beta))))
}

export interface NormalizeOptions {
  /** Default 2. */
  readonly p?: number
  /** Default 1. */
  readonly axis?: number
  /** Least length. Default 1e-12. */
  readonly epsilon?: number
}

/** x / max(||x||_p, epsilon) along an axis, `paddle.nn.functional.normalize`. */
export function normalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  const { p = 2, axis = 1, epsilon = 1e-12 } = options
  const n = floatNode(x, 'normalize')
  const a = normalizeAxis(axis, n.shape.length, 'normalize')
  const length = vectorNorm(new Tensor(n), p, a).node
  return new Tensor(binary('div', n, spread(binary('max', length, constantLike(length, epsilon)), n.shape, [a])))
}

export interface SpectralNormalized {
  /** The weight divided by its largest singular value. */
  readonly weight: Tensor
  /** The singular vectors after the iterations. */
  readonly u: Tensor
  readonly v: Tensor
}

/** Each is recorded; one a step is usual. */
const maxPowerIters = 1000

/**
 * Power iteration for the largest singular value of a weight, seen as a matrix [size of dim, rest], from the vectors u and v. Gradients
 * take the vectors as constants.
 */
export function spectralNorm(
  weight: Tensor,
  u: Tensor,
  v: Tensor,
  options: { readonly dim?: number; readonly powerIters?: number; readonly epsilon?: number } = {},
): SpectralNormalized {
  const { dim = 0, powerIters = 1, epsilon = 1e-12 } = options
  const n = floatNode(weight, 'spectral_norm')
  const axis = normalizeAxis(dim, n.shape.length, 'spectralNorm')
  checkTensors([u, v], 'spectralNorm')
  if (!Number.isInteger(powerIters) || powerIters < 0 || powerIters > maxPowerIters)
    throw new ArgumentError(`spectralNorm: powerIters must be an integer from 0 to ${maxPowerIters}, got ${powerIters}`)
  const order = [axis, ...n.shape.map((_, i) => i).filter((i) => i !== axis)]
  const matrix = reshape(permute(n, order), [u.size, v.size])
  const unit = (x: Node): Node => {
    const length = vectorNorm(new Tensor(x), 2, 0).node
    return binary('div', x, spread(add(length, constantLike(length, epsilon)), x.shape, [0]))
  }
  let left = detach(cast(u.node, n.dtype))
  let right = detach(cast(v.node, n.dtype))
  const fixed = detach(matrix)
  for (let i = 0; i < powerIters; i++) {
    right = unit(contract(fixed, left, { lhs: [0, 1], rhs: [0], out: [1] }, [v.size]))
    left = unit(contract(fixed, right, { lhs: [0, 1], rhs: [1], out: [0] }, [u.size]))
  }
  const image = contract(matrix, detach(right), { lhs: [0, 1], rhs: [1], out: [0] }, [u.size])
  const sigma = contract(image, detach(left), { lhs: [0], rhs: [0], out: [] }, [])
  const all = n.shape.map((_, i) => i)
  return {
    weight: new Tensor(binary('div', n, spread(sigma, n.shape, all))),
    u: new Tensor(left),
    v: new Tensor(right),
  }
}
