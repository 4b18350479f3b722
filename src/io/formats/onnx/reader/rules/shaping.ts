/** What makes, cuts, joins and turns shapes. */
import { viewHost, sizeOf, type DType, type HostArray } from '../../../../../common/dtype.ts'
import { fromFront, isNumber, numbersOf, productOf, sameDim, type Dim } from '../../../program/inference/known.ts'
import { elementsOf, type Variable } from '../conversion.ts'
import { sliceBounds, type NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type RuleTable } from '../rule.ts'

/** Ends beyond what an int32 holds mean the end. */
const clamped = (v: number): number => Math.max(Math.min(v, 2 ** 31 - 1), -(2 ** 31))

/** Axes by attribute, or by operand `i` from version 13 (18 for most reductions) on. */
export function axesOf(n: NodeCall, i: number): number[] | undefined {
  return n.ints('axes') ?? n.fixed(i, 'axes')
}

/** Axes counted from the front where they are not. */
function positive(n: NodeCall, axes: readonly number[], rank?: number): number[] {
  return axes.every((a) => a >= 0) ? [...axes] : axes.map((a) => fromFront(a, rank ?? n.rank()))
}

const reshape: Convert = (n) => {
  const dims = n.dims(1)
  const { shape } = n.known(0)
  if (n.int('allowzero', 0) !== 0 && !dims?.every((d) => isNumber(d) && d !== 0)) return reshapeToZero(n, dims, shape)
  n.give('reshape', { x: n.operand(0) }, { shape: dims ? targetOf(n, dims, shape) : n.variable(1) })
}

/** Sizes of 0 are meant: there are no elements. */
function reshapeToZero(n: NodeCall, dims: readonly Dim[] | null, shape: readonly Dim[] | null): void {
  const sizes = numbersOf(dims) ?? n.refuse('allowzero with sizes that are not known')
  if (!shape?.includes(0)) n.refuse('allowzero with a size of 0 for a tensor that may have elements')
  n.give('full', {}, { shape: sizes, value: 0, dtype: n.dtype() })
}

/** Sizes to reshape to, as numbers where that is possible: a size of the input is copied by 0, one unknown size is what is left. */
function targetOf(n: NodeCall, dims: readonly Dim[], shape: readonly Dim[] | null): Variable | number[] {
  const numbers = dims.map((d, i) => (!isNumber(d) && sameDim(d, shape?.[i]) ? 0 : d))
  const unknown = numbers.filter((d) => !isNumber(d)).length
  if (unknown === 1 && !numbers.includes(-1) && !numbers.some((d) => d === 0 && dims[numbers.indexOf(d)] === 0))
    return numbers.map((d) => (isNumber(d) ? d : -1))
  return unknown === 0 ? numbers.map(Number) : n.variable(1)
}

const squeeze: Convert = (n) => {
  const axes = axesOf(n, 1)
  if (
    axes?.length === 0 ||
    (axes === undefined && !n.known(0).shape?.every(isNumber) && n.known(0).shape?.includes(''))
  )
    n.refuse('axes that are not told, and sizes that are not known')
  n.give('squeeze', { x: n.operand(0) }, { axis: axes ? positive(n, axes) : onesOf(n) })
}

const onesOf = (n: NodeCall): number[] => (n.known(0).shape ?? []).flatMap((d, i) => (d === 1 ? [i] : []))

const unsqueeze: Convert = (n) => {
  const axes = axesOf(n, 1) ?? n.refuse('axes that are not told')
  const sorted = axes.some((a) => a < 0) ? positive(n, axes, n.rank() + axes.length) : axes
  n.give('unsqueeze', { x: n.operand(0) }, { axis: [...sorted].sort((a, b) => a - b) })
}

/** To a matrix: what is before the axis, and what is from it on. */
const flatten: Convert = (n) => {
  const axis = n.int('axis', 1)
  const rank = axis < 0 || axis > 1 ? n.rank() : (n.known(0).shape?.length ?? axis + 1)
  const at = fromFront(axis, rank)
  const { shape } = n.known(0)
  if (at === 0 || at === rank) {
    return n.give('reshape', { x: n.operand(0) }, { shape: at === 0 ? [1, -1] : [-1, 1] })
  }
  const tail = shape ? productOf(shape.slice(at)) : ''
  if (at === 1) {
    if (rank === 2) return n.bind(0, n.value(0))
    return n.give('flatten', { x: n.operand(0) }, { start_axis: 1, stop_axis: rank - 1 })
  }
  if (isNumber(tail) && tail > 0) return n.give('reshape', { x: n.operand(0) }, { shape: [-1, tail] })
  const front = n.emit('flatten', { x: n.operand(0) }, { start_axis: at, stop_axis: rank - 1 })
  n.give('flatten', { x: front }, { start_axis: 0, stop_axis: at - 1 })
}

const transpose: Convert = (n) => {
  const perm = n.ints('perm') ?? Array.from({ length: n.rank() }, (_, i, rank = n.rank()) => rank - 1 - i)
  n.give('transpose', { x: n.operand(0) }, { perm })
}

const slice: Convert = (n) => {
  const given = n.fixed(3, 'axes')
  const count = given?.length ?? n.dims(1)?.length ?? n.dims(2)?.length ?? 0
  const axes = positive(n, given ?? Array.from({ length: count }, (_, i) => i))
  const steps = n.fixed(4, 'steps') ?? axes.map(() => 1)
  const bounds = (i: number): Variable | number[] => {
    const numbers = n.numbers(i)
    return numbers ? numbers.map(clamped) : n.variable(i)
  }
  sliceBy(n, axes, bounds(1), bounds(2), steps)
}

const sliceByAttributes: Convert = (n) => {
  const starts = n.ints('starts', []).map(clamped)
  const axes = n.ints('axes') ?? starts.map((_, i) => i)
  sliceBy(
    n,
    positive(n, axes),
    starts,
    n.ints('ends', []).map(clamped),
    axes.map(() => 1),
  )
}

function sliceBy(
  n: NodeCall,
  axes: number[],
  starts: Variable | number[],
  ends: Variable | number[],
  steps: readonly number[],
): void {
  if (steps.every((s) => s === 1)) {
    return n.give('slice', { input: n.operand(0) }, sliceBounds(axes, starts, ends))
  }
  n.give('strided_slice', { x: n.operand(0) }, { axes, starts, ends, strides: steps })
}

const concat: Convert = (n) => {
  if (n.inputCount === 1) return n.bind(0, n.value(0))
  n.give('concat', { x: n.operands() }, { axis: n.int('axis') ?? n.refuse('an axis that is not told') })
}

const split: Convert = (n) => {
  const axis = n.int('axis', 0)
  const count = n.node.outputs.length
  const { shape } = n.known(0)
  const size = shape?.[fromFront(axis, shape.length)]
  const sections = n.ints('split') ?? n.fixed(1, 'sizes') ?? equalParts(size, count)
  if (count === 1) return n.bind(0, n.value(0))
  const { out } = sections
    ? n.emitAll('split', { x: n.operand(0) }, { sections, axis }, { out: count })
    : n.emitAll('split_with_num', { x: n.operand(0) }, { num: count, axis }, { out: count })
  out!.forEach((name, k) => n.bind(k, name))
}

/** Equal parts; from version 18 on the last one may be smaller. Null where the size is not known. */
function equalParts(size: Dim | undefined, count: number): number[] | null {
  if (!isNumber(size)) return null
  const each = Math.ceil(size / count)
  return Array.from({ length: count }, (_, i) => Math.max(Math.min(each, size - i * each), 0))
}

/** Broadcasts in both directions: a size of 1 keeps what is there. */
const expand: Convert = (n) => {
  const target = n.dims(1)
  const { shape } = n.known(0)
  if (target && shape) {
    const rank = Math.max(target.length, shape.length)
    const resolved = Array.from({ length: rank }, (_, i) => {
      const t = target[i - rank + target.length] ?? 1
      const d = shape[i - rank + shape.length]
      if (d === undefined) return t
      return t === 1 || sameDim(t, d) ? -1 : t
    })
    if (resolved.every(isNumber)) return n.give('expand', { x: n.operand(0) }, { shape: resolved })
  }
  n.give('onnx.Expand', { x: n.operand(0) }, { shape: n.variable(1) })
}

const tile: Convert = (n) => n.give('tile', { x: n.operand(0) }, { repeat_times: n.variable(1) })

/** Both ends of each axis, from ONNX's order: all beginnings, then all ends. */
function pairsOf(pads: readonly number[], rank: number, axes: readonly number[]): number[] {
  const pairs = new Array<number>(2 * rank).fill(0)
  axes.forEach((axis, i) => {
    pairs[2 * axis] = pads[i]!
    pairs[2 * axis + 1] = pads[i + axes.length]!
  })
  return pairs
}

const pad: Convert = (n) => {
  const pads = n.fixed(1, 'amounts') ?? n.refuse('amounts that are not told')
  const axes = n.fixed(3, 'axes')
  const rank = axes ? n.rank() : pads.length / 2
  const pairs = pairsOf(pads, rank, positive(n, axes ?? Array.from({ length: rank }, (_, i) => i)))
  padBy(n, pairs, n.has(2) ? n.variable(2, true) : 0)
}

const padByAttributes: Convert = (n) => {
  const pads = n.ints('pads', [])
  const rank = pads.length / 2
  padBy(
    n,
    pairsOf(
      pads,
      rank,
      Array.from({ length: rank }, (_, i) => i),
    ),
    n.float('value', 0),
  )
}

const padModes: Readonly<Record<string, string>> = { edge: 'replicate', reflect: 'reflect', wrap: 'circular' }

function padBy(n: NodeCall, paddings: number[], value: number | Variable): void {
  const mode = n.text('mode', 'constant')
  if (mode !== 'constant') {
    const ours = padModes[mode] ?? n.refuse(`mode '${mode}'`)
    return n.give('onnx.Pad', { x: n.operand(0) }, { paddings, mode: ours })
  }
  if (paddings.every((p) => p === 0)) return n.bind(0, n.value(0))
  if (paddings.every((p) => p >= 0)) return n.give('pad', { x: n.operand(0) }, { paddings, pad_value: value })
  const cut = paddings.flatMap((p, i) => (i % 2 === 0 && (p < 0 || paddings[i + 1]! < 0) ? [i / 2] : []))
  const starts = cut.map((a) => Math.max(-paddings[2 * a]!, 0))
  const ends = cut.map((a) => (paddings[2 * a + 1]! < 0 ? paddings[2 * a + 1]! : 2 ** 31 - 1))
  const x = n.emit('slice', { input: n.operand(0) }, sliceBounds(cut, starts, ends))
  n.give('pad', { x }, { paddings: paddings.map((p) => Math.max(p, 0)), pad_value: value })
}

/** To given sizes around the middle: an odd element is cut off, or put, behind. */
const centerCropPad: Convert = (n) => {
  const target = n.fixed(1, 'sizes') ?? n.refuse('sizes that are not told')
  const sizes = n.known(0).shape ?? n.refuse('a number of axes that is not known')
  const paddings = sizes.flatMap(() => [0, 0])
  positive(n, n.ints('axes') ?? sizes.map((_, i) => i)).forEach((axis, i) => {
    const more = target[i]! - n.knownSize(n.value(0), axis)
    const before = Math.trunc(more / 2)
    paddings[2 * axis] = before
    paddings[2 * axis + 1] = more - before
  })
  padBy(n, paddings, 0)
}

const shape: Convert = (n) => {
  const [start, end] = [n.int('start', 0), n.int('end', 2 ** 31 - 1)]
  if (start === 0 && end >= 2 ** 31 - 1) return n.give('shape64', { input: n.operand(0) })
  const whole = n.emit('shape64', { input: n.operand(0) })
  n.give('slice', { input: whole }, sliceBounds([0], [start], [end]))
}

const constantOfShape: Convert = (n) => {
  const value = n.tensor('value') ?? { dtype: 'float32' as const, shape: [1], data: Float32Array.of(0) }
  const sizes = n.numbers(0)
  const [first] = value.data instanceof BigInt64Array ? value.data : elementsOf(value)
  if (sizes) return n.give('full', {}, { shape: sizes, value: first ?? 0, dtype: value.dtype })
  const element = n.asOperand(n.make({ ...value, shape: [] }, 'value'))
  n.give('full_with_tensor', { value: element }, { shape: n.variable(0), dtype: value.dtype })
}

const constant: Convert = (n) => {
  const array = constantArray(n)
  n.bindConstant(0, array)
}

function constantArray(n: NodeCall): HostArray {
  const tensor = n.tensor('value')
  if (tensor) return tensor
  const vector = (dtype: DType, values: readonly number[], shape: readonly number[]): HostArray => {
    const data = viewHost(dtype, new ArrayBuffer(values.length * sizeOf(dtype)))
    values.forEach((v, i) => {
      data[i] = dtype === 'int64' ? BigInt(v) : v
    })
    return { dtype, shape, data }
  }
  const floats = n.floats('value_floats')
  if (floats) return vector('float32', floats, [floats.length])
  const ints = n.ints('value_ints')
  if (ints) return vector('int64', ints, [ints.length])
  const int = n.int('value_int')
  if (int !== undefined) return vector('int64', [int], [])
  if (n.node.attributes.has('value_float')) return vector('float32', [n.float('value_float', 0)], [])
  return n.refuse(`a constant by ${[...n.node.attributes.keys()].join(', ')}`)
}

const range: Convert = (n) => {
  const attributes = {
    start: n.variable(0, true),
    end: n.variable(1, true),
    step: n.variable(2, true),
    dtype: n.dtype(),
  }
  n.give('arange', {}, attributes)
}

/** Blocks of channels become blocks of space, or the other way round. */
const blocks = (type: string): Convert => {
  return (n) => {
    const block = n.int('blocksize') ?? n.refuse('a block size that is not told')
    const mode = n.text('mode', 'DCR')
    if (mode !== 'DCR' && mode !== 'CRD') n.refuse(`mode '${mode}'`)
    if (type === 'onnx.DepthToSpace' && mode === 'CRD')
      return n.give('pixel_shuffle', { x: n.operand(0) }, { upscale_factor: block, data_format: 'NCHW' })
    if (mode === 'CRD')
      return n.give('pixel_unshuffle', { x: n.operand(0) }, { downscale_factor: block, data_format: 'NCHW' })
    n.give(type, { x: n.operand(0) }, { blocksize: block })
  }
}

export const shapingRules: RuleTable = {
  CenterCropPad: always(centerCropPad, 'sizes that are constant, of axes whose sizes are known'),
  Concat: always(concat),
  Constant: always(constant, 'no strings, no sparse tensors'),
  ConstantOfShape: always(constantOfShape),
  DepthToSpace: always(blocks('onnx.DepthToSpace')),
  Expand: always(expand),
  Flatten: always(flatten),
  Identity: always((n) => n.bind(0, n.value(0))),
  Pad: versions({ 1: padByAttributes, 11: pad }, 'amounts that are constant'),
  Range: always(range),
  Reshape: always(reshape, 'with allowzero, sizes that are known'),
  Shape: always(shape),
  Size: always((n) => n.give('numel', { x: n.operand(0) })),
  Slice: versions({ 1: sliceByAttributes, 10: slice }, 'axes and steps that are constant'),
  SpaceToDepth: always(blocks('onnx.SpaceToDepth')),
  Split: always(split, 'sizes that are constant'),
  Squeeze: always(squeeze, 'axes that are constant; without axes, sizes that are known'),
  Tile: always(tile),
  Transpose: always(transpose),
  Unsqueeze: always(unsqueeze, 'axes that are constant'),
}
