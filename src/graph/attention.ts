/**
 * Scaled dot-product attention (Vaswani et al., "Attention is all you need", arXiv:1706.03762) as a node of its own, whose kernels go over the
 * scores tile by tile with a running maximum and sum (Dao et al., "FlashAttention", arXiv:2205.14135; Dao, "FlashAttention-2",
 * arXiv:2307.08691), and as a composition: what the node means, and what gradients of its gradient are derived from.
 */
import { isFloat, sizeOf, type DType } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import type { Shape } from '../common/shape.ts'
import {
  attentionTuple,
  barrier,
  binary,
  broadcastTo,
  cast,
  constant,
  contract,
  detach,
  iota,
  random,
  reshape,
  tupleOutput,
  where,
} from './build.ts'
import { differentiate } from './gradient.ts'
import { withGrad, type AttributesOf, type Node, type NodeOf, type TupleGradient } from './node.ts'
import { softmaxNode } from './softmax.ts'

/** What the score of a position that may not be seen is replaced by. */
export const FORBIDDEN = -1e9

export interface AttentionForm {
  /** Factor on the scores. */
  readonly scale: number
  /** A query sees only keys up to its own position: the others' scores are `FORBIDDEN`. */
  readonly isCausal: boolean
  /** Added to the scores, [B or 1, H or 1, S or 1, S' or 1]; no gradient flows to it. */
  readonly mask: Node | null
  /** Weights are dropped where a draw lies below `p`; the others are divided by 1 - p. */
  readonly dropout: { readonly p: number; readonly key: Node; readonly offset: Node } | null
}

/** Sizes of an attention. */
export interface AttentionSizes {
  readonly batch: number
  readonly queries: number
  readonly heads: number
  /** Heads of keys and values: each serves heads / groups heads of queries. */
  readonly groups: number
  readonly keys: number
  /** Of queries and keys. */
  readonly features: number
  readonly valueFeatures: number
}

export function attentionSizes(query: Shape, key: Shape, value: Shape): AttentionSizes {
  const [batch, queries, heads, features] = query as [number, number, number, number]
  const [, keys, groups] = key as [number, number, number]
  return { batch, queries, heads, groups, keys, features, valueFeatures: value[3]! }
}

/** The sources of an attention or of its gradient by what they are. */
export function attentionSources(node: NodeOf<'attention'> | NodeOf<'attentionGradient'>): {
  readonly query: Node
  readonly key: Node
  readonly value: Node
  readonly mask: Node | null
  readonly draws: readonly [key: Node, offset: Node] | null
  /** Of a gradient: the result's gradient, the result, the logarithms of its sums, and the decisions where weights are dropped. */
  readonly rest: readonly Node[]
} {
  const [query, key, value, ...others] = node.sources as [Node, Node, Node, ...Node[]]
  const { isMasked, dropout } = node.attributes
  const mask = isMasked ? others.shift()! : null
  const draws = dropout > 0 ? ([others.shift()!, others.shift()!] as const) : null
  return { query, key, value, mask, draws, rest: others }
}

/** The form of a node. */
function formOf(node: NodeOf<'attention'> | NodeOf<'attentionGradient'>): AttentionForm {
  const { mask, draws } = attentionSources(node)
  const { scale, isCausal, dropout } = node.attributes
  return { scale, isCausal, mask, dropout: draws && { p: dropout, key: draws[0], offset: draws[1] } }
}

/**
 * Attention over queries [B, S, H, D], keys [B, S', G, D] and values [B, S', G, Dv] of one floating dtype, none of them empty; gives
 * [B, S, H, Dv]. Kernels compute in float32: in float64 only the reference backend has the node.
 */
export function attentionNode(query: Node, key: Node, value: Node, form: AttentionForm): Node {
  const { batch, queries, heads, valueFeatures } = attentionSizes(query.shape, key.shape, value.shape)
  if (!isFloat(query.dtype) || key.dtype !== query.dtype || value.dtype !== query.dtype)
    throw new InternalError(`attention of ${query.dtype}, ${key.dtype} and ${value.dtype}`)
  if (form.mask?.needsGrad) throw new InternalError('attention: the mask wants a gradient; compose')
  const results: { readonly dtype: DType; readonly shape: Shape }[] = [
    { dtype: query.dtype, shape: [batch, queries, heads, valueFeatures] },
    { dtype: 'float32', shape: [batch, heads, queries] },
  ]
  if (form.dropout)
    results.push({ dtype: 'int32', shape: decisionsShape(attentionSizes(query.shape, key.shape, value.shape)) })
  return tupleOutput(tuple('attention', [query, key, value], [], form, results, attentionGradient), 0)
}

/** Keys whose decisions are one word, and of which number of queries there are words: rounded up, so that whole vectors can be read. */
export const DECISION_KEYS = 32
const DECISION_QUERIES = 32

/**
 * Which weights stay, for the gradient, so that nothing is drawn twice: bit i of word (b, h, w, s) says whether query s keeps key
 * w * DECISION_KEYS + i.
 */
export function decisionsShape({ batch, heads, queries, keys }: AttentionSizes): Shape {
  const words = Math.ceil(keys / DECISION_KEYS)
  return [batch, heads, words, Math.ceil(queries / DECISION_QUERIES) * DECISION_QUERIES]
}

function tuple<K extends 'attention' | 'attentionGradient'>(
  op: K,
  operands: readonly Node[],
  rest: readonly Node[],
  { scale, isCausal, mask, dropout }: AttentionForm,
  results: AttributesOf[K]['results'],
  gradient: TupleGradient<K>,
): Node {
  const sources = [...operands, ...(mask ? [mask] : []), ...(dropout ? [dropout.key, dropout.offset] : []), ...rest]
  const attributes = { scale, isCausal, isMasked: mask !== null, dropout: dropout?.p ?? 0, results, gradient }
  return attentionTuple(op, attributes as unknown as Parameters<typeof attentionTuple<K>>[1], sources)
}

/** By a node that computes the weights again from the logarithms of their sums. */
const attentionGradient: TupleGradient<'attention'> = (node, given) => {
  const g = given.get(0)
  if (!g || given.size > 1) throw new InternalError('attention: only its result has a gradient')
  const { query, key, value } = attentionSources(node)
  const operands = [query, key, value]
  const results = operands.map(({ dtype, shape }) => ({ dtype, shape }))
  const rest = [g, ...node.attributes.results.map((_, i) => tupleOutput(node as Node, i))]
  const gradients = tuple('attentionGradient', operands, rest, formOf(node), results, secondGradient)
  return node.sources.map((_, i) => (i < 3 ? tupleOutput(gradients, i) : null))
}

/** The gradients of a gradient are those of the composition's. */
const secondGradient: TupleGradient<'attentionGradient'> = (node, given) => {
  const { query, key, value, rest } = attentionSources(node)
  const inputs = [query, key, value, rest[0]!]
  const wanted = [...given.keys()]
  const seeds = [...given.values()]
  const gradients = withGrad(true, () => {
    const token = detach(seeds[0]!)
    const again = inputs.map((n) => barrier(n, token)) as [Node, Node, Node, Node]
    const [q, k, v, g] = again
    const first = differentiate([composedAttention(q, k, v, formOf(node))], [g], [q, k, v], { stop: true })
    const reached = wanted.flatMap((index, i) => (first[index] ? [{ node: first[index], seed: seeds[i]! }] : []))
    return differentiate(
      reached.map((r) => r.node),
      reached.map((r) => r.seed),
      again,
      { stop: true },
    )
  })
  const at = node.sources.length - rest.length
  return node.sources.map((_, i) => (i < 3 ? gradients[i]! : i === at ? gradients[3]! : null))
}

/** The same as `attentionNode`, made of other ops. In float32 where the operands have fewer digits. */
export function composedAttention(query: Node, key: Node, value: Node, form: AttentionForm): Node {
  const wide: DType = sizeOf(query.dtype) < 4 ? 'float32' : query.dtype
  const scores = attentionScores(cast(query, wide), cast(key, wide))
  let weights = softmaxNode(maskedScores(scores, form), 3)
  if (form.dropout) {
    const { p, key: stream, offset } = form.dropout
    const draws = random(stream, offset, weights.shape)
    const kept = binary('ge', draws, constant(p, draws.dtype, draws.shape))
    const scaled = binary('mul', weights, constant(1 / (1 - p), wide, weights.shape))
    weights = where(kept, scaled, constant(0, wide, weights.shape))
  }
  return cast(weightedValues(weights, cast(value, wide)), query.dtype)
}

/** Letters of the contractions: batch, query, key, head of the keys, query head of that, feature. */
const [b, i, j, h, g, d] = [0, 1, 2, 3, 4, 5]

/** Q K^T of each head, [B, H, S, S']. Heads stay where the projections put them: the contraction reads them there. */
export function attentionScores(query: Node, key: Node): Node {
  const { batch, queries, heads, groups, keys, features } = attentionSizes(query.shape, key.shape, key.shape)
  const shared = heads / groups
  const products = contract(
    reshape(query, [batch, queries, groups, shared, features]),
    key,
    { lhs: [b, i, h, g, d], rhs: [b, j, h, d], out: [b, h, g, i, j] },
    [batch, groups, shared, queries, keys],
  )
  return reshape(products, [batch, heads, queries, keys])
}

/** Scores scaled, with the mask added, and those that a causal attention may not see replaced. */
export function maskedScores(scores: Node, form: Pick<AttentionForm, 'scale' | 'mask' | 'isCausal'>): Node {
  const like = (value: number): Node => constant(value, scores.dtype, scores.shape)
  let out = binary('mul', scores, like(form.scale))
  if (form.mask) out = binary('add', out, broadcastTo(cast(form.mask, scores.dtype), scores.shape))
  if (!form.isCausal) return out
  const visible = binary('ge', iota(scores.shape, 2, 'int32'), iota(scores.shape, 3, 'int32'))
  return where(visible, out, like(FORBIDDEN))
}

/** Weights [B, H, S, S'] times values [B, S', G, Dv]: [B, S, H, Dv]. */
export function weightedValues(weights: Node, value: Node): Node {
  const [batch, heads, queries, keys] = weights.shape as [number, number, number, number]
  const [, , groups, features] = value.shape as [number, number, number, number]
  const shared = heads / groups
  const output = contract(
    reshape(weights, [batch, groups, shared, queries, keys]),
    value,
    { lhs: [b, h, g, i, j], rhs: [b, j, h, d], out: [b, i, h, g, d] },
    [batch, queries, groups, shared, features],
  )
  return reshape(output, [batch, queries, heads, features])
}
