/** From one graph to launches: each group's kernel, with what stands for its parameters, in the order in which they run. */
import { sizeOf } from '../common/dtype.ts'
import { contiguousStrides, numel, type Shape } from '../common/shape.ts'
import type { Node, NodeOf } from '../graph/node.ts'
import { lowerBodyOnce } from './body-memo.ts'
import type { Capabilities } from './capabilities.ts'
import { lowerContractOnce } from './contract/memo.ts'
import type { ContractArgument } from './contract/problem.ts'
import {
  groupNodes,
  type AttentionGroup,
  type BoxGroup,
  type ContractGroup,
  type Groups,
  type JoinGroup,
  type KernelGroup,
  type OwnNode,
} from './groups.ts'
import { argsortStep, cumulateStep, scatterStep, type IndexRole } from './index-ops.ts'
import { copyNest, placeOfPart } from './joined.ts'
import type { Kernel } from './kernel.ts'
import { lowerLoops } from './loops.ts'
import type { NestKernel } from './nest.ts'
import type { NestArgument } from './nest-parameters.ts'
import type { GraphPart, Location, PendingLaunch, PendingStep } from './pending.ts'
import { bytesOf, describe, Places } from './places.ts'
import type { Step, StepArgument } from './step.ts'

/** What all graphs of a plan share. */
export interface PlanBuilder {
  readonly capabilities: Capabilities
  /** Kernels so far, by number. */
  readonly kernels: readonly Kernel[]
  /** The number of a kernel, which equal ones share. */
  kernelNumber(kernel: Kernel): number
  /** Notes kernels that the program needs at other sizes. */
  addSiblings(kernels: readonly Kernel[]): void
  /** Number of a scalar node. */
  scalarSlot(node: Node): number
  /** Finds what depends on constant leaves and the `given` nodes alone; `nodes`: sources first. */
  findFixed(nodes: readonly Node[], given: readonly Node[]): void
  /** Whether a node's value was found never to change from run to run. */
  isFixed(node: Node): boolean
  /** A temporary that lives from now on; `touch` extends its life. `what` it is, for listings. */
  temporary(bytes: number, what: () => string): Location
  touch(place: Location): void
}

/** Lowers a graph; gives the steps to `emit` one after another, so that lifetimes are counted in steps. */
export function lowerGraph(part: GraphPart, plan: PlanBuilder, emit: (steps: readonly PendingStep[]) => void): void {
  new GraphLowering(part, plan, false).lower(emit)
}

class GraphLowering {
  readonly #part: GraphPart
  readonly #plan: PlanBuilder
  readonly #inBody: boolean
  readonly #groups: Groups
  readonly #places: Places

  constructor(part: GraphPart, plan: PlanBuilder, inBody: boolean) {
    this.#part = part
    this.#plan = plan
    this.#inBody = inBody
    this.#groups = groupNodes(part, (n) => plan.scalarSlot(n), inBody)
    this.#places = new Places(part, this.#groups, (bytes, what) => plan.temporary(bytes, what))
  }

  lower(emit: (steps: readonly PendingStep[]) => void): void {
    const lowered = new Set<KernelGroup>()
    this.#groups.groups.forEach((group, i) => {
      for (const sink of group.sinks) {
        if (lowered.has(group)) this.#places.renew(sink)
        this.#places.place(sink, i)
      }
      lowered.add(group)
      emit(this.#lowerGroup(group))
      for (const used of group.reads) this.#plan.touch(this.#places.of(used))
      for (const sink of group.sinks) this.#plan.touch(this.#places.of(sink))
    })
    for (const { node, from, to } of this.#places.moves()) {
      emit([this.#copy(node, from, to)])
      this.#plan.touch(from)
    }
  }

  #lowerGroup(group: KernelGroup): readonly PendingStep[] {
    switch (group.kind) {
      case 'nest':
        return group.nest ? [this.#nest(group.nest, group.sinks)] : []
      case 'boxes':
        return this.#boxes(group)
      case 'contract':
        return this.#contract(group)
      case 'join':
        return this.#join(group)
      case 'attention':
        return this.#attention(group)
      case 'loops':
        return lowerLoops(group.loops, this.#part.nodes, this.#inBody, {
          kernels: this.#plan.kernels,
          placeOf: (n) => this.#places.of(n),
          temporary: (bytes, what) => this.#plan.temporary(bytes, what),
          copy: (n, from, to) => this.#copy(n, from, to),
          findFixed: (nodes, given) => this.#plan.findFixed(nodes, given),
          lowerBody: (part) =>
            lowerBodyOnce(part, this.#plan, (body, plan, emit) => new GraphLowering(body, plan, true).lower(emit)),
        })
      case 'own':
        return this.#own(group.node)
    }
  }

  #join({ sinks, axis, copies }: JoinGroup): PendingLaunch[] {
    const [whole] = sinks as readonly [Node]
    return copies.flatMap(({ part, nest }) => {
      if (this.#groups.joined.has(part.node)) return []
      return [this.#bindPart(nest, part.node.shape, placeOfPart(this.#places.of(whole), whole, axis, part))]
    })
  }

  #boxes({ sinks, boxes }: BoxGroup): PendingLaunch[] {
    const [whole] = sinks as readonly [Node]
    const place = this.#places.of(whole)
    return boxes.map(({ shape, offset, nest }) =>
      this.#bindPart(nest, shape, { ...place, byteOffset: place.byteOffset + offset * sizeOf(whole.dtype) }),
    )
  }

  #own(node: OwnNode): readonly PendingStep[] {
    switch (node.op) {
      case 'scatter':
        return this.#scatter(node)
      case 'argsort':
        return [this.#indexStep(node, argsortStep(node))]
      case 'cumulate':
        return [this.#indexStep(node, cumulateStep(node))]
    }
  }

  #memory(node: Node): StepArgument<Location> {
    return { kind: 'memory', role: this.#places.of(node) }
  }

  #nest(nest: NestKernel, sinks: readonly Node[]): PendingLaunch {
    if (nest.siblings) this.#plan.addSiblings(nest.siblings)
    return this.#launch(
      nest,
      (a): StepArgument<Location> => {
        if (a.kind === 'source') return this.#memory(a.node)
        if (a.kind === 'sink') return this.#memory(sinks[a.index]!)
        return a
      },
      [sinks[0]!.shape],
    )
  }

  #contract({ contract, lhs, rhs, fused, sinks }: ContractGroup): PendingLaunch[] {
    const lowered = lowerContractOnce({
      spec: contract.attributes,
      dtype: contract.dtype,
      lhs,
      rhs,
      out: { shape: contract.shape, strides: contiguousStrides(contract.shape), offset: 0 },
      ...(fused ? { epilogue: fused.epilogue, outDType: fused.dtype } : {}),
      constant: { lhs: this.#plan.isFixed(lhs.base), rhs: this.#plan.isFixed(rhs.base) },
      inLoop: this.#inBody,
      capabilities: this.#plan.capabilities,
    })
    if (lowered.siblings) this.#plan.addSiblings(lowered.siblings)
    const temporaries = lowered.temporaries.map((t) =>
      this.#plan.temporary(t.bytes, () => `operand of ${describe(contract)}`),
    )
    const bind = (a: ContractArgument): StepArgument<Location> => {
      switch (a.kind) {
        case 'lhs':
          return this.#memory(lhs.base)
        case 'rhs':
          return this.#memory(rhs.base)
        case 'out':
          return this.#memory(sinks[0]!)
        case 'result':
          return this.#memory(sinks[a.number + 1]!)
        case 'operand':
          return this.#memory(fused!.operands[a.number]!)
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
    const shapes = [contract.shape, ...contract.sources.map((s) => s.shape)]
    return lowered.steps.map((step) => this.#launch(step, bind, shapes))
  }

  #attention({ node, lowered, sinks }: AttentionGroup): PendingLaunch[] {
    const wanted = new Map(sinks.map((o) => [o.op === 'output' ? o.attributes.index : -1, o]))
    const unwanted = new Map<number, Location>()
    const placeOf = (result: number): Location => {
      const output = wanted.get(result)
      if (output) return this.#places.of(output)
      let place = unwanted.get(result)
      if (!place) {
        const what = (): string => `result ${result} of ${node.op}, unused`
        unwanted.set(result, (place = this.#plan.temporary(bytesOf(node.attributes.results[result]!), what)))
      }
      return place
    }
    return lowered.lower(this.#plan.capabilities, wanted.has(1)).map((step) =>
      this.#launch(step, (a): StepArgument<Location> => {
        if (a.kind !== 'memory') return a
        return typeof a.role === 'number' ? { kind: 'memory', role: placeOf(a.role) } : this.#memory(a.role)
      }),
    )
  }

  #scatter(node: NodeOf<'scatter'>): PendingLaunch[] {
    if (numel(node.shape) === 0) return []
    const base = this.#copy(node.sources[0]!, null, this.#places.of(node))
    return numel(node.sources[2]!.shape) === 0 ? [base] : [base, this.#indexStep(node, scatterStep(node))]
  }

  #indexStep(node: Node, step: Step<IndexRole>): PendingLaunch {
    return this.#launch(step, (a): StepArgument<Location> =>
      a.kind === 'memory' ? this.#memory(a.role === 'out' ? node : node.sources[a.role]!) : a,
    )
  }

  /** A kernel that puts the value of a node at a place; `from` null: the value is where the plan has it, or is computed. */
  #copy(node: Node, from: Location | null, to: Location): PendingLaunch {
    const nest = copyNest(node, from !== null, this.#groups.surroundings)
    return this.#bindPart(nest, node.shape, to, (source) => (source === node ? from : null))
  }

  /** A kernel that writes part of a result, or a copy of it, to a place; `moved`: where a source is, if it is not where the plan has it. */
  #bindPart(
    nest: NestKernel,
    shape: Shape,
    to: Location,
    moved: (source: Node) => Location | null = () => null,
  ): PendingLaunch {
    const bind = (a: NestArgument): StepArgument<Location> => {
      if (a.kind === 'source') return { kind: 'memory', role: moved(a.node) ?? this.#places.of(a.node) }
      return a.kind === 'sink' ? { kind: 'memory', role: to } : a
    }
    return this.#launch(nest, bind, [shape])
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
    const kernel = this.#plan.kernelNumber(step.kernel)
    const made = { kernel, arguments: step.arguments.map(bind), extent, grain, scratchBytes, flops, bytes }
    return shapes ? { ...made, shapes } : made
  }
}
