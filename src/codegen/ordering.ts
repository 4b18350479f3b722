/**
 * The order of kernels. Nodes come in the order in which they were recorded: forward, backward, then all updates of the optimizer. In that
 * order every gradient would wait for its update in memory, and so would whatever a bias's gradient is summed from. A kernel that gives back
 * at least as much memory as it takes, or nearly, runs as soon as it can instead.
 */
import { numel } from '../common/shape.ts'
import { topologicalOrder, type Node, type NodeOf } from '../graph/node.ts'
import { rangeOf, type Range } from '../graph/range.ts'
import type { KernelGroup } from './groups.ts'
import type { GraphPart } from './pending.ts'
import { bytesOf } from './places.ts'

/** Bytes that a kernel may take and still run early: the factors of an update, on which all updates wait. */
const LITTLE = 256

/** A check that indices lie in range: of an index, along an axis of a size. */
interface Check {
  readonly index: Node
  readonly size: number
}

/**
 * The groups of a graph, sources first as before. A group that overwrites a leaf stays behind all that read it, and behind all that may still
 * find an index out of range: a plan that fails leaves parameters as they were. `isMaterialized`: which nodes are in memory.
 */
export function orderGroups(
  groups: readonly KernelGroup[],
  part: GraphPart,
  isMaterialized: (node: Node) => boolean,
): KernelGroup[] {
  return new Ordering(groups, part, isMaterialized).order()
}

class Ordering {
  readonly #groups: readonly KernelGroup[]
  /** Numbers of the groups that must run before each, and how many of them have not. */
  readonly #followers: number[][]
  readonly #waiting: number[]
  /** Values in the arena: bytes, and how many groups have yet to read them. */
  readonly #bytes = new Map<Node, number>()
  readonly #readers = new Map<Node, number[]>()
  readonly #unread = new Map<Node, number>()
  readonly #overwrites: boolean[]
  readonly #checks: (readonly Check[])[]
  /** Numbers of groups with checks that no group before them makes, in order; updates wait for them. */
  readonly #failing: number[] = []
  readonly #done: boolean[]
  readonly #ordered: KernelGroup[] = []
  /** Groups that can run, and may be worth it. */
  readonly #candidates: number[] = []

  constructor(groups: readonly KernelGroup[], part: GraphPart, isMaterialized: (node: Node) => boolean) {
    this.#groups = groups
    this.#followers = groups.map(() => [])
    this.#waiting = groups.map(() => 0)
    this.#done = groups.map(() => false)
    const overwritten = new Map(part.results.filter((r) => r.overwrites >= 0).map((r) => [r.node, r.overwrites]))
    this.#overwrites = groups.map((g) => g.sinks.some((s) => overwritten.has(s)))
    const results = new Set(part.results.map((r) => r.node))
    const makers = new Map<Node, number>()
    const leafReaders = new Map<number, number[]>()
    groups.forEach((g, i) => {
      const before = new Set<number>()
      for (const r of new Set(g.reads)) {
        const given = part.given.get(r)
        if (given?.space === 'leaf') leafReaders.set(given.slot, [...(leafReaders.get(given.slot) ?? []), i])
        const maker = makers.get(r)
        if (maker === undefined) continue
        if (maker !== i) before.add(maker)
        this.#readers.set(r, [...(this.#readers.get(r) ?? []), i])
      }
      for (const s of g.sinks) {
        for (const reader of leafReaders.get(overwritten.get(s) ?? -1) ?? []) if (reader !== i) before.add(reader)
        // A value that several groups put together is there when the last of them has run.
        const earlier = makers.get(s)
        if (earlier !== undefined) before.add(earlier)
        makers.set(s, i)
        this.#bytes.set(s, results.has(s) ? 0 : bytesOf(s))
      }
      for (const b of before) this.#followers[b]!.push(i)
      this.#waiting[i] = before.size
      if (before.size === 0) this.#candidates.push(i)
    })
    for (const [n, list] of this.#readers) this.#unread.set(n, list.length)
    this.#checks = groups.map((g) => checksOf(g, isMaterialized))
    this.#findFailing()
  }

  /** A check counts where it is made first. */
  #findFailing(): void {
    const made = new Map<Node, number>()
    this.#checks.forEach((checks, i) => {
      const isNew = checks.some(({ index, size }) => !((made.get(index) ?? Infinity) <= size))
      for (const { index, size } of checks) made.set(index, Math.min(made.get(index) ?? Infinity, size))
      if (isNew) this.#failing.push(i)
    })
  }

  order(): KernelGroup[] {
    this.#groups.forEach((_, i) => {
      if (this.#done[i]) return
      this.#run(i)
      for (let next = this.#nextWorthwhile(); next >= 0; next = this.#nextWorthwhile()) this.#run(next)
    })
    return this.#ordered
  }

  #run(i: number): void {
    const group = this.#groups[i]!
    this.#done[i] = true
    this.#ordered.push(group)
    while (this.#failing.length > 0 && this.#done[this.#failing[0]!]) this.#failing.shift()
    for (const f of this.#followers[i]!) if (--this.#waiting[f]! === 0) this.#candidates.push(f)
    for (const r of new Set(group.reads)) {
      const left = this.#unread.get(r)
      if (left === undefined) continue
      this.#unread.set(r, left - 1)
      // The last reader of a value gives it back.
      if (left === 2) this.#candidates.push(...this.#readers.get(r)!.filter((g) => !this.#done[g]))
    }
  }

  /** The first of the groups that can run and take no memory, or -1. What is looked at in vain comes back when something about it changes. */
  #nextWorthwhile(): number {
    const isHeld = (c: number): boolean => this.#overwrites[c]! && this.#failing.length > 0 && this.#failing[0]! < c
    const left = this.#candidates.filter(
      (c) => !this.#done[c] && this.#waiting[c] === 0 && (isHeld(c) || this.#taken(c) <= LITTLE),
    )
    this.#candidates.splice(0, Infinity, ...new Set(left))
    return this.#candidates.reduce((first, c) => (!isHeld(c) && (first < 0 || c < first) ? c : first), -1)
  }

  /** Bytes that a group adds to what lies in the arena. */
  #taken(i: number): number {
    const { sinks, reads } = this.#groups[i]!
    const made = sinks.reduce((n, s) => n + (this.#bytes.get(s) ?? 0), 0)
    const given = [...new Set(reads)].reduce(
      (n, r) => n + (this.#unread.get(r) === 1 ? (this.#bytes.get(r) ?? 0) : 0),
      0,
    )
    return made - given
  }
}

const looksUp = (node: Node): node is NodeOf<'gather'> | NodeOf<'scatter'> =>
  node.op === 'gather' || node.op === 'scatter'

/** Whether a range is known, and indices in it cannot fail: numbers that gradients of few rows are looked up by. */
const isWithin = (range: Range | null, size: number): boolean => range !== null && range.low >= 0 && range.high < size

/** The checks that the kernels of a group make: those of gathers and scatters within it. */
function checksOf(group: KernelGroup, isMaterialized: (node: Node) => boolean): Check[] {
  const checks: Check[] = []
  const seen = new Set<Node>()
  const visit = (node: Node): void => {
    if (seen.has(node)) return
    seen.add(node)
    if (looksUp(node)) {
      const size = (node.op === 'gather' ? node.sources[0]! : node).shape[node.attributes.axis] ?? 0
      const index = node.sources[1]!
      if (numel(index.shape) > 0 && !isWithin(rangeOf(index), size)) checks.push({ index, size })
    }
    // Indices of a loop's body are those of the loop alone.
    if (node.op === 'scan' && topologicalOrder(node.attributes.body.outputs).some(looksUp))
      checks.push({ index: node, size: 0 })
    for (const s of node.sources) if (!isMaterialized(s)) visit(s)
  }
  group.sinks.forEach(visit)
  if (group.kind === 'contract') [group.contract, ...group.chain].forEach(visit)
  return checks
}
