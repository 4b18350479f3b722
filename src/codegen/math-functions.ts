/** Transcendental functions for fused kernels: expansions where they exist, the host's functions elsewhere. */
import { InternalError } from '../common/errors.ts'
import * as ir from './builder.ts'
import type { MathFunctions } from './elementwise.ts'
import type { CallIr } from './kernel.ts'

const hosted = new Set<string>([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'erf',
])

export const mathFunctions: MathFunctions = {
  unary(_scope, op, x) {
    if (op === 'sigmoid') return ir.div(ir.constant(1, x.type.scalar), ir.add(ir.call('exp', ir.neg(x)), 1))
    if (!hosted.has(op)) throw new InternalError(`no function ${op}`)
    return ir.call(op as CallIr, x)
  },
  pow: (_scope, x, y) => ir.call('pow', x, y),
}
