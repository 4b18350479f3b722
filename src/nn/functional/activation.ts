/** Activations, as in paddle.nn.functional.activation: elementwise, but for the softmax family. Integer inputs are cast to float. */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, normalizeAxis } from '../../common/shape.ts'
import { binary, cast, reduce, reshape, sliceAxis, unary, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { logSoftmaxNode, softmaxNode } from '../../graph/softmax.ts'
import type { DType } from '../../common/dtype.ts'
import { checkTensor, constantLike, floatNode } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator, type OperatorAttribute } from '../../tensor/tracer.ts'
import { spreadVector } from './geometry.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const at = constantLike
const scaled = (x: Node, factor: number): Node => (factor === 1 ? x : mul(x, at(x, factor)))
const isAbove = (x: Node, bound: number): Node => binary('gt', x, at(x, bound))
const clamp = (x: Node, low: number, high: number): Node => binary('min', binary('max', x, at(x, low)), at(x, high))

/** x where positive, else `other`: the shape of the relu family. */
const rectified = (x: Node, other: Node): Node => where(isAbove(x, 0), x, other)

/** log(1 + e^x) without overflow; its gradient is the sigmoid everywhere. */
export function softplusNode(x: Node): Node {
  const positive = isAbove(x, 0)
  const negativeSize = where(positive, unary('neg', x), x)
  return add(where(positive, x, at(x, 0)), unary('log1p', unary('exp', negativeSize)))
}

/** `out` as the operator of x that it is, for exports. */
function noted(operator: string, x: Tensor, out: Node, attributes: Record<string, OperatorAttribute> = {}): Tensor {
  return asOperator(operator, new Tensor(out), () => ({ inputs: { x }, attributes }))
}

/** `operator`: its name in programs, where that is not the one that mixed precision knows. */
const apply =
  (op: string, f: (x: Node) => Node, operator = op) =>
  (x: Tensor): Tensor =>
    noted(operator, x, f(floatNode(x, op)))

/** max(x, 0), `paddle.nn.functional.relu`. */
export const relu = apply('relu', (x) => rectified(x, at(x, 0)))

/** min(max(x, 0), 6), `paddle.nn.functional.relu6`. */
export const relu6 = apply('relu6', (x) => clamp(x, 0, 6))

/** 1 / (1 + e^-x), `paddle.nn.functional.sigmoid`. */
export const sigmoid = apply('sigmoid', (x) => unary('sigmoid', x))

/** log(sigmoid(x)) without overflow, `paddle.nn.functional.log_sigmoid`. */
export const logSigmoid = apply('log_sigmoid', (x) => unary('neg', softplusNode(unary('neg', x))), 'logsigmoid')

/** The hyperbolic tangent, `paddle.nn.functional.tanh`. */
export const tanh = apply('tanh', (x) => unary('tanh', x))

/** x * sigmoid(x), `paddle.nn.functional.silu`. */
export const silu = apply('silu', (x) => mul(x, unary('sigmoid', x)))

/** As `silu`, `paddle.nn.functional.swish`. */
export const swish = apply('swish', (x) => mul(x, unary('sigmoid', x)))

/** x * tanh(softplus(x)), `paddle.nn.functional.mish`. */
export const mish = apply('mish', (x) => mul(x, unary('tanh', softplusNode(x))))

/** x / (1 + |x|), `paddle.nn.functional.softsign`. */
export const softsign = apply('softsign', (x) => binary('div', x, add(at(x, 1), unary('abs', x))))

/** x - tanh(x), `paddle.nn.functional.tanhshrink`. */
export const tanhshrink = apply('tanhshrink', (x) => binary('sub', x, unary('tanh', x)), 'tanh_shrink')

/** x * min(max(x + 3, 0), 6) / 6, `paddle.nn.functional.hardswish`. */
export const hardswish = apply('hardswish', (x) => scaled(mul(x, clamp(add(x, at(x, 3)), 0, 6)), 1 / 6))

/** The Gaussian error linear unit: x * Phi(x), or its approximation by tanh, `paddle.nn.functional.gelu`. */
export function gelu(x: Tensor, approximate = false): Tensor {
  const n = floatNode(x, 'gelu')
  const half = scaled(n, 0.5)
  if (!approximate)
    return noted('gelu', x, mul(half, add(at(n, 1), unary('erf', scaled(n, Math.SQRT1_2)))), { approximate })
  const inner = scaled(add(n, scaled(mul(mul(n, n), n), 0.044715)), Math.sqrt(2 / Math.PI))
  return noted('gelu', x, mul(half, add(at(n, 1), unary('tanh', inner))), { approximate })
}

/** x where positive, else alpha * (e^x - 1), `paddle.nn.functional.elu`. */
export function elu(x: Tensor, alpha = 1): Tensor {
  const n = floatNode(x, 'elu')
  return noted('elu', x, rectified(n, scaled(unary('expm1', binary('min', n, at(n, 0))), alpha)), { alpha })
}

/** max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0), `paddle.nn.functional.celu`. */
export function celu(x: Tensor, alpha = 1): Tensor {
  if (alpha === 0) throw new ArgumentError('celu: alpha must not be 0')
  const n = floatNode(x, 'celu')
  const negative = binary('min', n, at(n, 0))
  return noted('celu', x, rectified(n, scaled(unary('expm1', scaled(negative, 1 / alpha)), alpha)), { alpha })
}

/** scale * (x where positive, else alpha * (e^x - 1)), `paddle.nn.functional.selu`. */
export function selu(x: Tensor, scale = 1.0507009873554805, alpha = 1.6732632423543772): Tensor {
  if (!(scale > 1) || !(alpha >= 0))
    throw new ArgumentError(`selu: scale must exceed 1 and alpha not be negative, got ${scale} and ${alpha}`)
  const n = floatNode(x, 'selu')
  return noted('selu', x, scaled(rectified(n, scaled(unary('expm1', binary('min', n, at(n, 0))), alpha)), scale), {
    scale,
    alpha,
  })
}

/** x where positive, else negativeSlope * x, `paddle.nn.functional.leaky_relu`. */
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  const n = floatNode(x, 'leaky_relu')
  return noted('leaky_relu', x, rectified(n, scaled(n, negativeSlope)), { negative_slope: negativeSlope })
}

/**
 * x where positive, else weight * x, `paddle.nn.functional.prelu`. The weight has one element, or one a channel (the second axis, or
 * the last one for formats that end with C).
 */
export function prelu(x: Tensor, weight: Tensor, dataFormat = 'NCHW'): Tensor {
  const n = floatNode(x, 'prelu')
  checkTensor(weight, 'prelu')
  const axis = dataFormat.startsWith('NC') ? 1 : x.ndim - 1
  if (weight.size !== 1 && (weight.ndim !== 1 || weight.shape[0] !== x.shape[axis]))
    throw new ShapeError(
      `prelu: the weight must be [1] or [${x.shape[axis]}], one a channel of ${formatShape(x.shape)}, got ${formatShape(weight.shape)}`,
    )
  const w = cast(weight.node, n.dtype)
  const slope =
    weight.size === 1
      ? spread(
          reshape(w, []),
          n.shape,
          n.shape.map((_, i) => i),
        )
      : spreadVector(w, axis, n.shape)
  return asOperator('prelu', new Tensor(rectified(n, mul(slope, n))), () => ({
    inputs: { x, alpha: weight },
    attributes: { data_format: dataFormat, mode: weight.size === 1 ? 'all' : 'channel' },
  }))
}

/** min(max(slope * x + offset, 0), 1), `paddle.nn.functional.hardsigmoid`. */
export function hardsigmoid(x: Tensor, slope = 0.1666667, offset = 0.5): Tensor {
  const n = floatNode(x, 'hardsigmoid')
  return noted('hardsigmoid', x, clamp(add(scaled(n, slope), at(n, offset)), 0, 1), { slope, offset })
}

/** x kept within [min, max], `paddle.nn.functional.hardtanh`. */
export function hardtanh(x: Tensor, min = -1, max = 1): Tensor {
  return noted('hardtanh', x, clamp(floatNode(x, 'hardtanh'), min, max), { t_min: min, t_max: max })
}

/** x where |x| exceeds the threshold, else 0, `paddle.nn.functional.hardshrink`. */
export function hardshrink(x: Tensor, threshold = 0.5): Tensor {
  const n = floatNode(x, 'hardshrink')
  return noted('hardshrink', x, where(isAbove(unary('abs', n), threshold), n, at(n, 0)), { threshold })
}

/** x moved towards 0 by the threshold, 0 within it, `paddle.nn.functional.softshrink`. */
export function softshrink(x: Tensor, threshold = 0.5): Tensor {
  if (!(threshold >= 0)) throw new ArgumentError(`softshrink: threshold must not be negative, got ${threshold}`)
  const n = floatNode(x, 'softshrink')
  const below = where(binary('lt', n, at(n, -threshold)), add(n, at(n, threshold)), at(n, 0))
  return noted('softshrink', x, where(isAbove(n, threshold), binary('sub', n, at(n, threshold)), below), { threshold })
}

/** x where above the threshold, else `value`, `paddle.nn.functional.thresholded_relu`. */
export function thresholdedRelu(x: Tensor, threshold = 1, value = 0): Tensor {
  const n = floatNode(x, 'thresholded_relu')
  return noted('thresholded_relu', x, where(isAbove(n, threshold), n, at(n, value)), { threshold, value })
}

/** log(1 + e^(beta * x)) / beta, linear where beta * x exceeds the threshold, `paddle.nn.functional.softplus`. */
export function softplus(x: Tensor, beta = 1, threshold = 20): Tensor {
  const n = floatNode(x, 'softplus')
  const inner = scaled(n, beta)
  return noted('softplus', x, where(isAbove(inner, threshold), n, scaled(softplusNode(inner), 1 / beta)), {
    beta,
    threshold,
  })
}

/** The maximum over `groups` consecutive channels: [N, C, ..] to [N, C / groups, ..], `paddle.nn.functional.maxout`. */
export function maxout(x: Tensor, groups: number, axis = 1): Tensor {
  const n = floatNode(x, 'maxout')
  const a = normalizeAxis(axis, x.ndim, 'maxout')
  const channels = x.shape[a]!
  if (!Number.isInteger(groups) || groups < 2 || channels % groups !== 0)
    throw new ArgumentError(`maxout: groups must be at least 2 and divide the ${channels} channels, got ${groups}`)
  const apart = reshape(n, [...x.shape.slice(0, a), channels / groups, groups, ...x.shape.slice(a + 1)])
  return new Tensor(reduce('reduceMax', apart, [a + 1]))
}

/** The first half of an axis times the sigmoid of the second, `paddle.nn.functional.glu`. */
export function glu(x: Tensor, axis = -1): Tensor {
  const n = floatNode(x, 'glu')
  const [a, b] = halves(n, axis, 'glu')
  return new Tensor(mul(a, unary('sigmoid', b)))
}

/** silu(x) * y; with one argument the halves of its last axis, `paddle.nn.functional.swiglu`. */
export function swiglu(x: Tensor, y?: Tensor): Tensor {
  const n = floatNode(x, 'swiglu')
  const [a, b] = y ? [n, cast(floatNode(y, 'swiglu'), n.dtype)] : halves(n, -1, 'swiglu')
  return new Tensor(mul(mul(a, unary('sigmoid', a)), b))
}

function halves(n: Node, axis: number, op: string): [Node, Node] {
  const a = normalizeAxis(axis, n.shape.length, op)
  const size = n.shape[a]!
  if (size % 2 !== 0) throw new ShapeError(`${op}: axis ${a} of ${formatShape(n.shape)} must have an even size`)
  return [sliceAxis(n, a, 0, size / 2), sliceAxis(n, a, size / 2, size)]
}

// ---- softmax ------------------------------------------------------------------------------------------------------------

function alongAxis(
  op: string,
  x: Tensor,
  axis: number,
  dtype: DType | undefined,
  f: (x: Node, axis: number) => Node,
): Tensor {
  const n = floatNode(dtype === undefined ? x : x.astype(dtype), op)
  if (x.ndim === 0) return new Tensor(reshape(f(reshape(n, [1]), 0), []))
  const out = f(n, normalizeAxis(axis, x.ndim, op))
  // Of another dtype it is a cast and the operator.
  return n === x.node ? noted(op, x, out, { axis }) : new Tensor(out)
}

/** e^x / sum(e^x) along an axis, `paddle.nn.functional.softmax`; in `dtype` where given. */
export function softmax(x: Tensor, axis = -1, dtype?: DType): Tensor {
  return alongAxis('softmax', x, axis, dtype, softmaxNode)
}

/** log(softmax(x)) along an axis, without underflow, `paddle.nn.functional.log_softmax`. */
export function logSoftmax(x: Tensor, axis = -1, dtype?: DType): Tensor {
  return alongAxis('log_softmax', x, axis, dtype, logSoftmaxNode)
}
