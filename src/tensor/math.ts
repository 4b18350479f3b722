/** Elementwise arithmetic, and what limits or replaces elements, as in paddle.tensor.math. */
import { isFloat, isInteger, type DType } from '../common/dtype.ts'
import { ShapeError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import { binary, broadcastTo, cast as castNode, detach, reshape, unary, where as whereNode } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import type { UnaryOp } from '../graph/ops.ts'
import {
  checkInteger,
  checkTensor,
  checkTensors,
  constantLike,
  elementwise,
  floatNode,
  getDefaultDtype,
  operandNodes,
  scalarNode,
  scalarResultType,
  type Operand,
} from './promotion.ts'
import { Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

/** Promoted and broadcast operands; integers become the default floating dtype. */
function floatOperands(op: string, x: Operand, y: Operand): [Node, Node] {
  const [a, b] = operandNodes(op, x, y)
  return isFloat(a.dtype) ? [a, b] : [castNode(a, getDefaultDtype()), castNode(b, getDefaultDtype())]
}

// ---- two operands -------------------------------------------------------------------------------------------------------

/** x + y with broadcasting, `paddle.add`. Bool operands add as `or`. */
export function add(x: Operand, y: Operand): Tensor {
  const [a, b] = operandNodes('add', x, y)
  return new Tensor(binary(a.dtype === 'bool' ? 'or' : 'add', a, b))
}

/** x - y with broadcasting, `paddle.subtract`. */
export function subtract(x: Operand, y: Operand): Tensor {
  return elementwise('sub', 'subtract', x, y)
}

/** x * y with broadcasting, `paddle.multiply`. Bool operands multiply as `and`. */
export function multiply(x: Operand, y: Operand): Tensor {
  const [a, b] = operandNodes('multiply', x, y)
  return new Tensor(binary(a.dtype === 'bool' ? 'and' : 'mul', a, b))
}

/** x / y with broadcasting, `paddle.divide`; integers give the default floating dtype, as Python's `/` does. */
export function divide(x: Operand, y: Operand): Tensor {
  const [a, b] = floatOperands('divide', x, y)
  return new Tensor(binary('div', a, b))
}

/** x / y rounded towards minus infinity (Python's `//`), `paddle.floor_divide`. */
export function floorDivide(x: Operand, y: Operand): Tensor {
  return elementwise('floordiv', 'floorDivide', x, y)
}

/** The remainder with the divisor's sign (Python's `%`), `paddle.mod`. */
export function mod(x: Operand, y: Operand): Tensor {
  return elementwise('mod', 'mod', x, y)
}

/** As `mod`, `paddle.remainder`. */
export function remainder(x: Operand, y: Operand): Tensor {
  return mod(x, y)
}

/** As `mod`, `paddle.floor_mod`. */
export function floorMod(x: Operand, y: Operand): Tensor {
  return mod(x, y)
}

const smallPowers: Readonly<Record<number, (x: Node) => Node>> = {
  2: (x) => binary('mul', x, x),
  3: (x) => binary('mul', binary('mul', x, x), x),
  4: (x) => smallPowers[2]!(smallPowers[2]!(x)),
}
const floatPowers: Readonly<Record<number, UnaryOp>> = { 0.5: 'sqrt', [-0.5]: 'rsqrt', [-1]: 'reciprocal' }

/** x ** y, `paddle.pow`. Powers 2, 3, 4, 1/2, -1/2 and -1 become products, roots and reciprocals. */
export function pow(x: Operand, y: Operand): Tensor {
  if (x instanceof Tensor && typeof y === 'number') {
    const small = smallPowers[y]
    if (small && x.dtype !== 'bool') return new Tensor(small(x.node))
    const op = floatPowers[y]
    if (op && isFloat(x.dtype)) return new Tensor(unary(op, floatNode(x, 'pow')))
  }
  return elementwise('pow', 'pow', x, y)
}

/** The larger of x and y, NaN if either is; the gradient goes to x where x > y, else to y, `paddle.maximum`. */
export function maximum(x: Operand, y: Operand): Tensor {
  return elementwise('max', 'maximum', x, y)
}

/** The smaller of x and y, NaN if either is, `paddle.minimum`. */
export function minimum(x: Operand, y: Operand): Tensor {
  return elementwise('min', 'minimum', x, y)
}

/** Of two operands the extremum, or the one that is not NaN. */
function ignoringNaN(op: 'max' | 'min', name: string, x: Operand, y: Operand): Tensor {
  const [a, b] = operandNodes(name, x, y)
  const first = binary(op === 'max' ? 'ge' : 'le', a, b)
  const useFirst = isFloat(a.dtype) ? binary('or', first, binary('ne', b, b)) : first
  return new Tensor(whereNode(useFirst, a, b))
}

/** The larger of x and y; of a number and NaN the number, `paddle.fmax`. */
export function fmax(x: Operand, y: Operand): Tensor {
  return ignoringNaN('max', 'fmax', x, y)
}

/** The smaller of x and y; of a number and NaN the number, `paddle.fmin`. */
export function fmin(x: Operand, y: Operand): Tensor {
  return ignoringNaN('min', 'fmin', x, y)
}

/** The angle of the point (y, x), given as atan2(x = its ordinate, y = its abscissa), `paddle.atan2`. */
export function atan2(x: Operand, y: Operand): Tensor {
  const [a, b] = floatOperands('atan2', x, y)
  return new Tensor(binary('atan2', a, b))
}

/** sqrt(x^2 + y^2) without overflow, `paddle.hypot`. */
export function hypot(x: Operand, y: Operand): Tensor {
  const [a, b] = floatOperands('hypot', x, y).map((n) => unary('abs', n)) as [Node, Node]
  const first = binary('ge', a, b)
  const large = whereNode(first, a, b)
  const small = whereNode(first, b, a)
  const isZero = binary('eq', large, constantLike(large, 0))
  const ratio = binary('div', small, whereNode(isZero, constantLike(large, 1), large))
  const root = unary('sqrt', binary('add', constantLike(ratio, 1), binary('mul', ratio, ratio)))
  const endless = constantLike(a, Infinity)
  const infinite = binary('or', binary('eq', a, endless), binary('eq', b, endless))
  return new Tensor(whereNode(infinite, endless, binary('mul', large, root)))
}

/** x with the sign of y, `paddle.copysign`. The sign of a zero counts. */
export function copysign(x: Operand, y: Operand): Tensor {
  const [a, b] = floatOperands('copysign', x, y)
  const zero = constantLike(b, 0)
  // 1 / -0 is -Infinity: that is how a negative zero shows.
  const negative = binary('lt', whereNode(binary('eq', b, zero), unary('reciprocal', b), b), zero)
  const size = unary('abs', a)
  return new Tensor(whereNode(negative, unary('neg', size), size))
}

/** 0 where x < 0, y where x = 0, 1 where x > 0, `paddle.heaviside`. */
export function heaviside(x: Operand, y: Operand): Tensor {
  const [a, b] = operandNodes('heaviside', x, y)
  const zero = constantLike(a, 0)
  const side = whereNode(binary('gt', a, zero), constantLike(a, 1), zero)
  const withMiddle = whereNode(binary('eq', a, zero), b, side)
  return new Tensor(isFloat(a.dtype) ? whereNode(binary('ne', a, a), a, withMiddle) : withMiddle)
}

/** log(exp(a) + exp(b)) of floating nodes: smooth also where both are equal, right also where one is infinite. */
export function logaddexpNodes(a: Node, b: Node): Node {
  const first = binary('ge', a, b)
  const large = whereNode(first, a, b)
  const small = whereNode(first, b, a)
  const peak = detach(large)
  const finite = binary('lt', unary('abs', peak), constantLike(peak, Infinity))
  const shift = whereNode(finite, peak, constantLike(peak, 0))
  // log1p(e^(large - shift) - 1 + e^(small - shift)) keeps the digits of the smaller term.
  const rest = binary('add', unary('expm1', binary('sub', large, shift)), unary('exp', binary('sub', small, shift)))
  return binary('add', shift, unary('log1p', rest))
}

/** log(exp(x) + exp(y)) without overflow, `paddle.logaddexp`. */
export function logaddexp(x: Operand, y: Operand): Tensor {
  const [a, b] = floatOperands('logaddexp', x, y)
  return new Tensor(logaddexpNodes(a, b))
}

/** x * 2^y, `paddle.ldexp`. */
export function ldexp(x: Tensor, y: Operand): Tensor {
  return multiply(
    new Tensor(floatNode(x, 'ldexp')),
    pow(2, y instanceof Tensor ? new Tensor(floatNode(y, 'ldexp')) : y),
  )
}

export interface ScaleOptions {
  readonly bias?: number
  /** x * scale + bias if true (default), else (x + bias) * scale. */
  readonly biasAfterScale?: boolean
}

/** x * scale + bias, `paddle.scale`. Keeps x's dtype. */
export function scale(x: Tensor, scale: number | Tensor = 1, options: ScaleOptions | number = {}): Tensor {
  checkTensor(x, 'scale')
  const { bias = 0, biasAfterScale = true } = typeof options === 'number' ? { bias: options } : options
  const factor = scale instanceof Tensor ? castNode(scale.node, x.dtype) : scalarNode(scale, x.dtype)
  const times = (n: Node): Node => binary('mul', n, broadcastTo(castNode(factor, n.dtype), n.shape))
  const plus = (n: Node): Node =>
    bias === 0 ? n : binary('add', n, broadcastTo(castNode(scalarNode(bias, n.dtype), n.dtype), n.shape))
  const out = new Tensor(biasAfterScale ? plus(times(x.node)) : times(plus(x.node)))
  if (scale instanceof Tensor) return out
  return asOperator('scale', out, () => ({
    inputs: { x },
    attributes: { scale, bias, bias_after_scale: biasAfterScale },
  }))
}

/** x + value, `paddle.increment` (which writes to x: see the method `increment_`). */
export function increment(x: Tensor, value = 1): Tensor {
  return new Tensor(castNode(add(x, value).node, x.dtype))
}

/** x + weight * (y - x), `paddle.lerp`. */
export function lerp(x: Tensor, y: Tensor, weight: Operand): Tensor {
  return add(x, multiply(weight, subtract(y, x)))
}

// ---- one operand --------------------------------------------------------------------------------------------------------

/** x limited to [min, max]; either may be left out; the gradient is 0 outside, `paddle.clip`. */
export function clip(x: Tensor, min?: Operand | null, max?: Operand | null): Tensor {
  checkTensor(x, 'clip')
  let out = x.node
  const bound = (value: Operand): Node => {
    const dtype = value instanceof Tensor ? out.dtype : scalarResultType(out.dtype, value)
    out = castNode(out, dtype)
    const node = value instanceof Tensor ? castNode(value.node, dtype) : scalarNode(value, dtype)
    return broadcastTo(node, out.shape)
  }
  // Written with `where`, so that at the bounds themselves the gradient flows, and NaN stays NaN.
  if (min !== undefined && min !== null) {
    const low = bound(min)
    out = whereNode(binary('lt', out, low), low, out)
  }
  if (max !== undefined && max !== null) {
    const high = bound(max)
    out = whereNode(binary('gt', out, high), high, out)
  }
  const clipped = new Tensor(out)
  if (min instanceof Tensor || max instanceof Tensor || out.dtype !== x.dtype) return clipped
  return asOperator('clip', clipped, () => ({
    inputs: { x },
    attributes: {
      min: Number(min ?? -(largest[x.dtype] ?? Number.MAX_SAFE_INTEGER)),
      max: Number(max ?? largest[x.dtype] ?? Number.MAX_SAFE_INTEGER),
    },
  }))
}

export interface NanToNumOptions {
  readonly nan?: number
  /** Default: the largest number of the dtype. */
  readonly posinf?: number
  readonly neginf?: number
}

const largest: Partial<Record<DType, number>> = {
  float16: 65504,
  bfloat16: 3.3895313892515355e38,
  float32: 3.4028234663852886e38,
  float64: Number.MAX_VALUE,
}

/** NaN and infinities replaced by numbers, `paddle.nan_to_num`. */
export function nanToNum(x: Tensor, options: NanToNumOptions = {}): Tensor {
  checkTensor(x, 'nanToNum')
  if (isInteger(x.dtype) || x.dtype === 'bool') return new Tensor(x.node)
  const n = x.node
  const top = largest[x.dtype]!
  const noNaN = whereNode(binary('ne', n, n), constantLike(n, options.nan ?? 0), n)
  const noTop = whereNode(binary('eq', n, constantLike(n, Infinity)), constantLike(n, options.posinf ?? top), noNaN)
  return new Tensor(
    whereNode(binary('eq', n, constantLike(n, -Infinity)), constantLike(n, options.neginf ?? -top), noTop),
  )
}

/** Row i of the result is row i of inputs[index[i]], `paddle.multiplex`. */
export function multiplex(inputs: readonly Tensor[], index: Tensor): Tensor {
  checkTensors(inputs, 'multiplex')
  checkInteger(index, 'multiplex', 'index')
  const first = inputs[0]!.node
  const rank = first.shape.length
  if (rank === 0 || index.size !== first.shape[0])
    throw new ShapeError(
      `multiplex: the inputs ${formatShape(first.shape)} need an index of one number a row, got ${formatShape(index.shape)}`,
    )
  const picks = broadcastTo(reshape(index.node, [first.shape[0]!, ...new Array<number>(rank - 1).fill(1)]), first.shape)
  let out: Node = first
  for (let i = 1; i < inputs.length; i++)
    out = whereNode(binary('eq', picks, constantLike(picks, i)), inputs[i]!.node, out)
  return new Tensor(out)
}
