/** What a loop nest computes, for people: `sub+exp+reduceSum -> float32[2]`. */
import { opTable } from '../graph/ops.ts'
import { topologicalOrder, type Node } from '../graph/node.ts'

/** More different ops than this make a title that nobody reads. */
const maxOps = 8

/**
 * The ops fused into a nest, each once, as they come; views and numbers cost nothing and are left out. Then dtype and rank of its results.
 * `isSource`: what the nest reads from memory.
 */
export function nestTitle(sinks: readonly Node[], isSource: (node: Node) => boolean): string {
  const nodes = topologicalOrder(sinks, isSource)
  const ops = new Set<string>()
  for (const n of nodes) {
    const { group } = opTable[n.op]
    if (!isSource(n) && group !== 'view' && (group !== 'leaf' || n.op === 'random')) ops.add(n.op)
  }
  const named = [...ops].slice(0, maxOps)
  if (ops.size > maxOps) named.push(`${ops.size - maxOps} more`)
  const results = sinks.map((s) => `${s.dtype}[${s.shape.length}]`)
  const distinct = [...new Set(results)].map((r) => {
    const count = results.filter((other) => other === r).length
    return count === 1 ? r : `${count} ${r}`
  })
  return `${named.join('+') || 'copy'} -> ${distinct.join(', ')}`
}
