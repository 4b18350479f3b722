/** Legacy operators that are more than a renamed row: what they say is said by several operators, or by other attributes. */
import type { DType } from '../../../common/dtype.ts'
import { UnsupportedError } from '../../../common/errors.ts'
import type { AttributeValue } from '../program/program.ts'
import { dtypeText, type LegacyCall } from './legacy-call.ts'
import { beforeActivation, emitActivation, fullyConnected } from './legacy-fused.ts'
import type { LegacyReading } from './legacy-reader.ts'

export type SpecialReader = (call: LegacyCall, reading: LegacyReading) => void

/** y's axes begin at `axis` of x's; -1: they end together. Fused by Paddle Lite, an activation follows. */
function elementwise(row: string): SpecialReader {
  return (call, reading) => {
    const x = call.input('X')
    let y = call.input('Y')
    const axis = call.number('axis', -1)
    const info = reading.info(y)
    if (axis >= 0 && info) {
      const behind = reading.rank(x, call) - axis - info.shape.length
      if (behind > 0) {
        const shape = [...info.shape, ...new Array<number>(behind).fill(1)]
        const spread = reading.temporary(y, info.dtype, shape)
        const axes = Array.from({ length: behind }, (_, i) => info.shape.length + i)
        reading.emit(call, 'unsqueeze', { x: y }, { out: spread }, { axis: axes })
        y = spread
      }
    }
    const variable = call.output('Out')
    const out = beforeActivation(call, reading, variable)
    reading.emit(call, row, { x, y }, { out })
    emitActivation(call, reading, out, variable)
  }
}

function reduction(row: string): SpecialReader {
  return (call, reading) => {
    const all = call.bool('reduce_all')
    const attributes: Record<string, AttributeValue> = {
      axis: all ? [] : call.numbers('dim'),
      keepdim: call.bool('keep_dim'),
    }
    const dtype = call.number('out_dtype', -1)
    if (row === 'sum' && dtype >= 0) attributes['dtype'] = dtypeText(dtype)
    reading.emit(call, row, { x: call.input('X') }, { out: reading.result(call.output('Out')) }, attributes)
  }
}

/** x as a matrix: axes up to `columns` are rows. Leaves rows apart, which a product keeps. */
function mul(call: LegacyCall, reading: LegacyReading): void {
  let x = call.input('X')
  const columns = call.number('x_num_col_dims', 1)
  if (call.number('y_num_col_dims', 1) !== 1)
    throw new UnsupportedError(`pdmodel: mul (${call.origin}) with y_num_col_dims other than 1 is not supported`)
  const info = reading.info(x)
  if (reading.rank(x, call) > columns + 1) {
    const shape = info && [...info.shape.slice(0, columns), product(info.shape.slice(columns))]
    const flat = reading.temporary(x, info?.dtype, shape)
    reading.emit(call, 'flatten', { x }, { out: flat }, { start_axis: columns, stop_axis: -1 })
    x = flat
  }
  const out = reading.result(call.output('Out'))
  reading.emit(call, 'matmul', { x, y: call.input('Y') }, { out }, { transpose_x: false, transpose_y: false })
}

function product(sizes: readonly number[]): number {
  return sizes.some((d) => d < 0) ? -1 : sizes.reduce((n, d) => n * d, 1)
}

function matmul(call: LegacyCall, reading: LegacyReading): void {
  const alpha = call.number('alpha', 1)
  const variable = call.output('Out')
  const inputs = { x: call.input('X'), y: call.input('Y') }
  const attributes = { transpose_x: call.bool('transpose_X'), transpose_y: call.bool('transpose_Y') }
  if (alpha === 1) {
    reading.emit(call, 'matmul', inputs, { out: reading.result(variable) }, attributes)
    return
  }
  const info = reading.info(variable)
  const plain = reading.temporary(variable, info?.dtype, info?.shape)
  reading.emit(call, 'matmul', inputs, { out: plain }, attributes)
  reading.emit(
    call,
    'scale',
    { x: plain },
    { out: reading.result(variable) },
    { scale: alpha, bias: 0, bias_after_scale: true },
  )
}

const words = new Map([
  ['inf', Infinity],
  ['-inf', -Infinity],
  ['nan', NaN],
])

function fillConstant(call: LegacyCall, reading: LegacyReading): void {
  const text = call.attribute('str_value')
  const value =
    typeof text === 'string' && text !== '' ? (words.get(text.toLowerCase()) ?? Number(text)) : call.number('value', 0)
  const dtype = dtypeText(call.number('dtype', 5))
  const shape = call.numbers('shape')
  const [tensor] = call.inputs('ShapeTensor')
  const list = call.inputs('ShapeTensorList')
  const [filling] = call.inputs('ValueTensor')
  const out = reading.result(call.output('Out'))
  if (tensor === undefined && list.length === 0 && filling === undefined) {
    reading.emit(call, 'full', {}, { out }, { shape, value, dtype })
    if (product(shape) === 1) reading.remember(out, value)
    return
  }
  let from = filling
  if (from === undefined) {
    from = reading.temporary(out, dtype as DType, [])
    reading.emit(call, 'full', {}, { out: from }, { shape: [], value, dtype })
  }
  if (tensor !== undefined || list.length > 0) {
    const set = tensor === undefined ? reading.setting(list, false) : reading.setting([tensor], true)
    if ('names' in set) reading.emit(call, 'full_with_tensor', { value: from, shape: set.names }, { out }, { dtype })
    else reading.emit(call, 'full_with_tensor', { value: from }, { out }, { dtype, shape: set.constant })
  } else reading.emit(call, 'full_with_tensor', { value: from }, { out }, { dtype, shape })
}

function assignValue(call: LegacyCall, reading: LegacyReading): void {
  const dtype = dtypeText(call.number('dtype', 5))
  const names = ['values', 'fp32_values', 'int32_values', 'int64_values', 'bool_values']
  const values = names.map((n) => call.numbers(n)).find((v) => v.length > 0) ?? []
  const out = reading.result(call.output('Out'))
  reading.emit(call, 'assign_value', {}, { out }, { shape: call.numbers('shape'), dtype, values })
  if (dtype === 'int32' || dtype === 'int64') reading.remember(out, values)
}

/** Bounds of a range are tensors of the dtype that comes out. */
function range(row: string, slots: Readonly<Record<string, string>>): SpecialReader {
  return (call, reading) => {
    const inputs: Record<string, string | readonly string[]> = {}
    const attributes: Record<string, AttributeValue> = {}
    let dtype = call.attribute('dtype') === undefined ? undefined : dtypeText(call.number('dtype', 5))
    for (const [name, slot] of Object.entries(slots)) {
      const set = reading.setting([call.input(slot)], true)
      if ('names' in set) inputs[name] = set.names
      else attributes[name] = typeof set.constant === 'object' ? set.constant[0]! : set.constant
      dtype ??= reading.info(call.input(slot))?.dtype
    }
    attributes['dtype'] = dtype ?? 'float32'
    reading.emit(call, row, inputs, { out: reading.result(call.output('Out')) }, attributes)
  }
}

function split(call: LegacyCall, reading: LegacyReading): void {
  const inputs: Record<string, string | readonly string[]> = { x: call.input('X') }
  const attributes: Record<string, AttributeValue> = {}
  const axis = call.inputs('AxisTensor')
  const set = axis.length > 0 ? reading.setting(axis, true) : { constant: call.number('axis', 0) }
  if ('names' in set) inputs['axis'] = set.names
  else attributes['axis'] = set.constant
  const out = call.outputs('Out').map((v) => reading.result(v))
  const sections = call.inputs('SectionsTensorList')
  const fixed = call.numbers('sections')
  if (sections.length > 0) inputs['sections'] = sections
  else if (fixed.length > 0) attributes['sections'] = fixed
  else {
    reading.emit(call, 'split_with_num', inputs, { out }, { ...attributes, num: call.number('num', 0) || out.length })
    return
  }
  reading.emit(call, 'split', inputs, { out }, attributes)
}

/** Indices with a last axis of one element, as old embeddings take them. */
function lookupTable(call: LegacyCall, reading: LegacyReading): void {
  const ids = call.input('Ids')
  const info = reading.info(ids)
  const flat = reading.temporary(ids, info?.dtype, info?.shape.slice(0, -1))
  reading.emit(call, 'squeeze', { x: ids }, { out: flat }, { axis: [-1] })
  reading.emit(
    call,
    'embedding',
    { x: flat, weight: call.input('W') },
    { out: reading.result(call.output('Out')) },
    { padding_idx: call.number('padding_idx', -1), sparse: false },
  )
}

/** A matrix of the axes before and behind `axis`. */
function flattenToMatrix(call: LegacyCall, reading: LegacyReading): void {
  const x = call.input('X')
  const info = reading.info(x)
  const axis = call.number('axis', 1)
  const out = call.output('Out')
  if (axis === 0) {
    reading.emit(call, 'reshape', { x }, { out: reading.result(out) }, { shape: [1, -1] })
    return
  }
  const shape = info && [...info.shape.slice(0, axis), product(info.shape.slice(axis))]
  const behind = reading.temporary(out, info?.dtype, shape)
  reading.emit(call, 'flatten', { x }, { out: behind }, { start_axis: axis, stop_axis: -1 })
  reading.emit(call, 'flatten', { x: behind }, { out: reading.result(out) }, { start_axis: 0, stop_axis: axis - 1 })
}

/** Padding of two axes, [top, bottom, left, right], is padding of three of which the first has one element. */
function pad2d(call: LegacyCall, reading: LegacyReading): void {
  const mode = call.attribute('mode')
  if (call.attribute('data_format') === 'NHWC')
    throw new UnsupportedError(`pdmodel: pad2d (${call.origin}) of channels last is not supported`)
  const [top = 0, bottom = 0, left = 0, right = 0] = call.numbers('paddings')
  const x = call.input('X')
  const variable = call.output('Out')
  const lift = (name: string): string => {
    const info = reading.info(name)
    return reading.temporary(name, info?.dtype, info && [...info.shape.slice(0, 2), 1, ...info.shape.slice(2)])
  }
  const [before, after] = [lift(x), lift(variable)]
  reading.emit(call, 'unsqueeze', { x }, { out: before }, { axis: [2] })
  reading.emit(
    call,
    'pad3d',
    { x: before },
    { out: after },
    {
      paddings: [left, right, top, bottom, 0, 0],
      mode: mode === 'edge' ? 'replicate' : typeof mode === 'string' ? mode : 'constant',
      pad_value: call.number('pad_value', 0),
      data_format: 'NCDHW',
    },
  )
  reading.emit(call, 'squeeze', { x: after }, { out: reading.result(variable) }, { axis: [2] })
}

function triangle(call: LegacyCall, reading: LegacyReading): void {
  const row = call.bool('lower', true) ? 'tril' : 'triu'
  const out = reading.result(call.output('Out'))
  reading.emit(call, row, { x: call.input('X') }, { out }, { diagonal: call.number('diagonal', 0) })
}

/** Interpolation of before 2.0: one factor, no list. */
function oldInterpolation(row: string, mode: string): SpecialReader {
  return (call, reading) => {
    const [size] = call.inputs('OutSize')
    const factor = call.number('scale', 0)
    const attributes: Record<string, AttributeValue> = {
      data_format: 'NCHW',
      out_d: call.number('out_d', -1),
      out_h: call.number('out_h', -1),
      out_w: call.number('out_w', -1),
      scale: factor > 0 ? [factor, factor] : [],
      interp_method: mode,
      align_corners: call.bool('align_corners', true),
      align_mode: call.number('align_mode', 1),
    }
    const inputs = { x: call.input('X'), ...(size === undefined ? {} : { out_size: size }) }
    reading.emit(call, row, inputs, { out: reading.result(call.output('Out')) }, attributes)
  }
}

function fillZerosLike(call: LegacyCall, reading: LegacyReading): void {
  const out = reading.result(call.output('Out'))
  reading.emit(call, 'full_like', { x: call.input('X') }, { out }, { value: 0, dtype: '' })
}

const elementwiseRows: Readonly<Record<string, string>> = {
  elementwise_add: 'add',
  elementwise_sub: 'subtract',
  elementwise_mul: 'multiply',
  elementwise_div: 'divide',
  elementwise_pow: 'elementwise_pow',
  elementwise_max: 'maximum',
  elementwise_min: 'minimum',
  elementwise_mod: 'remainder',
  elementwise_floordiv: 'floor_divide',
}

export const specialReaders: Readonly<Record<string, SpecialReader>> = {
  ...Object.fromEntries(
    Object.entries(elementwiseRows).flatMap(([type, row]) => [
      [type, elementwise(row)],
      [`fusion_${type}_activation`, elementwise(row)],
    ]),
  ),
  fc: fullyConnected,
  ...Object.fromEntries(
    ['sum', 'mean', 'max', 'min', 'prod', 'any', 'all', 'amax', 'amin'].map((row) => [`reduce_${row}`, reduction(row)]),
  ),
  mul,
  matmul,
  fill_constant: fillConstant,
  fill_zeros_like: fillZerosLike,
  assign_value: assignValue,
  range: range('arange', { start: 'Start', end: 'End', step: 'Step' }),
  linspace: range('linspace', { start: 'Start', stop: 'Stop', number: 'Num' }),
  split,
  lookup_table: lookupTable,
  flatten: flattenToMatrix,
  flatten2: flattenToMatrix,
  pad2d,
  tril_triu: triangle,
  nearest_interp: oldInterpolation('nearest_interp', 'nearest'),
  bilinear_interp: oldInterpolation('bilinear_interp', 'bilinear'),
}
