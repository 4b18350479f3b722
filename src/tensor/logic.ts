/** Logical and bitwise functions, as in paddle.tensor.logic. */
import { isFloat } from '../common/dtype.ts'
import { DTypeError } from '../common/errors.ts'
import { binary, cast as castNode, unary } from '../graph/build.ts'
import type { BinaryOp } from '../graph/ops.ts'
import {
  broadcastNodes,
  checkOperand,
  checkTensor,
  elementwise,
  scalarNode,
  scalarType,
  type Operand,
} from './promotion.ts'
import { Tensor } from './tensor.ts'

/** Truth values: anything but zero is true. */
function logical(op: 'and' | 'or' | 'xor', name: string, x: Operand, y: Operand): Tensor<'bool'> {
  const [a, b] = broadcastNodes(
    name,
    [x, y].map((v) => {
      checkOperand(v, name)
      return castNode(v instanceof Tensor ? v.node : scalarNode(v, scalarType(v)), 'bool')
    }),
  )
  return new Tensor(binary(op, a!, b!))
}

/** x and y as truth values, `paddle.logical_and`. */
export function logicalAnd(x: Operand, y: Operand): Tensor<'bool'> {
  return logical('and', 'logicalAnd', x, y)
}

/** x or y as truth values, `paddle.logical_or`. */
export function logicalOr(x: Operand, y: Operand): Tensor<'bool'> {
  return logical('or', 'logicalOr', x, y)
}

/** Either x or y, not both, `paddle.logical_xor`. */
export function logicalXor(x: Operand, y: Operand): Tensor<'bool'> {
  return logical('xor', 'logicalXor', x, y)
}

/** The opposite truth value, `paddle.logical_not`. */
export function logicalNot(x: Tensor): Tensor<'bool'> {
  checkTensor(x, 'logicalNot')
  return new Tensor(unary('not', castNode(x.node, 'bool')))
}

/** Bits of integers or truth values; throws DTypeError for floating operands. */
function bitwise(op: BinaryOp, name: string, x: Operand, y: Operand): Tensor {
  for (const v of [x, y]) {
    if (v instanceof Tensor && isFloat(v.dtype))
      throw new DTypeError(`${name}: takes integers and bools, got ${v.dtype}`)
  }
  return elementwise(op, name, x, y)
}

/** Bitwise and, `paddle.bitwise_and`. */
export function bitwiseAnd(x: Operand, y: Operand): Tensor {
  return bitwise('and', 'bitwiseAnd', x, y)
}

/** Bitwise or, `paddle.bitwise_or`. */
export function bitwiseOr(x: Operand, y: Operand): Tensor {
  return bitwise('or', 'bitwiseOr', x, y)
}

/** Bitwise exclusive or, `paddle.bitwise_xor`. */
export function bitwiseXor(x: Operand, y: Operand): Tensor {
  return bitwise('xor', 'bitwiseXor', x, y)
}

/** All bits inverted, `paddle.bitwise_not`. */
export function bitwiseNot(x: Tensor): Tensor {
  checkTensor(x, 'bitwiseNot')
  if (isFloat(x.dtype)) throw new DTypeError(`bitwiseNot: takes integers and bools, got ${x.dtype}`)
  return new Tensor(unary('not', x.node))
}

/** As `bitwiseNot`, `paddle.bitwise_invert`. */
export function bitwiseInvert(x: Tensor): Tensor {
  return bitwiseNot(x)
}

/** Bits shifted up, `paddle.bitwise_left_shift`. */
export function bitwiseLeftShift(x: Operand, y: Operand): Tensor {
  return bitwise('shl', 'bitwiseLeftShift', x, y)
}

/** Bits shifted down, the sign repeated, `paddle.bitwise_right_shift`. */
export function bitwiseRightShift(x: Operand, y: Operand): Tensor {
  return bitwise('shr', 'bitwiseRightShift', x, y)
}
