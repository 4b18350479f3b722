/** Pools and interpolation. */
import { FormatError } from '../../../../common/errors.ts'
import {
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
} from '../../../../nn/functional/adaptive-pooling.ts'
import { channelsFirst, spatialAxes } from '../../../../nn/functional/geometry.ts'
import { interpolate, type InterpolateMode } from '../../../../nn/functional/interpolate.ts'
import { avgPool2d, avgPool3d, maxPool2d, maxPool3d } from '../../../../nn/functional/pooling.ts'
import { transpose } from '../../../../tensor/shaping.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import {
  bool,
  floats,
  int,
  ints,
  text,
  variable,
  type AttributeSpec,
  type Operator,
  type OperatorCall,
  type OperatorResults,
} from '../operator.ts'
import { dataFormatOf, paddingOf } from './convolution.ts'

function poolAttributes(kernel: AttributeSpec, ones: readonly number[], dataFormat: string) {
  return {
    kernel_size: kernel,
    strides: ints(ones),
    paddings: ints(ones.map(() => 0)),
    ceil_mode: bool(false),
    exclusive: bool(true),
    data_format: text(dataFormat),
    pooling_type: text(),
    global_pooling: bool(false),
    adaptive: bool(false),
    padding_algorithm: text('EXPLICIT'),
  }
}

/** Max pools know channels first only. */
function channelsFirstDone(x: Tensor, n: number, first: boolean, f: (x: Tensor) => Tensor): Tensor {
  if (first) return f(x)
  const toFirst = [0, n + 1, ...spatialAxes(n, false)]
  const toLast = [0, ...spatialAxes(n, true), 1]
  return transpose(f(transpose(x, toFirst)), toLast)
}

function pool(n: 2 | 3, call: OperatorCall): Tensor {
  const type = call.text('pooling_type')
  if (type !== 'max' && type !== 'avg')
    throw new FormatError(`operator '${call.type}': pooling_type '${type}' is unknown; max and avg are known`)
  const dataFormat = dataFormatOf(call)
  const first = channelsFirst(dataFormat, call.type)
  const layout = n === 2 ? 'NCHW' : 'NCDHW'
  const x = call.tensor('x')
  if (call.bool('adaptive') && !call.bool('global_pooling')) {
    const size = call.numbers('kernel_size').map((v) => (v < 0 ? null : v))
    if (type === 'avg') return (n === 2 ? adaptiveAvgPool2d : adaptiveAvgPool3d)(x, size, { dataFormat })
    return channelsFirstDone(x, n, first, (t) => (n === 2 ? adaptiveMaxPool2d : adaptiveMaxPool3d)(t, size))
  }
  const isGlobal = call.bool('global_pooling')
  const kernel = isGlobal ? spatialAxes(n, first).map((a) => x.shape[a]!) : call.numbers('kernel_size')
  const options = {
    stride: isGlobal ? kernel : call.numbers('strides'),
    padding: isGlobal ? 0 : paddingOf(call),
    ceilMode: call.bool('ceil_mode'),
  }
  if (type === 'avg')
    return (n === 2 ? avgPool2d : avgPool3d)(x, kernel, { ...options, dataFormat, exclusive: call.bool('exclusive') })
  return channelsFirstDone(x, n, first, (t) =>
    (n === 2 ? maxPool2d : maxPool3d)(t, kernel, { ...options, dataFormat: layout }),
  )
}

function poolWithIndex(n: 2 | 3, call: OperatorCall): OperatorResults {
  const x = call.tensor('x')
  const global = call.bool('global_pooling')
  const kernel = global ? x.shape.slice(2) : call.numbers('kernel_size')
  const [out, mask] =
    call.bool('adaptive') && !global
      ? (n === 2 ? adaptiveMaxPool2d : adaptiveMaxPool3d)(x, kernel, { returnMask: true })
      : (n === 2 ? maxPool2d : maxPool3d)(x, kernel, {
          stride: global ? kernel : call.numbers('strides'),
          padding: global ? 0 : call.numbers('paddings'),
          ceilMode: call.bool('ceil_mode'),
          returnMask: true,
        })
  return { out, mask }
}

function withIndex(n: 2 | 3): Operator {
  const ones = new Array<number>(n).fill(1)
  return {
    inputs: ['x'],
    outputs: ['out', 'mask'],
    attributes: {
      kernel_size: ints(),
      strides: ints(ones),
      paddings: ints(ones.map(() => 0)),
      global_pooling: bool(false),
      adaptive: bool(false),
      ceil_mode: bool(false),
    },
    run: (call) => poolWithIndex(n, call),
  }
}

/** Sizes come from `size_tensor`, `out_size`, `scale_tensor`, `scale` or `out_*`, the first of these that is there. */
function resize(call: OperatorCall, mode: InterpolateMode): Tensor {
  const x = call.tensor('x')
  const n = x.ndim - 2
  const dataFormat = dataFormatOf(call)
  const first = channelsFirst(dataFormat, call.type)
  const fixed = ['out_d', 'out_h', 'out_w'].slice(3 - n).map((name) => call.number(name))
  const scales = call.numbers('scale')
  const given = call.numbers('size_tensor')
  const size = given.length > 0 ? given : call.numbers('out_size')
  const factors = call.numbers('scale_tensor').length > 0 ? call.numbers('scale_tensor') : scales
  const options = {
    mode,
    alignCorners: call.bool('align_corners') && mode !== 'nearest',
    alignMode: call.number('align_mode') === 1 ? (1 as const) : (0 as const),
    dataFormat,
  }
  if (size.length > 0) return interpolate(x, { ...options, size })
  const usable = factors.length > 0 && factors.every((f) => f > 0)
  if (usable) {
    const scaleFactor = factors.length === n ? factors : new Array<number>(n).fill(factors[0]!)
    return interpolate(x, { ...options, scaleFactor })
  }
  const axes = spatialAxes(n, first)
  return interpolate(x, { ...options, size: fixed.map((s, i) => (s > 0 ? s : x.shape[axes[i]!]!)) })
}

function interpolation(mode: InterpolateMode, alignMode: number): Operator {
  return {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      out_size: variable(ints([])),
      size_tensor: variable(ints([])),
      scale_tensor: variable(floats([])),
      data_format: text('NCHW'),
      out_d: int(0),
      out_h: int(0),
      out_w: int(0),
      scale: floats([]),
      interp_method: text(mode),
      align_corners: bool(true),
      align_mode: int(alignMode),
    },
    run: (call) => resize(call, mode),
  }
}

export const pools = {
  pool2d: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: poolAttributes(variable(ints()), [1, 1], 'NCHW'),
    run: (call) => pool(2, call),
  },
  pool3d: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: poolAttributes(ints(), [1, 1, 1], 'NCDHW'),
    run: (call) => pool(3, call),
  },
  max_pool2d_with_index: withIndex(2),
  max_pool3d_with_index: withIndex(3),
  nearest_interp: interpolation('nearest', 1),
  bilinear_interp: interpolation('bilinear', 1),
  bicubic_interp: interpolation('bicubic', 1),
  linear_interp: interpolation('linear', 1),
  trilinear_interp: interpolation('trilinear', 1),
} satisfies Record<string, Operator>
