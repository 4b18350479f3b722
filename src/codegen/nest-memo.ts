/**
 * Building a loop nest depends on nothing but the nodes that are fused into it: layers repeat themselves within a program, and programs of
 * another batch share what has no batch in it. The last nests are kept, with nodes named by their place in a walk from the sinks.
 */
import { dtypes } from '../common/dtype.ts'
import { Hash } from '../common/hash.ts'
import { RecentMap } from '../common/recent-map.ts'
import { newWalk, type Node } from '../graph/node.ts'
import { addSignature } from '../schedule/signature.ts'
import { PartitionRequest } from './affine.ts'
import { MaterializeRequest, type Surroundings } from './expression.ts'
import { buildNest, type NestKernel } from './nest.ts'
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

const kept = new RecentMap<string, Kept>(4096)

/** As `buildNest`. */
export function buildNestOnce(
  sinks: readonly Node[],
  surroundings: Surroundings,
  strides?: readonly number[],
): NestKernel {
  const { key, nodes } = walk(sinks, surroundings)
  const place = strides ? `${key} ${strides.join()}` : key
  const known = kept.getOrMake(place, () => build(sinks, surroundings, nodes, strides))
  if ('cut' in known) throw known.cut
  if ('wanted' in known) throw new MaterializeRequest(nodes[known.wanted]!)
  const bind = (a: KeptArgument): NestArgument => {
    if (a.kind === 'source') return { kind: 'source', node: nodes[a.place]! }
    return a.kind === 'scalar' ? { kind: 'scalar', slot: surroundings.scalarSlot(nodes[a.place]!) } : a
  }
  return {
    ...known.nest,
    arguments: known.arguments.map(bind),
    shifted: new Set(known.shifted.map((p) => nodes[p]!)),
  }
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

/** The nodes that a nest computes or reads, in the order of a walk from the sinks, and a hash that tells the whole from others. */
function walk(sinks: readonly Node[], surroundings: Surroundings): { key: string; nodes: Node[] } {
  const mark = newWalk()
  const nodes: Node[] = []
  const hash = new Hash()
  const visit = (node: Node, isSink: boolean): void => {
    if (node.walk === mark) {
      hash.add(-2)
      hash.add(node.place)
      return
    }
    node.walk = mark
    node.place = nodes.push(node) - 1
    if (!isSink && !sinks.includes(node) && surroundings.isMaterialized(node)) {
      hash.add(-3)
      hash.add(dtypes.indexOf(node.dtype))
      hash.add(node.shape.length)
      hash.addAll(node.shape)
      return
    }
    hash.add(-4)
    addSignature(node, undefined, hash)
    hash.add(-6)
    for (const s of node.sources) visit(s, false)
  }
  hash.add(surroundings.isWhole === true ? 1 : 0)
  for (const s of sinks) {
    hash.add(surroundings.overwrites(s) ? -7 : -5)
    visit(s, true)
  }
  return { key: `${hash.toString()}-${nodes.length}`, nodes }
}
