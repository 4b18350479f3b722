/**
 * Paddle's rules for operands of different dtypes and shapes. Two tensors meet only if their dtypes are equal or both floating
 * (the wider wins; float16 with bfloat16 gives float32); a number takes the tensor's dtype, but a fraction turns an integer tensor
 * into the default floating dtype. Graph nodes neither promote nor broadcast, so every function comes through here.
 */
import { isFloat, isInteger, type DType, type FloatDType } from '../common/dtype.ts'
import { ArgumentError, DTypeError } from '../common/errors.ts'
import { broadcastShapes, type Shape } from '../common/shape.ts'
import { binary, broadcastTo, cast, constant, scalar, unary } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import type { BinaryOp, UnaryOp } from '../graph/ops.ts'
import { underPolicy } from './autocast.ts'
import { Tensor } from './tensor.ts'

/** A number of the program: what Python's int, float and bool are to Paddle. A number without a fraction counts as an int. */
export type Scalar = number | bigint | boolean
export type Operand = Tensor | Scalar

let defaultDtype: FloatDType = 'float32'

/** The dtype of floating tensors that are made without one, as `paddle.set_default_dtype`. Throws DTypeError unless it is floating. */
export function setDefaultDtype(dtype: DType): void {
  if (!isFloat(dtype)) throw new DTypeError(`setDefaultDtype: ${dtype} is not a floating dtype`)
  defaultDtype = dtype
}

/** `'float32'` unless changed, as `paddle.get_default_dtype`. */
export function getDefaultDtype(): FloatDType {
  return defaultDtype
}

/** The dtype in which two tensors meet. Throws DTypeError where Paddle refuses: unequal dtypes that are not both floating. */
export function promoteTypes(a: DType, b: DType, op: string): DType {
  if (a === b) return a
  if (!isFloat(a) || !isFloat(b)) {
    throw new DTypeError(
      `${op}: ${a} and ${b} tensors do not promote (only floating dtypes do among each other); cast one, for example with .astype('${isFloat(a) ? a : b}')`,
    )
  }
  if (a === 'float64' || b === 'float64') return 'float64'
  return 'float32'
}

/** The dtype in which a tensor meets a number. */
export function scalarResultType(tensor: DType, value: Scalar): DType {
  if (isFloat(tensor)) return tensor
  if (typeof value === 'number' && !Number.isInteger(value)) return defaultDtype
  return tensor === 'bool' && typeof value !== 'boolean' ? 'int64' : tensor
}

/** The dtype of a tensor made from a number alone. */
export function scalarType(value: Scalar): DType {
  if (typeof value === 'boolean') return 'bool'
  return typeof value === 'bigint' || Number.isInteger(value) ? 'int64' : defaultDtype
}

/** A number as a node of rank 0. Fractions are numbers of the run, so that a schedule in user code never compiles anything. */
export function scalarNode(value: Scalar, dtype: DType): Node {
  if (typeof value === 'bigint') return constant(dtype === 'int64' ? value : Number(value), dtype)
  const n = Number(value)
  return Number.isFinite(n) && !Number.isInteger(n) && isFloat(dtype) ? scalar(n, dtype) : constant(n, dtype)
}

export function checkOperand(value: unknown, op: string): void {
  if (value instanceof Tensor) return
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
  throw new ArgumentError(`${op}: expected a Tensor or a number, got ${got}; make arrays tensors with toTensor`)
}

/** Both operands as nodes of one dtype, not broadcast yet. */
export function promoted(op: string, a: Operand, b: Operand): [Node, Node] {
  if (a instanceof Tensor && b instanceof Tensor) {
    const [x, y] = underPolicy(op, [a.node, b.node])
    const dtype = promoteTypes(x!.dtype, y!.dtype, op)
    return [cast(x!, dtype), cast(y!, dtype)]
  }
  checkOperand(a, op)
  checkOperand(b, op)
  if (a instanceof Tensor) {
    const x = underPolicy(op, [a.node])[0]!
    const dtype = scalarResultType(x.dtype, b as Scalar)
    return [cast(x, dtype), scalarNode(b as Scalar, dtype)]
  }
  if (b instanceof Tensor) {
    const [y, x] = promoted(op, b, a)
    return [x, y]
  }
  const dtype = scalarResultType(scalarType(a), b)
  const other = scalarResultType(scalarType(b), a)
  const common = isFloat(other) ? other : dtype
  return [scalarNode(a, common), scalarNode(b, common)]
}

/** Nodes repeated to their common shape. */
export function broadcastNodes(op: string, nodes: readonly Node[]): Node[] {
  let shape: Shape = nodes[0]!.shape
  for (let i = 1; i < nodes.length; i++) shape = broadcastShapes(shape, nodes[i]!.shape, op)
  return nodes.map((n) => broadcastTo(n, shape))
}

/** Promoted and broadcast operands of an elementwise function. */
export function operandNodes(op: string, a: Operand, b: Operand): [Node, Node] {
  const [x, y] = promoted(op, a, b)
  return broadcastNodes(op, [x, y]) as [Node, Node]
}

/** An elementwise op of two operands under Paddle's rules; `name` is the public function's, for messages and mixed precision. */
export function elementwise(op: BinaryOp, name: string, a: Operand, b: Operand): Tensor {
  const [x, y] = operandNodes(name, a, b)
  return new Tensor(binary(op, x, y))
}

/** Throws ArgumentError unless `x` is a Tensor: what callers from JavaScript get instead of "cannot read properties". */
export function checkTensor(x: unknown, op: string): asserts x is Tensor {
  if (!(x instanceof Tensor)) {
    const got = x === null ? 'null' : Array.isArray(x) ? 'an array' : typeof x
    throw new ArgumentError(`${op}: expected a Tensor, got ${got}`)
  }
}

/** As `checkTensor`, for an argument that may be left out. */
export function checkOptional(x: unknown, op: string): asserts x is Tensor | null | undefined {
  if (x !== undefined && x !== null) checkTensor(x, op)
}

/** Throws ArgumentError unless `list` is an array of at least one Tensor, and of nothing else. */
export function checkTensors(list: unknown, op: string): asserts list is readonly Tensor[] {
  if (!Array.isArray(list) || list.length === 0) throw new ArgumentError(`${op}: needs an array of at least one Tensor`)
  for (const x of list as readonly unknown[]) checkTensor(x, op)
}

/** The node of a tensor under mixed precision; integers and bools become the default floating dtype. */
export function floatNode(x: Tensor, op: string): Node {
  checkTensor(x, op)
  const node = underPolicy(op, [x.node])[0]!
  return isFloat(node.dtype) ? node : cast(node, defaultDtype)
}

/** A unary op of floating arguments; integer tensors are cast first, as Paddle does. */
export function floatUnary(op: UnaryOp, name: string, x: Tensor): Tensor {
  return new Tensor(unary(op, floatNode(x, name)))
}

/** A constant of the dtype and shape of `x`. */
export function constantLike(x: Node, value: number): Node {
  return constant(value, x.dtype, x.shape)
}

/** Throws DTypeError unless the tensor holds integers. */
export function checkInteger(x: Tensor, op: string, what = 'x'): void {
  checkTensor(x, op)
  if (!isInteger(x.dtype)) throw new DTypeError(`${op}: ${what} must hold integers, got ${x.dtype}`)
}

/** Throws DTypeError unless the tensor holds floating numbers. */
export function checkFloat(x: Tensor, op: string, what = 'x'): void {
  checkTensor(x, op)
  if (!isFloat(x.dtype))
    throw new DTypeError(`${op}: ${what} must be floating, got ${x.dtype}; cast it with .astype('${defaultDtype}')`)
}

/** A number or tensor as a node of a dtype, repeated to a shape. */
export function valueNode(value: Operand, dtype: DType, shape: Shape): Node {
  checkOperand(value, 'set')
  return broadcastTo(value instanceof Tensor ? cast(value.node, dtype) : cast(scalarNode(value, dtype), dtype), shape)
}
