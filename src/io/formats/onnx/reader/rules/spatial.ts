/** Convolutions, pools, resizing: windows over the axes behind batch and channel. */
import { FormatError } from '../../../../../common/errors.ts'
import { fromFront, isNumber, type Dim } from '../../../program/inference/known.ts'
import type { NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type RuleTable } from '../rule.ts'

/** How windows lie, for `axes` spatial axes. */
interface Geometry {
  readonly strides: number[]
  readonly dilations: number[]
  /** Both ends of each axis, one after the other. */
  readonly paddings: number[]
  readonly padding_algorithm: string
}

function geometryOf(n: NodeCall, kernel: readonly number[]): Geometry {
  const axes = kernel.length
  const ones = new Array<number>(axes).fill(1)
  const strides = n.ints('strides', ones)
  const dilations = n.ints('dilations', ones)
  const auto = n.text('auto_pad', 'NOTSET')
  const base = { strides, dilations, padding_algorithm: 'EXPLICIT' }
  if (auto === 'NOTSET' || auto === '') {
    const pads = n.ints('pads', new Array<number>(2 * axes).fill(0))
    return { ...base, paddings: ones.flatMap((_, i) => [pads[i]!, pads[i + axes]!]) }
  }
  const zeros = new Array<number>(2 * axes).fill(0)
  if (auto === 'VALID') return { ...base, paddings: zeros }
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') n.refuse(`auto_pad '${auto}'`)
  const sizes = n.known(0).shape?.slice(2)
  const fits = kernel.map((k, i) => sameEnds(sizes?.[i], k, strides[i]!, dilations[i]!))
  if (fits.every((f) => f !== null))
    return { ...base, paddings: fits.flatMap(([low, high]) => (auto === 'SAME_UPPER' ? [low, high] : [high, low])) }
  // The algorithm knows no dilation and puts the odd element behind.
  if (auto === 'SAME_UPPER' && dilations.every((d) => d === 1))
    return { ...base, paddings: zeros, padding_algorithm: 'SAME' }
  return n.refuse(`auto_pad '${auto}' of an axis whose size is not known`)
}

/** The padding for which the output has the size of the input over the stride; null where the size must be known for it. */
function sameEnds(size: Dim | undefined, kernel: number, stride: number, dilation: number): [number, number] | null {
  const reach = dilation * (kernel - 1) + 1
  if (stride !== 1 && !isNumber(size)) return null
  const total = isNumber(size) ? Math.max((Math.ceil(size / stride) - 1) * stride + reach - size, 0) : reach - 1
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

const layout = (axes: number): string => (axes === 2 ? 'NCHW' : 'NCDHW')

/** Windows over one axis run as windows over two, the first of which has one element. */
function overTwoAxes(geometry: Geometry): Geometry {
  return {
    strides: [1, ...geometry.strides],
    dilations: [1, ...geometry.dilations],
    paddings: [0, 0, ...geometry.paddings],
    padding_algorithm: geometry.padding_algorithm,
  }
}

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
      if (total < 0) return n.refuse('an output larger than its windows reach')
      const half = Math.floor(total / 2)
      return auto === 'SAME_UPPER' ? [half, total - half] : [total - half, half]
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

/**
 * Sizes are rounded up alike, but ONNX leaves out windows that begin behind the input and its first padding, and Paddle does not. Where there
 * are such windows, the paddings for which rounding down gives ONNX's number; null where sizes must be known for it.
 */
function roundedUp(n: NodeCall, kernel: readonly number[], { strides, paddings }: Geometry): number[] | null {
  if (kernel.every((k, i) => strides[i]! + paddings[2 * i + 1]! <= k)) return null
  const sizes = n.known(0).shape?.slice(2)
  return kernel.flatMap((k, i) => {
    const size = sizes?.[i]
    if (!isNumber(size)) return n.refuse('ceil_mode of an axis whose size is not known')
    const [low, high, stride] = [paddings[2 * i]!, paddings[2 * i + 1]!, strides[i]!]
    let count = Math.ceil((size + low + high - k) / stride) + 1
    if ((count - 1) * stride >= size + low) count--
    return [low, Math.max((count - 1) * stride + k - size - low, 0)]
  })
}

const pool = (kind: 'max' | 'avg'): Convert => {
  return (n) => {
    const kernel = n.ints('kernel_shape') ?? n.refuse('a kernel whose size is not told')
    if (kernel.length > 3) n.refuse(`${kernel.length} spatial axes`)
    const geometry = geometryOf(n, kernel)
    if (geometry.dilations.some((d) => d !== 1)) n.refuse('dilations')
    if (n.wants(1)) n.refuse('indices')
    if (n.int('storage_order', 0) !== 0) n.refuse('storage_order')
    const single = kernel.length === 1
    const rounded =
      n.int('ceil_mode', 0) !== 0 && geometry.padding_algorithm === 'EXPLICIT' ? roundedUp(n, kernel, geometry) : null
    if (rounded && kind === 'avg' && n.int('count_include_pad', 0) !== 0) n.refuse('ceil_mode with counted padding')
    const used = rounded ? { ...geometry, paddings: rounded } : geometry
    const { strides, paddings, padding_algorithm } = single ? overTwoAxes(used) : used
    const attributes = {
      kernel_size: single ? [1, ...kernel] : kernel,
      strides,
      paddings,
      ceil_mode: rounded === null && n.int('ceil_mode', 0) !== 0,
      exclusive: kind === 'max' || n.int('count_include_pad', 0) === 0,
      data_format: layout(kernel.length === 3 ? 3 : 2),
      pooling_type: kind,
      global_pooling: false,
      adaptive: false,
      padding_algorithm,
    }
    const type = kernel.length === 3 ? 'pool3d' : 'pool2d'
    if (!single) return n.give(type, { x: n.operand(0) }, attributes)
    const lifted = n.emit('unsqueeze', { x: n.operand(0) }, { axis: [2] })
    n.give('squeeze', { x: n.emit(type, { x: lifted }, attributes) }, { axis: [2] })
  }
}

const globalPool = (kind: 'max' | 'avg'): Convert => {
  return (n) => {
    const rank = n.known(0).shape?.length ?? 4
    if (rank !== 4) {
      const axis = Array.from({ length: rank - 2 }, (_, i) => i + 2)
      return n.give(kind === 'avg' ? 'mean' : 'max', { x: n.operand(0) }, { axis, keepdim: true })
    }
    const attributes = {
      kernel_size: [1, 1],
      strides: [1, 1],
      paddings: [0, 0],
      ceil_mode: false,
      exclusive: true,
      data_format: 'NCHW',
      pooling_type: kind,
      global_pooling: false,
      adaptive: true,
      padding_algorithm: 'EXPLICIT',
    }
    n.give('pool2d', { x: n.operand(0) }, attributes)
  }
}

/** How positions are mapped; the rest of what Resize can be told goes to its own operator. */
interface Resizing {
  readonly mode: string
  readonly transform: string
  readonly nearest: string
}

const resize: Convert = (n) => {
  const axes = n.ints('axes')
  const resizing = {
    mode: n.text('mode', 'nearest'),
    transform: n.text('coordinate_transformation_mode', 'half_pixel'),
    nearest: n.text('nearest_mode', 'round_prefer_floor'),
  }
  const plain =
    n.int('antialias', 0) === 0 &&
    n.int('exclude_outside', 0) === 0 &&
    n.text('keep_aspect_ratio_policy', 'stretch') === 'stretch'
  if (n.has(3)) return resizeTo(n, resizing, plain, axes, 3, 'sizes')
  resizeTo(n, resizing, plain, axes, 2, 'scales')
}

/** Before version 11: scales as the second operand, positions at multiples of the ratio, rounded down. */
const oldResize: Convert = (n) => {
  const scales = n.floats('scales')
  const resizing = { mode: n.text('mode', 'nearest'), transform: 'asymmetric', nearest: 'floor' }
  if (scales) return byScales(n, resizing, true, scales)
  resizeTo(n, resizing, true, undefined, 1, 'scales')
}

function resizeTo(
  n: NodeCall,
  resizing: Resizing,
  plain: boolean,
  given: readonly number[] | undefined,
  i: number,
  what: 'sizes' | 'scales',
): void {
  const axes = given?.map((a) => fromFront(a, n.rank()))
  const numbers = n.numbers(i)
  const spread = (list: readonly number[]): number[] => {
    if (!axes) return [...list]
    const whole = new Array<number>(n.rank()).fill(what === 'scales' ? 1 : -1)
    axes.forEach((a, k) => (whole[a] = list[k]!))
    return whole
  }
  if (what === 'scales' && numbers) return byScales(n, resizing, plain, spread(numbers))
  if (what === 'scales') n.refuse("scales that depend on the input's values")
  const sizes = numbers ? spread(numbers) : null
  const spatial = interpolation(n, resizing, plain)
  const dims = n.dims(i)
  if (spatial && !axes && dims?.length === 4 && keepsLeading(n, dims)) {
    if (sizes)
      return n.give(spatial.type, { x: n.operand(0) }, { ...spatial.attributes, out_h: sizes[2]!, out_w: sizes[3]! })
    const tail = { axes: [0], starts: [2], ends: [4], infer_flags: [1], decrease_axis: [] }
    const size = n.emit('slice', { input: n.operand(i) }, tail)
    return n.give(spatial.type, { x: n.operand(0), out_size: size }, spatial.attributes)
  }
  if (axes && !sizes) n.refuse('axes with sizes that depend on the input')
  const attributes = { ...general(n, resizing), sizes: sizes ?? n.variable(i), scales: [] }
  n.give('onnx.Resize', { x: n.operand(0) }, attributes)
}

/** Whether batch and channel keep their sizes. */
function keepsLeading(n: NodeCall, dims: readonly Dim[]): boolean {
  const { shape } = n.known(0)
  return [0, 1].every((i) => dims[i] !== '' && dims[i] === shape?.[i])
}

function byScales(n: NodeCall, resizing: Resizing, plain: boolean, scales: readonly number[]): void {
  const spatial = interpolation(n, resizing, plain, scales.slice(2))
  if (spatial && scales.length === 4 && scales[0] === 1 && scales[1] === 1)
    return n.give(spatial.type, { x: n.operand(0) }, { ...spatial.attributes, scale: scales.slice(2) })
  n.give('onnx.Resize', { x: n.operand(0) }, { ...general(n, resizing), sizes: [], scales })
}

/** Paddle's interpolation of two axes, where it gives the same. */
function interpolation(
  n: NodeCall,
  { mode, transform, nearest }: Resizing,
  plain: boolean,
  scales?: readonly number[],
) {
  const base = {
    data_format: 'NCHW',
    out_d: -1,
    out_h: -1,
    out_w: -1,
    scale: [],
    interp_method: mode === 'nearest' ? 'nearest' : 'bilinear',
    align_corners: transform === 'align_corners',
    align_mode: transform === 'asymmetric' || mode === 'nearest' ? 1 : 0,
  }
  if (!plain || n.known(0).shape?.length !== 4) return null
  if (mode === 'nearest') {
    // Whole multiples: the nearest element is the one that is repeated, from whichever side.
    const repeats =
      scales?.every((s) => Number.isInteger(s) && s >= 1) &&
      transform === 'half_pixel' &&
      nearest === 'round_prefer_floor'
    return repeats || (transform === 'asymmetric' && nearest === 'floor')
      ? { type: 'nearest_interp', attributes: base }
      : null
  }
  if (mode !== 'linear' || !['half_pixel', 'align_corners', 'asymmetric'].includes(transform)) return null
  return { type: 'bilinear_interp', attributes: base }
}

/** What the operator of its own is told. */
function general(n: NodeCall, { mode, transform, nearest }: Resizing) {
  if (!['nearest', 'linear', 'cubic'].includes(mode)) n.refuse(`mode '${mode}'`)
  if (transform === 'tf_crop_and_resize') n.refuse(`coordinate_transformation_mode '${transform}'`)
  if (n.text('keep_aspect_ratio_policy', 'stretch') !== 'stretch') n.refuse('keep_aspect_ratio_policy')
  return {
    mode,
    transform,
    nearest,
    cubic_coeff: n.float('cubic_coeff_a', -0.75),
    exclude_outside: n.int('exclude_outside', 0) !== 0,
    antialias: n.int('antialias', 0) !== 0,
  }
}

const gridModes: Readonly<Record<string, string>> = { bilinear: 'bilinear', linear: 'bilinear', nearest: 'nearest' }

const gridSample: Convert = (n) => {
  const mode = n.text('mode', 'bilinear')
  if (n.rank() !== 4) n.refuse('grids of more than two axes')
  const attributes = {
    mode: gridModes[mode] ?? n.refuse(`mode '${mode}'`),
    padding_mode: n.text('padding_mode', 'zeros'),
    align_corners: n.int('align_corners', 0) !== 0,
  }
  n.give('grid_sample', { x: n.operand(0), grid: n.operand(1) }, attributes)
}

const windows = 'up to three spatial axes; automatic padding where the sizes that it needs are known'

export const spatialRules: RuleTable = {
  AveragePool: always(pool('avg'), `${windows}; no dilations`),
  Conv: always(conv, windows),
  ConvTranspose: always(convTranspose, windows),
  GlobalAveragePool: always(globalPool('avg')),
  GlobalMaxPool: always(globalPool('max')),
  GridSample: always(gridSample, 'two spatial axes; no cubic mode'),
  MaxPool: always(pool('max'), `${windows}; no dilations, no indices`),
  Resize: versions({ 10: oldResize, 11: resize }, 'scales that are constant; no cropping, no keep_aspect_ratio_policy'),
  Upsample: always(oldResize, 'scales that are constant'),
}
