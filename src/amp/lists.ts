/**
 * Which ops mixed precision computes low, and which in float32 (paddle.amp.amp_lists), by Paddle's names of ops. Ops in neither list
 * take the widest dtype of their operands.
 */
import type { DType } from '../common/dtype.ts'

export type AmpLevel = 'O0' | 'O1' | 'O2'
/** The dtypes of mixed precision. */
export type AmpDtype = Extract<DType, 'float16' | 'bfloat16'>

/** Safe in low precision, and where the time goes. */
const WHITE = [
  'conv2d',
  'einsum',
  'flash_attn',
  'linear_v2',
  'matmul',
  'matmul_v2',
  'max_pool2d_with_index',
  'mul',
] as const

const words = (text: string): string[] => text.trim().split(/\s+/)

/** Dangerous in low precision: sums, exponentials, losses, norms. */
const BLACK = words(`
  tan acos asin sinh cosh atanh tanh_shrink erfinv
  exp expm1 log log10 log2 reciprocal rsqrt pow square
  reduce_sum mean reduce_mean reduce_prod cumprod cumsum
  dist p_norm frobenius_norm renorm group_norm layer_norm
  softmax softmin softplus log_softmax softmax_with_cross_entropy
  sigmoid_cross_entropy_with_logits cross_entropy cross_entropy2 nll_loss huber_loss
  triplet_margin_loss log_loss hsigmoid_loss margin_cross_entropy
`)

/** Their gradients are slow or inexact in low precision; black at O2 too. */
const EXTRA_BLACK = words(`
  linear_interp_v2 nearest_interp_v2 bilinear_interp_v2 bicubic_interp_v2 trilinear_interp_v2
  lookup_table lookup_table_v2 scatter
`)

/** Functions of this library whose op has another name in Paddle. */
const PADDLE_NAMES: Readonly<Record<string, string>> = {
  bce_with_logits: 'sigmoid_cross_entropy_with_logits',
  binary_cross_entropy_with_logits: 'sigmoid_cross_entropy_with_logits',
  conv1d: 'conv2d',
  embedding: 'lookup_table_v2',
  inner: 'matmul',
  linear: 'linear_v2',
  mm: 'matmul',
  norm: 'p_norm',
  prod: 'reduce_prod',
  scaled_dot_product_attention: 'flash_attn',
  smooth_l1_loss: 'huber_loss',
  sum: 'reduce_sum',
  tanhshrink: 'tanh_shrink',
  tensordot: 'matmul',
}

const known = new Map<string, string>()

/** Paddle's name of an op, from that name itself or from the name of a function here: `logSoftmax` gives `log_softmax`. */
export function paddleName(op: string): string {
  let name = known.get(op)
  if (name === undefined) {
    const snake = op.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase()
    known.set(op, (name = PADDLE_NAMES[snake] ?? snake))
  }
  return name
}

/** The ops computed in low precision. */
export function whiteList(): string[] {
  return [...WHITE]
}

/** The ops computed in float32 at a level. */
export function blackList(level: AmpLevel): string[] {
  return level === 'O1' ? [...BLACK, ...EXTRA_BLACK] : level === 'O2' ? [...EXTRA_BLACK] : []
}
