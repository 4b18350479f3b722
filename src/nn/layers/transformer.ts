/** Stacks of transformer layers and the whole encoder-decoder model, as in paddle.nn.layer.transformer. */
import { ArgumentError } from '../../common/errors.ts'
import { full } from '../../tensor/creation.ts'
import { triu } from '../../tensor/diagonal.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { LayerList } from '../container.ts'
import { Layer } from '../layer.ts'
import type { Cache } from './attention.ts'
import { LayerNorm } from './norm.ts'
import { checkSizes } from './options.ts'
import {
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type AttributeList,
  type DecoderCache,
  type TransformerLayerOptions,
} from './transformer-layer.ts'

/** What another layer of the kind is made with. */
interface LayerArguments {
  readonly dModel: number
  readonly nhead: number
  readonly dimFeedforward: number
  readonly options: TransformerLayerOptions
}

type LayerMaker<L> = new (dModel: number, nhead: number, dimFeedforward: number, options: TransformerLayerOptions) => L

/** The layer itself and others made with its arguments, with parameters of their own. */
function repeated<L extends Layer & LayerArguments>(layer: L, numLayers: number): LayerList<L> {
  checkSizes('a transformer stack', { numLayers })
  const Make = layer.constructor as LayerMaker<L>
  const { dModel, nhead, dimFeedforward, options } = layer
  const more = Array.from({ length: numLayers - 1 }, () => new Make(dModel, nhead, dimFeedforward, options))
  return new LayerList<L>([layer, ...more])
}

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface TransformerEncoder {
  (src: Tensor, srcMask?: Tensor | null, cache?: null): Tensor
  (src: Tensor, srcMask: Tensor | null | undefined, cache: readonly Cache[]): [Tensor, Cache[]]
}

/** Encoder layers one after another, and a norm at the end if one is given, `paddle.nn.TransformerEncoder`. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class TransformerEncoder extends Layer {
  layers: LayerList<TransformerEncoderLayer>
  readonly numLayers: number
  norm: LayerNorm | null

  /** The first layer is the given one; the others are made with its arguments. */
  constructor(encoderLayer: TransformerEncoderLayer, numLayers: number, norm: LayerNorm | null = null) {
    super()
    this.layers = repeated(encoderLayer, numLayers)
    this.numLayers = numLayers
    this.norm = norm
  }

  /** Empty caches, one a layer. */
  genCache(src: Tensor): Cache[] {
    return [...this.layers].map((layer) => layer.genCache(src))
  }

  /** Source [B, S, dModel], mask broadcast to [B, heads, S, S]; gives [B, S, dModel], with caches also the grown caches. */
  override forward(src: Tensor, srcMask?: Tensor | null, cache?: readonly Cache[] | null): Tensor | [Tensor, Cache[]] {
    let x = src
    const grown: Cache[] = []
    for (const [i, layer] of [...this.layers].entries()) {
      if (!cache) x = layer(x, srcMask)
      else {
        const [output, next] = layer(x, srcMask, cache[i]!)
        x = output
        grown.push(next)
      }
    }
    if (this.norm) x = this.norm(x)
    return cache ? [x, grown] : x
  }
}

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface TransformerDecoder {
  (tgt: Tensor, memory: Tensor, tgtMask?: Tensor | null, memoryMask?: Tensor | null, cache?: null): Tensor
  (
    tgt: Tensor,
    memory: Tensor,
    tgtMask: Tensor | null | undefined,
    memoryMask: Tensor | null | undefined,
    cache: readonly DecoderCache[],
  ): [Tensor, DecoderCache[]]
}

/** Decoder layers one after another, and a norm at the end if one is given, `paddle.nn.TransformerDecoder`. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class TransformerDecoder extends Layer {
  layers: LayerList<TransformerDecoderLayer>
  readonly numLayers: number
  norm: LayerNorm | null

  /** The first layer is the given one; the others are made with its arguments. */
  constructor(decoderLayer: TransformerDecoderLayer, numLayers: number, norm: LayerNorm | null = null) {
    super()
    this.layers = repeated(decoderLayer, numLayers)
    this.numLayers = numLayers
    this.norm = norm
  }

  /** Caches of each layer; `doZip` gives all caches of own steps, then all of the memory. */
  genCache(memory: Tensor, doZip?: false): DecoderCache[]
  genCache(memory: Tensor, doZip: true): [DecoderCache[0][], DecoderCache[1][]]
  genCache(memory: Tensor, doZip = false): DecoderCache[] | [DecoderCache[0][], DecoderCache[1][]] {
    const caches = [...this.layers].map((layer) => layer.genCache(memory))
    return doZip ? [caches.map((c) => c[0]), caches.map((c) => c[1])] : caches
  }

  /** As `TransformerDecoderLayer.forward`, with one pair of caches a layer. */
  override forward(
    tgt: Tensor,
    memory: Tensor,
    tgtMask?: Tensor | null,
    memoryMask?: Tensor | null,
    cache?: readonly DecoderCache[] | null,
  ): Tensor | [Tensor, DecoderCache[]] {
    let x = tgt
    const grown: DecoderCache[] = []
    for (const [i, layer] of [...this.layers].entries()) {
      if (!cache) x = layer(x, memory, tgtMask, memoryMask)
      else {
        const [output, next] = layer(x, memory, tgtMask, memoryMask, cache[i]!)
        x = output
        grown.push(next)
      }
    }
    if (this.norm) x = this.norm(x)
    return cache ? [x, grown] : x
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  /** Default 512. */
  readonly dModel?: number
  /** Default 8. */
  readonly nhead?: number
  /** Default 6. */
  readonly numEncoderLayers?: number
  /** Default 6. */
  readonly numDecoderLayers?: number
  /** Default 2048. */
  readonly dimFeedforward?: number
  /** Replaces the encoder: called with (src, srcMask). */
  readonly customEncoder?: TransformerStack
  /** Replaces the decoder: called with (tgt, memory, tgtMask, memoryMask). */
  readonly customDecoder?: TransformerStack
}

/** An encoder or decoder of the user's own. */
export type TransformerStack = Layer & ((...args: (Tensor | null | undefined)[]) => Tensor)

/** The lists for encoder and decoder: of two attributes the first is for all attention, of three the decoder's has its own for each. */
function attributeLists(list: AttributeList): { encoder: AttributeList; decoder: AttributeList } {
  if (!Array.isArray(list)) return { encoder: list, decoder: list }
  const [first, second, third] = list as readonly Exclude<AttributeList, readonly unknown[]>[]
  switch (list.length) {
    case 1:
      return { encoder: first, decoder: first }
    case 2:
      return { encoder: [first, second], decoder: [first, first, second] }
    case 3:
      return { encoder: [first, third], decoder: [first, second, third] }
    default:
      throw new ArgumentError(`Transformer: a list of attributes has 1, 2 or 3 entries, got ${list.length}`)
  }
}

/**
 * Encoder and decoder (Vaswani et al., arXiv:1706.03762), `paddle.nn.Transformer`, both with a norm at the end.
 * @example const y = new nn.Transformer({ dModel: 128, nhead: 4 })(src, tgt, null, model.generateSquareSubsequentMask(n))
 */
export class Transformer extends Layer {
  encoder: TransformerEncoder | TransformerStack
  decoder: TransformerDecoder | TransformerStack
  readonly dModel: number
  readonly nhead: number

  constructor(options: TransformerOptions = {}) {
    super()
    const {
      dModel = 512,
      nhead = 8,
      numEncoderLayers = 6,
      numDecoderLayers = 6,
      dimFeedforward = 2048,
      customEncoder,
      customDecoder,
      ...shared
    } = options
    const weights = attributeLists(options.weightAttr)
    const biases = attributeLists(options.biasAttr)
    const makeNorm = (): LayerNorm => new LayerNorm(dModel, { epsilon: options.layerNormEps ?? 1e-5 })
    this.dModel = dModel
    this.nhead = nhead
    if (customEncoder) this.encoder = customEncoder
    else {
      const attributes = { ...shared, weightAttr: weights.encoder, biasAttr: biases.encoder }
      const layer = new TransformerEncoderLayer(dModel, nhead, dimFeedforward, attributes)
      const norm = makeNorm()
      this.encoder = new TransformerEncoder(layer, numEncoderLayers, norm)
    }
    if (customDecoder) this.decoder = customDecoder
    else {
      const attributes = { ...shared, weightAttr: weights.decoder, biasAttr: biases.decoder }
      const layer = new TransformerDecoderLayer(dModel, nhead, dimFeedforward, attributes)
      const norm = makeNorm()
      this.decoder = new TransformerDecoder(layer, numDecoderLayers, norm)
    }
  }

  /** Source [B, S, dModel], target [B, S', dModel], masks as in the layers; gives [B, S', dModel]. */
  override forward(
    src: Tensor,
    tgt: Tensor,
    srcMask?: Tensor | null,
    tgtMask?: Tensor | null,
    memoryMask?: Tensor | null,
  ): Tensor {
    const encoder = this.encoder as TransformerStack
    const decoder = this.decoder as TransformerStack
    return decoder(tgt, encoder(src, srcMask), tgtMask, memoryMask)
  }

  /** [length, length] with -Infinity above the diagonal and 0 elsewhere: a position sees itself and those before it. */
  generateSquareSubsequentMask(length: number): Tensor {
    return triu(full([length, length], -Infinity), 1)
  }
}
