/**
 * Checkpointing: values whose gradient computes them again. The gradient copies the part of the graph that leads from the inputs to the
 * results, over inputs behind barriers, and differentiates the copy. Being a copy of nodes it draws the same random numbers, writes nothing,
 * and runs none of the user's code a second time.
 */
import { barrier, custom, detach, substitute } from './build.ts'
import { differentiate } from './gradient.ts'
import { topologicalOrder, withGrad, type CustomGradient, type Node } from './node.ts'

/**
 * The same values as `results`, of which a backward pass keeps nothing that was recorded since `mark` (see recordingMark): only what
 * was there before.
 */
export function recomputed(results: readonly Node[], mark: number): Node[] {
  // Counters of random draws are inputs, too: else masks made of them would be shared, and kept.
  const isInput = (n: Node): boolean => n.id < mark || n.op === 'buffer' || n.op === 'scalar' || n.op === 'param'
  const inputs = topologicalOrder(results, isInput).filter(isInput)
  return custom(results, inputs, computeAgain)
}

const computeAgain: CustomGradient = (node, given) => {
  const { results } = node.attributes
  const inputs = node.sources.slice(results)
  const wanted = [...given.keys()]
  const seeds = [...given.values()]
  // Barriers and copies can be differentiated whether or not the gradient that is made of them will be.
  const again = withGrad(true, () => {
    const token = detach(seeds[0]!)
    return inputs.map((n) => barrier(n, token))
  })
  const copies = substitute(
    wanted.map((i) => node.sources[i]!),
    new Map(inputs.map((n, i) => [n, again[i]!])),
    true,
  )
  const gradients = differentiate(copies, seeds, again, { stop: true })
  return [...node.sources.slice(0, results).map(() => null), ...gradients]
}
