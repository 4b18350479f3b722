/** Networks of the inference benchmark that no file holds: they are written as a user would, and exported for every contestant. */
import * as nn from '../../../nn/index.ts'
import { concat, flatten, mean, reshape, squeeze, transpose } from '../../../tensor/index.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { basicBlocks } from './networks.ts'

const { avgPool2d, softmax } = nn.functional
type Layers = readonly nn.Layer[]
type Pair = [number, number]

/** ResNet-18 for images [N, 3, 224, 224] (He et al., arXiv:1512.03385, table 1). */
export class ResNet18ImageNet extends nn.Layer {
  stem: nn.Sequential
  body: nn.Sequential
  fc = new nn.Linear(512, 1000)

  constructor() {
    super()
    const conv = new nn.Conv2D(3, 64, 7, { stride: 2, padding: 3, biasAttr: false })
    const pool = new nn.MaxPool2D(3, { stride: 2, padding: 1 })
    this.stem = new nn.Sequential<Layers>(conv, new nn.BatchNorm2D(64), new nn.ReLU(), pool)
    this.body = new nn.Sequential<Layers>(...basicBlocks())
  }

  forward(x: Tensor): Tensor {
    return this.fc(mean(this.body(this.stem(x)), [2, 3]))
  }
}

/** A convolution, batch norm and hard swish, as in the blocks of PP-LCNet once their branches are folded. */
function convolve(inChannels: number, outChannels: number, kernel: number, stride: number | Pair, groups = 1): Layers {
  const padding = kernel >> 1
  const conv = new nn.Conv2D(inChannels, outChannels, kernel, { stride, padding, groups, biasAttr: false })
  return [conv, new nn.BatchNorm2D(outChannels), new nn.Hardswish()]
}

/** Squeeze and excitation (Hu et al., arXiv:1709.01507) with a hard sigmoid, reduction 4. */
class SqueezeExcitation extends nn.Layer {
  pool = new nn.AdaptiveAvgPool2D(1)
  gates: nn.Sequential

  constructor(channels: number) {
    super()
    const down = new nn.Conv2D(channels, channels >> 2, 1)
    const up = new nn.Conv2D(channels >> 2, channels, 1)
    this.gates = new nn.Sequential<Layers>(down, new nn.ReLU(), up, new nn.Hardsigmoid())
  }

  forward(x: Tensor): Tensor {
    return x.multiply(this.gates(this.pool(x)))
  }
}

/** Blocks of PP-LCNetV3's recogniser: window, output channels, stride, squeeze and excitation. */
const blocks: readonly (readonly [number, number, number | Pair, boolean])[] = [
  [3, 32, 1, false],
  [3, 64, 1, false],
  [3, 64, 1, false],
  [3, 128, [2, 1], false],
  [3, 128, 1, false],
  [5, 256, [1, 2], false],
  [5, 256, 1, false],
  [5, 256, 1, false],
  [5, 256, 1, false],
  [5, 256, 1, false],
  [5, 512, [2, 1], true],
  [5, 512, 1, true],
  [5, 512, [2, 1], false],
  [5, 512, 1, false],
]

/** Channels at the scale of PP-OCRv4's mobile recogniser, to whole multiples of 16. */
const scaled = (channels: number): number => Math.max(16, Math.floor((channels * 0.95) / 16 + 0.5) * 16)

/** Depthwise and pointwise convolutions over lines [N, 3, 48, W], to [N, 480, 1, W / 8]. */
class LineBackbone extends nn.Layer {
  body: nn.Sequential

  constructor() {
    super()
    let channels = scaled(16)
    const layers: nn.Layer[] = [...convolve(3, channels, 3, 2)]
    for (const [kernel, width, stride, isGated] of blocks) {
      layers.push(...convolve(channels, channels, kernel, stride, channels))
      if (isGated) layers.push(new SqueezeExcitation(channels))
      layers.push(...convolve(channels, scaled(width), 1, 1))
      channels = scaled(width)
    }
    this.body = new nn.Sequential<Layers>(...layers)
  }

  forward(x: Tensor): Tensor {
    return avgPool2d(this.body(x), [3, 2])
  }
}

/** The neck of SVTR_LCNet (Du et al., arXiv:2205.00159): two encoder layers of width 120 between convolutions, beside a shortcut. */
class MixingNeck extends nn.Layer {
  before: nn.Sequential
  encoder: nn.TransformerEncoder
  after: nn.Sequential
  merge: nn.Sequential

  constructor(channels: number, width = 120) {
    super()
    const conv = (inC: number, outC: number, kernel: Pair): Layers => {
      const padding: Pair = [kernel[0] >> 1, kernel[1] >> 1]
      const layer = new nn.Conv2D(inC, outC, kernel, { padding, biasAttr: false })
      return [layer, new nn.BatchNorm2D(outC), new nn.Swish()]
    }
    const narrow = channels >> 3
    this.before = new nn.Sequential<Layers>(...conv(channels, narrow, [1, 3]), ...conv(narrow, width, [1, 1]))
    const layer = new nn.TransformerEncoderLayer(width, 8, 2 * width, {
      dropout: 0,
      activation: 'gelu',
      normalizeBefore: true,
    })
    this.encoder = new nn.TransformerEncoder(layer, 2, new nn.LayerNorm(width))
    this.after = new nn.Sequential<Layers>(...conv(width, channels, [1, 1]))
    this.merge = new nn.Sequential<Layers>(...conv(2 * channels, narrow, [1, 3]), ...conv(narrow, width, [1, 1]))
  }

  forward(x: Tensor): Tensor {
    const narrow = this.before(x)
    const [batch, width, height, columns] = narrow.shape as [number, number, number, number]
    const mixed = this.encoder(transpose(flatten(narrow, 2), [0, 2, 1]))
    const image = reshape(transpose(mixed, [0, 2, 1]), [batch, width, height, columns])
    return this.merge(concat([x, this.after(image)], 1))
  }
}

/** A recogniser in the shape of PP-OCRv4's mobile one: lines [N, 3, 48, W] to probabilities [N, W / 8, 6625]. */
export class LineRecognizer extends nn.Layer {
  backbone = new LineBackbone()
  neck = new MixingNeck(scaled(512))
  fc = new nn.Linear(120, 6625)

  forward(x: Tensor): Tensor {
    const columns = transpose(squeeze(this.neck(this.backbone(x)), 2), [0, 2, 1])
    return softmax(this.fc(columns), -1)
  }
}
