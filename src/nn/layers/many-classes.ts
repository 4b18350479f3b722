/** Losses with weights of their own: HSigmoidLoss and AdaptiveLogSoftmaxWithLoss, as in paddle.nn.layer.loss. */
import { ArgumentError } from '../../common/errors.ts'
import { add } from '../../tensor/math.ts'
import { concat } from '../../tensor/manipulation.ts'
import { argmax } from '../../tensor/search.ts'
import { unsqueeze } from '../../tensor/shaping.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { adaptiveLogProbabilities, adaptiveLogSoftmaxWithLoss, hsigmoidLoss } from '../functional/loss/many-classes.ts'
import { Layer } from '../layer.ts'
import type { Parameter } from '../parameter.ts'
import { checkSizes, type WeightOptions } from './options.ts'

export interface HSigmoidLossOptions extends WeightOptions {
  /** A tree of one's own is given with each call; then there are `numClasses` inner nodes. Default false. */
  readonly isCustom?: boolean
  /** Accepted as in Paddle; gradients are dense. Default false. */
  readonly isSparse?: boolean
}

/** The loss of a tree of binary decisions, `paddle.nn.HSigmoidLoss`; see `hsigmoidLoss`. */
export class HSigmoidLoss extends Layer {
  readonly numClasses: number
  weight: Parameter
  bias: Parameter | null

  constructor(featureSize: number, numClasses: number, options: HSigmoidLossOptions = {}) {
    super()
    checkSizes('HSigmoidLoss', { featureSize, numClasses })
    const { isCustom = false, weightAttr, biasAttr } = options
    if (numClasses < 2 && !isCustom)
      throw new ArgumentError(`HSigmoidLoss: the complete tree needs at least 2 classes, got ${numClasses}`)
    this.numClasses = numClasses
    const nodes = isCustom ? numClasses : numClasses - 1
    this.weight = this.createParameter({ shape: [nodes, featureSize], attr: weightAttr })
    this.bias = this.createParameter({ shape: [nodes, 1], attr: biasAttr, isBias: true })
  }

  forward(input: Tensor, label: Tensor, pathTable: Tensor | null = null, pathCode: Tensor | null = null): Tensor {
    return hsigmoidLoss(input, label, this.numClasses, this.weight, { bias: this.bias, pathTable, pathCode })
  }
}

export interface AdaptiveLogSoftmaxOptions extends WeightOptions {
  /** Each cluster's inner size is this much smaller than that of the one before. Default 4. */
  readonly divValue?: number
  /** The head has a bias. Default false. */
  readonly headBias?: boolean
}

/**
 * Softmax over frequent classes and clusters of rare ones, `paddle.nn.AdaptiveLogSoftmaxWithLoss`; see `adaptiveLogSoftmaxWithLoss`. Classes are
 * numbered from frequent to rare; `cutoffs` are the first classes of the clusters. The weights of the clusters are parameters (Paddle forgets to
 * register them).
 */
export class AdaptiveLogSoftmaxWithLoss extends Layer {
  readonly inFeatures: number
  readonly nClasses: number
  /** Ends with the number of classes. */
  readonly cutoffs: readonly number[]
  head_weight: Parameter
  head_bias: Parameter | null
  readonly tailWeights: readonly (readonly [Parameter, Parameter])[]

  constructor(
    inFeatures: number,
    nClasses: number,
    cutoffs: readonly number[],
    options: AdaptiveLogSoftmaxOptions = {},
  ) {
    super()
    checkSizes('AdaptiveLogSoftmaxWithLoss', { inFeatures, nClasses })
    const { divValue = 4, headBias = false, weightAttr, biasAttr } = options
    const rises = cutoffs.every((c, i) => Number.isInteger(c) && c > (cutoffs[i - 1] ?? 0) && c < nClasses)
    if (cutoffs.length === 0 || !rises)
      throw new ArgumentError(
        `AdaptiveLogSoftmaxWithLoss: cutoffs must be integers that rise from 1 to at most ${nClasses - 1}, got [${cutoffs.join(', ')}]`,
      )
    this.inFeatures = inFeatures
    this.nClasses = nClasses
    this.cutoffs = [...cutoffs, nClasses]
    const head = cutoffs[0]! + cutoffs.length
    this.head_weight = this.createParameter({ shape: [inFeatures, head], attr: weightAttr })
    this.head_bias = headBias ? this.createParameter({ shape: [head], attr: biasAttr, isBias: true }) : null
    const parameter = (name: string, shape: readonly number[]): Parameter =>
      this.addParameter(name, this.createParameter({ shape, attr: weightAttr }))
    this.tailWeights = cutoffs.map((low, i) => {
      const inner = Math.floor(inFeatures / divValue ** (i + 1))
      const down = parameter(`tail_weights_${i}_0`, [inFeatures, inner])
      return [down, parameter(`tail_weights_${i}_1`, [inner, this.cutoffs[i + 1]! - low])]
    })
  }

  /** The log-probability of each label, [N], and the mean loss, for inputs [N, inFeatures] and labels [N]. */
  forward(input: Tensor, label: Tensor): [Tensor, Tensor] {
    const { head_weight, head_bias, tailWeights, cutoffs } = this
    return adaptiveLogSoftmaxWithLoss(input, label, head_weight, tailWeights, cutoffs, head_bias)
  }

  /** The log-probabilities of all classes, [N, nClasses]. */
  logProb(input: Tensor): Tensor {
    const { head_weight, head_bias, tailWeights, cutoffs } = this
    const [head, ...tails] = adaptiveLogProbabilities(input, head_weight, tailWeights, cutoffs, head_bias)
    const shortlist = cutoffs[0]!
    const parts = tails.map((tail, i) => add(tail, unsqueeze(head!.get(':', shortlist + i), 1)))
    return concat([head!.get(':', `:${shortlist}`), ...parts], 1)
  }

  /** The likeliest class of each input, [N] int64 (Paddle gives float32 where a frequent class is among them). */
  predict(input: Tensor): Tensor {
    return argmax(this.logProb(input), 1)
  }
}
