/** One layer of a transformer's encoder or decoder (Vaswani et al., arXiv:1706.03762), as in paddle.nn.layer.transformer. */
import { ArgumentError } from '../../common/errors.ts'
import { add } from '../../tensor/math.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import * as activations from '../functional/activation.ts'
import { Layer } from '../layer.ts'
import type { ParamAttrLike } from '../parameter.ts'
import type { Cache } from './attention.ts'
import { MultiHeadAttention, StaticCache } from './attention.ts'
import { Linear } from './common.ts'
import { Dropout } from './dropout.ts'
import { LayerNorm } from './norm.ts'
import { checkSizes, type WeightOptions } from './options.ts'

const { relu, gelu, silu, swish, mish, tanh, sigmoid, elu, selu, leakyRelu, hardswish, relu6 } = activations
/** Activations by name. */
const activationTable = { relu, gelu, silu, swish, mish, tanh, sigmoid, elu, selu, leakyRelu, hardswish, relu6 }

export type TransformerActivation = keyof typeof activationTable | ((x: Tensor) => Tensor)

/** Attributes for all sublayers, or one each (false: no bias). */
export type AttributeList = ParamAttrLike | false | readonly (ParamAttrLike | false)[]

export interface TransformerLayerOptions {
  /** After each sublayer, and the default of the other two. Default 0.1. */
  readonly dropout?: number
  /** Default `'relu'`. */
  readonly activation?: TransformerActivation
  /** Of the attention weights. Default `dropout`. */
  readonly attnDropout?: number
  /** After the activation. Default `dropout`. */
  readonly actDropout?: number
  /** Norms stand before each sublayer instead of after its residual. Default false. */
  readonly normalizeBefore?: boolean
  /** For all, or a list: encoder [attention, feed-forward], decoder [self-attention, cross-attention, feed-forward]. */
  readonly weightAttr?: AttributeList
  readonly biasAttr?: AttributeList
  /** Default 1e-5. */
  readonly layerNormEps?: number
}

/** Attributes of `count` sublayers; a shorter list's last entry stands for the rest. */
function attributesOf(weight: AttributeList, bias: AttributeList, count: number): WeightOptions[] {
  const at = (list: AttributeList, i: number): ParamAttrLike | false =>
    Array.isArray(list)
      ? (list as readonly (ParamAttrLike | false)[])[Math.min(i, list.length - 1)]
      : (list as ParamAttrLike | false)
  return Array.from({ length: count }, (_, i) => {
    const weightAttr = at(weight, i)
    if (weightAttr === false)
      throw new ArgumentError('a transformer layer needs its weights: weightAttr must not be false')
    return { weightAttr, biasAttr: at(bias, i) }
  })
}

/** What encoder and decoder layers share: their arguments, the feed-forward block, and residuals around norms. */
abstract class TransformerLayer extends Layer {
  readonly dModel: number
  readonly nhead: number
  readonly dimFeedforward: number
  readonly options: TransformerLayerOptions
  readonly normalizeBefore: boolean
  protected readonly activation: (x: Tensor) => Tensor

  constructor(dModel: number, nhead: number, dimFeedforward: number, options: TransformerLayerOptions) {
    super()
    checkSizes(this.constructor.name, { dModel, nhead, dimFeedforward })
    const { activation = 'relu' } = options
    const found = typeof activation === 'string' ? activationTable[activation] : activation
    if (typeof found !== 'function')
      throw new ArgumentError(
        `${this.constructor.name}: there is no activation '${String(activation)}'; use one of ${Object.keys(activationTable).join(', ')}, or a function`,
      )
    this.dModel = dModel
    this.nhead = nhead
    this.dimFeedforward = dimFeedforward
    this.options = options
    this.normalizeBefore = options.normalizeBefore ?? false
    this.activation = (x) => found(x)
  }

  abstract linear1: Linear
  abstract linear2: Linear
  abstract dropout: Dropout

  protected dropoutOf(kind: 'dropout' | 'attnDropout' | 'actDropout'): number {
    return this.options[kind] ?? this.options.dropout ?? 0.1
  }

  protected makeAttention(attributes: WeightOptions): MultiHeadAttention {
    return new MultiHeadAttention(this.dModel, this.nhead, { dropout: this.dropoutOf('attnDropout'), ...attributes })
  }

  protected makeNorm(): LayerNorm {
    return new LayerNorm(this.dModel, { epsilon: this.options.layerNormEps ?? 1e-5 })
  }

  protected feedForward(x: Tensor): Tensor {
    return this.linear2(this.dropout(this.activation(this.linear1(x))))
  }

  /** x + dropout(block(x)), with the norm before the block or after the sum. */
  protected residual(x: Tensor, norm: LayerNorm, dropout: Dropout, block: (x: Tensor) => Tensor): Tensor {
    if (this.normalizeBefore) return add(x, dropout(block(norm(x))))
    return norm(add(x, dropout(block(x))))
  }
}

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface TransformerEncoderLayer {
  (src: Tensor, srcMask?: Tensor | null, cache?: null): Tensor
  (src: Tensor, srcMask: Tensor | null | undefined, cache: Cache): [Tensor, Cache]
}

/** Self-attention and a feed-forward block, `paddle.nn.TransformerEncoderLayer`; post-norm unless `normalizeBefore`. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class TransformerEncoderLayer extends TransformerLayer {
  self_attn: MultiHeadAttention
  linear1: Linear
  dropout: Dropout
  linear2: Linear
  norm1: LayerNorm
  norm2: LayerNorm
  dropout1: Dropout
  dropout2: Dropout

  constructor(dModel: number, nhead: number, dimFeedforward: number, options: TransformerLayerOptions = {}) {
    super(dModel, nhead, dimFeedforward, options)
    const [attn, ffn] = attributesOf(options.weightAttr, options.biasAttr, 2)
    this.self_attn = this.makeAttention(attn!)
    this.linear1 = new Linear(dModel, dimFeedforward, ffn)
    this.dropout = new Dropout(this.dropoutOf('actDropout'))
    this.linear2 = new Linear(dimFeedforward, dModel, ffn)
    this.norm1 = this.makeNorm()
    this.norm2 = this.makeNorm()
    this.dropout1 = new Dropout(this.dropoutOf('dropout'))
    this.dropout2 = new Dropout(this.dropoutOf('dropout'))
  }

  /** An empty cache for decoding step by step. */
  genCache(src: Tensor): Cache {
    return this.self_attn.genCache(src)
  }

  /** Source [B, S, dModel], mask broadcast to [B, heads, S, S]; gives [B, S, dModel], with a cache also the grown cache. */
  override forward(src: Tensor, srcMask?: Tensor | null, cache?: Cache | null): Tensor | [Tensor, Cache] {
    let grown: Cache | null = null
    let x = this.residual(src, this.norm1, this.dropout1, (y) => {
      if (!cache) return this.self_attn(y, y, y, srcMask)
      const [output, next] = this.self_attn(y, y, y, srcMask, cache)
      grown = next
      return output
    })
    x = this.residual(x, this.norm2, this.dropout2, (y) => this.feedForward(y))
    return grown ? [x, grown] : x
  }
}

/** Caches of a decoder layer: its own steps, and the memory. */
export type DecoderCache = readonly [Cache, StaticCache]

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface TransformerDecoderLayer {
  (tgt: Tensor, memory: Tensor, tgtMask?: Tensor | null, memoryMask?: Tensor | null, cache?: null): Tensor
  (
    tgt: Tensor,
    memory: Tensor,
    tgtMask: Tensor | null | undefined,
    memoryMask: Tensor | null | undefined,
    cache: DecoderCache,
  ): [Tensor, DecoderCache]
}

/** Self-attention, attention to a memory, and a feed-forward block, `paddle.nn.TransformerDecoderLayer`; post-norm unless `normalizeBefore`. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class TransformerDecoderLayer extends TransformerLayer {
  self_attn: MultiHeadAttention
  cross_attn: MultiHeadAttention
  linear1: Linear
  dropout: Dropout
  linear2: Linear
  norm1: LayerNorm
  norm2: LayerNorm
  norm3: LayerNorm
  dropout1: Dropout
  dropout2: Dropout
  dropout3: Dropout

  constructor(dModel: number, nhead: number, dimFeedforward: number, options: TransformerLayerOptions = {}) {
    super(dModel, nhead, dimFeedforward, options)
    const [self, cross, ffn] = attributesOf(options.weightAttr, options.biasAttr, 3)
    this.self_attn = this.makeAttention(self!)
    this.cross_attn = this.makeAttention(cross!)
    this.linear1 = new Linear(dModel, dimFeedforward, ffn)
    this.dropout = new Dropout(this.dropoutOf('actDropout'))
    this.linear2 = new Linear(dimFeedforward, dModel, ffn)
    this.norm1 = this.makeNorm()
    this.norm2 = this.makeNorm()
    this.norm3 = this.makeNorm()
    this.dropout1 = new Dropout(this.dropoutOf('dropout'))
    this.dropout2 = new Dropout(this.dropoutOf('dropout'))
    this.dropout3 = new Dropout(this.dropoutOf('dropout'))
  }

  /** An empty cache of own steps, and the projected memory. */
  genCache(memory: Tensor): DecoderCache {
    return [this.self_attn.genCache(memory), this.cross_attn.genCache(memory, memory, StaticCache)]
  }

  /**
   * Target [B, S, dModel], memory [B, S', dModel], masks broadcast to [B, heads, S, S] and [B, heads, S, S']; gives [B, S, dModel], with
   * caches also the grown caches.
   */
  override forward(
    tgt: Tensor,
    memory: Tensor,
    tgtMask?: Tensor | null,
    memoryMask?: Tensor | null,
    cache?: DecoderCache | null,
  ): Tensor | [Tensor, DecoderCache] {
    let grown: Cache | null = null
    let x = this.residual(tgt, this.norm1, this.dropout1, (y) => {
      if (!cache) return this.self_attn(y, y, y, tgtMask)
      const [output, next] = this.self_attn(y, y, y, tgtMask, cache[0])
      grown = next
      return output
    })
    x = this.residual(x, this.norm2, this.dropout2, (y) =>
      cache
        ? this.cross_attn(y, memory, memory, memoryMask, cache[1])[0]
        : this.cross_attn(y, memory, memory, memoryMask),
    )
    x = this.residual(x, this.norm3, this.dropout3, (y) => this.feedForward(y))
    return grown && cache ? [x, [grown, cache[1]]] : x
  }
}
