/** Elementary functions of one tensor, as in paddle.tensor.ops. Integers become floating where the result is. */
import { isFloat } from '../common/dtype.ts'
import { ArgumentError, DTypeError } from '../common/errors.ts'
import { binary, cast as castNode, unary } from '../graph/build.ts'
import type { UnaryOp } from '../graph/ops.ts'
import { clip, copysign, divide, multiply, subtract } from './math.ts'
import { checkTensor, constantLike, floatNode, floatUnary } from './promotion.ts'
import { Tensor } from './tensor.ts'

/** A unary op that keeps integer dtypes. */
function keepingUnary(op: UnaryOp, name: string, x: Tensor): Tensor {
  checkTensor(x, name)
  if (x.dtype === 'bool') throw new DTypeError(`${name}: x is bool; cast it to a number first`)
  return new Tensor(unary(op, x.node))
}

/** |x|, `paddle.abs`. */
export function abs(x: Tensor): Tensor {
  return keepingUnary('abs', 'abs', x)
}

/** -x, `paddle.neg`. */
export function neg(x: Tensor): Tensor {
  return keepingUnary('neg', 'neg', x)
}

/** -1, 0 or 1, `paddle.sign`. */
export function sign(x: Tensor): Tensor {
  return keepingUnary('sign', 'sign', x)
}

/** As `sign`, `paddle.sgn` for real tensors. */
export function sgn(x: Tensor): Tensor {
  return keepingUnary('sign', 'sgn', x)
}

/** Whether the sign bit is set (also of -0), `paddle.signbit`. */
export function signbit(x: Tensor): Tensor {
  checkTensor(x, 'signbit')
  if (!isFloat(x.dtype)) return new Tensor(binary('lt', x.node, constantLike(x.node, 0)))
  const one = constantLike(x.node, 1)
  return new Tensor(binary('lt', copysign(new Tensor(one), x).node, constantLike(x.node, 0)))
}

/** The largest integer not above x, `paddle.floor`. */
export function floor(x: Tensor): Tensor {
  return keepingUnary('floor', 'floor', x)
}

/** The smallest integer not below x, `paddle.ceil`. */
export function ceil(x: Tensor): Tensor {
  return keepingUnary('ceil', 'ceil', x)
}

/** The nearest integer, halves to even, or to `decimals` places, `paddle.round`. */
export function round(x: Tensor, decimals = 0): Tensor {
  if (decimals === 0) return keepingUnary('round', 'round', x)
  if (!Number.isInteger(decimals)) throw new ArgumentError(`round: decimals must be an integer, got ${decimals}`)
  const factor = 10 ** Math.abs(decimals)
  const [to, from] = decimals > 0 ? [multiply, divide] : [divide, multiply]
  return new Tensor(castNode(from(keepingUnary('round', 'round', to(x, factor)), factor).node, x.dtype))
}

/** x without its fraction, `paddle.trunc`. */
export function trunc(x: Tensor): Tensor {
  return keepingUnary('trunc', 'trunc', x)
}

/** The fraction of x, with its sign, `paddle.frac`. */
export function frac(x: Tensor): Tensor {
  return subtract(x, trunc(x))
}

/** x * x, `paddle.square`. */
export function square(x: Tensor): Tensor {
  checkTensor(x, 'square')
  return new Tensor(binary('mul', x.node, x.node))
}

/** e^x, `paddle.exp`. */
export function exp(x: Tensor): Tensor {
  return floatUnary('exp', 'exp', x)
}

/** e^x - 1, exact near 0, `paddle.expm1`. */
export function expm1(x: Tensor): Tensor {
  return floatUnary('expm1', 'expm1', x)
}

/** Natural logarithm, `paddle.log`. */
export function log(x: Tensor): Tensor {
  return floatUnary('log', 'log', x)
}

/** log(1 + x), exact near 0, `paddle.log1p`. */
export function log1p(x: Tensor): Tensor {
  return floatUnary('log1p', 'log1p', x)
}

function logarithm(name: string, x: Tensor, base: number): Tensor {
  const y = unary('log', floatNode(x, name))
  return new Tensor(binary('mul', y, constantLike(y, 1 / base)))
}

/** Logarithm to base 2, `paddle.log2`. */
export function log2(x: Tensor): Tensor {
  return logarithm('log2', x, Math.LN2)
}

/** Logarithm to base 10, `paddle.log10`. */
export function log10(x: Tensor): Tensor {
  return logarithm('log10', x, Math.LN10)
}

/** Square root, NaN below 0, `paddle.sqrt`. */
export function sqrt(x: Tensor): Tensor {
  return floatUnary('sqrt', 'sqrt', x)
}

/** 1 / sqrt(x), `paddle.rsqrt`. */
export function rsqrt(x: Tensor): Tensor {
  return floatUnary('rsqrt', 'rsqrt', x)
}

/** 1 / x, `paddle.reciprocal`. */
export function reciprocal(x: Tensor): Tensor {
  return floatUnary('reciprocal', 'reciprocal', x)
}

/** Sine of radians, `paddle.sin`. */
export function sin(x: Tensor): Tensor {
  return floatUnary('sin', 'sin', x)
}

/** Cosine of radians, `paddle.cos`. */
export function cos(x: Tensor): Tensor {
  return floatUnary('cos', 'cos', x)
}

/** Tangent of radians, `paddle.tan`. */
export function tan(x: Tensor): Tensor {
  return floatUnary('tan', 'tan', x)
}

/** Inverse sine, `paddle.asin`. */
export function asin(x: Tensor): Tensor {
  return floatUnary('asin', 'asin', x)
}

/** Inverse cosine, `paddle.acos`. */
export function acos(x: Tensor): Tensor {
  return floatUnary('acos', 'acos', x)
}

/** Inverse tangent, `paddle.atan`. */
export function atan(x: Tensor): Tensor {
  return floatUnary('atan', 'atan', x)
}

/** Hyperbolic sine, `paddle.sinh`. */
export function sinh(x: Tensor): Tensor {
  return floatUnary('sinh', 'sinh', x)
}

/** Hyperbolic cosine, `paddle.cosh`. */
export function cosh(x: Tensor): Tensor {
  return floatUnary('cosh', 'cosh', x)
}

/** Hyperbolic tangent, `paddle.tanh`. */
export function tanh(x: Tensor): Tensor {
  return floatUnary('tanh', 'tanh', x)
}

/** Inverse hyperbolic sine, `paddle.asinh`. */
export function asinh(x: Tensor): Tensor {
  return floatUnary('asinh', 'asinh', x)
}

/** Inverse hyperbolic cosine, `paddle.acosh`. */
export function acosh(x: Tensor): Tensor {
  return floatUnary('acosh', 'acosh', x)
}

/** Inverse hyperbolic tangent, `paddle.atanh`. */
export function atanh(x: Tensor): Tensor {
  return floatUnary('atanh', 'atanh', x)
}

/** Error function, `paddle.erf`. */
export function erf(x: Tensor): Tensor {
  return floatUnary('erf', 'erf', x)
}

/** 1 / (1 + e^-x), `paddle.nn.functional.sigmoid`. */
export function sigmoid(x: Tensor): Tensor {
  return floatUnary('sigmoid', 'sigmoid', x)
}

/** log(x / (1 - x)); x is clamped to [eps, 1 - eps] where eps is given, else NaN outside [0, 1], `paddle.logit`. */
export function logit(x: Tensor, eps?: number): Tensor {
  const clamped = eps === undefined ? new Tensor(floatNode(x, 'logit')) : clip(x, eps, 1 - eps)
  return subtract(log(clamped), log1p(neg(clamped)))
}

/** scaleB * tanh(scaleA * x), `paddle.stanh`. */
export function stanh(x: Tensor, scaleA = 0.67, scaleB = 1.7159): Tensor {
  return multiply(scaleB, tanh(multiply(x, scaleA)))
}

/** Degrees from radians, `paddle.rad2deg`. */
export function rad2deg(x: Tensor): Tensor {
  const y = floatNode(x, 'rad2deg')
  return new Tensor(binary('mul', y, constantLike(y, 180 / Math.PI)))
}

/** Radians from degrees, `paddle.deg2rad`. */
export function deg2rad(x: Tensor): Tensor {
  const y = floatNode(x, 'deg2rad')
  return new Tensor(binary('mul', y, constantLike(y, Math.PI / 180)))
}
