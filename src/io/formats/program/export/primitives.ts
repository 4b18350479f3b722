/**
 * Graph nodes as operators: what no function has claimed to be an operator is written op by op. Each rule names the operands (by `nameOf`)
 * and writes what the node is.
 */
import { isFloat } from '../../../../common/dtype.ts'
import { TraceError } from '../../../../common/errors.ts'
import { broadcastShapes, numel, sameShape, type Shape } from '../../../../common/shape.ts'
import type { Node, NodeOf } from '../../../../graph/node.ts'
import type { OperatorAttribute } from '../../../../tensor/tracer.ts'
import type { DraftValue, DraftWriter } from './draft.ts'

/** What a rule sees of the draft under construction. */
export interface Draftsman {
  readonly writer: DraftWriter
  /** The name of a node's value. */
  nameOf(node: Node): string
  /** The node that a node only hands on, as often as that goes; what has a name of its own is not looked through. */
  behind(node: Node): Node
  /** Whether the node is an input, a parameter, or the result of an operator that a function claimed. */
  isNamed(node: Node): boolean
  /** A parameter with these values. */
  constant(values: readonly number[], dtype: 'int64', shape: Shape): string
}

const binaryNames: Readonly<Record<string, string>> = {
  add: 'add',
  sub: 'subtract',
  mul: 'multiply',
  div: 'divide',
  pow: 'elementwise_pow',
  atan2: 'atan2',
  mod: 'remainder',
  floordiv: 'floor_divide',
  max: 'maximum',
  min: 'minimum',
  eq: 'equal',
  ne: 'not_equal',
  lt: 'less_than',
  le: 'less_equal',
  gt: 'greater_than',
  ge: 'greater_equal',
  and: 'logical_and',
  or: 'logical_or',
  xor: 'logical_xor',
  shl: 'bitwise_left_shift',
  shr: 'bitwise_right_shift',
}

/** Ends of slices that reach to the end of an axis. */
const END = 2147483647

/** Writes a node; returns the name of its value. Throws TraceError for what programs cannot express. */
export function writeNode(node: Node, d: Draftsman): string {
  const { writer } = d
  const emit = (
    type: string,
    inputs: Readonly<Record<string, string>>,
    attributes: Readonly<Record<string, OperatorAttribute>> = {},
    result: DraftValue = node,
    slot?: string,
  ): string => writer.emit(type, inputs, attributes, result, slot)
  const source = (i = 0): string => d.nameOf(node.sources[i]!)
  switch (node.op) {
    case 'constant':
    case 'scalar':
      return emit('full', {}, { shape: node.shape, value: node.attributes.value, dtype: node.dtype })
    case 'cast':
      return emit('cast', { x: source() }, { dtype: node.dtype })
    case 'neg':
      return emit('scale', { x: source() }, { scale: -1, bias: 0, bias_after_scale: true })
    case 'not':
      return emit(node.dtype === 'bool' ? 'logical_not' : 'bitwise_not', { x: source() })
    case 'where': {
      const [condition, x, y] = node.sources as [Node, Node, Node]
      return emit('where', { condition: d.nameOf(condition), x: d.nameOf(x), y: d.nameOf(y) })
    }
    case 'reshape':
      return emit('reshape', { x: source() }, { shape: node.shape })
    case 'permute':
      return emit('transpose', { x: source() }, { perm: node.attributes.order })
    case 'expand': {
      const from = node.sources[0]!.shape
      return emit('expand', { x: source() }, { shape: node.shape.map((s, i) => (s === from[i] ? -1 : s)) })
    }
    case 'pad': {
      const { low, high } = node.attributes
      return emit('pad', { x: source() }, { paddings: low.flatMap((p, i) => [p, high[i]!]), pad_value: 0 })
    }
    case 'slice':
      return writeSlice(node, source(), emit)
    case 'flip':
      return emit('flip', { x: source() }, { axis: node.attributes.axes })
    case 'window':
      return writeWindow(node, d)
    case 'reduceSum':
      return emit('sum', { x: source() }, { axis: node.attributes.axes, dtype: node.dtype, keepdim: false })
    case 'reduceMax':
      return emit('max', { x: source() }, { axis: node.attributes.axes, keepdim: false })
    case 'reduceMin':
      return emit('min', { x: source() }, { axis: node.attributes.axes, keepdim: false })
    case 'reduceProd':
      return emit('prod', { x: source() }, { dims: node.attributes.axes, keep_dim: false, reduce_all: false })
    case 'argmax':
    case 'argmin':
      return writeExtremum(node, d)
    case 'cumulate': {
      const { axis, kind } = node.attributes
      if (kind === 'sum')
        return emit('cumsum', { x: source() }, { axis, flatten: false, exclusive: false, reverse: false })
      if (kind === 'prod') return emit('cumprod', { x: source() }, { dim: axis, exclusive: false, reverse: false })
      return emit(`cum${kind}`, { x: source() }, { axis, dtype: 'int64' })
    }
    case 'contract':
      return writeContract(node, d)
    case 'gather':
      return writeGather(node, d)
    case 'argsort': {
      const { axis, descending } = node.attributes
      return emit('argsort', { x: source() }, { axis, descending, stable: true }, node, 'indices')
    }
    case 'scatter': {
      const { axis, mode } = node.attributes
      if (axis !== 0 || node.sources[1]!.shape.length !== 1 || mode !== 'set') break
      return emit('scatter', { x: source(0), index: source(1), updates: source(2) }, { overwrite: true })
    }
    case 'iota': {
      const { axis } = node.attributes
      const size = node.shape[axis]!
      const range = emit('arange', {}, { start: 0, end: size, step: 1, dtype: node.dtype }, { ...node, shape: [size] })
      const thin = node.shape.map((_, i) => (i === axis ? size : 1))
      const shaped = emit('reshape', { x: range }, { shape: thin }, { ...node, shape: thin })
      return sameShape(thin, node.shape) ? shaped : emit('expand', { x: shaped }, { shape: node.shape })
    }
    default:
  }
  if (Object.hasOwn(binaryNames, node.op)) return writeBinary(node, d)
  if (node.sources.length === 1 && node.op !== 'output') return emit(node.op, { x: source() })
  throw new TraceError(
    `export: the layer computes '${node.op}' of ${node.dtype}[${node.shape.join(', ')}] in a way that no operator stands for`,
  )
}

type Emit = (
  type: string,
  inputs: Readonly<Record<string, string>>,
  attributes?: Readonly<Record<string, OperatorAttribute>>,
  result?: DraftValue,
) => string

function writeSlice(node: NodeOf<'slice'>, x: string, emit: Emit): string {
  const { start, step } = node.attributes
  const from = node.sources[0]!.shape
  const axes = from.flatMap((d, i) => (start[i] !== 0 || node.shape[i] !== d || step[i] !== 1 ? [i] : []))
  const starts = axes.map((a) => start[a]!)
  const ends = axes.map((a) => {
    const end = start[a]! + (node.shape[a]! - 1) * step[a]! + 1
    return end > from[a]! - step[a]! ? END : end
  })
  if (axes.every((a) => step[a] === 1))
    return emit('slice', { input: x }, { axes, starts, ends, infer_flags: axes.map(() => 1), decrease_axis: [] })
  return emit('strided_slice', { x }, { axes, starts, ends, strides: axes.map((a) => step[a]!) })
}

/** Windows as slices picked by a table of positions. */
function writeWindow(node: NodeOf<'window'>, d: Draftsman): string {
  const { axis, taps, stride, dilation } = node.attributes
  const positions = node.shape[axis]!
  const table = Array.from(
    { length: positions * taps },
    (_, i) => Math.floor(i / taps) * stride + (i % taps) * dilation,
  )
  const index = d.constant(table, 'int64', [table.length])
  const shape = [...node.shape.slice(0, axis), table.length, ...node.shape.slice(axis + 2)]
  const picked = d.writer.emit('gather', { x: d.nameOf(node.sources[0]!), index }, { axis }, { ...node, shape })
  return d.writer.emit('reshape', { x: picked }, { shape: node.shape }, node)
}

/** argmax over several axes: over them as one, which comes last. */
function writeExtremum(node: NodeOf<'argmax'> | NodeOf<'argmin'>, d: Draftsman): string {
  const { axes } = node.attributes
  const from = node.sources[0]!
  let x = d.nameOf(from)
  let axis = axes[0]!
  if (axes.length > 1) {
    const kept = from.shape.map((_, i) => i).filter((i) => !axes.includes(i))
    const perm = [...kept, ...axes]
    x = d.writer.emit('transpose', { x }, { perm }, { ...from, shape: perm.map((i) => from.shape[i]!) })
    const shape = [...kept.map((i) => from.shape[i]!), numel(axes.map((i) => from.shape[i]!))]
    x = d.writer.emit('reshape', { x }, { shape }, { ...from, shape })
    axis = kept.length
  }
  return d.writer.emit(node.op, { x }, { axis, keepdims: false, flatten: false, dtype: node.dtype }, node)
}

/** A gather takes a vector of positions; of other ranks it is made flat. */
function writeGather(node: NodeOf<'gather'>, d: Draftsman): string {
  const [x, index] = node.sources as [Node, Node]
  const { axis } = node.attributes
  const name = d.nameOf(index)
  if (index.shape.length === 1) return d.writer.emit('gather', { x: d.nameOf(x), index: name }, { axis }, node)
  const shape = [numel(index.shape)]
  const flat = d.writer.emit('reshape', { x: name }, { shape }, { ...index, shape })
  const picked = [...x.shape.slice(0, axis), ...shape, ...x.shape.slice(axis + 1)]
  const taken = d.writer.emit('gather', { x: d.nameOf(x), index: flat }, { axis }, { ...node, shape: picked })
  return d.writer.emit('reshape', { x: taken }, { shape: node.shape }, node)
}

/** A product of matrices where it is one, else a sum over named axes. */
function writeContract(node: NodeOf<'contract'>, d: Draftsman): string {
  const { lhs, rhs, out } = node.attributes
  if (![lhs, rhs, out].flat().every((a) => typeof a === 'number'))
    throw new TraceError('export: a convolution that no function stands for (the gradient of one?) has no operator')
  const [x, y] = node.sources.map((s) => d.nameOf(s)) as [string, string]
  const rank = out.length
  const batch = out.slice(0, -2)
  const [row, column] = out.slice(-2)
  const inner = lhs.find((l) => !out.includes(l))
  const layout = (axes: readonly unknown[], free: unknown): 'plain' | 'transposed' | null => {
    const isBatched = axes.length === rank && batch.every((l, i) => axes[i] === l)
    if (!isBatched && axes.length !== 2) return null
    const [first, last] = axes.slice(-2)
    if (first === free && last === inner) return 'plain'
    return first === inner && last === free ? 'transposed' : null
  }
  const left = rank >= 2 ? layout(lhs, row) : null
  const right = rank >= 2 ? layout(rhs, column) : null
  if (left && right)
    return d.writer.emit(
      'matmul',
      { x, y },
      { transpose_x: left === 'transposed', transpose_y: right === 'plain' },
      node,
    )
  const letters = new Map([...new Set([lhs, rhs, out].flat())].map((l, i) => [l, String.fromCharCode(97 + i)]))
  const text = (axes: readonly unknown[]): string => axes.map((a) => letters.get(a as number)!).join('')
  return d.writer.emit('einsum', { x: [x, y] }, { equation: `${text(lhs)},${text(rhs)}->${text(out)}` }, node)
}

/** An operand without the repetition that broadcasting does by itself. */
function narrowed(node: Node, d: Draftsman): Node {
  let n = d.behind(node)
  for (;;) {
    if (d.isNamed(n)) return n
    const s = n.sources[0]
    const dropsOnes =
      n.op === 'reshape' && s && sameShape(n.shape, [...n.shape.slice(s.shape.length).map(() => 1), ...s.shape])
    if (n.op !== 'expand' && !dropsOnes) return n
    n = d.behind(s!)
  }
}

function writeBinary(node: Node, d: Draftsman): string {
  const full = node.sources.map((s) => d.behind(s)) as [Node, Node]
  const [x, y] = full.map((s) => narrowed(s, d)) as [Node, Node]
  const number = (n: Node): number | null =>
    (n.op === 'constant' || n.op === 'scalar') && !d.isNamed(n) ? Number(n.attributes.value) : null
  const [a, b] = [number(x), number(y)]
  const scaled = (of: Node, scale: number, bias: number): string =>
    d.writer.emit('scale', { x: d.nameOf(of) }, { scale, bias, bias_after_scale: true }, node)
  if (isFloat(node.dtype) && sameShape((a === null ? full[0] : full[1]).shape, node.shape)) {
    if (node.op === 'mul' && b !== null) return scaled(full[0], b, 0)
    if (node.op === 'mul' && a !== null) return scaled(full[1], a, 0)
    if (node.op === 'add' && b !== null) return scaled(full[0], 1, b)
    if (node.op === 'add' && a !== null) return scaled(full[1], 1, a)
    if (node.op === 'sub' && b !== null) return scaled(full[0], 1, -b)
    if (node.op === 'sub' && a !== null) return scaled(full[1], -1, a)
  }
  // A number is a vector of one element where that has the other operand's shape.
  const operand = (n: Node, value: number | null): { name: string; shape: Shape } => {
    if (value === null) return { name: d.nameOf(n), shape: n.shape }
    const shape = node.shape.length === 0 ? [] : [1]
    return { name: d.writer.emit('full', {}, { shape, value, dtype: n.dtype }, { dtype: n.dtype, shape }), shape }
  }
  let left = operand(x, a)
  const right = operand(y, b)
  if (!sameShape(broadcastShapes(left.shape, right.shape, node.op), node.shape))
    left = { name: d.nameOf(full[0]), shape: full[0].shape }
  const isBits = (node.op === 'and' || node.op === 'or' || node.op === 'xor') && node.dtype !== 'bool'
  const type = isBits ? `bitwise_${node.op}` : binaryNames[node.op]!
  return d.writer.emit(type, { x: left.name, y: right.name }, {}, node)
}
