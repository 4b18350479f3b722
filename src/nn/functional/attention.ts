/**
 * Scaled dot-product attention (Vaswani et al., "Attention is all you need", arXiv:1706.03762). Heads stay where the projections put them,
 * [B, S, H, D]: the contractions read them there, and nothing is transposed in memory.
 */
import { isFloat } from '../../common/dtype.ts'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { broadcastShapes, formatShape, sameShape, type Shape } from '../../common/shape.ts'
import { binary, broadcastTo, cast, constant, contract, iota, reshape, where } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { contractible } from '../../tensor/linalg.ts'
import { checkFloat, checkOptional, constantLike } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { softmax } from './activation.ts'
import { dropout } from './dropout.ts'

/** What a forbidden position's score is lowered by. */
const forbidden = -1e9

export interface AttentionOptions {
  /**
   * Broadcast to [B, H, queries, keys]: numbers are added to the scores; of booleans and integers, false and 0 forbid a position.
   */
  readonly attnMask?: Tensor | null
  /** Probability with which weights are dropped while training. Default 0. */
  readonly dropoutP?: number
  /** A query sees only keys up to its own position. Default false. */
  readonly isCausal?: boolean
  /** Default true. */
  readonly training?: boolean
  /** Factor on the scores. Default 1 / sqrt(D). */
  readonly scale?: number
}

/** What is added to the scores: the mask itself, or `forbidden` where it is false. */
function maskBias(mask: Tensor, like: Node, op: string): Node {
  const fits = mask.ndim <= like.shape.length && sameShape(broadcastShapes(mask.shape, like.shape, op), like.shape)
  if (!fits)
    throw new ShapeError(
      `${op}: the mask ${formatShape(mask.shape)} does not broadcast to [batch, heads, queries, keys] = ${formatShape(like.shape)}`,
    )
  const bias = isFloat(mask.dtype)
    ? cast(mask.node, like.dtype)
    : binary(
        'mul',
        binary('sub', constant(1, like.dtype, mask.shape), cast(mask.node, like.dtype)),
        constant(forbidden, like.dtype, mask.shape),
      )
  return broadcastTo(bias, like.shape)
}

function checkOperands(op: string, query: Tensor, key: Tensor, value: Tensor): void {
  for (const [name, x] of [
    ['query', query],
    ['key', key],
    ['value', value],
  ] as const) {
    checkFloat(x, op, name)
    if (x.ndim !== 4) throw new ShapeError(`${op}: ${name} must be [B, S, heads, D], got ${formatShape(x.shape)}`)
  }
  const [q, k, v] = [query.shape, key.shape, value.shape] as [Shape, Shape, Shape]
  const agree = q[0] === k[0] && q[3] === k[3] && k[0] === v[0] && k[1] === v[1] && k[2] === v[2]
  if (!agree)
    throw new ShapeError(
      `${op}: query ${formatShape(q)}, key ${formatShape(k)} and value ${formatShape(v)} must agree in batch, keys and values in length and heads, queries and keys in D`,
    )
  if (k[2] === 0 || q[2]! % k[2]! !== 0)
    throw new ArgumentError(`${op}: ${q[2]} query heads cannot share ${k[2]} key heads evenly`)
}

/** The result [B, queries, H, Dv] of attention, and the weights [B, H, queries, keys] after dropout. */
export function attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
  op = 'scaledDotProductAttention',
): { readonly output: Tensor; readonly weights: Tensor } {
  checkOperands(op, query, key, value)
  checkOptional(options.attnMask, op)
  const { attnMask, dropoutP = 0, isCausal = false, training = true } = options
  const [batch, queries, heads, size] = query.shape as [number, number, number, number]
  const [, keys, groups] = key.shape as [number, number, number]
  const shared = heads / groups
  // Letters: batch, query, key, head of the keys, query head of that, feature.
  const [b, i, j, h, g, d] = [0, 1, 2, 3, 4, 5]
  const apart = [batch, groups, shared, queries, keys]
  const whole = [batch, heads, queries, keys]
  const [q, k] = contractible('matmul', query, key)
  const products = contract(
    reshape(q, [batch, queries, groups, shared, size]),
    k,
    { lhs: [b, i, h, g, d], rhs: [b, j, h, d], out: [b, h, g, i, j] },
    apart,
  )
  let scores = reshape(products, whole)
  scores = binary('mul', scores, constantLike(scores, options.scale ?? 1 / Math.sqrt(size)))
  if (attnMask) scores = binary('add', scores, maskBias(attnMask, scores, op))
  if (isCausal) {
    const visible = binary('ge', iota(whole, 2, 'int32'), iota(whole, 3, 'int32'))
    scores = where(visible, scores, constantLike(scores, forbidden))
  }
  const weights = dropout(softmax(new Tensor(scores), -1), dropoutP, { training })
  const [w, v] = contractible('matmul', weights, value)
  const features = value.shape[3]!
  const output = contract(reshape(w, apart), v, { lhs: [b, h, g, i, j], rhs: [b, j, h, d], out: [b, i, h, g, d] }, [
    batch,
    queries,
    groups,
    shared,
    features,
  ])
  return { output: new Tensor(reshape(output, [batch, queries, heads, features])), weights }
}

/**
 * softmax(scale * Q K^T + mask) V for each head, `paddle.nn.functional.scaled_dot_product_attention`: query [B, S, H, D], key and value [B, S', H', D],
 * where H' divides H (each key head serves H / H' query heads); gives [B, S, H, D].
 * @example scaledDotProductAttention(q, k, v, { isCausal: true })
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  return attention(query, key, value, options).output
}
