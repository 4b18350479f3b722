/**
 * Connectionist temporal classification (Graves et al. 2006): the probability of a label sequence, summed over all alignments by one loop
 * over time in the logarithms of probabilities. The gradient is the loop's own, hence exact.
 */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape } from '../../../common/shape.ts'
import {
  binary,
  cast,
  constant,
  detach,
  expand,
  gatherElements,
  iota,
  pad,
  reduce,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { checkInteger, constantLike, floatNode } from '../../../tensor/promotion.ts'
import { mean } from '../../../tensor/reduction.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { logSoftmaxNode } from '../activation.ts'
import { spreadVector } from '../geometry.ts'
import { loop } from '../loop.ts'
import { stepMask } from '../rnn.ts'
import { checkedClasses } from './labels.ts'
import { barelyPossible, impossible, logSumOf, logSumOver, shifted } from './log-semiring.ts'
import { checkReduction, reduced, type Reduction } from './reduction.ts'

export interface CtcLossOptions {
  /** The class that stands for "no label". Default 0. */
  readonly blank?: number
  /** Default `'mean'`: the mean of loss / label length. */
  readonly reduction?: Reduction
  /** Divides gradients, not the loss, by the number of steps. Default false. */
  readonly normByTimes?: boolean
}

const or = (a: Node, b: Node): Node => binary('or', a, b)
const and = (a: Node, b: Node): Node => binary('and', a, b)
const eq = (a: Node, value: number): Node => binary('eq', a, constantLike(a, value))

/** Labels with blanks before, between and after them, [batch, 2 * length + 1]; entries beyond a label's length are blanks. */
function extended(labels: Node, lengths: Node, blank: number, classes: number): Node {
  const [batch, length] = labels.shape as [number, number]
  const wide = cast(labels, 'int64')
  const inside = binary('lt', iota(wide.shape, 1, 'int64'), spreadVector(lengths, 0, wide.shape))
  const checked = checkedClasses(where(inside, wide, constantLike(wide, blank)), classes)
  const doubled = reshape(expand(reshape(checked, [batch, length, 1]), [batch, length, 2]), [batch, 2 * length])
  const padded = pad(doubled, [0, 0], [0, 1])
  const isLabel = eq(binary('mod', iota(padded.shape, 1, 'int64'), constantLike(padded, 2)), 1)
  return where(isLabel, padded, constantLike(padded, blank))
}

/** Where a path may step over the blank before a label: at labels that differ from the label before. */
function skippable(symbols: Node, blank: number): Node {
  const size = symbols.shape[1]!
  if (size < 3) return constant(0, 'bool', symbols.shape)
  const differs = binary('ne', sliceAxis(symbols, 1, 2, size), sliceAxis(symbols, 1, 0, size - 2))
  return and(pad(differs, [0, 2], [0, 0]), binary('ne', symbols, constantLike(symbols, blank)))
}

/** -log p(label | logits) of each sample, [batch]; 0 where a label does not fit into its steps. */
function losses(logits: Node, labels: Node, steps: Node, lengths: Node, blank: number): Node {
  const [time, batch, classes] = logits.shape as [number, number, number]
  const logp = logSoftmaxNode(logits, 2)
  const symbols = extended(labels, lengths, blank, classes)
  const size = symbols.shape[1]!
  const index = expand(reshape(symbols, [1, batch, size]), [time, batch, size])
  const emissions = gatherElements(logp, index, 2)
  // Before the first step a path stands at the first blank.
  const start = where(
    eq(iota([batch, size], 1, 'int32'), 0),
    constant(0, logp.dtype, [batch, size]),
    constant(impossible, logp.dtype, [batch, size]),
  )
  const { finals } = loop(
    {
      carries: [start, constant(0, logp.dtype, [batch])],
      sequences: [emissions, stepMask(steps, time)],
      constants: [skippable(symbols, blank)],
      length: time,
    },
    ([alpha, offset], [emission, valid], [skips]) => {
      const over = shifted(alpha!, 2)
      const paths = logSumOf([alpha!, shifted(alpha!, 1), where(skips!, over, constantLike(over, impossible))])
      const next = binary('add', paths, emission!)
      // The likeliest path is brought back to 0 at each step: exponentials of large numbers would lose digits.
      const peak = detach(reduce('reduceMax', next, [1]))
      const here = expand(reshape(valid!, [batch, 1]), [batch, size])
      const kept = where(here, binary('sub', next, spread(peak, next.shape, [1])), alpha!)
      return { carries: [kept, where(valid!, binary('add', offset!, peak), offset!)], outputs: [] }
    },
  )
  // A path ends at the last label or at the blank behind it.
  const last = spreadVector(binary('mul', lengths, constantLike(lengths, 2)), 0, [batch, size])
  const position = iota([batch, size], 1, 'int64')
  const ends = or(binary('eq', position, last), binary('eq', position, binary('sub', last, constantLike(last, 1))))
  const alpha = finals[0]!
  const total = logSumOver(where(ends, alpha, constantLike(alpha, impossible)), [1])
  const fits = binary('gt', total, constantLike(total, barelyPossible))
  return where(fits, unary('neg', binary('add', total, finals[1]!)), constantLike(total, 0))
}

export function checkLengths(op: string, name: string, lengths: Tensor, batch: number): Node {
  checkInteger(lengths, op, name)
  if (lengths.ndim !== 1 || lengths.shape[0] !== batch)
    throw new ShapeError(`${op}: ${name} must be [${batch}], one a sample, got ${formatShape(lengths.shape)}`)
  return cast(lengths.node, 'int64')
}

/**
 * CTC loss of logits [time, batch, classes] (softmax is taken inside) and padded labels [batch, length], with the number of steps and the
 * number of labels of each sample, `paddle.nn.functional.ctc_loss`. The mean is over loss / label length (an empty label counts as 1). A
 * sample whose label needs more steps than it has gives 0 and no gradient, as in Paddle.
 * @example ctcLoss(logits, labels, steps, lengths, { blank: 0 })
 */
export function ctcLoss(
  logProbs: Tensor,
  labels: Tensor,
  inputLengths: Tensor,
  labelLengths: Tensor,
  options: CtcLossOptions = {},
): Tensor {
  const op = 'ctcLoss'
  const { blank = 0, reduction = 'mean', normByTimes = false } = options
  checkReduction(reduction, op)
  checkInteger(labels, op, 'labels')
  if (logProbs.ndim !== 3)
    throw new ShapeError(`${op}: logits must be [time, batch, classes], got ${formatShape(logProbs.shape)}`)
  const [, batch, classes] = logProbs.shape as [number, number, number]
  if (labels.ndim !== 2 || labels.shape[0] !== batch)
    throw new ShapeError(`${op}: labels must be [${batch}, length], one row a sample, got ${formatShape(labels.shape)}`)
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ArgumentError(`${op}: blank must be one of the ${classes} classes, got ${blank}`)
  const steps = checkLengths(op, 'inputLengths', inputLengths, batch)
  const lengths = checkLengths(op, 'labelLengths', labelLengths, batch)
  const given = floatNode(logProbs, 'warpctc')
  const logits = given.dtype === 'float64' ? given : cast(given, 'float32')
  let loss = losses(logits, labels.node, steps, lengths, blank)
  if (normByTimes) {
    const share = binary('div', loss, cast(binary('max', steps, constantLike(steps, 1)), loss.dtype))
    loss = binary('add', detach(loss), binary('sub', share, detach(share)))
  }
  if (reduction !== 'mean') return reduced(new Tensor(loss), reduction, op)
  const count = cast(binary('max', lengths, constantLike(lengths, 1)), loss.dtype)
  return mean(new Tensor(binary('div', loss, count)))
}
