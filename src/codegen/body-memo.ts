/**
 * Lowering the body of a loop depends on nothing but its nodes and on which of its inputs stay the same: sizes of a step of a recurrence are not those
 * that change from batch to batch (its length does), and directions and layers repeat themselves, so the last bodies are kept.
 */
import { InternalError } from '../common/errors.ts'
import { Hash } from '../common/hash.ts'
import { RecentMap } from '../common/recent-map.ts'
import { newWalk, type Node } from '../graph/node.ts'
import { addDType, mixSignature } from '../schedule/signature.ts'
import { capabilitiesNumber } from './capabilities.ts'
import type { Kernel } from './kernel.ts'
import type { PlanBuilder } from './lowering.ts'
import type { GraphPart, Location, PendingLaunch, PendingStep } from './pending.ts'

/**
 * Launches of a body whose locations are places: the slot is the number of what the body is given, behind these of a result, behind those of a
 * temporary. Kernels are numbers in the list here. Holds no nodes: whoever kept a node would keep the program that it was recorded in.
 */
interface KeptBody {
  readonly launches: readonly PendingLaunch[]
  readonly kernels: readonly Kernel[]
  readonly siblings: readonly Kernel[]
  readonly temporaries: readonly { readonly bytes: number; readonly what: string }[]
}

let kept = new RecentMap<number, KeptBody>(256)

/** Runs `body` without the bodies that are kept: what it lowers must be the same. For tests. */
export function withFreshBodies<T>(body: () => T): T {
  const before = kept
  kept = new RecentMap(256)
  try {
    return body()
  } finally {
    kept = before
  }
}

/** The steps of a body, which `lower` lowers for a plan. */
export function lowerBodyOnce(
  part: GraphPart,
  plan: PlanBuilder,
  lower: (part: GraphPart, plan: PlanBuilder, emit: (steps: readonly PendingStep[]) => void) => void,
): PendingStep[] {
  const key = keyOf(part, plan)
  if (key === null) {
    const steps: PendingStep[] = []
    lower(part, plan, (more) => steps.push(...more))
    return steps
  }
  const { launches, kernels, siblings, temporaries } = kept.getOrMake(key, () => record(part, plan, lower))
  if (siblings.length > 0) plan.addSiblings(siblings)
  const places = [
    ...part.given.values(),
    ...part.results.map((r) => r.place),
    ...temporaries.map(({ bytes, what }) => plan.temporary(bytes, () => what)),
  ]
  const placeOf = ({ slot, byteOffset }: Location): Location => {
    const place = places[slot]!
    return byteOffset === 0 ? place : { ...place, byteOffset: place.byteOffset + byteOffset }
  }
  const numbers = kernels.map((k) => plan.kernelNumber(k))
  return launches.map((l) => ({
    ...l,
    kernel: numbers[l.kernel]!,
    arguments: l.arguments.map((a) => (a.kind === 'memory' ? { kind: 'memory', role: placeOf(a.role) } : a)),
  }))
}

/** Tells bodies apart; null for one with leaves that are the program's. */
function keyOf({ nodes, given, results }: GraphPart, plan: PlanBuilder): number | null {
  const hash = new Hash()
  hash.add(capabilitiesNumber(plan.capabilities))
  const walk = newWalk()
  let place = 0
  for (const n of given.keys()) {
    n.walk = walk
    n.place = place++
    addDType(hash, n.dtype)
    hash.add(n.shape.length)
    hash.addAll(n.shape)
    hash.add(plan.isFixed(n) ? 1 : 0)
  }
  hash.add(-1)
  for (const n of nodes) {
    if (n.walk === walk) continue
    if (n.op === 'buffer' || n.op === 'scalar' || n.op === 'param') return null
    n.walk = walk
    n.place = place++
    mixSignature(n, hash)
    hash.add(plan.isFixed(n) ? 1 : 0)
    for (const s of n.sources) hash.add(s.place)
  }
  hash.add(-2)
  for (const { node } of results) hash.add(node.place)
  return hash.toNumber()
}

/** Lowers a body over places. */
function record(part: GraphPart, plan: PlanBuilder, lower: Parameters<typeof lowerBodyOnce>[2]): KeptBody {
  let slots = 0
  const place = (): Location => ({ space: 'temporary', slot: slots++, byteOffset: 0, step: 0 })
  const given = new Map<Node, Location>()
  for (const n of part.given.keys()) given.set(n, place())
  const results = part.results.map(({ node }) => ({ node, place: place(), overwrites: -1 }))
  const [kernels, siblings, launches] = [[] as Kernel[], [] as Kernel[], [] as PendingLaunch[]]
  const numbers = new Map<number, number>()
  const temporaries: { bytes: number; what: string }[] = []
  const recorder: PlanBuilder = {
    capabilities: plan.capabilities,
    kernels: plan.kernels,
    kernelNumber(kernel) {
      const number = plan.kernelNumber(kernel)
      if (!numbers.has(number)) numbers.set(number, kernels.push(kernel) - 1)
      return number
    },
    addSiblings: (more) => void siblings.push(...more),
    scalarSlot: (node) => plan.scalarSlot(node),
    findFixed: (nodes, fixed) => plan.findFixed(nodes, fixed),
    isFixed: (node) => plan.isFixed(node),
    temporary(bytes, what) {
      temporaries.push({ bytes, what: what() })
      return place()
    },
    touch: () => {},
  }
  lower({ nodes: part.nodes, given, results }, recorder, (steps) => {
    for (const s of steps) {
      if ('count' in s) throw new InternalError('a loop inside a loop')
      launches.push({ ...s, kernel: numbers.get(s.kernel)! })
    }
  })
  return { launches, kernels, siblings, temporaries }
}
