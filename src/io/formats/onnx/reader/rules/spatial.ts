/** Convolutions, and sampling at points. */
import { FormatError } from '../../../../../common/errors.ts'
import { isNumber, type Dim } from '../../../program/inference/known.ts'
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type RuleTable } from '../rule.ts'
import { geometryOf, layout, overTwoAxes, WINDOW_LIMITS } from './windows.ts'

function kernelOf(n: NodeCall, filter: readonly Dim[] | null): number[] {
  if (filter && filter.length < 3)
    throw new FormatError(`has a filter of ${filter.length} axes; that of a convolution has 3 or more`)
  const kernel = filter?.slice(2)
  if (kernel?.every(isNumber)) return kernel
  const given = n.ints('kernel_shape') ?? n.refuse('a kernel whose size is not known')
  if (kernel && given.length !== kernel.length)
    throw new FormatError(
      `has a kernel_shape of ${given.length} numbers, and a filter of ${kernel.length} spatial axes`,
    )
  return given
}

/** What comes out of `make` for x with an axis of one element before its last one, without that axis; `make` itself where `single` is false. */
function conved(
  n: NodeCall,
  single: boolean,
  hasBias: boolean,
  make: (x: string, filter: string) => [string, Record<string, string>, Record<string, never> | object],
): void {
  const lift = (name: string): string => (single ? n.emit('unsqueeze', { x: name }, { axis: [2] }) : name)
  const [type, inputs, attributes] = make(lift(n.operand(0)), lift(n.operand(1)))
  const last = !single && !hasBias
  if (last) return n.give(type, inputs, { ...attributes })
  const out = n.emit(type, inputs, { ...attributes })
  const flat = single && !hasBias ? null : single ? n.emit('squeeze', { x: out }, { axis: [2] }) : out
  if (flat === null) return n.give('squeeze', { x: out }, { axis: [2] })
  const axes = n.rank(1) - 2
  const bias = n.emit('reshape', { x: n.operand(2) }, { shape: [1, -1, ...new Array<number>(axes).fill(1)] })
  n.give('add', { x: flat, y: bias })
}

const conv: Convert = (n) => {
  const filter = n.known(1).shape
  const kernel = kernelOf(n, filter)
  if (kernel.length > 3) n.refuse(`${kernel.length} spatial axes`)
  const single = kernel.length === 1
  const geometry = single ? overTwoAxes(geometryOf(n, kernel)) : geometryOf(n, kernel)
  const groups = n.int('group', 1)
  const channels = n.known(0).shape?.[1]
  const isDepthwise = groups > 1 && (channels === groups || filter?.[1] === 1) && kernel.length < 3
  const type = kernel.length === 3 ? 'conv3d' : isDepthwise ? 'depthwise_conv2d' : 'conv2d'
  const attributes = { ...geometry, groups, data_format: layout(kernel.length === 3 ? 3 : 2) }
  const slot = type === 'conv3d' ? 'x' : 'input'
  conved(n, single, n.has(2), (x, w) => [type, { [slot]: x, filter: w }, attributes])
}

const convTranspose: Convert = (n) => {
  const filter = n.known(1).shape
  const kernel = kernelOf(n, filter)
  if (kernel.length > 3) n.refuse(`${kernel.length} spatial axes`)
  const single = kernel.length === 1
  const axes = kernel.length
  const zeros = new Array<number>(axes).fill(0)
  const auto = n.text('auto_pad', 'NOTSET')
  const given = n.ints('output_shape')
  const extra = n.ints('output_padding', zeros)
  const ones = zeros.map(() => 1)
  const [strides, dilations] = [n.ints('strides', ones), n.ints('dilations', ones)]
  const pads = n.ints('pads', [...zeros, ...zeros])
  let paddings = zeros.flatMap((_, i) => [pads[i]!, pads[i + axes]!])
  if (given || auto.startsWith('SAME')) {
    const sizes = n.known(0).shape?.slice(2) ?? []
    const wanted = given?.slice(-axes)
    paddings = kernel.flatMap((k, i) => {
      const size = sizes[i]
      if (!isNumber(size)) return n.refuse('an output size for an input size that is not known')
      const out = wanted?.[i] ?? size * strides[i]!
      const total = strides[i]! * (size - 1) + extra[i]! + (k - 1) * dilations[i]! + 1 - out
      const half = Math.floor(total / 2)
      const [low, high] = auto === 'SAME_UPPER' ? [half, total - half] : [total - half, half]
      if (high >= 0 && low >= 0) return [low, high]
      // What lies behind the last window.
      extra[i]! -= high
      if (low < 0 || extra[i]! >= Math.max(strides[i]!, dilations[i]!))
        return n.refuse('an output larger than its windows reach')
      return [low, 0]
    })
  } else if (auto !== 'NOTSET' && auto !== 'VALID' && auto !== '') n.refuse(`auto_pad '${auto}'`)
  const geometry = { strides, dilations, paddings, padding_algorithm: 'EXPLICIT' }
  const attributes = {
    ...(single ? overTwoAxes(geometry) : geometry),
    groups: n.int('group', 1),
    output_padding: extra.every((e) => e === 0) ? [] : single ? [0, ...extra] : extra,
    output_size: [],
    data_format: layout(axes === 3 ? 3 : 2),
  }
  const type = axes === 3 ? 'conv3d_transpose' : 'conv2d_transpose'
  conved(n, single, n.has(2), (x, w) => [type, { x, filter: w }, attributes])
}

const gridModes: Readonly<Record<string, string>> = {
  bilinear: 'bilinear',
  linear: 'bilinear',
  nearest: 'nearest',
  bicubic: 'bicubic',
  cubic: 'bicubic',
}

const gridSample: Convert = (n) => {
  const mode = n.text('mode', 'bilinear')
  const rank = n.known(0).shape?.length
  if (rank !== undefined && rank !== 4 && rank !== 5) n.refuse(`${rank - 2} spatial axes`)
  const attributes = {
    mode: gridModes[mode] ?? n.refuse(`mode '${mode}'`),
    padding_mode: n.text('padding_mode', 'zeros'),
    align_corners: n.int('align_corners', 0) !== 0,
  }
  n.give('grid_sample', { x: n.operand(0), grid: n.operand(1) }, attributes)
}

const affineGrid: Convert = (n) => {
  const attributes = { output_shape: n.variable(1), align_corners: n.int('align_corners', 0) !== 0 }
  n.give('affine_grid', { input: n.operand(0) }, attributes)
}

/** Blocks as columns, added up where they overlap. */
const col2Im: Convert = (n) => {
  const sizes = n.fixed(1, 'sizes') ?? n.refuse('sizes that are not told')
  const kernel = n.fixed(2, 'block') ?? n.refuse('a block that is not told')
  if (sizes.length > 3) n.refuse(`${sizes.length} spatial axes`)
  const ones = sizes.map(() => 1)
  const attributes = {
    output_sizes: sizes,
    kernel_sizes: kernel,
    strides: n.ints('strides', ones),
    paddings: n.ints('pads', [...ones, ...ones].fill(0)),
    dilations: n.ints('dilations', ones),
  }
  n.give('fold', { x: n.operand(0) }, attributes)
}

const deformConv: Convert = (n) => {
  const filter = n.known(1).shape
  const kernel = kernelOf(n, filter)
  if (kernel.length !== 2) n.refuse(`${kernel.length} spatial axes`)
  const { strides, dilations, paddings } = geometryOf(n, kernel)
  const attributes = {
    strides,
    dilations,
    paddings,
    deformable_groups: n.int('offset_group', 1),
    groups: n.int('group', 1),
  }
  const operands = { x: n.operand(0), offset: n.operand(2), filter: n.operand(1), mask: n.optional(4) }
  if (!n.has(3)) return n.give('deformable_conv', operands, attributes)
  const bias = n.emit('reshape', { x: n.operand(3) }, { shape: [1, -1, 1, 1] })
  n.give('add', { x: n.emit('deformable_conv', operands, attributes), y: bias })
}

const roiAlign: Convert = (n) => {
  const mode = n.text('mode', 'avg')
  if (mode !== 'avg' && mode !== 'max') n.refuse(`mode '${mode}'`)
  const transform = n.text('coordinate_transformation_mode', n.opset >= 16 ? 'half_pixel' : 'output_half_pixel')
  const attributes = {
    mode,
    output_height: n.int('output_height', 1),
    output_width: n.int('output_width', 1),
    sampling_ratio: n.int('sampling_ratio', 0),
    spatial_scale: n.float('spatial_scale', 1),
    aligned: transform === 'half_pixel',
  }
  n.give('onnx.RoiAlign', { x: n.operand(0), boxes: n.operand(1), image: n.operand(2) }, attributes)
}

const convolutionLimits = `up to three spatial axes; ${WINDOW_LIMITS}`

export const spatialRules: RuleTable = {
  AffineGrid: always(affineGrid),
  Col2Im: always(col2Im, 'up to three spatial axes; sizes and blocks that are constant'),
  Conv: always(conv, convolutionLimits),
  ConvTranspose: always(convTranspose, convolutionLimits),
  DeformConv: always(deformConv, 'two spatial axes'),
  GridSample: always(gridSample, 'two or three spatial axes'),
  RoiAlign: always(roiAlign),
}
