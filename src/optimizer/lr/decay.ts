/** Schedules that only go down, each by a formula of the epoch (called `t` in the comments). */
import { ArgumentError } from '../../common/errors.ts'
import { LRScheduler, checkPositiveInteger, type SchedulerOptions } from './scheduler.ts'

export interface NoamDecayOptions extends SchedulerOptions {
  readonly dModel: number
  readonly warmupSteps: number
  /** Default 1. */
  readonly learningRate?: number
}

/** learningRate * dModel^-0.5 * min(t^-0.5, t * warmupSteps^-1.5) (Vaswani et al. 2017, eq. 3); 0 at t = 0. */
export class NoamDecay extends LRScheduler {
  readonly dModel: number
  readonly warmupSteps: number

  constructor(options: NoamDecayOptions) {
    super({ ...options, learningRate: options.learningRate ?? 1 })
    if (!(options.dModel > 0)) throw new ArgumentError(`NoamDecay: dModel must be positive, got ${options.dModel}`)
    this.dModel = options.dModel
    this.warmupSteps = options.warmupSteps
  }

  getLr(): number {
    const falling = this.lastEpoch === 0 ? 1 : this.lastEpoch ** -0.5
    const rising = this.warmupSteps ** -1.5 * this.lastEpoch
    return this.baseLr * this.dModel ** -0.5 * Math.min(falling, rising)
  }
}

export interface PiecewiseDecayOptions extends SchedulerOptions {
  readonly boundaries: readonly number[]
  /** One more than boundaries. */
  readonly values: readonly number[]
}

/** values[i] before boundaries[i], the last value after them all. */
export class PiecewiseDecay extends LRScheduler {
  readonly boundaries: readonly number[]
  readonly values: readonly number[]

  constructor(options: PiecewiseDecayOptions) {
    super(options)
    if (options.values.length !== options.boundaries.length + 1) {
      throw new ArgumentError(
        `PiecewiseDecay: needs one value more than boundaries, got ${options.values.length} values ` +
          `and ${options.boundaries.length} boundaries`,
      )
    }
    this.boundaries = options.boundaries
    this.values = options.values
  }

  getLr(): number {
    const i = this.boundaries.findIndex((boundary) => this.lastEpoch < boundary)
    return this.values[i < 0 ? this.boundaries.length : i]!
  }
}

export interface GammaDecayOptions extends SchedulerOptions {
  readonly learningRate: number
  readonly gamma: number
}

/** learningRate * exp(-gamma * t) */
export class NaturalExpDecay extends LRScheduler {
  readonly gamma: number

  constructor(options: GammaDecayOptions) {
    super(options)
    if (!(options.gamma > 0)) throw new ArgumentError(`NaturalExpDecay: gamma must be positive, got ${options.gamma}`)
    this.gamma = options.gamma
  }

  getLr(): number {
    return this.baseLr * Math.exp(-this.gamma * this.lastEpoch)
  }
}

/** learningRate / (1 + gamma * t) */
export class InverseTimeDecay extends LRScheduler {
  readonly gamma: number

  constructor(options: GammaDecayOptions) {
    super(options)
    this.gamma = options.gamma
  }

  getLr(): number {
    return this.baseLr / (1 + this.gamma * this.lastEpoch)
  }
}

/** learningRate * gamma^t, 0 < gamma < 1 */
export class ExponentialDecay extends LRScheduler {
  readonly gamma: number

  constructor(options: GammaDecayOptions) {
    super(options)
    if (!(options.gamma > 0 && options.gamma < 1)) {
      throw new ArgumentError(`ExponentialDecay: gamma must lie between 0 and 1, got ${options.gamma}`)
    }
    this.gamma = options.gamma
  }

  getLr(): number {
    return this.baseLr * this.gamma ** this.lastEpoch
  }
}

export interface PolynomialDecayOptions extends SchedulerOptions {
  readonly learningRate: number
  readonly decaySteps: number
  /** Default 0.0001. */
  readonly endLr?: number
  /** Default 1. */
  readonly power?: number
  /** Start over at each multiple of decaySteps, from ever lower; default false. */
  readonly cycle?: boolean
}

/** (learningRate - endLr) * (1 - min(t, decaySteps) / decaySteps)^power + endLr */
export class PolynomialDecay extends LRScheduler {
  readonly decaySteps: number
  readonly endLr: number
  readonly power: number
  readonly cycle: boolean

  constructor(options: PolynomialDecayOptions) {
    super(options)
    this.decaySteps = checkPositiveInteger(options.decaySteps, 'PolynomialDecay: decaySteps')
    this.endLr = options.endLr ?? 0.0001
    this.power = options.power ?? 1
    this.cycle = options.cycle ?? false
    if (!(this.power > 0)) throw new ArgumentError(`PolynomialDecay: power must be positive, got ${this.power}`)
  }

  getLr(): number {
    const cycles = Math.max(1, Math.ceil(this.lastEpoch / this.decaySteps))
    const steps = this.cycle ? this.decaySteps * cycles : this.decaySteps
    const done = Math.min(this.lastEpoch, steps)
    return (this.baseLr - this.endLr) * (1 - done / steps) ** this.power + this.endLr
  }
}

/** Paddle refuses a factor that would make the rate grow. */
function checkBelowOne(gamma: number, name: string): number {
  if (!(gamma < 1)) throw new ArgumentError(`${name}: gamma must be below 1, got ${gamma}`)
  return gamma
}

export interface MultiStepDecayOptions extends SchedulerOptions {
  readonly learningRate: number
  /** Rising epochs. */
  readonly milestones: readonly number[]
  /** Default 0.1. */
  readonly gamma?: number
}

/** Times gamma at each milestone. */
export class MultiStepDecay extends LRScheduler {
  readonly milestones: readonly number[]
  readonly gamma: number

  constructor(options: MultiStepDecayOptions) {
    super(options)
    const { milestones } = options
    if (milestones.some((milestone, i) => i > 0 && !(milestones[i - 1]! < milestone))) {
      throw new ArgumentError(`MultiStepDecay: milestones must rise, got [${milestones.join(', ')}]`)
    }
    this.milestones = milestones
    this.gamma = checkBelowOne(options.gamma ?? 0.1, 'MultiStepDecay')
  }

  getLr(): number {
    const passed = this.milestones.findIndex((milestone) => this.lastEpoch < milestone)
    return this.baseLr * this.gamma ** (passed < 0 ? this.milestones.length : passed)
  }
}

export interface StepDecayOptions extends SchedulerOptions {
  readonly learningRate: number
  readonly stepSize: number
  /** Default 0.1. */
  readonly gamma?: number
}

/** learningRate * gamma^floor(t / stepSize) */
export class StepDecay extends LRScheduler {
  readonly stepSize: number
  readonly gamma: number

  constructor(options: StepDecayOptions) {
    super(options)
    this.stepSize = checkPositiveInteger(options.stepSize, 'StepDecay: stepSize')
    this.gamma = checkBelowOne(options.gamma ?? 0.1, 'StepDecay')
  }

  getLr(): number {
    return this.baseLr * this.gamma ** Math.floor(this.lastEpoch / this.stepSize)
  }
}

export interface LambdaDecayOptions extends SchedulerOptions {
  readonly learningRate: number
  /** Factor of an epoch; it is not saved with the state. */
  readonly lrLambda: (epoch: number) => number
}

/** learningRate * lrLambda(t) */
export class LambdaDecay extends LRScheduler {
  readonly lrLambda: (epoch: number) => number

  constructor(options: LambdaDecayOptions) {
    super(options)
    this.lrLambda = options.lrLambda
  }

  getLr(): number {
    return this.baseLr * this.lrLambda(this.lastEpoch)
  }
}

/** learningRate * lrLambda(1) * ... * lrLambda(t) */
export class MultiplicativeDecay extends LRScheduler {
  readonly lrLambda: (epoch: number) => number
  // The product so far, so that training does not multiply all factors again at each step.
  private product: { epoch: number; lr: number }

  constructor(options: LambdaDecayOptions) {
    super(options)
    this.lrLambda = options.lrLambda
    this.product = { epoch: 0, lr: this.baseLr }
  }

  getLr(): number {
    let { epoch, lr } = this.product.epoch <= this.lastEpoch ? this.product : { epoch: 0, lr: this.baseLr }
    while (epoch < this.lastEpoch) lr *= this.lrLambda(++epoch)
    this.product = { epoch, lr }
    return lr
  }
}
