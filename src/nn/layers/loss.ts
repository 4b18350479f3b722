/** Losses as layers, as in paddle.nn.layer.loss. Each holds its options and calls the function of its name. */
import type { Tensor } from '../../tensor/tensor.ts'
import {
  crossEntropy,
  nllLoss,
  type CrossEntropyOptions,
  type NllLossOptions,
} from '../functional/loss/cross-entropy.ts'
import * as K from '../functional/loss/ranking.ts'
import type { ReductionOptions } from '../functional/loss/reduction.ts'
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

/** (x - y)^2, `paddle.nn.MSELoss`. */
export class MSELoss extends Loss<ReductionOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.mseLoss(input, label, this.options)
  }
}

/** |x - y|, `paddle.nn.L1Loss`. */
export class L1Loss extends Loss<ReductionOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.l1Loss(input, label, this.options)
  }
}

/** Huber's loss with `delta` (default 1), `paddle.nn.SmoothL1Loss`. */
export class SmoothL1Loss extends Loss<R.SmoothL1LossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.smoothL1Loss(input, label, this.options)
  }
}

/** Huber's loss with `delta` (default 1), `paddle.nn.HuberLoss`. */
export class HuberLoss extends Loss<R.SmoothL1LossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.huberLoss(input, label, this.options)
  }
}

/** Binary cross entropy of probabilities, `paddle.nn.BCELoss`. */
export class BCELoss extends Loss<R.WeightedLossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.binaryCrossEntropy(input, label, this.options)
  }
}

/** Binary cross entropy of logits, `paddle.nn.BCEWithLogitsLoss`. */
export class BCEWithLogitsLoss extends Loss<R.LogitsLossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.binaryCrossEntropyWithLogits(input, label, this.options)
  }
}

/** Kullback-Leibler divergence of log-probabilities from a distribution, `paddle.nn.KLDivLoss`. */
export class KLDivLoss extends Loss<R.KlDivOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.klDiv(input, label, this.options)
  }
}

/** Negative log-likelihood of counts, `paddle.nn.PoissonNLLLoss`. */
export class PoissonNLLLoss extends Loss<R.PoissonNllLossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return R.poissonNllLoss(input, label, this.options)
  }
}

/** log(1 + e^(-y x)) for labels of 1 or -1, `paddle.nn.SoftMarginLoss`. */
export class SoftMarginLoss extends Loss<ReductionOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return K.softMarginLoss(input, label, this.options)
  }
}

/** The hinge on distances, for labels of 1 or -1, `paddle.nn.HingeEmbeddingLoss`. */
export class HingeEmbeddingLoss extends Loss<K.MarginLossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return K.hingeEmbeddingLoss(input, label, this.options)
  }
}

/** Binary cross entropies of several labels, `paddle.nn.MultiLabelSoftMarginLoss`. */
export class MultiLabelSoftMarginLoss extends Loss<R.WeightedLossOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return K.multiLabelSoftMarginLoss(input, label, this.options)
  }
}

/** The hinge between the classes of a sample and all others, `paddle.nn.MultiLabelMarginLoss`. */
export class MultiLabelMarginLoss extends Loss<ReductionOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return K.multiLabelMarginLoss(input, label, this.options)
  }
}

/** The hinge on scores of other classes than the label, `paddle.nn.MultiMarginLoss`. */
export class MultiMarginLoss extends Loss<K.MultiMarginOptions> {
  forward(input: Tensor, label: Tensor): Tensor {
    return K.multiMarginLoss(input, label, this.options)
  }
}

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
