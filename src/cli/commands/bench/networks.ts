/**
 * The networks of the reference workloads, written as a user would. bench/peers/ holds the same ones for PyTorch and PaddlePaddle: a change
 * here must be made there.
 */
import * as nn from '../../../nn/index.ts'
import {
  add,
  arange,
  flatten,
  getItem,
  mean,
  recompute,
  slice,
  squeeze,
  tanh,
  transpose,
  zerosLike,
} from '../../../tensor/index.ts'
import type { Tensor } from '../../../tensor/tensor.ts'

const { dropout, maxPool2d, relu } = nn.functional

/** Conv2D(3, 32, 3), ReLU, MaxPool2D(2, 2), Linear(32 * 15 * 15, 10) over images [N, 3, 32, 32]. */
export class SeedCNN extends nn.Layer {
  conv = new nn.Conv2D(3, 32, 3)
  fc = new nn.Linear(32 * 15 * 15, 10)

  forward(x: Tensor): Tensor {
    return this.fc(flatten(maxPool2d(relu(this.conv(x)), 2, { stride: 2 }), 1))
  }
}

/** Two 3x3 convolutions around a residual (He et al., arXiv:1512.03385, figure 5 left). */
class BasicBlock extends nn.Layer {
  conv1: nn.Conv2D
  norm1: nn.BatchNorm2D
  conv2: nn.Conv2D
  norm2: nn.BatchNorm2D
  down: nn.Sequential | null = null

  constructor(inChannels: number, outChannels: number, stride: number) {
    super()
    this.conv1 = new nn.Conv2D(inChannels, outChannels, 3, { stride, padding: 1, biasAttr: false })
    this.norm1 = new nn.BatchNorm2D(outChannels)
    this.conv2 = new nn.Conv2D(outChannels, outChannels, 3, { padding: 1, biasAttr: false })
    this.norm2 = new nn.BatchNorm2D(outChannels)
    if (stride !== 1 || inChannels !== outChannels) {
      const conv = new nn.Conv2D(inChannels, outChannels, 1, { stride, biasAttr: false })
      this.down = new nn.Sequential<readonly nn.Layer[]>(conv, new nn.BatchNorm2D(outChannels))
    }
  }

  forward(x: Tensor): Tensor {
    const y = this.norm2(this.conv2(relu(this.norm1(this.conv1(x)))))
    return relu(add(y, this.down ? this.down(x) : x))
  }
}

/** The blocks of ResNet-18: widths 64 to 512, two each. */
export function basicBlocks(): nn.Layer[] {
  return [64, 128, 256, 512].flatMap((width, i) => [
    new BasicBlock(i === 0 ? 64 : width / 2, width, i === 0 ? 1 : 2),
    new BasicBlock(width, width, 1),
  ])
}

/** ResNet-18 in its form for CIFAR images [N, 3, 32, 32]: a 3x3 stem without pooling, widths 64 to 512, two blocks each. */
export class ResNet18 extends nn.Layer {
  stem: nn.Sequential
  body: nn.Sequential
  fc: nn.Linear

  constructor(classes = 10) {
    super()
    const conv = new nn.Conv2D(3, 64, 3, { padding: 1, biasAttr: false })
    this.stem = new nn.Sequential<readonly nn.Layer[]>(conv, new nn.BatchNorm2D(64), new nn.ReLU())
    this.body = new nn.Sequential<readonly nn.Layer[]>(...basicBlocks())
    this.fc = new nn.Linear(512, classes)
  }

  forward(x: Tensor): Tensor {
    return this.fc(mean(this.body(this.stem(x)), [2, 3]))
  }
}

/** A convolution, batch norm if asked for, and ReLU. */
function convolve(inChannels: number, outChannels: number, kernelSize = 3, padding = 1, norm = false): nn.Layer[] {
  const conv = new nn.Conv2D(inChannels, outChannels, kernelSize, { padding })
  return [conv, ...(norm ? [new nn.BatchNorm2D(outChannels)] : []), new nn.ReLU()]
}

/** CRNN with the sizes of its paper (Shi et al., arXiv:1507.05717, table 1); images [N, 1, 32, W] become logits [W / 4 - 1, N, classes]. */
export class CRNN extends nn.Layer {
  cnn: nn.Sequential
  rnn = new nn.LSTM(512, 256, { numLayers: 2, direction: 'bidirect', timeMajor: true })
  fc: nn.Linear

  /** By default the classes of PP-OCR's Chinese recogniser: 6,623 characters, space and blank. */
  constructor(classes = 6625) {
    super()
    const square = (): nn.Layer => new nn.MaxPool2D(2, { stride: 2 })
    const tall = (): nn.Layer => new nn.MaxPool2D([2, 1], { stride: [2, 1] })
    this.cnn = new nn.Sequential<readonly nn.Layer[]>(
      ...convolve(1, 64),
      square(),
      ...convolve(64, 128),
      square(),
      ...convolve(128, 256),
      ...convolve(256, 256),
      tall(),
      ...convolve(256, 512, 3, 1, true),
      ...convolve(512, 512, 3, 1, true),
      tall(),
      ...convolve(512, 512, 2, 0),
    )
    this.fc = new nn.Linear(512, classes)
  }

  forward(x: Tensor): Tensor {
    const columns = transpose(squeeze(this.cnn(x), 2), [2, 0, 1])
    return this.fc(this.rnn(columns)[0])
  }
}

export interface EncoderSizes {
  readonly layers: number
  readonly hidden: number
  readonly heads: number
  readonly feedForward: number
  /** Default 40,000. */
  readonly vocabulary?: number
  /** Longest sequence. Default 512. */
  readonly positions?: number
  /** Default 2. */
  readonly classes?: number
  /** Whether the backward pass computes each encoder layer again from its input. Default false. */
  readonly recomputes?: boolean
}

/** Classifies token sequences [N, T] as BERT and ERNIE do: embeddings, post-norm encoder layers, tanh pooling of the first token. */
export class EncoderClassifier extends nn.Layer {
  word: nn.Embedding
  position: nn.Embedding
  segment: nn.Embedding
  norm: nn.LayerNorm
  encoder: nn.TransformerEncoder
  pool: nn.Linear
  fc: nn.Linear
  readonly recomputes: boolean

  constructor(sizes: EncoderSizes) {
    super()
    this.recomputes = sizes.recomputes ?? false
    const { layers, hidden, heads, feedForward, vocabulary = 40_000, positions = 512, classes = 2 } = sizes
    this.word = new nn.Embedding(vocabulary, hidden)
    this.position = new nn.Embedding(positions, hidden)
    this.segment = new nn.Embedding(4, hidden)
    this.norm = new nn.LayerNorm(hidden)
    const layer = new nn.TransformerEncoderLayer(hidden, heads, feedForward, { dropout: 0.1, activation: 'gelu' })
    this.encoder = new nn.TransformerEncoder(layer, layers)
    this.pool = new nn.Linear(hidden, hidden)
    this.fc = new nn.Linear(hidden, classes)
  }

  forward(ids: Tensor): Tensor {
    const places = this.position(arange(ids.shape[1]!))
    const embedded = this.norm(add(add(this.word(ids), places), this.segment(zerosLike(ids))))
    const dropped = dropout(embedded, 0.1, { training: this.training })
    const states = this.recomputes ? this.recomputed(dropped) : this.encoder(dropped)
    return this.fc(tanh(this.pool(getItem(states, slice(), 0))))
  }

  private recomputed(x: Tensor): Tensor {
    return [...this.encoder.layers].reduce((states, layer) => recompute((y: Tensor) => layer(y), states), x)
  }
}
