/**
 * Values that programs in low precision compute a second time instead of keeping them between: weights cast to it, and decisions of dropouts,
 * which the forward pass reads and then, much later, the backward pass. Making them reads nothing that would have to be kept, and takes 3 % of
 * a step of ERNIE-nano for a fifth of its memory; in float32, where memory is not what the precision was chosen for, they are kept.
 */
import type { Node } from '../graph/node.ts'
import type { KernelGroup } from './groups.ts'
import type { GraphPart } from './pending.ts'
import { bytesOf } from './places.ts'

/** Kernels between two readers of a value for it not to be kept meanwhile. */
const FAR = 24
/** Bytes of a value below which nothing is gained. */
const LEAST_BYTES = 2 ** 14

const isLow = ({ op, dtype }: Node): boolean =>
  (op === 'contract' || op === 'attention') && (dtype === 'bfloat16' || dtype === 'float16')

/** The groups of a graph, in order, with those of such values again in front of their late readers. */
export function repeatCheap(groups: readonly KernelGroup[], part: GraphPart): readonly KernelGroup[] {
  if (!part.nodes.some(isLow)) return groups
  const results = new Set(part.results.map((r) => r.node))
  const readers = new Map<Node, number[]>()
  groups.forEach((g, i) => {
    for (const r of new Set(g.reads)) {
      const list = readers.get(r)
      if (list) list.push(i)
      else readers.set(r, [i])
    }
  })
  const before = new Map<number, KernelGroup[]>()
  for (const group of groups) {
    const [sink] = group.sinks
    if (!sink || results.has(sink) || bytesOf(sink) < LEAST_BYTES || !isCheap(group, part)) continue
    const places = readers.get(sink) ?? []
    for (const [n, place] of places.entries()) {
      if (n === 0 || place - places[n - 1]! < FAR) continue
      before.set(place, [...(before.get(place) ?? []), group])
    }
  }
  return groups.flatMap((g, i) => [...(before.get(i) ?? []), g])
}

/** Whether a group makes one value of draws, or narrows one leaf. */
function isCheap(group: KernelGroup, part: GraphPart): boolean {
  if (group.kind !== 'nest' || !group.nest || group.sinks.length !== 1) return false
  if (group.reads.some((r) => part.given.get(r)?.space !== 'leaf')) return false
  const [sink] = group.sinks as readonly [Node]
  if (group.nest.domain === 'draws') return true
  return sink.op === 'cast' && group.reads.length === 1 && bytesOf(sink) < bytesOf(group.reads[0]!)
}
