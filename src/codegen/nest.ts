/**
 * Loop nests: everything that is not a contraction, a scatter or a sort. A kernel has parallel outer loops; inside, phases that
 * each reduce over loops of their own, and at the end loops that store the results. Elementwise work is the case without phases, a
 * softmax or a layer norm the case with several; a column sum keeps its accumulators in scratch, so that memory is read in order.
 */
import { sizeOf } from '../common/dtype.ts'
import { contiguousStrides, numel } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import { affineKey, linearize, SplitRequest, type Affine, type Variable } from './affine.ts'
import * as ir from './builder.ts'
import { buildDraws } from './draws.ts'
import { constantOf, emitCast, emitOperation, isWritten, valueScalar } from './elementwise.ts'
import {
  ExpressionBuilder,
  MaterializeRequest,
  visitExpressions,
  type Bound,
  type Expression,
  type Surroundings,
} from './expression.ts'
import type { Expr, Kernel, ReduceIr } from './kernel.ts'
import { emitRandom } from './random.ts'

export type NestArgument =
  | { readonly kind: 'source'; readonly node: Node }
  | { readonly kind: 'sink'; readonly index: number }
  | { readonly kind: 'index'; readonly value: number }
  | { readonly kind: 'number'; readonly value: number | bigint }
  | { readonly kind: 'scalar'; readonly slot: number }
  | { readonly kind: 'scratch' }

export interface NestKernel {
  readonly kernel: Kernel
  readonly arguments: readonly NestArgument[]
  readonly extent: number
  readonly grain: number
  readonly scratchBytes: number
  readonly flops: number
  readonly bytes: number
  /** Result shape and the loops of the reductions: kernels with equal domains can be one kernel. */
  readonly domain: string
  /** Sources whose elements are read at other places than the sink of the same number of elements is written. */
  readonly shifted: ReadonlySet<Node>
}

type Reduction = Expression & { kind: 'reduction' }

/** Elements of the innermost loop that one parallel iteration takes where there is nothing else to share out. */
const chunkElements = 4096
/** Accumulators of a column reduction that stay in the first-level cache. */
const columnElements = 1024
/** Longest last axis, and largest stride of an innermost loop, that stand in a kernel as numbers. */
const longestWritten = 4
/** Element operations worth handing to another thread. */
const grainElements = 16384

/** Builds one kernel that computes all sinks, which have one shape. Throws MaterializeRequest for what cannot be fused into it. */
export function buildNest(sinks: readonly Node[], surroundings: Surroundings): NestKernel {
  const draws = sinks.length === 1 ? buildDraws(sinks[0]!, surroundings) : null
  if (draws) return draws
  const splits = new Map<string, number>()
  for (;;) {
    try {
      return new Nest(sinks, surroundings, splits).build()
    } catch (request) {
      if (!(request instanceof SplitRequest)) throw request
      splits.set(request.loop.key, request.inner)
    }
  }
}

/** Loops that run as one: their variables, outermost first. */
interface Group {
  readonly members: readonly Variable[]
  readonly extent: number
}

/** A place in the nest: the loops whose variables exist there, and what is already computed. */
class Level {
  readonly parent: Level | null
  readonly loops: Set<Variable>
  readonly values = new Map<Expression, Expr>()
  readonly addresses = new Map<string, Expr>()

  constructor(parent: Level | null, loops: readonly Variable[]) {
    this.parent = parent
    this.loops = new Set([...(parent?.loops ?? []), ...loops])
  }

  find<K>(map: (l: Level) => ReadonlyMap<K, Expr>, key: K): Expr | undefined {
    return map(this).get(key) ?? this.parent?.find(map, key)
  }
}

const covers = (outer: ReadonlySet<Variable>, inner: ReadonlySet<Variable>): boolean =>
  [...inner].every((v) => outer.has(v))
const accumulators: Partial<Record<string, ReduceIr>> = {
  reduceSum: 'add',
  reduceProd: 'mul',
  reduceMax: 'max',
  reduceMin: 'min',
}

class Nest {
  readonly #sinks: readonly Node[]
  /** Whether a sink may lie where a source lies. */
  readonly #inPlace: boolean
  readonly #ir: ir.KernelBuilder
  readonly #expressions: Expression[]
  readonly #stores: Affine[]
  readonly #domain: Variable[]
  readonly #reductions: Reduction[]
  readonly #outer: Variable[]
  readonly #arguments: NestArgument[] = []
  readonly #indexParameters = new Map<string, Expr>()
  readonly #sourceParameters = new Map<Node, ir.BufferParameter>()
  readonly #scalarParameters = new Map<string, Expr>()
  readonly #groupOf = new Map<Variable, Group>()
  readonly #groupVariables = new Map<Group, Expr>()
  #scratch: ir.BufferParameter | null = null
  #scratchBytes = 0
  #sinkParameters: ir.BufferParameter[] = []

  constructor(sinks: readonly Node[], surroundings: Surroundings, splits: ReadonlyMap<string, number>) {
    this.#sinks = sinks
    this.#inPlace = sinks.some((s) => surroundings.overwrites(s))
    const inside = new Set(sinks)
    const builder = new ExpressionBuilder(
      { ...surroundings, isMaterialized: (n) => !inside.has(n) && surroundings.isMaterialized(n) },
      splits,
    )
    const { shape } = sinks[0]!
    const coordinates = shape.map((d, i) => builder.axis(`d${i}`, d))
    this.#expressions = sinks.map((s) => builder.at(s, coordinates, [], true))
    const strides = contiguousStrides(shape)
    this.#stores = sinks.map(() => linearize(coordinates, strides))
    this.#domain = coordinates.flatMap((c) => builder.axisLoops(c))
    this.#reductions = []
    visitExpressions(this.#expressions, (e) => {
      if (e.kind === 'reduction') this.#reductions.push(e)
    })
    this.#outer = this.#chooseOuter()
    this.#ir = new ir.KernelBuilder(titleOf(sinks))
  }

  /** Loops outside all phases: those that any reduction depends on. Every reduction must live right inside them. */
  #chooseOuter(): Variable[] {
    if (this.#reductions.length === 0) return []
    const outer = new Set(this.#reductions.flatMap((r) => [...r.loops]))
    for (const r of this.#reductions) {
      if (r.loops.size !== outer.size || r.over.some((v) => outer.has(v)) || !covers(new Set(this.#domain), r.loops)) {
        if (this.#sinks.includes(r.node))
          throw new MaterializeRequest(this.#reductions.find((o) => !this.#sinks.includes(o.node))!.node)
        throw new MaterializeRequest(r.node)
      }
    }
    return this.#domain.filter((v) => outer.has(v))
  }

  build(): NestKernel {
    const phases = this.#phases()
    const inner = this.#domain.filter((v) => !this.#outer.includes(v))
    this.#collapse([this.#outer, inner, ...phases.map((p) => p[0]!.over)])
    this.#sinkParameters = this.#sinks.map((s, index) => {
      this.#arguments.push({ kind: 'sink', index })
      return this.#ir.buffer(s.dtype, this.#inPlace ? 'update' : 'write')
    })
    const column = this.#columnLoop(inner)
    const outerGroups = this.#groups(this.#outer)
    const innerGroups = this.#groups(inner)
    let extent: number
    if (this.#reductions.length === 0) extent = this.#elementwise(innerGroups)
    else if (column) extent = this.#columns(outerGroups, column, phases)
    else extent = this.#rows(outerGroups, innerGroups, phases)
    return this.#finish(extent)
  }

  // ---- shapes of kernels ------------------------------------------------------------------------------------------------

  /** Stores only: parallel over all loops but the last, and over chunks of that. */
  #elementwise(groups: readonly Group[]): number {
    const [looped, tail] = splitTail(groups)
    const last = looped[looped.length - 1] ?? { members: [], extent: 1 }
    const before = looped.slice(0, -1)
    const rows = before.reduce((n, g) => n * g.extent, 1)
    const chunk = rows >= 16 || last.extent <= chunkElements ? last.extent : chunkElements
    const chunks = Math.ceil(last.extent / Math.max(chunk, 1))
    const size = this.#index('chunk', chunk)
    const length = this.#index('length', last.extent)
    const count = this.#index('chunks', chunks)
    this.#ir.parallel('p', (p) => {
      const from = this.#ir.let('from', ir.mul(ir.rem(p, count), size))
      const to = this.#ir.let('to', ir.min(ir.add(from, size), length))
      const outer = this.#enter(null, before, ir.div(p, count))
      this.#innermost(outer, last, from, to, this.#expressions, this.#stores, () => this.#storeTail(tail))
    })
    return rows * chunks
  }

  /** Phases over rows, then the stores, for each outer iteration. */
  #rows(outerGroups: readonly Group[], innerGroups: readonly Group[], phases: readonly Reduction[][]): number {
    this.#ir.parallel('p', (p) => {
      const outer = this.#enter(null, outerGroups, p)
      for (const phase of phases) this.#reducePhase(outer, phase)
      if (innerGroups.length === 0) {
        this.#current = outer
        this.#storeAll(outer)
      } else {
        const [looped, tail] = splitTail(innerGroups)
        this.#loops(outer, looped, this.#expressions, this.#stores, () => this.#storeTail(tail))
      }
    })
    return outerGroups.reduce((n, g) => n * g.extent, 1)
  }

  /** As rows, for a block of one outer loop at a time: accumulators of the block lie in scratch, and memory is read in order. */
  #columns(outerGroups: readonly Group[], column: Group, phases: readonly Reduction[][]): number {
    const others = outerGroups.filter((g) => g !== column)
    const chunk = Math.min(columnElements, column.extent)
    const chunks = Math.ceil(column.extent / Math.max(chunk, 1))
    const size = this.#index('chunk', chunk)
    const length = this.#index('length', column.extent)
    const count = this.#index('chunks', chunks)
    const scalar = valueScalar(this.#reductions[0]!.dtype)
    const scratchType = ({ f32: 'float32', f64: 'float64', i32: 'int32', i64: 'int64', mask: 'int32' } as const)[scalar]
    this.#arguments.push({ kind: 'scratch' })
    const scratch = this.#ir.scratch(scratchType)
    this.#scratch = scratch
    this.#scratchBytes = chunk * this.#reductions.length * sizeOf(scratchType)
    this.#ir.parallel('p', (p) => {
      const from = this.#ir.let('from', ir.mul(ir.rem(p, count), size))
      const to = this.#ir.let('to', ir.min(ir.add(from, size), length))
      const outer = this.#enter(null, others, ir.div(p, count))
      const cell = (r: Reduction, k: Expr): Expr => ir.add(ir.mul(size, this.#reductions.indexOf(r)), ir.sub(k, from))
      const withCells = (level: Level, k: Expr, upTo: number): void => {
        for (const phase of phases.slice(0, upTo))
          for (const r of phase) level.values.set(r, asValue(r, ir.load(scratch, cell(r, k))))
      }
      phases.forEach((phase, i) => {
        this.#ir.vector('k', from, to, (k) => {
          for (const r of phase) this.#ir.store(scratch, cell(r, k), startOf(r))
        })
        const groups = this.#groups(phase[0]!.over)
        const roots = phase.map((r) => r.x)
        this.#nested(outer, groups, (level) => {
          this.#innermost(level, column, from, to, roots, [], (k) => {
            const here = this.#current!
            withCells(here, k, i)
            for (const r of phase) {
              const at = this.#ir.let('cell', cell(r, k))
              this.#ir.store(scratch, at, combine(r, ir.load(scratch, at), raw(r, this.#value(here, r.x))))
            }
          })
        })
      })
      this.#innermost(outer, column, from, to, [], this.#stores, (k) => {
        withCells(this.#current!, k, phases.length)
        this.#storeAll(this.#current!)
      })
    })
    return others.reduce((n, g) => n * g.extent, 1) * chunks
  }

  /** The outer loop along which a column reduction should run, or null where rows are read in order anyway. */
  #columnLoop(inner: readonly Variable[]): Group | null {
    if (inner.length > 0 || this.#reductions.length === 0) return null
    const scalar = valueScalar(this.#reductions[0]!.dtype)
    if (this.#reductions.some((r) => accumulators[r.op] === undefined || valueScalar(r.dtype) !== scalar)) return null
    const votes = new Map<Group, number>()
    let rows = 0
    for (const r of this.#reductions) {
      const last = this.#groupOf.get(r.over[r.over.length - 1]!)
      visitExpressions([r.x], (e) => {
        if (e.kind !== 'load' && e.kind !== 'gather') return
        const bytes = 1
        if (last && this.#coefficient(e.at, last) === 1) rows += bytes
        for (const g of this.#groups(this.#outer)) {
          if (g.extent >= 8 && this.#coefficient(e.at, g) === 1) votes.set(g, (votes.get(g) ?? 0) + bytes)
        }
      })
    }
    const [best] = [...votes].sort((a, b) => b[1] - a[1])
    return best && best[1] > rows ? best[0] : null
  }

  // ---- phases -----------------------------------------------------------------------------------------------------------

  /** Reductions in the order of their dependence; those over the same loops run together. */
  #phases(): Reduction[][] {
    const depth = new Map<Reduction, number>()
    for (const r of this.#reductions) {
      let d = 0
      visitExpressions([r.x], (e) => {
        if (e.kind === 'reduction') d = Math.max(d, depth.get(e)! + 1)
      })
      depth.set(r, d)
    }
    const phases = new Map<string, Reduction[]>()
    const sorted = [...this.#reductions].sort((a, b) => depth.get(a)! - depth.get(b)!)
    for (const r of sorted) {
      const simple = accumulators[r.op] !== undefined
      const key = `${depth.get(r)}|${simple ? r.over.map((v) => v.key).join() : `${sorted.indexOf(r)}`}`
      phases.set(key, [...(phases.get(key) ?? []), r])
    }
    return [...phases.values()]
  }

  #reducePhase(outer: Level, phase: readonly Reduction[]): void {
    const simple = accumulators[phase[0]!.op] !== undefined
    const variables = phase.map((r) => this.#ir.declare('acc', startOf(r)))
    const position = simple ? null : this.#ir.declare('best', ir.index(-1))
    const roots = phase.map((r) => r.x)
    this.#loops(
      outer,
      this.#groups(phase[0]!.over),
      roots,
      simple ? [] : [phase[0]!.position],
      () => {
        const level = this.#current!
        phase.forEach((r, i) => {
          const x = raw(r, this.#value(level, r.x))
          if (position === null) return this.#ir.accumulate(variables[i]!, accumulators[r.op]!, x)
          const v = this.#ir.let('v', x)
          const best = variables[i]!
          const better = ir.compare(r.op === 'argmax' ? 'gt' : 'lt', v, best)
          const isFloating = v.type.scalar === 'f32' || v.type.scalar === 'f64'
          const firstNaN = isFloating ? ir.and(ir.ne(v, v), ir.eq(best, best)) : null
          const take = this.#ir.let('take', ir.or(firstNaN ? ir.or(better, firstNaN) : better, ir.lt(position, 0)))
          this.#ir.assign(position, ir.select(take, this.#address(level, r.position), position))
          this.#ir.assign(best, ir.select(take, v, best))
        })
      },
      simple,
    )
    phase.forEach((r, i) => outer.values.set(r, position ? ir.convert(position, 'i32') : asValue(r, variables[i]!)))
  }

  // ---- loops ------------------------------------------------------------------------------------------------------------

  #current: Level | null = null
  /** The innermost loop: its strides of a few elements are written out, so that compilers can load such elements together. */
  #vectorGroup: Group | null = null

  /** The level inside groups whose iterations are numbered together by `number`. */
  #enter(parent: Level | null, groups: readonly Group[], number: Expr): Level {
    let rest = number
    for (let i = groups.length - 1; i >= 0; i--) {
      const g = groups[i]!
      if (i === 0) {
        this.#groupVariables.set(g, this.#ir.let('i', rest))
        break
      }
      const size = this.#index(`extent${i}`, g.extent)
      const whole = this.#ir.let('n', rest)
      this.#groupVariables.set(g, this.#ir.let('i', ir.rem(whole, size)))
      rest = ir.div(whole, size)
    }
    return new Level(
      parent,
      groups.flatMap((g) => [...g.members]),
    )
  }

  /** Sequential loops over groups, with `body` inside. */
  #nested(parent: Level, groups: readonly Group[], body: (level: Level) => void): void {
    const [first, ...rest] = groups
    if (!first) return body(parent)
    this.#ir.loop('r', 0, this.#index('extent', first.extent), 1, (i) => {
      this.#groupVariables.set(first, i)
      this.#nested(new Level(parent, first.members), rest, body)
    })
  }

  /** Loops over groups, the last one in lanes where possible; what does not depend on them is computed before. */
  #loops(
    parent: Level,
    groups: readonly Group[],
    roots: readonly Expression[],
    addresses: readonly Affine[],
    body: () => void,
    lanes = true,
  ): void {
    const last = groups[groups.length - 1]
    if (!last) {
      this.#current = parent
      return body()
    }
    this.#hoist(parent, roots, addresses)
    this.#nested(parent, groups.slice(0, -1), (level) => {
      this.#innermost(level, last, ir.index(0), this.#index('extent', last.extent), roots, addresses, body, lanes)
    })
  }

  #innermost(
    parent: Level,
    group: Group,
    from: Expr,
    to: Expr,
    roots: readonly Expression[],
    addresses: readonly Affine[],
    body: (i: Expr) => void,
    lanes = true,
  ): void {
    this.#hoist(parent, roots, addresses)
    const dynamic = this.#hasGatherInside(parent, roots)
    const fill = (i: Expr): void => {
      this.#vectorGroup = group
      this.#groupVariables.set(group, i)
      this.#current = new Level(parent, group.members)
      body(i)
    }
    if (lanes && !dynamic) this.#ir.vector('k', from, to, fill)
    else this.#ir.loop('k', from, to, 1, fill)
  }

  #hasGatherInside(level: Level, roots: readonly Expression[]): boolean {
    let found = false
    visitExpressions(roots, (e) => {
      if (e.kind === 'gather' && !covers(level.loops, e.index.loops)) found = true
    })
    return found
  }

  /** Computes, at this level, whatever inside `roots` depends on no deeper loop. */
  #hoist(level: Level, roots: readonly Expression[], addresses: readonly Affine[]): void {
    const known = (e: Expression): boolean => level.find((l) => l.values, e) !== undefined
    const seen = new Set<Expression>()
    const walk = (e: Expression): void => {
      if (seen.has(e) || known(e)) return
      seen.add(e)
      if (covers(level.loops, e.loops) && this.#reductionsKnown(level, e)) {
        this.#value(level, e)
        return
      }
      if (e.kind === 'operation') e.args.forEach(walk)
      else if (e.kind === 'guard') walk(e.x)
      else if (e.kind === 'gather') {
        walk(e.index)
        if (covers(level.loops, e.index.loops)) this.#gatherBase(level, e)
        this.#base(level, e.at)
      } else if (e.kind === 'load') this.#base(level, e.at)
      else if (e.kind === 'random') {
        walk(e.key)
        walk(e.offset)
      }
    }
    roots.forEach(walk)
    for (const a of addresses) this.#base(level, a)
  }

  #reductionsKnown(level: Level, e: Expression): boolean {
    let all = true
    const walk = (x: Expression): void => {
      if (level.find((l) => l.values, x)) return
      if (x.kind === 'reduction') all = false
      else if (x.kind === 'operation') x.args.forEach(walk)
      else if (x.kind === 'guard') walk(x.x)
      else if (x.kind === 'gather') walk(x.index)
    }
    walk(e)
    return all
  }

  /** Stores; a last loop of a few iterations is written out. */
  #storeTail(tail: Group | null): void {
    const level = this.#current!
    if (!tail) return this.#storeAll(level)
    this.#hoist(level, this.#expressions, this.#stores)
    for (let i = 0; i < tail.extent; i++) {
      this.#groupVariables.set(tail, ir.index(i))
      this.#storeAll(new Level(level, tail.members))
    }
  }

  #storeAll(level: Level): void {
    const values = this.#expressions.map((e) => this.#value(level, e))
    values.forEach((v, i) => this.#ir.store(this.#sinkParameters[i]!, this.#address(level, this.#stores[i]!), v))
  }

  // ---- values -----------------------------------------------------------------------------------------------------------

  #value(level: Level, e: Expression): Expr {
    const known = level.find((l) => l.values, e)
    if (known) return known
    const made = this.#ir.let('v', this.#emit(level, e))
    level.values.set(e, made)
    return made
  }

  #emit(level: Level, e: Expression): Expr {
    switch (e.kind) {
      case 'constant':
        return this.#constant(e.value, e)
      case 'scalar':
        return this.#scalar(`slot${e.slot}`, e, { kind: 'scalar', slot: e.slot })
      case 'index':
        return emitCast(
          this.#ir,
          ir.convert(this.#address(level, e.at), e.dtype === 'int64' ? 'i64' : 'i32'),
          e.dtype === 'int64' ? 'int64' : 'int32',
          e.dtype,
        )
      case 'load':
        return this.#loaded(e, this.#guarded(level, e.guards, this.#address(level, e.at)))
      case 'gather': {
        const base = this.#gatherBase(level, e)
        return this.#loaded(e, this.#guarded(level, e.guards, ir.add(base, this.#address(level, e.at))))
      }
      case 'operation': {
        const args = e.args.map((a) => this.#value(level, a))
        if (e.op === 'cast') return emitCast(this.#ir, args[0]!, e.args[0]!.dtype, e.dtype)
        return emitOperation(this.#ir, e.op, e.args[0]!.dtype, args)
      }
      case 'guard': {
        const x = this.#value(level, e.x)
        const inside = this.#inside(level, e.bounds)
        return e.dtype === 'bool' ? ir.and(inside, x) : ir.select(inside, x, 0)
      }
      case 'random':
        return emitRandom(
          this.#ir,
          this.#value(level, e.key),
          this.#value(level, e.offset),
          this.#address(level, e.at),
          e.dtype,
        )
      case 'reduction':
        throw new MaterializeRequest(e.node)
    }
  }

  #loaded(e: Expression & { source: Node }, at: Expr): Expr {
    const x = ir.load(this.#source(e.source), at)
    return e.dtype === 'bool' ? ir.ne(x, 0) : x
  }

  /** The address where the bounds hold, and that of the first element elsewhere. */
  #guarded(level: Level, guards: readonly Bound[], at: Expr): Expr {
    return guards.length === 0 ? at : ir.select(this.#inside(level, guards), at, 0)
  }

  #inside(level: Level, bounds: readonly Bound[]): Expr {
    let all: Expr | null = null
    for (const b of bounds) {
      const key = `inside ${affineKey(b.at)}<${b.high}`
      let test = level.find((l) => l.addresses, key)
      if (!test) {
        const x = this.#ir.let('x', this.#address(level, b.at))
        test = this.#ir.let('inside', ir.and(ir.ge(x, b.low), ir.lt(x, this.#index(`high ${affineKey(b.at)}`, b.high))))
        level.addresses.set(key, test)
      }
      all = all ? ir.and(all, test) : test
    }
    return all!
  }

  /** Offset of the slice that a dynamic index picks; out of range is reported and reads the first slice. */
  #gatherBase(level: Level, e: Expression & { kind: 'gather' }): Expr {
    const key = `gather ${affineKey(e.at)} ${e.size} ${e.stride}`
    const holder = level.find((l) => l.values, e.index)
    const cached = holder && level.find((l) => l.addresses, `${key} ${describe(holder)}`)
    if (cached) return cached
    const value = this.#value(level, e.index)
    const size = this.#index(`size ${key}`, e.size)
    const { at, outside } = this.#ir.position(value, size)
    this.#ir.if(outside, () => this.#ir.fail(1))
    const base = this.#ir.let('base', ir.mul(ir.select(outside, 0, at), this.#index(`stride ${key}`, e.stride)))
    level.addresses.set(`${key} ${describe(value)}`, base)
    return base
  }

  // ---- addresses --------------------------------------------------------------------------------------------------------

  /** Value of an affine form where all its loops exist. */
  #address(level: Level, a: Affine): Expr {
    const key = affineKey(a)
    const known = level.find((l) => l.addresses, `all ${key}`)
    if (known) return known
    const base = level.parent ? this.#baseFrom(level, a) : null
    let sum = base ? base.sum : this.#offset(a)
    for (const [g, c] of this.#groupTerms(a)) {
      if (base?.done.has(g)) continue
      sum = ir.add(sum, this.#scaled(a, g, c))
    }
    for (const [v, c] of a.terms)
      if (v.quotient) sum = ir.add(sum, ir.mul(this.#quotient(level, v), this.#index(`coefficient ${key} ${v.key}`, c)))
    return sum
  }

  /** Keeps, at this level, the part of an address that depends on no deeper loop. */
  #base(level: Level, a: Affine): void {
    const key = `base ${affineKey(a)}`
    if (level.addresses.has(key)) return
    const above = level.parent ? this.#baseFrom(level.parent, a) : null
    let sum = above ? above.sum : this.#offset(a)
    for (const [g, c] of this.#groupTerms(a)) {
      if (above?.done.has(g) || !g.members.every((m) => level.loops.has(m))) continue
      sum = ir.add(sum, this.#scaled(a, g, c))
    }
    level.addresses.set(key, this.#ir.let('at', sum))
  }

  #baseFrom(level: Level, a: Affine): { sum: Expr; done: Set<Group> } | null {
    const key = `base ${affineKey(a)}`
    for (let l: Level | null = level; l; l = l.parent) {
      const sum = l.addresses.get(key)
      if (!sum) continue
      const at = l
      return {
        sum,
        done: new Set([...this.#groupTerms(a).keys()].filter((g) => g.members.every((m) => at.loops.has(m)))),
      }
    }
    return null
  }

  #offset(a: Affine): Expr {
    return a.constant === 0 ? ir.index(0) : this.#index(`offset ${affineKey(a)}`, a.constant)
  }

  #scaled(a: Affine, g: Group, c: number): Expr {
    const v = this.#groupVariables.get(g)!
    if (c === 1) return v
    const isWritten = g === this.#vectorGroup && c > 1 && c <= longestWritten
    return ir.mul(v, isWritten ? c : this.#index(`stride ${affineKey(a)} ${g.members[0]!.key}`, c))
  }

  #quotient(level: Level, v: Variable): Expr {
    const known = level.find((l) => l.addresses, `quotient ${v.key}`)
    if (known) return known
    const { of, divisor, whole } = v.quotient!
    let x = this.#address(level, of)
    if (divisor !== 1) x = ir.div(x, this.#index(`divisor ${v.key}`, divisor))
    if (!whole) x = ir.rem(x, this.#index(`modulus ${v.key}`, v.extent))
    const made = this.#ir.let('q', x)
    level.addresses.set(`quotient ${v.key}`, made)
    return made
  }

  // ---- groups of loops --------------------------------------------------------------------------------------------------

  /** Joins neighbouring loops that every address walks through as if they were one. */
  #collapse(lists: readonly (readonly Variable[])[]): void {
    const forms: Affine[] = [...this.#stores]
    const note = (a: Affine): void => {
      forms.push(a)
      for (const v of a.terms.keys()) if (v.quotient) note(v.quotient.of)
    }
    visitExpressions(this.#expressions, (e) => {
      if (e.kind === 'load' || e.kind === 'gather' || e.kind === 'index' || e.kind === 'random') note(e.at)
      if (e.kind === 'load' || e.kind === 'gather') e.guards.forEach((g) => note(g.at))
      if (e.kind === 'guard') e.bounds.forEach((b) => note(b.at))
      if (e.kind === 'reduction' && accumulators[e.op] === undefined) note(e.position)
    })
    for (const list of lists) {
      let members: Variable[] = []
      const close = (): void => {
        if (members.length === 0) return
        const group = { members, extent: members.reduce((n, v) => n * v.extent, 1) }
        for (const v of members) this.#groupOf.set(v, group)
        members = []
      }
      for (const v of list) {
        const before = members[members.length - 1]
        const joins = before && forms.every((f) => (f.terms.get(before) ?? 0) === (f.terms.get(v) ?? 0) * v.extent)
        if (!joins) close()
        members.push(v)
      }
      close()
    }
  }

  #groups(list: readonly Variable[]): Group[] {
    return [...new Set(list.map((v) => this.#groupOf.get(v)!))]
  }

  #groupTerms(a: Affine): Map<Group, number> {
    const out = new Map<Group, number>()
    for (const [v, c] of a.terms) {
      const g = v.quotient ? undefined : this.#groupOf.get(v)
      if (g && g.members[g.members.length - 1] === v) out.set(g, c)
    }
    return out
  }

  #coefficient(a: Affine, g: Group): number {
    return this.#groupTerms(a).get(g) ?? 0
  }

  // ---- parameters -------------------------------------------------------------------------------------------------------

  #index(role: string, value: number): Expr {
    const key = `${role}=${value}`
    const known = this.#indexParameters.get(key)
    if (known) return known
    this.#arguments.push({ kind: 'index', value })
    const made = this.#ir.index()
    this.#indexParameters.set(key, made)
    return made
  }

  #source(node: Node): ir.BufferParameter {
    const known = this.#sourceParameters.get(node)
    if (known) return known
    this.#arguments.push({ kind: 'source', node })
    const made = this.#ir.buffer(node.dtype, this.#inPlace ? 'update' : 'read')
    this.#sourceParameters.set(node, made)
    return made
  }

  #constant(value: number | bigint, e: Expression): Expr {
    if (isWritten(value) || e.dtype === 'bool') return constantOf(value, e.dtype)
    return this.#scalar(`constant${String(value)}`, e, { kind: 'number', value })
  }

  #scalar(role: string, e: Expression, argument: NestArgument): Expr {
    const scalar = valueScalar(e.dtype)
    const key = `${role}:${scalar}`
    const known = this.#scalarParameters.get(key)
    if (known) return known
    this.#arguments.push(argument)
    const parameter = this.#ir.scalar(scalar === 'mask' ? 'i32' : scalar)
    const made = scalar === 'mask' ? ir.ne(parameter, 0) : parameter
    this.#scalarParameters.set(key, made)
    return made
  }

  #finish(extent: number): NestKernel {
    const elements = Math.max(
      numel(this.#sinks[0]!.shape),
      ...this.#reductions.map((r) => numel(r.node.sources[0]!.shape)),
    )
    let weight = 0
    let bytes = this.#sinks.reduce((n, s) => n + numel(s.shape) * sizeOf(s.dtype), 0)
    const shifted = new Set<Node>()
    visitExpressions(this.#expressions, (e) => {
      if (e.kind === 'operation' || e.kind === 'reduction') weight += 1
      if (e.kind === 'random') weight += 40
      if (e.kind === 'load' && affineKey(e.at) !== affineKey(this.#stores[0]!)) shifted.add(e.source)
      if (e.kind === 'gather') shifted.add(e.source)
    })
    for (const s of this.#sourceParameters.keys()) bytes += numel(s.shape) * sizeOf(s.dtype)
    const perIteration = (elements / Math.max(extent, 1)) * Math.max(1, weight / 4)
    return {
      kernel: this.#ir.build(),
      arguments: this.#arguments,
      extent,
      grain: Math.max(1, Math.floor(grainElements / Math.max(perIteration, 1))),
      scratchBytes: this.#scratch ? this.#scratchBytes : 0,
      flops: elements * weight,
      bytes,
      domain: `${this.#sinks[0]!.shape.join('x')}|${[...new Set(this.#reductions.map((r) => r.over.map((v) => v.key).join()))].sort().join('|')}`,
      shifted,
    }
  }
}

/** The loops, and the last one apart where it is so short that the one before is the better vector loop. */
function splitTail(groups: readonly Group[]): [looped: readonly Group[], tail: Group | null] {
  const last = groups[groups.length - 1]
  const before = groups[groups.length - 2]
  return last && before && last.extent <= longestWritten && before.extent >= 8
    ? [groups.slice(0, -1), last]
    : [groups, null]
}

/** First value of an accumulator. */
function startOf(r: Reduction): Expr {
  const scalar = valueScalar(r.x.dtype) === 'mask' ? 'i32' : (valueScalar(r.x.dtype) as 'i32' | 'i64' | 'f32' | 'f64')
  const floating = scalar === 'f32' || scalar === 'f64'
  const least = floating ? -Infinity : scalar === 'i64' ? -(2n ** 63n) : -(2 ** 31)
  const most = floating ? Infinity : scalar === 'i64' ? 2n ** 63n - 1n : 2 ** 31 - 1
  const start = { reduceSum: 0, reduceProd: 1, reduceMax: least, reduceMin: most, argmax: least, argmin: most }[
    r.op as 'reduceSum'
  ]
  return ir.constant(start, scalar)
}

/** A value as the accumulator holds it: masks as integers. */
function raw(r: Reduction, x: Expr): Expr {
  return r.x.dtype === 'bool' ? ir.convert(x, 'i32') : x
}

/** What an accumulator stands for as a value of the reduction's dtype. */
function asValue(r: Reduction, acc: Expr): Expr {
  return r.dtype === 'bool' ? ir.ne(acc, 0) : acc
}

function combine(r: Reduction, a: Expr, b: Expr): Expr {
  const op = accumulators[r.op]!
  if ((op === 'max' || op === 'min') && (a.type.scalar === 'f32' || a.type.scalar === 'f64')) {
    return ir.select(ir.or(ir.ne(a, a), ir.compare(op === 'max' ? 'gt' : 'lt', a, b)), a, b)
  }
  return ir.binary(op, a, b)
}

const describe = (e: Expr): string =>
  e.kind === 'variable'
    ? e.name
    : e.kind === 'parameter'
      ? `#${e.index}`
      : JSON.stringify(e, (_, v) => (typeof v === 'bigint' ? `${v}n` : (v as unknown)))

function titleOf(sinks: readonly Node[]): string {
  return sinks.map((s) => `${s.op} ${s.dtype}[${s.shape.length}]`).join(' + ')
}
