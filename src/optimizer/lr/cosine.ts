/** Cosine schedules of SGDR (Loshchilov & Hutter, "Stochastic gradient descent with warm restarts", 2017). */
import { ArgumentError } from '../../common/errors.ts'
import { LRScheduler, checkPositiveInteger, type LRState, type SchedulerOptions } from './scheduler.ts'

export interface CosineAnnealingDecayOptions extends SchedulerOptions {
  readonly learningRate: number
  /** Half a period, in epochs (`T_max`). */
  readonly tMax: number
  /** Lowest learning rate; default 0. */
  readonly etaMin?: number
}

/** etaMin + (learningRate - etaMin) * (1 + cos(pi * t / tMax)) / 2, by Paddle's recursion while the epochs follow on. */
export class CosineAnnealingDecay extends LRScheduler {
  readonly tMax: number
  readonly etaMin: number

  constructor(options: CosineAnnealingDecayOptions) {
    super(options)
    this.tMax = checkPositiveInteger(options.tMax, 'CosineAnnealingDecay: tMax')
    this.etaMin = options.etaMin ?? 0
  }

  getLr(): number {
    const t = this.lastEpoch
    if (t === 0) return this.baseLr
    // The recursion would divide by zero where the wave is lowest.
    if ((t - 1 - this.tMax) % (2 * this.tMax) === 0) {
      return this.lastLr + ((this.baseLr - this.etaMin) * (1 - Math.cos(Math.PI / this.tMax))) / 2
    }
    const ratio = (1 + Math.cos((Math.PI * t) / this.tMax)) / (1 + Math.cos((Math.PI * (t - 1)) / this.tMax))
    return ratio * (this.lastLr - this.etaMin) + this.etaMin
  }

  protected override closedFormLr(): number {
    return annealed(this.baseLr, this.etaMin, this.lastEpoch / this.tMax)
  }
}

export interface CosineAnnealingWarmRestartsOptions extends SchedulerOptions {
  readonly learningRate: number
  /** Epochs until the first restart (`T_0`). */
  readonly t0: number
  /** Factor by which each period is longer than the one before (`T_mult`); default 1. */
  readonly tMult?: number
  /** Lowest learning rate; default 0. */
  readonly etaMin?: number
}

/** Cosine annealing that jumps back to the top after t0, t0 * tMult, t0 * tMult^2, ... epochs; epochs may be fractions. */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  readonly t0: number
  readonly tMult: number
  readonly etaMin: number
  private period = 1
  private sinceRestart = 0

  constructor(options: CosineAnnealingWarmRestartsOptions) {
    super(options)
    this.t0 = checkPositiveInteger(options.t0, 'CosineAnnealingWarmRestarts: t0')
    this.tMult = checkPositiveInteger(options.tMult ?? 1, 'CosineAnnealingWarmRestarts: tMult')
    this.etaMin = options.etaMin ?? 0
  }

  getLr(): number {
    return annealed(this.baseLr, this.etaMin, this.sinceRestart / this.period)
  }

  /** The place in the period follows from the epoch, so a restored schedule goes on as if it had never stopped. */
  override setStateDict(state: LRState): void {
    super.setStateDict(state)
    this.locate(this.lastEpoch)
  }

  protected override advance(epoch = this.lastEpoch + 1): void {
    this.locate(epoch)
    this.place(Math.floor(epoch), this.getLr())
    this.report()
  }

  /** Finds period and place of an epoch by walking through the periods (their logarithm would round at the borders). */
  private locate(epoch: number): void {
    if (!(epoch >= 0)) throw new ArgumentError(`CosineAnnealingWarmRestarts: epoch must not be negative, got ${epoch}`)
    this.period = this.t0
    this.sinceRestart = this.tMult === 1 ? epoch % this.t0 : epoch
    while (this.sinceRestart >= this.period) {
      this.sinceRestart -= this.period
      this.period *= this.tMult
    }
  }
}

/** Half a cosine wave from `high` at 0 to `low` at 1. */
function annealed(high: number, low: number, phase: number): number {
  return low + ((high - low) * (1 + Math.cos(Math.PI * phase))) / 2
}
