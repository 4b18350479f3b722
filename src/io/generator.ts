/** Where samplers take their randomness from when they are given no generator of their own. */
import { globalRandomState } from '../common/numpy-random.ts'
import type { RandomState } from '../common/numpy-random.ts'

/** What a permutation is drawn from. Its state must survive JSON, so that a sampler's position can be saved. RandomState is one. */
export interface PermutationGenerator {
  /** The integers 0 to n - 1 in random order. */
  permutation(n: number): ArrayLike<number>
  getState(): unknown
  setState(state: never): void
}

let shuffler: PermutationGenerator = globalRandomState

/** The generator behind `randperm`: Paddle draws `SubsetRandomSampler` and `randomSplit` from it. NumPy's global one until another is set. */
export function setDefaultPermutationGenerator(generator: PermutationGenerator): void {
  shuffler = generator
}

export function defaultPermutationGenerator(): PermutationGenerator {
  return shuffler
}

/** The generator that Paddle's RandomSampler draws from: NumPy's global one. */
export function defaultRandomState(): RandomState {
  return globalRandomState
}
