/**
 * Building a loop nest depends on nothing but the nodes that are fused into it: layers repeat themselves within a program, and programs of
 * another batch share what has no batch in it. The last nests are kept, with nodes named by their place in a walk from the sinks.
 */
import { RecentMap } from '../common/recent-map.ts'
import type { Node } from '../graph/node.ts'
import { PartitionRequest } from './affine.ts'
import { MaterializeRequest, type Surroundings } from './expression.ts'
import { fusedNodes } from './fused-nodes.ts'
import { buildNest, type NestKernel } from './nest.ts'
import { withFreshKernels } from './nest-kernels.ts'
import type { NestArgument } from './nest-parameters.ts'

/** An argument with nodes named by their places in the walk: whoever kept a node would keep the program that it was recorded in. */
type KeptArgument =
  | Exclude<NestArgument, { readonly kind: 'source' | 'scalar' }>
  | { readonly kind: 'source'; readonly place: number }
  | { readonly kind: 'scalar'; readonly place: number }

/** A nest whose nodes are places in the walk, or the place of the node that must be in memory first, or where to cut. */
type Kept =
  | {
      readonly nest: Omit<NestKernel, 'arguments' | 'shifted'>
      readonly arguments: readonly KeptArgument[]
      readonly shifted: readonly number[]
    }
  | { readonly wanted: number }
  | { readonly cut: PartitionRequest }

let kept = new RecentMap<number, Kept>(4096)
const none: ReadonlySet<Node> = new Set()

/** Runs `body` without nests and kernels that are kept: what it builds must be the same. For tests. */
export function withFreshNests<T>(body: () => T): T {
  const before = kept
  kept = new RecentMap(4096)
  try {
    return withFreshKernels(body)
  } finally {
    kept = before
  }
}

/** As `buildNest`. */
export function buildNestOnce(
  sinks: readonly Node[],
  surroundings: Surroundings,
  strides?: readonly number[],
): NestKernel {
  const { hash, nodes } = fusedNodes(sinks, surroundings)
  if (strides) hash.addAll(strides)
  const known = kept.getOrMake(hash.toNumber(), () => build(sinks, surroundings, nodes, strides))
  if ('cut' in known) throw known.cut
  if ('wanted' in known) throw new MaterializeRequest(nodes[known.wanted]!)
  const bind = (a: KeptArgument): NestArgument => {
    if (a.kind === 'source') return { kind: 'source', node: nodes[a.place]! }
    return a.kind === 'scalar' ? { kind: 'scalar', slot: surroundings.scalarSlot(nodes[a.place]!) } : a
  }
  const { kernel, extent, grain, scratchBytes, flops, bytes, domain, siblings } = known.nest
  const given = known.arguments.map(bind)
  const shifted = known.shifted.length === 0 ? none : new Set(known.shifted.map((p) => nodes[p]!))
  const nest = { kernel, arguments: given, extent, grain, scratchBytes, flops, bytes, domain, shifted }
  return siblings ? { ...nest, siblings } : nest
}

function build(
  sinks: readonly Node[],
  surroundings: Surroundings,
  nodes: readonly Node[],
  strides: readonly number[] | undefined,
): Kept {
  const place = (node: Node): number => nodes.indexOf(node)
  try {
    const { arguments: given, shifted, ...nest } = buildNest(sinks, surroundings, strides)
    const scalars = nodes.filter((n) => n.op === 'scalar')
    const named = given.map((a): KeptArgument => {
      if (a.kind === 'source') return { kind: 'source', place: place(a.node) }
      if (a.kind !== 'scalar') return a
      return { kind: 'scalar', place: place(scalars.find((n) => surroundings.scalarSlot(n) === a.slot)!) }
    })
    return { nest, arguments: named, shifted: [...shifted].map(place) }
  } catch (request) {
    if (request instanceof PartitionRequest) return { cut: request }
    if (!(request instanceof MaterializeRequest)) throw request
    return { wanted: place(request.node) }
  }
}
