/**
 * From a capture to a plan: groups.ts finds what one kernel computes, lowering.ts makes launches of kernels, places.ts says where their
 * values are; here they become one plan, with one list of kernels and one arena.
 */
import type { Capture } from '../schedule/capture.ts'
import { planMemory, type Lifetime } from '../schedule/memory.ts'
import type { Argument, ArenaValue, BufferRef, Launch, Loop, Plan } from '../schedule/plan.ts'
import type { Node } from '../graph/node.ts'
import type { Capabilities } from './capabilities.ts'
import type { Kernel } from './kernel.ts'
import { lowerGraph, type PlanBuilder } from './lowering.ts'
import type { Location, PendingLaunch, PendingStep } from './pending.ts'
import { splitConstants, type Constant } from './prologue.ts'
import type { StepArgument } from './step.ts'
import { structureOf } from './structure.ts'

const at = (space: Location['space'], slot: number): Location => ({ space, slot, byteOffset: 0, step: 0 })

/** A plan whose constants (see prologue.ts) are leaves behind those of the capture. */
export interface GeneratedPlan {
  readonly plan: Plan
  readonly kernels: readonly Kernel[]
  /** Kernels that the same program needs at other sizes, beside those of the plan. */
  readonly siblings: readonly Kernel[]
  readonly constants: readonly Constant[]
  /** What computes them, in order: leaves are those of the plan, constants are outputs by number. */
  readonly prologue: readonly { readonly launch: Launch; readonly writes: readonly number[] }[]
}

/**
 * The plan of a capture and its kernels, by number. What depends on the `constant` leaves (by number) alone, which never change, is taken out of it.
 * `listsArena`: whether the plan says what lies in its arena.
 */
export function generatePlan(
  capture: Capture,
  capabilities: Capabilities,
  constant?: ReadonlySet<number>,
  listsArena = false,
): GeneratedPlan {
  return new Generator(capture, capabilities, constant, listsArena).generate()
}

/** Ops without sources that always give the same. */
const fixedLeaves: ReadonlySet<string> = new Set(['constant', 'iota'])
/** Ops whose results count as changing, whatever they read. */
const changing: ReadonlySet<string> = new Set(['scan', 'output', 'random'])

class Generator implements PlanBuilder {
  readonly #capture: Capture
  readonly capabilities: Capabilities
  readonly #kernels: Kernel[] = []
  readonly #kernelNumbers = new Map<string, number>()
  readonly #temporaries: (Lifetime & { readonly what: string })[] = []
  readonly #siblings = new Map<string, Kernel>()
  readonly #steps: PendingStep[] = []
  readonly #constant: ReadonlySet<number> | undefined
  readonly #listsArena: boolean
  /** Nodes whose values never change from run to run. */
  readonly #fixed = new Set<Node>()

  constructor(
    capture: Capture,
    capabilities: Capabilities,
    constant: ReadonlySet<number> | undefined,
    listsArena: boolean,
  ) {
    this.#capture = capture
    this.capabilities = capabilities
    this.#constant = constant
    this.#listsArena = listsArena
  }

  generate(): GeneratedPlan {
    const capture = this.#capture
    this.findFixed(capture.nodes)
    const places = new Map<Node, Location>()
    for (const [node, slot] of capture.slots) if (node.op === 'buffer') places.set(node, at('leaf', slot))
    const leafNumbers = new Map(capture.leaves.map((leaf, i) => [leaf, i]))
    const results = capture.outputs.map((o, i) => ({
      node: o.node,
      place: at('output', i),
      overwrites: o.write ? (leafNumbers.get(o.write) ?? -1) : -1,
    }))
    lowerGraph({ nodes: capture.nodes, given: places, results }, this, (steps) => this.#steps.push(...steps))
    return this.#finish()
  }

  get kernels(): readonly Kernel[] {
    return this.#kernels
  }

  scalarSlot(node: Node): number {
    return this.#capture.slots.get(node)!
  }

  findFixed(nodes: readonly Node[], given: readonly Node[] = []): void {
    // Programs whose leaves may all change have fixed values only in bodies of loops.
    if (!this.#constant && given.length === 0) return
    for (const n of given) this.#fixed.add(n)
    for (const n of nodes) {
      const isFixed =
        n.op === 'buffer'
          ? (this.#constant?.has(this.#capture.slots.get(n) ?? -1) ?? false)
          : n.sources.length === 0
            ? fixedLeaves.has(n.op)
            : !changing.has(n.op) && n.sources.every((s) => this.#fixed.has(s))
      if (isFixed) this.#fixed.add(n)
    }
  }

  isFixed(node: Node): boolean {
    return this.#fixed.has(node)
  }

  temporary(bytes: number, what: () => string): Location {
    this.#temporaries.push({
      bytes,
      what: this.#listsArena ? what() : '',
      first: this.#steps.length,
      last: this.#steps.length,
    })
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

  /** The temporaries as they lie in the arena. */
  #values(offsets: readonly number[], elsewhere: ReadonlySet<number>): ArenaValue[] {
    const titleOf = (step: number): string => {
      const s = this.#steps[step]
      const launch = s && 'count' in s ? s.steps[0] : s
      const title = launch ? this.#kernels[launch.kernel]!.title : ''
      return s && 'count' in s ? `loop of ${s.steps.length} kernels` : title
    }
    return this.#temporaries.flatMap(({ bytes, first, last, what }, i) => {
      if (bytes === 0 || elsewhere.has(i)) return []
      return [{ bytes, byteOffset: offsets[i]!, first, last, what, maker: titleOf(first), reader: titleOf(last) }]
    })
  }

  addSiblings(kernels: readonly Kernel[]): void {
    for (const k of kernels) this.#siblings.set(structureOf(k), k)
  }

  #finish(): GeneratedPlan {
    const split = this.#constant
      ? splitConstants(this.#steps, this.#kernels, this.#temporaries, this.#capture.leaves.length, this.#constant)
      : { constants: [], prologue: [], steps: this.#steps, replaced: new Set<number>() }
    const inArena = this.#temporaries.map((t, i) => (split.replaced.has(i) ? { ...t, bytes: 0 } : t))
    const { offsets, arenaBytes } = planMemory(inArena)
    const ref = (l: Location): BufferRef =>
      l.space === 'temporary'
        ? { space: 'arena', slot: 0, byteOffset: offsets[l.slot]! + l.byteOffset, step: l.step }
        : { space: l.space, slot: l.slot, byteOffset: l.byteOffset, step: l.step }
    // What several launches name is one object: plans are kept.
    const buffers = new Map<Location, Argument>()
    const bind = (a: StepArgument<Location>): Argument => {
      if (a.kind !== 'memory') return a
      let buffer = buffers.get(a.role)
      if (!buffer) buffers.set(a.role, (buffer = { kind: 'buffer', ref: ref(a.role) }))
      return buffer
    }
    const launch = ({ kernel, arguments: given, extent, grain, scratchBytes, flops, bytes, shapes }: PendingLaunch) => {
      const bound = given.map(bind)
      const made: Launch = { kind: 'launch', kernel, arguments: bound, extent, grain, scratchBytes, flops, bytes }
      return shapes ? { ...made, shapes } : made
    }
    const steps = split.steps.map((s): Launch | Loop =>
      'count' in s ? { ...s, kind: 'loop', steps: s.steps.map(launch) } : launch(s),
    )
    return {
      plan: { steps, arenaBytes, ...(this.#listsArena && { values: this.#values(offsets, split.replaced) }) },
      kernels: this.#kernels,
      siblings: [...this.#siblings].flatMap(([key, k]) => (this.#kernelNumbers.has(key) ? [] : [k])),
      constants: split.constants,
      prologue: split.prologue.map((p) => ({ launch: launch(p.launch), writes: p.writes })),
    }
  }
}
