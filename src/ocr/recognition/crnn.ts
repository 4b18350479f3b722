/**
 * CRNN, the text recogniser of Shi, Bai and Yao, "An end-to-end trainable neural network for image-based sequence recognition"
 * (arXiv:1507.05717): convolutions reduce a line to a sequence of columns, a bidirectional LSTM reads it, and CTC aligns it with the text.
 */
import * as nn from '../../nn/index.ts'
import { scale, squeeze, transpose } from '../../tensor/index.ts'
import type { Tensor } from '../../tensor/tensor.ts'

export interface CrnnOptions {
  /** Classes: the CTC blank (class 0) and the characters of the dictionary. */
  readonly classes: number
  /** Channels of the image: 1 for grey. Default 1. */
  readonly inChannels?: number
  /** Output channels of the six convolutions. Default the base recogniser's: [32, 64, 128, 128, 192, 256]. */
  readonly channels?: readonly [number, number, number, number, number, number]
  /** Hidden units of the LSTM in each direction. Default 128. */
  readonly hidden?: number
}

/** Convolution without bias, batch norm, ReLU. */
class ConvNorm extends nn.Layer {
  conv: nn.Conv2D
  norm: nn.BatchNorm2D

  constructor(inChannels: number, outChannels: number, kernelSize: number, padding: number) {
    super()
    this.conv = new nn.Conv2D(inChannels, outChannels, { kernelSize, padding, biasAttr: false })
    this.norm = new nn.BatchNorm2D(outChannels)
  }

  forward(x: Tensor): Tensor {
    return nn.functional.relu(this.norm(this.conv(x)))
  }
}

/** Columns of features a line of `width` pixels becomes. */
export function timeSteps(width: number): number {
  return Math.floor(Math.floor(width / 2) / 2) - 1
}

/** Reads images [N, inChannels, 32, W] of values around 0 as logits [T, N, classes] with T = W / 4 - 1. */
export class CRNN extends nn.Layer {
  readonly options: Required<CrnnOptions>
  conv1: ConvNorm
  conv2: ConvNorm
  conv3: ConvNorm
  conv4: ConvNorm
  conv5: ConvNorm
  conv6: ConvNorm
  rnn: nn.LSTM
  head: nn.Linear

  constructor(options: CrnnOptions) {
    super()
    const { classes, inChannels = 1, channels = [32, 64, 128, 128, 192, 256], hidden = 128 } = options
    this.options = { classes, inChannels, channels, hidden }
    this.conv1 = new ConvNorm(inChannels, channels[0], 3, 1)
    this.conv2 = new ConvNorm(channels[0], channels[1], 3, 1)
    this.conv3 = new ConvNorm(channels[1], channels[2], 3, 1)
    this.conv4 = new ConvNorm(channels[2], channels[3], 3, 1)
    this.conv5 = new ConvNorm(channels[3], channels[4], 3, 1)
    this.conv6 = new ConvNorm(channels[4], channels[5], 2, 0)
    this.rnn = new nn.LSTM(channels[5], hidden, { direction: 'bidirect', timeMajor: true })
    this.head = new nn.Linear(2 * hidden, classes)
  }

  forward(x: Tensor): Tensor {
    const { maxPool2d } = nn.functional
    let y = maxPool2d(this.conv1(x), 2, { stride: 2 })
    y = maxPool2d(this.conv2(y), 2, { stride: 2 })
    y = maxPool2d(this.conv4(this.conv3(y)), [2, 1], { stride: [2, 1] })
    y = maxPool2d(this.conv5(y), [2, 1], { stride: [2, 1] })
    const columns = transpose(squeeze(this.conv6(y), 2), [2, 0, 1])
    return this.head(this.rnn(columns)[0])
  }
}

/** Bytes of an image as the network takes them: (x / 255 - 0.5) / 0.5. */
export function normalizeImages(images: Tensor): Tensor {
  return scale(images.astype('float32'), 1 / 127.5, { bias: -1 })
}
