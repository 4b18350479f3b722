/** Products of matrices, reductions, orders. */
import { fromFront } from '../../../program/inference/known.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'

/** The last two axes the other way round. */
function turned(c: WriteCall, slot: string, turn: boolean): string {
  const x = c.in(slot)
  if (!turn) return x
  const rank = c.rank(slot)
  if (rank < 2) return x
  const perm = Array.from({ length: rank }, (_, i) => i)
  ;[perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2]
  return c.e.one('Transpose', [x], { perm })
}

const matmul: WriteRule = (c) => {
  const operands = [turned(c, 'x', c.bool('transpose_x')), turned(c, 'y', c.bool('transpose_y'))]
  c.e.one('MatMul', operands, {}, c.out())
}

const plain =
  (...slots: string[]): WriteRule =>
  (c) =>
    void c.e.one(
      'MatMul',
      slots.map((s) => c.in(s)),
      {},
      c.out(),
    )

const addmm: WriteRule = (c) => {
  const times = (x: string, name: string): string =>
    c.number(name) === 1 ? x : c.e.one('Mul', [x, c.e.scalar(c.number(name), c.dtype())])
  const product = times(c.e.one('MatMul', [c.in('x'), c.in('y')]), 'alpha')
  c.e.one('Add', [times(c.in('input'), 'beta'), product], {}, c.out())
}

/** The axes of a reduction; undefined for all of them. */
function axesOf(c: WriteCall): number[] | undefined {
  if (c.bool('reduce_all')) return undefined
  const axes = c.numbers('axis')
  return axes.length === 0 ? undefined : axes
}

/** A reduction's node: axes are an operand of ReduceSum, and from version 18 on of the others. */
function reduceNode(
  c: WriteCall,
  opType: string,
  x: string,
  axes: number[] | undefined,
  keepdim: boolean,
  out?: string,
): string {
  const keepdims = keepdim ? 1 : 0
  const asOperand = opType === 'ReduceSum' || c.e.opset >= 18
  if (asOperand) return c.e.one(opType, [x, axes ? c.e.ints(axes) : null], { keepdims }, out)
  return c.e.one(opType, [x], { keepdims, ...(axes ? { axes } : {}) }, out)
}

const reduction = (opType: string): WriteRule => {
  return (c) => void reduceNode(c, opType, c.in('x'), axesOf(c), c.bool('keepdim'), c.out())
}

/** Sums of integers are as wide as the result. */
const sum: WriteRule = (c) => {
  const { dtype } = c.result
  const x = dtype === c.dtype() ? c.in('x') : c.e.cast(c.in('x'), dtype)
  reduceNode(c, 'ReduceSum', x, axesOf(c), c.bool('keepdim'), c.out())
}

/** Truth values are counted as integers. */
const truth = (opType: string): WriteRule => {
  return (c) => {
    const number = reduceNode(c, opType, c.e.cast(c.e.cast(c.in('x'), 'bool'), 'int32'), axesOf(c), c.bool('keepdim'))
    c.e.one('Cast', [number], { to: 9 }, c.out())
  }
}

const position = (opType: string): WriteRule => {
  return (c) => {
    const isFlat = c.bool('flatten')
    const dtype = c.dtypeOf('dtype') ?? 'int64'
    if (isFlat && c.bool('keepdims')) c.refuse('flatten with kept axes')
    const x = isFlat ? c.e.one('Reshape', [c.in('x'), c.e.ints([-1])]) : c.in('x')
    const attributes = { axis: isFlat ? 0 : c.number('axis'), keepdims: c.bool('keepdims') ? 1 : 0 }
    const index = c.e.one(opType, [x], attributes, dtype === 'int64' ? c.out() : undefined)
    if (dtype !== 'int64') c.e.one('Cast', [index], { to: 6 }, c.out())
  }
}

const topk: WriteRule = (c) => {
  const k = c.has('k') ? c.intsIn('k') : c.e.ints([c.number('k')])
  const attributes = { axis: c.number('axis'), largest: c.bool('largest') ? 1 : 0, sorted: 1 }
  c.e.node('TopK', [c.in('x'), k], attributes, [c.out('out'), c.out('indices')])
}

/** All elements of an axis, in order. */
const argsort: WriteRule = (c) => {
  const axis = fromFront(c.number('axis'), c.rank())
  const k = c.e.one('Slice', [c.e.one('Shape', [c.in('x')]), c.e.ints([axis]), c.e.ints([axis + 1]), c.e.ints([0])])
  const attributes = { axis, largest: c.bool('descending') ? 1 : 0, sorted: 1 }
  c.e.node('TopK', [c.in('x'), k], attributes, [c.out('out'), c.out('indices')])
}

const cumsum: WriteRule = (c) => {
  const isFlat = c.bool('flatten')
  const x = isFlat ? c.e.one('Reshape', [c.in('x'), c.e.ints([-1])]) : c.in('x')
  const axis = c.e.scalar(isFlat ? 0 : c.number('axis'), 'int64')
  const attributes = { ...(c.bool('exclusive') ? { exclusive: 1 } : {}), ...(c.bool('reverse') ? { reverse: 1 } : {}) }
  const wide = c.dtype() === 'int32' || c.dtype() === 'bool' ? c.e.cast(x, 'int64') : x
  c.e.one('CumSum', [wide, axis], attributes, c.out())
}

const norm: WriteRule = (c) => {
  const p = c.number('porder')
  const axes = c.bool('asvector') ? undefined : [c.number('axis')]
  const keep = c.bool('keepdim')
  if (p === 1 || p === 2) return void reduceNode(c, `ReduceL${p}`, c.in('x'), axes, keep, c.out())
  if (!Number.isFinite(p) || p === 0) c.refuse(`order ${p}`)
  const powers = c.e.one('Pow', [c.e.one('Abs', [c.in('x')]), c.e.scalar(p, c.dtype())])
  const total = reduceNode(c, 'ReduceSum', powers, axes, keep)
  c.e.one('Pow', [total, c.e.scalar(1 / p, c.dtype())], {}, c.out())
}

export const linearWriters: WriteRules = {
  addmm,
  all: truth('ReduceMin'),
  amax: reduction('ReduceMax'),
  amin: reduction('ReduceMin'),
  any: truth('ReduceMax'),
  argmax: position('ArgMax'),
  argmin: position('ArgMin'),
  argsort,
  bmm: plain('x', 'y'),
  cumsum,
  det: (c) => void c.e.one('Det', [c.in('x')], {}, c.out()),
  dot: plain('x', 'y'),
  einsum: (c) => void c.e.one('Einsum', c.list('x'), { equation: c.text('equation') }, c.out()),
  frobenius_norm: reduction('ReduceL2'),
  logsumexp: reduction('ReduceLogSumExp'),
  matmul,
  max: reduction('ReduceMax'),
  mean: reduction('ReduceMean'),
  mean_all: (c) => void c.e.one('ReduceMean', [c.in('x')], { keepdims: 0 }, c.out()),
  min: reduction('ReduceMin'),
  mv: plain('x', 'vec'),
  p_norm: norm,
  prod: reduction('ReduceProd'),
  sum,
  topk,
}

export { reduceNode }
