/** Elementwise operators: arithmetic, comparison, logic, elementary functions, casts. */
import { isFloat, isInteger } from '../../../../common/dtype.ts'
import {
  equal,
  greaterEqual,
  greaterThan,
  isfinite,
  isinf,
  isnan,
  lessEqual,
  lessThan,
  notEqual,
} from '../../../../tensor/comparison.ts'
import * as elementary from '../../../../tensor/elementary.ts'
import {
  bitwiseAnd,
  bitwiseNot,
  bitwiseOr,
  bitwiseXor,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
} from '../../../../tensor/logic.ts'
import {
  add,
  atan2,
  clip,
  divide,
  floorDivide,
  fmax,
  fmin,
  lerp,
  maximum,
  minimum,
  multiply,
  pow,
  remainder,
  scale,
  subtract,
} from '../../../../tensor/math.ts'
import { where } from '../../../../tensor/search.ts'
import { cast } from '../../../../tensor/shaping.ts'
import { erfinv, lgamma } from '../../../../tensor/special.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { bool, dtype, float, int, variable, type Operator } from '../operator.ts'
import { unary } from './activation.ts'

/** x, y -> out. */
export function binary(f: (x: Tensor, y: Tensor) => Tensor): Operator {
  return { inputs: ['x', 'y'], outputs: ['out'], attributes: {}, run: (call) => f(call.tensor('x'), call.tensor('y')) }
}

/** Paddle's kernel divides integers as C does: towards zero. */
function quotient(x: Tensor, y: Tensor): Tensor {
  if (isFloat(x.dtype)) return divide(x, y)
  return cast(elementary.trunc(divide(cast(x, 'float64'), cast(y, 'float64'))), x.dtype)
}

const functions = {
  abs: unary(elementary.abs),
  acos: unary(elementary.acos),
  acosh: unary(elementary.acosh),
  asin: unary(elementary.asin),
  asinh: unary(elementary.asinh),
  atan: unary(elementary.atan),
  atanh: unary(elementary.atanh),
  ceil: unary(elementary.ceil),
  cos: unary(elementary.cos),
  cosh: unary(elementary.cosh),
  erf: unary(elementary.erf),
  erfinv: unary(erfinv),
  exp: unary(elementary.exp),
  expm1: unary(elementary.expm1),
  floor: unary(elementary.floor),
  lgamma: unary(lgamma),
  log: unary(elementary.log),
  log10: unary(elementary.log10),
  log1p: unary(elementary.log1p),
  log2: unary(elementary.log2),
  reciprocal: unary(elementary.reciprocal),
  rsqrt: unary(elementary.rsqrt),
  sign: unary(elementary.sign),
  sin: unary(elementary.sin),
  sinh: unary(elementary.sinh),
  sqrt: unary(elementary.sqrt),
  square: unary(elementary.square),
  tan: unary(elementary.tan),
  trunc: unary(elementary.trunc),
  isfinite: unary(isfinite),
  isinf: unary(isinf),
  isnan: unary(isnan),
  round: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { decimals: int(0) },
    run: (call) => elementary.round(call.tensor('x'), call.number('decimals')),
  },
} satisfies Record<string, Operator>

const logic = {
  equal: binary(equal),
  not_equal: binary(notEqual),
  less_than: binary(lessThan),
  less_equal: binary(lessEqual),
  greater_than: binary(greaterThan),
  greater_equal: binary(greaterEqual),
  logical_and: binary(logicalAnd),
  logical_or: binary(logicalOr),
  logical_xor: binary(logicalXor),
  logical_not: unary(logicalNot),
  bitwise_and: binary(bitwiseAnd),
  bitwise_or: binary(bitwiseOr),
  bitwise_xor: binary(bitwiseXor),
  bitwise_not: unary(bitwiseNot),
  where: {
    inputs: ['condition', 'x', 'y'],
    outputs: ['out'],
    attributes: {},
    run: (call) => where(call.tensor('condition'), call.tensor('x'), call.tensor('y')),
  },
} satisfies Record<string, Operator>

export const arithmetic = {
  ...functions,
  ...logic,
  add: binary(add),
  subtract: binary(subtract),
  multiply: binary(multiply),
  divide: binary(quotient),
  floor_divide: binary(floorDivide),
  remainder: binary(remainder),
  elementwise_pow: binary(pow),
  maximum: binary(maximum),
  minimum: binary(minimum),
  fmax: binary(fmax),
  fmin: binary(fmin),
  atan2: binary(atan2),
  add_n: {
    inputs: ['inputs*'],
    outputs: ['out'],
    attributes: {},
    run: (call) => call.list('inputs').reduce((sum, x) => add(sum, x)),
  },
  lerp: {
    inputs: ['x', 'y', 'weight'],
    outputs: ['out'],
    attributes: {},
    run: (call) => lerp(call.tensor('x'), call.tensor('y'), call.tensor('weight')),
  },
  scale: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { scale: variable(float(1)), bias: float(0), bias_after_scale: bool(true) },
    run(call) {
      const x = call.tensor('x')
      const factor = call.optional('scale') ?? call.number('scale')
      const bias = call.number('bias')
      return scale(x, factor, { bias, biasAfterScale: call.bool('bias_after_scale') })
    },
  },
  pow: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { y: float(1) },
    run: (call) => pow(call.tensor('x'), call.number('y')),
  },
  increment: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { value: float(1) },
    run: (call) => scale(call.tensor('x'), 1, { bias: call.number('value') }),
  },
  clip: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { min: variable(float()), max: variable(float()) },
    run(call) {
      const x = call.tensor('x')
      // Bounds beyond what an integer holds stand for none.
      const bound = (name: string): Tensor | number | null => {
        const given = call.optional(name)
        if (given) return given
        const value = call.number(name)
        return isInteger(x.dtype) && !Number.isSafeInteger(value) ? null : value
      }
      return clip(x, bound('min'), bound('max'))
    },
  },
  cast: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { dtype: dtype() },
    run: (call) => cast(call.tensor('x'), call.dtype('dtype')),
  },
  assign: unary((x) => x),
} satisfies Record<string, Operator>
