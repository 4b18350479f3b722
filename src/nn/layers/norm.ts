/** Normalisation layers, as in paddle.nn.layer.norm. */
import { ShapeError } from '../../common/errors.ts'
import { formatShape, numel, type Shape } from '../../common/shape.ts'
import { getDefaultDtype } from '../../tensor/promotion.ts'
import { fromHost, type Tensor } from '../../tensor/tensor.ts'
import type { DataFormat } from '../functional/geometry.ts'
import * as F from '../functional/norm.ts'
import { Constant, Normal } from '../initializer/index.ts'
import { Layer } from '../layer.ts'
import type { Parameter, ParamAttrLike } from '../parameter.ts'
import { generate } from '../unique-name.ts'
import { checkSizes } from './options.ts'

export interface NormOptions {
  /** Default 1e-5. */
  readonly epsilon?: number
  /** `false`: no scale. */
  readonly weightAttr?: ParamAttrLike | false
  /** `false`: no shift. */
  readonly biasAttr?: ParamAttrLike | false
  readonly dataFormat?: DataFormat
}

export interface BatchNormLayerOptions extends NormOptions {
  /** How much of the running statistics is kept at each step. Default 0.9. */
  readonly momentum?: number
  /** Normalises by the running statistics also while training. */
  readonly useGlobalStats?: boolean
}

/** What the batch normalisations share; `ranks` are those of the inputs they take. */
abstract class BatchNormBase extends Layer {
  readonly numFeatures: number
  readonly momentum: number
  readonly epsilon: number
  readonly dataFormat: DataFormat | undefined
  readonly useGlobalStats: boolean | null
  weight: Parameter | null
  bias: Parameter | null
  _mean: Tensor
  _variance: Tensor

  constructor(numFeatures: number, options: BatchNormLayerOptions = {}) {
    super()
    checkSizes(this.constructor.name, { numFeatures })
    this.numFeatures = numFeatures
    this.momentum = options.momentum ?? 0.9
    this.epsilon = options.epsilon ?? 1e-5
    this.dataFormat = options.dataFormat
    this.useGlobalStats = options.useGlobalStats ?? null
    const shape = [numFeatures]
    this.weight = this.createParameter({ shape, attr: options.weightAttr, defaultInitializer: new Constant(1) })
    this.bias = this.createParameter({ shape, attr: options.biasAttr, isBias: true })
    this._mean = this.registerBuffer('_mean', statistic(this, 0, numFeatures))
    this._variance = this.registerBuffer('_variance', statistic(this, 1, numFeatures))
  }

  /** Ranks of the inputs that the layer takes. */
  protected abstract readonly ranks: readonly number[]

  forward(x: Tensor): Tensor {
    const name = this.constructor.name
    if (!this.ranks.includes(x.ndim))
      throw new ShapeError(`${name}: takes inputs of ${this.ranks.join(' or ')} axes, got ${formatShape(x.shape)}`)
    return F.batchNorm(x, this._mean, this._variance, {
      weight: this.weight,
      bias: this.bias,
      training: this.training,
      momentum: this.momentum,
      epsilon: this.epsilon,
      useGlobalStats: this.useGlobalStats,
      ...(this.dataFormat === undefined ? {} : { dataFormat: this.dataFormat }),
    })
  }

  override extraRepr(): string {
    return `num_features=${this.numFeatures}, momentum=${this.momentum}, epsilon=${this.epsilon}`
  }
}

/** A running statistic in memory of its own, named as Paddle names it. */
function statistic(layer: Layer, value: number, size: number): Tensor {
  const tensor = fromHost(new Constant(value).initialize([size], getDefaultDtype()))
  tensor.name = generate(`${layer.fullName()}.w`)
  return tensor
}

/** Batch normalisation of [N, C] or [N, C, L], `paddle.nn.BatchNorm1D`. */
export class BatchNorm1D extends BatchNormBase {
  protected readonly ranks = [2, 3]
}

/** Batch normalisation of [N, C, H, W], `paddle.nn.BatchNorm2D`. @example new nn.BatchNorm2D(32, { momentum: 0.9 }) */
export class BatchNorm2D extends BatchNormBase {
  protected readonly ranks = [4]
}

/** Batch normalisation of [N, C, D, H, W], `paddle.nn.BatchNorm3D`. */
export class BatchNorm3D extends BatchNormBase {
  protected readonly ranks = [5]
}

/** Batch normalisation of inputs of any rank, `paddle.nn.BatchNorm`. */
export class BatchNorm extends BatchNormBase {
  protected readonly ranks = [2, 3, 4, 5]
}

/**
 * Batch normalisation over the batches of all processes, `paddle.nn.SyncBatchNorm`. In a program of one process it is `BatchNorm`.
 */
export class SyncBatchNorm extends BatchNormBase {
  protected readonly ranks = [2, 3, 4, 5]

  /** Replaces every batch normalisation in a layer by a SyncBatchNorm with the same parameters and buffers; returns the layer. */
  static convertSyncBatchNorm<L extends Layer>(layer: L): L | SyncBatchNorm {
    if (layer instanceof BatchNormBase && !(layer instanceof SyncBatchNorm)) {
      const { weight, bias, momentum, epsilon, dataFormat, useGlobalStats } = layer
      const sync = new SyncBatchNorm(layer.numFeatures, {
        momentum,
        epsilon,
        ...(dataFormat === undefined ? {} : { dataFormat }),
        ...(useGlobalStats === null ? {} : { useGlobalStats }),
      })
      Object.assign(sync, { weight, bias, training: layer.training })
      sync.registerBuffer('_mean', layer._mean)
      sync.registerBuffer('_variance', layer._variance)
      return sync
    }
    for (const [name, child] of layer.namedChildren()) {
      const converted = SyncBatchNorm.convertSyncBatchNorm(child)
      if (converted !== child) layer.replaceSublayer(name, converted)
    }
    return layer
  }
}

/** Normalisation of the last axes, `paddle.nn.LayerNorm`. Weight and bias are flat: [prod(normalizedShape)]. */
export class LayerNorm extends Layer {
  readonly normalizedShape: number[]
  readonly epsilon: number
  weight: Parameter | null
  bias: Parameter | null

  constructor(normalizedShape: number | Shape, options: Omit<NormOptions, 'dataFormat'> = {}) {
    super()
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape]
    this.epsilon = options.epsilon ?? 1e-5
    const shape = [numel(this.normalizedShape)]
    this.weight = this.createParameter({ shape, attr: options.weightAttr, defaultInitializer: new Constant(1) })
    this.bias = this.createParameter({ shape, attr: options.biasAttr, isBias: true })
  }

  forward(x: Tensor): Tensor {
    return F.layerNorm(x, this.normalizedShape, this)
  }

  override extraRepr(): string {
    return `normalized_shape=[${this.normalizedShape.join(', ')}], epsilon=${this.epsilon}`
  }
}

/** x / sqrt(mean(x^2) + epsilon) * weight over the last axes, `paddle.nn.RMSNorm`. */
export class RMSNorm extends Layer {
  readonly normalizedShape: number[]
  readonly epsilon: number
  weight: Parameter | null

  constructor(normalizedShape: number | Shape, options: Pick<NormOptions, 'epsilon' | 'weightAttr'> = {}) {
    super()
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape]
    this.epsilon = options.epsilon ?? 1e-5
    this.weight = this.createParameter({
      shape: this.normalizedShape,
      attr: options.weightAttr,
      defaultInitializer: new Constant(1),
    })
  }

  forward(x: Tensor): Tensor {
    return F.rmsNorm(x, this.normalizedShape, this)
  }

  override extraRepr(): string {
    return `normalized_shape=[${this.normalizedShape.join(', ')}], epsilon=${this.epsilon}`
  }
}

/** Normalisation of groups of channels, `paddle.nn.GroupNorm`. @example new nn.GroupNorm(8, 64) */
export class GroupNorm extends Layer {
  readonly numGroups: number
  readonly numChannels: number
  readonly epsilon: number
  readonly dataFormat: DataFormat
  weight: Parameter | null
  bias: Parameter | null

  constructor(numGroups: number, numChannels: number, options: NormOptions = {}) {
    super()
    checkSizes('GroupNorm', { numGroups, numChannels })
    this.numGroups = numGroups
    this.numChannels = numChannels
    this.epsilon = options.epsilon ?? 1e-5
    this.dataFormat = options.dataFormat ?? 'NCHW'
    const shape = [numChannels]
    this.weight = this.createParameter({ shape, attr: options.weightAttr, defaultInitializer: new Constant(1) })
    this.bias = this.createParameter({ shape, attr: options.biasAttr, isBias: true })
  }

  forward(x: Tensor): Tensor {
    return F.groupNorm(x, this.numGroups, this)
  }

  override extraRepr(): string {
    return `num_groups=${this.numGroups}, num_channels=${this.numChannels}, epsilon=${this.epsilon}`
  }
}

/** What the instance normalisations share. Their scale is called `scale`, as in Paddle. */
abstract class InstanceNormBase extends Layer {
  readonly numFeatures: number
  readonly epsilon: number
  readonly dataFormat: DataFormat | undefined
  scale: Parameter | null
  bias: Parameter | null
  /** Rank of the inputs that the layer takes. */
  protected abstract readonly rank: number

  constructor(numFeatures: number, options: NormOptions = {}) {
    super()
    checkSizes(this.constructor.name, { numFeatures })
    this.numFeatures = numFeatures
    this.epsilon = options.epsilon ?? 1e-5
    this.dataFormat = options.dataFormat
    const shape = [numFeatures]
    this.scale = this.createParameter({ shape, attr: options.weightAttr, defaultInitializer: new Constant(1) })
    this.bias = this.createParameter({ shape, attr: options.biasAttr, isBias: true })
  }

  forward(x: Tensor): Tensor {
    if (x.ndim !== this.rank)
      throw new ShapeError(`${this.constructor.name}: takes inputs of ${this.rank} axes, got ${formatShape(x.shape)}`)
    return F.instanceNorm(x, {
      weight: this.scale,
      bias: this.bias,
      epsilon: this.epsilon,
      ...(this.dataFormat === undefined ? {} : { dataFormat: this.dataFormat }),
    })
  }

  override extraRepr(): string {
    return `num_features=${this.numFeatures}, epsilon=${this.epsilon}`
  }
}

/** Normalisation of each channel of each sample of [N, C, L], `paddle.nn.InstanceNorm1D`. */
export class InstanceNorm1D extends InstanceNormBase {
  protected readonly rank = 3
}

/** Normalisation of each channel of each sample of [N, C, H, W], `paddle.nn.InstanceNorm2D`. */
export class InstanceNorm2D extends InstanceNormBase {
  protected readonly rank = 4
}

/** Normalisation of each channel of each sample of [N, C, D, H, W], `paddle.nn.InstanceNorm3D`. */
export class InstanceNorm3D extends InstanceNormBase {
  protected readonly rank = 5
}

/** Normalisation by neighbouring channels, `paddle.nn.LocalResponseNorm`. */
export class LocalResponseNorm extends Layer {
  readonly size: number
  protected readonly options: F.LocalResponseNormOptions

  constructor(size: number, options: F.LocalResponseNormOptions = {}) {
    super()
    this.size = size
    this.options = options
  }

  forward(x: Tensor): Tensor {
    return F.localResponseNorm(x, this.size, this.options)
  }
}

export interface SpectralNormOptions {
  /** The axis of the weight's outputs. Default 0. */
  readonly dim?: number
  /** Default 1. */
  readonly powerIters?: number
  /** Default 1e-12. */
  readonly epsilon?: number
}

/**
 * Divides a weight by its largest singular value, found by power iteration from fixed vectors, `paddle.nn.SpectralNorm` (Miyato et al.
 * 2018). Called with the weight.
 */
export class SpectralNorm extends Layer {
  readonly dim: number
  readonly powerIters: number
  readonly epsilon: number
  weight_u: Parameter
  weight_v: Parameter

  constructor(weightShape: Shape, options: SpectralNormOptions = {}) {
    super()
    this.dim = options.dim ?? 0
    this.powerIters = options.powerIters ?? 1
    this.epsilon = options.epsilon ?? 1e-12
    const height = weightShape[this.dim] ?? 0
    checkSizes('SpectralNorm', { 'weightShape[dim]': height, powerIters: this.powerIters })
    const vector = (size: number): Parameter => {
      const p = this.createParameter({ shape: [size], defaultInitializer: new Normal() })
      p.trainable = false
      return p
    }
    this.weight_u = vector(height)
    this.weight_v = vector(numel(weightShape) / height)
  }

  forward(weight: Tensor): Tensor {
    return F.spectralNorm(weight, this.weight_u, this.weight_v, this).weight
  }
}
