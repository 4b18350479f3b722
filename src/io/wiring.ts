/**
 * Makes io deal in Tensors, as Paddle's does: DataLoader yields them, datasets may hold them, and `SubsetRandomSampler` and `randomSplit`
 * draw from the generator of `seed`. Importing this file does it; io by itself works without tensors, as in its workers.
 */
import { defaultGenerator } from '../tensor/generator.ts'
import { fromHost, Tensor } from '../tensor/tensor.ts'
import { setDefaultPermutationGenerator } from './generator.ts'
import { restoredGenerator, savedGenerator } from './generator-state.ts'
import { setTensorFactory } from './tensor-bridge.ts'

setTensorFactory(
  (array) => fromHost(array),
  (value) => (value instanceof Tensor ? value.hostArray() : undefined),
)
setDefaultPermutationGenerator({
  permutation: (n) => defaultGenerator().randperm(n),
  getState: () => savedGenerator(),
  setState: (state: unknown) => defaultGenerator().setState(restoredGenerator(state)),
})
