/** What works on single elements. */
import { isFloat, type DType } from '../../../../../common/dtype.ts'
import { dataTypeOf } from '../../model.ts'
import { floatAttribute, type PlainAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'

/** x -> out by one node. */
const unary = (opType: string, attributes?: (c: WriteCall) => Readonly<Record<string, PlainAttribute>>): WriteRule => {
  return (c) => void c.e.one(opType, [c.in('x')], attributes?.(c), c.out())
}

const binary =
  (opType: string): WriteRule =>
  (c) =>
    void c.e.one(opType, [c.in('x'), c.in('y')], {}, c.out())

/** Nodes one after the other. */
const chain = (...opTypes: string[]): WriteRule => {
  return (c) => {
    let x = c.in('x')
    opTypes.forEach((opType, i) => {
      x = c.e.one(opType, [x], {}, i === opTypes.length - 1 ? c.out() : undefined)
    })
  }
}

const floats =
  (names: Readonly<Record<string, string>>) =>
  (c: WriteCall): Record<string, PlainAttribute> =>
    Object.fromEntries(Object.entries(names).map(([theirs, ours]) => [theirs, floatAttribute(c.number(ours))]))

const silu: WriteRule = (c) => {
  const x = c.in('x')
  c.e.one('Mul', [x, c.e.one('Sigmoid', [x])], {}, c.out())
}

const hardswish: WriteRule = (c) => {
  const x = c.in('x')
  if (c.e.opset >= 14) return void c.e.one('HardSwish', [x], {}, c.out())
  const gate = c.e.one('HardSigmoid', [x], { alpha: floatAttribute(1 / 6), beta: floatAttribute(0.5) })
  c.e.one('Mul', [x, gate], {}, c.out())
}

/** x Phi(x), by the error function or by tanh; a node of its own from version 20 on. */
const gelu: WriteRule = (c) => {
  const x = c.in('x')
  const dtype = c.dtype()
  const isApproximate = c.bool('approximate')
  if (c.e.opset >= 20) return void c.e.one('Gelu', [x], { approximate: isApproximate ? 'tanh' : 'none' }, c.out())
  const number = (v: number): string => c.e.scalar(v, dtype)
  const times = (a: string, b: string): string => c.e.one('Mul', [a, b])
  let inner: string
  if (isApproximate) {
    const cube = times(times(x, x), x)
    const sum = c.e.one('Add', [x, times(cube, number(0.044715))])
    inner = c.e.one('Tanh', [times(sum, number(Math.sqrt(2 / Math.PI)))])
  } else inner = c.e.one('Erf', [times(x, number(Math.SQRT1_2))])
  const gate = c.e.one('Add', [inner, number(1)])
  c.e.one('Mul', [times(x, gate), number(0.5)], {}, c.out())
}

const clipTo = (low: string, high: string): WriteRule => {
  return (c) => {
    const bound = (name: string): string => c.e.scalar(/^[a-z]/.test(name) ? c.number(name) : Number(name), c.dtype())
    c.e.one('Clip', [c.in('x'), bound(low), bound(high)], {}, c.out())
  }
}

const clip: WriteRule = (c) => {
  const dtype = c.dtype()
  const bound = (name: string): string | null => {
    if (c.has(name)) return c.scalarIn(name, dtype)
    const value = c.number(name)
    return Number.isFinite(value) && (isFloat(dtype) || Number.isSafeInteger(value)) ? c.e.scalar(value, dtype) : null
  }
  c.e.one('Clip', [c.in('x'), bound('min'), bound('max')], {}, c.out())
}

const softplus: WriteRule = (c) => {
  const beta = c.number('beta')
  const x = c.in('x')
  if (beta === 1) return void c.e.one('Softplus', [x], {}, c.out())
  const factor = c.e.scalar(beta, c.dtype())
  c.e.one('Div', [c.e.one('Softplus', [c.e.one('Mul', [x, factor])]), factor], {}, c.out())
}

const mish: WriteRule = (c) => {
  const x = c.in('x')
  if (c.e.opset >= 18) return void c.e.one('Mish', [x], {}, c.out())
  c.e.one('Mul', [x, c.e.one('Tanh', [c.e.one('Softplus', [x])])], {}, c.out())
}

const prelu: WriteRule = (c) => {
  const rank = c.rank()
  if (c.text('data_format') === 'NHWC') c.refuse('channels last')
  const spread = c.text('mode') === 'all' ? [1] : [-1, ...new Array<number>(Math.max(rank - 2, 0)).fill(1)]
  c.e.one('PRelu', [c.in('x'), c.e.one('Reshape', [c.in('alpha'), c.e.ints(spread)])], {}, c.out())
}

const logsigmoid: WriteRule = (c) =>
  void c.e.one('Neg', [c.e.one('Softplus', [c.e.one('Neg', [c.in('x')])])], {}, c.out())

/** x with a factor and a summand: steps that change nothing are left out. */
const scale: WriteRule = (c) => {
  const dtype = c.dtype()
  const bias = c.number('bias')
  const isVariable = c.has('scale')
  const factor = isVariable ? c.scalarIn('scale', dtype) : c.number('scale')
  const steps: ((x: string, out?: string) => string)[] = []
  if (factor !== 1)
    steps.push((x, out) =>
      c.e.one('Mul', [x, typeof factor === 'string' ? factor : c.e.scalar(factor, dtype)], {}, out),
    )
  if (bias !== 0) steps.push((x, out) => c.e.one('Add', [x, c.e.scalar(bias, dtype)], {}, out))
  if (!c.bool('bias_after_scale')) steps.reverse()
  if (steps.length === 0) return void c.e.one('Identity', [c.in('x')], {}, c.out())
  let x = c.in('x')
  steps.forEach((step, i) => (x = step(x, i === steps.length - 1 ? c.out() : undefined)))
}

/** Floored division: Python's sign, where ONNX divides integers towards zero. */
const floorDivide: WriteRule = (c) => {
  const [x, y] = [c.in('x'), c.in('y')]
  if (isFloat(c.dtype())) return void c.e.one('Floor', [c.e.one('Div', [x, y])], {}, c.out())
  const whole = c.e.one('Sub', [x, c.e.one('Mod', [x, y])])
  c.e.one('Div', [whole, y], {}, c.out())
}

const remainder: WriteRule = (c) => {
  const [x, y] = [c.in('x'), c.in('y')]
  if (!isFloat(c.dtype())) return void c.e.one('Mod', [x, y], {}, c.out())
  const whole = c.e.one('Mul', [c.e.one('Floor', [c.e.one('Div', [x, y])]), y])
  c.e.one('Sub', [x, whole], {}, c.out())
}

/** Operands of arithmetic on truth values are integers in ONNX. */
const arithmetic = (opType: string, logical: string): WriteRule => {
  return (c) => void c.e.one(c.dtype() === 'bool' ? logical : opType, [c.in('x'), c.in('y')], {}, c.out())
}

const trunc: WriteRule = (c) => {
  const x = c.in('x')
  c.e.one('Mul', [c.e.one('Sign', [x]), c.e.one('Floor', [c.e.one('Abs', [x])])], {}, c.out())
}

const logarithm = (base: number): WriteRule => {
  return (c) =>
    void c.e.one('Mul', [c.e.one('Log', [c.in('x')]), c.e.scalar(1 / Math.log(base), c.dtype())], {}, c.out())
}

const castTo = (dtype: DType): Record<string, PlainAttribute> => ({ to: dataTypeOf(dtype) })

/** Compared as float where the dtype has no comparison. */
const compare = (opType: string): WriteRule => {
  return (c) => {
    const wide = (slot: string): string =>
      c.dtype(slot) === 'bool' && opType !== 'Equal' ? c.e.cast(c.in(slot), 'int32') : c.in(slot)
    c.e.one(opType, [wide('x'), wide('y')], {}, c.out())
  }
}

const notEqual: WriteRule = (c) => void c.e.one('Not', [c.e.one('Equal', [c.in('x'), c.in('y')])], {}, c.out())

/** Truth values as such: other operands count where they are not 0. */
const logical = (opType: string, slots = ['x', 'y']): WriteRule => {
  return (c) => {
    const operands = slots.map((s) => (c.dtype(s) === 'bool' ? c.in(s) : c.e.cast(c.in(s), 'bool')))
    c.e.one(opType, operands, {}, c.out())
  }
}

const softmax = (opType: string): WriteRule => unary(opType, (c) => ({ axis: c.number('axis') }))

export const elementwiseWriters: WriteRules = {
  abs: unary('Abs'),
  acos: unary('Acos'),
  acosh: unary('Acosh'),
  add: arithmetic('Add', 'Or'),
  add_n: (c) => void c.e.one('Sum', c.list('inputs'), {}, c.out()),
  asin: unary('Asin'),
  asinh: unary('Asinh'),
  assign: unary('Identity'),
  atan: unary('Atan'),
  atanh: unary('Atanh'),
  bitwise_not: logical('Not', ['x']),
  cast: (c) => void c.e.one('Cast', [c.in('x')], castTo(c.dtypeOf('dtype') ?? 'float32'), c.out()),
  ceil: unary('Ceil'),
  celu: unary('Celu', floats({ alpha: 'alpha' })),
  clip,
  cos: unary('Cos'),
  cosh: unary('Cosh'),
  divide: binary('Div'),
  elementwise_pow: binary('Pow'),
  elu: unary('Elu', floats({ alpha: 'alpha' })),
  equal: compare('Equal'),
  erf: unary('Erf'),
  exp: unary('Exp'),
  expm1: (c) => void c.e.one('Sub', [c.e.one('Exp', [c.in('x')]), c.e.scalar(1, c.dtype())], {}, c.out()),
  floor: unary('Floor'),
  floor_divide: floorDivide,
  gelu,
  greater_equal: compare('GreaterOrEqual'),
  greater_than: compare('Greater'),
  hardshrink: unary('Shrink', (c) => ({ lambd: floatAttribute(c.number('threshold')), bias: floatAttribute(0) })),
  hardsigmoid: unary('HardSigmoid', floats({ alpha: 'slope', beta: 'offset' })),
  hardswish,
  hardtanh: clipTo('t_min', 't_max'),
  increment: (c) => void c.e.one('Add', [c.in('x'), c.e.scalar(c.number('value'), c.dtype())], {}, c.out()),
  isfinite: (c) => {
    const x = c.in('x')
    c.e.one('Not', [c.e.one('Or', [c.e.one('IsNaN', [x]), c.e.one('IsInf', [x])])], {}, c.out())
  },
  isinf: unary('IsInf'),
  isnan: unary('IsNaN'),
  leaky_relu: unary('LeakyRelu', floats({ alpha: 'negative_slope' })),
  lerp: (c) => {
    const x = c.in('x')
    const way = c.e.one('Mul', [c.e.one('Sub', [c.in('y'), x]), c.in('weight')])
    c.e.one('Add', [x, way], {}, c.out())
  },
  less_equal: compare('LessOrEqual'),
  less_than: compare('Less'),
  log: unary('Log'),
  log10: logarithm(10),
  log1p: (c) => void c.e.one('Log', [c.e.one('Add', [c.in('x'), c.e.scalar(1, c.dtype())])], {}, c.out()),
  log2: logarithm(2),
  log_softmax: softmax('LogSoftmax'),
  logical_and: logical('And'),
  logical_not: logical('Not', ['x']),
  logical_or: logical('Or'),
  logical_xor: logical('Xor'),
  logsigmoid,
  maximum: binary('Max'),
  minimum: binary('Min'),
  mish,
  multiply: arithmetic('Mul', 'And'),
  not_equal: notEqual,
  pow: (c) => void c.e.one('Pow', [c.in('x'), c.scalarIn('y', c.dtype())], {}, c.out()),
  prelu,
  reciprocal: unary('Reciprocal'),
  relu: unary('Relu'),
  relu6: clipTo('0', '6'),
  remainder,
  round: (c) => (c.number('decimals') === 0 ? unary('Round')(c) : c.refuse('decimals')),
  rsqrt: chain('Sqrt', 'Reciprocal'),
  scale,
  selu: unary('Selu', floats({ alpha: 'alpha', gamma: 'scale' })),
  sigmoid: unary('Sigmoid'),
  sign: unary('Sign'),
  silu,
  sin: unary('Sin'),
  sinh: unary('Sinh'),
  softmax: softmax('Softmax'),
  softplus,
  softshrink: unary('Shrink', floats({ lambd: 'threshold', bias: 'threshold' })),
  softsign: unary('Softsign'),
  sqrt: unary('Sqrt'),
  square: (c) => void c.e.one('Mul', [c.in('x'), c.in('x')], {}, c.out()),
  stanh: (c) => {
    const inner = c.e.one('Tanh', [c.e.one('Mul', [c.in('x'), c.e.scalar(c.number('scale_a'), c.dtype())])])
    c.e.one('Mul', [inner, c.e.scalar(c.number('scale_b'), c.dtype())], {}, c.out())
  },
  subtract: binary('Sub'),
  swiglu: (c) => {
    if (!c.has('y')) c.refuse('one operand')
    const x = c.in('x')
    c.e.one('Mul', [c.e.one('Mul', [x, c.e.one('Sigmoid', [x])]), c.in('y')], {}, c.out())
  },
  swish: silu,
  tan: unary('Tan'),
  tanh: unary('Tanh'),
  tanh_shrink: (c) => void c.e.one('Sub', [c.in('x'), c.e.one('Tanh', [c.in('x')])], {}, c.out()),
  thresholded_relu: (c) => {
    if (c.number('value') === 0)
      return void c.e.one('ThresholdedRelu', [c.in('x')], { alpha: floatAttribute(c.number('threshold')) }, c.out())
    const over = c.e.one('Greater', [c.in('x'), c.e.scalar(c.number('threshold'), c.dtype())])
    c.e.one('Where', [over, c.in('x'), c.e.scalar(c.number('value'), c.dtype())], {}, c.out())
  },
  trunc,
  where: (c) => void c.e.one('Where', [c.in('condition'), c.in('x'), c.in('y')], {}, c.out()),
  'onnx.Mod': (c) => void c.e.one('Mod', [c.in('x'), c.in('y')], { fmod: 1 }, c.out()),
}
