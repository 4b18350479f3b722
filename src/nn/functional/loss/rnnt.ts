/** The transducer loss (Graves 2012): alignments of a label sequence with time, summed by one loop over the diagonals of their lattice. */
import { ShapeError } from '../../../common/errors.ts'
import { formatShape, type Shape } from '../../../common/shape.ts'
import {
  binary,
  cast,
  constant,
  detach,
  expand,
  gatherElements,
  iota,
  permute,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import type { Node } from '../../../graph/node.ts'
import { checkInteger, constantLike, floatNode } from '../../../tensor/promotion.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { logSoftmaxNode } from '../activation.ts'
import { spreadVector } from '../geometry.ts'
import { loop } from '../loop.ts'
import { padConstant } from '../pad.ts'
import { checkLengths } from './ctc.ts'
import { checkedClasses } from './labels.ts'
import { impossible, logSumOf, logSumOver, shifted } from './log-semiring.ts'
import { checkReduction, reduced, type Reduction } from './reduction.ts'

const and = (a: Node, b: Node): Node => binary('and', a, b)

/** True at coordinate 0 of an axis. */
function isFirst(shape: Shape, axis: number): Node {
  return binary('eq', iota(shape, axis, 'int32'), constant(0, 'int32', shape))
}

export interface RnntLossOptions {
  /** Default 0. */
  readonly blank?: number
  /** Weight of early emission (Yu et al. 2021): it scales gradients of labels by 1 + fastemitLambda. Default 0.001. */
  readonly fastemitLambda?: number
  /** Default `'mean'`, over the batch. */
  readonly reduction?: Reduction
}

/** x[b, k - u, u] at [b, k, u] for k = 0 .. steps - 1; impossible where k - u lies outside. */
function skewed(x: Node, steps: number): Node {
  const [batch, time, width] = x.shape as [number, number, number]
  const shape = [batch, steps, width]
  const t = binary('sub', iota(shape, 1, 'int64'), iota(shape, 2, 'int64'))
  const inside = and(binary('ge', t, constantLike(t, 0)), binary('lt', t, constantLike(t, time)))
  const taken = gatherElements(x, where(inside, t, constantLike(t, 0)), 1)
  return where(inside, taken, constantLike(taken, impossible))
}

/**
 * Transducer loss (Graves 2012) of logits [batch, time, labels + 1, classes] (softmax is taken inside) and labels [batch, labels],
 * `paddle.nn.functional.rnnt_loss`. The loop runs over the diagonals of the lattice.
 */
export function rnntLoss(
  input: Tensor,
  label: Tensor,
  inputLengths: Tensor,
  labelLengths: Tensor,
  options: RnntLossOptions = {},
): Tensor {
  const op = 'rnntLoss'
  const { blank = 0, fastemitLambda = 0.001, reduction = 'mean' } = options
  checkReduction(reduction, op)
  checkInteger(label, op, 'label')
  if (input.ndim !== 4)
    throw new ShapeError(`${op}: logits must be [batch, time, labels + 1, classes], got ${formatShape(input.shape)}`)
  const [batch, time, width, classes] = input.shape as [number, number, number, number]
  if (label.ndim !== 2 || label.shape[0] !== batch || label.shape[1] !== width - 1)
    throw new ShapeError(`${op}: labels must be [${batch}, ${width - 1}], got ${formatShape(label.shape)}`)
  const steps = checkLengths(op, 'inputLengths', inputLengths, batch)
  const lengths = checkLengths(op, 'labelLengths', labelLengths, batch)
  const given = floatNode(input, 'warprnnt')
  const logp = logSoftmaxNode(given.dtype === 'float64' ? given : cast(given, 'float32'), 3)

  const blanks = reshape(sliceAxis(logp, 3, blank, blank + 1), [batch, time, width])
  // The label that leads from column u - 1 to column u; nothing leads to column 0.
  const wide = cast(label.node, 'int64')
  const within = binary('lt', iota(wide.shape, 1, 'int64'), spreadVector(lengths, 0, wide.shape))
  const checked = checkedClasses(where(within, wide, constantLike(wide, blank)), classes)
  const index = expand(reshape(checked, [batch, 1, width - 1, 1]), [batch, time, width - 1, 1])
  const labelled = reshape(gatherElements(sliceAxis(logp, 2, 0, width - 1), index, 3), [batch, time, width - 1])
  const hurried = binary(
    'add',
    labelled,
    binary('mul', binary('sub', labelled, detach(labelled)), constantLike(labelled, fastemitLambda)),
  )
  const arrivals = padConstant(hurried, { low: [0, 0, 1], high: [0, 0, 0] }, impossible)

  // alpha of diagonal d at column u is that of step d - u.
  const diagonals = time + width - 1
  const stay = permute(skewed(blanks, diagonals), [1, 0, 2])
  const move = permute(skewed(arrivals, diagonals), [1, 0, 2])
  const start = where(
    isFirst([batch, width], 1),
    constant(0, logp.dtype, [batch, width]),
    constant(impossible, logp.dtype, [batch, width]),
  )
  const before = sliceAxis(stay, 0, 0, diagonals - 1)
  const { stacks } = loop(
    { carries: [start], sequences: [before, sliceAxis(move, 0, 1, diagonals)], constants: [], length: diagonals - 1 },
    ([alpha], [blankHere, labelHere]) => {
      const next = logSumOf([binary('add', alpha!, blankHere!), binary('add', shifted(alpha!, 1), labelHere!)])
      return { carries: [next], outputs: [next] }
    },
  )
  const alphas = padConstant(stacks[0]!, { low: [1, 0, 0], high: [0, 0, 0] }, 0)
  const first = where(isFirst(alphas.shape, 0), spread(start, alphas.shape, [0]), alphas)
  // The end of each sample: its last step, its last column, and a blank.
  const column = spreadVector(lengths, 1, alphas.shape)
  const lastStep = binary('sub', binary('add', steps, lengths), constantLike(steps, 1))
  const isEnd = and(
    binary('eq', iota(alphas.shape, 0, 'int64'), spreadVector(lastStep, 1, alphas.shape)),
    binary('eq', iota(alphas.shape, 2, 'int64'), column),
  )
  const ends = binary('add', first, stay)
  const total = logSumOver(where(isEnd, ends, constantLike(ends, impossible)), [0, 2])
  const loss = new Tensor(unary('neg', total))
  return reduced(loss, reduction, op)
}
