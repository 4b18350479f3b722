/** Convolution layers, as in paddle.nn.layer.conv. Weights start by Normal(0, sqrt(2 / (inChannels * kernel))), biases at 0. */
import { ArgumentError } from '../../common/errors.ts'
import { numel } from '../../common/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import * as F from '../functional/conv.ts'
import {
  channelsFirst,
  perAxis,
  resolvePadding,
  spatialAxes,
  type DataFormat,
  type Padding,
  type Spatial,
} from '../functional/geometry.ts'
import { padAxes, type PadMode } from '../functional/pad.ts'
import { Normal } from '../initializer/index.ts'
import { Layer } from '../layer.ts'
import type { Parameter } from '../parameter.ts'
import { checkSizes, kernelAndOptions, type WeightOptions, type WithKernel } from './options.ts'

interface BaseOptions extends WeightOptions {
  /** Default 1. */
  readonly stride?: Spatial
  /** Default 0; also pairs, `'SAME'` and `'VALID'`. */
  readonly padding?: Padding
  /** Default 1. */
  readonly dilation?: Spatial
  /** Default 1. */
  readonly groups?: number
  /** Default channels first. */
  readonly dataFormat?: DataFormat
}

export interface ConvLayerOptions extends BaseOptions {
  /** What stands in the padding. Default `'zeros'`. */
  readonly paddingMode?: 'zeros' | 'reflect' | 'replicate' | 'circular'
}

export interface ConvTransposeLayerOptions extends BaseOptions {
  /** Rows added at the end of the output. Default 0. */
  readonly outputPadding?: Spatial
}

/** What all convolution layers hold. */
abstract class ConvBase<O extends BaseOptions> extends Layer {
  /** How many axes the kernel moves along. */
  protected static readonly axes: number = 2
  readonly inChannels: number
  readonly outChannels: number
  readonly kernelSize: number[]
  readonly stride: number[]
  readonly dilation: number[]
  readonly groups: number
  protected readonly options: O
  weight: Parameter
  bias: Parameter | null

  protected constructor(
    n: number,
    transposed: boolean,
    inChannels: number,
    outChannels: number,
    kernel: Spatial | WithKernel<O>,
    rest: O | undefined,
  ) {
    super()
    const name = this.constructor.name
    const { kernelSize, options } = kernelAndOptions(name, kernel, rest)
    this.inChannels = inChannels
    this.outChannels = outChannels
    this.kernelSize = perAxis(kernelSize, n, name, 'kernelSize')
    this.stride = perAxis(options.stride ?? 1, n, name, 'stride')
    this.dilation = perAxis(options.dilation ?? 1, n, name, 'dilation')
    this.groups = options.groups ?? 1
    this.options = options
    checkSizes(name, { inChannels, outChannels, groups: this.groups })
    if (inChannels % this.groups !== 0 || outChannels % this.groups !== 0)
      throw new ArgumentError(
        `${name}: groups must divide the channels, got ${this.groups} groups for ${inChannels} and ${outChannels} channels`,
      )
    const channels = transposed ? [inChannels, outChannels / this.groups] : [outChannels, inChannels / this.groups]
    this.weight = this.createParameter({
      shape: [...channels, ...this.kernelSize],
      attr: options.weightAttr,
      ...(transposed
        ? {}
        : { defaultInitializer: new Normal({ std: Math.sqrt(2 / (numel(this.kernelSize) * inChannels)) }) }),
    })
    this.bias = this.createParameter({ shape: [outChannels], attr: options.biasAttr, isBias: true })
  }

  override extraRepr(): string {
    const { padding = 0, dataFormat } = this.options
    const parts = [`${this.inChannels}, ${this.outChannels}, kernel_size=[${this.kernelSize.join(', ')}]`]
    if (this.stride.some((s) => s !== 1)) parts.push(`stride=[${this.stride.join(', ')}]`)
    if (padding !== 0) parts.push(`padding=${JSON.stringify(padding)}`)
    if (this.dilation.some((d) => d !== 1)) parts.push(`dilation=[${this.dilation.join(', ')}]`)
    if (this.groups !== 1) parts.push(`groups=${this.groups}`)
    parts.push(`data_format=${dataFormat ?? ['NCL', 'NCHW', 'NCDHW'][this.kernelSize.length - 1]}`)
    return parts.join(', ')
  }
}

type Convolution = (x: Tensor, weight: Tensor, bias: Tensor | null, options: F.ConvOptions) => Tensor

/** A convolution whose padding may show the input again. */
abstract class ConvLayer extends ConvBase<ConvLayerOptions> {
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Spatial | WithKernel<ConvLayerOptions>,
    options?: ConvLayerOptions,
  ) {
    super(new.target.axes, false, inChannels, outChannels, kernelSize, options)
  }

  protected convolve(f: Convolution, x: Tensor): Tensor {
    const { paddingMode = 'zeros', padding = 0 } = this.options
    if (paddingMode === 'zeros') return f(x, this.weight, this.bias, this.options)
    const first = channelsFirst(this.options.dataFormat, this.constructor.name)
    const axes = spatialAxes(this.kernelSize.length, first)
    const sizes = axes.map((a) => x.shape[a] ?? 0)
    const { low, high } = resolvePadding(padding, sizes, this.kernelSize, this.stride, first, this.constructor.name)
    const onAxes = (amounts: number[]): number[] => x.shape.map((_, i) => amounts[axes.indexOf(i)] ?? 0)
    const mode: PadMode = paddingMode
    const padded = padAxes(x.node, { low: onAxes(low), high: onAxes(high) }, mode, 0, this.constructor.name)
    return f(new Tensor(padded), this.weight, this.bias, { ...this.options, padding: 0 })
  }
}

/** Convolution of [N, inChannels, L], `paddle.nn.Conv1D`. @example new nn.Conv1D(3, 8, 3, { padding: 1 }) */
export class Conv1D extends ConvLayer {
  protected static override readonly axes = 1

  forward(x: Tensor): Tensor {
    return this.convolve(F.conv1d, x)
  }
}

/**
 * Convolution of [N, inChannels, H, W], `paddle.nn.Conv2D`. The weight is [outChannels, inChannels / groups, kh, kw].
 * @example new nn.Conv2D(3, 32, { kernelSize: 3 }); new nn.Conv2D(3, 32, 3, { stride: 2, padding: 1 })
 */
export class Conv2D extends ConvLayer {
  forward(x: Tensor): Tensor {
    return this.convolve(F.conv2d, x)
  }
}

/** Convolution of [N, inChannels, D, H, W], `paddle.nn.Conv3D`. */
export class Conv3D extends ConvLayer {
  protected static override readonly axes = 3

  forward(x: Tensor): Tensor {
    return this.convolve(F.conv3d, x)
  }
}

/** A transposed convolution; `outputSize` in a call chooses among the sizes that the stride maps to the input's. */
abstract class ConvTransposeLayer extends ConvBase<ConvTransposeLayerOptions> {
  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Spatial | WithKernel<ConvTransposeLayerOptions>,
    options?: ConvTransposeLayerOptions,
  ) {
    super(new.target.axes, true, inChannels, outChannels, kernelSize, options)
  }

  protected sized(outputSize: Spatial | undefined): F.ConvTransposeOptions {
    return outputSize === undefined ? this.options : { ...this.options, outputPadding: 0, outputSize }
  }
}

/** Transposed convolution of [N, inChannels, L], `paddle.nn.Conv1DTranspose`. */
export class Conv1DTranspose extends ConvTransposeLayer {
  protected static override readonly axes = 1

  forward(x: Tensor, outputSize?: Spatial): Tensor {
    return F.conv1dTranspose(x, this.weight, this.bias, this.sized(outputSize))
  }
}

/** Transposed convolution of [N, inChannels, H, W], `paddle.nn.Conv2DTranspose`. The weight is [inChannels, outChannels / groups, kh, kw]. */
export class Conv2DTranspose extends ConvTransposeLayer {
  forward(x: Tensor, outputSize?: Spatial): Tensor {
    return F.conv2dTranspose(x, this.weight, this.bias, this.sized(outputSize))
  }
}

/** Transposed convolution of [N, inChannels, D, H, W], `paddle.nn.Conv3DTranspose`. */
export class Conv3DTranspose extends ConvTransposeLayer {
  protected static override readonly axes = 3

  forward(x: Tensor, outputSize?: Spatial): Tensor {
    return F.conv3dTranspose(x, this.weight, this.bias, this.sized(outputSize))
  }
}
