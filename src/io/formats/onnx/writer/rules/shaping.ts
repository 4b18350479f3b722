/** What makes, cuts, joins and turns shapes, and indices. */
import { fromFront, isNumber, numbersOf } from '../../../program/inference/known.ts'
import { slotNames } from '../../../program/program.ts'
import { dataTypeOf } from '../../model.ts'
import { tensorOf } from '../../tensor-data.ts'
import { floatAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'

/** Larger constants are filled when the model runs. */
const MAX_CONSTANT = 1024

const full: WriteRule = (c) => {
  const shape = c.numbers('shape')
  const dtype = c.dtypeOf('dtype') ?? 'float32'
  if (shape.reduce((a, b) => a * b, 1) <= MAX_CONSTANT) {
    const constant = c.e.array(c.e.filled(shape, c.value('value'), dtype), 'full')
    return void c.e.one('Identity', [constant], {}, c.out())
  }
  filled(c, c.e.ints(shape))
}

/** A shape full of one number. */
function filled(c: WriteCall, shape: string): void {
  const dtype = c.dtypeOf('dtype') ?? c.dtype()
  const value = tensorOf('', c.e.filled([1], c.value('value'), dtype))
  c.e.one('ConstantOfShape', [shape], { value: { kind: 'tensor', value } }, c.out())
}

const fullLike: WriteRule = (c) => {
  const shape = c.e.one('Shape', [c.in('x')])
  if (!c.has('value')) return filled(c, shape)
  const value = c.scalarIn('value', c.dtypeOf('dtype') ?? c.dtype())
  c.e.one('Expand', [value, shape], {}, c.out())
}

const fullWithTensor: WriteRule = (c) => {
  const dtype = c.dtypeOf('dtype') ?? c.dtype('value')
  c.e.one('Expand', [c.scalarIn('value', dtype), c.intsIn('shape')], {}, c.out())
}

const assigned: WriteRule = (c) => {
  const dtype = c.dtypeOf('dtype') ?? 'float32'
  const array = c.e.filled(c.numbers('shape'), 0, dtype)
  c.numbers('values').forEach((v, i) => {
    array.data[i] = array.data instanceof BigInt64Array ? BigInt(v) : v
  })
  if (dtype === 'float16' || dtype === 'bfloat16') c.refuse(`constants of ${dtype}`)
  c.e.one('Identity', [c.e.array(array, 'assign_value')], {}, c.out())
}

const arange: WriteRule = (c) => {
  const dtype = c.dtypeOf('dtype') ?? 'int64'
  const ends = ['start', 'end', 'step'].map((name) => c.scalarIn(name, dtype))
  c.e.one('Range', ends, {}, c.out())
}

/** 0 copies a size, as in ONNX. */
const reshape: WriteRule = (c) => void c.e.one('Reshape', [c.in('x'), c.intsIn('shape')], {}, c.out())

const squeeze: WriteRule = (c) => {
  const axes = c.numbers('axis')
  const { shape } = c.known('x')
  // ONNX refuses axes of more than one element, which stay in Paddle.
  const ones =
    axes.length === 0 || !shape
      ? axes
      : axes.filter((a) => !isNumber(shape[fromFront(a, shape.length)]) || shape[fromFront(a, shape.length)] === 1)
  if (axes.length > 0 && ones.length === 0) return void c.e.one('Identity', [c.in('x')], {}, c.out())
  c.e.one('Squeeze', [c.in('x'), axes.length === 0 ? null : c.e.ints(ones)], {}, c.out())
}

/** Axes are inserted one after the other in Paddle, at their places in the result in ONNX. */
const unsqueeze: WriteRule = (c) => {
  const axes = c.numbers('axis')
  const isPlain = axes.every((a, i) => a >= 0 && (i === 0 || a > axes[i - 1]!))
  if (isPlain || axes.length === 1) return void c.e.one('Unsqueeze', [c.in('x'), c.e.ints(axes)], {}, c.out())
  let x = c.in('x')
  axes.forEach(
    (a, i) => (x = c.e.one('Unsqueeze', [x, c.e.ints([a])], {}, i === axes.length - 1 ? c.out() : undefined)),
  )
}

/** Sizes [from, to) of a value, as a vector. */
export function sizesIn(c: WriteCall, x: string, from: number, to: number): string {
  return c.e.one('Slice', [c.e.one('Shape', [x]), c.e.ints([from]), c.e.ints([to]), c.e.ints([0])])
}

const flatten: WriteRule = (c) => {
  const rank = c.rank()
  const x = c.in('x')
  if (rank === 0) return void c.e.one('Reshape', [x, c.e.ints([1])], {}, c.out())
  const [start, stop] = [fromFront(c.number('start_axis'), rank), fromFront(c.number('stop_axis'), rank)]
  const copied = new Array<number>(start).fill(0)
  const tail = c.known('x').shape!.slice(stop + 1)
  const sizes = numbersOf(tail)
  if (sizes && !sizes.includes(0)) return void c.e.one('Reshape', [x, c.e.ints([...copied, -1, ...sizes])], {}, c.out())
  const parts = [c.e.ints([...copied, -1]), sizesIn(c, x, stop + 1, rank)]
  c.e.one('Reshape', [x, c.e.one('Concat', parts, { axis: 0 })], {}, c.out())
}

const concat: WriteRule = (c) => void c.e.one('Concat', c.list('x'), { axis: c.number('axis') }, c.out())

const stack: WriteRule = (c) => {
  const axis = c.number('axis')
  const parts = c.list('x').map((x) => c.e.one('Unsqueeze', [x, c.e.ints([axis])]))
  c.e.one('Concat', parts, { axis }, c.out())
}

const split: WriteRule = (c) => {
  const axis = c.number('axis')
  const sections = c.numbers('sections')
  const rest = sections.indexOf(-1)
  if (rest >= 0) {
    const size = c.size('x', axis)
    sections[rest] = size - sections.reduce((a, b, i) => (i === rest ? a : a + b), 0)
  }
  c.e.node('Split', [c.in('x'), c.e.ints(sections)], { axis }, c.outs())
}

function splitEqually(c: WriteCall, slot: string, outputs: readonly string[], axis: number): void {
  const attributes = { axis, ...(c.e.opset >= 18 ? { num_outputs: outputs.length } : {}) }
  c.e.node('Split', [c.in(slot)], attributes, outputs)
}

const unbind = (slot: string): WriteRule => {
  return (c) => {
    const axis = c.number('axis')
    const outs = c.outs()
    const parts = outs.map((o) => c.e.fresh(`${o}.part`))
    splitEqually(c, slot, parts, axis)
    outs.forEach((out, i) => c.e.one('Squeeze', [parts[i]!, c.e.ints([axis])], {}, out))
  }
}

const slice: WriteRule = (c) => {
  const gone = c.numbers('decrease_axis')
  const operands = [c.in('input'), c.intsIn('starts'), c.intsIn('ends'), c.e.ints(c.numbers('axes'))]
  const cut = c.e.one('Slice', operands, {}, gone.length > 0 ? undefined : c.out())
  if (gone.length > 0) c.e.one('Squeeze', [cut, c.e.ints(gone)], {}, c.out())
}

const stridedSlice: WriteRule = (c) => {
  const operands = [c.in('x'), c.intsIn('starts'), c.intsIn('ends'), c.e.ints(c.numbers('axes')), c.intsIn('strides')]
  c.e.one('Slice', operands, {}, c.out())
}

/** -1 keeps the size, as 1 does in ONNX. */
const expand: WriteRule = (c) => {
  const shape = c.has('shape') ? keptByOnes(c) : c.e.ints(c.numbers('shape').map((d) => (d < 0 ? 1 : d)))
  c.e.one('Expand', [c.in('x'), shape], {}, c.out())
}

/** Sizes are not negative but for -1, whose absolute value is the 1 that keeps a size. */
function keptByOnes(c: WriteCall): string {
  return c.e.one('Abs', [c.intsIn('shape')])
}

const tile: WriteRule = (c) => {
  const times = c.numbers('repeat_times')
  const rank = c.rank()
  const x = times.length > rank ? lifted(c, times.length - rank) : c.in('x')
  const all = [...new Array<number>(Math.max(rank - times.length, 0)).fill(1), ...times]
  c.e.one('Tile', [x, c.e.ints(all)], {}, c.out())
}

function lifted(c: WriteCall, axes: number): string {
  return c.e.one('Unsqueeze', [c.in('x'), c.e.ints(Array.from({ length: axes }, (_, i) => i))])
}

const flip: WriteRule = (c) => {
  const axes = c.numbers('axis')
  const each = (v: number): string => c.e.ints(axes.map(() => v))
  c.e.one('Slice', [c.in('x'), each(-1), each(-(2 ** 31)), c.e.ints(axes), each(-1)], {}, c.out())
}

const roll: WriteRule = (c) => {
  const axes = c.numbers('axis')
  const shifts = c.numbers('shifts')
  if (axes.length === 0) c.refuse('all axes as one')
  let x = c.in('x')
  axes.forEach((axis, i) => {
    const size = c.size('x', axis)
    const shift = size === 0 ? 0 : ((shifts[i]! % size) + size) % size
    const part = (from: number, to: number): string =>
      c.e.one('Slice', [x, c.e.ints([from]), c.e.ints([to]), c.e.ints([axis])])
    const out = i === axes.length - 1 ? c.out() : undefined
    x =
      shift === 0
        ? c.e.one('Identity', [x], {}, out)
        : c.e.one('Concat', [part(size - shift, size), part(0, size - shift)], { axis }, out)
  })
}

/** `pad` pairs ends axis by axis; ONNX has all beginnings first. */
function padded(c: WriteCall, pairs: readonly number[], mode: string, value: string | null): void {
  const side = (s: number): number[] => pairs.filter((_, i) => i % 2 === s)
  if (mode === 'wrap') c.e.require(19, 'circular padding')
  c.e.one('Pad', [c.in('x'), c.e.ints([...side(0), ...side(1)]), value], { mode }, c.out())
}

const padModes: Readonly<Record<string, string>> = {
  constant: 'constant',
  reflect: 'reflect',
  replicate: 'edge',
  circular: 'wrap',
}

const pad: WriteRule = (c) => padded(c, c.numbers('paddings'), 'constant', c.scalarIn('pad_value', c.dtype()))

const padSpatial: WriteRule = (c) => {
  const rank = c.rank()
  const pads = c.numbers('paddings')
  const first = /^N[DHWL]+C$/.test(c.text('data_format')) ? 1 : 2
  const pairs = new Array<number>(2 * rank).fill(0)
  for (let i = 0; i < rank - 2; i++) {
    const axis = first + rank - 3 - i
    pairs[2 * axis] = pads[2 * i] ?? 0
    pairs[2 * axis + 1] = pads[2 * i + 1] ?? 0
  }
  const mode = padModes[c.text('mode')] ?? c.refuse(`mode '${c.text('mode')}'`)
  padded(c, pairs, mode, mode === 'constant' ? c.scalarIn('pad_value', c.dtype()) : null)
}

/** The row of padding is 0, whatever stands in the table. */
const embedding: WriteRule = (c) => {
  const padding = c.number('padding_idx')
  if (padding < 0) return void c.e.one('Gather', [c.in('weight'), c.in('x')], { axis: 0 }, c.out())
  const table = c.parameter('weight') ?? c.refuse('a padding row of a table that is computed')
  const width = table.shape[1]!
  const data = table.data.slice()
  data.fill((table.dtype === 'int64' ? 0n : 0) as never, padding * width, (padding + 1) * width)
  const [name] = slotNames(c.operation.inputs['weight'])
  c.e.one('Gather', [c.e.array({ ...table, data }, name!), c.in('x')], { axis: 0 }, c.out())
}

const gather: WriteRule = (c) => {
  const { shape } = c.known('index')
  const axis = c.number('axis')
  // Paddle takes [n, 1] for [n].
  const index = shape?.length === 2 ? c.e.one('Squeeze', [c.in('index'), c.e.ints([1])]) : c.in('index')
  c.e.one('Gather', [c.in('x'), index], { axis }, c.out())
}

const scatter: WriteRule = (c) => {
  const { shape } = c.known('index')
  const index = shape?.length === 2 ? c.in('index') : c.e.one('Unsqueeze', [c.in('index'), c.e.ints([-1])])
  if (c.bool('overwrite'))
    return void c.e.one('ScatterND', [c.in('x'), wide(c, 'index', index), c.in('updates')], {}, c.out())
  c.e.require(16, 'scatter that adds')
  const zeros = c.e.one('Mul', [c.in('updates'), c.e.scalar(0, c.dtype())])
  const cleared = c.e.one('ScatterND', [c.in('x'), wide(c, 'index', index), zeros])
  c.e.one('ScatterND', [cleared, wide(c, 'index', index), c.in('updates')], { reduction: 'add' }, c.out())
}

/** Indices of nodes that take int64 only. */
const wide = (c: WriteCall, slot: string, name = c.in(slot)): string =>
  c.dtype(slot) === 'int64' ? name : c.e.cast(name, 'int64')

const scatterNdAdd: WriteRule = (c) => {
  c.e.require(16, 'scatter_nd_add')
  c.e.one('ScatterND', [c.in('x'), wide(c, 'index'), c.in('updates')], { reduction: 'add' }, c.out())
}

const reductions: Readonly<Record<string, string>> = {
  assign: 'none',
  add: 'add',
  mul: 'mul',
  multiply: 'mul',
  amax: 'max',
  amin: 'min',
}

/** The attribute of what happens where something is already. */
function reductionOf(c: WriteCall): { readonly reduction?: string } {
  const reduction = reductions[c.text('reduce')] ?? c.refuse(`reduction '${c.text('reduce')}'`)
  if (reduction === 'none') return {}
  c.e.require(reduction === 'max' || reduction === 'min' ? 18 : 16, `reduction '${reduction}'`)
  return { reduction }
}

const putAlongAxis: WriteRule = (c) => {
  if (c.operation.type === 'put_along_axis' && !c.bool('include_self')) c.refuse('without what is there')
  const attributes = { axis: c.number('axis'), ...reductionOf(c) }
  c.e.one('ScatterElements', [c.in('arr'), c.in('indices'), c.in('values')], attributes, c.out())
}

const oneHot: WriteRule = (c) => {
  const values = c.e.array({ dtype: 'float32', shape: [2], data: Float32Array.of(0, 1) }, 'off_on')
  c.e.one('OneHot', [c.in('x'), c.scalarIn('num_classes', 'int64'), values], {}, c.out())
}

const triangle = (upper: number): WriteRule => {
  return (c) => {
    c.e.require(14, 'a triangle of a matrix')
    c.e.one('Trilu', [c.in('x'), c.e.scalar(c.number('diagonal'), 'int64')], { upper }, c.out())
  }
}

const shapeAs = (dtype: 'int32' | 'int64'): WriteRule => {
  return (c) => {
    const shape = c.e.one('Shape', [c.in('input')], {}, dtype === 'int64' ? c.out() : undefined)
    if (dtype === 'int32') c.e.one('Cast', [shape], { to: dataTypeOf('int32') }, c.out())
  }
}

export const shapingWriters: WriteRules = {
  arange,
  assign_value: assigned,
  assign_value_: assigned,
  concat,
  embedding,
  expand,
  expand_as: (c) => {
    const shape = c.has('y')
      ? c.e.one('Shape', [c.in('y')])
      : c.e.ints(c.numbers('target_shape').map((d) => (d < 0 ? 1 : d)))
    c.e.one('Expand', [c.in('x'), shape], {}, c.out())
  },
  flatten,
  flip,
  full,
  full_int_array: (c) => void c.e.one('Identity', [c.e.ints(c.numbers('value'))], {}, c.out()),
  full_like: fullLike,
  full_with_tensor: fullWithTensor,
  gather,
  gather_nd: (c) => void c.e.one('GatherND', [c.in('x'), wide(c, 'index')], {}, c.out()),
  index_sample: (c) => void c.e.one('GatherElements', [c.in('x'), c.in('index')], { axis: 1 }, c.out()),
  index_select: (c) => void c.e.one('Gather', [c.in('x'), c.in('index')], { axis: c.number('axis') }, c.out()),
  numel: (c) => void c.e.one('Size', [c.in('x')], {}, c.out()),
  one_hot: oneHot,
  pad,
  pad3d: padSpatial,
  put_along_axis: putAlongAxis,
  reshape,
  roll,
  scatter,
  scatter_nd_add: scatterNdAdd,
  shape: shapeAs('int32'),
  shape64: shapeAs('int64'),
  slice,
  split,
  split_with_num: (c) => splitEqually(c, 'x', c.outs(), c.number('axis')),
  squeeze,
  stack,
  strided_slice: stridedSlice,
  take_along_axis: (c) =>
    void c.e.one('GatherElements', [c.in('arr'), c.in('indices')], { axis: c.number('axis') }, c.out()),
  tile,
  transpose: (c) => {
    const rank = c.numbers('perm').length
    c.e.one('Transpose', [c.in('x')], { perm: c.numbers('perm').map((p) => fromFront(p, rank)) }, c.out())
  },
  tril: triangle(0),
  triu: triangle(1),
  unbind: unbind('input'),
  unsqueeze,
  unstack: unbind('x'),
  'onnx.DepthToSpace': (c) => void c.e.one('DepthToSpace', [c.in('x')], { blocksize: c.number('blocksize') }, c.out()),
  'onnx.Expand': (c) => void c.e.one('Expand', [c.in('x'), c.intsIn('shape')], {}, c.out()),
  'onnx.Gather': (c) => void c.e.one('Gather', [c.in('x'), c.in('index')], { axis: c.number('axis') }, c.out()),
  'onnx.GatherND': (c) =>
    void c.e.one('GatherND', [c.in('x'), wide(c, 'index')], { batch_dims: c.number('batch_dims') }, c.out()),
  'onnx.LRN': (c) => {
    const attributes = {
      size: c.number('size'),
      alpha: floatAttribute(c.number('alpha')),
      beta: floatAttribute(c.number('beta')),
      bias: floatAttribute(c.number('bias')),
    }
    c.e.one('LRN', [c.in('x')], attributes, c.out())
  },
  'onnx.OneHot': (c) => {
    const operands = [c.in('index'), c.e.scalar(c.number('depth'), 'int64'), c.in('values')]
    c.e.one('OneHot', operands, { axis: c.number('axis') }, c.out())
  },
  'onnx.Pad': (c) => {
    const mode = padModes[c.text('mode')] ?? c.refuse(`mode '${c.text('mode')}'`)
    padded(c, c.numbers('paddings'), mode, null)
  },
  'onnx.ReshapeLike': (c) => void c.e.one('Reshape', [c.in('x'), c.e.one('Shape', [c.in('like')])], {}, c.out()),
  'onnx.ScatterElements': putAlongAxis,
  'onnx.ScatterND': (c) =>
    void c.e.one('ScatterND', [c.in('x'), wide(c, 'index'), c.in('updates')], reductionOf(c), c.out()),
  'onnx.SpaceToDepth': (c) => void c.e.one('SpaceToDepth', [c.in('x')], { blocksize: c.number('blocksize') }, c.out()),
}
