/** Losses as layers, as in paddle.nn.layer.loss. Each holds its options and calls the function of its name. */
import type { Tensor } from '../../tensor/tensor.ts'
import {
  crossEntropy,
  nllLoss,
  type CrossEntropyOptions,
  type NllLossOptions,
} from '../functional/loss/cross-entropy.ts'
import { Layer } from '../layer.ts'

/** A loss with options. */
abstract class Loss<O extends object> extends Layer {
  protected readonly options: O

  constructor(options: O = {} as O) {
    super()
    this.options = options
  }
}

/** Cross entropy of logits and labels, softmax included, `paddle.nn.CrossEntropyLoss`; see `crossEntropy`. */
export class CrossEntropyLoss extends Loss<CrossEntropyOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return crossEntropy(input, label, this.options)
  }
}

/** Negative log-likelihood of log-probabilities, `paddle.nn.NLLLoss`. */
export class NLLLoss extends Loss<NllLossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return nllLoss(input, label, this.options)
  }
}
