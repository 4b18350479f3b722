/**
 * Building a loop nest depends on nothing but the nodes that are fused into it: layers repeat themselves within a program, and programs of
 * another batch share what has no batch in it. The last nests are kept, with nodes named by their place in a walk from the sinks.
 */
import { dtypes } from '../common/dtype.ts'
import { Hash } from '../common/hash.ts'
import { RecentMap } from '../common/recent-map.ts'
import type { Node } from '../graph/node.ts'
import { addSignature, NumberList } from '../schedule/signature.ts'
import { PartitionRequest } from './affine.ts'
import { MaterializeRequest, type Surroundings } from './expression.ts'
import { buildNest, type NestKernel } from './nest.ts'
import type { NestArgument } from './nest-parameters.ts'

/** A nest whose sources and scalars are places in the walk, or the place of the node that must be in memory first, or where to cut. */
type Kept =
  | {
      readonly nest: NestKernel
      /** By argument: the place of a source or of a scalar; -1 for all others. */
      readonly places: readonly number[]
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
  const { nest, places, shifted } = known
  const bind = (a: NestArgument, i: number): NestArgument => {
    const node = nodes[places[i]!]
    if (node === undefined) return a
    return a.kind === 'source' ? { kind: 'source', node } : { kind: 'scalar', slot: surroundings.scalarSlot(node) }
  }
  return { ...nest, arguments: nest.arguments.map(bind), shifted: new Set(shifted.map((p) => nodes[p]!)) }
}

function build(
  sinks: readonly Node[],
  surroundings: Surroundings,
  nodes: readonly Node[],
  strides: readonly number[] | undefined,
): Kept {
  const place = (node: Node): number => nodes.indexOf(node)
  try {
    const nest = buildNest(sinks, surroundings, strides)
    const scalars = nodes.filter((n) => n.op === 'scalar')
    const places = nest.arguments.map((a) => {
      if (a.kind === 'source') return place(a.node)
      return a.kind === 'scalar' ? place(scalars.find((n) => surroundings.scalarSlot(n) === a.slot)!) : -1
    })
    return { nest, places, shifted: [...nest.shifted].map(place) }
  } catch (request) {
    if (request instanceof PartitionRequest) return { cut: request }
    if (!(request instanceof MaterializeRequest)) throw request
    return { wanted: place(request.node) }
  }
}

/** The nodes that a nest computes or reads, in the order of a walk from the sinks, and numbers that tell the whole from others. */
function walk(sinks: readonly Node[], surroundings: Surroundings): { key: string; nodes: Node[] } {
  const inside = new Set(sinks)
  const places = new Map<Node, number>()
  const nodes: Node[] = []
  const list = new NumberList()
  const { numbers } = list
  numbers.push(surroundings.isWhole === true ? 1 : 0)
  const visit = (node: Node): void => {
    const known = places.get(node)
    if (known !== undefined) {
      numbers.push(-2, known)
      return
    }
    places.set(node, nodes.push(node) - 1)
    const isSource = !inside.has(node) && surroundings.isMaterialized(node)
    if (isSource) {
      numbers.push(-3, dtypes.indexOf(node.dtype), node.shape.length, ...node.shape)
      return
    }
    numbers.push(-4)
    addSignature(node, undefined, list)
    numbers.push(-6)
    for (const s of node.sources) visit(s)
  }
  for (const s of sinks) {
    numbers.push(-5, surroundings.overwrites(s) ? 1 : 0)
    visit(s)
  }
  const hash = new Hash()
  hash.addAll(numbers)
  return { key: `${hash.toString()}-${numbers.length}`, nodes }
}
