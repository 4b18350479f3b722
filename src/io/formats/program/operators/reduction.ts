/** Reductions, orders and running results. */
import type { DType } from '../../../../common/dtype.ts'
import { normalizeAxis } from '../../../../common/shape.ts'
import { fullLike } from '../../../../tensor/creation.ts'
import { cumprod, cumsum } from '../../../../tensor/cumulative.ts'
import { concat, flip, split } from '../../../../tensor/manipulation.ts'
import { subtract } from '../../../../tensor/math.ts'
import { vectorNorm } from '../../../../tensor/norm.ts'
import { all, amax, amin, any, logsumexp, max, mean, min, prod, sum } from '../../../../tensor/reduction.ts'
import { argmax, argmin, argsort, sort, topk } from '../../../../tensor/search.ts'
import { cast, flatten } from '../../../../tensor/shaping.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { bool, dtype, float, int, ints, variable, type Operator, type OperatorCall } from '../operator.ts'

/** No axes stand for all of them, and so does `reduce_all`. */
function axesOf(call: OperatorCall, everything = false): readonly number[] | undefined {
  const axes = call.numbers('axis')
  return everything || axes.length === 0 ? undefined : axes
}

type Reduction = (x: Tensor, axis?: readonly number[], options?: { keepdim?: boolean }) => Tensor

const reduction = (f: Reduction, isVariable: boolean): Operator => ({
  inputs: ['x'],
  outputs: ['out'],
  attributes: { axis: isVariable ? variable(ints([])) : ints([]), keepdim: bool(false) },
  run: (call) => f(call.tensor('x'), axesOf(call), { keepdim: call.bool('keepdim') }),
})

const flagged = (f: Reduction, isVariable: boolean): Operator => ({
  inputs: ['x'],
  outputs: ['out'],
  attributes: { ...reduction(f, isVariable).attributes, reduce_all: bool(false) },
  run: (call) => f(call.tensor('x'), axesOf(call, call.bool('reduce_all')), { keepdim: call.bool('keepdim') }),
})

const extremum = (f: typeof argmax): Operator => ({
  inputs: ['x'],
  outputs: ['out'],
  attributes: { axis: variable(int(0)), keepdims: bool(false), flatten: bool(false), dtype: dtype('int64') },
  run(call) {
    const options = { keepdim: call.bool('keepdims'), dtype: call.dtype('dtype') }
    return f(call.tensor('x'), call.bool('flatten') ? null : call.number('axis'), options)
  },
})

/** A running sum, over what `flatten` makes of x. */
function runningSum(call: OperatorCall): Tensor {
  const isFlat = call.bool('flatten')
  const x = isFlat ? flatten(call.tensor('x')) : call.tensor('x')
  const axis = isFlat ? 0 : call.number('axis')
  const reversed = call.bool('reverse')
  const given = reversed ? flip(x, axis) : x
  const inclusive = cumsum(given, axis)
  const out = call.bool('exclusive') ? subtract(inclusive, cast(given, inclusive.dtype)) : inclusive
  return reversed ? flip(out, axis) : out
}

/** 1 before the elements of an axis, and without the last of them. */
function behindOne(x: Tensor, axis: number): Tensor {
  const size = x.shape[normalizeAxis(axis, x.ndim, 'cumprod')]!
  if (size === 0) return x
  const [first, last] = split(x, [size - 1, 1], axis) as [Tensor, Tensor]
  return concat([fullLike(last, 1), first], axis)
}

/** `Undefined` of a file: the dtype stays as Paddle has it. */
export const UNDEFINED = ''

function dtypeOption(call: OperatorCall): { dtype?: DType } {
  return call.text('dtype') === UNDEFINED ? {} : { dtype: call.dtype('dtype') }
}

export const reductions = {
  sum: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { axis: variable(ints([])), dtype: { kind: 'dtype', default: UNDEFINED }, keepdim: bool(false) },
    run: (call) => sum(call.tensor('x'), axesOf(call), { keepdim: call.bool('keepdim'), ...dtypeOption(call) }),
  },
  mean: reduction(mean, true),
  max: reduction(max, true),
  min: reduction(min, true),
  amax: reduction(amax, false),
  amin: reduction(amin, false),
  any: reduction(any, false),
  all: reduction(all, false),
  prod: flagged(prod, true),
  logsumexp: flagged(logsumexp, false),
  mean_all: { inputs: ['x'], outputs: ['out'], attributes: {}, run: (call) => mean(call.tensor('x')) },
  argmax: extremum(argmax),
  argmin: extremum(argmin),
  argsort: {
    inputs: ['x'],
    outputs: ['out', 'indices'],
    attributes: { axis: int(-1), descending: bool(false), stable: bool(false) },
    run(call) {
      const options = { descending: call.bool('descending'), stable: call.bool('stable') }
      const [x, axis] = [call.tensor('x'), call.number('axis')]
      return { out: sort(x, axis, options), indices: argsort(x, axis, options) }
    },
  },
  topk: {
    inputs: ['x'],
    outputs: ['out', 'indices'],
    attributes: { k: variable(int(1)), axis: int(-1), largest: bool(true), sorted: bool(true) },
    run(call) {
      const options = { axis: call.number('axis'), largest: call.bool('largest'), sorted: call.bool('sorted') }
      const [out, indices] = topk(call.tensor('x'), call.number('k'), options)
      return { out, indices }
    },
  },
  cumsum: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      axis: variable(int(-1)),
      flatten: bool(false),
      exclusive: bool(false),
      reverse: bool(false),
    },
    run: runningSum,
  },
  cumprod: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { dim: int(), exclusive: bool(false), reverse: bool(false) },
    run(call) {
      const [x, axis] = [call.tensor('x'), call.number('dim')]
      const given = call.bool('reverse') ? flip(x, axis) : x
      const out = cumprod(call.bool('exclusive') ? behindOne(given, axis) : given, axis)
      return call.bool('reverse') ? flip(out, axis) : out
    },
  },
  p_norm: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      porder: float(2),
      axis: int(-1),
      epsilon: float(1e-12),
      keepdim: bool(false),
      asvector: bool(false),
    },
    run(call) {
      const axis = call.bool('asvector') ? null : call.number('axis')
      return vectorNorm(call.tensor('x'), call.number('porder'), axis, { keepdim: call.bool('keepdim') })
    },
  },
  frobenius_norm: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { axis: variable(ints()), keepdim: bool(false), reduce_all: bool(false) },
    run(call) {
      const axes = axesOf(call, call.bool('reduce_all'))
      return vectorNorm(call.tensor('x'), 2, axes ?? null, { keepdim: call.bool('keepdim') })
    },
  },
} satisfies Record<string, Operator>
