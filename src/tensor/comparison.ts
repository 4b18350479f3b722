/** Comparisons and tests, as in paddle.tensor.logic: results are bool. */
import { isFloat } from '../common/dtype.ts'
import { sameShape } from '../common/shape.ts'
import { binary, cast as castNode, constant, reduce, reshape, unary } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { checkTensor, constantLike, elementwise, operandNodes, promoted, type Operand } from './promotion.ts'
import { Tensor } from './tensor.ts'

/** x == y elementwise, `paddle.equal`. */
export function equal(x: Operand, y: Operand): Tensor<'bool'> {
  return elementwise('eq', 'equal', x, y) as Tensor<'bool'>
}

/** x != y elementwise, `paddle.not_equal`. */
export function notEqual(x: Operand, y: Operand): Tensor<'bool'> {
  return elementwise('ne', 'notEqual', x, y) as Tensor<'bool'>
}

/** x < y elementwise, `paddle.less_than`. */
export function lessThan(x: Operand, y: Operand): Tensor<'bool'> {
  return elementwise('lt', 'lessThan', x, y) as Tensor<'bool'>
}

/** x <= y elementwise, `paddle.less_equal`. */
export function lessEqual(x: Operand, y: Operand): Tensor<'bool'> {
  return elementwise('le', 'lessEqual', x, y) as Tensor<'bool'>
}

/** x > y elementwise, `paddle.greater_than`. */
export function greaterThan(x: Operand, y: Operand): Tensor<'bool'> {
  return elementwise('gt', 'greaterThan', x, y) as Tensor<'bool'>
}

/** x >= y elementwise, `paddle.greater_equal`. */
export function greaterEqual(x: Operand, y: Operand): Tensor<'bool'> {
  return elementwise('ge', 'greaterEqual', x, y) as Tensor<'bool'>
}

/** True where all elements of a bool node are. */
export function allNode(x: Node): Node {
  const flat = reshape(castNode(x, 'int32'), [x.shape.reduce((a, b) => a * b, 1)])
  return flat.shape[0] === 0 ? constant(1, 'bool') : castNode(reduce('reduceMin', flat, [0]), 'bool')
}

/** One bool: whether shapes and all elements are equal, `paddle.equal_all`. */
export function equalAll(x: Tensor, y: Tensor): Tensor<'bool'> {
  checkTensor(x, 'equalAll')
  checkTensor(y, 'equalAll')
  if (!sameShape(x.node.shape, y.node.shape)) return new Tensor(constant(0, 'bool'))
  const [a, b] = promoted('equalAll', x, y)
  return new Tensor(allNode(binary('eq', a, b)))
}

export interface ClosenessOptions {
  /** Relative tolerance, default 1e-5. */
  readonly rtol?: number
  /** Absolute tolerance, default 1e-8. */
  readonly atol?: number
  /** Whether NaN equals NaN, default false. */
  readonly equalNan?: boolean
}

/** |x - y| <= atol + rtol * |y| elementwise; equal infinities are close, `paddle.isclose`. */
export function isclose(x: Tensor, y: Tensor, options: ClosenessOptions = {}): Tensor<'bool'> {
  const { rtol = 1e-5, atol = 1e-8, equalNan = false } = options
  const [a, b] = operandNodes('isclose', x, y).map((n) => castNode(n, 'float64')) as [Node, Node]
  const limit = binary('add', constantLike(b, atol), binary('mul', constantLike(b, rtol), unary('abs', b)))
  const near = binary('le', unary('abs', binary('sub', a, b)), limit)
  // An infinite y makes the limit infinite: only an equal x is close to it.
  const finite = binary('lt', unary('abs', b), constantLike(b, Infinity))
  let close = binary('or', binary('and', near, finite), binary('eq', a, b))
  if (equalNan) close = binary('or', close, binary('and', binary('ne', a, a), binary('ne', b, b)))
  return new Tensor(close)
}

/** One bool: whether all elements are close, `paddle.allclose`. */
export function allclose(x: Tensor, y: Tensor, options: ClosenessOptions = {}): Tensor<'bool'> {
  return new Tensor(allNode(isclose(x, y, options).node))
}

/** Where x is NaN, `paddle.isnan`. */
export function isnan(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'isnan')
  return new Tensor(isFloat(x.dtype) ? binary('ne', x.node, x.node) : constant(0, 'bool', x.node.shape))
}

/** Where x is an infinity, `paddle.isinf`. */
export function isinf(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'isinf')
  if (!isFloat(x.dtype)) return new Tensor(constant(0, 'bool', x.node.shape))
  return new Tensor(binary('eq', unary('abs', x.node), constantLike(x.node, Infinity)))
}

/** Where x is +Infinity, `paddle.isposinf`. */
export function isposinf(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'isposinf')
  if (!isFloat(x.dtype)) return new Tensor(constant(0, 'bool', x.node.shape))
  return new Tensor(binary('eq', x.node, constantLike(x.node, Infinity)))
}

/** Where x is -Infinity, `paddle.isneginf`. */
export function isneginf(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'isneginf')
  if (!isFloat(x.dtype)) return new Tensor(constant(0, 'bool', x.node.shape))
  return new Tensor(binary('eq', x.node, constantLike(x.node, -Infinity)))
}

/** Where x is neither NaN nor infinite, `paddle.isfinite`. */
export function isfinite(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'isfinite')
  if (!isFloat(x.dtype)) return new Tensor(constant(1, 'bool', x.node.shape))
  return new Tensor(binary('lt', unary('abs', x.node), constantLike(x.node, Infinity)))
}

/** Whether the tensor has no element, `paddle.is_empty`. */
export function isEmpty(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'isEmpty')
  return new Tensor(constant(x.size === 0 ? 1 : 0, 'bool'))
}

/** Where elements of x are among those of testX; the other ones where `invert`, `paddle.isin`. */
export function isin(x: Tensor, testX: Tensor, options: { readonly invert?: boolean } = {}): Tensor<'bool'> {
  checkTensor(x, 'isin')
  checkTensor(testX, 'isin')
  const ones = x.shape.map(() => 1)
  const [a, b] = operandNodes(
    'isin',
    new Tensor(reshape(x.node, [...x.shape, 1])),
    new Tensor(reshape(testX.node, [...ones, testX.size])),
  )
  const last = x.ndim
  const hit =
    testX.size === 0
      ? constant(0, 'bool', x.shape)
      : castNode(reduce('reduceMax', castNode(binary('eq', a, b), 'int32'), [last]), 'bool')
  return new Tensor(options.invert ? unary('not', hit) : hit)
}
