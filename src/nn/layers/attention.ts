/** Multi-head attention with its caches for decoding step by step, as in paddle.nn.layer.transformer. */
import { ArgumentError } from '../../common/errors.ts'
import { permute, reshape } from '../../graph/build.ts'
import { zeros } from '../../tensor/creation.ts'
import { concat } from '../../tensor/manipulation.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { attention } from '../functional/attention.ts'
import { Layer } from '../layer.ts'
import { Linear } from './common.ts'
import { checkSizes, type WeightOptions } from './options.ts'

/** Keys and values [B, H, S, D] of the steps so far; each call appends to them. */
export class Cache {
  readonly k: Tensor
  readonly v: Tensor

  constructor(k: Tensor, v: Tensor) {
    this.k = k
    this.v = v
  }
}

/** Keys and values [B, H, S, D] of a memory that does not change, projected once. */
export class StaticCache {
  readonly k: Tensor
  readonly v: Tensor

  constructor(k: Tensor, v: Tensor) {
    this.k = k
    this.v = v
  }
}

export type AttentionCache = Cache | StaticCache

export interface MultiHeadAttentionOptions<W extends boolean = boolean> extends WeightOptions {
  /** Of the attention weights, while training. Default 0. */
  readonly dropout?: number
  /** Features of the keys. Default embedDim. */
  readonly kdim?: number
  /** Features of the values. Default embedDim. */
  readonly vdim?: number
  /** Whether calls also give the attention weights. Default false. */
  readonly needWeights?: W
}

/** The output alone, or with the weights [B, H, queries, keys]. */
type Plain<W extends boolean> = W extends true ? [Tensor, Tensor] : Tensor
type Cached<W extends boolean, C> = W extends true ? [Tensor, Tensor, C] : [Tensor, C]

/** [B, S, H, D] and [B, H, S, D] into each other. */
const swapHeads = (x: Tensor): Tensor => new Tensor(permute(x.node, [0, 2, 1, 3]))

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface MultiHeadAttention<W extends boolean = false> {
  (query: Tensor, key?: Tensor | null, value?: Tensor | null, attnMask?: Tensor | null, cache?: null): Plain<W>
  <C extends AttentionCache>(
    query: Tensor,
    key: Tensor | null | undefined,
    value: Tensor | null | undefined,
    attnMask: Tensor | null | undefined,
    cache: C,
  ): Cached<W, C>
}

/**
 * Attention in several heads (Vaswani et al., arXiv:1706.03762), `paddle.nn.MultiHeadAttention`: four Linear layers `q_proj`, `k_proj`, `v_proj`,
 * `out_proj` around scaled dot-product attention.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class MultiHeadAttention<W extends boolean = false> extends Layer {
  static readonly Cache = Cache
  static readonly StaticCache = StaticCache

  readonly embedDim: number
  readonly numHeads: number
  readonly headDim: number
  readonly dropout: number
  readonly needWeights: boolean
  q_proj: Linear
  k_proj: Linear
  v_proj: Linear
  out_proj: Linear

  constructor(embedDim: number, numHeads: number, options: MultiHeadAttentionOptions<W> = {}) {
    super()
    const { dropout = 0, kdim = embedDim, vdim = embedDim, needWeights = false, ...attributes } = options
    checkSizes('MultiHeadAttention', { embedDim, numHeads, kdim, vdim })
    if (embedDim % numHeads !== 0)
      throw new ArgumentError(`MultiHeadAttention: embedDim ${embedDim} is not a multiple of numHeads ${numHeads}`)
    this.embedDim = embedDim
    this.numHeads = numHeads
    this.headDim = embedDim / numHeads
    this.dropout = dropout
    this.needWeights = needWeights
    this.q_proj = new Linear(embedDim, embedDim, attributes)
    this.k_proj = new Linear(kdim, embedDim, attributes)
    this.v_proj = new Linear(vdim, embedDim, attributes)
    this.out_proj = new Linear(embedDim, embedDim, attributes)
  }

  /** [B, S, E] as [B, S, H, D]. */
  #heads(x: Tensor): Tensor {
    return new Tensor(reshape(x.node, [x.shape[0]!, x.shape[1]!, this.numHeads, this.headDim]))
  }

  /** Projected keys and values, [B, H, S, D] each. */
  computeKv(key: Tensor, value: Tensor): [Tensor, Tensor] {
    return [swapHeads(this.#heads(this.k_proj(key))), swapHeads(this.#heads(this.v_proj(value)))]
  }

  /**
   * A cache to call with: of a projected memory for `StaticCache`; empty (for the batch of `key`) without a value; else of the given keys and
   * values [B, H, S, D].
   */
  genCache(key: Tensor, value?: Tensor | null, type?: typeof Cache): Cache
  genCache(key: Tensor, value: Tensor | null | undefined, type: typeof StaticCache): StaticCache
  genCache(key: Tensor, value?: Tensor | null, type: typeof Cache | typeof StaticCache = Cache): AttentionCache {
    if (type === StaticCache) return new StaticCache(...this.computeKv(key, value ?? key))
    if (value) return new Cache(key, value)
    const empty = zeros([key.shape[0]!, this.numHeads, 0, this.headDim], key.dtype)
    return new Cache(empty, empty)
  }

  /**
   * Query [B, S, E], key [B, S', kdim] (default: the query) and value [B, S', vdim] (default: the key); for masks see
   * `scaledDotProductAttention`. Gives the output [B, S, E], then the weights for `needWeights`, then the cache (a `Cache` grown by these
   * keys and values) where one is given.
   */
  override forward(
    query: Tensor,
    key?: Tensor | null,
    value?: Tensor | null,
    attnMask?: Tensor | null,
    cache?: AttentionCache | null,
  ): Plain<W> | Cached<W, AttentionCache> {
    const q = this.#heads(this.q_proj(query))
    const source = key ?? query
    let [k, v] = cache instanceof StaticCache ? [cache.k, cache.v] : this.computeKv(source, value ?? source)
    let grown: AttentionCache | null = cache ?? null
    if (cache instanceof Cache) {
      k = concat([cache.k, k], 2)
      v = concat([cache.v, v], 2)
      grown = new Cache(k, v)
    }
    const { output, weights } = attention(
      q,
      swapHeads(k),
      swapHeads(v),
      {
        attnMask: attnMask ?? null,
        dropoutP: this.dropout,
        training: this.training,
        needWeights: this.needWeights,
      },
      'MultiHeadAttention',
    )
    const joined = this.out_proj(new Tensor(reshape(output.node, [...query.shape.slice(0, 2), this.embedDim])))
    const results = [joined, ...(this.needWeights ? [weights] : []), ...(grown ? [grown] : [])]
    return (results.length === 1 ? joined : results) as Plain<W> | Cached<W, AttentionCache>
  }
}
