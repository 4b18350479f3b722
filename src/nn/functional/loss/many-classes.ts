/** Losses over so many classes that a plain softmax is dear or too loose: trees, clusters of rare classes, margins on angles, sampled classes. */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape, sameShape } from '../../../common/shape.ts'
import { binary, cast, contract, gather, iota, reduce, reshape, unary, where } from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { fromHost, Tensor } from '../../../tensor/tensor.ts'
import {
  checkFloat,
  checkInteger,
  checkOptional,
  checkTensor,
  checkTensors,
  constantLike,
} from '../../../tensor/promotion.ts'
import { randperm } from '../../../tensor/random.ts'
import { logSoftmaxNode, softmaxNode } from '../../../graph/softmax.ts'
import { linear } from '../common.ts'
import { checkedClasses } from './labels.ts'
import { reduced, type Reduction } from './reduction.ts'
import { add, at, mul, neg, sub } from './regression.ts'

/** Class numbers as [N], from [N] or [N, 1], within [0, classes). */
function labelNode(label: Tensor, samples: number, classes: number, op: string): Node {
  checkInteger(label, op, 'label')
  if (!sameShape(label.shape, [samples]) && !sameShape(label.shape, [samples, 1]))
    throw new ShapeError(`${op}: labels must be [${samples}] or [${samples}, 1], got ${formatShape(label.shape)}`)
  return checkedClasses(reshape(label.node, [samples]), classes)
}

/** The element of each row of x [N, C] at a column [N] that is known to exist. */
function picked(x: Node, column: Node): Node {
  const chosen = binary('eq', iota(x.shape, 1, 'int64'), spread(column, x.shape, [1]))
  return reduce('reduceSum', where(chosen, x, at(x, 0)), [1])
}

export interface HsigmoidLossOptions {
  /** [numClasses - 1, 1], of a tree of one's own [nodes, 1]. */
  readonly bias?: Tensor | null
  /** [N, L]: the inner nodes from the root to the label of each sample; negative beyond the end of its path. */
  readonly pathTable?: Tensor | null
  /** [N, L]: 1 or 0, the turn taken at each of them. */
  readonly pathCode?: Tensor | null
  /** Accepted as in Paddle; gradients are dense. Default false. */
  readonly isSparse?: boolean
}

interface Path {
  /** Inner nodes, [N, L]; negative beyond the end. */
  readonly nodes: Node
  /** [N, L]: where the turn is 1. */
  readonly turns: Node
}

/** The path to each class of the complete binary tree whose leaves are numClasses ... 2 numClasses - 1 in the order of a heap. */
function completePath(classes: Node, numClasses: number): Path {
  const length = Math.max(Math.ceil(Math.log2(numClasses)), 1)
  const shape = [classes.shape[0]!, length]
  const leaf = spread(binary('add', classes, constantLike(classes, numClasses)), shape, [1])
  const level = iota(shape, 1, 'int64')
  const below = binary('shr', leaf, level)
  const one = constantLike(below, 1)
  return {
    nodes: binary('sub', binary('shr', below, one), one),
    turns: binary('eq', binary('and', below, one), one),
  }
}

/**
 * The loss of a tree of binary decisions (Morin & Bengio, AISTATS 2005) for inputs [N, D] and labels [N] or [N, 1], [N, 1],
 * `paddle.nn.functional.hsigmoid_loss`. The weight holds a row for each inner node: [numClasses - 1, D] for the complete tree that is used
 * where no `pathTable` and `pathCode` are given. As in Paddle, steps beyond the end of a path count log 2 each.
 */
export function hsigmoidLoss(
  input: Tensor,
  label: Tensor,
  numClasses: number,
  weight: Tensor,
  options: HsigmoidLossOptions = {},
): Tensor {
  const op = 'hsigmoidLoss'
  checkFloat(input, op, 'input')
  checkFloat(weight, op, 'weight')
  const { bias, pathTable, pathCode } = options
  checkOptional(bias, op)
  if (!pathTable !== !pathCode) throw new ArgumentError(`${op}: a tree of one's own needs both pathTable and pathCode`)
  if (!pathTable && (!Number.isInteger(numClasses) || numClasses < 2))
    throw new ArgumentError(`${op}: numClasses must be an integer of at least 2, got ${numClasses}`)
  if (input.ndim !== 2 || weight.ndim !== 2 || weight.shape[1] !== input.shape[1])
    throw new ShapeError(
      `${op}: an input [N, D] and a weight [nodes, D] are needed, got ${formatShape(input.shape)} and ${formatShape(weight.shape)}`,
    )
  const n = input.shape[0]!
  const path =
    pathTable && pathCode
      ? customPath(pathTable, pathCode, n, op)
      : completePath(labelNode(label, n, numClasses, op), numClasses)
  const { nodes, turns } = path
  const isStep = binary('ge', nodes, constantLike(nodes, 0))
  const rows = where(isStep, nodes, constantLike(nodes, 0))
  const vectors = gather(weight.node, rows, 0)
  const x = input.node
  let score = contract(x, vectors, { lhs: [0, 2], rhs: [0, 1, 2], out: [0, 1] }, [n, nodes.shape[1]!])
  if (bias) score = add(score, gather(reshape(bias.node, [weight.shape[0]!]), rows, 0))
  const bounded = binary('max', binary('min', score, at(score, 40)), at(score, -40))
  const decided = where(isStep, bounded, at(score, 0))
  const cost = unary('log1p', unary('exp', decided))
  const gain = where(turns, decided, at(decided, 0))
  return new Tensor(reshape(reduce('reduceSum', sub(cost, gain), [1]), [n, 1]))
}

function customPath(table: Tensor, code: Tensor, samples: number, op: string): Path {
  checkInteger(table, op, 'pathTable')
  checkInteger(code, op, 'pathCode')
  if (table.ndim !== 2 || table.shape[0] !== samples || !sameShape(table.shape, code.shape))
    throw new ShapeError(
      `${op}: pathTable and pathCode must be [${samples}, L], got ${formatShape(table.shape)} and ${formatShape(code.shape)}`,
    )
  const nodes = cast(table.node, 'int64')
  const isTurn = binary('eq', cast(code.node, 'int64'), constantLike(nodes, 1))
  return { nodes, turns: binary('and', isTurn, binary('ge', nodes, constantLike(nodes, 0))) }
}

/**
 * The log-probabilities behind `adaptiveLogSoftmaxWithLoss`: of the head (frequent classes, then one entry for each cluster of others), and
 * within each cluster.
 */
export function adaptiveLogProbabilities(
  input: Tensor,
  headWeight: Tensor,
  tailWeights: readonly (readonly Tensor[])[],
  cutoffs: readonly number[],
  headBias: Tensor | null = null,
): Tensor[] {
  const op = 'adaptiveLogSoftmaxWithLoss'
  checkTensor(headWeight, op)
  const shortlist = cutoffs[0] ?? 0
  if (
    cutoffs.length === 0 ||
    tailWeights.length !== cutoffs.length - 1 ||
    headWeight.shape[1] !== shortlist + tailWeights.length
  )
    throw new ShapeError(
      `${op}: cutoffs [${cutoffs.join(', ')}] need ${cutoffs.length - 1} pairs of tail weights and a head of ${shortlist + cutoffs.length - 1} columns, got ${tailWeights.length} and ${formatShape(headWeight.shape)}`,
    )
  const head = logSoftmaxNode(linear(input, headWeight, headBias).node, 1)
  const tails = tailWeights.map((pair, i) => {
    checkTensors(pair, op)
    const [down, up] = pair
    const size = cutoffs[i + 1]! - cutoffs[i]!
    if (!down || !up || up.shape[1] !== size)
      throw new ShapeError(`${op}: tail ${i} needs two weights, the second with ${size} columns`)
    return logSoftmaxNode(linear(linear(input, down), up).node, 1)
  })
  return [head, ...tails].map((n) => new Tensor(n))
}

/**
 * The log-probability of each label, [N], and the mean loss (Grave et al., "Efficient softmax approximation for GPUs", ICML 2017), for
 * inputs [N, D] and labels [N] (or [D] and a number), `paddle.nn.functional.adaptive_log_softmax_with_loss`. `cutoffs` end with the number
 * of classes; the head is [D, cutoffs[0] + clusters], each pair of tail weights [D, h] and [h, size]. All clusters are computed for all samples,
 * so that shapes do not depend on labels.
 */
export function adaptiveLogSoftmaxWithLoss(
  input: Tensor,
  label: Tensor,
  headWeight: Tensor,
  tailWeights: readonly (readonly Tensor[])[],
  cutoffs: readonly number[],
  headBias: Tensor | null = null,
): [Tensor, Tensor] {
  const op = 'adaptiveLogSoftmaxWithLoss'
  checkFloat(input, op, 'input')
  checkTensor(label, op)
  if (label.ndim > 1 || input.ndim !== label.ndim + 1)
    throw new ShapeError(
      `${op}: needs an input [N, D] and labels [N], or [D] and a number, got ${formatShape(input.shape)} and ${formatShape(label.shape)}`,
    )
  const batch = new Tensor(reshape(input.node, [label.size, input.shape.at(-1)!]))
  const [head, ...tails] = adaptiveLogProbabilities(batch, headWeight, tailWeights, cutoffs, headBias)
  const own = labelNode(new Tensor(reshape(label.node, [label.size])), batch.shape[0]!, cutoffs.at(-1)!, op)
  const shortlist = cutoffs[0]!
  let column = own
  let inside: Node | null = null
  tails.forEach((tail, i) => {
    const [low, high] = [cutoffs[i]!, cutoffs[i + 1]!]
    const isHere = binary('and', binary('ge', own, constantLike(own, low)), binary('lt', own, constantLike(own, high)))
    column = where(isHere, constantLike(own, shortlist + i), column)
    const relative = where(isHere, binary('sub', own, constantLike(own, low)), constantLike(own, 0))
    const share = picked(tail.node, relative)
    const counted = where(isHere, share, at(share, 0))
    inside = inside ? add(inside, counted) : counted
  })
  const first = picked(head!.node, column)
  const output = new Tensor(inside ? add(first, inside) : first)
  const loss = reduced(new Tensor(neg(output.node)), 'mean', op)
  return [label.ndim === 0 ? new Tensor(reshape(output.node, [])) : output, loss]
}

export interface MarginCrossEntropyOptions {
  /** Default 1. */
  readonly margin1?: number
  /** Default 0.5. */
  readonly margin2?: number
  /** Default 0. */
  readonly margin3?: number
  /** Default 64. */
  readonly scale?: number
  /** Also returns the probabilities. Default false. */
  readonly returnSoftmax?: boolean
  /** Default `'mean'`; null is `'none'`. */
  readonly reduction?: Reduction | null
}

/**
 * Cross entropy of cosines [N, C] whose own class is made harder: scale * (cos(margin1 * angle + margin2) - margin3), which is ArcFace,
 * CosFace or SphereFace as the margins go (Deng et al., CVPR 2019), `paddle.nn.functional.margin_cross_entropy`. Labels [N] or [N, 1]; the
 * `'none'` loss is [N, 1]. Paddle has it on GPUs only.
 */
export function marginCrossEntropy<O extends MarginCrossEntropyOptions>(
  logits: Tensor,
  label: Tensor,
  options?: O,
): O extends { readonly returnSoftmax: true } ? [Tensor, Tensor] : Tensor
export function marginCrossEntropy(
  logits: Tensor,
  label: Tensor,
  options: MarginCrossEntropyOptions = {},
): Tensor | [Tensor, Tensor] {
  const op = 'marginCrossEntropy'
  const { margin1 = 1, margin2 = 0.5, margin3 = 0, scale = 64, returnSoftmax = false, reduction = 'mean' } = options
  checkFloat(logits, op, 'logits')
  if (logits.ndim !== 2) throw new ShapeError(`${op}: logits must be [N, C], got ${formatShape(logits.shape)}`)
  const [n, classes] = logits.shape as [number, number]
  const own = labelNode(label, n, classes, op)
  const x = logits.node
  const isOwn = binary('eq', iota(x.shape, 1, 'int64'), spread(own, x.shape, [1]))
  const cosine = picked(x, own)
  const angle = add(mul(unary('acos', cosine), at(cosine, margin1)), at(cosine, margin2))
  const harder = sub(unary('cos', angle), at(cosine, margin3))
  const scaled = mul(where(isOwn, spread(harder, x.shape, [1]), x), at(x, scale))
  const losses = new Tensor(reshape(neg(picked(logSoftmaxNode(scaled, 1), own)), [n, 1]))
  const loss = reduced(losses, reduction ?? 'none', op)
  return returnSoftmax ? [loss, new Tensor(softmaxNode(scaled, 1))] : loss
}

/**
 * The classes that a batch trains (An et al., "Partial FC", CVPR 2022): all that occur among the labels, ascending, and others drawn at random
 * until there are `numSamples`, `paddle.nn.functional.class_center_sample`. Gives the labels as positions among them, and the classes; more than
 * `numSamples` where more occur. A promise, since the labels must be known.
 */
export async function classCenterSample(
  label: Tensor,
  numClasses: number,
  numSamples: number,
): Promise<[Tensor, Tensor]> {
  const op = 'classCenterSample'
  checkInteger(label, op, 'label')
  if (!Number.isInteger(numSamples) || numSamples < 0 || !(numSamples <= numClasses))
    throw new ArgumentError(
      `${op}: numSamples must be an integer from 0 to numClasses = ${numClasses}, got ${numSamples}`,
    )
  const order = await randperm(numClasses).data()
  const own = Array.from(await new Tensor(checkedClasses(label.node, numClasses)).data(), Number)
  const present = [...new Set(own)].sort((a, b) => a - b)
  const occurs = new Set(present)
  const others = Array.from(order, Number).filter((c) => !occurs.has(c))
  const sampled = [...present, ...others.slice(0, Math.max(numSamples - present.length, 0))]
  const position = new Map(sampled.map((c, i) => [c, i]))
  const tensor = (values: readonly number[], shape: readonly number[]): Tensor =>
    fromHost({ dtype: 'int64', shape, data: BigInt64Array.from(values, BigInt) }).astype(label.dtype)
  const remapped = own.map((c) => position.get(c)!)
  return [tensor(remapped, label.shape), tensor(sampled, [sampled.length])]
}
