/** Linear maps and look-ups, as in paddle.nn.layer.common. */
import { Tensor } from '../../tensor/tensor.ts'
import { binary, constant, iota, where } from '../../graph/build.ts'
import { withGrad } from '../../graph/node.ts'
import { flatten, unflatten } from '../../tensor/shaping.ts'
import * as F from '../functional/common.ts'
import { Layer } from '../layer.ts'
import type { Parameter, ParamAttrLike } from '../parameter.ts'
import { checkSizes, type WeightOptions } from './options.ts'

/** x W + b: [.., inFeatures] to [.., outFeatures], `paddle.nn.Linear`. The weight is [inFeatures, outFeatures]. */
export class Linear extends Layer {
  readonly inFeatures: number
  readonly outFeatures: number
  weight: Parameter
  bias: Parameter | null

  constructor(inFeatures: number, outFeatures: number, options: WeightOptions = {}) {
    super()
    checkSizes('Linear', { inFeatures, outFeatures })
    this.inFeatures = inFeatures
    this.outFeatures = outFeatures
    this.weight = this.createParameter({ shape: [inFeatures, outFeatures], attr: options.weightAttr })
    this.bias = this.createParameter({ shape: [outFeatures], attr: options.biasAttr, isBias: true })
  }

  forward(x: Tensor): Tensor {
    return F.linear(x, this.weight, this.bias)
  }

  override extraRepr(): string {
    return `in_features=${this.inFeatures}, out_features=${this.outFeatures}, dtype=${this.weight.dtype}`
  }
}

/** x1 W x2 + b, `paddle.nn.Bilinear`. The weight is [outFeatures, in1Features, in2Features], the bias [1, outFeatures]. */
export class Bilinear extends Layer {
  weight: Parameter
  bias: Parameter | null

  constructor(in1Features: number, in2Features: number, outFeatures: number, options: WeightOptions = {}) {
    super()
    checkSizes('Bilinear', { in1Features, in2Features, outFeatures })
    this.weight = this.createParameter({ shape: [outFeatures, in1Features, in2Features], attr: options.weightAttr })
    this.bias = this.createParameter({ shape: [1, outFeatures], attr: options.biasAttr, isBias: true })
  }

  forward(x1: Tensor, x2: Tensor): Tensor {
    return F.bilinear(x1, x2, this.weight, this.bias)
  }

  override extraRepr(): string {
    const [out, in1, in2] = this.weight.shape
    return `in1_features=${in1}, in2_features=${in2}, out_features=${out}, dtype=${this.weight.dtype}`
  }
}

export interface EmbeddingLayerOptions extends F.EmbeddingOptions {
  readonly weightAttr?: ParamAttrLike
}

/** Rows of a trained table by integers, `paddle.nn.Embedding`. The weight is [numEmbeddings, embeddingDim]. */
export class Embedding extends Layer {
  readonly numEmbeddings: number
  readonly embeddingDim: number
  /** Counted from the front; -1 for none. */
  readonly paddingIdx: number
  readonly sparse: boolean
  weight: Parameter

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingLayerOptions = {}) {
    super()
    checkSizes('Embedding', { numEmbeddings, embeddingDim })
    this.numEmbeddings = numEmbeddings
    this.embeddingDim = embeddingDim
    this.sparse = options.sparse ?? false
    this.paddingIdx = F.paddingRow(options.paddingIdx, numEmbeddings, 'Embedding')
    this.weight = this.createParameter({ shape: [numEmbeddings, embeddingDim], attr: options.weightAttr })
    if (this.paddingIdx >= 0) withGrad(false, () => this.weight.assign(this.#withoutPadding()))
  }

  /** The weight with zeros in the padding's row. */
  #withoutPadding(): Tensor {
    const { node } = this.weight
    const isPadding = binary('eq', iota(node.shape, 0, 'int32'), constant(this.paddingIdx, 'int32', node.shape))
    return new Tensor(where(isPadding, constant(0, node.dtype, node.shape), node))
  }

  forward(x: Tensor): Tensor {
    return F.embedding(x, this.weight, { paddingIdx: this.paddingIdx < 0 ? null : this.paddingIdx })
  }

  override extraRepr(): string {
    const padding = this.paddingIdx >= 0 ? `, padding_idx=${this.paddingIdx}` : ''
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}, sparse=${this.sparse}`
  }
}

/** Its input, `paddle.nn.Identity`. */
export class Identity extends Layer {
  forward(x: Tensor): Tensor {
    return x
  }
}

/** Axes startAxis (default 1) to stopAxis (default -1) as one, `paddle.nn.Flatten`. */
export class Flatten extends Layer {
  readonly startAxis: number
  readonly stopAxis: number

  constructor(startAxis = 1, stopAxis = -1) {
    super()
    this.startAxis = startAxis
    this.stopAxis = stopAxis
  }

  forward(x: Tensor): Tensor {
    return flatten(x, this.startAxis, this.stopAxis)
  }
}

/** An axis as several, `paddle.nn.Unflatten`. */
export class Unflatten extends Layer {
  readonly axis: number
  readonly shape: readonly number[]

  constructor(axis: number, shape: readonly number[]) {
    super()
    this.axis = axis
    this.shape = shape
  }

  forward(x: Tensor): Tensor {
    return unflatten(x, this.axis, this.shape)
  }
}

/** The cosine of the angle between two tensors along an axis, `paddle.nn.CosineSimilarity`. */
export class CosineSimilarity extends Layer {
  readonly axis: number
  readonly eps: number

  constructor(axis = 1, eps = 1e-8) {
    super()
    this.axis = axis
    this.eps = eps
  }

  forward(x1: Tensor, x2: Tensor): Tensor {
    return F.cosineSimilarity(x1, x2, this.axis, this.eps)
  }
}

/** The p-norm of x - y along the last axis, `paddle.nn.PairwiseDistance`. */
export class PairwiseDistance extends Layer {
  protected readonly options: F.PairwiseDistanceOptions

  constructor(options: F.PairwiseDistanceOptions = {}) {
    super()
    this.options = options
  }

  forward(x: Tensor, y: Tensor): Tensor {
    return F.pairwiseDistance(x, y, this.options)
  }
}
