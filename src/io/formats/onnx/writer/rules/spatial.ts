/** Convolutions, and sampling at points. */
import { isNumber } from '../../../program/inference/known.ts'
import { padsOf } from '../../../program/inference/spatial.ts'
import { floatAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'
import { channelsFirst, isChannelsLast, paddingOf } from './layout.ts'

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
  channelsFirst(c, c.has('input') ? 'input' : 'x', (x, out) => {
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

/** The names from version 20 of the operator set on. */
const gridModes: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' }

const gridSample: WriteRule = (c) => {
  c.e.require(c.known('x').shape?.length === 5 ? 20 : 16, 'grid_sample')
  const mode = c.text('mode')
  const attributes = {
    mode: c.e.opset >= 20 ? (gridModes[mode] ?? mode) : mode,
    padding_mode: c.text('padding_mode'),
    align_corners: c.bool('align_corners') ? 1 : 0,
  }
  c.e.one('GridSample', [c.in('x'), c.in('grid')], attributes, c.out())
}

const pixelShuffle: WriteRule = (c) =>
  channelsFirst(c, 'x', (x, out) => {
    c.e.one('DepthToSpace', [x], { blocksize: c.number('upscale_factor'), mode: 'CRD' }, out)
  })

/** ONNX before version 27 has the blocks before the channels: they change places. */
const pixelUnshuffle: WriteRule = (c) =>
  channelsFirst(c, 'x', (x, out) => {
    const r = c.number('downscale_factor')
    const channels = c.size('x', isChannelsLast(c) ? -1 : 1)
    const blocks = c.e.one('SpaceToDepth', [x], { blocksize: r })
    const apart = c.e.one('Reshape', [blocks, c.e.ints([0, r * r, channels, -1])])
    const turned = c.e.one('Transpose', [apart], { perm: [0, 2, 1, 3] })
    c.e.one('Reshape', [turned, c.e.one('Shape', [blocks])], {}, out)
  })

const affineGrid: WriteRule = (c) => {
  c.e.require(20, 'affine_grid')
  const attributes = { align_corners: c.bool('align_corners') ? 1 : 0 }
  c.e.one('AffineGrid', [c.in('input'), c.intsIn('output_shape')], attributes, c.out())
}

const fold: WriteRule = (c) => {
  c.e.require(18, 'fold')
  const sizes = c.numbers('output_sizes')
  const all = (name: string): number[] => {
    const given = c.numbers(name)
    return given.length === sizes.length ? given : sizes.map(() => given[0]!)
  }
  const paddings = c.numbers('paddings')
  const attributes = {
    strides: all('strides'),
    dilations: all('dilations'),
    pads: paddings.length === 2 * sizes.length ? paddings : [...all('paddings'), ...all('paddings')],
  }
  c.e.one('Col2Im', [c.in('x'), c.e.ints(sizes), c.e.ints(all('kernel_sizes'))], attributes, c.out())
}

const deformableConv: WriteRule = (c) => {
  c.e.require(19, 'deformable_conv')
  const attributes = {
    kernel_shape: kernelOf(c),
    strides: c.numbers('strides'),
    dilations: c.numbers('dilations'),
    group: c.number('groups'),
    offset_group: c.number('deformable_groups'),
    ...paddingOf(c, 2),
  }
  c.e.one('DeformConv', [c.in('x'), c.in('filter'), c.in('offset'), null, c.optional('mask')], attributes, c.out())
}

const roiAlign: WriteRule = (c) => {
  const aligned = c.bool('aligned')
  if (aligned) c.e.require(16, "RoiAlign with coordinates of 'half_pixel'")
  const attributes = {
    mode: c.text('mode'),
    output_height: c.number('output_height'),
    output_width: c.number('output_width'),
    sampling_ratio: c.number('sampling_ratio'),
    spatial_scale: floatAttribute(c.number('spatial_scale')),
    ...(c.e.opset >= 16 ? { coordinate_transformation_mode: aligned ? 'half_pixel' : 'output_half_pixel' } : {}),
  }
  const image = c.dtype('image') === 'int64' ? c.in('image') : c.e.cast(c.in('image'), 'int64')
  c.e.one('RoiAlign', [c.in('x'), c.in('boxes'), image], attributes, c.out())
}

export const spatialWriters: WriteRules = {
  affine_grid: affineGrid,
  conv2d: conv,
  conv2d_transpose: convTranspose,
  conv3d: conv,
  conv3d_transpose: convTranspose,
  deformable_conv: deformableConv,
  depthwise_conv2d: conv,
  depthwise_conv2d_transpose: convTranspose,
  fold,
  grid_sample: gridSample,
  pixel_shuffle: pixelShuffle,
  pixel_unshuffle: pixelUnshuffle,
  'onnx.RoiAlign': roiAlign,
}
