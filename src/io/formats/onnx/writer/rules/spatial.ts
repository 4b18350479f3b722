/** Convolutions, pools, resizing. ONNX has channels first only: other layouts are turned around them. */
import { isNumber } from '../../../program/inference/known.ts'
import { padsOf } from '../../../program/inference/spatial.ts'
import type { PlainAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'

const isChannelsLast = (c: WriteCall): boolean => /^N[DHWL]+C$/.test(c.text('data_format'))

/** Runs a rule on x with channels first, and turns its result back. */
function channelsFirst(c: WriteCall, slot: string, write: (x: string, out: string) => void, result = 'out'): void {
  const out = c.out(result)
  if (!isChannelsLast(c)) return write(c.in(slot), out)
  const rank = c.rank(slot)
  const spatial = Array.from({ length: rank - 2 }, (_, i) => i + 1)
  const turned = c.e.one('Transpose', [c.in(slot)], { perm: [0, rank - 1, ...spatial] })
  const made = c.e.fresh(`${out}.first`)
  write(turned, made)
  c.e.one('Transpose', [made], { perm: [0, ...spatial.map((i) => i + 1), 1] }, out)
}

/** Paddings as ONNX has them: all beginnings, then all ends; or the algorithm. */
function paddingOf(c: WriteCall, axes: number): Readonly<Record<string, PlainAttribute>> {
  const algorithm = c.text('padding_algorithm')
  if (algorithm === 'SAME') return { auto_pad: 'SAME_UPPER' }
  const pads = algorithm === 'VALID' ? padsOf([0], axes) : padsOf(c.numbers('paddings'), axes)
  return { pads: [...pads.map((p) => p[0]), ...pads.map((p) => p[1])] }
}

function kernelOf(c: WriteCall): number[] {
  const { shape } = c.known('filter')
  const kernel = shape?.slice(2) ?? []
  return kernel.length > 0 && kernel.every(isNumber) ? kernel : c.refuse('a kernel whose size is not known')
}

/** The operand that a conversion folds into a convolution (fuse-bias.ts). */
export const FUSED_BIAS = 'bias'

const conv: WriteRule = (c) => {
  const kernel = kernelOf(c)
  const axes = kernel.length
  const isSame = c.text('padding_algorithm') === 'SAME'
  const attributes = {
    kernel_shape: kernel,
    strides: c.numbers('strides'),
    dilations: isSame ? kernel.map(() => 1) : c.numbers('dilations'),
    group: c.number('groups'),
    ...paddingOf(c, axes),
  }
  channelsFirst(c, 'input', (x, out) => {
    c.e.one('Conv', [x, c.in('filter'), c.optional(FUSED_BIAS)], attributes, out)
  })
}

const convTranspose: WriteRule = (c) => {
  const kernel = kernelOf(c)
  const axes = kernel.length
  if (c.text('padding_algorithm') === 'SAME') c.refuse("padding 'SAME'")
  const strides = c.numbers('strides')
  const dilations = c.numbers('dilations')
  const pads = padsOf(c.text('padding_algorithm') === 'VALID' ? [0] : c.numbers('paddings'), axes)
  const given = c.numbers('output_size')
  const extra = c.numbers('output_padding')
  const first = isChannelsLast(c) ? 1 : 2
  const output_padding =
    given.length > 0
      ? kernel.map((k, i) => {
          const least =
            (c.size('x', first + i) - 1) * strides[i]! - pads[i]![0] - pads[i]![1] + dilations[i]! * (k - 1) + 1
          return given[i]! - least
        })
      : extra.length > 0
        ? extra
        : kernel.map(() => 0)
  const attributes = {
    kernel_shape: kernel,
    strides,
    dilations,
    group: c.number('groups'),
    pads: [...pads.map((p) => p[0]), ...pads.map((p) => p[1])],
    ...(output_padding.some((p) => p !== 0) ? { output_padding } : {}),
  }
  channelsFirst(c, 'x', (x, out) => {
    c.e.one('ConvTranspose', [x, c.in('filter'), c.optional(FUSED_BIAS)], attributes, out)
  })
}

const pool: WriteRule = (c) => {
  const axes = c.operation.type === 'pool3d' ? 3 : 2
  const isMax = c.text('pooling_type') === 'max'
  const kernel = c.bool('global_pooling') ? [] : c.numbers('kernel_size')
  const isAdaptive = c.bool('adaptive') && !c.bool('global_pooling')
  if (c.bool('global_pooling') || (isAdaptive && kernel.every((k) => k === 1))) {
    channelsFirst(c, 'x', (x, out) => {
      c.e.one(isMax ? 'GlobalMaxPool' : 'GlobalAveragePool', [x], {}, out)
    })
    return
  }
  const windows = isAdaptive ? evenWindows(c, kernel) : kernel
  const attributes = {
    kernel_shape: windows,
    strides: isAdaptive ? windows : c.numbers('strides'),
    ...(isAdaptive ? {} : paddingOf(c, axes)),
    ...(!isAdaptive && c.bool('ceil_mode') ? { ceil_mode: 1 } : {}),
    ...(isMax || isAdaptive ? {} : { count_include_pad: c.bool('exclusive') ? 0 : 1 }),
  }
  channelsFirst(c, 'x', (x, out) => {
    c.e.one(isMax ? 'MaxPool' : 'AveragePool', [x], attributes, out)
  })
}

/** Adaptive windows are all alike where the sizes divide. */
function evenWindows(c: WriteCall, out: readonly number[]): number[] {
  const first = isChannelsLast(c) ? 1 : 2
  return out.map((o, i) => {
    const size = c.size('x', first + i)
    return size % o === 0 ? size / o : c.refuse(`an adaptive pool of ${size} elements to ${o}`)
  })
}

const maxPoolWithIndex: WriteRule = (c) => {
  if (c.bool('adaptive') || c.bool('global_pooling')) c.refuse('adaptive windows')
  const kernel = c.numbers('kernel_size')
  const attributes = {
    kernel_shape: kernel,
    strides: c.numbers('strides'),
    ...paddingOf(c, kernel.length),
    ...(c.bool('ceil_mode') ? { ceil_mode: 1 } : {}),
  }
  c.e.one('MaxPool', [c.in('x')], attributes, c.out())
}

const modes: Readonly<Record<string, string>> = {
  nearest: 'nearest',
  bilinear: 'linear',
  linear: 'linear',
  trilinear: 'linear',
  bicubic: 'cubic',
}

const interpolation: WriteRule = (c) => {
  const ours = c.operation.type.replace('_interp', '')
  const mode = modes[ours] ?? c.refuse(`mode '${ours}'`)
  const isNearest = mode === 'nearest'
  const halfPixel = c.number('align_mode') !== 1 || mode === 'cubic'
  const transform = isNearest
    ? 'asymmetric'
    : c.bool('align_corners')
      ? 'align_corners'
      : halfPixel
        ? 'pytorch_half_pixel'
        : 'asymmetric'
  const attributes = {
    mode,
    coordinate_transformation_mode: transform,
    ...(isNearest ? { nearest_mode: 'floor' } : {}),
  }
  const rank = c.rank()
  channelsFirst(c, 'x', (x, out) => {
    const spatial = rank - 2
    const scale = c.numbers('scale')
    const sizes = sizesOf(c, spatial)
    if (sizes === null && scale.length > 0) {
      const factors = Float32Array.from([1, 1, ...Array.from({ length: spatial }, (_, i) => scale[i] ?? scale[0]!)])
      const scales = c.e.array({ dtype: 'float32', shape: [rank], data: factors }, 'scales')
      return void c.e.one('Resize', [x, null, scales], attributes, out)
    }
    if (sizes === null) return c.refuse('a size that is not told')
    const leading = c.e.one('Slice', [c.e.one('Shape', [x]), c.e.ints([0]), c.e.ints([2]), c.e.ints([0])])
    const all = c.e.one('Concat', [leading, sizes], { axis: 0 })
    c.e.one('Resize', [x, null, null, all], attributes, out)
  })
}

/** Sizes of the spatial axes as a vector, or null where a factor is given. */
function sizesOf(c: WriteCall, spatial: number): string | null {
  if (c.has('size_tensor')) return c.intsIn('size_tensor')
  if (c.has('out_size')) return c.intsIn('out_size')
  if (c.has('scale_tensor')) return c.refuse('factors that are computed')
  for (const name of ['size_tensor', 'out_size']) {
    const given = c.numbers(name)
    if (given.length > 0) return c.e.ints(given)
  }
  const fixed = ['out_d', 'out_h', 'out_w'].slice(3 - spatial).map((name) => c.number(name))
  return fixed.every((s) => s > 0) && c.numbers('scale').length === 0 ? c.e.ints(fixed) : null
}

const gridSample: WriteRule = (c) => {
  c.e.require(16, 'grid_sample')
  const mode = c.text('mode')
  const attributes = {
    mode: mode === 'bilinear' && c.e.opset >= 20 ? 'linear' : mode,
    padding_mode: c.text('padding_mode'),
    align_corners: c.bool('align_corners') ? 1 : 0,
  }
  c.e.one('GridSample', [c.in('x'), c.in('grid')], attributes, c.out())
}

const pixelShuffle: WriteRule = (c) =>
  channelsFirst(c, 'x', (x, out) => {
    c.e.one('DepthToSpace', [x], { blocksize: c.number('upscale_factor'), mode: 'CRD' }, out)
  })

export const spatialWriters: WriteRules = {
  bicubic_interp: interpolation,
  bilinear_interp: interpolation,
  conv2d: conv,
  conv2d_transpose: convTranspose,
  conv3d: conv,
  conv3d_transpose: convTranspose,
  depthwise_conv2d: conv,
  depthwise_conv2d_transpose: convTranspose,
  grid_sample: gridSample,
  linear_interp: interpolation,
  max_pool2d_with_index: maxPoolWithIndex,
  max_pool3d_with_index: maxPoolWithIndex,
  nearest_interp: interpolation,
  pixel_shuffle: pixelShuffle,
  pool2d: pool,
  pool3d: pool,
  trilinear_interp: interpolation,
}

export { channelsFirst }
