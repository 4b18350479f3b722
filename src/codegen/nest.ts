/**
 * Loop nests: everything that is not a contraction, a scatter or a sort. A kernel has parallel outer loops; inside, phases that
 * each reduce over loops of their own, and at the end loops that store the results. Elementwise work is the case without phases, a
 * softmax or a layer norm the case with several; a column sum keeps its accumulators in scratch, so that memory is read in order.
 */
import { sizeOf } from '../common/dtype.ts'
import { contiguousStrides, numel } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import { linearize, SplitRequest, type Affine, type Variable } from './affine.ts'
import * as ir from './builder.ts'
import { buildDraws } from './draws.ts'
import { valueScalar } from './elementwise.ts'
import {
  covers,
  ExpressionBuilder,
  MaterializeRequest,
  visitExpressions,
  type Expression,
  type Surroundings,
} from './expression.ts'
import type { Expr, Kernel, ReduceIr } from './kernel.ts'
import { longestWritten, NestAddresses, Level, type Group } from './nest-addresses.ts'
import { NestParameters, type NestArgument } from './nest-parameters.ts'
import { NestValues } from './nest-values.ts'
import { nestTitle } from './nest-title.ts'
import { zerosKernel } from './zeros.ts'

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
  /** Kernels that the same nodes need beside this one, or in its place, at other sizes. */
  readonly siblings?: readonly Kernel[]
}

type Reduction = Expression & { kind: 'reduction' }

/** Elements of the innermost loop that one parallel iteration takes where there is nothing else to share out. */
const chunkElements = 4096
/** Most accumulators of a column reduction, which stay in the first-level cache, and fewest for which neighbours in memory are read together. */
const [columnElements, leastColumns] = [1024, 128]
/** Blocks of columns that several threads share evenly. */
const columnBlocks = 8
/** Element operations worth handing to another thread. */
const grainElements = 16384

/**
 * Builds one kernel that computes all sinks, which have one shape. `strides`: of their elements in memory, where they do not lie densely. Throws
 * MaterializeRequest for what cannot be fused into it.
 */
export function buildNest(sinks: readonly Node[], surroundings: Surroundings, strides?: readonly number[]): NestKernel {
  const draws = sinks.length === 1 && !strides ? buildDraws(sinks[0]!, surroundings) : null
  if (draws) return draws
  const splits = new Map<string, number>()
  for (;;) {
    try {
      const nest = new Nest(sinks, surroundings, splits, strides ?? contiguousStrides(sinks[0]!.shape)).build()
      // Windows that a loop was split for leave a remainder at other sizes (see boxes.ts).
      return splits.size > 0 && !strides ? { ...nest, siblings: [zerosKernel(sinks[0]!.dtype)] } : nest
    } catch (request) {
      if (!(request instanceof SplitRequest)) throw request
      splits.set(request.loop.key, request.inner)
    }
  }
}

const accumulators: Partial<Record<string, ReduceIr>> = {
  reduceSum: 'add',
  reduceProd: 'mul',
  reduceMax: 'max',
  reduceMin: 'min',
}

class Nest {
  readonly #sinks: readonly Node[]
  readonly #ir: ir.KernelBuilder
  readonly #expressions: Expression[]
  readonly #stores: Affine[]
  readonly #domain: Variable[]
  readonly #reductions: Reduction[]
  readonly #outer: Variable[]
  readonly #parameters: NestParameters
  readonly #addresses: NestAddresses
  readonly #values: NestValues
  #scratchBytes = 0
  #sinkParameters: ir.BufferParameter[] = []

  constructor(
    sinks: readonly Node[],
    surroundings: Surroundings,
    splits: ReadonlyMap<string, number>,
    strides: readonly number[],
  ) {
    this.#sinks = sinks
    const inside = new Set(sinks)
    const isSource = (n: Node): boolean => !inside.has(n) && surroundings.isMaterialized(n)
    const builder = new ExpressionBuilder({ ...surroundings, isMaterialized: isSource }, splits)
    const { shape } = sinks[0]!
    const coordinates = shape.map((d, i) => builder.axis(`d${i}`, d))
    this.#expressions = sinks.map((s) => builder.at(s, coordinates, [], true))
    this.#stores = sinks.map(() => linearize(coordinates, strides))
    this.#domain = coordinates.flatMap((c) => builder.axisLoops(c))
    this.#reductions = []
    visitExpressions(this.#expressions, (e) => {
      if (e.kind === 'reduction') this.#reductions.push(e)
    })
    this.#outer = this.#chooseOuter()
    this.#ir = new ir.KernelBuilder(nestTitle(sinks, isSource))
    const inPlace = sinks.some((s) => surroundings.overwrites(s))
    this.#parameters = new NestParameters(this.#ir, inPlace)
    this.#addresses = new NestAddresses(this.#ir, this.#parameters)
    this.#values = new NestValues(this.#ir, this.#parameters, this.#addresses)
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
    this.#addresses.collapse([this.#outer, inner, ...phases.map((p) => p[0]!.over)], this.#expressions, this.#stores)
    this.#sinkParameters = this.#parameters.sinks(this.#sinks)
    const column = this.#columnLoop(inner)
    const outerGroups = this.#addresses.groups(this.#outer)
    const innerGroups = this.#addresses.groups(inner)
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
    const size = this.#parameters.index('chunk', chunk)
    const length = this.#parameters.index('length', last.extent)
    const count = this.#parameters.index('chunks', chunks)
    this.#ir.parallel('p', (p) => {
      const from = this.#ir.let('from', ir.mul(ir.rem(p, count), size))
      const to = this.#ir.let('to', ir.min(ir.add(from, size), length))
      const outer = this.#addresses.enter(null, before, ir.div(p, count))
      this.#innermost(outer, last, from, to, this.#expressions, this.#stores, () => this.#storeTail(tail))
    })
    return rows * chunks
  }

  /** Phases over rows, then the stores, for each outer iteration. */
  #rows(outerGroups: readonly Group[], innerGroups: readonly Group[], phases: readonly Reduction[][]): number {
    this.#ir.parallel('p', (p) => {
      const outer = this.#addresses.enter(null, outerGroups, p)
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
    const chunk = blockOfColumns(column.extent, others)
    const chunks = Math.ceil(column.extent / Math.max(chunk, 1))
    const size = this.#parameters.index('chunk', chunk)
    const length = this.#parameters.index('length', column.extent)
    const count = this.#parameters.index('chunks', chunks)
    const scalar = valueScalar(this.#reductions[0]!.dtype)
    const scratchType = ({ f32: 'float32', f64: 'float64', i32: 'int32', i64: 'int64', mask: 'int32' } as const)[scalar]
    const scratch = this.#parameters.scratch(scratchType)
    this.#scratchBytes = chunk * this.#reductions.length * sizeOf(scratchType)
    this.#ir.parallel('p', (p) => {
      const from = this.#ir.let('from', ir.mul(ir.rem(p, count), size))
      const to = this.#ir.let('to', ir.min(ir.add(from, size), length))
      const outer = this.#addresses.enter(null, others, ir.div(p, count))
      const cell = (r: Reduction, k: Expr): Expr => ir.add(ir.mul(size, this.#reductions.indexOf(r)), ir.sub(k, from))
      const withCells = (level: Level, k: Expr, upTo: number): void => {
        for (const phase of phases.slice(0, upTo))
          for (const r of phase) level.values.set(r, asValue(r, ir.load(scratch, cell(r, k))))
      }
      phases.forEach((phase, i) => {
        this.#ir.vector('k', from, to, (k) => {
          for (const r of phase) this.#ir.store(scratch, cell(r, k), startOf(r))
        })
        const groups = this.#addresses.groups(phase[0]!.over)
        const roots = phase.map((r) => r.x)
        this.#nested(outer, groups, (level) => {
          this.#innermost(level, column, from, to, roots, [], (k) => {
            const here = this.#current!
            withCells(here, k, i)
            for (const r of phase) {
              const at = this.#ir.let('cell', cell(r, k))
              this.#ir.store(scratch, at, combine(r, ir.load(scratch, at), raw(r, this.#values.value(here, r.x))))
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
      const last = this.#addresses.groupOf(r.over[r.over.length - 1]!)
      visitExpressions([r.x], (e) => {
        if (e.kind !== 'load' && e.kind !== 'gather') return
        const bytes = 1
        if (last && this.#addresses.coefficient(e.at, last) === 1) rows += bytes
        for (const g of this.#addresses.groups(this.#outer)) {
          if (g.extent >= 8 && this.#addresses.coefficient(e.at, g) === 1) votes.set(g, (votes.get(g) ?? 0) + bytes)
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
      this.#addresses.groups(phase[0]!.over),
      roots,
      simple ? [] : [phase[0]!.position],
      () => {
        const level = this.#current!
        phase.forEach((r, i) => {
          const x = raw(r, this.#values.value(level, r.x))
          if (position === null) return this.#ir.accumulate(variables[i]!, accumulators[r.op]!, x)
          const v = this.#ir.let('v', x)
          const best = variables[i]!
          const better = ir.compare(r.op === 'argmax' ? 'gt' : 'lt', v, best)
          const isFloating = v.type.scalar === 'f32' || v.type.scalar === 'f64'
          const firstNaN = isFloating ? ir.and(ir.ne(v, v), ir.eq(best, best)) : null
          const take = this.#ir.let('take', ir.or(firstNaN ? ir.or(better, firstNaN) : better, ir.lt(position, 0)))
          this.#ir.assign(position, ir.select(take, this.#addresses.address(level, r.position), position))
          this.#ir.assign(best, ir.select(take, v, best))
        })
      },
      simple,
    )
    phase.forEach((r, i) => outer.values.set(r, position ? ir.convert(position, 'i32') : asValue(r, variables[i]!)))
  }

  // ---- loops ------------------------------------------------------------------------------------------------------------

  #current: Level | null = null

  /** Sequential loops over groups, with `body` inside. */
  #nested(parent: Level, groups: readonly Group[], body: (level: Level) => void): void {
    const [first, ...rest] = groups
    if (!first) return body(parent)
    this.#ir.loop('r', 0, this.#parameters.index('extent', first.extent), 1, (i) => {
      this.#addresses.bind(first, i)
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
    this.#values.hoist(parent, roots, addresses)
    this.#nested(parent, groups.slice(0, -1), (level) => {
      this.#innermost(
        level,
        last,
        ir.index(0),
        this.#parameters.index('extent', last.extent),
        roots,
        addresses,
        body,
        lanes,
      )
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
    this.#values.hoist(parent, roots, addresses)
    const dynamic = this.#hasGatherInside(parent, roots)
    const fill = (i: Expr): void => {
      this.#addresses.bindInnermost(group, i)
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

  /** Stores; a last loop of a few iterations is written out. */
  #storeTail(tail: Group | null): void {
    const level = this.#current!
    if (!tail) return this.#storeAll(level)
    this.#values.hoist(level, this.#expressions, this.#stores)
    for (let i = 0; i < tail.extent; i++) {
      this.#addresses.bind(tail, ir.index(i))
      this.#storeAll(new Level(level, tail.members))
    }
  }

  #storeAll(level: Level): void {
    const values = this.#expressions.map((e) => this.#values.value(level, e))
    values.forEach((v, i) =>
      this.#ir.store(this.#sinkParameters[i]!, this.#addresses.address(level, this.#stores[i]!), v),
    )
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
      if (e.kind === 'load' && e.at.key !== this.#stores[0]!.key) shifted.add(e.source)
      if (e.kind === 'gather') shifted.add(e.source)
    })
    for (const s of this.#parameters.sources) bytes += numel(s.shape) * sizeOf(s.dtype)
    const perIteration = (elements / Math.max(extent, 1)) * Math.max(1, weight / 4)
    return {
      kernel: this.#ir.build(),
      arguments: this.#parameters.arguments,
      extent,
      grain: Math.max(1, Math.floor(grainElements / Math.max(perIteration, 1))),
      scratchBytes: this.#scratchBytes,
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

/** Columns that one parallel iteration sums: whole cache lines of them, in a number of blocks that threads can share where there are no other loops. */
function blockOfColumns(columns: number, others: readonly Group[]): number {
  const most = Math.min(columnElements, columns)
  let blocks = Math.ceil(columnBlocks / others.reduce((n, g) => n * Math.max(g.extent, 1), 1))
  while (blocks > 1 && columns < blocks * leastColumns) blocks = Math.floor(blocks / 2)
  return Math.min(most, Math.ceil(columns / blocks / 16) * 16)
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
