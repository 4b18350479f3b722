/**
 * Scaled dot-product attention (Vaswani et al., "Attention is all you need", arXiv:1706.03762). Heads stay where the projections put them,
 * [B, S, H, D]: the contractions read them there, and nothing is transposed in memory.
 */
import { isFloat, sizeOf } from '../../common/dtype.ts'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { broadcastShapes, formatShape, numel, sameShape, type Shape } from '../../common/shape.ts'
import { attentionNode, attentionScores, FORBIDDEN, maskedScores, weightedValues } from '../../graph/attention.ts'
import { binary, cast, constant, reshape } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { underPolicy } from '../../tensor/autocast.ts'
import { contractible } from '../../tensor/linalg.ts'
import { checkFloat, checkOptional } from '../../tensor/promotion.ts'
import { drawKey } from '../../tensor/random.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { notesOperators } from '../../tensor/tracer.ts'
import { softmax } from './activation.ts'
import { checkProbability } from './draws.ts'
import { dropout } from './dropout.ts'

/** Steps of a decoder have fewer: nearly all lanes of a tile would be idle. Short sequences run in the kernels of long ones. */
const fewestQueries = 4

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

/** What is added to scores of shape `whole`: the mask itself, or `FORBIDDEN` where it is false. */
function maskBias(mask: Tensor, whole: Shape, op: string): Node {
  const fits = mask.ndim <= whole.length && sameShape(broadcastShapes(mask.shape, whole, op), whole)
  if (!fits)
    throw new ShapeError(
      `${op}: the mask ${formatShape(mask.shape)} does not broadcast to [batch, heads, queries, keys] = ${formatShape(whole)}`,
    )
  if (isFloat(mask.dtype)) return mask.node
  const like = (value: number): Node => constant(value, 'float32', mask.shape)
  return binary('mul', binary('sub', like(1), cast(mask.node, 'float32')), like(FORBIDDEN))
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

/** The mask as [B or 1, H or 1, queries or 1, keys or 1]. */
function fullRank(mask: Node): Node {
  const { shape } = mask
  return reshape(mask, [...new Array<number>(4 - shape.length).fill(1), ...shape])
}

/**
 * Whether the kernels that go over scores tile by tile compute it: they take a tile of queries at once, and no gradient for the mask. An export
 * writes the composition.
 */
function isTiled(query: Node, key: Node, mask: Node | null): boolean {
  const [, queries] = query.shape as [number, number]
  const isEmpty = [...query.shape, ...key.shape].includes(0)
  return sizeOf(query.dtype) <= 4 && !isEmpty && queries >= fewestQueries && !mask?.needsGrad && !notesOperators()
}

/** The result [B, queries, H, Dv] of attention, and, if asked for, the weights [B, H, queries, keys] after dropout. */
export function attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions & { readonly needWeights?: boolean } = {},
  op = 'scaledDotProductAttention',
): { readonly output: Tensor; readonly weights: Tensor | null } {
  checkOperands(op, query, key, value)
  checkOptional(options.attnMask, op)
  const { attnMask, dropoutP = 0, isCausal = false, training = true, needWeights = false } = options
  const [batch, queries, heads, size] = query.shape as [number, number, number, number]
  const whole = [batch, heads, queries, key.shape[1]!]
  const scale = options.scale ?? 1 / Math.sqrt(size)
  const bias = attnMask ? maskBias(attnMask, whole, op) : null
  const [q, k] = contractible('matmul', query, key)
  const p = training ? dropoutP : 0
  checkProbability(p, op)
  if (!needWeights && p < 1 && isTiled(q, k, bias)) {
    const v = cast(underPolicy('matmul', [value.node])[0]!, q.dtype)
    const mask = bias && fullRank(sizeOf(bias.dtype) > 4 ? cast(bias, 'float32') : bias)
    const dropped = p > 0 ? { p, ...drawKey(numel(whole)) } : null
    return { output: new Tensor(attentionNode(q, k, v, { scale, isCausal, mask, dropout: dropped })), weights: null }
  }
  const scores = maskedScores(attentionScores(q, k), { scale, isCausal, mask: bias })
  const weights = dropout(softmax(new Tensor(scores), -1), dropoutP, { training })
  const [w, v] = contractible('matmul', weights, value)
  return { output: new Tensor(weightedValues(w, v)), weights }
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
