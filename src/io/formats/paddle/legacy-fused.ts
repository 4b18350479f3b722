/** Operators that Paddle Lite's `opt` fuses: an activation behind a convolution, a sum or a matrix product. They are read as what they were made of. */
import { UnsupportedError } from '../../../common/errors.ts'
import type { AttributeValue } from '../program/program.ts'
import type { LegacyCall } from './legacy-call.ts'
import type { LegacyReading } from './legacy-reader.ts'

export interface FusedActivation {
  /** Row of the operator table. */
  readonly type: string
  readonly attributes: Readonly<Record<string, AttributeValue>>
}

/** The activation that a fused operator ends with, by its attributes; null where there is none. Throws FormatError for others than are known. */
export function fusedActivation(call: LegacyCall): FusedActivation | null {
  const named = ['act_type', 'activation_type'].map((n) => call.attribute(n)).find((v) => v !== undefined && v !== '')
  const isOff = call.attribute('with_act') === false && !call.bool('fuse_relu')
  const word = named ?? (call.bool('fuse_relu') ? 'relu' : '')
  if (word === '' || isOff) return null
  switch (word) {
    case 'relu':
    case 'relu6':
    case 'sigmoid':
    case 'tanh':
    case 'gelu':
      return { type: word, attributes: {} }
    case 'swish':
      return { type: 'swish', attributes: {} }
    case 'hard_swish':
      return { type: 'hardswish', attributes: {} }
    case 'leaky_relu':
      return { type: 'leaky_relu', attributes: { negative_slope: call.number('leaky_relu_alpha', 0.01) } }
    case 'hard_sigmoid':
      return {
        type: 'hardsigmoid',
        attributes: { slope: call.number('slope', 0.2), offset: call.number('offset', 0.5) },
      }
    default:
      throw new UnsupportedError(
        `pdmodel: ${call.type} (${call.origin}) ends with '${String(word)}', which is not supported`,
      )
  }
}

/** Writes what ends a fused operator: `from` goes through its activation and becomes the variable; without one, `from` was the variable. */
export function emitActivation(call: LegacyCall, reading: LegacyReading, from: string, variable: string): void {
  const activation = fusedActivation(call)
  if (!activation) return
  const { type, attributes } = activation
  reading.emit(call, type, { x: from }, { out: reading.result(variable) }, attributes)
}

/** The name of a result that an activation may follow. */
export function beforeActivation(call: LegacyCall, reading: LegacyReading, variable: string): string {
  if (!fusedActivation(call)) return reading.result(variable)
  const info = reading.info(variable)
  return reading.temporary(variable, info?.dtype, info?.shape)
}

/** X W + Bias, of the axes of X from `in_num_col_dims` on as one; made from a `matmul_v2`, of the last axis whatever that says. */
export function fullyConnected(call: LegacyCall, reading: LegacyReading): void {
  let x = call.input('Input')
  const variable = call.output('Out')
  const columns = call.number('in_num_col_dims', 1)
  const info = reading.info(x)
  const isMatmul = String(call.attribute('op_type') ?? '').startsWith('matmul')
  if (!isMatmul && reading.rank(x, call) > columns + 1) {
    const flat = reading.temporary(x, info?.dtype, info && [...info.shape.slice(0, columns), -1])
    reading.emit(call, 'flatten', { x }, { out: flat }, { start_axis: columns, stop_axis: -1 })
    x = flat
  }
  const [bias] = call.inputs('Bias')
  const out = reading.info(variable)
  const product =
    bias === undefined ? beforeActivation(call, reading, variable) : reading.temporary(variable, out?.dtype, out?.shape)
  const attributes = { transpose_x: call.bool('trans_x'), transpose_y: call.bool('trans_y') }
  reading.emit(call, 'matmul', { x, y: call.input('W') }, { out: product }, attributes)
  let last = product
  if (bias !== undefined) {
    last = beforeActivation(call, reading, variable)
    reading.emit(call, 'add', { x: product, y: bias }, { out: last })
  }
  emitActivation(call, reading, last, variable)
}
