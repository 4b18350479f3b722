/** Activations that draw random numbers while training. */
import type { Tensor } from '../../tensor/tensor.ts'
import { rrelu } from '../functional/random-activation.ts'
import { Layer } from '../layer.ts'

/** x where positive, else x times a slope drawn from [lower, upper), default [1/8, 1/3); their mean outside training, `paddle.nn.RReLU`. */
export class RReLU extends Layer {
  readonly lower: number
  readonly upper: number

  constructor(lower = 1 / 8, upper = 1 / 3) {
    super()
    this.lower = lower
    this.upper = upper
  }

  forward(x: Tensor): Tensor {
    return rrelu(x, this.lower, this.upper, this.training)
  }

  override extraRepr(): string {
    return `lower=${this.lower}, upper=${this.upper}`
  }
}
