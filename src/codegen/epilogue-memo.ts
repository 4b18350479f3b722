/** An epilogue depends on nothing but the nodes that are fused into it and on which of them are stored: layers repeat themselves, so the last are kept. */
import { RecentMap } from '../common/recent-map.ts'
import type { Node, NodeOf } from '../graph/node.ts'
import { fuseEpilogue, type EpilogueNumber, type FusedContract } from './epilogue.ts'
import type { Surroundings } from './expression.ts'
import { fusedNodes } from './fused-nodes.ts'

/** With nodes named by their places in the walk: whoever kept a node would keep the program that it was recorded in. */
interface Kept {
  readonly fused: Omit<FusedContract, 'operands' | 'numbers'>
  readonly operands: readonly number[]
  readonly numbers: readonly (EpilogueNumber | { readonly kind: 'place'; readonly place: number })[]
}

const kept = new RecentMap<number, Kept | null>(2048)

/** As `fuseEpilogue`. */
export function fuseEpilogueOnce(
  contract: NodeOf<'contract'>,
  chain: readonly Node[],
  stored: readonly Node[],
  surroundings: Surroundings,
): FusedContract | null {
  const { hash, nodes } = fusedNodes(chain, surroundings)
  for (const n of chain) hash.add(surroundings.isMaterialized(n) ? 1 : 0)
  hash.add(nodes.indexOf(contract))
  hash.addAll(contract.shape)
  for (const n of stored) hash.add(nodes.indexOf(n))
  const known = kept.getOrMake(hash.toNumber(), () => {
    const fused = fuseEpilogue(contract, chain, stored, surroundings)
    return fused && named(fused, nodes, surroundings)
  })
  if (!known) return null
  return {
    ...known.fused,
    operands: known.operands.map((place) => nodes[place]!),
    numbers: known.numbers.map((n) =>
      n.kind === 'place' ? { kind: 'scalar', slot: surroundings.scalarSlot(nodes[n.place]!) } : n,
    ),
  }
}

function named(
  { operands, numbers, ...fused }: FusedContract,
  nodes: readonly Node[],
  surroundings: Surroundings,
): Kept {
  const placeOf = (slot: number): number =>
    nodes.findIndex((n) => n.op === 'scalar' && surroundings.scalarSlot(n) === slot)
  return {
    fused,
    operands: operands.map((o) => nodes.indexOf(o)),
    numbers: numbers.map((n) => (n.kind === 'scalar' ? { kind: 'place', place: placeOf(n.slot) } : n)),
  }
}
