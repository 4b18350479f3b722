/**
 * Connectionist temporal classification (Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with
 * recurrent neural networks", ICML 2006): the negative logarithm of the probability of all alignments of a label sequence.
 */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape } from '../../../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  constant,
  iota,
  pad,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { logSumExpNode } from '../../../graph/softmax.ts'
import { checkInteger, constantLike, floatNode } from '../../../tensor/promotion.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { runLoop } from '../../../tensor/loop.ts'
import { emissions } from './emissions.ts'
import { impossible, lengthNode, logAddExp, shiftUp, withScaledGradient } from './alignment.ts'
import { checkedClasses } from './labels.ts'
import { reduced, type Reduction } from './reduction.ts'

export interface CTCLossOptions {
  /** The class that stands for no label. Default 0. */
  readonly blank?: number
  /** `'mean'` (default) divides each loss by its label's length (at least 1) first. */
  readonly reduction?: Reduction
  /** Divides the gradient of each sequence, not its loss, by its number of time steps. Default false. */
  readonly normByTimes?: boolean
  /** A label that does not fit into its input costs 0 instead of infinity; its gradient is 0 either way. Default false. */
  readonly zeroInfinity?: boolean
}

/** Labels with blanks around each: [B, 2L + 1]. Labels past the length are blanks. */
function extendedLabels(labels: Node, lengths: Node, blank: number): Node {
  const [batch, size] = labels.shape as [number, number]
  const valid = binary('lt', iota(labels.shape, 1, 'int64'), spread(lengths, labels.shape, [1]))
  const own = reshape(where(valid, labels, constantLike(labels, blank)), [batch, size, 1])
  const blanks = constant(blank, 'int64', [batch, size, 1])
  const zero = [0, 0, 0]
  const pairs = binary('add', pad(blanks, zero, [0, 0, 1]), pad(own, [0, 0, 1], zero))
  const flat = reshape(pairs, [batch, 2 * size])
  return binary('add', pad(flat, [0, 0], [0, 1]), pad(constant(blank, 'int64', [batch, 1]), [0, 2 * size], [0, 0]))
}

/** The loss of each sequence, [B]; about -`impossible` where the label does not fit. */
function ctcNode(x: Node, labels: Node, times: Node, lengths: Node, blank: number): Node {
  const [time, batch, classes] = x.shape as [number, number, number]
  const symbols = checkedClasses(extendedLabels(labels, lengths, blank), classes)
  const states = symbols.shape
  const logp = emissions(x, symbols)
  const position = iota(states, 1, 'int64')
  // A label may follow another one directly unless they are equal.
  const before = pad(sliceAxis(symbols, 1, 0, Math.max(states[1]! - 2, 0)), [0, Math.min(2, states[1]!)], [0, 0])
  const isLabel = binary('ne', symbols, constantLike(symbols, blank))
  const differs = binary('or', binary('ne', symbols, before), binary('lt', position, constantLike(position, 2)))
  const skips = binary('and', isLabel, differs)
  const start = where(
    binary('eq', position, constantLike(position, 0)),
    constant(0, x.dtype, states),
    constant(impossible, x.dtype, states),
  )
  const mask = binary('lt', iota([time, batch], 0, 'int64'), broadcastTo(times, [time, batch]))
  const { states: last } = runLoop(
    ([alpha], [emitted]) => {
      const skipped = where(skips, shiftUp(alpha!, 2), constantLike(alpha!, impossible))
      return { states: [binary('add', logAddExp([alpha!, shiftUp(alpha!, 1), skipped]), emitted!)], outputs: [] }
    },
    [start],
    [logp],
    { mask },
  )
  // The last label or the blank after it ends an alignment.
  const end = broadcastTo(reshape(binary('mul', lengths, constantLike(lengths, 2)), [batch, 1]), states)
  const isEnd = binary(
    'and',
    binary('le', position, end),
    binary('ge', position, binary('sub', end, constantLike(end, 1))),
  )
  return unary('neg', logSumExpNode(where(isEnd, last[0]!, constant(impossible, x.dtype, states)), [1]))
}

/**
 * Connectionist temporal classification of *unnormalised* logits [T, B, C] (softmax is inside), `paddle.nn.functional.ctc_loss`. Labels are integers
 * [B, L], padded with anything; `inputLengths` and `labelLengths` [B] say how much of each sequence counts. Float16 and bfloat16 are
 * computed in float32.
 *
 * A label that no alignment fits (fewer steps than labels and the blanks between equal ones) costs infinity and has no gradient.
 * @example ctcLoss(logits, labels, inputLengths, labelLengths, { reduction: 'sum' })
 */
export function ctcLoss(
  logProbs: Tensor,
  labels: Tensor,
  inputLengths: Tensor,
  labelLengths: Tensor,
  options: CTCLossOptions = {},
): Tensor {
  const op = 'ctcLoss'
  const { blank = 0, reduction = 'mean', normByTimes = false, zeroInfinity = false } = options
  const given = floatNode(logProbs, 'warpctc')
  const x = cast(given, given.dtype === 'float64' ? 'float64' : 'float32')
  if (x.shape.length !== 3 || x.shape[2] === 0)
    throw new ShapeError(`${op}: logits must be [T, B, classes], got ${formatShape(x.shape)}`)
  const [, batch, classes] = x.shape as [number, number, number]
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ArgumentError(`${op}: blank must be one of the ${classes} classes, got ${blank}`)
  checkInteger(labels, op, 'labels')
  if (labels.ndim !== 2 || labels.shape[0] !== batch)
    throw new ShapeError(`${op}: labels must be [${batch}, L], padded, got ${formatShape(labels.shape)}`)
  const times = lengthNode(inputLengths, batch, 'inputLengths', op)
  const lengths = lengthNode(labelLengths, batch, 'labelLengths', op)
  const atLeastOne = (n: Node): Node => cast(binary('max', n, constantLike(n, 1)), x.dtype)
  const raw = ctcNode(x, cast(labels.node, 'int64'), times, lengths, blank)
  const fits = binary('lt', raw, constantLike(raw, -impossible / 2))
  const normed = normByTimes ? withScaledGradient(raw, unary('reciprocal', atLeastOne(times))) : raw
  let loss = where(fits, normed, constantLike(raw, zeroInfinity ? 0 : Infinity))
  if (reduction === 'mean') loss = binary('div', loss, atLeastOne(lengths))
  return reduced(new Tensor(loss), reduction, op)
}
