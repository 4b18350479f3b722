/** Shapes of what convolutions, pools, interpolation and spatial padding make. */
import type { InferenceCall, Inferred } from './infer.ts'
import { arithmetic, isNumber, numbersOf, type Dim, type Known } from './known.ts'

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
  if (!window.ceil) return Math.floor(over) + 1
  const positions = Math.ceil(over) + 1
  return (positions - 1) * stride >= size + low ? positions - 1 : positions
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
    else if (factor !== undefined) out[axis] = arithmetic(shape[axis], factor, (a, b) => Math.floor(a * b))
    else out[axis] = sizes[i]! > 0 ? sizes[i]! : ''
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

const withMask = (call: InferenceCall): Inferred => {
  const known = pooledShape(call)
  return { out: known, mask: { dtype: 'int32', shape: known.shape } }
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
  max_pool2d_with_index: withMask,
  max_pool3d_with_index: withMask,
  nearest_interp: interpolated,
  bilinear_interp: interpolated,
  bicubic_interp: interpolated,
  linear_interp: interpolated,
  trilinear_interp: interpolated,
  pad3d: paddedSpatially,
}
