/** Activations, arithmetic, comparison: what works on single elements, with NumPy's broadcasting. */
import { isFloat, sizeOf, viewHost } from '../../../../../common/dtype.ts'
import { numel } from '../../../../../common/shape.ts'
import type { NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type OnnxOperator, type RuleTable } from '../rule.ts'

/** x -> out under another name, with attributes made of the node's. */
const unary = (
  type: string,
  attributes: (n: NodeCall) => Readonly<Record<string, number | boolean>> = () => ({}),
): OnnxOperator => always((n) => n.give(type, { x: n.operand(0) }, attributes(n)))

export const negated = { scale: -1, bias: 0, bias_after_scale: true }

const binary = (type: string): OnnxOperator => always((n) => n.give(type, { x: n.operand(0), y: n.operand(1) }))

/** Any number of operands, folded from the left. */
function fold(n: NodeCall, type: string): void {
  const operands = n.operands()
  if (operands.length === 1) return n.bind(0, operands[0]!)
  let sum = operands[0]!
  for (const next of operands.slice(1, -1)) sum = n.emit(type, { x: sum, y: next })
  n.give(type, { x: sum, y: operands.at(-1)! })
}

/** Powers are of the dtype of x: an integer to a floating power is taken in float64, and cut. */
const power: Convert = (n) => {
  const exponent = n.numbers(1)
  const shape = n.known(1).shape
  const dtype = n.dtype()
  if (isFloat(dtype) && exponent?.length === 1 && shape && shape.length <= (n.known(0).shape?.length ?? 0))
    return n.give('pow', { x: n.operand(0) }, { y: exponent[0]! })
  if (n.dtype(1) === dtype) return n.give('elementwise_pow', { x: n.operand(0), y: n.operand(1) })
  if (!isFloat(dtype) && isFloat(n.dtype(1))) {
    const wide = (i: number): string => n.emit('cast', { x: n.operand(i) }, { dtype: 'float64' })
    return n.give('cast', { x: n.emit('elementwise_pow', { x: wide(0), y: wide(1) }) }, { dtype })
  }
  n.give('elementwise_pow', { x: n.operand(0), y: n.emit('cast', { x: n.operand(1) }, { dtype }) })
}

/** With the sign of the divisor, or of the dividend. */
const modulo: Convert = (n) => {
  const operands = { x: n.operand(0), y: n.operand(1) }
  n.give(n.int('fmod', 0) === 0 ? 'remainder' : 'onnx.Mod', operands)
}

/** Bounds that are absent do not bound: integers have none that stands for that. */
const clip: Convert = (n) => {
  const [hasMin, hasMax] = [n.has(1), n.has(2)]
  if (!hasMin && !hasMax) return n.bind(0, n.value(0))
  if (!isFloat(n.dtype()) && hasMin !== hasMax)
    return n.give(hasMin ? 'maximum' : 'minimum', { x: n.operand(0), y: n.operand(hasMin ? 1 : 2) })
  const min = hasMin ? n.variable(1, true) : -Infinity
  n.give('clip', { x: n.operand(0) }, { min, max: hasMax ? n.variable(2, true) : Infinity })
}

/** Before version 11 bounds were attributes. */
const clipByAttributes: Convert = (n) =>
  n.give('clip', { x: n.operand(0) }, { min: n.float('min', -Infinity), max: n.float('max', Infinity) })

/** max(x, 0) + slope * min(x, 0): `prelu` where there is one slope, or one a channel. */
const prelu: Convert = (n) => {
  const slope = n.constant(1)
  const { shape } = n.known(0)
  const size = slope ? numel(slope.shape) : 0
  const isPerChannel = slope && shape && slope.shape.length === shape.length - 1 && slope.shape[0] === size
  if (slope && (size === 1 || isPerChannel)) {
    const weight = n.weight({ ...slope, shape: [size] }, 'slope')
    return n.give(
      'prelu',
      { x: n.operand(0), alpha: weight },
      { data_format: 'NCHW', mode: size === 1 ? 'all' : 'channel' },
    )
  }
  const x = n.operand(0)
  const negative = n.emit('scale', { x: n.emit('relu', { x: n.emit('scale', { x }, negated) }) }, negated)
  n.give('add', { x: n.emit('relu', { x }), y: n.emit('multiply', { x: negative, y: n.operand(1) }) })
}

/** a * sigmoid(alpha a) * b. */
/** sigmoid(alpha x), by which x is multiplied. */
const gateOf = (n: NodeCall, x: string, alpha: number): string =>
  n.emit('sigmoid', { x: n.emit('scale', { x }, { ...negated, scale: alpha }) })

const swiglu: Convert = (n) => {
  const alpha = n.float('alpha', 1)
  const [x, y] = [n.operand(0), n.operand(1)]
  if (alpha === 1) return n.give('swiglu', { x, y })
  n.give('multiply', { x: n.emit('multiply', { x, y: gateOf(n, x, alpha) }), y })
}

/** What lies beyond -lambd and lambd, nearer to 0 by the bias; 0 between. */
const shrink: Convert = (n) => {
  const [threshold, bias] = [n.float('lambd', 0.5), n.float('bias', 0)]
  if (!isFloat(n.dtype())) n.refuse(`tensors of ${n.dtype()}`)
  if (threshold < 0) n.refuse('a lambd below 0')
  const x = n.operand(0)
  if (bias === 0) return n.give('hardshrink', { x }, { threshold })
  if (bias === threshold) return n.give('softshrink', { x }, { threshold })
  const kept = n.emit('hardshrink', { x }, { threshold })
  const shift = n.emit('scale', { x: n.emit('sign', { x: kept }) }, { ...negated, scale: bias })
  n.give('subtract', { x: kept, y: shift })
}

const gelu: Convert = (n) => {
  const approximate = n.text('approximate', 'none')
  if (approximate !== 'none' && approximate !== 'tanh') n.refuse(`approximate '${approximate}'`)
  n.give('gelu', { x: n.operand(0) }, { approximate: approximate === 'tanh' })
}

/** Paddle's factor must exceed 1; others are an ELU and a factor. */
const selu: Convert = (n) => {
  const [scale, alpha] = [n.float('gamma', 1.0507010221481323), n.float('alpha', 1.6732631921768188)]
  const x = n.operand(0)
  if (scale > 1 && alpha >= 0) return n.give('selu', { x }, { scale, alpha })
  n.give('scale', { x: n.emit('elu', { x }, { alpha }) }, { ...negated, scale })
}

/** y = max(0, min(1, alpha x + beta)). */
const hardSigmoid = unary('hardsigmoid', (n) => ({ slope: n.float('alpha', 0.2), offset: n.float('beta', 0.5) }))

const cast: Convert = (n) => n.give('cast', { x: n.operand(0) }, { dtype: n.dtypeAttribute('to') })

/** The bits of integers of one width; those of floats are out of reach but in constants. */
const bitCast: Convert = (n) => {
  const [from, to] = [n.dtype(), n.dtypeAttribute('to')]
  const array = n.constant(0)
  if (from === to) return n.bind(0, n.value(0))
  if (array && to !== 'bool' && sizeOf(from) === sizeOf(to))
    return n.bindConstant(0, { dtype: to, shape: array.shape, data: viewHost(to, array.data.slice().buffer) })
  if (isFloat(from) || isFloat(to) || to === 'bool' || sizeOf(from) !== sizeOf(to)) n.refuse(`${from} as ${to}`)
  n.give('cast', { x: n.operand(0) }, { dtype: to })
}

/**
 * Products with powers of two, or quotients rounded down, in int64, which keeps what narrower dtypes push out until it is cut off. Distances below 0
 * or beyond the width push out all bits. Those of int64 go in two steps, as no power of two above 2^62 is one.
 */
const bitShift: Convert = (n) => {
  const direction = n.text('direction', '')
  if (direction !== 'LEFT' && direction !== 'RIGHT') n.refuse(`direction '${direction}'`)
  const dtype = n.dtype()
  const wide = (i: number): string => n.emit('cast', { x: n.operand(i) }, { dtype: 'int64' })
  const number = (v: number): string => n.number(v, 'int64')
  const width = number(8 * sizeOf(dtype))
  const given = wide(1)
  const positive = n.emit('where', { condition: n.emit('less_than', { x: given, y: number(0) }), x: width, y: given })
  const distance = n.emit('minimum', { x: positive, y: width })
  const step = (x: string, by: string): string => {
    const power = n.emit('elementwise_pow', { x: number(2), y: by })
    return n.emit(direction === 'LEFT' ? 'multiply' : 'floor_divide', { x, y: power })
  }
  const half = n.emit('minimum', { x: distance, y: number(32) })
  const first = step(wide(0), half)
  if (dtype !== 'int64') return n.give('cast', { x: first }, { dtype })
  n.bind(0, step(first, n.emit('subtract', { x: distance, y: half })))
}

/** x * sigmoid(alpha x). */
const swish: Convert = (n) => {
  const alpha = n.float('alpha', 1)
  const x = n.operand(0)
  if (alpha === 1) return n.give('silu', { x })
  n.give('multiply', { x, y: gateOf(n, x, alpha) })
}

const isInf: Convert = (n) => {
  const [negative, positive] = [n.int('detect_negative', 1), n.int('detect_positive', 1)]
  const x = n.operand(0)
  if (negative && positive) return n.give('isinf', { x })
  // Nothing is less than itself.
  if (!negative && !positive) return n.give('less_than', { x, y: x })
  const side = n.emit(negative ? 'less_than' : 'greater_than', { x, y: n.number(0, 'float32') })
  n.give('logical_and', { x: n.emit('isinf', { x }), y: side })
}

export const elementwiseRules: RuleTable = {
  Abs: unary('abs'),
  Acos: unary('acos'),
  Acosh: unary('acosh'),
  Add: binary('add'),
  And: binary('logical_and'),
  Asin: unary('asin'),
  Asinh: unary('asinh'),
  Atan: unary('atan'),
  Atanh: unary('atanh'),
  BitCast: always(bitCast, 'of what is not constant, between integers of one width'),
  BitShift: always(bitShift),
  BitwiseAnd: binary('bitwise_and'),
  BitwiseNot: unary('bitwise_not'),
  BitwiseOr: binary('bitwise_or'),
  BitwiseXor: binary('bitwise_xor'),
  Cast: always(cast, 'to dtypes that tensors here have'),
  CastLike: always((n) => n.give('cast', { x: n.operand(0) }, { dtype: n.dtype(1) })),
  Ceil: unary('ceil'),
  Celu: unary('celu', (n) => ({ alpha: n.float('alpha', 1) })),
  Clip: versions({ 6: clipByAttributes, 11: clip }),
  Cos: unary('cos'),
  Cosh: unary('cosh'),
  Div: binary('divide'),
  Elu: unary('elu', (n) => ({ alpha: n.float('alpha', 1) })),
  Equal: binary('equal'),
  Erf: unary('erf'),
  Exp: unary('exp'),
  Floor: unary('floor'),
  Gelu: always(gelu),
  Greater: binary('greater_than'),
  GreaterOrEqual: binary('greater_equal'),
  HardSigmoid: hardSigmoid,
  HardSwish: unary('hardswish'),
  IsInf: always(isInf),
  IsNaN: unary('isnan'),
  LeakyRelu: unary('leaky_relu', (n) => ({ negative_slope: n.float('alpha', 0.01) })),
  Less: binary('less_than'),
  LessOrEqual: binary('less_equal'),
  Log: unary('log'),
  Max: always((n) => fold(n, 'maximum')),
  Mean: always((n) => {
    let sum = n.operand(0)
    for (const next of n.operands(1)) sum = n.emit('add', { x: sum, y: next })
    n.give('scale', { x: sum }, { ...negated, scale: 1 / n.inputCount })
  }),
  Min: always((n) => fold(n, 'minimum')),
  Mish: unary('mish', () => ({ lambda: 20 })),
  Mod: always(modulo),
  Mul: binary('multiply'),
  Neg: always((n) => n.give('scale', { x: n.operand(0) }, negated)),
  Not: unary('logical_not'),
  Or: binary('logical_or'),
  PRelu: always(prelu),
  Pow: always(power),
  Reciprocal: unary('reciprocal'),
  Relu: unary('relu'),
  Round: unary('round', () => ({ decimals: 0 })),
  Selu: always(selu),
  Shrink: always(shrink, 'of floats'),
  Sigmoid: unary('sigmoid'),
  Sign: unary('sign'),
  Sin: unary('sin'),
  Sinh: unary('sinh'),
  Softplus: unary('softplus', () => ({ beta: 1, threshold: 20 })),
  Softsign: unary('softsign'),
  Sqrt: unary('sqrt'),
  Sub: binary('subtract'),
  Sum: always((n) => fold(n, 'add')),
  SwiGLU: always(swiglu),
  Swish: always(swish),
  Tan: unary('tan'),
  Tanh: unary('tanh'),
  ThresholdedRelu: unary('thresholded_relu', (n) => ({ threshold: n.float('alpha', 1), value: 0 })),
  Where: always((n) => n.give('where', { condition: n.operand(0), x: n.operand(1), y: n.operand(2) })),
  Xor: binary('logical_xor'),
}
