/** Rearranging and resizing layers, as in paddle.nn.layer.vision and common. */
import type { Tensor } from '../../tensor/tensor.ts'
import type { DataFormat, Spatial } from '../functional/geometry.ts'
import { interpolate, type InterpolateOptions } from '../functional/interpolate.ts'
import * as F from '../functional/vision.ts'
import { Layer } from '../layer.ts'

/** [N, C * r^2, H, W] to [N, C, H * r, W * r], `paddle.nn.PixelShuffle`. */
export class PixelShuffle extends Layer {
  readonly upscaleFactor: number
  readonly dataFormat: DataFormat

  constructor(upscaleFactor: number, dataFormat: DataFormat = 'NCHW') {
    super()
    this.upscaleFactor = upscaleFactor
    this.dataFormat = dataFormat
  }

  forward(x: Tensor): Tensor {
    return F.pixelShuffle(x, this.upscaleFactor, this.dataFormat)
  }

  override extraRepr(): string {
    return `upscale_factor=${this.upscaleFactor}`
  }
}

/** [N, C, H * r, W * r] to [N, C * r^2, H, W], `paddle.nn.PixelUnshuffle`. */
export class PixelUnshuffle extends Layer {
  readonly downscaleFactor: number
  readonly dataFormat: DataFormat

  constructor(downscaleFactor: number, dataFormat: DataFormat = 'NCHW') {
    super()
    this.downscaleFactor = downscaleFactor
    this.dataFormat = dataFormat
  }

  forward(x: Tensor): Tensor {
    return F.pixelUnshuffle(x, this.downscaleFactor, this.dataFormat)
  }

  override extraRepr(): string {
    return `downscale_factor=${this.downscaleFactor}`
  }
}

/** Channels of groups dealt out in turn, `paddle.nn.ChannelShuffle`. */
export class ChannelShuffle extends Layer {
  readonly groups: number
  readonly dataFormat: DataFormat

  constructor(groups: number, dataFormat: DataFormat = 'NCHW') {
    super()
    this.groups = groups
    this.dataFormat = dataFormat
  }

  forward(x: Tensor): Tensor {
    return F.channelShuffle(x, this.groups, this.dataFormat)
  }

  override extraRepr(): string {
    return `groups=${this.groups}`
  }
}

/** Resizes the spatial axes, `paddle.nn.Upsample`; see `interpolate`. */
export class Upsample extends Layer {
  protected readonly options: InterpolateOptions

  constructor(options: InterpolateOptions) {
    super()
    this.options = options
  }

  forward(x: Tensor): Tensor {
    return interpolate(x, this.options)
  }

  override extraRepr(): string {
    const { size, scaleFactor, mode = 'nearest' } = this.options
    return `${size ? `size=${JSON.stringify(size)}` : `scale_factor=${JSON.stringify(scaleFactor)}`}, mode=${mode}`
  }
}

type Resize = Pick<InterpolateOptions, 'size' | 'scaleFactor' | 'dataFormat'>

/** Repeats the nearest element of [N, C, H, W], `paddle.nn.UpsamplingNearest2D`. */
export class UpsamplingNearest2D extends Upsample {
  constructor(options: Resize) {
    super({ ...options, mode: 'nearest' })
  }
}

/** Resizes [N, C, H, W] bilinearly, corners in place, `paddle.nn.UpsamplingBilinear2D`. */
export class UpsamplingBilinear2D extends Upsample {
  constructor(options: Resize) {
    super({ ...options, mode: 'bilinear', alignCorners: true })
  }
}

/** Sliding patches as columns, `paddle.nn.Unfold`. */
export class Unfold extends Layer {
  readonly kernelSizes: Spatial
  protected readonly options: F.UnfoldOptions

  constructor(kernelSizes: Spatial, options: F.UnfoldOptions = {}) {
    super()
    this.kernelSizes = kernelSizes
    this.options = options
  }

  forward(x: Tensor): Tensor {
    return F.unfold(x, this.kernelSizes, this.options)
  }
}

/** Patches added up where they overlap, `paddle.nn.Fold`. */
export class Fold extends Layer {
  readonly outputSizes: Spatial
  readonly kernelSizes: Spatial
  protected readonly options: F.UnfoldOptions

  constructor(outputSizes: Spatial, kernelSizes: Spatial, options: F.UnfoldOptions = {}) {
    super()
    this.outputSizes = outputSizes
    this.kernelSizes = kernelSizes
    this.options = options
  }

  forward(x: Tensor): Tensor {
    return F.fold(x, this.outputSizes, this.kernelSizes, this.options)
  }
}
