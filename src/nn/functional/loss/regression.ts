/** Losses of numbers and of probabilities, as in paddle.nn.functional.loss: one term an element, then a reduction. */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape } from '../../../common/shape.ts'
import { binary, detach, reduce, unary, where } from '../../../graph/build.ts'
import type { Node } from '../../../graph/node.ts'
import { checkTensor, constantLike, elementwise, operandNodes, type Operand } from '../../../tensor/promotion.ts'
import { sum } from '../../../tensor/reduction.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { softplusNode } from '../activation.ts'
import { checkAlike, checkReduction, reduced, type Reduction, type ReductionOptions } from './reduction.ts'

export const add = (a: Node, b: Node): Node => binary('add', a, b)
export const sub = (a: Node, b: Node): Node => binary('sub', a, b)
export const mul = (a: Node, b: Node): Node => binary('mul', a, b)
export const neg = (a: Node): Node => unary('neg', a)
const square = (a: Node): Node => mul(a, a)
export const at = constantLike
/** max(x, 0): the hinge. Its gradient at 0 is 0. */
export const positivePart = (x: Node): Node => where(binary('gt', x, at(x, 0)), x, at(x, 0))

/** An elementwise loss of two tensors of one shape. */
export function pairwise(
  op: string,
  input: Tensor,
  label: Tensor,
  reduction: Reduction | undefined,
  term: (x: Node, y: Node) => Node,
): Tensor {
  checkAlike(op, input, label)
  const [x, y] = operandNodes(op, input, label)
  return reduced(new Tensor(term(x, y)), reduction, op)
}

/** A loss times a weight that broadcasts, if there is one. */
export function weighted(loss: Tensor, weight: Tensor | null | undefined): Tensor {
  return weight ? elementwise('mul', 'multiply', loss, weight) : loss
}

/** (x - y)^2, `paddle.nn.functional.mse_loss`. */
export function mseLoss(input: Tensor, label: Tensor, options: ReductionOptions = {}): Tensor {
  return pairwise('mseLoss', input, label, options.reduction, (x, y) => square(sub(x, y)))
}

/** |x - y|, `paddle.nn.functional.l1_loss`. */
export function l1Loss(input: Tensor, label: Tensor, options: ReductionOptions = {}): Tensor {
  return pairwise('l1Loss', input, label, options.reduction, (x, y) => unary('abs', sub(x, y)))
}

/** (x - y)^2 for each element, `paddle.nn.functional.square_error_cost`. */
export function squareErrorCost(input: Tensor, label: Tensor): Tensor {
  return pairwise('squareErrorCost', input, label, 'none', (x, y) => square(sub(x, y)))
}

export interface SmoothL1LossOptions extends ReductionOptions {
  /** Where the parabola turns into a line. Default 1. */
  readonly delta?: number
}

/**
 * 0.5 * d^2 where |d| = |x - y| <= delta, else delta * |d| - 0.5 * delta^2 (Huber's loss), `paddle.nn.functional.smooth_l1_loss`.
 */
export function smoothL1Loss(input: Tensor, label: Tensor, options: SmoothL1LossOptions = {}): Tensor {
  const { delta = 1 } = options
  if (!(delta > 0)) throw new ArgumentError(`smoothL1Loss: delta must be positive, got ${delta}`)
  return pairwise('smoothL1Loss', input, label, options.reduction, (x, y) => {
    const size = unary('abs', sub(x, y))
    const curved = mul(square(size), at(size, 0.5))
    const straight = sub(mul(size, at(size, delta)), at(size, 0.5 * delta * delta))
    return where(binary('le', size, at(size, delta)), curved, straight)
  })
}

/** As `smoothL1Loss`: Paddle's smooth L1 is Huber's loss. */
export function huberLoss(input: Tensor, label: Tensor, options: SmoothL1LossOptions = {}): Tensor {
  return smoothL1Loss(input, label, options)
}

export interface WeightedLossOptions extends ReductionOptions {
  /** Multiplies the losses; broadcasts. */
  readonly weight?: Tensor | null
}

/**
 * -(y log x + (1 - y) log(1 - x)) of probabilities x, logarithms kept above -100, `paddle.nn.functional.binary_cross_entropy`.
 */
export function binaryCrossEntropy(input: Tensor, label: Tensor, options: WeightedLossOptions = {}): Tensor {
  const op = 'binaryCrossEntropy'
  checkReduction(options.reduction ?? 'mean', op)
  const loss = pairwise(op, input, label, 'none', (x, y) => {
    const logOf = (p: Node): Node => binary('max', unary('log', p), at(p, -100))
    const complement = (v: Node): Node => sub(at(v, 1), v)
    return neg(add(mul(y, logOf(x)), mul(complement(y), logOf(complement(x)))))
  })
  return reduced(weighted(loss, options.weight), options.reduction, op)
}

export interface LogitsLossOptions extends WeightedLossOptions {
  /** Weight of the positive class; broadcasts. */
  readonly posWeight?: Tensor | null
}

/** Binary cross entropy of logits, without overflow, `paddle.nn.functional.binary_cross_entropy_with_logits`. */
export function binaryCrossEntropyWithLogits(logit: Tensor, label: Tensor, options: LogitsLossOptions = {}): Tensor {
  const op = 'binaryCrossEntropyWithLogits'
  checkReduction(options.reduction ?? 'mean', op)
  const loss = pairwise(op, logit, label, 'none', (x, y) => {
    // -y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)) = (1 - y) x + softplus(-x)
    const softplus = softplusNode(neg(x))
    const plain = mul(sub(at(y, 1), y), x)
    if (!options.posWeight) return add(plain, softplus)
    const [w, like] = operandNodes(op, options.posWeight, new Tensor(y))
    const factor = add(mul(sub(w, at(w, 1)), like), at(w, 1))
    return add(plain, mul(factor, softplus))
  })
  return reduced(weighted(loss, options.weight), options.reduction, op)
}

export interface KlDivOptions {
  /** Default `'mean'` of all elements; `'batchmean'` divides the sum by the first axis. */
  readonly reduction?: Reduction | 'batchmean'
  /** The label holds logarithms too. Default false. */
  readonly logTarget?: boolean
}

/** y * (log y - x) with x a logarithm of probabilities, 0 where y is not positive, `paddle.nn.functional.kl_div`. */
export function klDiv(input: Tensor, label: Tensor, options: KlDivOptions = {}): Tensor {
  const { reduction = 'mean', logTarget = false } = options
  checkReduction(reduction, 'klDiv', ['batchmean'])
  const loss = pairwise('klDiv', input, label, 'none', (x, y) => {
    if (logTarget) return mul(unary('exp', y), sub(y, x))
    const positive = binary('gt', y, at(y, 0))
    const safe = where(positive, y, at(y, 1))
    return where(positive, mul(safe, sub(unary('log', safe), x)), at(y, 0))
  })
  if (reduction !== 'batchmean') return reduced(loss, reduction, 'klDiv')
  const total = sum(loss).node
  return new Tensor(mul(total, at(total, 1 / Math.max(input.shape[0] ?? 1, 1))))
}

/** -y log(x + epsilon) - (1 - y) log(1 - x + epsilon) for each element, `paddle.nn.functional.log_loss`. */
export function logLoss(input: Tensor, label: Tensor, epsilon = 1e-4): Tensor {
  return pairwise('logLoss', input, label, 'none', (x, y) => {
    const one = at(x, 1)
    const yes = mul(y, unary('log', add(x, at(x, epsilon))))
    const no = mul(sub(one, y), unary('log', add(sub(one, x), at(x, epsilon))))
    return neg(add(yes, no))
  })
}

export interface PoissonNllLossOptions extends ReductionOptions {
  /** The input is the logarithm of the rate. Default true. */
  readonly logInput?: boolean
  /** Adds Stirling's approximation of log(y!). Default false. */
  readonly full?: boolean
  /** Added to a rate before its logarithm. Default 1e-8. */
  readonly epsilon?: number
}

/** Negative log-likelihood of counts y under rates x, `paddle.nn.functional.poisson_nll_loss`. */
export function poissonNllLoss(input: Tensor, label: Tensor, options: PoissonNllLossOptions = {}): Tensor {
  const { logInput = true, full = false, epsilon = 1e-8 } = options
  if (!(epsilon > 0)) throw new ArgumentError(`poissonNllLoss: epsilon must be positive, got ${epsilon}`)
  return pairwise('poissonNllLoss', input, label, options.reduction, (x, y) => {
    const loss = logInput ? sub(unary('exp', x), mul(y, x)) : sub(x, mul(y, unary('log', add(x, at(x, epsilon)))))
    if (!full) return loss
    const many = binary('gt', y, at(y, 1))
    const safe = where(many, y, at(y, 1))
    const logOf = (v: Node): Node => unary('log', v)
    const stirling = add(sub(mul(safe, logOf(safe)), safe), mul(logOf(mul(safe, at(safe, 2 * Math.PI))), at(safe, 0.5)))
    return add(loss, where(many, stirling, at(y, 0)))
  })
}

export interface GaussianNllLossOptions extends ReductionOptions {
  /** Adds log(2 pi) / 2. Default false. */
  readonly full?: boolean
  /** Least variance. Default 1e-6. */
  readonly epsilon?: number
}

/**
 * (log v + (x - y)^2 / v) / 2 with variances v in the input's shape, or without its last axis, or with size 1 there,
 * `paddle.nn.functional.gaussian_nll_loss`.
 */
export function gaussianNllLoss(
  input: Tensor,
  label: Tensor,
  variance: Tensor,
  options: GaussianNllLossOptions = {},
): Tensor {
  const op = 'gaussianNllLoss'
  const { full = false, epsilon = 1e-6 } = options
  checkAlike(op, input, label)
  checkTensor(variance, op)
  const lead = formatShape(input.shape.slice(0, -1))
  const thin = formatShape([...input.shape.slice(0, -1), 1])
  const given = formatShape(variance.shape)
  if (![formatShape(input.shape), lead, thin].includes(given))
    throw new ShapeError(`${op}: the variance must be ${formatShape(input.shape)}, ${thin} or ${lead}, got ${given}`)
  const spreadable: Operand = variance.ndim === input.ndim ? variance : variance.unsqueeze(-1)
  const [x, v] = operandNodes(op, input, spreadable)
  const [, y] = operandNodes(op, input, label)
  // The limit is no part of the gradient: a variance below it still gets one, as in Paddle.
  const limited = add(v, detach(sub(binary('max', v, at(v, epsilon)), v)))
  let loss = mul(add(unary('log', limited), binary('div', square(sub(x, y)), limited)), at(x, 0.5))
  if (full) loss = add(loss, at(loss, 0.5 * Math.log(2 * Math.PI)))
  return reduced(new Tensor(loss), options.reduction, op)
}

/** Sum over the axes behind the first. */
export function sumPerSample(x: Node): Node {
  return reduce('reduceSum', x, x.shape.map((_, i) => i).slice(1))
}
