/**
 * Fused expressions: what one element of a kernel's result is, as a DAG over loads, with every view already turned into index
 * arithmetic. Reductions inside stand for values that an earlier phase of the same kernel computes.
 */
import { isFloat, type DType } from '../common/dtype.ts'
import { contiguousStrides, numel, sameShape, type Shape } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import { opInfo, type OpName } from '../graph/ops.ts'
import { elementsOf } from '../schedule/views.ts'
import {
  affineAdd,
  affineConstant,
  affineRange,
  affineScale,
  affineVariable,
  delinearize,
  linearize,
  PartitionRequest,
  type Affine,
  type Variable,
} from './affine.ts'

/** low <= at < high must hold, or the value is zero. */
export interface Bound {
  readonly at: Affine
  readonly low: number
  readonly high: number
}

export type Expression = {
  readonly dtype: DType
  /** Loops that the value depends on. */
  readonly loops: ReadonlySet<Variable>
} & (
  | { readonly kind: 'constant'; readonly value: number | bigint }
  | { readonly kind: 'scalar'; readonly slot: number }
  | { readonly kind: 'index'; readonly at: Affine }
  | { readonly kind: 'load'; readonly source: Node; readonly at: Affine; readonly guards: readonly Bound[] }
  /** Element index * stride + at of a source whose axis has `size` entries. */
  | {
      readonly kind: 'gather'
      readonly source: Node
      readonly at: Affine
      readonly index: Expression
      readonly stride: number
      readonly size: number
      readonly guards: readonly Bound[]
    }
  | { readonly kind: 'operation'; readonly op: OpName; readonly args: readonly Expression[] }
  | { readonly kind: 'guard'; readonly bounds: readonly Bound[]; readonly x: Expression }
  | { readonly kind: 'random'; readonly key: Expression; readonly offset: Expression; readonly at: Affine }
  | {
      readonly kind: 'reduction'
      readonly node: Node
      readonly op: OpName
      readonly over: readonly Variable[]
      readonly x: Expression
      readonly position: Affine
    }
)

/** A node that must be in memory before this kernel: what it is fused into cannot hold it. */
export class MaterializeRequest {
  readonly node: Node
  constructor(node: Node) {
    this.node = node
  }
}

/** What the expression builder asks of the scheduler. */
export interface Surroundings {
  /** True where the node's value is read from memory. */
  isMaterialized(node: Node): boolean
  /** Number of a scalar node. */
  scalarSlot(node: Node): number
  /** Whether the node's value goes to memory that the same kernel may read. */
  overwrites(node: Node): boolean
  /** Whether a kernel must compute its results whole, not box by box (see PartitionRequest). Default false. */
  readonly isWhole?: boolean
}

const unrolledOps: Partial<Record<OpName, OpName>> = {
  reduceSum: 'add',
  reduceProd: 'mul',
  reduceMax: 'max',
  reduceMin: 'min',
}

const noLoops: ReadonlySet<Variable> = new Set()

function union(parts: readonly ReadonlySet<Variable>[]): ReadonlySet<Variable> {
  let largest = noLoops
  for (const p of parts) if (p.size > largest.size) largest = p
  if (parts.every((p) => p === largest || covers(largest, p))) return largest
  const all = new Set<Variable>()
  for (const p of parts) for (const v of p) all.add(v)
  return all
}

/** Whether a value is a product, or the negative of one. */
export function isProduct(e: Expression): boolean {
  return e.kind === 'operation' && (e.op === 'mul' || (e.op === 'neg' && isProduct(e.args[0]!)))
}

/** Whether all loops of `inner` are among `outer`. */
export function covers(outer: ReadonlySet<Variable>, inner: ReadonlySet<Variable>): boolean {
  for (const v of inner) if (!outer.has(v)) return false
  return true
}

/** Whether a loop is the inner one of two that an axis was split into. */
export function isSplitOff(loop: Variable): boolean {
  return loop.key.endsWith('i')
}

export class ExpressionBuilder {
  readonly #surroundings: Surroundings
  /** Loops split on request: inner extents by the key of the loop. */
  readonly #splits: ReadonlyMap<string, number>
  readonly #memo = new Map<Node, Map<string, Expression>>()
  readonly #axes = new Map<string, Affine>()
  /** What lists of coordinates are called, and where they lie in a dense tensor of a shape: nodes hand on one list to one another. */
  readonly #names = new Map<readonly Affine[], string>()
  readonly #offsets = new Map<readonly Affine[], { readonly shape: Shape; readonly at: Affine }>()
  readonly loops: Variable[] = []

  constructor(surroundings: Surroundings, splits: ReadonlyMap<string, number>) {
    this.#surroundings = surroundings
    this.#splits = splits
  }

  /** The coordinate along an axis of `extent` as a loop, or as several where a split was asked for. */
  axis(key: string, extent: number): Affine {
    const known = this.#axes.get(key)
    if (known) return known
    const inner = this.#splits.get(key)
    let coordinate: Affine
    if (inner === undefined) {
      const loop: Variable = { key, extent }
      if (extent !== 1) this.loops.push(loop)
      coordinate = affineVariable(loop)
    } else {
      const outerPart = this.axis(`${key}o`, extent / inner)
      coordinate = affineAdd(affineScale(outerPart, inner), this.axis(`${key}i`, inner))
    }
    this.#axes.set(key, coordinate)
    return coordinate
  }

  /** The loops behind an axis, outermost first. */
  axisLoops(coordinate: Affine): Variable[] {
    return [...coordinate.loops]
  }

  /** The value of a node at coordinates. `force` computes it here although it is materialised (the kernel's own result). */
  at(node: Node, coordinates: readonly Affine[], guards: readonly Bound[] = [], force = false): Expression {
    const name = this.#nameOf(coordinates)
    const key = guards.length > 0 ? `${name}|${guards.map((g) => `${g.at.key}<${g.high}`).join(';')}` : name
    let known = this.#memo.get(node)
    if (!known) this.#memo.set(node, (known = new Map()))
    const found = known.get(key)
    if (found) return found
    const made =
      !force && this.#surroundings.isMaterialized(node)
        ? this.#load(node, coordinates, guards)
        : this.#compute(node, coordinates, guards)
    known.set(key, made)
    return made
  }

  #nameOf(coordinates: readonly Affine[]): string {
    let name = this.#names.get(coordinates)
    if (name === undefined) this.#names.set(coordinates, (name = coordinates.map((a) => a.key).join(';')))
    return name
  }

  /** Where coordinates lie in a dense tensor. */
  #offsetOf(coordinates: readonly Affine[], shape: Shape): Affine {
    const known = this.#offsets.get(coordinates)
    if (known && sameShape(known.shape, shape)) return known.at
    const at = linearize(coordinates, contiguousStrides(shape))
    this.#offsets.set(coordinates, { shape, at })
    return at
  }

  #load(source: Node, coordinates: readonly Affine[], guards: readonly Bound[]): Expression {
    const at = this.#offsetOf(coordinates, source.shape)
    const loops = guards.length === 0 ? at.loops : union([at.loops, ...guards.map((g) => g.at.loops)])
    return { kind: 'load', dtype: source.dtype, loops, source, at, guards }
  }

  #compute(node: Node, c: readonly Affine[], guards: readonly Bound[]): Expression {
    const { dtype } = node
    const x = node.sources[0]!
    switch (node.op) {
      case 'constant':
        return { kind: 'constant', dtype, loops: noLoops, value: node.attributes.value }
      case 'scalar':
        return { kind: 'scalar', dtype, loops: noLoops, slot: this.#surroundings.scalarSlot(node) }
      case 'iota': {
        const at = c[node.attributes.axis]!
        return { kind: 'index', dtype, loops: at.loops, at }
      }
      case 'random': {
        const at = this.#offsetOf(c, node.shape)
        const key = this.at(x, [])
        const offset = this.at(node.sources[1]!, [])
        return { kind: 'random', dtype, loops: union([at.loops, key.loops, offset.loops]), key, offset, at }
      }
      case 'detach':
        return this.at(x, c, guards)
      case 'reshape':
        return this.at(x, this.#reshaped(node, c, guards), guards)
      case 'permute': {
        const moved = new Array<Affine>(c.length)
        node.attributes.order.forEach((from, to) => (moved[from] = c[to]!))
        return this.at(x, moved, guards)
      }
      case 'expand':
        return this.at(
          x,
          c.map((a, i) => (x.shape[i] === 1 ? affineConstant(0) : a)),
          guards,
        )
      case 'slice': {
        const { start, step } = node.attributes
        return this.at(
          x,
          c.map((a, i) => affineAdd(affineScale(a, step[i]!), affineConstant(start[i]!))),
          guards,
        )
      }
      case 'flip': {
        const { axes } = node.attributes
        return this.at(
          x,
          c.map((a, i) => (axes.includes(i) ? affineAdd(affineConstant(x.shape[i]! - 1), affineScale(a, -1)) : a)),
          guards,
        )
      }
      case 'window': {
        const { axis, stride, dilation } = node.attributes
        const at = affineAdd(affineScale(c[axis]!, stride), affineScale(c[axis + 1]!, dilation))
        return this.at(x, [...c.slice(0, axis), at, ...c.slice(axis + 2)], guards)
      }
      case 'pad':
        return this.#padded(node, x, node.attributes.low, c, guards)
      case 'gather':
        return this.#gathered(node, c, guards)
      case 'reduceSum':
      case 'reduceMax':
      case 'reduceMin':
      case 'reduceProd':
      case 'argmax':
      case 'argmin':
        return this.#reduced(node, node.attributes.axes, c, guards)
      default: {
        const { group } = opInfo(node.op)
        if (group !== 'unary' && group !== 'binary' && group !== 'ternary' && group !== 'cast')
          throw new MaterializeRequest(node)
        const args = node.sources.map((s) => this.at(s, c, guards))
        if (node.op === 'where' && isSameConstant(args[1]!, args[2]!)) return args[1]!
        return { kind: 'operation', dtype, loops: union(args.map((a) => a.loops)), op: node.op, args }
      }
    }
  }

  #reshaped(node: Node, c: readonly Affine[], guards: readonly Bound[]): Affine[] {
    const x = node.sources[0]!
    const linear = this.#offsetOf(c, node.shape)
    if (affineRange(linear)[0] < 0) throw new MaterializeRequest(node)
    const coordinates = delinearize(linear, x.shape)
    const isAffine = coordinates.every((a) => [...a.terms.keys()].every((v) => v.quotient === undefined))
    if (!isAffine && this.#surroundings.isWhole !== true) for (const g of guards) requestBoxes(g)
    return coordinates
  }

  #padded(node: Node, x: Node, low: readonly number[], c: readonly Affine[], guards: readonly Bound[]): Expression {
    const inner = c.map((a, i) => affineAdd(a, affineConstant(-low[i]!)))
    const bounds: Bound[] = []
    inner.forEach((at, i) => {
      const [least, most] = affineRange(at)
      if (least < 0 || most >= x.shape[i]!) bounds.push({ at, low: 0, high: x.shape[i]! })
    })
    const isOutside = bounds.some(({ at, high }) => affineRange(at)[0] >= high || affineRange(at)[1] < 0)
    if (isOutside || numel(x.shape) === 0) return { kind: 'constant', dtype: node.dtype, loops: noLoops, value: 0 }
    if (bounds.length === 0) return this.at(x, inner, guards)
    const value = this.at(x, inner, [...guards, ...bounds])
    return {
      kind: 'guard',
      dtype: node.dtype,
      loops: union([value.loops, ...bounds.map((b) => b.at.loops)]),
      bounds,
      x: value,
    }
  }

  #gathered(node: Node & { op: 'gather' }, c: readonly Affine[], guards: readonly Bound[]): Expression {
    const [source, index] = node.sources as [Node, Node]
    const memory = elementsOf(source, this.#surroundings.isMaterialized)
    if (!this.#surroundings.isMaterialized(memory)) throw new MaterializeRequest(memory)
    const { axis } = node.attributes
    const rank = index.shape.length
    const strides = contiguousStrides(source.shape)
    const place = this.at(index, c.slice(axis, axis + rank), guards)
    const others = [...c.slice(0, axis), affineConstant(0), ...c.slice(axis + rank)]
    const at = linearize(others, strides)
    const loops = union([at.loops, place.loops, ...guards.map((g) => g.at.loops)])
    const picked: Expression = {
      kind: 'gather',
      dtype: memory.dtype,
      loops,
      source: memory,
      at,
      index: place,
      stride: strides[axis]!,
      size: source.shape[axis]!,
      guards,
    }
    return memory.dtype === node.dtype
      ? picked
      : { kind: 'operation', dtype: node.dtype, loops, op: 'cast', args: [picked] }
  }

  /** A reduction over a handful of elements, as one expression. */
  #unrolled(node: Node, x: Node, axes: readonly number[], c: readonly Affine[]): Expression {
    const count = axes.reduce((n, a) => n * x.shape[a]!, 1)
    const operation = (op: OpName, dtype: DType, ...args: Expression[]): Expression => ({
      kind: 'operation',
      dtype,
      op,
      args,
      loops: union(args.map((a) => a.loops)),
    })
    const element = (i: number): Expression => {
      let rest = i
      const taps = new Map<number, number>()
      for (const a of [...axes].reverse()) {
        taps.set(a, rest % x.shape[a]!)
        rest = Math.floor(rest / x.shape[a]!)
      }
      let next = 0
      return this.at(
        x,
        x.shape.map((_, a) => (taps.has(a) ? affineConstant(taps.get(a)!) : c[next++]!)),
      )
    }
    const elements = Array.from({ length: count }, (_, i) => element(i))
    if (node.op !== 'argmax' && node.op !== 'argmin') {
      const boolean = ({ reduceMax: 'or', reduceMin: 'and' } as Partial<Record<OpName, OpName>>)[node.op]
      const op = node.dtype === 'bool' ? boolean! : (unrolledOps[node.op] as OpName)
      return elements.reduce((a, b) => operation(op, node.dtype, a, b))
    }
    const position = (i: number): Expression => ({ kind: 'constant', dtype: 'int32', loops: noLoops, value: i })
    let best = elements[0]!
    let at = position(0)
    elements.slice(1).forEach((v, i) => {
      const better = operation(node.op === 'argmax' ? 'gt' : 'lt', 'bool', v, best)
      const firstNaN = operation('and', 'bool', operation('ne', 'bool', v, v), operation('eq', 'bool', best, best))
      const take = isFloat(x.dtype) ? operation('or', 'bool', better, firstNaN) : better
      best = operation('where', x.dtype, take, v, best)
      at = operation('where', 'int32', take, position(i + 1), at)
    })
    return at
  }

  /** A reduction gets loops of its own; reductions over the same axes of the same domain share them. */
  #reduced(node: Node, axes: readonly number[], c: readonly Affine[], guards: readonly Bound[]): Expression {
    if (guards.length > 0) throw new MaterializeRequest(node)
    const x = node.sources[0]!
    const where = this.#nameOf(c)
    if (numel(x.shape) === 0)
      return { kind: 'constant', dtype: node.dtype, loops: noLoops, value: node.op === 'reduceProd' ? 1 : 0 }
    if (isTiny(x.shape, axes)) return this.#unrolled(node, x, axes, c)
    let next = 0
    const own: Affine[] = []
    const coordinates = x.shape.map((extent, i) => {
      if (!axes.includes(i)) return c[next++]!
      const a = this.axis(`r[${x.shape.join('x')}|${axes.join()}|${where}]${i}`, extent)
      own.push(a)
      return a
    })
    const value = this.at(x, coordinates)
    const over = own.flatMap((a) => this.axisLoops(a))
    const loops = new Set([...value.loops, ...c.flatMap((a) => this.axisLoops(a))].filter((v) => !over.includes(v)))
    const position = linearize(own, contiguousStrides(axes.map((a) => x.shape[a]!)))
    return { kind: 'reduction', dtype: node.dtype, loops, node, op: node.op, over, x: value, position }
  }
}

/** Throws PartitionRequest where a bound cuts an axis of the results. */
function requestBoxes({ at, high }: Bound): void {
  const [term] = at.terms
  if (at.constant !== 0 || at.terms.size !== 1 || !term || term[1] !== 1 || high >= term[0].extent) return
  const axis = /^d(\d+)$/.exec(term[0].key)
  if (axis) throw new PartitionRequest(Number(axis[1]), high)
}

function isSameConstant(a: Expression, b: Expression): boolean {
  return a.kind === 'constant' && b.kind === 'constant' && Object.is(a.value, b.value)
}

/** Taps of a pooling window and the like: few enough to be written out, so that the loops around them can run in lanes. */
function isTiny(shape: readonly number[], axes: readonly number[]): boolean {
  return axes.every((a) => a > 0 && shape[a]! <= 5) && axes.reduce((n, a) => n * shape[a]!, 1) <= 25
}

/** Every expression of a DAG once, arguments first, but for those that are `known`, and what stands only in them. */
export function expressionsOf(roots: readonly Expression[], known?: (e: Expression) => boolean): Expression[] {
  const seen = new Set<Expression>()
  const found: Expression[] = []
  for (const e of roots) collect(e, seen, found, known)
  return found
}

type Known = ((e: Expression) => boolean) | undefined

function collect(e: Expression, seen: Set<Expression>, found: Expression[], known: Known): void {
  if (seen.has(e)) return
  seen.add(e)
  if (known?.(e)) return
  if (e.kind === 'operation') for (const x of e.args) collect(x, seen, found, known)
  else if (e.kind === 'guard' || e.kind === 'reduction') collect(e.x, seen, found, known)
  else if (e.kind === 'gather') collect(e.index, seen, found, known)
  else if (e.kind === 'random') {
    collect(e.key, seen, found, known)
    collect(e.offset, seen, found, known)
  }
  found.push(e)
}
