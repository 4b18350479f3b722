/**
 * Connectionist temporal classification (Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with
 * recurrent neural networks", ICML 2006; section 4.1), as paddle.nn.functional.ctc_loss: logits in, softmax inside.
 */
import { ArgumentError, DTypeError, ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  constant,
  detach,
  gatherElements,
  iota,
  pad,
  reduce,
  reshape,
  slice,
  unary,
  where,
} from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { logSoftmax } from './activation.ts'
import { runLoop } from './loop.ts'

export interface CtcLossOptions {
  /** Class of the blank. Default 0. */
  readonly blank?: number
  /** `'mean'` (default) divides each loss by its label length and averages; `'sum'`; `'none'` gives [B]. */
  readonly reduction?: 'mean' | 'sum' | 'none'
  /** Divides each loss by the number of its time steps. Default false. */
  readonly normByTimes?: boolean
}

/** Log of zero: finite, so that no infinity is subtracted from another. */
const never = -1e30

/**
 * Negative log likelihood of the labels, summed over all alignments.
 *
 * `logits` [T, B, C], not normalised; `labels` [B, L] int32 or int64, padded with anything; `inputLengths` and `labelLengths` [B].
 * A label that needs more time steps than there are has likelihood 0: its loss is infinite and its gradient 0.
 * Follows paddle.nn.functional.ctc_loss.
 */
export function ctcLoss(
  logits: Tensor,
  labels: Tensor,
  inputLengths: Tensor,
  labelLengths: Tensor,
  options: CtcLossOptions = {},
): Tensor {
  const { blank = 0, reduction = 'mean', normByTimes = false } = options
  const [time, batch] = checkArguments(logits, labels, inputLengths, labelLengths, blank)
  const logProbabilities = logSoftmax(logits, -1).node
  const { dtype } = logProbabilities
  const number = (v: number, shape: readonly number[]): Node => constant(v, dtype, shape)
  const whole = (v: number, shape: readonly number[]): Node => constant(v, 'int64', shape)

  // The label with blanks around and between: [B, 2 L + 1].
  const length = labels.shape[1]!
  const states = [batch, 2 * length + 1]
  const position = iota(states, 1, 'int64')
  const isLabel = binary('eq', binary('mod', position, whole(2, states)), whole(1, states))
  const symbols = cast(labels.node, 'int64')
  const twice = reshape(broadcastTo(reshape(symbols, [batch, length, 1]), [batch, length, 2]), [batch, 2 * length])
  const extended = where(isLabel, pad(twice, [0, 0], [0, 1]), whole(blank, states))
  const before = pad(
    slice(extended, [0, 0], [batch, Math.max(0, states[1]! - 2)]),
    [0, Math.min(2, states[1]!)],
    [0, 0],
  )
  const skips = binary(
    'and',
    isLabel,
    binary('and', binary('ne', extended, before), binary('ge', position, whole(2, states))),
  )

  // Log probabilities of the symbols at every time: the loop never sees the classes.
  const rows = [time, ...states]
  const emissions = gatherElements(logProbabilities, broadcastTo(reshape(extended, [1, ...states]), rows), 2)
  const shifted = (alpha: Node, by: number): Node => {
    const kept = slice(alpha, [0, 0], [batch, Math.max(0, states[1]! - by)])
    const inside = binary('ge', position, whole(by, states))
    return where(inside, pad(kept, [0, Math.min(by, states[1]!)], [0, 0]), number(never, states))
  }
  // Equation (6): a state is reached from itself, from the one before, and across a blank between different labels.
  const step = (alpha: Node, emission: Node): Node => {
    const one = shifted(alpha, 1)
    const two = where(skips, shifted(alpha, 2), number(never, states))
    return binary('add', logSumExp([alpha, one, two]), emission)
  }
  // Before the first step only the leading blank is possible: the step itself then opens the first two states.
  const start = where(binary('lt', position, whole(1, states)), number(0, states), number(never, states))
  const times = iota([time, batch], 0, 'int64')
  const lengths = cast(inputLengths.node, 'int64')
  const running = binary('lt', times, broadcastTo(reshape(lengths, [1, batch]), [time, batch]))
  const { states: last } = runLoop(
    ([alpha], [emission]) => ({ states: [step(alpha!, emission!)], outputs: [] }),
    [start],
    [emissions],
    { mask: running },
  )

  // Equation (8): alignments end in the last label or in the blank after it.
  const ends = broadcastTo(
    reshape(binary('mul', cast(labelLengths.node, 'int64'), whole(2, [batch])), [batch, 1]),
    states,
  )
  const isEnd = binary(
    'or',
    binary('eq', position, ends),
    binary('eq', position, binary('sub', ends, whole(1, states))),
  )
  const final = where(isEnd, last[0]!, number(never, states))
  const top = detach(reduce('reduceMax', final, [1]))
  const sum = reduce('reduceSum', unary('exp', binary('sub', final, spread(top, states, [1]))), [1])
  const impossible = binary('lt', top, number(never / 2, [batch]))
  const possible = unary('neg', binary('add', top, unary('log', where(impossible, number(1, [batch]), sum))))
  let loss = where(impossible, number(Infinity, [batch]), possible)
  if (normByTimes) loss = binary('div', loss, cast(lengths, dtype))
  if (reduction === 'none') return new Tensor(loss)
  if (reduction === 'sum') return new Tensor(reduce('reduceSum', loss, [0]))
  const perCharacter = binary(
    'div',
    loss,
    binary('max', cast(cast(labelLengths.node, 'int64'), dtype), number(1, [batch])),
  )
  return new Tensor(binary('mul', reduce('reduceSum', perCharacter, [0]), number(1 / Math.max(batch, 1), [])))
}

/** log(exp(a) + exp(b) + ...), with the greatest taken out; its gradient cancels, so it is not followed. */
function logSumExp(terms: readonly Node[]): Node {
  const top = detach(terms.reduce((a, b) => binary('max', a, b)))
  const sum = terms.map((t) => unary('exp', binary('sub', t, top))).reduce((a, b) => binary('add', a, b))
  return binary('add', top, unary('log', sum))
}

function checkArguments(
  logits: Tensor,
  labels: Tensor,
  inputLengths: Tensor,
  labelLengths: Tensor,
  blank: number,
): [number, number] {
  if (logits.ndim !== 3) throw new ShapeError(`ctcLoss: logits must be [T, B, C], got ${formatShape(logits.shape)}`)
  const [time, batch, classes] = logits.shape as [number, number, number]
  if (labels.ndim !== 2 || labels.shape[0] !== batch) {
    throw new ShapeError(
      `ctcLoss: labels must be [B, L] with B = ${batch} as in the logits ${formatShape(logits.shape)}, got ${formatShape(labels.shape)}`,
    )
  }
  for (const [name, t] of [
    ['inputLengths', inputLengths],
    ['labelLengths', labelLengths],
  ] as const) {
    if (t.size !== batch || t.ndim !== 1)
      throw new ShapeError(`ctcLoss: ${name} must be [${batch}], got ${formatShape(t.shape)}`)
    if (t.dtype !== 'int64' && t.dtype !== 'int32')
      throw new DTypeError(`ctcLoss: ${name} must be int32 or int64, got ${t.dtype}`)
  }
  if (labels.dtype !== 'int64' && labels.dtype !== 'int32')
    throw new DTypeError(`ctcLoss: labels must be int32 or int64, got ${labels.dtype}`)
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ArgumentError(`ctcLoss: blank is ${blank}, expected a class from 0 to ${classes - 1}`)
  return [time, batch]
}
