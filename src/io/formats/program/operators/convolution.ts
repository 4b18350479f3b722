/** Convolutions. */
import { FormatError } from '../../../../common/errors.ts'
import {
  conv2d,
  conv2dTranspose,
  conv3d,
  conv3dTranspose,
  type ConvOptions,
  type ConvTransposeOptions,
} from '../../../../nn/functional/conv.ts'
import type { DataFormat, Padding } from '../../../../nn/functional/geometry.ts'
import { int, ints, text, variable, type Operator, type OperatorCall } from '../operator.ts'

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

const formats: readonly string[] = ['NCL', 'NLC', 'NCHW', 'NHWC', 'NCDHW', 'NDHWC', 'NC'] satisfies DataFormat[]

function isDataFormat(text: string): text is DataFormat {
  return formats.includes(text)
}

/** AnyLayout and the empty text are the default. */
export function dataFormatOf(call: OperatorCall, name = 'data_format'): DataFormat {
  const format = call.text(name)
  if (format === 'AnyLayout' || format === '') return 'NCHW'
  if (!isDataFormat(format)) throw new FormatError(`operator '${call.type}': the ${name} '${format}' is unknown`)
  return format
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

type Convolution = typeof conv2d
type Transposed = typeof conv2dTranspose

/** `input`: the name of the first slot, which Paddle's operators do not agree on. */
function convolution(f: Convolution, input: string, attributes: typeof geometry): Operator {
  return {
    inputs: [input, 'filter'],
    outputs: ['out'],
    attributes,
    run: (call) => f(call.tensor(input), call.tensor('filter'), null, convolutionOptions(call)),
  }
}

function transposed(f: Transposed, attributes: typeof geometry): Operator {
  return {
    inputs: ['x', 'filter'],
    outputs: ['out'],
    attributes: { ...attributes, output_padding: ints([]), output_size: variable(ints([])) },
    run(call) {
      const size = call.numbers('output_size')
      const extra = call.numbers('output_padding')
      const options: ConvTransposeOptions = {
        ...convolutionOptions(call),
        ...(size.length > 0 ? { outputSize: size } : { outputPadding: extra.length > 0 ? extra : 0 }),
      }
      return f(call.tensor('x'), call.tensor('filter'), null, options)
    },
  }
}

const spaceGeometry = {
  ...geometry,
  strides: ints([1, 1, 1]),
  paddings: ints([0, 0, 0]),
  dilations: ints([1, 1, 1]),
  data_format: text('NCDHW'),
}

export const convolutions = {
  conv2d: convolution(conv2d, 'input', geometry),
  depthwise_conv2d: convolution(conv2d, 'input', geometry),
  conv3d: convolution(conv3d, 'x', spaceGeometry),
  conv2d_transpose: transposed(conv2dTranspose, geometry),
  depthwise_conv2d_transpose: transposed(conv2dTranspose, geometry),
  conv3d_transpose: transposed(conv3dTranspose, spaceGeometry),
} satisfies Record<string, Operator>
