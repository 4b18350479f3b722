/** Pooling layers, as in paddle.nn.layer.pooling. */
import type { Tensor } from '../../tensor/tensor.ts'
import * as F from '../functional/adaptive-pooling.ts'
import type { Spatial } from '../functional/geometry.ts'
import * as W from '../functional/pooling.ts'
import { Layer } from '../layer.ts'
import { kernelAndOptions, type WithKernel } from './options.ts'

/** The kernel size stands first, or among the options. */
type KernelFirst<O> = Spatial | WithKernel<O>

const shown = (v: unknown): string => (typeof v === 'number' ? String(v) : JSON.stringify(v ?? null))

/** What layers with a window hold. */
abstract class WindowPool<O extends W.PoolOptions> extends Layer {
  readonly kernelSize: Spatial
  protected readonly options: O

  /** `(2)`, `(2, { stride: 1 })` or `({ kernelSize: 2, stride: 1 })`. */
  constructor(kernelSize: KernelFirst<O>, rest?: O) {
    super()
    const read = kernelAndOptions<O>(this.constructor.name, kernelSize, rest)
    this.kernelSize = read.kernelSize
    this.options = read.options
  }

  override extraRepr(): string {
    const { stride, padding = 0 } = this.options
    return `kernel_size=${shown(this.kernelSize)}, stride=${shown(stride ?? this.kernelSize)}, padding=${shown(padding)}`
  }
}

/** Maximum over windows of [N, C, L], `paddle.nn.MaxPool1D`. */
export class MaxPool1D<O extends W.MaxPoolOptions = W.MaxPoolOptions> extends WindowPool<O> {
  forward(x: Tensor): W.Pooled<O> {
    return W.maxPool1d(x, this.kernelSize, this.options)
  }
}

/**
 * Maximum over windows of [N, C, H, W], `paddle.nn.MaxPool2D`; with `returnMask: true` also where they stand.
 * @example new nn.MaxPool2D({ kernelSize: 2, stride: 2 }); new nn.MaxPool2D(3, { stride: 2, padding: 1 })
 */
export class MaxPool2D<O extends W.MaxPoolOptions = W.MaxPoolOptions> extends WindowPool<O> {
  forward(x: Tensor): W.Pooled<O> {
    return W.maxPool2d(x, this.kernelSize, this.options)
  }
}

/** Maximum over windows of [N, C, D, H, W], `paddle.nn.MaxPool3D`. */
export class MaxPool3D<O extends W.MaxPoolOptions = W.MaxPoolOptions> extends WindowPool<O> {
  forward(x: Tensor): W.Pooled<O> {
    return W.maxPool3d(x, this.kernelSize, this.options)
  }
}

/** Average over windows of [N, C, L], `paddle.nn.AvgPool1D`. */
export class AvgPool1D extends WindowPool<W.AvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return W.avgPool1d(x, this.kernelSize, this.options)
  }
}

/** Average over windows of [N, C, H, W], without the padding unless `exclusive` is false, `paddle.nn.AvgPool2D`. */
export class AvgPool2D extends WindowPool<W.AvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return W.avgPool2d(x, this.kernelSize, this.options)
  }
}

/** Average over windows of [N, C, D, H, W], `paddle.nn.AvgPool3D`. */
export class AvgPool3D extends WindowPool<W.AvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return W.avgPool3d(x, this.kernelSize, this.options)
  }
}

/** (sum of x^p)^(1/p) over windows of [N, C, L], `paddle.nn.LPPool1D`. */
export class LPPool1D extends WindowPool<W.PoolOptions> {
  readonly normType: number

  constructor(normType: number, kernelSize: KernelFirst<W.PoolOptions>, options?: W.PoolOptions) {
    super(kernelSize, options)
    this.normType = normType
  }

  forward(x: Tensor): Tensor {
    return W.lpPool1d(x, this.normType, this.kernelSize, this.options)
  }
}

/** (sum of x^p)^(1/p) over windows of [N, C, H, W], `paddle.nn.LPPool2D`. */
export class LPPool2D extends WindowPool<W.PoolOptions> {
  readonly normType: number

  constructor(normType: number, kernelSize: KernelFirst<W.PoolOptions>, options?: W.PoolOptions) {
    super(kernelSize, options)
    this.normType = normType
  }

  forward(x: Tensor): Tensor {
    return W.lpPool2d(x, this.normType, this.kernelSize, this.options)
  }
}

/** What layers hold that are told the size of their output. */
abstract class AdaptivePool<O extends object> extends Layer {
  readonly outputSize: F.AdaptiveSize
  protected readonly options: O

  /** A number, one an axis, or null for axes that keep their size. */
  constructor(outputSize: F.AdaptiveSize, options: O = {} as O) {
    super()
    this.outputSize = outputSize
    this.options = options
  }

  override extraRepr(): string {
    return `output_size=${shown(this.outputSize)}`
  }
}

/** Average of [N, C, L] over windows that make `outputSize` elements, `paddle.nn.AdaptiveAvgPool1D`. */
export class AdaptiveAvgPool1D extends AdaptivePool<Record<never, never>> {
  forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool1d(x, this.outputSize)
  }
}

/** Average of [N, C, H, W] over windows that make an output of the given size, `paddle.nn.AdaptiveAvgPool2D`. */
export class AdaptiveAvgPool2D extends AdaptivePool<F.AdaptiveAvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool2d(x, this.outputSize, this.options)
  }
}

/** Average of [N, C, D, H, W] over windows that make an output of the given size, `paddle.nn.AdaptiveAvgPool3D`. */
export class AdaptiveAvgPool3D extends AdaptivePool<F.AdaptiveAvgPoolOptions> {
  forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool3d(x, this.outputSize, this.options)
  }
}

/** Maximum of [N, C, L] over windows that make `outputSize` elements, `paddle.nn.AdaptiveMaxPool1D`. */
export class AdaptiveMaxPool1D<O extends F.AdaptiveMaxPoolOptions = F.AdaptiveMaxPoolOptions> extends AdaptivePool<O> {
  forward(x: Tensor): W.Pooled<O> {
    return F.adaptiveMaxPool1d(x, this.outputSize, this.options)
  }
}

/** Maximum of [N, C, H, W] over windows that make an output of the given size, `paddle.nn.AdaptiveMaxPool2D`. */
export class AdaptiveMaxPool2D<O extends F.AdaptiveMaxPoolOptions = F.AdaptiveMaxPoolOptions> extends AdaptivePool<O> {
  forward(x: Tensor): W.Pooled<O> {
    return F.adaptiveMaxPool2d(x, this.outputSize, this.options)
  }
}

/** Maximum of [N, C, D, H, W] over windows that make an output of the given size, `paddle.nn.AdaptiveMaxPool3D`. */
export class AdaptiveMaxPool3D<O extends F.AdaptiveMaxPoolOptions = F.AdaptiveMaxPoolOptions> extends AdaptivePool<O> {
  forward(x: Tensor): W.Pooled<O> {
    return F.adaptiveMaxPool3d(x, this.outputSize, this.options)
  }
}

/** Puts back what `MaxPool1D` with `returnMask` took, `paddle.nn.MaxUnPool1D`. */
export class MaxUnPool1D extends WindowPool<F.UnpoolOptions> {
  forward(x: Tensor, indices: Tensor): Tensor {
    return F.maxUnpool1d(x, indices, this.kernelSize, this.options)
  }
}

/** Puts back what `MaxPool2D` with `returnMask` took, `paddle.nn.MaxUnPool2D`. */
export class MaxUnPool2D extends WindowPool<F.UnpoolOptions> {
  forward(x: Tensor, indices: Tensor): Tensor {
    return F.maxUnpool2d(x, indices, this.kernelSize, this.options)
  }
}

/** Puts back what `MaxPool3D` with `returnMask` took, `paddle.nn.MaxUnPool3D`. */
export class MaxUnPool3D extends WindowPool<F.UnpoolOptions> {
  forward(x: Tensor, indices: Tensor): Tensor {
    return F.maxUnpool3d(x, indices, this.kernelSize, this.options)
  }
}
