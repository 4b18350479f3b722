/** Linear maps and look-ups, as in paddle.nn.layer.common. */
import type { Tensor } from '../../tensor/tensor.ts'
import { linear } from '../functional/common.ts'
import { Layer } from '../layer.ts'
import type { Parameter } from '../parameter.ts'
import { checkSizes, type WeightOptions } from './options.ts'

/** x W + b: [.., inFeatures] to [.., outFeatures], `paddle.nn.Linear`. The weight is [inFeatures, outFeatures]. */
export class Linear extends Layer {
  readonly inFeatures: number
  readonly outFeatures: number
  weight: Parameter
  bias: Parameter | null

  constructor(inFeatures: number, outFeatures: number, options: WeightOptions = {}) {
    super()
    checkSizes('Linear', { inFeatures, outFeatures })
    this.inFeatures = inFeatures
    this.outFeatures = outFeatures
    this.weight = this.createParameter({ shape: [inFeatures, outFeatures], attr: options.weightAttr })
    this.bias = this.createParameter({ shape: [outFeatures], attr: options.biasAttr, isBias: true })
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias)
  }

  override extraRepr(): string {
    return `in_features=${this.inFeatures}, out_features=${this.outFeatures}, dtype=${this.weight.dtype}`
  }
}
