/**
 * What is kept of a forward pass that is computed before its gradient is recorded: a loss that is printed before `backward()`. The plan that
 * computes the loss leaves in memory, besides, what the gradient would else have to compute all over again.
 */
import type { Node } from '../graph/node.ts'
import { opInfo } from '../graph/ops.ts'

/** Whether a value is dear enough to be kept: elementwise work and views are repeated by whoever needs them. */
function isDear(node: Node): boolean {
  switch (opInfo(node.op).group) {
    case 'contract':
    case 'reduce':
      return true
    case 'index':
      return node.op !== 'gather'
    case 'control':
      // A loop's residuals are results of their own, that only its gradient asks for: it runs again in any case.
      return node.op === 'output' && node.sources[0]!.op === 'custom'
    default:
      return false
  }
}

/**
 * Unrealised nodes behind `roots` whose values `backward` through the roots needs: contractions, reductions and results with a gradient of
 * their own, on the way to variables; and what these are computed from, up to the first such value. Nothing where no gradient is wanted, or
 * where `backward` has been through already. What is recomputed on purpose is not kept, only what it starts from.
 */
export function savedForGradient(roots: readonly Node[]): Node[] {
  const saved: Node[] = []
  const seen = new Set<Node>()
  const stack = roots.filter((r) => r.needsGrad && !r.released)
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    if (node.storage !== null || node.op === 'buffer') continue
    const dear = isDear(node)
    if (dear) saved.push(node)
    if (dear && !node.needsGrad) continue
    const from = node.op === 'custom' ? node.attributes.results : 0
    for (let i = from; i < node.sources.length; i++) stack.push(node.sources[i]!)
  }
  return saved
}
