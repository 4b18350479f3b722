/**
 * Loop nests: everything that is not a contraction, a scatter or a sort. A kernel has parallel outer loops; inside, phases that
 * each reduce over loops of their own, and at the end loops that store the results. Elementwise work is the case without phases, a
 * softmax or a layer norm the case with several; a column sum keeps its accumulators in scratch, so that memory is read in order.
 */
import { sizeOf } from '../common/dtype.ts'
import { contiguousStrides, numel } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import { linearize, SplitRequest, type Affine, type Variable } from './affine.ts'
import { buildDraws } from './draws.ts'
import { valueScalar } from './elementwise.ts'
import {
  covers,
  ExpressionBuilder,
  isSplitOff,
  MaterializeRequest,
  expressionsOf,
  type Expression,
  type Surroundings,
} from './expression.ts'
import type { Kernel } from './kernel.ts'
import { longestWritten } from './nest-addresses.ts'
import { kernelOf } from './nest-kernels.ts'
import { JoinedLoops, type Group } from './nest-loops.ts'
import type { NestArgument, Work } from './nest-parameters.ts'
import { NestStructure, type NestLayout, type Reduction } from './nest-structure.ts'
import { nestTitle } from './nest-title.ts'
import { accumulators, scratchOf, writeNest } from './nest-writer.ts'
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

/** Longest last axis along which values are repeated that stands in a kernel as a number. */
const longestRepeated = 8
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

class Nest {
  readonly #sinks: readonly Node[]
  readonly #title: string
  readonly #inPlace: boolean
  readonly #expressions: Expression[]
  /** All of their parts, arguments first. */
  readonly #parts: readonly Expression[]
  readonly #stores: Affine[]
  readonly #domain: Variable[]
  readonly #reductions: Reduction[]
  readonly #outer: Variable[]

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
    this.#parts = expressionsOf(this.#expressions)
    this.#reductions = this.#parts.filter((e) => e.kind === 'reduction')
    this.#outer = this.#chooseOuter()
    this.#title = nestTitle(sinks, isSource)
    this.#inPlace = sinks.some((n) => surroundings.overwrites(n))
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
    const innerLoops = this.#domain.filter((v) => !this.#outer.includes(v))
    const lists = [this.#outer, innerLoops, ...phases.map((p) => p[0]!.over)]
    const loops = new JoinedLoops(lists, this.#parts, this.#stores)
    const [outer, inner] = [loops.groups(this.#outer), loops.groups(innerLoops)]
    const column = inner.length > 0 ? null : this.#columnLoop(loops, outer)
    const tail = tailOf(inner, this.#expressions)
    const work = this.#work(outer, inner, column, tail)
    const layout: NestLayout = {
      sinks: this.#sinks,
      inPlace: this.#inPlace,
      expressions: this.#expressions,
      parts: this.#parts,
      reductions: this.#reductions,
      stores: this.#stores,
      loops,
      outer,
      inner,
      phases,
      column,
      tail,
      work,
      isDrawn: false,
    }
    const structure = new NestStructure(layout)
    const { kernel, arguments: given } = kernelOf(structure, this.#title, () => writeNest(layout, this.#title))
    const scratchBytes = column ? work.chunk * this.#reductions.length * sizeOf(scratchOf(this.#reductions)) : 0
    return {
      kernel,
      arguments: given,
      scratchBytes,
      ...this.#measures(work.extent, structure.sources),
    }
  }

  /** How the work is shared out: over outer iterations, or, where there are none or sums run along columns, over chunks of the last loop, too. */
  #work(
    outer: readonly Group[],
    inner: readonly Group[],
    column: Group | null,
    tail: Group | null,
  ): Work & { readonly extent: number } {
    const extentOf = (groups: readonly Group[]): number => groups.reduce((n, g) => n * g.extent, 1)
    if (this.#reductions.length === 0) {
      const looped = tail ? inner.slice(0, -1) : inner
      const length = looped[looped.length - 1]?.extent ?? 1
      const rows = extentOf(looped.slice(0, -1))
      const chunk = rows >= 16 || length <= chunkElements ? length : chunkElements
      const chunks = Math.ceil(length / Math.max(chunk, 1))
      return { chunk, length, chunks, blocks: 0, extent: rows * chunks }
    }
    if (!column) return { chunk: 0, length: 0, chunks: 0, blocks: 0, extent: extentOf(outer) }
    const others = outer.filter((g) => g !== column)
    const chunk = blockOfColumns(column.extent, others)
    const chunks = Math.ceil(column.extent / Math.max(chunk, 1))
    return { chunk, length: column.extent, chunks, blocks: 0, extent: extentOf(others) * chunks }
  }

  /** The outer loop along which a column reduction should run, or null where rows are read in order anyway. */
  #columnLoop(loops: JoinedLoops, outer: readonly Group[]): Group | null {
    if (this.#reductions.length === 0) return null
    const scalar = valueScalar(this.#reductions[0]!.dtype)
    if (this.#reductions.some((r) => accumulators[r.op] === undefined || valueScalar(r.dtype) !== scalar)) return null
    const votes = new Map<Group, number>()
    let rows = 0
    for (const r of this.#reductions) {
      const last = loops.groupOf(r.over[r.over.length - 1]!)
      for (const e of expressionsOf([r.x])) {
        if (e.kind !== 'load' && e.kind !== 'gather') continue
        const bytes = 1
        if (last && loops.coefficient(e.at, last) === 1) rows += bytes
        for (const g of outer) {
          if (g.extent >= 8 && loops.coefficient(e.at, g) === 1) votes.set(g, (votes.get(g) ?? 0) + bytes)
        }
      }
    }
    const [best] = [...votes].sort((a, b) => b[1] - a[1])
    return best && best[1] > rows ? best[0] : null
  }

  /** Reductions in the order of their dependence; those over the same loops run together. */
  #phases(): Reduction[][] {
    const depth = new Map<Reduction, number>()
    for (const r of this.#reductions) {
      let d = 0
      for (const e of expressionsOf([r.x])) if (e.kind === 'reduction') d = Math.max(d, depth.get(e)! + 1)
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

  #measures(extent: number, sources: readonly Node[]): Omit<NestKernel, 'kernel' | 'arguments' | 'scratchBytes'> {
    const elements = Math.max(
      numel(this.#sinks[0]!.shape),
      ...this.#reductions.map((r) => numel(r.node.sources[0]!.shape)),
    )
    let weight = 0
    let bytes = this.#sinks.reduce((n, s) => n + numel(s.shape) * sizeOf(s.dtype), 0)
    const shifted = new Set<Node>()
    for (const e of this.#parts) {
      if (e.kind === 'operation' || e.kind === 'reduction') weight += 1
      else if (e.kind === 'random') weight += 40
      else if (e.kind === 'gather' || (e.kind === 'load' && e.at.key !== this.#stores[0]!.key)) shifted.add(e.source)
    }
    for (const s of sources) bytes += numel(s.shape) * sizeOf(s.dtype)
    const perIteration = (elements / Math.max(extent, 1)) * Math.max(1, weight / 4)
    return {
      extent,
      grain: Math.max(1, Math.floor(grainElements / Math.max(perIteration, 1))),
      flops: elements * weight,
      bytes,
      domain: `${this.#sinks[0]!.shape.join('x')}|${[...new Set(this.#reductions.map((r) => r.over.map((v) => v.key).join()))].sort().join('|')}`,
      shifted,
    }
  }
}

/**
 * The last loop where it is so short that the one before is the better vector loop: it is written out. Longer ones are if they only repeat what is
 * stored, and were split off, as where images are enlarged: by how much is no size that changes.
 */
function tailOf(groups: readonly Group[], expressions: readonly Expression[]): Group | null {
  const last = groups[groups.length - 1]
  const before = groups[groups.length - 2]
  if (!last || !before || before.extent < 8) return null
  const repeats = (): boolean => last.members.every((v) => isSplitOff(v) && !expressions.some((e) => e.loops.has(v)))
  return last.extent <= longestWritten || (last.extent <= longestRepeated && repeats()) ? last : null
}

/** Columns that one parallel iteration sums: whole cache lines of them, in a number of blocks that threads can share where there are no other loops. */
function blockOfColumns(columns: number, others: readonly Group[]): number {
  const most = Math.min(columnElements, columns)
  let blocks = Math.ceil(columnBlocks / others.reduce((n, g) => n * Math.max(g.extent, 1), 1))
  while (blocks > 1 && columns < blocks * leastColumns) blocks = Math.floor(blocks / 2)
  return Math.min(most, Math.ceil(columns / blocks / 16) * 16)
}
