/** Losses of margins, distances and several labels, as in paddle.nn.functional.loss. */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape, sameShape } from '../../../common/shape.ts'
import { binary, cast, constant, cumulate, gather, iota, reduce, reshape, unary, where } from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { matmul } from '../../../tensor/linalg.ts'
import {
  checkFloat,
  checkInteger,
  checkOptional,
  checkTensor,
  constantLike,
  operandNodes,
} from '../../../tensor/promotion.ts'
import { mean } from '../../../tensor/reduction.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { logSoftmaxNode } from '../../../graph/softmax.ts'
import { softplusNode } from '../activation.ts'
import { pairwiseDistance } from '../common.ts'
import { checkedClasses } from './labels.ts'
import { checkAlike, reduced, type ReductionOptions } from './reduction.ts'
import {
  add,
  at,
  mul,
  neg,
  pairwise,
  positivePart,
  sub,
  sumPerSample,
  weighted,
  type WeightedLossOptions,
} from './regression.ts'

export interface MarginLossOptions extends ReductionOptions {
  readonly margin?: number
}

/** max(0, -y (x - other) + margin) for labels y of 1 or -1, `paddle.nn.functional.margin_ranking_loss`. Default margin 0. */
export function marginRankingLoss(
  input: Tensor,
  other: Tensor,
  label: Tensor,
  options: MarginLossOptions = {},
): Tensor {
  const op = 'marginRankingLoss'
  const [x, o] = operandNodes(op, input, other)
  const difference = new Tensor(sub(x, o))
  checkFloat(difference, op, 'input')
  const [d, y] = operandNodes(op, difference, label)
  return reduced(new Tensor(positivePart(add(mul(neg(y), d), at(d, options.margin ?? 0)))), options.reduction, op)
}

/** x where y = 1, max(0, margin - x) where y = -1, `paddle.nn.functional.hinge_embedding_loss`. Default margin 1. */
export function hingeEmbeddingLoss(input: Tensor, label: Tensor, options: MarginLossOptions = {}): Tensor {
  return pairwise('hingeEmbeddingLoss', input, label, options.reduction, (x, y) => {
    const far = where(binary('eq', y, at(y, -1)), positivePart(sub(at(x, options.margin ?? 1), x)), at(x, 0))
    return where(binary('eq', y, at(y, 1)), x, far)
  })
}

/**
 * 1 - cos(x1, x2) where y = 1, max(0, cos - margin) where y = -1: x1, x2 [N, d] or [d], label [N] or a number,
 * `paddle.nn.functional.cosine_embedding_loss`. Default margin 0.
 */
export function cosineEmbeddingLoss(
  input1: Tensor,
  input2: Tensor,
  label: Tensor,
  options: MarginLossOptions = {},
): Tensor {
  const op = 'cosineEmbeddingLoss'
  const { margin = 0 } = options
  if (!(margin >= -1 && margin <= 1)) throw new ArgumentError(`${op}: margin must lie in [-1, 1], got ${margin}`)
  checkAlike(op, input1, input2, 'input2')
  checkTensor(label, op)
  if (input1.ndim > 2 || label.ndim !== Math.max(input1.ndim - 1, 0))
    throw new ShapeError(
      `${op}: inputs must be [N, d] with a label [N], or [d] with a label [], got ${formatShape(input1.shape)} and ${formatShape(label.shape)}`,
    )
  const [a, b] = operandNodes(op, input1, input2)
  const last = [a.shape.length - 1]
  const dot = (u: Node, v: Node): Node => reduce('reduceSum', mul(u, v), last)
  const length = (u: Node): Node => add(dot(u, u), at(dot(u, u), 1e-12))
  const cosine = mul(dot(a, b), unary('rsqrt', mul(length(a), length(b))))
  const y = cast(label.node, cosine.dtype)
  const apart = where(binary('eq', y, at(y, -1)), positivePart(sub(cosine, at(cosine, margin))), at(cosine, 0))
  const loss = where(binary('eq', y, at(y, 1)), sub(at(cosine, 1), cosine), apart)
  return reduced(new Tensor(loss), options.reduction, op)
}

export type DistanceFunction = (x: Tensor, y: Tensor) => Tensor

export interface TripletDistanceOptions extends MarginLossOptions {
  /** Default: `pairwiseDistance`. */
  readonly distanceFunction?: DistanceFunction | null
  /** Uses the distance from positive to negative where that is smaller. Default false. */
  readonly swap?: boolean
}

/** max(0, d(x, positive) - d(x, negative) + margin), `paddle.nn.functional.triplet_margin_with_distance_loss`. Default margin 1. */
export function tripletMarginWithDistanceLoss(
  input: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletDistanceOptions = {},
): Tensor {
  const op = 'tripletMarginWithDistanceLoss'
  const { margin = 1, swap = false } = options
  const distance = options.distanceFunction ?? ((x: Tensor, y: Tensor) => pairwiseDistance(x, y))
  if (!(margin > 0)) throw new ArgumentError(`${op}: margin must be positive, got ${margin}`)
  checkAlike(op, input, positive, 'positive')
  checkAlike(op, input, negative, 'negative')
  const near = distance(input, positive).node
  let far = distance(input, negative).node
  if (swap) far = binary('min', far, distance(positive, negative).node)
  return reduced(new Tensor(positivePart(add(sub(near, far), at(near, margin)))), options.reduction, op)
}

export interface TripletMarginOptions extends MarginLossOptions {
  /** Default 2. */
  readonly p?: number
  /** Default 1e-6. */
  readonly epsilon?: number
  readonly swap?: boolean
}

/** The triplet loss with the p-norm as distance, `paddle.nn.functional.triplet_margin_loss`. */
export function tripletMarginLoss(
  input: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletMarginOptions = {},
): Tensor {
  const { p = 2, epsilon = 1e-6, ...rest } = options
  return tripletMarginWithDistanceLoss(input, positive, negative, {
    ...rest,
    distanceFunction: (x, y) => pairwiseDistance(x, y, { p, epsilon }),
  })
}

/** log(1 + e^(-y x)) for labels y of 1 or -1, `paddle.nn.functional.soft_margin_loss`. */
export function softMarginLoss(input: Tensor, label: Tensor, options: ReductionOptions = {}): Tensor {
  return pairwise('softMarginLoss', input, label, options.reduction, (x, y) => softplusNode(neg(mul(y, x))))
}

/**
 * Mean over the classes of binary cross entropies of logits: input and label [N, C], weight [C], `paddle.nn.functional.multi_label_soft_margin_loss`.
 */
export function multiLabelSoftMarginLoss(input: Tensor, label: Tensor, options: WeightedLossOptions = {}): Tensor {
  const op = 'multiLabelSoftMarginLoss'
  const losses = pairwise(op, input, label, 'none', (x, y) => add(mul(sub(at(y, 1), y), x), softplusNode(neg(x))))
  return reduced(mean(weighted(losses, options.weight), -1), options.reduction, op)
}

export interface MultiMarginOptions extends WeightedLossOptions {
  /** Default 1. */
  readonly p?: number
  /** Default 1. */
  readonly margin?: number
}

/**
 * sum over j != y of max(0, weight[y] * (margin - x[y] + x[j]))^p / C: input [N, C], label [N], weight [C],
 * `paddle.nn.functional.multi_margin_loss`.
 */
export function multiMarginLoss(input: Tensor, label: Tensor, options: MultiMarginOptions = {}): Tensor {
  const op = 'multiMarginLoss'
  const { p = 1, margin = 1, weight } = options
  checkFloat(input, op, 'input')
  checkInteger(label, op, 'label')
  if (input.ndim !== 2 || !sameShape(label.shape, [input.shape[0]!]))
    throw new ShapeError(
      `${op}: needs an input [N, C] and labels [N], got ${formatShape(input.shape)} and ${formatShape(label.shape)}`,
    )
  const x = input.node
  const classes = x.shape[1]!
  const own = checkedClasses(label.node, classes)
  const isOwn = binary('eq', iota(x.shape, 1, 'int64'), spread(own, x.shape, [1]))
  const score = reduce('reduceSum', where(isOwn, x, at(x, 0)), [1])
  const excess = add(sub(x, spread(score, x.shape, [1])), at(x, margin))
  const hinge = where(isOwn, at(x, 0), positivePart(excess))
  const powers = p === 1 ? hinge : p === 2 ? mul(hinge, hinge) : binary('pow', hinge, at(hinge, p))
  // As computed by Paddle, the weight stands outside the power (its documentation has it inside).
  const sum = reduce('reduceSum', powers, [1])
  const loss = weight ? mul(sum, gather(cast(weight.node, x.dtype), own, 0)) : sum
  return reduced(new Tensor(mul(loss, at(loss, 1 / classes))), options.reduction, op)
}

/**
 * sum over labels y and other classes j of max(0, 1 - x[y] + x[j]) / C: input [N, C]; label [N, C] holds the classes of each sample, ended by
 * -1 where there are fewer than C, `paddle.nn.functional.multi_label_margin_loss`.
 */
export function multiLabelMarginLoss(input: Tensor, label: Tensor, options: ReductionOptions = {}): Tensor {
  const op = 'multiLabelMarginLoss'
  checkAlike(op, input, label)
  checkInteger(label, op, 'label')
  if (input.ndim !== 2) throw new ShapeError(`${op}: needs an input [N, C], got ${formatShape(input.shape)}`)
  const x = input.node
  const [n, classes] = x.shape as [number, number]
  const numbers = cast(label.node, 'int64')
  const isLabel = binary('ne', numbers, constantLike(numbers, -1))
  const counted = cast(cumulate('prod', cast(isLabel, 'int32'), 1), 'bool')
  const own = checkedClasses(where(counted, numbers, constantLike(numbers, 0)), classes)
  // [N, label, class]
  const shape = [n, classes, classes]
  const isOwn = binary('eq', iota(shape, 2, 'int64'), spread(own, shape, [2]))
  const isCounted = spread(counted, shape, [2])
  const scores = spread(x, shape, [1])
  const score = reduce('reduceSum', where(isOwn, scores, at(scores, 0)), [2])
  const named = reduce('reduceMax', cast(binary('and', isOwn, isCounted), 'int32'), [1])
  const isOther = binary('eq', spread(named, shape, [1]), constant(0, 'int32', shape))
  const hinge = positivePart(add(sub(scores, spread(score, shape, [2])), at(scores, 1)))
  const sum = reduce('reduceSum', where(binary('and', isOther, isCounted), hinge, at(hinge, 0)), [1, 2])
  return reduced(new Tensor(mul(sum, at(sum, 1 / classes))), options.reduction, op)
}

export interface FocalLossOptions extends ReductionOptions {
  /** Divides the losses: the number of positive samples, say. */
  readonly normalizer?: Tensor | null
  /** Weight of the positive class. Default 0.25. */
  readonly alpha?: number
  /** How much easy samples are discounted. Default 2. */
  readonly gamma?: number
}

/** Focal loss of logits (Lin et al. 2017), `paddle.nn.functional.sigmoid_focal_loss`. Default reduction `'sum'`. */
export function sigmoidFocalLoss(logit: Tensor, label: Tensor, options: FocalLossOptions = {}): Tensor {
  const op = 'sigmoidFocalLoss'
  const { alpha = 0.25, gamma = 2, normalizer, reduction = 'sum' } = options
  checkOptional(normalizer, op)
  if (normalizer && normalizer.size !== 1)
    throw new ShapeError(`${op}: the normalizer must be one number, got ${formatShape(normalizer.shape)}`)
  let loss = pairwise(op, logit, label, 'none', (x, y) => {
    const one = at(x, 1)
    const p = unary('sigmoid', x)
    const entropy = add(mul(sub(one, y), x), softplusNode(neg(x)))
    const right = add(mul(p, y), mul(sub(one, p), sub(one, y)))
    const wrong = sub(one, right)
    const discount = gamma === 2 ? mul(wrong, wrong) : binary('pow', wrong, at(wrong, gamma))
    const share = add(mul(y, at(y, alpha)), mul(sub(one, y), at(y, 1 - alpha)))
    return mul(share, mul(discount, entropy))
  })
  if (normalizer) {
    const divisor = reshape(cast(normalizer.node, loss.dtype), [])
    const all = loss.shape.map((_, i) => i)
    loss = new Tensor(binary('div', loss.node, spread(divisor, loss.node.shape, all)))
  }
  return reduced(loss, reduction, op)
}

/**
 * 1 - 2 |X and Y| / (|X| + |Y|), the mean over the batch: input [N, .., C] of probabilities, label [N, .., 1] of classes,
 * `paddle.nn.functional.dice_loss`.
 */
export function diceLoss(input: Tensor, label: Tensor, epsilon = 1e-5): Tensor {
  const op = 'diceLoss'
  checkFloat(input, op, 'input')
  checkInteger(label, op, 'label')
  const x = input.node
  const last = x.shape.length - 1
  const expected = [...x.shape.slice(0, -1), 1]
  if (last < 1 || !sameShape(label.shape, expected))
    throw new ShapeError(`${op}: the label must be ${formatShape(expected)}, got ${formatShape(label.shape)}`)
  const classes = spread(checkedClasses(reshape(label.node, x.shape.slice(0, -1)), x.shape[last]!), x.shape, [last])
  const oneHot = cast(binary('eq', iota(x.shape, last, 'int64'), classes), x.dtype)
  const both = sumPerSample(mul(x, oneHot))
  const either = add(sumPerSample(x), sumPerSample(oneHot))
  const dice = binary('div', mul(both, at(both, 2)), add(either, at(either, epsilon)))
  return mean(new Tensor(sub(at(dice, 1), dice)))
}

/**
 * The N-pair loss (Sohn 2016): anchor and positive [N, d], labels [N], with L2 regularisation of the embeddings (default 0.002),
 * `paddle.nn.functional.npair_loss`.
 */
export function npairLoss(anchor: Tensor, positive: Tensor, labels: Tensor, l2Reg = 0.002): Tensor {
  const op = 'npairLoss'
  checkAlike(op, anchor, positive, 'positive')
  checkTensor(labels, op)
  const n = anchor.shape[0]!
  if (anchor.ndim !== 2 || labels.size !== n)
    throw new ShapeError(
      `${op}: needs anchors [N, d] and N labels, got ${formatShape(anchor.shape)} and ${formatShape(labels.shape)}`,
    )
  const similarity = matmul(anchor, positive, { transposeY: true }).node
  const flat = reshape(labels.node, [n])
  const same = cast(binary('eq', spread(flat, [n, n], [1]), spread(flat, [n, n], [0])), similarity.dtype)
  const target = binary('div', same, spread(reduce('reduceSum', same, [1]), [n, n], [1]))
  const entropy = neg(reduce('reduceSum', mul(target, logSoftmaxNode(similarity, 1)), [1]))
  // Each anchor's loss is weighted by how often its label was a target.
  const perLabel = reduce('reduceSum', mul(target, spread(entropy, [n, n], [1])), [0])
  const size = (x: Tensor): Node => mean(new Tensor(reduce('reduceSum', mul(x.node, x.node), [1]))).node
  const penalty = add(size(anchor), size(positive))
  return new Tensor(add(mean(new Tensor(perLabel)).node, mul(penalty, at(penalty, 0.25 * l2Reg))))
}
