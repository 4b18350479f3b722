/** Schedules that change linearly: the warm-up before another schedule, and a ramp between two factors. */
import { ArgumentError } from '../../common/errors.ts'
import { LRScheduler, checkPositiveInteger, type LRState, type SchedulerOptions } from './scheduler.ts'

export interface LinearWarmupOptions extends SchedulerOptions {
  /** The learning rate after the warm-up, or the schedule that takes over. */
  readonly learningRate: number | LRScheduler
  readonly warmupSteps: number
  readonly startLr: number
  readonly endLr: number
}

/**
 * From startLr to endLr in warmupSteps steps, then `learningRate`; a schedule given as such starts when the warm-up ends
 * (Goyal et al. 2017, section 2.2).
 */
export class LinearWarmup extends LRScheduler {
  readonly learningRate: number | LRScheduler
  readonly warmupSteps: number
  readonly startLr: number
  readonly endLr: number

  constructor(options: LinearWarmupOptions) {
    super({ ...options, learningRate: options.startLr })
    const { learningRate, startLr, endLr } = options
    if (!(endLr > startLr)) {
      throw new ArgumentError(`LinearWarmup: endLr must exceed startLr, got endLr ${endLr} and startLr ${startLr}`)
    }
    this.learningRate = learningRate
    this.warmupSteps = checkPositiveInteger(options.warmupSteps, 'LinearWarmup: warmupSteps')
    this.startLr = startLr
    this.endLr = endLr
  }

  getLr(): number {
    if (this.lastEpoch < this.warmupSteps) {
      return ((this.endLr - this.startLr) * this.lastEpoch) / this.warmupSteps + this.startLr
    }
    if (typeof this.learningRate === 'number') return this.learningRate
    this.learningRate.step(this.lastEpoch - this.warmupSteps)
    return this.learningRate.lastLr
  }

  override stateDict(): LRState {
    const state = super.stateDict()
    return typeof this.learningRate === 'number' ? state : { ...state, LinearWarmup_LR: this.learningRate.stateDict() }
  }

  override setStateDict(state: LRState): void {
    super.setStateDict(state)
    if (typeof this.learningRate === 'number') return
    const inner = state['LinearWarmup_LR']
    if (typeof inner !== 'object' || inner === null) {
      throw new ArgumentError(
        "LinearWarmup.setStateDict: the state of the inner schedule, 'LinearWarmup_LR', is missing",
      )
    }
    this.learningRate.setStateDict(inner)
  }
}

export interface LinearLROptions extends SchedulerOptions {
  readonly learningRate: number
  readonly totalSteps: number
  /** Default 1/3. */
  readonly startFactor?: number
  /** Default 1. */
  readonly endFactor?: number
}

/** From startFactor * learningRate to endFactor * learningRate in totalSteps steps; constant afterwards. A jump by `step(epoch)` lands on the line. */
export class LinearLR extends LRScheduler {
  readonly totalSteps: number
  readonly startFactor: number
  readonly endFactor: number

  constructor(options: LinearLROptions) {
    super(options)
    this.totalSteps = checkPositiveInteger(options.totalSteps, 'LinearLR: totalSteps')
    this.startFactor = options.startFactor ?? 1 / 3
    this.endFactor = options.endFactor ?? 1
    if (!(this.startFactor > 0 && this.startFactor <= 1)) {
      throw new ArgumentError(`LinearLR: startFactor must lie in (0, 1], got ${this.startFactor}`)
    }
    if (!(this.endFactor >= 0 && this.endFactor <= 1)) {
      throw new ArgumentError(`LinearLR: endFactor must lie in [0, 1], got ${this.endFactor}`)
    }
  }

  getLr(): number {
    if (this.lastEpoch === 0) return this.baseLr * this.startFactor
    if (this.lastEpoch > this.totalSteps) return this.lastLr
    const change = this.endFactor - this.startFactor
    return this.lastLr * (1 + change / (this.totalSteps * this.startFactor + (this.lastEpoch - 1) * change))
  }

  protected override closedFormLr(): number {
    const done = Math.min(this.lastEpoch, this.totalSteps) / this.totalSteps
    return this.baseLr * (this.startFactor + (this.endFactor - this.startFactor) * done)
  }
}
