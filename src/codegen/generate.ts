/**
 * From a capture to a plan: fusion groups become kernels, kernels become launches, and the memory plan gives them places. The loop with
 * the fusion stage is here: a node that cannot be fused where fusion put it is stored, and the groups are made again.
 */
import { isFloat, sizeOf } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { contiguousStrides, numel, sameShape, type Shape } from '../common/shape.ts'
import { makeNode, topologicalOrder, type Node, type NodeOf } from '../graph/node.ts'
import type { Capabilities } from './capabilities.ts'
import type { Capture } from '../schedule/capture.ts'
import { Fusion } from '../schedule/fusion.ts'
import { runOf, type Join, type JoinPart } from '../schedule/joins.ts'
import { planMemory, type Lifetime } from '../schedule/memory.ts'
import type { Argument, BufferRef, Launch, Loop, Plan } from '../schedule/plan.ts'
import { stridedView } from '../schedule/views.ts'
import { lowerContractOnce } from './contract/memo.ts'
import type { ContractArgument } from './contract/problem.ts'
import { fuseEpilogue } from './epilogue.ts'
import { MaterializeRequest, type Surroundings } from './expression.ts'
import { classOf, keepGrouping, knownGroupings, type Grouping } from './grouping.ts'
import { argsortStep, cumulateStep, scatterStep, type IndexRole } from './index-ops.ts'
import type { Kernel } from './kernel.ts'
import type { NestKernel } from './nest.ts'
import { buildNestOnce } from './nest-memo.ts'
import type { NestArgument } from './nest-parameters.ts'
import { splitInvariant } from './invariant.ts'
import type { Location, PendingLaunch, PendingStep } from './pending.ts'
import { splitConstants, type Constant } from './prologue.ts'
import { structureOf } from './structure.ts'
import type { Step, StepArgument } from './step.ts'

const at = (space: Location['space'], slot: number): Location => ({ space, slot, byteOffset: 0, step: 0 })
const bytesOf = (n: Node): number => numel(n.shape) * sizeOf(n.dtype)

/** How many kernels back a sink looks for one to join, and how many results one kernel may have. */
const siblingReach = 12
const siblingSinks = 8
/** Results that may be computed where a contraction is stored. */
const mostChained = 3

/** A plan whose constants (see prologue.ts) are leaves behind those of the capture. */
export interface GeneratedPlan {
  readonly plan: Plan
  readonly kernels: Kernel[]
  readonly constants: readonly Constant[]
  /** What computes them, in order: leaves are those of the plan, constants are outputs by number. */
  readonly prologue: readonly { readonly launch: Launch; readonly writes: readonly number[] }[]
}

/** Leaves that never change from run to run, by number, and names for what they hold. */
export interface ConstantLeaves {
  readonly leaves: ReadonlySet<number>
  name(leaf: number): string
}

/** The plan of a capture and its kernels, by number. What depends on `constant` leaves alone is taken out of the plan. */
export function generatePlan(capture: Capture, capabilities: Capabilities, constant?: ConstantLeaves): GeneratedPlan {
  return new Generator(capture, capabilities, constant).generate()
}

/** Ops without sources that always give the same. */
const fixedLeaves: ReadonlySet<string> = new Set(['constant', 'iota'])
/** Ops whose results count as changing, whatever they read. */
const changing: ReadonlySet<string> = new Set(['scan', 'output', 'random'])

class Generator {
  readonly #capture: Capture
  readonly #capabilities: Capabilities
  readonly #kernels: Kernel[] = []
  readonly #kernelNumbers = new Map<string, number>()
  readonly #temporaries: Lifetime[] = []
  readonly #steps: PendingStep[] = []
  readonly #constant: ConstantLeaves | undefined
  /** Nodes whose values never change from run to run. */
  readonly #fixed = new Set<Node>()

  constructor(capture: Capture, capabilities: Capabilities, constant: ConstantLeaves | undefined) {
    this.#capture = capture
    this.#capabilities = capabilities
    this.#constant = constant
  }

  generate(): GeneratedPlan {
    const { capture } = this
    this.findFixed(capture.nodes)
    const places = new Map<Node, Location>()
    for (const [node, slot] of capture.slots) if (node.op === 'buffer') places.set(node, at('leaf', slot))
    const leafNumbers = new Map(capture.leaves.map((leaf, i) => [leaf, i]))
    const results = capture.outputs.map((o, i) => ({
      node: o.node,
      place: at('output', i),
      overwrites: o.write ? (leafNumbers.get(o.write) ?? -1) : -1,
    }))
    const graph = new GraphLowering(this, capture.nodes, places, results)
    graph.lower((steps) => this.#steps.push(...steps))
    return this.#finish(this.#constant)
  }

  get capture(): Capture {
    return this.#capture
  }

  get kernels(): readonly Kernel[] {
    return this.#kernels
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  /** Finds what depends on constant leaves and the `given` nodes alone; `nodes`: sources first. */
  findFixed(nodes: readonly Node[], given: readonly Node[] = []): void {
    if (!this.#constant) return
    for (const n of given) this.#fixed.add(n)
    for (const n of nodes) {
      const isFixed =
        n.op === 'buffer'
          ? this.#constant.leaves.has(this.#capture.slots.get(n) ?? -1)
          : n.sources.length === 0
            ? fixedLeaves.has(n.op)
            : !changing.has(n.op) && n.sources.every((s) => this.#fixed.has(s))
      if (isFixed) this.#fixed.add(n)
    }
  }

  isFixed(node: Node): boolean {
    return this.#fixed.has(node)
  }

  /** A temporary that lives from now on; `touch` extends its life. */
  temporary(bytes: number): Location {
    this.#temporaries.push({ bytes, first: this.#steps.length, last: this.#steps.length })
    return at('temporary', this.#temporaries.length - 1)
  }

  touch(place: Location): void {
    if (place.space === 'temporary') this.#temporaries[place.slot]!.last = this.#steps.length
  }

  kernelNumber(kernel: Kernel): number {
    const key = structureOf(kernel)
    let n = this.#kernelNumbers.get(key)
    if (n === undefined) {
      n = this.#kernels.push(kernel) - 1
      this.#kernelNumbers.set(key, n)
    }
    return n
  }

  #finish(constant: ConstantLeaves | undefined): GeneratedPlan {
    const split = constant
      ? splitConstants(
          this.#steps,
          this.#kernels,
          this.#temporaries,
          this.#capture.leaves.length,
          constant.leaves,
          (leaf) => constant.name(leaf),
        )
      : { constants: [], prologue: [], steps: this.#steps, replaced: new Set<number>() }
    const inArena = this.#temporaries.map((t, i) => (split.replaced.has(i) ? { ...t, bytes: 0 } : t))
    const { offsets, arenaBytes } = planMemory(inArena)
    const ref = (l: Location): BufferRef =>
      l.space === 'temporary'
        ? { space: 'arena', slot: 0, byteOffset: offsets[l.slot]! + l.byteOffset, step: l.step }
        : { space: l.space, slot: l.slot, byteOffset: l.byteOffset, step: l.step }
    const bind = (a: StepArgument<Location>): Argument =>
      a.kind === 'memory' ? { kind: 'buffer', ref: ref(a.role) } : a
    const launch = (s: PendingLaunch): Launch => ({ ...s, kind: 'launch', arguments: s.arguments.map(bind) })
    const steps = split.steps.map((s): Launch | Loop =>
      'count' in s ? { kind: 'loop', count: s.count, steps: s.steps.map(launch) } : launch(s),
    )
    return {
      plan: { steps, arenaBytes },
      kernels: this.#kernels,
      constants: split.constants,
      prologue: split.prologue.map((p) => ({ launch: launch(p.launch), writes: p.writes })),
    }
  }
}

interface Result {
  readonly node: Node
  readonly place: Location
  /** Number of the leaf that the result overwrites, or -1. */
  readonly overwrites: number
}

/** Lowers one graph (a capture, or the body of a scan) into launches. */
class GraphLowering {
  readonly #generator: Generator
  readonly #nodes: readonly Node[]
  readonly #given: ReadonlyMap<Node, Location>
  readonly #results: readonly Result[]
  readonly #inBody: boolean
  #fusion!: Fusion
  #places = new Map<Node, Location>()
  /** Results that go to memory that the graph also reads. */
  readonly #overwriting: ReadonlySet<Node>

  constructor(
    generator: Generator,
    nodes: readonly Node[],
    given: ReadonlyMap<Node, Location>,
    results: readonly Result[],
    inBody = false,
  ) {
    this.#generator = generator
    this.#nodes = nodes
    this.#given = given
    this.#results = results
    this.#overwriting = new Set(results.filter((r) => r.overwrites >= 0).map((r) => r.node))
    this.#inBody = inBody
  }

  /** Gives the steps to `emit` one after another, so that lifetimes are counted in steps. */
  lower(emit: (steps: readonly PendingStep[]) => void): void {
    const groups = this.#group()
    this.#assignResults()
    this.#findJoined(groups)
    const lastUse = this.#lastUses(groups)
    const kept: { from: Location; to: Location; node: Node }[] = []
    groups.forEach((group, i) => {
      for (const sink of group.sinks) this.#placeSink(sink, i, lastUse, kept)
      const steps = group.lower()
      emit(steps)
      for (const used of group.reads) this.#generator.touch(this.#placeOf(used))
      for (const sink of group.sinks) if (this.#places.has(sink)) this.#generator.touch(this.#placeOf(sink))
    })
    this.#emitCopies(emit)
    for (const copy of kept) {
      emit([this.#copy(copy.node, copy.from, copy.to)])
      this.#generator.touch(copy.from)
    }
  }

  // ---- groups -----------------------------------------------------------------------------------------------------------

  /** As it was done for a program that differs in sizes only, or anew. */
  #group(): KernelGroup[] {
    const results = new Set(this.#results.map((r) => r.node))
    const role = (n: Node): number =>
      (this.#given.has(n) ? 1 : 0) + (results.has(n) ? 2 : 0) + (this.#overwriting.has(n) ? 4 : 0)
    const program = classOf(this.#nodes, role)
    for (const known of knownGroupings(program)) {
      const groups = this.#regroup(known)
      if (groups) return groups
    }
    const groups = this.#groupAnew()
    const places = new Map(this.#nodes.map((n, i) => [n, i]))
    const numbers = (nodes: readonly Node[]): number[] => nodes.map((n) => places.get(n)!)
    keepGrouping(program, {
      materialized: numbers(this.#nodes.filter(this.#fusion.isMaterialized)),
      groups: groups.map((g) => {
        const chain = numbers(g.chain ?? [])
        return { sinks: numbers(g.sinks), contract: chain.length > 0 ? places.get(g.contract!)! : -1, chain }
      }),
      volume: program.volume,
    })
    return groups
  }

  #groupAnew(): KernelGroup[] {
    const required = new Set(this.#results.map((r) => r.node).filter((n) => !this.#given.has(n)))
    for (;;) {
      this.#fusion = new Fusion(this.#nodes, required, new Set(this.#given.keys()))
      try {
        const sinks = this.#fusion.sinks().filter((s) => !this.#given.has(s))
        return this.#joinSiblings(this.#fuseEpilogues(sinks.map((s) => this.#groupOf(s))))
      } catch (request) {
        if (!(request instanceof MaterializeRequest)) throw request
        if (this.#fusion.isMaterialized(request.node))
          throw new InternalError(`${request.node.op} is in memory and cannot be fused all the same`)
        required.add(request.node)
      }
    }
  }

  /** The groups of another program of the class, or null where something does not fit: an operand that is no strided view here, say. */
  #regroup(known: Grouping): KernelGroup[] | null {
    const nodes = (places: readonly number[]): Node[] => places.map((i) => this.#nodes[i]!)
    this.#fusion = Fusion.decided(this.#nodes, nodes(known.materialized))
    const groups: KernelGroup[] = []
    const computed = new Set<Node>()
    for (const places of known.groups) {
      const sinks = nodes(places.sinks)
      const group = this.#tryGroup(sinks, this.#nodes[places.contract], nodes(places.chain))
      if (!group || !group.reads.every((r) => this.#given.has(r) || computed.has(r))) return null
      for (const s of sinks) computed.add(s)
      groups.push(group)
    }
    return groups
  }

  #tryGroup(sinks: readonly Node[], contract?: Node, chain: readonly Node[] = []): KernelGroup | null {
    const [first] = sinks as readonly [Node]
    if (first.op === 'output') return this.#groupOf(first.sources[0]!)
    try {
      if (contract?.op === 'contract') return this.#contractGroup(contract, chain, sinks)
      if (sinks.length === 1) return this.#groupOf(first)
      return sinks.every((s) => sameShape(s.shape, first.shape)) ? this.#nestGroup(sinks) : null
    } catch (request) {
      if (request instanceof MaterializeRequest) return null
      throw request
    }
  }

  /**
   * Kernels over one domain that read the same memory become one kernel: the sums of a batch norm's gradient, the moments and the
   * parameter of an optimizer. A sink joins an earlier group only if everything it needs is there by then, and if no group between still
   * reads what it overwrites.
   */
  #joinSiblings(groups: KernelGroup[]): KernelGroup[] {
    const joined: KernelGroup[] = []
    const placeOf = new Map<Node, number>()
    const overwritten = this.#overwrittenLeaves()
    for (const group of groups) {
      const sink = group.sinks[0]!
      const leaf = overwritten.get(sink) ?? -1
      const earliest = Math.max(joined.length - siblingReach, 0, ...group.reads.map((r) => placeOf.get(r) ?? 0))
      let merged = -1
      for (let i = joined.length - 1; i >= earliest && merged < 0 && group.domain !== undefined; i--) {
        const other = joined[i]!
        // What sums nothing can be computed in the last loops of what does.
        const fits = group.isElementwise ? other.domain?.startsWith(group.domain) : other.domain === group.domain
        if (!fits || other.sinks.length >= siblingSinks) continue
        const related = group.reads.some((r) => other.reads.includes(r) || other.sinks.includes(r))
        if (!related) continue
        if (leaf >= 0 && joined.slice(i + 1).some((g) => g.reads.some((r) => this.#leafNumber(r) === leaf))) continue
        const both = this.#tryGroup([...other.sinks, sink])
        if (!both || both.domain !== other.domain) continue
        joined[i] = both
        merged = i
      }
      if (merged < 0) merged = joined.push(group) - 1
      for (const s of group.sinks) placeOf.set(s, merged)
    }
    return joined
  }

  #groupOf(sink: Node): KernelGroup {
    switch (sink.op) {
      case 'contract':
        return this.#contractGroup(sink)
      case 'scatter':
        return {
          sinks: [sink],
          reads: sink.sources.filter((s) => this.#fusion.isMaterialized(s)),
          lower: () => this.#scatter(sink),
        }
      case 'argsort':
        return { sinks: [sink], reads: sink.sources, lower: () => [this.#indexStep(sink, argsortStep(sink))] }
      case 'cumulate':
        return { sinks: [sink], reads: sink.sources, lower: () => [this.#indexStep(sink, cumulateStep(sink))] }
      case 'scan':
        return { sinks: this.#scanOutputs(sink), reads: sink.sources, lower: () => this.#scan(sink) }
      default: {
        const join = this.#fusion.joinAt(sink)
        return join && numel(sink.shape) > 0 ? this.#joinGroup(sink, join) : this.#nestGroup([sink])
      }
    }
  }

  /** A kernel for each part of a join, which puts it into its place; parts that were computed there need none. */
  #joinGroup(sink: Node, join: Join): KernelGroup {
    const strides = contiguousStrides(sink.shape)
    const copies = join.parts
      .filter((p) => numel(p.node.shape) > 0)
      .map((part) => {
        const isDense = numel(part.node.shape) === runOf(part.node.shape, join.axis)
        return { part, nest: this.#copyNest(part.node, null, isDense ? undefined : strides) }
      })
    return {
      sinks: [sink],
      reads: [...new Set(copies.flatMap(({ nest }) => sourcesOf(nest)))],
      lower: () => {
        const whole = this.#placeOf(sink)
        return copies.flatMap(({ part, nest }) => {
          const to = partOf(whole, part, strides[join.axis]!)
          const isThere = this.#joined.has(part.node)
          return isThere ? [] : [this.#bindCopy(nest, part.node, null, to)]
        })
      },
    }
  }

  /** Places of parts inside joins: they are computed where they belong. */
  readonly #joined = new Map<Node, { readonly join: Node; readonly part: JoinPart; readonly stride: number }>()

  /** Finds parts of joins that kernels of their own compute, that nobody else reads, and that lie densely in the whole. */
  #findJoined(groups: readonly KernelGroup[]): void {
    const computed = new Set<Node>()
    const results = new Set(this.#results.map((r) => r.node))
    for (const { sinks } of groups) {
      const join = this.#fusion.joinAt(sinks[0]!)
      for (const part of join?.parts ?? []) {
        const { node } = part
        const isDense = numel(node.shape) === runOf(node.shape, join!.axis)
        if (!computed.has(node) || !isDense || results.has(node) || !this.#fusion.isUsedOnce(node)) continue
        if (this.#overwriting.has(sinks[0]!) || this.#fusion.joinAt(node)) continue
        this.#joined.set(node, { join: sinks[0]!, part, stride: contiguousStrides(sinks[0]!.shape)[join!.axis]! })
      }
      for (const s of sinks) computed.add(s)
    }
  }

  readonly #surroundings: Surroundings = {
    isMaterialized: (n) => this.#fusion.isMaterialized(n),
    scalarSlot: (n) => this.#generator.capture.slots.get(n)!,
    overwrites: (n) => this.#overwriting.has(n),
  }

  #nestGroup(sinks: readonly Node[]): KernelGroup {
    if (numel(sinks[0]!.shape) === 0) return { sinks, reads: [], lower: () => [] }
    const nest = buildNestOnce(sinks, this.#surroundings)
    return {
      sinks,
      reads: sourcesOf(nest),
      domain: nest.domain,
      isElementwise: nest.domain.endsWith('|'),
      shifted: nest.shifted,
      lower: () => [
        this.#launch(
          nest,
          (a): StepArgument<Location> => {
            if (a.kind === 'source') return { kind: 'memory', role: this.#placeOf(a.node) }
            if (a.kind === 'sink') return { kind: 'memory', role: this.#placeOf(sinks[a.index]!) }
            return a
          },
          [sinks[0]!.shape],
        ),
      ],
    }
  }

  /**
   * Elementwise kernels over the elements of a contraction, at the same places, are computed where the contraction is stored. The contraction
   * then runs where that kernel stood: whatever it reads is there by then, and nobody in between may want what it gives.
   */
  #fuseEpilogues(groups: readonly KernelGroup[]): KernelGroup[] {
    const slots: (KernelGroup | null)[] = [...groups]
    const placeOf = new Map<Node, number>()
    const leaves = this.#overwrittenLeaves()
    groups.forEach((group, i) => {
      const [sink] = group.sinks
      if (group.isElementwise && sink && !this.#overwriting.has(sink)) {
        const from = Math.max(
          -1,
          ...group.reads.map((r) => (this.#isFusible(slots[placeOf.get(r) ?? -1], sink) ? placeOf.get(r)! : -1)),
        )
        const before = slots[from]
        const between = slots.slice(from + 1, i)
        if (before && between.every((g) => g === null || this.#canMoveBehind(before, g, leaves))) {
          const chain = [...before.chain!, sink]
          if (fuseEpilogue(before.contract!, chain, [sink], this.#surroundings)) {
            slots[from] = null
            const made = new Set([before.contract!, ...chain])
            const reads = [...new Set([...before.reads, ...group.reads])].filter((r) => !made.has(r))
            slots[i] = { ...before, reads, chain, sinks: [before.contract!, ...chain] }
          }
        }
      }
      for (const s of slots[i]!.sinks) placeOf.set(s, i)
    })
    const left = slots.filter((g) => g !== null)
    const wanted = new Set([...this.#results.map((r) => r.node), ...left.flatMap((g) => g.reads)])
    return left.map((g) =>
      g.chain && g.chain.length > 0
        ? this.#contractGroup(
            g.contract!,
            g.chain,
            g.sinks.filter((s) => wanted.has(s)),
          )
        : g,
    )
  }

  #isFusible(group: KernelGroup | null | undefined, sink: Node): boolean {
    if (!group?.contract || group.chain!.length >= mostChained) return false
    return isFloat(group.contract.dtype) && numel(group.contract.shape) === numel(sink.shape)
  }

  /** Whether a contraction may run behind a group that stood behind it. */
  #canMoveBehind(contract: KernelGroup, group: KernelGroup, overwritten: ReadonlyMap<Node, number>): boolean {
    const overwrites = (n: Node): boolean => {
      const leaf = overwritten.get(n)
      return leaf !== undefined && contract.reads.some((r) => this.#leafNumber(r) === leaf)
    }
    return !group.reads.some((r) => contract.sinks.includes(r)) && !group.sinks.some(overwrites)
  }

  /** Numbers of the leaves that results overwrite. */
  #overwrittenLeaves(): Map<Node, number> {
    return new Map(this.#results.filter((r) => r.overwrites >= 0).map((r) => [r.node, r.overwrites]))
  }

  #leafNumber(n: Node): number {
    const place = this.#given.get(n)
    return place?.space === 'leaf' ? place.slot : -1
  }

  /** A contraction, with the sinks of `chain` computed where it is stored; `stored` of all these go to memory. */
  #contractGroup(node: NodeOf<'contract'>, chain: readonly Node[] = [], stored: readonly Node[] = [node]): KernelGroup {
    const [lhs, rhs] = node.sources.map((s) => stridedView(s, this.#fusion.isMaterialized)) as [
      ReturnType<typeof stridedView>,
      ReturnType<typeof stridedView>,
    ]
    for (const v of [lhs, rhs]) if (!this.#fusion.isMaterialized(v.base)) throw new MaterializeRequest(v.base)
    const fused = chain.length > 0 ? fuseEpilogue(node, chain, stored, this.#surroundings) : null
    if (chain.length > 0 && !fused) throw new MaterializeRequest(node)
    return {
      sinks: stored,
      reads: [lhs.base, rhs.base, ...(fused?.operands ?? [])],
      contract: node,
      chain,
      lower: () => {
        const lowered = lowerContractOnce({
          spec: node.attributes,
          dtype: node.dtype,
          lhs,
          rhs,
          out: { shape: node.shape, strides: contiguousStrides(node.shape), offset: 0 },
          ...(fused ? { epilogue: fused.epilogue, outDType: fused.dtype } : {}),
          constant: { lhs: this.#generator.isFixed(lhs.base), rhs: this.#generator.isFixed(rhs.base) },
          capabilities: this.#generator.capabilities,
        })
        const temporaries = lowered.temporaries.map((t) => this.#generator.temporary(t.bytes))
        const memory = (n: Node): StepArgument<Location> => ({ kind: 'memory', role: this.#placeOf(n) })
        const bind = (a: ContractArgument): StepArgument<Location> => {
          switch (a.kind) {
            case 'lhs':
              return memory(lhs.base)
            case 'rhs':
              return memory(rhs.base)
            case 'out':
              return memory(stored[0]!)
            case 'result':
              return memory(stored[a.number + 1]!)
            case 'operand':
              return memory(fused!.operands[a.number]!)
            case 'scalar':
              return fused!.numbers[a.number]!
            case 'temporary':
              return { kind: 'memory', role: temporaries[a.number]! }
            case 'scratch':
              return { kind: 'scratch' }
            case 'index':
              return a
          }
        }
        const shapes = [node.shape, ...node.sources.map((s) => s.shape)]
        return lowered.steps.map((step) => this.#launch(step, bind, shapes))
      },
    }
  }

  #scatter(node: NodeOf<'scatter'>): PendingLaunch[] {
    if (numel(node.shape) === 0) return []
    const base = this.#copy(node.sources[0]!, null, this.#placeOf(node))
    return numel(node.sources[2]!.shape) === 0 ? [base] : [base, this.#indexStep(node, scatterStep(node))]
  }

  #indexStep(node: Node, step: Step<IndexRole>): PendingLaunch {
    return this.#launch(step, (a): StepArgument<Location> => {
      if (a.kind !== 'memory') return a
      return { kind: 'memory', role: this.#placeOf(a.role === 'out' ? node : node.sources[a.role]!) }
    })
  }

  /** A kernel that puts the value of a node, in memory or not, at a place. */
  #copy(node: Node, from: Location | null, to: Location): PendingLaunch {
    return this.#bindCopy(this.#copyNest(node, from), node, from, to)
  }

  #copyNest(node: Node, from: Location | null, strides?: readonly number[]): NestKernel {
    const copy = makeNode('detach', node.dtype, node.shape, [node], {}, false) as unknown as Node
    const isMaterialized = (n: Node): boolean =>
      n !== copy && ((n === node && from !== null) || this.#fusion.isMaterialized(n))
    return buildNestOnce([copy], { ...this.#surroundings, isMaterialized }, strides)
  }

  #bindCopy(nest: NestKernel, node: Node, from: Location | null, to: Location): PendingLaunch {
    const bind = (a: NestArgument): StepArgument<Location> => {
      if (a.kind === 'source') return { kind: 'memory', role: a.node === node && from ? from : this.#placeOf(a.node) }
      return a.kind === 'sink' ? { kind: 'memory', role: to } : a
    }
    return this.#launch(nest, bind, [node.shape])
  }

  #launch<A extends { readonly kind: string }>(
    step: {
      readonly kernel: Kernel
      readonly arguments: readonly A[]
      readonly extent: number
      readonly grain: number
      readonly scratchBytes: number
      readonly flops: number
      readonly bytes: number
    },
    bind: (a: A) => StepArgument<Location>,
    shapes?: readonly Shape[],
  ): PendingLaunch {
    const { extent, grain, scratchBytes, flops, bytes } = step
    return {
      kernel: this.#generator.kernelNumber(step.kernel),
      arguments: step.arguments.map(bind),
      extent,
      grain,
      scratchBytes,
      flops,
      bytes,
      ...(shapes && { shapes }),
    }
  }

  // ---- places -----------------------------------------------------------------------------------------------------------

  #placeOf(node: Node): Location {
    const place = this.#places.get(node) ?? this.#given.get(node)
    if (!place) throw new InternalError(`${node.op} is used before it is computed`)
    return place
  }

  readonly #firstResult = new Map<Node, Result>()
  /** Numbers of leaves that are results as they are: they are copied at the end. */
  readonly #copiedLeaves = new Set<number>()

  #assignResults(): void {
    for (const r of this.#results) {
      const given = this.#given.get(r.node)
      if (given && r.node.op === 'buffer') this.#copiedLeaves.add(given.slot)
      if (!given && !this.#firstResult.has(r.node)) this.#firstResult.set(r.node, r)
    }
  }

  /** Number of the last group that reads each leaf. */
  #lastUses(groups: readonly KernelGroup[]): Map<number, { group: number; shifted: boolean }> {
    const out = new Map<number, { group: number; shifted: boolean }>()
    groups.forEach((g, i) => {
      for (const n of g.reads) {
        const place = this.#given.get(n)
        if (place?.space === 'leaf') out.set(place.slot, { group: i, shifted: g.shifted ? g.shifted.has(n) : true })
      }
    })
    return out
  }

  /** A result is computed where it belongs, unless that memory is still wanted: then it is kept aside and copied at the end. */
  #placeSink(
    sink: Node,
    group: number,
    lastUse: ReadonlyMap<number, { group: number; shifted: boolean }>,
    kept: { from: Location; to: Location; node: Node }[],
  ): void {
    if (this.#places.has(sink)) return
    const joined = this.#joined.get(sink)
    if (joined) {
      this.#placeSink(joined.join, group, lastUse, kept)
      this.#places.set(sink, partOf(this.#placeOf(joined.join), joined.part, joined.stride))
      return
    }
    const result = this.#firstResult.get(sink)
    if (!result) {
      this.#places.set(sink, this.#generator.temporary(bytesOf(sink)))
      return
    }
    const last = result.overwrites >= 0 ? lastUse.get(result.overwrites) : undefined
    if (
      this.#copiedLeaves.has(result.overwrites) ||
      (last && (last.group > group || (last.group === group && last.shifted)))
    ) {
      const aside = this.#generator.temporary(bytesOf(sink))
      this.#places.set(sink, aside)
      kept.push({ from: aside, to: result.place, node: sink })
      return
    }
    this.#places.set(sink, result.place)
  }

  /** Results that are leaves, or values that another result holds already. Copies of leaves come before anything overwrites them. */
  #emitCopies(emit: (steps: readonly PendingStep[]) => void): void {
    for (const r of this.#results) {
      if (numel(r.node.shape) === 0 || this.#firstResult.get(r.node) === r) continue
      emit([this.#copy(r.node, this.#placeOf(r.node), r.place)])
      this.#generator.touch(this.#placeOf(r.node))
    }
  }

  // ---- loops ------------------------------------------------------------------------------------------------------------

  #scanOutputs(loop: NodeOf<'scan'>): Node[] {
    return this.#nodes.filter((n) => n.op === 'output' && n.sources[0] === loop)
  }

  /** The body's launches, repeated; sequences and stacks step through memory, carries stay in place. */
  #scan(loop: NodeOf<'scan'>): PendingStep[] {
    if (this.#inBody) throw new InternalError('a loop inside a loop')
    const { body, carries, sequences, length, reverse } = loop.attributes
    const wanted = new Map<number, Node>()
    for (const o of this.#scanOutputs(loop)) if (o.op === 'output') wanted.set(o.attributes.index, o)
    const stepping = (place: Location, bytes: number): Location => ({
      ...place,
      byteOffset: place.byteOffset + (reverse ? (length - 1) * bytes : 0),
      step: reverse ? -bytes : bytes,
    })

    const given = new Map<Node, Location>()
    const state = body.params.slice(0, carries).map((p) => this.#generator.temporary(bytesOf(p)))
    body.params.forEach((p, i) => {
      if (i < carries) given.set(p, state[i]!)
      else if (i < carries + sequences) given.set(p, stepping(this.#placeOf(loop.sources[i]!), bytesOf(p)))
      else given.set(p, this.#placeOf(loop.sources[i]!))
    })
    // Next carries are computed aside: other results of the step still read the old ones.
    const next = body.outputs.slice(0, carries).map((o) => this.#generator.temporary(bytesOf(o)))
    const results: Result[] = body.outputs.flatMap((node, i) => {
      if (i < carries) return [{ node, place: next[i]!, overwrites: -1 }]
      const stack = wanted.get(i)
      return stack ? [{ node, place: stepping(this.#placeOf(stack), bytesOf(node)), overwrites: -1 }] : []
    })
    const nodes = topologicalOrder(
      results.map((r) => r.node),
      (n) => given.has(n),
    )
    const isFixed = (_: Node, i: number): boolean =>
      i >= carries + sequences && this.#generator.isFixed(loop.sources[i]!)
    this.#generator.findFixed(nodes, body.params.filter(isFixed))
    const launches: PendingLaunch[] = []
    new GraphLowering(this.#generator, nodes, given, results, true).lower((steps) => {
      for (const s of steps) {
        if ('count' in s) throw new InternalError('a loop inside a loop')
        launches.push(s)
      }
    })
    body.outputs.slice(0, carries).forEach((o, i) => {
      if (numel(o.shape) > 0) launches.push(this.#copy(o, next[i]!, state[i]!))
    })
    const before = loop.sources
      .slice(0, carries)
      .flatMap((s, i) => (numel(s.shape) > 0 ? [this.#copy(s, this.#placeOf(s), state[i]!)] : []))
    const after = [...wanted].flatMap(([i, node]) =>
      i < carries && numel(node.shape) > 0 ? [this.#copy(node, state[i]!, this.#placeOf(node))] : [],
    )
    const split = splitInvariant(launches, this.#generator.kernels)
    return [...before, ...split.before, { count: length, steps: split.inside }, ...after]
  }
}

const sourcesOf = (nest: NestKernel): Node[] => nest.arguments.flatMap((a) => (a.kind === 'source' ? [a.node] : []))

/** Where a part of a join lies; `stride` counts elements along the axis. */
function partOf(whole: Location, { node, start }: JoinPart, stride: number): Location {
  return { ...whole, byteOffset: whole.byteOffset + start * stride * sizeOf(node.dtype) }
}

interface KernelGroup {
  readonly sinks: readonly Node[]
  readonly reads: readonly Node[]
  /** What loops the kernel has; kernels of one domain can be joined. Absent for what is no loop nest. */
  readonly domain?: string
  /** Whether the kernel combines elements at one place, and sums nothing. */
  readonly isElementwise?: boolean
  /** The contraction that the kernel computes, and the sinks that it computes where that is stored. */
  readonly contract?: NodeOf<'contract'>
  readonly chain?: readonly Node[]
  /** Sources that are read at other places than the result is written; absent where that is unknown. */
  readonly shifted?: ReadonlySet<Node>
  readonly lower: () => readonly PendingStep[]
}
