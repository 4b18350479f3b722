/** What is made of random draws alone: masks of dropouts, noise. It is drawn by kernels of its own, once, and read wherever it is used. */
import type { Node } from '../graph/node.ts'
import { opInfo } from '../graph/ops.ts'

const elementwiseGroups: ReadonlySet<string> = new Set(['unary', 'binary', 'ternary', 'cast'])

/** Whether an op combines the elements at one place. */
export function isElementwise(node: Node): boolean {
  return elementwiseGroups.has(opInfo(node.op).group)
}

/** One number everywhere, of the program or of the run. */
export function isUniform(node: Node): boolean {
  let n = node
  while (n.op === 'expand' || n.op === 'reshape' || n.op === 'permute') n = n.sources[0]!
  return n.op === 'constant' || n.op === 'scalar'
}

/** The last of the nodes that are made of draws and numbers only: what others should find in memory. `nodes`: sources first. */
export function drawnNodes(nodes: readonly Node[], isMaterialized: (n: Node) => boolean): Node[] {
  const drawn = new Set<Node>()
  const wanted = new Set<Node>()
  for (const n of nodes) {
    const isDrawn = (s: Node): boolean => drawn.has(s) && !isMaterialized(s)
    const isMadeOfDraws =
      isElementwise(n) && n.sources.some(isDrawn) && n.sources.every((s) => isDrawn(s) || isUniform(s))
    if (n.op === 'random' || isMadeOfDraws) drawn.add(n)
    else for (const s of n.sources) if (drawn.has(s)) wanted.add(s)
  }
  // What is a step away from something that is in memory need not be there as well.
  return [...wanted].filter((n) => n.op === 'random' || n.sources.some((s) => drawn.has(s) && !wanted.has(s)))
}
