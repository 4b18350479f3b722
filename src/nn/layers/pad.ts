/** Padding layers, as in paddle.nn.layer.common. */
import type { Tensor } from '../../tensor/tensor.ts'
import { pad, type PadMode, type PadOptions } from '../functional/pad.ts'
import { Layer } from '../layer.ts'

type Padding = number | readonly number[]
type LayoutOptions = Pick<PadOptions, 'dataFormat'>

/** What the padding layers hold; `pairs` is the number of axes that a single number pads. */
abstract class PadBase extends Layer {
  readonly padding: readonly number[]
  protected readonly options: PadOptions

  protected constructor(pairs: number, padding: Padding, options: PadOptions) {
    super()
    this.padding = typeof padding === 'number' ? new Array<number>(2 * pairs).fill(padding) : padding
    this.options = options
  }

  forward(x: Tensor): Tensor {
    return pad(x, this.padding, this.options)
  }

  override extraRepr(): string {
    const { mode = 'constant', value = 0 } = this.options
    return `padding=[${this.padding.join(', ')}], mode=${mode}${mode === 'constant' ? `, value=${value}` : ''}`
  }
}

/** A layer that pads as its options say. */
function anyPad(pairs: number): new (padding: Padding, options?: PadOptions) => PadBase {
  return class extends PadBase {
    constructor(padding: Padding, options: PadOptions = {}) {
      super(pairs, padding, options)
    }
  }
}

/** A layer that pads in one way. */
function modePad(pairs: number, mode: PadMode): new (padding: Padding, options?: LayoutOptions) => PadBase {
  return class extends PadBase {
    constructor(padding: Padding, options: LayoutOptions = {}) {
      super(pairs, padding, { ...options, mode })
    }
  }
}

/** A layer that pads with a number. */
function constantPad(pairs: number): new (padding: Padding, value: number, options?: LayoutOptions) => PadBase {
  return class extends PadBase {
    constructor(padding: Padding, value: number, options: LayoutOptions = {}) {
      super(pairs, padding, { ...options, mode: 'constant', value })
    }
  }
}

/** Pads [N, C, L]: `[left, right]` or one number, `paddle.nn.Pad1D`. */
export class Pad1D extends anyPad(1) {}

/** Pads [N, C, H, W]: `[left, right, top, bottom]` or one number, `paddle.nn.Pad2D`. */
export class Pad2D extends anyPad(2) {}

/** Pads [N, C, D, H, W]: `[left, right, top, bottom, front, back]` or one number, `paddle.nn.Pad3D`. */
export class Pad3D extends anyPad(3) {}

/** Pads [N, C, L] with a number, `paddle.nn.ConstantPad1D`. */
export class ConstantPad1D extends constantPad(1) {}

/** Pads [N, C, H, W] with a number, `paddle.nn.ConstantPad2D`. */
export class ConstantPad2D extends constantPad(2) {}

/** Pads [N, C, D, H, W] with a number, `paddle.nn.ConstantPad3D`. */
export class ConstantPad3D extends constantPad(3) {}

/** Pads [N, C, L] with zeros, `paddle.nn.ZeroPad1D`. */
export class ZeroPad1D extends modePad(1, 'constant') {}

/** Pads [N, C, H, W] with zeros, `paddle.nn.ZeroPad2D`. */
export class ZeroPad2D extends modePad(2, 'constant') {}

/** Pads [N, C, D, H, W] with zeros, `paddle.nn.ZeroPad3D`. */
export class ZeroPad3D extends modePad(3, 'constant') {}

/** Pads [N, C, L] with what stands at the other end, `paddle.nn.CircularPad1D`. */
export class CircularPad1D extends modePad(1, 'circular') {}

/** Pads [N, C, H, W] with what stands at the other end, `paddle.nn.CircularPad2D`. */
export class CircularPad2D extends modePad(2, 'circular') {}

/** Pads [N, C, D, H, W] with what stands at the other end, `paddle.nn.CircularPad3D`. */
export class CircularPad3D extends modePad(3, 'circular') {}

/** Pads [N, C, L] with its mirror image, the edge left out, `paddle.nn.ReflectionPad1D`. */
export class ReflectionPad1D extends modePad(1, 'reflect') {}

/** Pads [N, C, H, W] with its mirror image, the edge left out, `paddle.nn.ReflectionPad2D`. */
export class ReflectionPad2D extends modePad(2, 'reflect') {}

/** Pads [N, C, D, H, W] with its mirror image, the edge left out, `paddle.nn.ReflectionPad3D`. */
export class ReflectionPad3D extends modePad(3, 'reflect') {}

/** Pads [N, C, L] with its edge, `paddle.nn.ReplicationPad1D`. */
export class ReplicationPad1D extends modePad(1, 'replicate') {}

/** Pads [N, C, H, W] with its edge, `paddle.nn.ReplicationPad2D`. */
export class ReplicationPad2D extends modePad(2, 'replicate') {}

/** Pads [N, C, D, H, W] with its edge, `paddle.nn.ReplicationPad3D`. */
export class ReplicationPad3D extends modePad(3, 'replicate') {}
