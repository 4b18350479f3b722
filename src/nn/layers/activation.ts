/** Activations as layers, as in paddle.nn.layer.activation. Each calls the function of its name. */
import type { DType } from '../../common/dtype.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import * as F from '../functional/activation.ts'
import { Constant } from '../initializer/index.ts'
import { Layer } from '../layer.ts'
import type { Parameter, ParamAttrLike } from '../parameter.ts'
import { checkSizes } from './options.ts'

/** max(x, 0), `paddle.nn.ReLU`. */
export class ReLU extends Layer {
  forward(x: Tensor): Tensor {
    return F.relu(x)
  }
}

/** min(max(x, 0), 6), `paddle.nn.ReLU6`. */
export class ReLU6 extends Layer {
  forward(x: Tensor): Tensor {
    return F.relu6(x)
  }
}

/** 1 / (1 + e^-x), `paddle.nn.Sigmoid`. */
export class Sigmoid extends Layer {
  forward(x: Tensor): Tensor {
    return F.sigmoid(x)
  }
}

/** log(sigmoid(x)), `paddle.nn.LogSigmoid`. */
export class LogSigmoid extends Layer {
  forward(x: Tensor): Tensor {
    return F.logSigmoid(x)
  }
}

/** The hyperbolic tangent, `paddle.nn.Tanh`. */
export class Tanh extends Layer {
  forward(x: Tensor): Tensor {
    return F.tanh(x)
  }
}

/** x - tanh(x), `paddle.nn.Tanhshrink`. */
export class Tanhshrink extends Layer {
  forward(x: Tensor): Tensor {
    return F.tanhshrink(x)
  }
}

/** x * sigmoid(x), `paddle.nn.Silu`. */
export class Silu extends Layer {
  forward(x: Tensor): Tensor {
    return F.silu(x)
  }
}

/** x * sigmoid(x), `paddle.nn.Swish`. */
export class Swish extends Layer {
  forward(x: Tensor): Tensor {
    return F.swish(x)
  }
}

/** x * tanh(softplus(x)), `paddle.nn.Mish`. */
export class Mish extends Layer {
  forward(x: Tensor): Tensor {
    return F.mish(x)
  }
}

/** x / (1 + |x|), `paddle.nn.Softsign`. */
export class Softsign extends Layer {
  forward(x: Tensor): Tensor {
    return F.softsign(x)
  }
}

/** x * min(max(x + 3, 0), 6) / 6, `paddle.nn.Hardswish`. */
export class Hardswish extends Layer {
  forward(x: Tensor): Tensor {
    return F.hardswish(x)
  }
}

/** min(max(x / 6 + 0.5, 0), 1), `paddle.nn.Hardsigmoid`. */
export class Hardsigmoid extends Layer {
  forward(x: Tensor): Tensor {
    return F.hardsigmoid(x)
  }
}

/** x * Phi(x), or its approximation by tanh (default false), `paddle.nn.GELU`. */
export class GELU extends Layer {
  readonly approximate: boolean

  constructor(approximate = false) {
    super()
    this.approximate = approximate
  }

  forward(x: Tensor): Tensor {
    return F.gelu(x, this.approximate)
  }
}

/** x where positive, else alpha (default 1) * (e^x - 1), `paddle.nn.ELU`. */
export class ELU extends Layer {
  readonly alpha: number

  constructor(alpha = 1) {
    super()
    this.alpha = alpha
  }

  forward(x: Tensor): Tensor {
    return F.elu(x, this.alpha)
  }

  override extraRepr(): string {
    return `alpha=${this.alpha}`
  }
}

/** max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0) with alpha 1 by default, `paddle.nn.CELU`. */
export class CELU extends Layer {
  readonly alpha: number

  constructor(alpha = 1) {
    super()
    this.alpha = alpha
  }

  forward(x: Tensor): Tensor {
    return F.celu(x, this.alpha)
  }

  override extraRepr(): string {
    return `alpha=${this.alpha}`
  }
}

/** The self-normalising unit of Klambauer et al. 2017, `paddle.nn.SELU`. */
export class SELU extends Layer {
  readonly scale: number | undefined
  readonly alpha: number | undefined

  constructor(scale?: number, alpha?: number) {
    super()
    this.scale = scale
    this.alpha = alpha
  }

  forward(x: Tensor): Tensor {
    return F.selu(x, this.scale, this.alpha)
  }
}

/** x where positive, else negativeSlope (default 0.01) * x, `paddle.nn.LeakyReLU`. */
export class LeakyReLU extends Layer {
  readonly negativeSlope: number

  constructor(negativeSlope = 0.01) {
    super()
    this.negativeSlope = negativeSlope
  }

  forward(x: Tensor): Tensor {
    return F.leakyRelu(x, this.negativeSlope)
  }

  override extraRepr(): string {
    return `negative_slope=${this.negativeSlope}`
  }
}

export interface PReLUOptions {
  /** What the slopes start at. Default 0.25. */
  readonly init?: number
  readonly weightAttr?: ParamAttrLike
  /** Default `'NCHW'`: one slope a channel of the second axis. */
  readonly dataFormat?: string
}

/** x where positive, else a trained slope times x: one slope, or one a channel, `paddle.nn.PReLU`. */
export class PReLU extends Layer {
  readonly dataFormat: string
  _weight: Parameter

  constructor(numParameters = 1, options: PReLUOptions = {}) {
    super()
    checkSizes('PReLU', { numParameters })
    this.dataFormat = options.dataFormat ?? 'NCHW'
    this._weight = this.createParameter({
      shape: [numParameters],
      attr: options.weightAttr,
      defaultInitializer: new Constant(options.init ?? 0.25),
    })
  }

  forward(x: Tensor): Tensor {
    return F.prelu(x, this._weight, this.dataFormat)
  }

  override extraRepr(): string {
    return `num_parameters=${this._weight.size}, data_format=${this.dataFormat}`
  }
}

/** x within [min, max], default [-1, 1], `paddle.nn.Hardtanh`. */
export class Hardtanh extends Layer {
  readonly min: number
  readonly max: number

  constructor(min = -1, max = 1) {
    super()
    this.min = min
    this.max = max
  }

  forward(x: Tensor): Tensor {
    return F.hardtanh(x, this.min, this.max)
  }

  override extraRepr(): string {
    return `min=${this.min}, max=${this.max}`
  }
}

/** x where |x| exceeds the threshold (default 0.5), else 0, `paddle.nn.Hardshrink`. */
export class Hardshrink extends Layer {
  readonly threshold: number

  constructor(threshold = 0.5) {
    super()
    this.threshold = threshold
  }

  forward(x: Tensor): Tensor {
    return F.hardshrink(x, this.threshold)
  }

  override extraRepr(): string {
    return `threshold=${this.threshold}`
  }
}

/** x moved towards 0 by the threshold (default 0.5), `paddle.nn.Softshrink`. */
export class Softshrink extends Layer {
  readonly threshold: number

  constructor(threshold = 0.5) {
    super()
    this.threshold = threshold
  }

  forward(x: Tensor): Tensor {
    return F.softshrink(x, this.threshold)
  }

  override extraRepr(): string {
    return `threshold=${this.threshold}`
  }
}

/** x where above the threshold (default 1), else `value` (default 0), `paddle.nn.ThresholdedReLU`. */
export class ThresholdedReLU extends Layer {
  readonly threshold: number
  readonly value: number

  constructor(threshold = 1, value = 0) {
    super()
    this.threshold = threshold
    this.value = value
  }

  forward(x: Tensor): Tensor {
    return F.thresholdedRelu(x, this.threshold, this.value)
  }

  override extraRepr(): string {
    return `threshold=${this.threshold}, value=${this.value}`
  }
}

/** log(1 + e^(beta * x)) / beta with beta 1 by default, `paddle.nn.Softplus`. */
export class Softplus extends Layer {
  readonly beta: number
  readonly threshold: number

  constructor(beta = 1, threshold = 20) {
    super()
    this.beta = beta
    this.threshold = threshold
  }

  forward(x: Tensor): Tensor {
    return F.softplus(x, this.beta, this.threshold)
  }

  override extraRepr(): string {
    return `beta=${this.beta}, threshold=${this.threshold}`
  }
}

/** The maximum over `groups` consecutive channels, `paddle.nn.Maxout`. */
export class Maxout extends Layer {
  readonly groups: number
  readonly axis: number

  constructor(groups: number, axis = 1) {
    super()
    this.groups = groups
    this.axis = axis
  }

  forward(x: Tensor): Tensor {
    return F.maxout(x, this.groups, this.axis)
  }

  override extraRepr(): string {
    return `groups=${this.groups}, axis=${this.axis}`
  }
}

/** The first half of an axis times the sigmoid of the second, `paddle.nn.GLU`. */
export class GLU extends Layer {
  readonly axis: number

  constructor(axis = -1) {
    super()
    this.axis = axis
  }

  forward(x: Tensor): Tensor {
    return F.glu(x, this.axis)
  }
}

/** e^x / sum(e^x) along an axis (default the last), `paddle.nn.Softmax`. */
export class Softmax extends Layer {
  readonly axis: number

  constructor(axis = -1) {
    super()
    this.axis = axis
  }

  forward(x: Tensor, dtype?: DType): Tensor {
    return F.softmax(x, this.axis, dtype)
  }

  override extraRepr(): string {
    return `axis=${this.axis}`
  }
}

/** The softmax over the channels of [N, C, H, W] or [C, H, W], `paddle.nn.Softmax2D`. */
export class Softmax2D extends Layer {
  forward(x: Tensor): Tensor {
    return F.softmax(x, -3)
  }
}

/** log(softmax(x)) along an axis (default the last), `paddle.nn.LogSoftmax`. */
export class LogSoftmax extends Layer {
  readonly axis: number

  constructor(axis = -1) {
    super()
    this.axis = axis
  }

  forward(x: Tensor): Tensor {
    return F.logSoftmax(x, this.axis)
  }

  override extraRepr(): string {
    return `axis=${this.axis}`
  }
}
