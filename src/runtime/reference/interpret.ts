/**
 * The oracle: plain TypeScript over the graph, with float64 (integers of any size for integer dtypes) inside an op and the dtype's
 * rounding or wrapping at its end. Slow and obvious; it shares no lowering with the backends that it judges.
 */
import {
  allocateHost,
  getElement,
  isInteger,
  setElement,
  sizeOf,
  type DType,
  type HostData,
} from '../../common/dtype.ts'
import { IndexOutOfRangeError, InternalError } from '../../common/errors.ts'
import { philox4x32 } from '../../common/philox.ts'
import { contiguousStrides, numel, type Shape } from '../../common/shape.ts'
import { contractSizes } from '../../graph/build.ts'
import { topologicalOrder, type ContractAxis, type Node, type NodeOf } from '../../graph/node.ts'
import { opInfo, type BinaryOp, type UnaryOp } from '../../graph/ops.ts'
import { attentionGradientValues, attentionValues } from './attention.ts'
import { binaryBigint, binaryNumber, integerPower, unaryBigint, unaryNumber } from './scalar-ops.ts'

/** A dense value during evaluation. */
export interface Value {
  readonly dtype: DType
  readonly shape: Shape
  readonly data: HostData
}

const empty = (dtype: DType, shape: Shape): Value => ({ dtype, shape, data: allocateHost(dtype, numel(shape)) })
const at = (v: Value, i: number): number => getElement(v.dtype, v.data, i)

/** What arithmetic is done on: a bigint for integer dtypes, a float64 for the others. */
type Num = number | bigint

const read = (v: Value, i: number): Num => (isInteger(v.dtype) ? BigInt(v.data[i]!) : at(v, i))

/** Integers wrap around, floats are rounded. */
function write(out: Value, i: number, x: Num): void {
  if (typeof x === 'number') return setElement(out.dtype, out.data, i, x)
  if (out.dtype === 'int64') out.data[i] = BigInt.asIntN(64, x) as never
  else if (isInteger(out.dtype)) out.data[i] = Number(BigInt.asIntN(8 * sizeOf(out.dtype), x))
  else setElement(out.dtype, out.data, i, out.dtype === 'bool' ? Number(x !== 0n) : Number(x))
}

function combine(op: BinaryOp, a: Num, b: Num): Num {
  return typeof a === 'bigint' ? binaryBigint[op]!(a, b as bigint) : binaryNumber[op](a, b as number)
}

/** Places for sums and the like that start at `start`. */
function accumulators(dtype: DType, n: number, start: number): Num[] | Float64Array {
  return isInteger(dtype) ? new Array<Num>(n).fill(BigInt(start)) : new Float64Array(n).fill(start)
}

/** Calls `visit` with each coordinate of `shape` in row-major order and its number. */
function forEachCoordinate(shape: Shape, visit: (coordinate: readonly number[], i: number) => void): void {
  const n = numel(shape)
  const c = new Array<number>(shape.length).fill(0)
  for (let i = 0; i < n; i++) {
    visit(c, i)
    for (let a = shape.length - 1; a >= 0; a--) {
      if (++c[a]! < shape[a]!) break
      c[a] = 0
    }
  }
}

const offset = (coordinate: readonly number[], strides: readonly number[]): number => {
  let o = 0
  for (let a = 0; a < strides.length; a++) o += coordinate[a]! * strides[a]!
  return o
}

/** Copies elements: `source` tells from the coordinate where an element comes from, -1 for zero. */
function rearrange(dtype: DType, shape: Shape, x: Value, source: (c: readonly number[]) => number): Value {
  const out = empty(dtype, shape)
  forEachCoordinate(shape, (c, i) => {
    const o = source(c)
    if (o >= 0) out.data[i] = x.data[o]!
  })
  return out
}

function checkedIndex(index: Value, i: number, size: number): number {
  const v = Number(index.data[i])
  if (v < -size || v >= size)
    throw new IndexOutOfRangeError(
      `index ${v} is out of range for an axis of ${size} elements (allowed: ${-size} to ${size - 1})`,
    )
  return v < 0 ? v + size : v
}

function unaryValue(op: UnaryOp, x: Value): Value {
  const out = empty(x.dtype, x.shape)
  for (let i = 0; i < out.data.length; i++) {
    const v = read(x, i)
    if (typeof v === 'bigint') write(out, i, unaryBigint[op]!(v))
    else if (op === 'not') out.data[i] = v ? 0 : 1
    else write(out, i, unaryNumber[op](v))
  }
  return out
}

function binaryValue(op: BinaryOp, dtype: DType, a: Value, b: Value): Value {
  const out = empty(dtype, a.shape)
  for (let i = 0; i < out.data.length; i++) {
    const [x, y] = [read(a, i), read(b, i)]
    if (op === 'pow' && typeof x === 'bigint') write(out, i, integerPower(x, y as bigint, dtype === 'int64' ? 64 : 32))
    else write(out, i, combine(op, x, y))
  }
  return out
}

const reductions = { reduceSum: 'add', reduceProd: 'mul', reduceMax: 'max', reduceMin: 'min' } as const

function reduceValue(
  node: NodeOf<'reduceSum' | 'reduceMax' | 'reduceMin' | 'reduceProd' | 'argmax' | 'argmin'>,
  x: Value,
): Value {
  const { op } = node
  const { axes } = node.attributes
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i))
  const out = empty(node.dtype, node.shape)
  const outStrides = contiguousStrides(node.shape)
  const axisStrides = contiguousStrides(axes.map((a) => x.shape[a]!))
  const acc = accumulators(x.dtype, out.data.length, op === 'reduceProd' ? 1 : 0)
  const position = new Float64Array(acc.length)
  const seen = new Uint8Array(acc.length)
  forEachCoordinate(x.shape, (c, i) => {
    const o = kept.reduce((s, a, k) => s + c[a]! * outStrides[k]!, 0)
    const v = read(x, i)
    const best = acc[o]!
    if (op === 'argmax' || op === 'argmin') {
      const better = op === 'argmax' ? v > best : v < best
      if (!seen[o] || (!Number.isNaN(best) && (Number.isNaN(v) || better))) {
        acc[o] = v
        position[o] = axes.reduce((s, a, k) => s + c[a]! * axisStrides[k]!, 0)
      }
    } else acc[o] = !seen[o] && (op === 'reduceMax' || op === 'reduceMin') ? v : combine(reductions[op], best, v)
    seen[o] = 1
  })
  const result = op === 'argmax' || op === 'argmin' ? position : acc
  for (let i = 0; i < acc.length; i++) write(out, i, result[i]!)
  return out
}

function cumulateValue(node: NodeOf<'cumulate'>, x: Value): Value {
  const { axis, kind } = node.attributes
  const out = empty(x.dtype, x.shape)
  const stride = contiguousStrides(x.shape)[axis]!
  const step = { sum: 'add', prod: 'mul', max: 'max', min: 'min' } as const
  const wide = accumulators(x.dtype, out.data.length, 0)
  forEachCoordinate(x.shape, (c, i) => {
    wide[i] = c[axis] === 0 ? read(x, i) : combine(step[kind], wide[i - stride]!, read(x, i))
    write(out, i, wide[i]!)
  })
  return out
}

function contractValue(node: NodeOf<'contract'>, lhs: Value, rhs: Value): Value {
  const spec = node.attributes
  const sizes = contractSizes(spec, lhs.shape, rhs.shape, node.shape)
  const letters = [...sizes.keys()]
  const place = new Map(letters.map((l, i) => [l, i]))
  const out = empty(node.dtype, node.shape)
  const acc = accumulators(node.dtype, out.data.length, 0)
  const locate = (axes: readonly ContractAxis[], shape: Shape): ((c: readonly number[]) => number) => {
    const strides = contiguousStrides(shape)
    return (c) => {
      let o = 0
      for (let i = 0; i < axes.length; i++) {
        const a = axes[i]!
        const x =
          typeof a === 'number'
            ? c[place.get(a)!]!
            : c[place.get(a.position)!]! * a.stride + c[place.get(a.tap)!]! * a.dilation - a.padding
        if (x < 0 || x >= shape[i]!) return -1
        o += x * strides[i]!
      }
      return o
    }
  }
  const inLhs = locate(spec.lhs, lhs.shape)
  const inRhs = locate(spec.rhs, rhs.shape)
  const inOut = locate(spec.out, node.shape)
  forEachCoordinate(
    letters.map((l) => sizes.get(l)!),
    (c) => {
      const o = inOut(c)
      const l = inLhs(c)
      const r = inRhs(c)
      if (o >= 0 && l >= 0 && r >= 0) acc[o] = combine('add', acc[o]!, combine('mul', read(lhs, l), read(rhs, r)))
    },
  )
  for (let i = 0; i < acc.length; i++) write(out, i, acc[i]!)
  return out
}

function gatherValue(node: NodeOf<'gather'>, x: Value, index: Value): Value {
  const { axis } = node.attributes
  const strides = contiguousStrides(x.shape)
  const indexStrides = contiguousStrides(index.shape)
  const rank = index.shape.length
  return rearrange(node.dtype, node.shape, x, (c) => {
    const i = checkedIndex(index, offset(c.slice(axis, axis + rank), indexStrides), x.shape[axis]!)
    return offset([...c.slice(0, axis), i, ...c.slice(axis + rank)], strides)
  })
}

/** Additions one after another in the dtype of the base: low precision is rounded after each, as in memory. */
function scatterValue(node: NodeOf<'scatter'>, base: Value, index: Value, updates: Value): Value {
  const { axis, mode } = node.attributes
  const out: Value = { dtype: base.dtype, shape: base.shape, data: base.data.slice() }
  const strides = contiguousStrides(base.shape)
  const indexStrides = contiguousStrides(index.shape)
  const rank = index.shape.length
  forEachCoordinate(updates.shape, (c, u) => {
    const i = checkedIndex(index, offset(c.slice(axis, axis + rank), indexStrides), base.shape[axis]!)
    const o = offset([...c.slice(0, axis), i, ...c.slice(axis + rank)], strides)
    if (mode === 'add') write(out, o, combine('add', read(out, o), read(updates, u)))
    else out.data[o] = updates.data[u]!
  })
  return out
}

function argsortValue(node: NodeOf<'argsort'>, x: Value): Value {
  const { axis, descending } = node.attributes
  const out = empty('int64', x.shape)
  const stride = contiguousStrides(x.shape)[axis]!
  const n = x.shape[axis]!
  forEachCoordinate(
    x.shape.map((d, i) => (i === axis ? Math.min(d, 1) : d)),
    (c) => {
      const start = offset(c, contiguousStrides(x.shape))
      const order = Array.from({ length: n }, (_, i) => i)
      const key = (i: number): Num => read(x, start + i * stride)
      const compare = (a: number, b: number): number => {
        const ka = key(a)
        const kb = key(b)
        if (Number.isNaN(ka as number) || Number.isNaN(kb as number))
          return Number(Number.isNaN(ka as number)) - Number(Number.isNaN(kb as number))
        return ka < kb ? -1 : ka > kb ? 1 : 0
      }
      order.sort((a, b) => (descending ? compare(b, a) : compare(a, b)))
      order.forEach((p, i) => (out.data[start + i * stride] = BigInt(p) as never))
    },
  )
  return out
}

/** The lower and upper 32 bits of 64. */
const halves = (v: bigint): [number, number] => [Number(v & 0xffffffffn), Number(v >> 32n)]

function randomValue(node: NodeOf<'random'>, key: Value, start: Value): Value {
  const out = empty(node.dtype, node.shape)
  const k = BigInt.asUintN(64, (key.data as BigInt64Array)[0]!)
  const first = (start.data as BigInt64Array)[0]!
  for (let i = 0; i < out.data.length; i++) {
    const counter = BigInt.asUintN(64, first + BigInt(i >> 2))
    const word = philox4x32(...halves(counter), ...halves(k))[i & 3]!
    out.data[i] = node.dtype === 'float32' ? (word >>> 8) * 2 ** -24 : word | 0
  }
  return out
}

function scanValues(node: NodeOf<'scan'>, sources: readonly Value[]): Value[] {
  const { body, carries, sequences, length, reverse } = node.attributes
  let state = sources.slice(0, carries)
  const stacks = body.outputs.slice(carries).map((o) => empty(o.dtype, [length, ...o.shape]))
  for (let k = 0; k < length; k++) {
    const t = reverse ? length - 1 - k : k
    const slices = sources.slice(carries, carries + sequences).map((s): Value => {
      const shape = s.shape.slice(1)
      const n = numel(shape)
      return { dtype: s.dtype, shape, data: s.data.slice(t * n, (t + 1) * n) }
    })
    const values = [...state, ...slices, ...sources.slice(carries + sequences)]
    const results = evaluate(body.outputs, new Map(body.params.map((p, i) => [p, values[i]!])))
    state = results.slice(0, carries)
    stacks.forEach((s, i) =>
      (s.data as Float32Array).set(
        results[carries + i]!.data as Float32Array,
        t * numel(body.outputs[carries + i]!.shape),
      ),
    )
  }
  return [...state, ...stacks]
}

function evaluateNode(node: Node, sources: readonly Value[], tuples: Map<Node, Value[]>): Value {
  const x = sources[0]!
  switch (node.op) {
    case 'constant':
    case 'scalar': {
      const out = empty(node.dtype, node.shape)
      const v = node.attributes.value
      if (out.data.length === 0) return out
      if (typeof v === 'bigint' && node.dtype === 'int64') out.data[0] = v as never
      else setElement(node.dtype, out.data, 0, Number(v))
      out.data.fill(out.data[0] as never)
      return out
    }
    case 'iota': {
      const out = empty(node.dtype, node.shape)
      forEachCoordinate(node.shape, (c, i) => setElement(node.dtype, out.data, i, c[node.attributes.axis]!))
      return out
    }
    case 'random':
      return randomValue(node, x, sources[1]!)
    case 'where': {
      const out = empty(node.dtype, node.shape)
      for (let i = 0; i < out.data.length; i++) out.data[i] = (x.data[i] ? sources[1]! : sources[2]!).data[i]!
      return out
    }
    case 'cast': {
      const out = empty(node.dtype, node.shape)
      for (let i = 0; i < out.data.length; i++) write(out, i, read(x, i))
      return out
    }
    case 'reshape':
    case 'detach':
      return { dtype: x.dtype, shape: node.shape, data: x.data }
    case 'permute': {
      const strides = contiguousStrides(x.shape)
      const moved = node.attributes.order.map((a) => strides[a]!)
      return rearrange(node.dtype, node.shape, x, (c) => offset(c, moved))
    }
    case 'expand': {
      const strides = contiguousStrides(x.shape).map((s, i) => (x.shape[i] === 1 ? 0 : s))
      return rearrange(node.dtype, node.shape, x, (c) => offset(c, strides))
    }
    case 'pad': {
      const strides = contiguousStrides(x.shape)
      const { low } = node.attributes
      return rearrange(node.dtype, node.shape, x, (c) => {
        const inner = c.map((v, i) => v - low[i]!)
        return inner.some((v, i) => v < 0 || v >= x.shape[i]!) ? -1 : offset(inner, strides)
      })
    }
    case 'slice': {
      const strides = contiguousStrides(x.shape)
      const { start, step } = node.attributes
      return rearrange(node.dtype, node.shape, x, (c) =>
        offset(
          c.map((v, i) => start[i]! + v * step[i]!),
          strides,
        ),
      )
    }
    case 'flip': {
      const strides = contiguousStrides(x.shape)
      const { axes } = node.attributes
      return rearrange(node.dtype, node.shape, x, (c) =>
        offset(
          c.map((v, i) => (axes.includes(i) ? x.shape[i]! - 1 - v : v)),
          strides,
        ),
      )
    }
    case 'window': {
      const strides = contiguousStrides(x.shape)
      const { axis, stride, dilation } = node.attributes
      return rearrange(node.dtype, node.shape, x, (c) =>
        offset([...c.slice(0, axis), c[axis]! * stride + c[axis + 1]! * dilation, ...c.slice(axis + 2)], strides),
      )
    }
    case 'reduceSum':
    case 'reduceMax':
    case 'reduceMin':
    case 'reduceProd':
    case 'argmax':
    case 'argmin':
      return reduceValue(node, x)
    case 'cumulate':
      return cumulateValue(node, x)
    case 'contract':
      return contractValue(node, x, sources[1]!)
    case 'gather':
      return gatherValue(node, x, sources[1]!)
    case 'scatter':
      return scatterValue(node, x, sources[1]!, sources[2]!)
    case 'argsort':
      return argsortValue(node, x)
    case 'scan':
      tuples.set(node, scanValues(node, sources))
      return empty('float32', [])
    case 'attention':
      tuples.set(node, attentionValues(node, sources))
      return empty('float32', [])
    case 'attentionGradient':
      tuples.set(node, attentionGradientValues(node, sources))
      return empty('float32', [])
    case 'output':
      return tuples.get(node.sources[0]!)![node.attributes.index]!
    case 'buffer':
    case 'param':
      throw new InternalError(`${node.op} has no value in this evaluation`)
    default: {
      const { group } = opInfo(node.op)
      if (group === 'unary') return unaryValue(node.op as UnaryOp, x)
      if (group === 'binary') return binaryValue(node.op as BinaryOp, node.dtype, x, sources[1]!)
      throw new InternalError(`the reference backend does not know ${node.op}`)
    }
  }
}

/** Values of `roots`, given those of the leaves. */
export function evaluate(roots: readonly Node[], leaves: ReadonlyMap<Node, Value>): Value[] {
  const values = new Map<Node, Value>(leaves)
  const tuples = new Map<Node, Value[]>()
  for (const node of topologicalOrder(roots, (n) => leaves.has(n))) {
    if (values.has(node)) continue
    values.set(
      node,
      evaluateNode(
        node,
        node.sources.map((s) => values.get(s)!),
        tuples,
      ),
    )
  }
  return roots.map((r) => values.get(r)!)
}
