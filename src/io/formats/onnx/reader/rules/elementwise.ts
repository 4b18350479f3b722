/** Activations, arithmetic, comparison: what works on single elements, with NumPy's broadcasting. */
import { isFloat } from '../../../../../common/dtype.ts'
import { numel } from '../../../../../common/shape.ts'
import type { NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type OnnxOperator, type RuleTable } from '../rule.ts'

/** x -> out under another name, with attributes made of the node's. */
const unary = (
  type: string,
  attributes: (n: NodeCall) => Readonly<Record<string, number | boolean>> = () => ({}),
): OnnxOperator => always((n) => n.give(type, { x: n.operand(0) }, attributes(n)))

const binary = (type: string): OnnxOperator => always((n) => n.give(type, { x: n.operand(0), y: n.operand(1) }))

/** Any number of operands, folded from the left. */
function fold(n: NodeCall, type: string): void {
  const operands = n.operands()
  if (operands.length === 1) return n.bind(0, operands[0]!)
  let sum = operands[0]!
  for (const next of operands.slice(1, -1)) sum = n.emit(type, { x: sum, y: next })
  n.give(type, { x: sum, y: operands.at(-1)! })
}

const power: Convert = (n) => {
  const exponent = n.numbers(1)
  const shape = n.known(1).shape
  const dtype = n.dtype()
  if (isFloat(dtype) && exponent?.length === 1 && shape && shape.length <= (n.known(0).shape?.length ?? 0))
    return n.give('pow', { x: n.operand(0) }, { y: exponent[0]! })
  if (n.dtype(1) === dtype) return n.give('elementwise_pow', { x: n.operand(0), y: n.operand(1) })
  if (!isFloat(dtype) && isFloat(n.dtype(1))) n.refuse('an integer to a floating power')
  n.give('elementwise_pow', { x: n.operand(0), y: n.emit('cast', { x: n.operand(1) }, { dtype }) })
}

const modulo: Convert = (n) => {
  const operands = { x: n.operand(0), y: n.operand(1) }
  if (n.int('fmod', 0) === 0 && !isFloat(n.dtype())) n.give('remainder', operands)
  else n.give('onnx.Mod', operands)
}

/** Bounds that are absent do not bound. */
const clip: Convert = (n) => {
  const isFloating = isFloat(n.dtype())
  const [low, high] = isFloating ? [-Infinity, Infinity] : [-(2 ** 31), 2 ** 31 - 1]
  const bound = (i: number, absent: number) => (n.has(i) ? n.variable(i, true) : absent)
  const min = bound(1, n.dtype() === 'uint8' ? 0 : low)
  const max = bound(2, n.dtype() === 'uint8' ? 255 : high)
  if (!n.has(1) && !n.has(2)) return n.bind(0, n.value(0))
  if (!isFloating && n.dtype() === 'int64' && (!n.has(1) || !n.has(2))) {
    const [i, type] = n.has(1) ? [1, 'maximum'] : [2, 'minimum']
    return n.give(type, { x: n.operand(0), y: n.operand(i) })
  }
  n.give('clip', { x: n.operand(0) }, { min, max })
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

export const negated = { scale: -1, bias: 0, bias_after_scale: true }

const gelu: Convert = (n) => {
  const approximate = n.text('approximate', 'none')
  if (approximate !== 'none' && approximate !== 'tanh') n.refuse(`approximate '${approximate}'`)
  n.give('gelu', { x: n.operand(0) }, { approximate: approximate === 'tanh' })
}

/** y = max(0, min(1, alpha x + beta)). */
const hardSigmoid = unary('hardsigmoid', (n) => ({ slope: n.float('alpha', 0.2), offset: n.float('beta', 0.5) }))

const cast: Convert = (n) => n.give('cast', { x: n.operand(0) }, { dtype: n.dtypeAttribute('to') })

/** x * sigmoid(alpha x). */
const swish: Convert = (n) => {
  const alpha = n.float('alpha', 1)
  const x = n.operand(0)
  if (alpha === 1) return n.give('silu', { x })
  const gate = n.emit('sigmoid', { x: n.emit('scale', { x }, { ...negated, scale: alpha }) })
  n.give('multiply', { x, y: gate })
}

const isInf: Convert = (n) => {
  const [negative, positive] = [n.int('detect_negative', 1), n.int('detect_positive', 1)]
  const x = n.operand(0)
  if (negative && positive) return n.give('isinf', { x })
  if (!negative && !positive) return n.give('not_equal', { x, y: x })
  const zero = n.make({ dtype: 'float32', shape: [], data: Float32Array.of(0) }, 'zero')
  const side = n.emit(negative ? 'less_than' : 'greater_than', { x, y: n.asOperand(zero) })
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
  Pow: always(power, 'no integer to a floating power'),
  Reciprocal: unary('reciprocal'),
  Relu: unary('relu'),
  Round: unary('round', () => ({ decimals: 0 })),
  Selu: unary('selu', (n) => ({
    scale: n.float('gamma', 1.0507010221481323),
    alpha: n.float('alpha', 1.6732631921768188),
  })),
  Sigmoid: unary('sigmoid'),
  Sign: unary('sign'),
  Sin: unary('sin'),
  Sinh: unary('sinh'),
  Softplus: unary('softplus', () => ({ beta: 1, threshold: 20 })),
  Softsign: unary('softsign'),
  Sqrt: unary('sqrt'),
  Sub: binary('subtract'),
  Sum: always((n) => fold(n, 'add')),
  Swish: always(swish),
  Tan: unary('tan'),
  Tanh: unary('tanh'),
  ThresholdedRelu: unary('thresholded_relu', (n) => ({ threshold: n.float('alpha', 1), value: 0 })),
  Where: always((n) => n.give('where', { condition: n.operand(0), x: n.operand(1), y: n.operand(2) })),
  Xor: binary('logical_xor'),
}
