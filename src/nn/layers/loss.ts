/** Losses as layers, as in paddle.nn.layer.loss. Each holds its options and calls the function of its name. */
import type { Tensor } from '../../tensor/tensor.ts'
import { crossEntropy, nllLoss } from '../functional/loss/cross-entropy.ts'
import * as K from '../functional/loss/ranking.ts'
import * as R from '../functional/loss/regression.ts'
import { Layer } from '../layer.ts'

/** A loss with options. */
abstract class Loss<O extends object> extends Layer {
  protected readonly options: O

  constructor(options: O = {} as O) {
    super()
    this.options = options
  }
}

type PairFunction<O> = (input: Tensor, label: Tensor, options?: O) => Tensor

/** A loss of an input and a label. */
class PairLoss<O extends object> extends Loss<O> {
  readonly #f: PairFunction<O>

  constructor(f: PairFunction<O>, options?: O) {
    super(options)
    this.#f = f
  }

  forward(input: Tensor, label: Tensor): Tensor {
    return this.#f(input, label, this.options)
  }
}

/** The layer of a function of an input and a label. */
function pairLoss<O extends object>(f: PairFunction<O>): new (options?: O) => PairLoss<O> {
  return class extends PairLoss<O> {
    constructor(options?: O) {
      super(f, options)
    }
  }
}

/** Cross entropy of logits and labels, softmax included, `paddle.nn.CrossEntropyLoss`; see `crossEntropy`. */
export class CrossEntropyLoss extends pairLoss(crossEntropy) {}

/** Negative log-likelihood of log-probabilities, `paddle.nn.NLLLoss`. */
export class NLLLoss extends pairLoss(nllLoss) {}

/** (x - y)^2, `paddle.nn.MSELoss`. */
export class MSELoss extends pairLoss(R.mseLoss) {}

/** |x - y|, `paddle.nn.L1Loss`. */
export class L1Loss extends pairLoss(R.l1Loss) {}

/** Huber's loss with `delta` (default 1), `paddle.nn.SmoothL1Loss`. */
export class SmoothL1Loss extends pairLoss(R.smoothL1Loss) {}

/** Huber's loss with `delta` (default 1), `paddle.nn.HuberLoss`. */
export class HuberLoss extends pairLoss(R.huberLoss) {}

/** Binary cross entropy of probabilities, `paddle.nn.BCELoss`. */
export class BCELoss extends pairLoss(R.binaryCrossEntropy) {}

/** Binary cross entropy of logits, `paddle.nn.BCEWithLogitsLoss`. */
export class BCEWithLogitsLoss extends pairLoss(R.binaryCrossEntropyWithLogits) {}

/** Kullback-Leibler divergence of log-probabilities from a distribution, `paddle.nn.KLDivLoss`. */
export class KLDivLoss extends pairLoss(R.klDiv) {}

/** Negative log-likelihood of counts, `paddle.nn.PoissonNLLLoss`. */
export class PoissonNLLLoss extends pairLoss(R.poissonNllLoss) {}

/** log(1 + e^(-y x)) for labels of 1 or -1, `paddle.nn.SoftMarginLoss`. */
export class SoftMarginLoss extends pairLoss(K.softMarginLoss) {}

/** The hinge on distances, for labels of 1 or -1, `paddle.nn.HingeEmbeddingLoss`. */
export class HingeEmbeddingLoss extends pairLoss(K.hingeEmbeddingLoss) {}

/** Binary cross entropies of several labels, `paddle.nn.MultiLabelSoftMarginLoss`. */
export class MultiLabelSoftMarginLoss extends pairLoss(K.multiLabelSoftMarginLoss) {}

/** The hinge between the classes of a sample and all others, `paddle.nn.MultiLabelMarginLoss`. */
export class MultiLabelMarginLoss extends pairLoss(K.multiLabelMarginLoss) {}

/** The hinge on scores of other classes than the label, `paddle.nn.MultiMarginLoss`. */
export class MultiMarginLoss extends pairLoss(K.multiMarginLoss) {}

/** Negative log-likelihood under normal distributions, `paddle.nn.GaussianNLLLoss`. */
export class GaussianNLLLoss extends Loss<R.GaussianNllLossOptions> {
  forward(input: Tensor, label: Tensor, variance: Tensor): Tensor {
    return R.gaussianNllLoss(input, label, variance, this.options)
  }
}

/** max(0, -y (x - other) + margin), `paddle.nn.MarginRankingLoss`. */
export class MarginRankingLoss extends Loss<K.MarginLossOptions> {
  forward(input: Tensor, other: Tensor, label: Tensor): Tensor {
    return K.marginRankingLoss(input, other, label, this.options)
  }
}

/** Distance of directions, for labels of 1 or -1, `paddle.nn.CosineEmbeddingLoss`. */
export class CosineEmbeddingLoss extends Loss<K.MarginLossOptions> {
  forward(input1: Tensor, input2: Tensor, label: Tensor): Tensor {
    return K.cosineEmbeddingLoss(input1, input2, label, this.options)
  }
}

/** The triplet loss with the p-norm as distance, `paddle.nn.TripletMarginLoss`. */
export class TripletMarginLoss extends Loss<K.TripletMarginOptions> {
  forward(input: Tensor, positive: Tensor, negative: Tensor): Tensor {
    return K.tripletMarginLoss(input, positive, negative, this.options)
  }
}

/** The triplet loss with a distance of one's own, `paddle.nn.TripletMarginWithDistanceLoss`. */
export class TripletMarginWithDistanceLoss extends Loss<K.TripletDistanceOptions> {
  forward(input: Tensor, positive: Tensor, negative: Tensor): Tensor {
    return K.tripletMarginWithDistanceLoss(input, positive, negative, this.options)
  }
}
