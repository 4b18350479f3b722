/**
 * Cross entropy and negative log-likelihood, under Paddle's rules for ignored samples, class weights and reductions. Hard labels are
 * compared with the class number, so that loss and gradient stay one pass over each row.
 */
import { isFloat } from '../../../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../../../common/errors.ts'
import { formatShape, normalizeAxis, sameShape, type Shape } from '../../../common/shape.ts'
import { binary, cast, constant, contract, gather, iota, reduce, reshape, unary, where } from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { checkInteger, checkTensor, constantLike, floatNode } from '../../../tensor/promotion.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { logSoftmaxNode, softmaxNode } from '../../../graph/softmax.ts'
import { hardLabels } from './labels.ts'
import { checkReduction, reduced, type Reduction } from './reduction.ts'

export interface CrossEntropyOptions {
  /** A weight for each class, [C]. */
  readonly weight?: Tensor | null
  /** Labels of samples that count nothing. Default -100. */
  readonly ignoreIndex?: number
  /** Default `'mean'`; see `crossEntropy` for what it divides by. */
  readonly reduction?: Reduction
  /** Labels are distributions of the input's shape. Default false. */
  readonly softLabel?: boolean
  /** The class axis. Default -1. */
  readonly axis?: number
  /** False: the input holds probabilities. Default true: logits. */
  readonly useSoftmax?: boolean
  /** Mixes each label with the uniform distribution. Default 0. */
  readonly labelSmoothing?: number
}

/** The element of each row of `x` (along `axis`) that its class number names. */
function pick(x: Node, classes: Node, axis: number): Node {
  const chosen = spread(cast(classes, 'int32'), x.shape, [axis])
  return reduce('reduceSum', where(binary('eq', iota(x.shape, axis, 'int32'), chosen), x, constantLike(x, 0)), [axis])
}

/** 0 where a sample is left out. */
const masked = (x: Node, kept: Node): Node => where(kept, x, constantLike(x, 0))

/** a / b, and a where b is 0. */
function ratio(total: Node, count: Node): Node {
  const zero = constantLike(count, 0)
  return binary('div', total, where(binary('eq', count, zero), constantLike(count, 1), count))
}

const total = (x: Node): Node =>
  reduce(
    'reduceSum',
    x,
    x.shape.map((_, i) => i),
  )

function classWeight(weight: Tensor, classes: number, op: string, like: Node): Node {
  checkTensor(weight, op)
  if (weight.ndim !== 1 || weight.shape[0] !== classes)
    throw new ShapeError(`${op}: weight must be [${classes}], one a class, got ${formatShape(weight.shape)}`)
  return cast(weight.node, like.dtype)
}

/** Labels as [.., without the class axis, ..]; [N, 1] for [N, C] is Paddle's other form. */
function labelShape(
  input: Shape,
  label: Shape,
  axis: number,
  op: string,
): { readonly flat: number[]; readonly thin: number[] } {
  const flat = input.filter((_, i) => i !== axis)
  const thin = input.map((d, i) => (i === axis ? 1 : d))
  if (!sameShape(label, flat) && !sameShape(label, thin))
    throw new ShapeError(
      `${op}: hard labels for an input of ${formatShape(input)} (class axis ${axis}) must be ${formatShape(flat)} or ${formatShape(thin)}, got ${formatShape(label)}`,
    )
  return { flat, thin }
}

/** -sum(label * log p) over the class axis. */
function softLoss(logp: Node, label: Node, axis: number): Node {
  return unary('neg', reduce('reduceSum', binary('mul', label, logp), [axis]))
}

/** The label distribution of smoothed hard or soft labels. */
function smoothed(labels: Node, epsilon: number, axis: number): Node {
  const share = epsilon / labels.shape[axis]!
  return binary('add', binary('mul', labels, constantLike(labels, 1 - epsilon)), constantLike(labels, share))
}

/**
 * Cross entropy of logits [N, .., C, ..] with labels, `paddle.nn.functional.cross_entropy`. Hard labels are integers of the input's shape
 * without the class axis, or with size 1 there (then so is the `'none'` loss); soft labels have the input's shape.
 *
 * The mean is over all samples when `ignoreIndex` is negative (ignored ones count as 0), over the kept ones when it is not, and with class
 * weights it divides by the sum of the weights of the kept labels. A label outside [0, C) is an IndexOutOfRangeError when it runs.
 * @example crossEntropy(logits, labels, { labelSmoothing: 0.1 })
 */
export function crossEntropy(input: Tensor, label: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const op = 'crossEntropy'
  const { ignoreIndex = -100, reduction = 'mean', useSoftmax = true, labelSmoothing = 0 } = options
  checkReduction(reduction, op)
  checkTensor(label, op)
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new ArgumentError(`${op}: labelSmoothing must lie in [0, 1], got ${labelSmoothing}`)
  const x = floatNode(input, useSoftmax ? 'softmax_with_cross_entropy' : 'cross_entropy')
  if (x.shape.length === 0) throw new ShapeError(`${op}: the input needs a class axis, got a tensor of rank 0`)
  const axis = normalizeAxis(options.axis ?? -1, x.shape.length, op)
  const classes = x.shape[axis]!
  const isSoft =
    options.softLabel === true || (isFloat(label.dtype) && sameShape(label.shape, x.shape) && labelSmoothing > 0)
  const logp = useSoftmax ? logSoftmaxNode(x, axis) : unary('log', x)
  const weight = options.weight ? classWeight(options.weight, classes, op, x) : null
  const samples = x.shape.filter((_, i) => i !== axis)
  // Smoothing makes soft labels of hard ones, and their loss keeps the axis, as in Paddle.
  const keepsAxis = label.ndim === x.shape.length || (labelSmoothing > 0 && !isSoft)
  const finish = (loss: Node): Tensor =>
    new Tensor(
      keepsAxis
        ? reshape(
            loss,
            x.shape.map((d, i) => (i === axis ? 1 : d)),
          )
        : loss,
    )

  if (isSoft || labelSmoothing > 0) {
    let target: Node
    let kept: Node | null = null
    if (isSoft) {
      if (!sameShape(label.shape, x.shape))
        throw new ShapeError(
          `${op}: soft labels must have the input's shape ${formatShape(x.shape)}, got ${formatShape(label.shape)}`,
        )
      target = cast(label.node, x.dtype)
    } else {
      checkInteger(label, op, 'label')
      const { flat } = labelShape(x.shape, label.shape, axis, op)
      const hard = hardLabels(reshape(label.node, flat), classes, ignoreIndex)
      const chosen = spread(hard.classes, x.shape, [axis])
      target = cast(binary('eq', iota(x.shape, axis, 'int64'), chosen), x.dtype)
      kept = hard.kept
    }
    if (labelSmoothing > 0) target = smoothed(target, labelSmoothing, axis)
    let loss = softLoss(logp, target, axis)
    if (kept) loss = masked(loss, kept)
    if (!weight) return reduced(finish(loss), reduction)
    const letters = x.shape.map((_, i) => i)
    const picked = contract(
      target,
      weight,
      { lhs: letters, rhs: [axis], out: letters.filter((a) => a !== axis) },
      samples,
    )
    const share = kept ? masked(picked, kept) : picked
    const weighted = binary('mul', loss, share)
    return reduction === 'mean'
      ? new Tensor(ratio(total(weighted), total(share)))
      : reduced(finish(weighted), reduction)
  }

  if (isFloat(label.dtype))
    throw new DTypeError(
      `${op}: hard labels must be integers, got ${label.dtype}; pass softLabel: true for distributions`,
    )
  const { flat } = labelShape(x.shape, label.shape, axis, op)
  const hard = hardLabels(reshape(label.node, flat), classes, ignoreIndex)
  const loss = masked(unary('neg', pick(logp, hard.classes, axis)), hard.kept)
  const counted = weight ? masked(gather(weight, hard.classes, 0), hard.kept) : cast(hard.kept, x.dtype)
  const weighted = weight ? binary('mul', loss, counted) : loss
  if (reduction === 'mean' && (weight || ignoreIndex >= 0)) return new Tensor(ratio(total(weighted), total(counted)))
  return reduced(finish(weighted), reduction)
}

export interface SoftmaxWithCrossEntropyOptions extends Pick<
  CrossEntropyOptions,
  'softLabel' | 'ignoreIndex' | 'axis'
> {
  /** Also returns the probabilities. Default false. */
  readonly returnSoftmax?: boolean
}

/**
 * As `crossEntropy` with one loss a sample and the class axis kept with size 1; with `returnSoftmax` also the probabilities.
 * `paddle.nn.functional.softmax_with_cross_entropy`.
 */
export function softmaxWithCrossEntropy<O extends SoftmaxWithCrossEntropyOptions>(
  logits: Tensor,
  label: Tensor,
  options?: O,
): O extends { readonly returnSoftmax: true } ? [Tensor, Tensor] : Tensor
export function softmaxWithCrossEntropy(
  logits: Tensor,
  label: Tensor,
  options: SoftmaxWithCrossEntropyOptions = {},
): Tensor | [Tensor, Tensor] {
  const { returnSoftmax, ...rest } = options
  checkTensor(logits, 'softmaxWithCrossEntropy')
  const axis = normalizeAxis(options.axis ?? -1, logits.ndim, 'softmaxWithCrossEntropy')
  const loss = crossEntropy(logits, label, { ...rest, reduction: 'none' })
  const thin = new Tensor(
    reshape(
      loss.node,
      logits.shape.map((d, i) => (i === axis ? 1 : d)),
    ),
  )
  return returnSoftmax ? [thin, new Tensor(softmaxNode(floatNode(logits, 'softmax'), axis))] : thin
}

export interface NllLossOptions {
  /** A weight for each class, [C]. */
  readonly weight?: Tensor | null
  /** Default -100. */
  readonly ignoreIndex?: number
  /** Default `'mean'`: divided by the sum of the weights of the kept labels. */
  readonly reduction?: Reduction
}

/** Negative log-likelihood: input [N, C] or [N, C, d1, ..] of log-probabilities, label [N] or [N, d1, ..], `paddle.nn.functional.nll_loss`. */
export function nllLoss(input: Tensor, label: Tensor, options: NllLossOptions = {}): Tensor {
  const op = 'nllLoss'
  const { ignoreIndex = -100, reduction = 'mean' } = options
  checkReduction(reduction, op)
  checkInteger(label, op, 'label')
  const x = floatNode(input, 'nll_loss')
  if (x.shape.length < 2) throw new ShapeError(`${op}: the input must be [N, C, ..], got ${formatShape(x.shape)}`)
  const samples = [x.shape[0]!, ...x.shape.slice(2)]
  if (!sameShape(label.shape, samples))
    throw new ShapeError(
      `${op}: labels for an input of ${formatShape(x.shape)} must be ${formatShape(samples)}, got ${formatShape(label.shape)}`,
    )
  const classes = x.shape[1]!
  const hard = hardLabels(label.node, classes, ignoreIndex)
  const ones = constant(1, x.dtype, samples)
  const weight = options.weight ? gather(classWeight(options.weight, classes, op, x), hard.classes, 0) : ones
  const counted = masked(weight, hard.kept)
  const loss = binary('mul', masked(unary('neg', pick(x, hard.classes, 1)), hard.kept), counted)
  if (reduction === 'mean') return new Tensor(ratio(total(loss), total(counted)))
  return reduced(new Tensor(loss), reduction)
}
