/** Shapes of what convolutions, pools, interpolation and spatial padding make. */
import { resizedBy } from '../../../../nn/functional/sampling.ts'
import { positionsRoundedUp } from '../positions.ts'
import type { InferenceCall, Inferred } from './infer.ts'
import { arithmetic, fromFront, isNumber, numbersOf, type Dim, type Known } from './known.ts'

/** Axes of batch, channel and space in a layout. */
function axesOf(call: InferenceCall, rank: number): { readonly channel: number; readonly spatial: readonly number[] } {
  const last = /^N[DHWL]+C$/.test(call.text('data_format'))
  return {
    channel: last ? rank - 1 : 1,
    spatial: Array.from({ length: rank - 2 }, (_, i) => i + (last ? 1 : 2)),
  }
}

/** Both ends of each spatial axis. */
export function padsOf(paddings: readonly number[], axes: number): [low: number, high: number][] {
  if (paddings.length === 2 * axes)
    return Array.from({ length: axes }, (_, i) => [paddings[2 * i]!, paddings[2 * i + 1]!])
  return Array.from({ length: axes }, (_, i) => {
    const p = paddings[i] ?? paddings[0] ?? 0
    return [p, p]
  })
}

interface Window {
  readonly kernel: readonly Dim[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly ceil: boolean
}

function windowed(call: InferenceCall, size: Dim, i: number, window: Window, pads: readonly [number, number][]): Dim {
  const [stride, dilation] = [window.strides[i] ?? 1, window.dilations[i] ?? 1]
  const algorithm = call.text('padding_algorithm')
  if (algorithm === 'SAME') return stride === 1 ? size : arithmetic(size, stride, (a, b) => Math.ceil(a / b))
  const [low, high] = algorithm === 'VALID' ? [0, 0] : pads[i]!
  const kernel = window.kernel[i] ?? ''
  if (!isNumber(kernel)) return ''
  const reach = dilation * (kernel - 1) + 1
  if (stride === 1 && low + high === reach - 1) return size
  if (!isNumber(size)) return ''
  const over = (size + low + high - reach) / stride
  const count = (window.ceil ? Math.ceil(over) : Math.floor(over)) + 1
  // ONNX's inference of shapes counts a window that its operators leave out.
  const isLess =
    window.ceil && call.type.startsWith('onnx.') && positionsRoundedUp(size, low, high, reach, stride) < count
  return isLess ? '' : count
}

function convolved(call: InferenceCall): Inferred {
  const slot = call.optional('input') ? 'input' : 'x'
  const { dtype, shape } = call.value(slot)
  const filter = call.value('filter').shape
  if (!shape || !filter) return { dtype, shape: null }
  const { channel, spatial } = axesOf(call, shape.length)
  const pads = padsOf(numbersOf(call.dims('paddings')) ?? [], spatial.length)
  const window = {
    kernel: filter.slice(2),
    strides: numbersOf(call.dims('strides')) ?? [],
    dilations: numbersOf(call.dims('dilations')) ?? [],
    ceil: false,
  }
  const out = [...shape]
  out[channel] = filter[0] ?? ''
  spatial.forEach((axis, i) => (out[axis] = windowed(call, shape[axis]!, i, window, pads)))
  return { dtype, shape: out }
}

function deconvolved(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  const filter = call.value('filter').shape
  if (!shape || !filter) return { dtype, shape: null }
  const { channel, spatial } = axesOf(call, shape.length)
  const pads = padsOf(numbersOf(call.dims('paddings')) ?? [], spatial.length)
  const [strides, dilations, extra] = ['strides', 'dilations', 'output_padding'].map(
    (n) => numbersOf(call.dims(n)) ?? [],
  )
  const size = call.dims('output_size') ?? []
  const out = [...shape]
  out[channel] = arithmetic(filter[1], call.number('groups'), (a, b) => a * b)
  spatial.forEach((axis, i) => {
    const kernel = filter[i + 2]
    const [low, high] = pads[i]!
    const grown = (d: number, k: number): number =>
      (d - 1) * (strides![i] ?? 1) - low - high + (dilations![i] ?? 1) * (k - 1) + 1 + (extra![i] ?? 0)
    out[axis] = size.length > 0 ? (size[i] ?? '') : arithmetic(shape[axis], kernel, grown)
  })
  return { dtype, shape: out }
}

function pooledShape(call: InferenceCall): Known {
  const { dtype, shape } = call.value('x')
  if (!shape) return { dtype, shape: null }
  const { spatial } = axesOf(call, shape.length)
  const kernel = call.dims('kernel_size') ?? []
  const out = [...shape]
  const pads = padsOf(numbersOf(call.dims('paddings')) ?? [], spatial.length)
  const window = {
    kernel,
    strides: numbersOf(call.dims('strides')) ?? [],
    dilations: numbersOf(call.dims('dilations')) ?? [],
    ceil: call.bool('ceil_mode'),
  }
  spatial.forEach((axis, i) => {
    if (call.bool('global_pooling')) out[axis] = 1
    else if (call.bool('adaptive')) out[axis] = kernel[i] ?? ''
    else out[axis] = windowed(call, shape[axis]!, i, window, pads)
  })
  return { dtype, shape: out }
}

function interpolated(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  if (!shape) return { dtype, shape: null }
  const { spatial } = axesOf(call, shape.length)
  const out = [...shape]
  const sizes = ['out_d', 'out_h', 'out_w'].slice(3 - spatial.length).map((n) => call.number(n))
  const scale = call.dims('scale') ?? []
  const [tensors, outSize] = [call.dims('size_tensor'), call.dims('out_size')]
  const given = tensors?.length === 0 ? outSize : tensors
  const factors = call.dims('scale_tensor')
  spatial.forEach((axis, i) => {
    const factor = scale[i] ?? scale[0]
    if (!given || !factors || factors.length > 0) out[axis] = ''
    else if (given.length > 0) out[axis] = given[i] ?? ''
    else if (factor !== undefined) out[axis] = arithmetic(shape[axis], factor, resizedBy)
    else out[axis] = sizes[i]! > 0 ? sizes[i]! : ''
  })
  return { dtype, shape: out }
}

/** `onnx.Resize`: sizes or factors of some axes. */
function resized(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  if (!shape) return { dtype, shape }
  const given = numbersOf(call.dims('axes')) ?? []
  const axes = given.length > 0 ? given.map((a) => fromFront(a, shape.length)) : shape.map((_, i) => i)
  const [sizes, scales] = [call.dims('sizes'), call.dims('scales')]
  const isPlain = call.text('policy') === 'stretch' && call.text('transform') !== 'tf_crop_and_resize'
  const out = [...shape]
  axes.forEach((axis, k) => {
    const factor = scales?.[k]
    if (scales && scales.length === 0) out[axis] = call.text('policy') === 'stretch' ? (sizes?.[k] ?? '') : ''
    else if (!isPlain || factor !== 1) out[axis] = isPlain ? arithmetic(shape[axis], factor, resizedBy) : ''
  })
  return { dtype, shape: out }
}

/** `pad3d`: [left, right, top, bottom, front, back], the last axis first. */
function paddedSpatially(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  const pads = call.dims('paddings')
  if (!shape) return { dtype, shape: null }
  const { spatial } = axesOf(call, shape.length)
  const out = [...shape]
  spatial.forEach((axis, i) => {
    const at = 2 * (spatial.length - 1 - i)
    const ends = [pads?.[at] ?? '', pads?.[at + 1] ?? '']
    out[axis] = ends.reduce<Dim>((a, b) => (b === 0 ? a : arithmetic(a, b, (p, q) => p + q)), shape[axis]!)
  })
  return { dtype, shape: out }
}

const withMask = (dtype: 'int32' | 'int64') => {
  return (call: InferenceCall): Inferred => {
    const known = pooledShape(call)
    return { out: known, mask: { dtype, shape: known.shape } }
  }
}

function unpooled(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  const wanted = call.dims('output_shape')
  if (!wanted || wanted.length > 0) return { dtype, shape: wanted }
  const [kernel, strides] = [numbersOf(call.dims('kernel_size')) ?? [], numbersOf(call.dims('strides')) ?? []]
  const pads = padsOf(numbersOf(call.dims('paddings')) ?? [], kernel.length)
  const sizes = kernel.map((k, i) =>
    arithmetic(shape?.[i + 2], k, (d) => (d - 1) * strides[i]! + k - pads[i]![0] - pads[i]![1]),
  )
  return { dtype, shape: shape && [...shape.slice(0, 2), ...sizes] }
}

export const convolutionRules: Readonly<Record<string, (call: InferenceCall) => Inferred>> = {
  conv2d: convolved,
  conv3d: convolved,
  depthwise_conv2d: convolved,
  conv2d_transpose: deconvolved,
  conv3d_transpose: deconvolved,
  depthwise_conv2d_transpose: deconvolved,
  pool2d: pooledShape,
  pool3d: pooledShape,
  max_pool2d_with_index: withMask('int32'),
  max_pool3d_with_index: withMask('int32'),
  'onnx.AveragePool': pooledShape,
  'onnx.LpPool': pooledShape,
  'onnx.MaxPool': withMask('int64'),
  'onnx.MaxUnpool': unpooled,
  nearest_interp: interpolated,
  bilinear_interp: interpolated,
  bicubic_interp: interpolated,
  linear_interp: interpolated,
  trilinear_interp: interpolated,
  'onnx.Resize': resized,
  pad3d: paddedSpatially,
  affine_grid: (call) => {
    const size = call.dims('output_shape')
    const shape = size && [size[0] ?? '', ...size.slice(2), size.length - 2]
    return { dtype: call.value('input').dtype, shape }
  },
  deformable_conv: (call) => {
    const [{ dtype, shape }, offset, filter] = [call.value('x'), call.value('offset').shape, call.value('filter').shape]
    if (!shape || !offset || !filter) return { dtype, shape: null }
    return { dtype, shape: [shape[0] ?? '', filter[0] ?? '', ...offset.slice(2)] }
  },
  fold: (call) => {
    const { dtype, shape } = call.value('x')
    const [sizes, kernel] = [numbersOf(call.dims('output_sizes')), numbersOf(call.dims('kernel_sizes'))]
    if (!shape || !sizes || !kernel) return { dtype, shape: null }
    const taps = sizes.reduce((a, _, i) => a * (kernel[i] ?? kernel[0]!), 1)
    return { dtype, shape: [shape[0] ?? '', arithmetic(shape[1], taps, (a, b) => a / b), ...sizes] }
  },
  'onnx.RoiAlign': (call) => {
    const [{ dtype, shape }, boxes] = [call.value('x'), call.value('boxes').shape]
    const size = [call.number('output_height'), call.number('output_width')]
    return { dtype, shape: shape && [boxes?.[0] ?? '', shape[1] ?? '', ...size] }
  },
  pixel_unshuffle: (call) => {
    const { dtype, shape } = call.value('x')
    const r = call.number('downscale_factor')
    if (shape?.length !== 4 || call.text('data_format') === 'NHWC') return { dtype, shape: null }
    const less = (d: Dim | undefined): Dim => arithmetic(d, r, (a, b) => a / b)
    const channels = arithmetic(shape[1], r, (a, b) => a * b * b)
    return { dtype, shape: [shape[0]!, channels, less(shape[2]), less(shape[3])] }
  },
  grid_sample: (call) => {
    const [x, grid] = [call.value('x'), call.value('grid')]
    const shape = x.shape && grid.shape ? [...x.shape.slice(0, 2), ...grid.shape.slice(1, -1)] : null
    return { dtype: x.dtype, shape }
  },
}
