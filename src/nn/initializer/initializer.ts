/**
 * The initialisers of `paddle.nn.initializer`: small objects that say how a parameter starts, and make its values when a
 * layer is built. Names and defaults are Paddle's; the numbers come from fill.ts.
 */
import type { DType, HostArray } from '../../common/dtype.ts'
import { ArgumentError } from '../../common/errors.ts'
import type { Shape } from '../../common/shape.ts'
import type { Generator } from '../../tensor/generator.ts'
import { calculateGain, computeFans, type Nonlinearity } from './fan.ts'
import {
  fillAssign,
  fillBilinear,
  fillConstant,
  fillDirac,
  fillNormal,
  fillOrthogonal,
  fillTruncatedNormal,
  fillUniform,
  type AssignedValue,
} from './fill.ts'

/** Base of all initialisers; write your own by extending it. */
export abstract class Initializer {
  /** Row-major initial values of a parameter; draws from `generator` if it needs random numbers. */
  abstract initialize(shape: Shape, dtype: DType, generator: Generator): HostArray
}

/** Every element `value`, default 0: `new Constant(1)` or `new Constant({ value: 1 })`. */
export class Constant extends Initializer {
  readonly value: number

  constructor(value: number | { value?: number } = 0) {
    super()
    this.value = typeof value === 'number' ? value : (value.value ?? 0)
  }

  initialize(shape: Shape, dtype: DType): HostArray {
    return fillConstant(shape, dtype, this.value)
  }
}

/** Copies of given values (an array, nested lists or a HostArray), whose number must be the parameter's. */
export class Assign extends Initializer {
  readonly value: AssignedValue

  constructor(value: AssignedValue) {
    super()
    this.value = value
  }

  initialize(shape: Shape, dtype: DType): HostArray {
    return fillAssign(shape, dtype, this.value)
  }
}

/** Uniform on [low, high), default [-1, 1). */
export class Uniform extends Initializer {
  readonly low: number
  readonly high: number

  constructor(options: { low?: number; high?: number } = {}) {
    super()
    this.low = options.low ?? -1
    this.high = options.high ?? 1
    if (!(this.low <= this.high)) {
      throw new ArgumentError(`Uniform: low must not exceed high, got low ${this.low} and high ${this.high}`)
    }
  }

  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    return fillUniform(shape, dtype, generator, this.low, this.high)
  }
}

/** Normal, default mean 0 and standard deviation 1. */
export class Normal extends Initializer {
  readonly mean: number
  readonly std: number

  constructor(options: { mean?: number; std?: number } = {}) {
    super()
    this.mean = options.mean ?? 0
    this.std = options.std ?? 1
  }

  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    return fillNormal(shape, dtype, generator, this.mean, this.std)
  }
}

/** Normal truncated to [a, b], default mean 0, standard deviation 1, [-2, 2]; a and b are values, not deviations. */
export class TruncatedNormal extends Initializer {
  readonly mean: number
  readonly std: number
  readonly a: number
  readonly b: number

  constructor(options: { mean?: number; std?: number; a?: number; b?: number } = {}) {
    super()
    this.mean = options.mean ?? 0
    this.std = options.std ?? 1
    this.a = options.a ?? -2
    this.b = options.b ?? 2
    if (!(this.a < this.b)) {
      throw new ArgumentError(`TruncatedNormal: a must be below b, got a ${this.a} and b ${this.b}`)
    }
  }

  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    return fillTruncatedNormal(shape, dtype, generator, this.mean, this.std, this.a, this.b)
  }
}

export interface XavierOptions {
  /** Default: from the shape, see `computeFans`. */
  readonly fanIn?: number
  /** Default: from the shape. */
  readonly fanOut?: number
  /** Default 1. */
  readonly gain?: number
}

/** What Xavier's initialisers share: the variance 2 * gain^2 / (fanIn + fanOut) (Glorot & Bengio 2010). */
abstract class Xavier extends Initializer {
  private readonly options: XavierOptions

  constructor(options: XavierOptions = {}) {
    super()
    this.options = options
  }

  /** gain * sqrt(numerator / (fanIn + fanOut)) */
  protected spread(shape: Shape, numerator: number): number {
    const fans = computeFans(shape)
    const sum = (this.options.fanIn ?? fans.fanIn) + (this.options.fanOut ?? fans.fanOut)
    return (this.options.gain ?? 1) * Math.sqrt(numerator / sum)
  }
}

/** Uniform on +-gain * sqrt(6 / (fanIn + fanOut)): Paddle's default for Linear, Embedding and transposed convolutions. */
export class XavierUniform extends Xavier {
  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    const limit = this.spread(shape, 6)
    return fillUniform(shape, dtype, generator, -limit, limit)
  }
}

/** Normal with standard deviation gain * sqrt(2 / (fanIn + fanOut)). */
export class XavierNormal extends Xavier {
  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    return fillNormal(shape, dtype, generator, 0, this.spread(shape, 2))
  }
}

export interface KaimingOptions {
  /** Default: from the shape, see `computeFans`. */
  readonly fanIn?: number
  /** Used by 'leaky_relu' only; default 0. */
  readonly negativeSlope?: number
  /** Default 'relu'. */
  readonly nonlinearity?: Nonlinearity
  /** Which fan of the shape counts where `fanIn` is not given; default 'fan_in'. */
  readonly mode?: 'fan_in' | 'fan_out'
}

/** What Kaiming's initialisers share: the variance gain^2 / fan (He et al. 2015). */
abstract class Kaiming extends Initializer {
  private readonly options: KaimingOptions

  constructor(options: KaimingOptions = {}) {
    super()
    this.options = options
  }

  protected gain(): number {
    return calculateGain(this.options.nonlinearity ?? 'relu', this.options.negativeSlope ?? 0)
  }

  protected fan(shape: Shape): number {
    const fans = computeFans(shape)
    return this.options.fanIn ?? (this.options.mode === 'fan_out' ? fans.fanOut : fans.fanIn)
  }
}

/** Uniform on +-gain * sqrt(3 / fan). */
export class KaimingUniform extends Kaiming {
  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    const limit = this.gain() * Math.sqrt(3 / this.fan(shape))
    return fillUniform(shape, dtype, generator, -limit, limit)
  }
}

/** Normal with standard deviation gain / sqrt(fan): Paddle's default for convolutions. */
export class KaimingNormal extends Kaiming {
  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    return fillNormal(shape, dtype, generator, 0, this.gain() / Math.sqrt(this.fan(shape)))
  }
}

/** Orthonormal rows or columns (whichever are fewer) times `gain`, default 1; see `fillOrthogonal`. */
export class Orthogonal extends Initializer {
  readonly gain: number

  constructor(options: { gain?: number } = {}) {
    super()
    this.gain = options.gain ?? 1
  }

  initialize(shape: Shape, dtype: DType, generator: Generator): HostArray {
    return fillOrthogonal(shape, dtype, generator, this.gain)
  }
}

/** Convolution weights that pass their input through, in each of `groups` (default 1) groups; see `fillDirac`. */
export class Dirac extends Initializer {
  readonly groups: number

  constructor(options: { groups?: number } = {}) {
    super()
    this.groups = options.groups ?? 1
  }

  initialize(shape: Shape, dtype: DType): HostArray {
    return fillDirac(shape, dtype, this.groups)
  }
}

/** Transposed convolution weights that upsample bilinearly; see `fillBilinear`. */
export class Bilinear extends Initializer {
  initialize(shape: Shape, dtype: DType): HostArray {
    return fillBilinear(shape, dtype)
  }
}
