/** The dropout family, as in paddle.nn.functional.common. Which elements stay is drawn inside the graph, by counters. */
import { ArgumentError } from '../../common/errors.ts'
import { normalizeAxes } from '../../common/shape.ts'
import { binary, broadcastTo, where } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { checkTensor, constantLike, floatNode } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { checkProbability, uniformDraws } from './draws.ts'
import { channelsFirst, type DataFormat } from './geometry.ts'

export interface DropoutOptions {
  /** Axes along which decisions differ; the others share them. Default: all. */
  readonly axis?: number | readonly number[]
  /** False: the input passes through. Default true. */
  readonly training?: boolean
  /** `'upscale_in_train'` (default) divides what stays by 1 - p; `'downscale_in_infer'` multiplies by 1 - p outside training instead. */
  readonly mode?: 'upscale_in_train' | 'downscale_in_infer'
}

/** True with probability 1 - p for each coordinate of `axes`, the same along the others. */
function kept(x: Node, p: number, axes: readonly number[]): Node {
  const draws = uniformDraws(x.shape.map((d, i) => (axes.includes(i) ? d : 1)))
  return broadcastTo(binary('ge', draws, constantLike(draws, p)), x.shape)
}

const scaled = (x: Node, factor: number): Node => binary('mul', x, constantLike(x, factor))

/**
 * Sets elements to 0 with probability p (default 0.5) while training, and divides the others by 1 - p, `paddle.nn.functional.dropout`.
 * Throws ArgumentError for p outside [0, 1].
 */
export function dropout(x: Tensor, p = 0.5, options: DropoutOptions = {}): Tensor {
  checkProbability(p, 'dropout')
  const { training = true, mode = 'upscale_in_train' } = options
  if (mode !== 'upscale_in_train' && mode !== 'downscale_in_infer')
    throw new ArgumentError(`dropout: mode must be upscale_in_train or downscale_in_infer, got '${String(mode)}'`)
  const n = floatNode(x, 'dropout')
  if (p === 0) return x
  const scales = mode === 'upscale_in_train'
  if (!training) return scales ? x : new Tensor(scaled(n, 1 - p))
  if (p === 1) return new Tensor(scaled(n, 0))
  const mask = kept(n, p, normalizeAxes(options.axis, x.ndim, 'dropout'))
  return new Tensor(where(mask, scales ? scaled(n, 1 / (1 - p)) : n, constantLike(n, 0)))
}

export interface ChannelDropoutOptions {
  /** Default true. */
  readonly training?: boolean
  readonly dataFormat?: DataFormat
}

function channelDropout(op: string, n: number, x: Tensor, p: number, options: ChannelDropoutOptions): Tensor {
  checkTensor(x, op)
  if (x.ndim !== n + 2) throw new ArgumentError(`${op}: the input must have ${n + 2} axes, got ${x.ndim}`)
  const channel = channelsFirst(options.dataFormat, op) ? 1 : n + 1
  return dropout(x, p, { axis: [0, channel], training: options.training ?? true })
}

/** Drops whole channels of [N, C, L], `paddle.nn.functional.dropout1d`. */
export function dropout1d(x: Tensor, p = 0.5, options: ChannelDropoutOptions = {}): Tensor {
  return channelDropout('dropout1d', 1, x, p, options)
}

/** Drops whole channels of [N, C, H, W], `paddle.nn.functional.dropout2d`. */
export function dropout2d(x: Tensor, p = 0.5, options: ChannelDropoutOptions = {}): Tensor {
  return channelDropout('dropout2d', 2, x, p, options)
}

/** Drops whole channels of [N, C, D, H, W], `paddle.nn.functional.dropout3d`. */
export function dropout3d(x: Tensor, p = 0.5, options: ChannelDropoutOptions = {}): Tensor {
  return channelDropout('dropout3d', 3, x, p, options)
}

/** What SELU tends to for very negative inputs. */
const saturation = -1.7580993408473766

function alpha(op: string, x: Tensor, p: number, training: boolean, axes: readonly number[]): Tensor {
  checkProbability(p, op)
  const n = floatNode(x, op)
  if (!training || p === 0) return x
  if (p === 1) return new Tensor(scaled(n, 0))
  const a = ((1 - p) * (1 + p * saturation ** 2)) ** -0.5
  const b = -a * saturation * p
  const chosen = where(kept(n, p, axes), n, constantLike(n, saturation))
  return new Tensor(binary('add', scaled(chosen, a), constantLike(n, b)))
}

/** Dropout that keeps mean and variance of what SELU gives (Klambauer et al. 2017), `paddle.nn.functional.alpha_dropout`. */
export function alphaDropout(x: Tensor, p = 0.5, training = true): Tensor {
  checkTensor(x, 'alphaDropout')
  return alpha(
    'alpha_dropout',
    x,
    p,
    training,
    x.shape.map((_, i) => i),
  )
}

/** `alphaDropout` of whole channels, `paddle.nn.functional.feature_alpha_dropout`. */
export function featureAlphaDropout(x: Tensor, p = 0.5, training = true): Tensor {
  checkTensor(x, 'featureAlphaDropout')
  if (x.ndim < 2) throw new ArgumentError(`featureAlphaDropout: the input needs batch and channel axes, got ${x.ndim}`)
  return alpha('feature_alpha_dropout', x, p, training, [0, 1])
}
