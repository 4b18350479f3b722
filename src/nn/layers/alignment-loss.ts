/** Losses over alignments as layers: CTCLoss and RNNTLoss, as in paddle.nn.layer.loss. */
import type { Tensor } from '../../tensor/tensor.ts'
import { ctcLoss, type CTCLossOptions } from '../functional/loss/ctc.ts'
import { rnntLoss, type RNNTLossOptions } from '../functional/loss/rnnt.ts'
import { Layer } from '../layer.ts'

/** Connectionist temporal classification, `paddle.nn.CTCLoss`; see `ctcLoss`. */
export class CTCLoss extends Layer {
  readonly blank: number
  readonly reduction: NonNullable<CTCLossOptions['reduction']>
  readonly zeroInfinity: boolean

  constructor(options: Omit<CTCLossOptions, 'normByTimes'> = {}) {
    super()
    this.blank = options.blank ?? 0
    this.reduction = options.reduction ?? 'mean'
    this.zeroInfinity = options.zeroInfinity ?? false
  }

  /** Logits [T, B, C], labels [B, L], lengths [B]. */
  override forward(
    logProbs: Tensor,
    labels: Tensor,
    inputLengths: Tensor,
    labelLengths: Tensor,
    normByTimes = false,
  ): Tensor {
    const { blank, reduction, zeroInfinity } = this
    return ctcLoss(logProbs, labels, inputLengths, labelLengths, { blank, reduction, zeroInfinity, normByTimes })
  }
}

/** The transducer loss, `paddle.nn.RNNTLoss`; see `rnntLoss`. */
export class RNNTLoss extends Layer {
  readonly blank: number
  readonly fastemitLambda: number
  readonly reduction: NonNullable<RNNTLossOptions['reduction']>

  constructor(options: RNNTLossOptions = {}) {
    super()
    this.blank = options.blank ?? 0
    this.fastemitLambda = options.fastemitLambda ?? 0.001
    this.reduction = options.reduction ?? 'mean'
  }

  /** Log-probabilities [B, T, U + 1, D], labels [B, U], lengths [B]. */
  override forward(input: Tensor, label: Tensor, inputLengths: Tensor, labelLengths: Tensor): Tensor {
    const { blank, fastemitLambda, reduction } = this
    return rnntLoss(input, label, inputLengths, labelLengths, { blank, fastemitLambda, reduction })
  }
}
