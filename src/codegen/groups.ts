/**
 * Which nodes one kernel computes: sinks of the fusion stage become groups, elementwise groups join the contraction before them or a
 * neighbour over the same loops. The loop with the fusion stage is here: a node that cannot be fused where fusion put it is stored, and the
 * groups are made again. What was found for a program is taken over by programs that differ in sizes only (see grouping.ts).
 */
import { isFloat } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { numel, sameShape } from '../common/shape.ts'
import type { Node, NodeOf } from '../graph/node.ts'
import { Fusion } from '../schedule/fusion.ts'
import type { Join } from '../schedule/joins.ts'
import { stridedView, type StridedView } from '../schedule/views.ts'
import { PartitionRequest } from './affine.ts'
import { lowerAttention, type AttentionNode, type LoweredAttention } from './attention/lower.ts'
import { boxesOf, type Box } from './boxes.ts'
import type { FusedContract } from './epilogue.ts'
import { fuseEpilogueOnce } from './epilogue-memo.ts'
import { MaterializeRequest, type Surroundings } from './expression.ts'
import { classOf, keepGrouping, knownGroupings, type Grouping } from './grouping.ts'
import { joinLoops, loopsTogether } from './loops-together.ts'
import { copyNest, joinedParts, partCopies, type JoinedPart, type PartCopy } from './joined.ts'
import { buildNestOnce } from './nest-memo.ts'
import type { NestKernel } from './nest.ts'
import { orderGroups } from './ordering.ts'
import type { GraphPart } from './pending.ts'
import { repeatCheap } from './repeats.ts'

/** How many kernels back a sink looks for one to join, and how many results one kernel may have. */
const siblingReach = 12
const siblingSinks = 8
/** Results that may be computed where a contraction is stored. */
const mostChained = 3

/** What one kernel, or run of kernels, computes. */
export type KernelGroup = NestGroup | BoxGroup | ContractGroup | JoinGroup | AttentionGroup | LoopGroup | OwnGroup

interface Group {
  /** What goes to memory. */
  readonly sinks: readonly Node[]
  /** What is read from memory. */
  readonly reads: readonly Node[]
}

/** Sinks of one loop nest; null where they have no elements. */
interface NestGroup extends Group {
  readonly kind: 'nest'
  readonly nest: NestKernel | null
  /** Whether it could be computed box by box, but is not: other sizes of its program may have other kernels. */
  readonly isWhole: boolean
}

/** A sink that is computed box by box. */
export interface BoxGroup extends Group {
  readonly kind: 'boxes'
  readonly boxes: readonly Box[]
}

/** A contraction, and the sinks that are computed where it is stored. */
export interface ContractGroup extends Group {
  readonly kind: 'contract'
  readonly contract: NodeOf<'contract'>
  readonly chain: readonly Node[]
  readonly lhs: StridedView
  readonly rhs: StridedView
  readonly fused: FusedContract | null
}

/** Parts that are put side by side. */
export interface JoinGroup extends Group {
  readonly kind: 'join'
  readonly axis: number
  readonly copies: readonly PartCopy[]
}

/** An attention, or its gradient: its sinks are the results that are wanted. */
export interface AttentionGroup extends Group {
  readonly kind: 'attention'
  readonly node: AttentionNode
  readonly lowered: LoweredAttention
}

/** Loops that need nothing of each other. */
export interface LoopGroup extends Group {
  readonly kind: 'loops'
  readonly loops: readonly NodeOf<'scan'>[]
}

/** An op with kernels of its own. */
interface OwnGroup extends Group {
  readonly kind: 'own'
  readonly node: OwnNode
}

export type OwnNode = NodeOf<'scatter'> | NodeOf<'argsort'> | NodeOf<'cumulate'>

function sourcesOf(nest: NestKernel): Node[] {
  const sources: Node[] = []
  for (const a of nest.arguments) if (a.kind === 'source') sources.push(a.node)
  return sources
}

/** What loops a kernel has; kernels of one domain can be joined. Undefined for what is no loop nest. */
const domainOf = (g: KernelGroup): string | undefined => (g.kind === 'nest' ? g.nest?.domain : undefined)
/** Whether a kernel combines elements at one place, and sums nothing. */
const isElementwise = (g: KernelGroup): boolean => domainOf(g)?.endsWith('|') ?? false

const isWhole = (g: KernelGroup): boolean => g.kind === 'nest' && g.isWhole

/** The values that a node of several results hands out and that are wanted of it. */
export function tupleOutputs(nodes: readonly Node[], tuple: Node): readonly Node[] {
  let ofGraph = outputsOf.get(nodes)
  if (!ofGraph) {
    outputsOf.set(nodes, (ofGraph = new Map()))
    for (const n of nodes) {
      if (n.op !== 'output') continue
      const before = ofGraph.get(n.sources[0]!)
      if (before) before.push(n)
      else ofGraph.set(n.sources[0]!, [n])
    }
  }
  return ofGraph.get(tuple) ?? []
}

const outputsOf = new WeakMap<readonly Node[], Map<Node, Node[]>>()

/** The groups of a graph in the order in which they run, some twice (see repeats.ts), and which nodes they find in memory. */
export interface Groups {
  readonly groups: readonly KernelGroup[]
  readonly surroundings: Surroundings
  /** Parts of joins that are computed in their places. */
  readonly joined: ReadonlyMap<Node, JoinedPart>
}

/** Groups the nodes of a graph, or of the body of a loop. `scalarSlot`: the numbers of the run's scalars. */
export function groupNodes(part: GraphPart, scalarSlot: (node: Node) => number, inBody: boolean): Groups {
  const grouper = new Grouper(part, scalarSlot)
  const groups = grouper.group(inBody)
  return { groups, surroundings: grouper.surroundings, joined: grouper.joined(groups) }
}

class Grouper {
  readonly #part: GraphPart
  /** Nodes of the results, and those of them that go to memory that the graph also reads. */
  readonly #results: ReadonlySet<Node>
  readonly #overwriting: ReadonlySet<Node>
  #fusion!: Fusion
  readonly surroundings: Surroundings

  constructor(part: GraphPart, scalarSlot: (node: Node) => number) {
    this.#part = part
    this.#results = new Set(part.results.map((r) => r.node))
    this.#overwriting = new Set(part.results.filter((r) => r.overwrites >= 0).map((r) => r.node))
    this.surroundings = {
      isMaterialized: (n) => this.#fusion.isMaterialized(n),
      scalarSlot,
      overwrites: (n) => this.#overwriting.has(n),
    }
  }

  joined(groups: readonly KernelGroup[]): Map<Node, JoinedPart> {
    return joinedParts(
      groups.map((g) => g.sinks),
      this.#fusion,
      this.#results,
      this.#overwriting,
    )
  }

  /** As it was done for a program that differs in sizes only, or anew. */
  group(inBody: boolean): readonly KernelGroup[] {
    const { nodes, given } = this.#part
    const roles = new Map<Node, number>()
    for (const n of given.keys()) roles.set(n, 1)
    for (const n of this.#results) roles.set(n, (roles.get(n) ?? 0) + (this.#overwriting.has(n) ? 6 : 2))
    const program = classOf(nodes, (n) => roles.get(n) ?? 0, inBody)
    for (const known of knownGroupings(program)) {
      const groups = this.#regroup(known)
      if (groups) return groups
    }
    const found = loopsTogether(this.#groupAnew())
    // A loop's body keeps its order: its values are few, and live for one iteration.
    const ordered = inBody
      ? found
      : orderGroups(repeatCheap(found, this.#part), this.#part, this.#fusion.isMaterialized)
    const places = new Map(nodes.map((n, i) => [n, i]))
    const numbers = (list: readonly Node[]): number[] => list.map((n) => places.get(n)!)
    const groups = [...new Set(ordered)]
    const groupNumbers = new Map(groups.map((g, i) => [g, i]))
    keepGrouping(program, {
      materialized: numbers(nodes.filter(this.#fusion.isMaterialized)),
      groups: groups.map((g) => {
        const chain = g.kind === 'contract' ? numbers(g.chain) : []
        const contract = g.kind === 'contract' && chain.length > 0 ? places.get(g.contract)! : -1
        return { sinks: numbers(g.sinks), contract, chain, isWhole: isWhole(g) }
      }),
      order: ordered.map((g) => groupNumbers.get(g)!),
      volume: program.volume,
    })
    return ordered
  }

  #groupAnew(): readonly KernelGroup[] {
    const { nodes, given } = this.#part
    const required = new Set([...this.#results].filter((n) => !given.has(n)))
    for (;;) {
      this.#fusion = new Fusion(nodes, required, new Set(given.keys()))
      try {
        const sinks = this.#fusion.sinks().filter((s) => !given.has(s))
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
    const nodes = (places: readonly number[]): Node[] => places.map((i) => this.#part.nodes[i]!)
    this.#fusion = Fusion.decided(this.#part.nodes, nodes(known.materialized))
    const groups: KernelGroup[] = []
    const computed = new Set<Node>()
    for (const places of known.groups) {
      const sinks = nodes(places.sinks)
      const group = this.#tryGroup(sinks, this.#part.nodes[places.contract], nodes(places.chain))
      if (!group || isWhole(group) !== places.isWhole) return null
      if (!group.reads.every((r) => this.#part.given.has(r) || computed.has(r))) return null
      for (const s of sinks) computed.add(s)
      groups.push(group)
    }
    return known.order.map((i) => groups[i]!)
  }

  #tryGroup(sinks: readonly Node[], contract?: Node, chain: readonly Node[] = []): KernelGroup | null {
    const [first] = sinks as readonly [Node]
    if (first.op === 'output') {
      const [tuple, ...others] = new Set(sinks.map((s) => s.sources[0]!))
      const group = this.#groupOf(tuple!)
      return group.kind === 'loops' ? joinLoops([group, ...others.map((o) => this.#loopGroup(o))]) : group
    }
    try {
      if (contract?.op === 'contract') return this.#contractGroup(contract, chain, sinks)
      if (sinks.length === 1) return this.#groupOf(first)
      return sinks.every((s) => sameShape(s.shape, first.shape)) ? this.#nestGroup(sinks) : null
    } catch (request) {
      if (request instanceof MaterializeRequest) return null
      throw request
    }
  }

  #groupOf(sink: Node): KernelGroup {
    switch (sink.op) {
      case 'contract':
        return this.#contractGroup(sink)
      case 'scatter':
        return {
          kind: 'own',
          node: sink,
          sinks: [sink],
          reads: [...sink.sources.slice(1), ...this.#readsOf(sink.sources[0]!)],
        }
      case 'argsort':
      case 'cumulate':
        return { kind: 'own', node: sink, sinks: [sink], reads: sink.sources }
      case 'scan':
        return this.#loopGroup(sink)
      case 'attention':
      case 'attentionGradient':
        return this.#attentionGroup(sink)
      default: {
        const join = this.#fusion.joinAt(sink)
        return join && numel(sink.shape) > 0 ? this.#joinGroup(sink, join) : this.#nestGroup([sink])
      }
    }
  }

  #loopGroup(loop: Node): LoopGroup {
    if (loop.op !== 'scan') throw new InternalError(`a loop is expected beside others, not ${loop.op}`)
    return { kind: 'loops', loops: [loop], sinks: tupleOutputs(this.#part.nodes, loop), reads: loop.sources }
  }

  /** What a kernel that copies a value reads: the value, or what it is computed from. */
  #readsOf(value: Node): Node[] {
    return numel(value.shape) === 0 ? [] : sourcesOf(copyNest(value, false, this.surroundings))
  }

  #joinGroup(sink: Node, join: Join): JoinGroup {
    const copies = partCopies(sink, join, this.surroundings)
    const reads = [...new Set(copies.flatMap(({ nest }) => sourcesOf(nest)))]
    return { kind: 'join', sinks: [sink], reads, axis: join.axis, copies }
  }

  #nestGroup(sinks: readonly Node[]): NestGroup | BoxGroup {
    if (numel(sinks[0]!.shape) === 0) return { kind: 'nest', sinks, reads: [], nest: null, isWhole: false }
    try {
      const nest = buildNestOnce(sinks, this.surroundings)
      return { kind: 'nest', sinks, reads: sourcesOf(nest), nest, isWhole: false }
    } catch (request) {
      if (!(request instanceof PartitionRequest)) throw request
      return this.#boxGroup(sinks, request)
    }
  }

  /** Several results of one kernel, and what lies where the kernel reads, are computed whole: boxes would be written while others are read. */
  #boxGroup(sinks: readonly Node[], request: PartitionRequest): NestGroup | BoxGroup {
    const [sink] = sinks as readonly [Node]
    if (sinks.length > 1 || this.#overwriting.has(sink)) {
      const nest = buildNestOnce(sinks, { ...this.surroundings, isWhole: true })
      return { kind: 'nest', sinks, reads: sourcesOf(nest), nest, isWhole: true }
    }
    const boxes = boxesOf(sink, request, this.surroundings)
    return { kind: 'boxes', sinks, reads: [...new Set(boxes.flatMap(({ nest }) => sourcesOf(nest)))], boxes }
  }

  #attentionGroup(node: AttentionNode): AttentionGroup {
    const lowered = lowerAttention(node, this.surroundings)
    return { kind: 'attention', node, lowered, reads: lowered.reads, sinks: tupleOutputs(this.#part.nodes, node) }
  }

  /** A contraction, with the sinks of `chain` computed where it is stored; `stored` of all these go to memory. */
  #contractGroup(
    contract: NodeOf<'contract'>,
    chain: readonly Node[] = [],
    stored: readonly Node[] = [contract],
  ): ContractGroup {
    const [lhs, rhs] = contract.sources.map((s) => stridedView(s, this.#fusion.isMaterialized)) as [
      StridedView,
      StridedView,
    ]
    for (const v of [lhs, rhs]) if (!this.#fusion.isMaterialized(v.base)) throw new MaterializeRequest(v.base)
    const fused = chain.length > 0 ? fuseEpilogueOnce(contract, chain, stored, this.surroundings) : null
    if (chain.length > 0 && !fused) throw new MaterializeRequest(contract)
    const reads = [lhs.base, rhs.base, ...(fused?.operands ?? [])]
    return { kind: 'contract', sinks: stored, reads, contract, chain, lhs, rhs, fused }
  }

  // ---- kernels that become one ------------------------------------------------------------------------------------------

  /**
   * Kernels over one domain that read the same memory become one kernel: the sums of a batch norm's gradient, the moments and the
   * parameter of an optimizer. A sink joins an earlier group only if everything it needs is there by then, and if no group between still
   * reads what it overwrites.
   */
  #joinSiblings(groups: readonly KernelGroup[]): KernelGroup[] {
    const joined: KernelGroup[] = []
    const placeOf = new Map<Node, number>()
    const overwritten = this.#overwrittenLeaves()
    for (const group of groups) {
      const sink = group.sinks[0]!
      const domain = domainOf(group)
      const leaf = overwritten.get(sink) ?? -1
      const reach = domain === undefined ? 0 : siblingReach
      const earliest = Math.max(joined.length - reach, 0, ...group.reads.map((r) => placeOf.get(r) ?? 0))
      let merged = -1
      for (let i = joined.length - 1; i >= earliest && merged < 0; i--) {
        const other = joined[i]!
        // What sums nothing can be computed in the last loops of what does.
        const fits = isElementwise(group) ? domainOf(other)?.startsWith(domain!) : domainOf(other) === domain
        if (!fits || other.sinks.length >= siblingSinks) continue
        const related = group.reads.some((r) => other.reads.includes(r) || other.sinks.includes(r))
        if (!related) continue
        if (leaf >= 0 && joined.slice(i + 1).some((g) => g.reads.some((r) => this.#leafNumber(r) === leaf))) continue
        const both = this.#tryGroup([...other.sinks, sink])
        if (!both || domainOf(both) !== domainOf(other)) continue
        joined[i] = both
        merged = i
      }
      if (merged < 0) merged = joined.push(group) - 1
      for (const s of group.sinks) placeOf.set(s, merged)
    }
    return joined
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
      if (isElementwise(group) && sink && !this.#overwriting.has(sink)) {
        const from = Math.max(
          -1,
          ...group.reads.map((r) => (isFusible(slots[placeOf.get(r) ?? -1], sink) ? placeOf.get(r)! : -1)),
        )
        const before = slots[from]
        const between = slots.slice(from + 1, i)
        if (before?.kind === 'contract' && between.every((g) => g === null || this.#canMoveBehind(before, g, leaves))) {
          const chain = [...before.chain, sink]
          if (fuseEpilogueOnce(before.contract, chain, [sink], this.surroundings)) {
            slots[from] = null
            const made = new Set([before.contract, ...chain])
            const reads = [...new Set([...before.reads, ...group.reads])].filter((r) => !made.has(r))
            slots[i] = { ...before, reads, chain, sinks: [before.contract, ...chain] }
          }
        }
      }
      for (const s of slots[i]!.sinks) placeOf.set(s, i)
    })
    const left = slots.filter((g) => g !== null)
    const wanted = new Set([...this.#results, ...left.flatMap((g) => g.reads)])
    return left.map((g) =>
      g.kind === 'contract' && g.chain.length > 0
        ? this.#contractGroup(
            g.contract,
            g.chain,
            g.sinks.filter((s) => wanted.has(s)),
          )
        : g,
    )
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
    return new Map(this.#part.results.filter((r) => r.overwrites >= 0).map((r) => [r.node, r.overwrites]))
  }

  #leafNumber(n: Node): number {
    const place = this.#part.given.get(n)
    return place?.space === 'leaf' ? place.slot : -1
  }
}

function isFusible(group: KernelGroup | null | undefined, sink: Node): boolean {
  if (group?.kind !== 'contract' || group.chain.length >= mostChained) return false
  return isFloat(group.contract.dtype) && numel(group.contract.shape) === numel(sink.shape)
}
