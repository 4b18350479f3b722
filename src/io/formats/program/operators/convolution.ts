/** Convolutions, pools and interpolation. */
import { conv2d, conv2dTranspose, type ConvOptions, type ConvTransposeOptions } from '../../../../nn/functional/conv.ts'
import type { DataFormat, Padding } from '../../../../nn/functional/geometry.ts'
import { bool, int, ints, text, variable, type Operator, type OperatorCall } from '../operator.ts'

const geometry = {
  strides: ints([1, 1]),
  paddings: ints([0, 0]),
  padding_algorithm: text('EXPLICIT'),
  dilations: ints([1, 1]),
  groups: int(1),
  data_format: text('NCHW'),
}

/** `EXPLICIT` sizes, or the algorithm's name. */
export function paddingOf(call: OperatorCall): Padding {
  const algorithm = call.text('padding_algorithm')
  return algorithm === 'SAME' || algorithm === 'VALID' ? algorithm : call.numbers('paddings')
}

/** AnyLayout and the empty text are the default. */
export function dataFormatOf(call: OperatorCall, name = 'data_format'): DataFormat {
  const format = call.text(name)
  return format === 'AnyLayout' || format === '' ? 'NCHW' : (format as DataFormat)
}

function convolutionOptions(call: OperatorCall): ConvOptions {
  return {
    stride: call.numbers('strides'),
    padding: paddingOf(call),
    dilation: call.numbers('dilations'),
    groups: call.number('groups'),
    dataFormat: dataFormatOf(call),
  }
}

const convolution: Operator = {
  inputs: ['input', 'filter'],
  outputs: ['out'],
  attributes: geometry,
  run: (call) => conv2d(call.tensor('input'), call.tensor('filter'), null, convolutionOptions(call)),
}

const transposed: Operator = {
  inputs: ['x', 'filter', 'bias?'],
  outputs: ['out'],
  attributes: { ...geometry, output_padding: ints([]), output_size: variable(ints([])) },
  run(call) {
    const size = call.numbers('output_size')
    const extra = call.numbers('output_padding')
    const options: ConvTransposeOptions = {
      ...convolutionOptions(call),
      ...(size.length > 0 ? { outputSize: size } : { outputPadding: extra.length > 0 ? extra : 0 }),
    }
    return conv2dTranspose(call.tensor('x'), call.tensor('filter'), call.optional('bias'), options)
  },
}

export const convolutions = {
  conv2d: convolution,
  depthwise_conv2d: convolution,
  conv2d_transpose: transposed,
  depthwise_conv2d_transpose: transposed,
} satisfies Record<string, Operator>

/** Attributes of pools, for the rows below and their relatives. */
export const poolAttributes = {
  kernel_size: variable(ints()),
  strides: ints([1, 1]),
  paddings: ints([0, 0]),
  ceil_mode: bool(false),
  exclusive: bool(true),
  data_format: text('NCHW'),
  pooling_type: text(''),
  global_pooling: bool(false),
  adaptive: bool(false),
  padding_algorithm: text('EXPLICIT'),
}
