/** The nodes that are fused into one kernel, named by their places in a walk, so that what was made of others like them can be found again. */
import { Hash } from '../common/hash.ts'
import { newWalk, type Node } from '../graph/node.ts'
import { addDType, mixSignature } from '../schedule/signature.ts'
import type { Surroundings } from './expression.ts'

/** Nodes in the order of a walk from the sinks, and a hash that tells the whole from others. */
export interface FusedNodes {
  readonly hash: Hash
  readonly nodes: readonly Node[]
}

/** What `sinks` are computed of, down to what is read from memory. Until the next walk a node's place is its number in the list. */
export function fusedNodes(sinks: readonly Node[], surroundings: Surroundings): FusedNodes {
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
      addDType(hash, node.dtype)
      hash.add(node.shape.length)
      hash.addAll(node.shape)
      return
    }
    hash.add(-4)
    mixSignature(node, hash)
    hash.add(-6)
    for (const s of node.sources) visit(s, false)
  }
  hash.add(surroundings.isWhole === true ? 1 : 0)
  for (const s of sinks) {
    hash.add(surroundings.overwrites(s) ? -7 : -5)
    visit(s, true)
  }
  hash.add(nodes.length)
  return { hash, nodes }
}
