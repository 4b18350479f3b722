/** Scans: the launches of the body, repeated. Sequences and stacks step through memory, carries stay in place. */
import { InternalError } from '../common/errors.ts'
import { numel } from '../common/shape.ts'
import { topologicalOrder, type Node, type NodeOf } from '../graph/node.ts'
import { tupleOutputs } from './groups.ts'
import { splitInvariant } from './invariant.ts'
import type { Kernel } from './kernel.ts'
import type { GraphPart, Location, PendingLaunch, PendingLoop, PendingStep, Result } from './pending.ts'
import { bytesOf, describe } from './places.ts'

/** What the graph around a loop gives to it. */
export interface AroundLoop {
  readonly kernels: readonly Kernel[]
  placeOf(node: Node): Location
  temporary(bytes: number, what: () => string): Location
  /** A kernel that copies the value of a node. */
  copy(node: Node, from: Location, to: Location): PendingLaunch
  /** Finds what stays the same from run to run in the body. */
  findFixed(nodes: readonly Node[], given: readonly Node[]): void
  lowerBody(part: GraphPart): readonly PendingStep[]
}

/** A loop, and what stands before and behind it. */
interface LoweredLoop {
  readonly before: readonly PendingLaunch[]
  readonly loop: PendingLoop
  readonly after: readonly PendingLaunch[]
}

/**
 * How much more work one of the loops that run beside each other may have than the others have on average. Threads that have finished theirs
 * wait for it.
 */
const mostUneven = 1.5

const workOf = ({ count, steps }: PendingLoop): number => count * steps.reduce((n, l) => n + l.flops + l.bytes, 0)

/** The steps of loops among `nodes` that need nothing of each other; `inBody`: whether they are the body of a loop already. */
export function lowerLoops(
  loops: readonly NodeOf<'scan'>[],
  nodes: readonly Node[],
  inBody: boolean,
  around: AroundLoop,
): PendingStep[] {
  const lowered = loops.map((loop) => lowerLoop(loop, nodes, inBody, around))
  const work = lowered.map(({ loop }) => workOf(loop))
  const isEven = Math.max(...work) * work.length <= mostUneven * work.reduce((a, b) => a + b, 0)
  return [
    ...lowered.flatMap((l) => l.before),
    ...lowered.map(({ loop }, i) => ({ ...loop, besideNext: isEven && i < lowered.length - 1 })),
    ...lowered.flatMap((l) => l.after),
  ]
}

function lowerLoop(loop: NodeOf<'scan'>, nodes: readonly Node[], inBody: boolean, around: AroundLoop): LoweredLoop {
  if (inBody) throw new InternalError('a loop inside a loop')
  const { body, carries, sequences, length, reverse } = loop.attributes
  const wanted = new Map<number, Node>()
  for (const o of tupleOutputs(nodes, loop)) if (o.op === 'output') wanted.set(o.attributes.index, o)
  const stepping = (place: Location, bytes: number): Location => ({
    ...place,
    byteOffset: place.byteOffset + (reverse ? (length - 1) * bytes : 0),
    step: reverse ? -bytes : bytes,
  })

  const given = new Map<Node, Location>()
  const state = body.params
    .slice(0, carries)
    .map((p) => around.temporary(bytesOf(p), () => `state of a loop, ${describe(p)}`))
  body.params.forEach((p, i) => {
    if (i < carries) given.set(p, state[i]!)
    else if (i < carries + sequences) given.set(p, stepping(around.placeOf(loop.sources[i]!), bytesOf(p)))
    else given.set(p, around.placeOf(loop.sources[i]!))
  })
  // Next carries are computed aside: other results of the step still read the old ones.
  const next = body.outputs
    .slice(0, carries)
    .map((o) => around.temporary(bytesOf(o), () => `next state of a loop, ${describe(o)}`))
  const results: Result[] = body.outputs.flatMap((node, i) => {
    if (i < carries) return [{ node, place: next[i]!, overwrites: -1 }]
    const stack = wanted.get(i)
    return stack ? [{ node, place: stepping(around.placeOf(stack), bytesOf(node)), overwrites: -1 }] : []
  })
  const inside = topologicalOrder(
    results.map((r) => r.node),
    (n) => given.has(n),
  )
  around.findFixed(inside, body.params.slice(carries + sequences))
  const launches: PendingLaunch[] = []
  for (const s of around.lowerBody({ nodes: inside, given, results })) {
    if ('count' in s) throw new InternalError('a loop inside a loop')
    launches.push(s)
  }
  body.outputs.slice(0, carries).forEach((o, i) => {
    if (numel(o.shape) > 0) launches.push(around.copy(o, next[i]!, state[i]!))
  })
  const before = loop.sources
    .slice(0, carries)
    .flatMap((s, i) => (numel(s.shape) > 0 ? [around.copy(s, around.placeOf(s), state[i]!)] : []))
  const after = [...wanted].flatMap(([i, node]) =>
    i < carries && numel(node.shape) > 0 ? [around.copy(node, state[i]!, around.placeOf(node))] : [],
  )
  const split = splitInvariant(launches, around.kernels)
  return {
    before: [...before, ...split.before],
    loop: { count: length, steps: split.inside, besideNext: false },
    after,
  }
}
