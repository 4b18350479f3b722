/** The dropout family as layers, as in paddle.nn.layer.common. Outside training they pass their input through. */
import type { Tensor } from '../../tensor/tensor.ts'
import * as F from '../functional/dropout.ts'
import type { DataFormat } from '../functional/geometry.ts'
import { Layer } from '../layer.ts'

/** What all of them hold: the probability of dropping. */
abstract class DropoutBase extends Layer {
  readonly p: number

  constructor(p = 0.5) {
    super()
    this.p = p
  }

  override extraRepr(): string {
    return `p=${this.p}`
  }
}

/** Sets elements to 0 with probability p (default 0.5), `paddle.nn.Dropout`. */
export class Dropout extends DropoutBase {
  protected readonly options: Pick<F.DropoutOptions, 'axis' | 'mode'>

  constructor(p = 0.5, options: Pick<F.DropoutOptions, 'axis' | 'mode'> = {}) {
    super(p)
    this.options = options
  }

  forward(x: Tensor): Tensor {
    return F.dropout(x, this.p, { ...this.options, training: this.training })
  }
}

/** Drops whole channels of [N, C, H, W], `paddle.nn.Dropout2D`. */
export class Dropout2D extends DropoutBase {
  readonly dataFormat: DataFormat

  constructor(p = 0.5, dataFormat: DataFormat = 'NCHW') {
    super(p)
    this.dataFormat = dataFormat
  }

  forward(x: Tensor): Tensor {
    return F.dropout2d(x, this.p, this)
  }
}

/** Drops whole channels of [N, C, D, H, W], `paddle.nn.Dropout3D`. */
export class Dropout3D extends DropoutBase {
  readonly dataFormat: DataFormat

  constructor(p = 0.5, dataFormat: DataFormat = 'NCDHW') {
    super(p)
    this.dataFormat = dataFormat
  }

  forward(x: Tensor): Tensor {
    return F.dropout3d(x, this.p, this)
  }
}

/** Dropout for networks of SELU, `paddle.nn.AlphaDropout`. */
export class AlphaDropout extends DropoutBase {
  forward(x: Tensor): Tensor {
    return F.alphaDropout(x, this.p, this.training)
  }
}

/** `AlphaDropout` of whole channels, `paddle.nn.FeatureAlphaDropout`. */
export class FeatureAlphaDropout extends DropoutBase {
  forward(x: Tensor): Tensor {
    return F.featureAlphaDropout(x, this.p, this.training)
  }
}
