/**
 * The transducer loss (Graves, "Sequence transduction with recurrent neural networks", arXiv:1211.3711): the negative logarithm of the
 * probability of all ways from the first time step and label to the last, where each step either moves on in time (blank) or emits a label.
 * The lattice is walked by anti-diagonals, so that one loop of T + U steps over [B, U + 1] states does it.
 */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape, numel } from '../../../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  constant,
  gather,
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
import { Tensor } from '../../../tensor/tensor.ts'
import { runLoop } from '../../../tensor/loop.ts'
import { impossible, lengthNode, logAddExp, shiftUp, withScaledGradient } from './alignment.ts'
import { checkedClasses } from './labels.ts'
import { reduced, type Reduction } from './reduction.ts'

export interface RNNTLossOptions {
  /** The class that moves on in time. Default 0. */
  readonly blank?: number
  /** Weight of FastEmit (Yu et al., arXiv:2010.11148): gradients of emissions grow by this factor. Default 0.001. */
  readonly fastemitLambda?: number
  /** Default `'mean'`: over the batch. */
  readonly reduction?: Reduction
}

const add = (a: Node, b: Node): Node => binary('add', a, b)
const times = (a: Node, n: number): Node => binary('mul', a, constantLike(a, n))

/** The two ways out of the lattice's nodes by anti-diagonals: log-probabilities of blank and of the next label, each [T + U, B, U + 1]. */
function steps(x: Node, labels: Node, frames: Node, blank: number): { readonly move: Node; readonly emit: Node } {
  const [batch, time, width, classes] = x.shape as [number, number, number, number]
  const shape = [time + width - 1, batch, width]
  const u = iota(shape, 2, 'int64')
  const t = binary('sub', iota(shape, 0, 'int64'), u)
  const inside = binary(
    'and',
    binary('ge', t, constantLike(t, 0)),
    binary('lt', t, broadcastTo(reshape(frames, [1, batch, 1]), shape)),
  )
  const frame = binary('min', binary('max', t, constantLike(t, 0)), constantLike(t, time - 1))
  const node = add(times(add(times(iota(shape, 1, 'int64'), time), frame), width), u)
  const both = [...shape, 2]
  const next = pad(labels, [0, 0], [0, 1])
  const isEmission = binary('eq', iota(both, 3, 'int64'), constant(1, 'int64', both))
  const symbol = where(
    isEmission,
    broadcastTo(reshape(next, [1, batch, width, 1]), both),
    constant(blank, 'int64', both),
  )
  const index = add(times(spread(node, both, [3]), classes), symbol)
  const picked = gather(reshape(x, [numel(x.shape)]), index, 0)
  const way = (which: 0 | 1, open: Node): Node =>
    where(open, reshape(sliceAxis(picked, 3, which, which + 1), shape), constant(impossible, x.dtype, shape))
  const hasLabel = binary('lt', u, constantLike(u, width - 1))
  return { move: way(0, inside), emit: way(1, binary('and', inside, hasLabel)) }
}

/**
 * Transducer loss of *log-probabilities* [B, T, U + 1, D], `paddle.nn.functional.rnnt_loss` (apply `logSoftmax` to logits first). Labels are integers
 * [B, U], padded with anything; lengths [B] say how many time steps and labels count.
 */
export function rnntLoss(
  input: Tensor,
  label: Tensor,
  inputLengths: Tensor,
  labelLengths: Tensor,
  options: RNNTLossOptions = {},
): Tensor {
  const op = 'rnntLoss'
  const { blank = 0, fastemitLambda = 0.001, reduction = 'mean' } = options
  const given = floatNode(input, 'warprnnt')
  const x = cast(given, given.dtype === 'float64' ? 'float64' : 'float32')
  if (x.shape.length !== 4 || numel(x.shape) === 0)
    throw new ShapeError(`${op}: input must be [B, T, U + 1, classes], got ${formatShape(x.shape)}`)
  const [batch, time, width, classes] = x.shape as [number, number, number, number]
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ArgumentError(`${op}: blank must be one of the ${classes} classes, got ${blank}`)
  checkInteger(label, op, 'label')
  if (label.ndim !== 2 || label.shape[0] !== batch || label.shape[1] !== width - 1)
    throw new ShapeError(`${op}: labels must be [${batch}, ${width - 1}], padded, got ${formatShape(label.shape)}`)
  const frames = lengthNode(inputLengths, batch, 'inputLengths', op)
  const lengths = lengthNode(labelLengths, batch, 'labelLengths', op)
  const wide = cast(label.node, 'int64')
  const valid = binary('lt', iota(wide.shape, 1, 'int64'), spread(lengths, wide.shape, [1]))
  const labels = checkedClasses(where(valid, wide, constantLike(wide, blank)), classes)
  const { move, emit } = steps(x, labels, frames, blank)
  const emitted = fastemitLambda === 0 ? emit : withScaledGradient(emit, constantLike(emit, 1 + fastemitLambda))
  const states = [batch, width]
  const position = iota(states, 1, 'int64')
  const none = constant(impossible, x.dtype, states)
  const start = where(binary('eq', position, constantLike(position, 0)), constant(0, x.dtype, states), none)
  const diagonals = [time + width - 1, batch]
  const mask = binary('lt', iota(diagonals, 0, 'int64'), broadcastTo(add(frames, lengths), diagonals))
  const { states: last } = runLoop(
    ([alpha], [m, e]) => ({ states: [logAddExp([add(alpha!, m!), shiftUp(add(alpha!, e!), 1)])], outputs: [] }),
    [start],
    [move, emitted],
    { mask },
  )
  const isEnd = binary('eq', position, spread(lengths, states, [1]))
  const loss = unary('neg', reduce('reduceSum', where(isEnd, last[0]!, constantLike(last[0]!, 0)), [1]))
  return reduced(new Tensor(loss), reduction, op)
}
