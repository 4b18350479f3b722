/**
 * Constructors of nodes with the shape rule of each op, and the few simplifications that keep recordings small (identity views,
 * arithmetic with 0 and 1, constants folded through casts). Nothing here broadcasts or promotes: sources of an elementwise op have
 * one shape and one dtype; `broadcastTo` and `cast` make them so.
 */
import { allocateHost, getElement, isFloat, isInteger, setElement, type DType } from '../common/dtype.ts'
import { ArgumentError, DTypeError, InternalError, ShapeError } from '../common/errors.ts'
import {
  checkShape,
  contiguousStrides,
  formatShape,
  isAddressable,
  numel,
  sameShape,
  type Shape,
} from '../common/shape.ts'
import {
  isGradEnabled,
  makeNode,
  makeParam,
  topologicalOrder,
  withSources,
  type Attributes,
  type ContractAxis,
  type ContractSpec,
  type CustomGradient,
  type Node,
  type ScanBody,
} from './node.ts'
import {
  opInfo,
  type BinaryOp,
  type CumulateKind,
  type DTypeClass,
  type OpName,
  type ReduceOp,
  type UnaryOp,
} from './ops.ts'

/** The attributes of ops that have none. */
const nothing: Record<never, never> = {}

/**
 * Checks the shape and makes the node. The sources come as a rest parameter and not as an array literal, because V8 allocates what a literal
 * makes in its old generation once much of it has lived long (all that is recorded lives through the planning of its first step): old arrays
 * would keep the graph of every step alive until a major collection.
 */
function make<K extends OpName>(
  op: K,
  dtype: DType,
  shape: Shape,
  attributes: Attributes<K>,
  ...sources: readonly Node[]
): Node {
  if (!isAddressable(shape)) checkShape(shape, op)
  const differentiable = opInfo(op).differentiable && isFloat(dtype)
  return makeNode(op, dtype, shape, sources, attributes, differentiable) as unknown as Node
}

function checkDType(op: string, takes: DTypeClass, dtype: DType): void {
  const ok =
    takes === 'any' ||
    (takes === 'float' && isFloat(dtype)) ||
    (takes === 'number' && dtype !== 'bool') ||
    (takes === 'integer' && isInteger(dtype)) ||
    (takes === 'logical' && !isFloat(dtype))
  if (!ok)
    throw new DTypeError(`${op} does not take ${dtype}${takes === 'float' ? '; cast to a floating dtype first' : ''}`)
}

// ---- leaves -------------------------------------------------------------------------------------------------------------

/** A number of the program, everywhere in `shape`: one node, since a step records hundreds of them. */
export function constant(value: number | bigint, dtype: DType, shape: Shape = []): Node {
  return make('constant', dtype, shape, { value: asElement(value, dtype) })
}

/** A number of the run: changing it never compiles anything. */
export function scalar(value: number, dtype: DType): Node {
  return make('scalar', dtype, [], { value })
}

/** The coordinate along `axis` of a tensor of this shape. */
export function iota(shape: Shape, axis: number, dtype: DType): Node {
  if (dtype === 'int32' && shape[axis]! > 2 ** 31)
    throw new ShapeError(`an axis of ${shape[axis]} elements, in ${formatShape(shape)}, cannot be counted in int32`)
  return make('iota', dtype, shape, { axis })
}

/** Philox draws at `offset`, `offset + 1`, ... of the stream `key` (both int64 of rank 0): float32 in [0, 1), or int32 bits. */
export function random(key: Node, offset: Node, shape: Shape, dtype: 'float32' | 'int32' = 'float32'): Node {
  return make('random', dtype, shape, nothing, key, offset)
}

/** An argument of a scan's body: a carry, a slice of a sequence, or a constant of the loop. */
export function param(index: number, dtype: DType, shape: Shape): Node {
  return makeParam(dtype, shape, index, isFloat(dtype) && isGradEnabled())
}

/** The value of a constant seen through views that repeat it, or null. */
export function constantValue(node: Node): number | bigint | null {
  let n = node
  // A realised node may have forgotten its sources: then its value is in memory, and no constant.
  while ((n.op === 'expand' || n.op === 'reshape' || n.op === 'permute') && n.sources.length > 0) n = n.sources[0]!
  return n.op === 'constant' ? n.attributes.value : null
}

// ---- elementwise --------------------------------------------------------------------------------------------------------

export function unary(op: UnaryOp, x: Node): Node {
  checkDType(op, opInfo(op).takes, x.dtype)
  if (isInteger(x.dtype) && (op === 'floor' || op === 'ceil' || op === 'round' || op === 'trunc')) return x
  if (op === 'neg' && x.op === 'neg' && x.storage === null) return x.sources[0]!
  return make(op, x.dtype, x.shape, nothing, x)
}

export function binary(op: BinaryOp, a: Node, b: Node): Node {
  const info = opInfo(op)
  if (a.dtype !== b.dtype) throw new DTypeError(`${op} got ${a.dtype} and ${b.dtype}; cast one of them`)
  checkDType(op, info.takes, a.dtype)
  if (!sameShape(a.shape, b.shape)) {
    throw new ShapeError(`${op} got shapes ${formatShape(a.shape)} and ${formatShape(b.shape)}`)
  }
  const simpler = simplifyBinary(op, a, b)
  if (simpler) return simpler
  return make(op, info.gives === 'bool' ? 'bool' : a.dtype, a.shape, nothing, a, b)
}

/** x + 0, x * 1 and the like. x * 0 stays: it is NaN where x is NaN or infinite. */
function simplifyBinary(op: BinaryOp, a: Node, b: Node): Node | null {
  const vb = constantValue(b)
  if (vb !== null) {
    const n = Number(vb)
    if (n === 1 && (op === 'mul' || op === 'div' || op === 'pow')) return a
    if (n === 0 && (op === 'sub' || (op === 'add' && !Object.is(n, -0) && !isFloat(a.dtype)))) return a
    return null
  }
  const va = constantValue(a)
  if (va !== null && Number(va) === 1 && op === 'mul') return b
  return null
}

export function where(condition: Node, a: Node, b: Node): Node {
  if (condition.dtype !== 'bool') throw new DTypeError(`where needs a bool condition, got ${condition.dtype}`)
  if (a.dtype !== b.dtype) throw new DTypeError(`where got branches of ${a.dtype} and ${b.dtype}; cast one of them`)
  if (!sameShape(a.shape, b.shape) || !sameShape(condition.shape, a.shape)) {
    throw new ShapeError(`where got shapes ${[condition, a, b].map((n) => formatShape(n.shape)).join(', ')}`)
  }
  return make('where', a.dtype, a.shape, nothing, condition, a, b)
}

export function cast(x: Node, dtype: DType): Node {
  if (x.dtype === dtype) return x
  if (x.op === 'constant' && typeof x.attributes.value === 'number') return constant(x.attributes.value, dtype, x.shape)
  if (x.op === 'expand' && x.storage === null) return broadcastTo(cast(x.sources[0]!, dtype), x.shape)
  return make('cast', dtype, x.shape, nothing, x)
}

/** The number as an element of an integer dtype (or bool) holds it: what dialects make of NaN, fractions and what is too large, differs. */
function asElement(value: number | bigint, dtype: DType): number | bigint {
  if (typeof value === 'bigint' || isFloat(dtype) || (dtype === 'int64' && Number.isSafeInteger(value))) return value
  const element = allocateHost<DType>(dtype, 1)
  setElement(dtype, element, 0, value)
  return getElement(dtype, element, 0)
}

// ---- views --------------------------------------------------------------------------------------------------------------

export function reshape(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x
  if (numel(x.shape) !== numel(shape)) {
    throw new ShapeError(
      `reshape: ${formatShape(x.shape)} has ${numel(x.shape)} elements, ${formatShape(shape)} has ${numel(shape)}`,
    )
  }
  const source = x.op === 'reshape' && x.storage === null && x.owner === null ? x.sources[0]! : x
  return sameShape(source.shape, shape) ? source : make('reshape', x.dtype, shape, nothing, source)
}

export function permute(x: Node, order: readonly number[]): Node {
  if (order.length !== x.shape.length || [...order].sort((a, b) => a - b).some((a, i) => a !== i)) {
    throw new ArgumentError(
      `permute: [${order.join(', ')}] is not a permutation of the ${x.shape.length} axes of ${formatShape(x.shape)}`,
    )
  }
  if (order.every((a, i) => a === i)) return x
  if (x.op === 'permute' && x.storage === null && x.owner === null) {
    const inner = x.attributes.order
    return permute(
      x.sources[0]!,
      order.map((a) => inner[a]!),
    )
  }
  return make(
    'permute',
    x.dtype,
    order.map((a) => x.shape[a]!),
    { order },
    x,
  )
}

/** The same value as a node of its own: for a tensor that must not share what belongs to another one. */
export function alias(x: Node): Node {
  return make('reshape', x.dtype, x.shape, nothing, x)
}

/** Repeats axes of size 1; ranks are equal. */
export function expand(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x
  if (x.shape.length !== shape.length || x.shape.some((d, i) => d !== shape[i] && d !== 1)) {
    throw new ShapeError(`expand: ${formatShape(x.shape)} does not repeat to ${formatShape(shape)}`)
  }
  const source = x.op === 'expand' && x.storage === null && x.owner === null ? x.sources[0]! : x
  return make('expand', x.dtype, shape, nothing, source)
}

/** NumPy's broadcast: new axes in front, axes of size 1 repeated. */
export function broadcastTo(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x
  const missing = shape.length - x.shape.length
  if (missing < 0) throw new ShapeError(`broadcast: ${formatShape(x.shape)} has more axes than ${formatShape(shape)}`)
  return expand(reshape(x, [...new Array<number>(missing).fill(1), ...x.shape]), shape)
}

export function pad(x: Node, low: readonly number[], high: readonly number[]): Node {
  if (low.length !== x.shape.length || high.length !== x.shape.length)
    throw new InternalError('pad: one amount an axis')
  if ([...low, ...high].some((p) => !(p >= 0 && Number.isInteger(p))))
    throw new ArgumentError(
      `pad: amounts must be non-negative integers, got [${low.join(', ')}] before and [${high.join(', ')}] behind; use slice to cut`,
    )
  return low.every((p) => p === 0) && high.every((p) => p === 0) ? x : recordedPad(x, low, high)
}

/** As `pad`, with amounts that are known to be valid; recorded although there may be nothing to add (see `leading`). */
export function recordedPad(x: Node, low: readonly number[], high: readonly number[]): Node {
  return make(
    'pad',
    x.dtype,
    x.shape.map((d, i) => d + low[i]! + high[i]!),
    { low, high },
    x,
  )
}

/** Coordinates start, start + step, ... below stop, on each axis. */
export function slice(x: Node, start: readonly number[], stop: readonly number[], step?: readonly number[]): Node {
  const steps = step ?? x.shape.map(() => 1)
  const shape = x.shape.map((d, i) => {
    if (![start[i], stop[i], steps[i]].every(Number.isInteger) || start[i]! < 0 || stop[i]! > d || steps[i]! < 1)
      throw new ArgumentError(
        `slice: ${start[i]}:${stop[i]}:${steps[i]} does not lie in axis ${i} of ${formatShape(x.shape)}; bounds and steps are integers`,
      )
    return Math.max(0, Math.ceil((stop[i]! - start[i]!) / steps[i]!))
  })
  if (sameShape(shape, x.shape)) return x
  // A step that is never taken is 1, whatever it was.
  const taken = steps.map((s, i) => (shape[i]! > 1 ? s : 1))
  return make('slice', x.dtype, shape, { start, step: taken }, x)
}

/**
 * The first `count` elements of an axis; recorded although these may be all: programs that differ in sizes alone, of which some leave a remainder,
 * then have the same nodes.
 */
export function leading(x: Node, axis: number, count: number): Node {
  const start = x.shape.map(() => 0)
  const step = x.shape.map(() => 1)
  return make('slice', x.dtype, x.shape.with(axis, count), { start, step }, x)
}

/** Slice along one axis only. */
export function sliceAxis(x: Node, axis: number, start: number, stop: number, step = 1): Node {
  return slice(
    x,
    x.shape.map((_, i) => (i === axis ? start : 0)),
    x.shape.map((d, i) => (i === axis ? stop : d)),
    x.shape.map((_, i) => (i === axis ? step : 1)),
  )
}

export function flip(x: Node, axes: readonly number[]): Node {
  return axes.length === 0 ? x : make('flip', x.dtype, x.shape, { axes: [...axes].sort((a, b) => a - b) }, x)
}

/** Sliding windows over an axis, which becomes (position, tap): shape [..., positions, taps, ...]. Pad first where wanted. */
export function window(x: Node, axis: number, taps: number, stride: number, dilation = 1): Node {
  const size = x.shape[axis]!
  const reach = (taps - 1) * dilation + 1
  if (![taps, stride, dilation].every((v) => Number.isInteger(v) && v >= 1))
    throw new ArgumentError(
      `window: taps ${taps}, stride ${stride} and dilation ${dilation} must be integers, and at least 1`,
    )
  if (size < reach)
    throw new ShapeError(
      `window: axis ${axis} of ${formatShape(x.shape)} has ${size} elements, the window spans ${reach}`,
    )
  const positions = Math.floor((size - reach) / stride) + 1
  const shape = [...x.shape.slice(0, axis), positions, taps, ...x.shape.slice(axis + 1)]
  return make('window', x.dtype, shape, { axis, taps, stride, dilation }, x)
}

export function detach(x: Node): Node {
  return make('detach', x.dtype, x.shape, nothing, x)
}

// ---- reductions ---------------------------------------------------------------------------------------------------------

/** Reduces and removes `axes` (ascending, from the front). */
export function reduce(op: ReduceOp, x: Node, axes: readonly number[]): Node {
  const info = opInfo(op)
  checkDType(op, info.takes, x.dtype)
  const shape = x.shape.filter((_, i) => !axes.includes(i))
  const empty = axes.some((a) => x.shape[a] === 0)
  if (empty && op !== 'reduceSum' && op !== 'reduceProd' && numel(shape) > 0) {
    throw new ShapeError(`${op} over an empty axis of ${formatShape(x.shape)} has no value`)
  }
  const dtype = info.gives === 'int32' ? 'int32' : x.dtype
  if (info.gives !== 'int32') {
    if (axes.length === 0) return x
    if (axes.every((a) => x.shape[a] === 1)) return reshape(x, shape)
  }
  return make(op, dtype, shape, { axes }, x)
}

/** Reduces, and keeps the axes with size 1. */
export function reduceKeep(op: ReduceOp, x: Node, axes: readonly number[]): Node {
  return reshape(
    reduce(op, x, axes),
    x.shape.map((d, i) => (axes.includes(i) ? 1 : d)),
  )
}

export function cumulate(kind: CumulateKind, x: Node, axis: number): Node {
  checkDType(`cum${kind}`, 'number', x.dtype)
  return make('cumulate', x.dtype, x.shape, { axis, kind }, x)
}

// ---- contraction --------------------------------------------------------------------------------------------------------

/** Sizes of the letters, from the plain axes of the three operands. Throws ShapeError where two disagree. */
export function contractSizes(spec: ContractSpec, lhs: Shape, rhs: Shape, out: Shape): Map<number, number> {
  const sizes = new Map<number, number>()
  const note = (axes: readonly ContractAxis[], shape: Shape): void => {
    axes.forEach((axis, i) => {
      if (typeof axis !== 'number') return
      const known = sizes.get(axis)
      if (known !== undefined && known !== shape[i]) {
        throw new ShapeError(
          `contract: ${formatShape(lhs)} and ${formatShape(rhs)} disagree: an axis has ${known} here and ${shape[i]} there`,
        )
      }
      sizes.set(axis, shape[i]!)
    })
  }
  note(spec.lhs, lhs)
  note(spec.rhs, rhs)
  note(spec.out, out)
  return sizes
}

/** Sum of products over the letters that `spec.out` lacks; `shape` is the result's. See ContractSpec. */
export function contract(lhs: Node, rhs: Node, spec: ContractSpec, shape: Shape): Node {
  if (lhs.dtype !== rhs.dtype) throw new DTypeError(`contract got ${lhs.dtype} and ${rhs.dtype}; cast one of them`)
  checkDType('contract', 'number', lhs.dtype)
  if (
    spec.lhs.length !== lhs.shape.length ||
    spec.rhs.length !== rhs.shape.length ||
    spec.out.length !== shape.length
  ) {
    throw new InternalError('contract: the spec has other ranks than the operands')
  }
  contractSizes(spec, lhs.shape, rhs.shape, shape)
  return make('contract', lhs.dtype, shape, spec, lhs, rhs)
}

// ---- index ops ----------------------------------------------------------------------------------------------------------

function checkIndex(op: string, index: Node): void {
  if (index.dtype !== 'int64' && index.dtype !== 'int32')
    throw new DTypeError(`${op} needs an int32 or int64 index, got ${index.dtype}`)
}

/** Picks slices of `axis` by an index tensor; the axis is replaced by the index's axes. Out of range is an IndexOutOfRangeError when it runs. */
export function gather(x: Node, index: Node, axis: number): Node {
  checkIndex('gather', index)
  if (x.shape[axis] === 0 && numel(index.shape) > 0)
    throw new ShapeError(`gather from the empty axis ${axis} of ${formatShape(x.shape)}`)
  const shape = [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)]
  return make('gather', x.dtype, shape, { axis }, x, index)
}

/** `base` with slices of `axis` added to or replaced by `updates` at the index; of repeated positions the last one stays under `set`. */
export function scatter(base: Node, index: Node, updates: Node, axis: number, mode: 'add' | 'set'): Node {
  checkIndex('scatter', index)
  if (base.shape[axis] === 0 && numel(index.shape) > 0)
    throw new ShapeError(`scatter to the empty axis ${axis} of ${formatShape(base.shape)}`)
  const expected = [...base.shape.slice(0, axis), ...index.shape, ...base.shape.slice(axis + 1)]
  if (!sameShape(expected, updates.shape)) {
    throw new ShapeError(
      `scatter: updates ${formatShape(updates.shape)} do not fit; base ${formatShape(base.shape)} and index ${formatShape(index.shape)} need ${formatShape(expected)}`,
    )
  }
  if (base.dtype !== updates.dtype) throw new DTypeError(`scatter got base ${base.dtype} and updates ${updates.dtype}`)
  return make('scatter', base.dtype, base.shape, { axis, mode }, base, index, updates)
}

export function argsort(x: Node, axis: number, descending: boolean): Node {
  return make('argsort', 'int64', x.shape, { axis, descending }, x)
}

/** Position of each element along `axis` gathered by an index of x's rank: out[i, j] = x[index[i, j], j] for axis 0. */
export function gatherElements(x: Node, index: Node, axis: number): Node {
  return reshape(gather(reshape(x, [numel(x.shape)]), flatIndex(x.shape, index, axis), 0), index.shape)
}

/** Row-major offsets in `shape` of the elements that an index along `axis` picks; negative positions count from the end. */
export function flatIndex(shape: Shape, index: Node, axis: number): Node {
  const strides = contiguousStrides(shape)
  const wide = cast(index, 'int64')
  let flat: Node | null = null
  shape.forEach((_, i) => {
    const coordinate = i === axis ? wide : iota(index.shape, i, 'int64')
    const term = binary('mul', coordinate, constant(strides[i]!, 'int64', index.shape))
    flat = flat ? binary('add', flat, term) : term
  })
  return flat ?? wide
}

// ---- control ------------------------------------------------------------------------------------------------------------

/**
 * A loop over time. `carries` start the carried state, `sequences` are sliced on axis 0 (backwards where `reverse`), `constants` are
 * the same in each step. Returns the last carries, and the per-step outputs stacked on axis 0 in the order of time.
 *
 * The loop also stacks what its gradient will want (the carries that each step started from, and the contractions, which are dear
 * to do again); a plan drops the stacks that nothing reads.
 */
export function scan(
  body: ScanBody,
  carries: readonly Node[],
  sequences: readonly Node[],
  constants: readonly Node[],
  length: number,
  reverse = false,
): Node[] {
  const sources = [...carries, ...sequences, ...constants]
  if (sources.length !== body.params.length || body.outputs.length < carries.length) {
    throw new InternalError('scan: arguments do not match the body')
  }
  sources.forEach((n, i) => {
    const p = body.params[i]!
    const isSequence = i >= carries.length && i < carries.length + sequences.length
    const shape = isSequence ? n.shape.slice(1) : n.shape
    if (!sameShape(shape, p.shape) || n.dtype !== p.dtype || (isSequence && n.shape[0] !== length)) {
      throw new InternalError(
        `scan: argument ${i} is ${n.dtype}${formatShape(n.shape)}, the body takes ${p.dtype}${formatShape(p.shape)}`,
      )
    }
  })
  const saved = scanResiduals(body, carries.length)
  const outputs = [...body.outputs, ...saved]
  const attributes = {
    body: { params: body.params, outputs },
    carries: carries.length,
    sequences: sequences.length,
    length,
    reverse,
  }
  const loop = make('scan', 'float32', [], attributes, ...sources)
  return body.outputs.map((_, i) => tupleOutput(loop, i))
}

/** What a scan saves for its gradient: the carries of each step, and the body's contractions. */
export function scanResiduals(body: ScanBody, carries: number): Node[] {
  const contractions = topologicalOrder(body.outputs).filter((n) => n.op === 'contract' && n.needsGrad)
  return [...body.params.slice(0, carries), ...contractions]
}

/** The i-th result of a scan (a last carry, or a stack over time), of an attention or its gradient, or of a custom node. */
export function tupleOutput(loop: Node, index: number): Node {
  if (loop.op === 'custom') {
    const result = loop.sources[index]!
    return make('output', result.dtype, result.shape, { index }, loop)
  }
  if (loop.op === 'attention' || loop.op === 'attentionGradient') {
    const result = loop.attributes.results[index]!
    return make('output', result.dtype, result.shape, { index }, loop)
  }
  if (loop.op !== 'scan') throw new InternalError('output of a node that is no tuple')
  const { body, carries, length } = loop.attributes
  const o = body.outputs[index]!
  return make('output', o.dtype, index < carries ? o.shape : [length, ...o.shape], { index }, loop)
}

/** The results as they are, with the gradient that `gradient` computes for them and for the inputs, as far as these want one. */
export function custom(results: readonly Node[], inputs: readonly Node[], gradient: CustomGradient): Node[] {
  const node = make('custom', 'float32', [], { results: results.length, gradient }, ...results, ...inputs)
  return results.map((_, i) => tupleOutput(node, i))
}

/** The tuple of an attention or of its gradient: see graph/attention.ts, which checks the sources. */
export function attentionTuple<K extends 'attention' | 'attentionGradient'>(
  op: K,
  attributes: Attributes<K>,
  sources: readonly Node[],
): Node {
  return make(op, 'float32', [], attributes, ...sources)
}

/** x, computed again once `token` is there. */
export function barrier(x: Node, token: Node): Node {
  return make('barrier', x.dtype, x.shape, nothing, x, token)
}

/** The nodes of `roots` over replaced leaves or intermediates. `again`: also of what is in memory already, and with its hooks. */
export function substitute(roots: readonly Node[], replacements: ReadonlyMap<Node, Node>, again = false): Node[] {
  const done = new Map<Node, Node>(replacements)
  for (const n of topologicalOrder(roots, (n) => (n.storage !== null && !again) || done.has(n))) {
    if (done.has(n)) continue
    const sources = n.sources.map((s) => done.get(s) ?? s)
    if (sources.every((s, i) => s === n.sources[i])) {
      done.set(n, n)
      continue
    }
    const copy = withSources(n, sources)
    if (again) copy.owner = n.owner
    done.set(n, copy)
  }
  return roots.map((r) => done.get(r) ?? r)
}
