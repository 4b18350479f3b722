/** Products of matrices, and reductions. */
import { isInteger } from '../../../../../common/dtype.ts'
import { fromFront, numbersOf } from '../../../program/inference/known.ts'
import { staticShape, type NodeCall } from '../node-call.ts'
import { always, type Convert, type OnnxOperator, type RuleTable } from '../rule.ts'
import { negated } from './elementwise.ts'
import { axesOf } from './shaping.ts'

const matmul: Convert = (n) =>
  n.give('matmul', { x: n.operand(0), y: n.operand(1) }, { transpose_x: false, transpose_y: false })

/** alpha A B + beta C. */
const gemm: Convert = (n) => {
  const operands = { x: n.operand(0), y: n.operand(1) }
  const attributes = { transpose_x: n.int('transA', 0) !== 0, transpose_y: n.int('transB', 0) !== 0 }
  const [alpha, beta] = [n.float('alpha', 1), n.float('beta', 1)]
  const scaled = (x: string, scale: number): string => (scale === 1 ? x : n.emit('scale', { x }, { ...negated, scale }))
  const hasSum = n.has(2) && beta !== 0
  if (!hasSum && alpha === 1) return n.give('matmul', operands, attributes)
  const product = n.emit('matmul', operands, attributes)
  if (!hasSum) return n.give('scale', { x: product }, { ...negated, scale: alpha })
  n.give('add', { x: scaled(product, alpha), y: scaled(n.operand(2), beta) })
}

const einsum: Convert = (n) => {
  const equation = n.text('equation', '').replaceAll(' ', '')
  n.give('einsum', { x: n.operands() }, { equation })
}

/** The axes of a reduction; null for none at all. */
function reducedAxes(n: NodeCall): number[] | null {
  const axes = axesOf(n, 1)
  if (axes && axes.length > 0) return axes
  if (n.int('noop_with_empty_axes', 0) !== 0) return null
  const { shape } = n.known(0)
  return shape ? shape.map((_, i) => i) : []
}

/** How a reduction is written in the table: axes, kept axes, and what else it has. */
function reduceBy(n: NodeCall, type: string, x: string, axis: number[], isLast: boolean): string {
  const keepdim = n.int('keepdims', 1) !== 0
  const base = { axis, keepdim }
  const attributes =
    type === 'sum'
      ? { ...base, dtype: n.knownOf(x).dtype }
      : type === 'prod' || type === 'logsumexp'
        ? { ...base, reduce_all: false }
        : base
  if (!isLast) return n.emit(type, { x }, attributes)
  n.give(type, { x }, attributes)
  return ''
}

const reduction = (type: string): OnnxOperator =>
  always((n) => {
    const axes = reducedAxes(n)
    if (!axes) return n.bind(0, n.value(0))
    if ((type === 'max' || type === 'min') && extremumOfNone(n, type, axes)) return
    reduceBy(n, type, n.operand(0), axes, true)
  }, 'axes that are constant')

/** Of no elements the extremum is the least, or the greatest, number. Whether there are none. */
function extremumOfNone(n: NodeCall, type: 'max' | 'min', axes: readonly number[]): boolean {
  const { dtype, shape } = n.known(0)
  const reduced = new Set(axes.map((a) => fromFront(a, shape?.length ?? 0)))
  if (!shape?.some((d, i) => d === 0 && reduced.has(i))) return false
  const keeps = n.int('keepdims', 1) !== 0
  const sizes = numbersOf(shape.flatMap((d, i) => (reduced.has(i) ? (keeps ? [1] : []) : [d])))
  if (!sizes || isInteger(dtype)) return n.refuse('an axis without elements')
  const value = dtype === 'bool' ? (type === 'min' ? 1 : 0) : type === 'min' ? Infinity : -Infinity
  n.give('full', {}, { shape: sizes, value, dtype })
  return true
}

/** A reduction with something before and after. */
const around = (before: string | null, type: string, after: string | null): OnnxOperator =>
  always((n) => {
    const axes = reducedAxes(n)
    const x = n.operand(0)
    if (!axes && before === null && after === null) return n.bind(0, n.value(0))
    const first = before === null ? x : n.emit(before, { x })
    if (!axes) return after === null ? n.bind(0, first) : n.give(after, { x: first })
    if (after === null) return void reduceBy(n, type, first, axes, true)
    n.give(after, { x: reduceBy(n, type, first, axes, false) })
  }, 'axes that are constant')

/** Of equal elements the last one is the first one from behind. */
const position = (type: string): OnnxOperator =>
  always((n) => {
    const x = n.operand(0)
    const axis = n.int('axis', 0)
    const attributes = { axis, keepdims: n.int('keepdims', 1) !== 0, flatten: false, dtype: 'int64' }
    if (n.int('select_last_index', 0) === 0) return n.give(type, { x }, attributes)
    const size = n.knownSize(n.value(0), fromFront(axis, n.rank()))
    const fromBehind = n.emit(type, { x: n.emit('flip', { x }, { axis: [axis] }) }, attributes)
    n.give('scale', { x: fromBehind }, { scale: -1, bias: size - 1, bias_after_scale: true })
  }, 'select_last_index of an axis of known size')

const topk: Convert = (n) => {
  const attributes = {
    k: n.variable(1, true),
    axis: n.int('axis', -1),
    largest: n.int('largest', 1) !== 0,
    sorted: true,
  }
  const { out, indices } = n.emitAll('topk', { x: n.operand(0) }, attributes, { out: null, indices: null })
  n.bind(0, out![0]!)
  n.bind(1, indices![0]!)
}

const cumsum: Convert = (n) => {
  const attributes = {
    axis: n.variable(1, true),
    flatten: false,
    exclusive: n.int('exclusive', 0) !== 0,
    reverse: n.int('reverse', 0) !== 0,
  }
  const x = n.operand(0)
  // Sums of int32 are int64 in Paddle.
  if (n.dtype() !== 'int32') n.give('cumsum', { x }, attributes)
  else n.give('cast', { x: n.emit('cumsum', { x }, attributes) }, { dtype: 'int32' })
}

const cumprod: Convert = (n) => {
  const [dim] = n.fixed(1, 'axis') ?? n.refuse('an axis that is not told')
  const attributes = { dim: dim!, exclusive: n.int('exclusive', 0) !== 0, reverse: n.int('reverse', 0) !== 0 }
  n.give('cumprod', { x: n.operand(0) }, attributes)
}

/** 1 where the column is so far behind the row, 0 elsewhere: what two triangles leave of a matrix of ones. */
const eyeLike: Convert = (n) => {
  const shape = staticShape(n.known(0))
  if (shape?.length !== 2) return n.refuse('the size of a matrix that is not known')
  const dtype = n.dtypeAttribute('dtype', n.dtype())
  const diagonal = n.int('k', 0)
  const ones = n.emit('full', {}, { shape, value: 1, dtype: dtype === 'bool' ? 'int32' : dtype })
  const upper = n.emit('triu', { x: ones }, { diagonal })
  if (dtype !== 'bool') return n.give('tril', { x: upper }, { diagonal })
  n.give('cast', { x: n.emit('tril', { x: upper }, { diagonal }) }, { dtype })
}

/** x over the norm of an axis; 0 where the norm is 0. */
const lpNormalization: Convert = (n) => {
  const [p, axis] = [n.int('p', 2), n.int('axis', -1)]
  if (p !== 1 && p !== 2) n.refuse(`p = ${p}`)
  const x = n.operand(0)
  const size = n.emit(p === 1 ? 'abs' : 'square', { x })
  const sum = n.emit('sum', { x: size }, { axis: [axis], keepdim: true, dtype: n.dtype() })
  const zero = n.emit('full_like', { x: sum }, { value: 0, dtype: n.dtype() })
  const one = n.emit('full_like', { x: sum }, { value: 1, dtype: n.dtype() })
  const isZero = n.emit('equal', { x: sum, y: zero })
  const norm = p === 1 ? sum : n.emit('sqrt', { x: sum })
  n.give('divide', { x, y: n.emit('where', { condition: isZero, x: one, y: norm }) })
}

const trilu: Convert = (n) => {
  const diagonal = n.fixed(1, 'diagonal')?.[0] ?? 0
  n.give(n.int('upper', 1) !== 0 ? 'triu' : 'tril', { x: n.operand(0) }, { diagonal })
}

export const linearRules: RuleTable = {
  ArgMax: position('argmax'),
  ArgMin: position('argmin'),
  CumProd: always(cumprod, 'an axis that is constant'),
  CumSum: always(cumsum),
  Det: always((n) => n.give('det', { x: n.operand(0) })),
  Einsum: always(einsum),
  EyeLike: always(eyeLike, 'of a matrix of known size'),
  Gemm: always(gemm),
  LpNormalization: always(lpNormalization, 'p of 1 and 2'),
  MatMul: always(matmul),
  ReduceL1: around('abs', 'sum', null),
  ReduceL2: around('square', 'sum', 'sqrt'),
  ReduceLogSum: around(null, 'sum', 'log'),
  ReduceLogSumExp: reduction('logsumexp'),
  ReduceMax: reduction('max'),
  ReduceMean: reduction('mean'),
  ReduceMin: reduction('min'),
  ReduceProd: reduction('prod'),
  ReduceSum: reduction('sum'),
  ReduceSumSquare: around('square', 'sum', null),
  TopK: always(topk),
  Trilu: always(trilu, 'a diagonal that is constant'),
}
