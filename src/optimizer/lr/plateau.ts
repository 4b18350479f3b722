/** The schedule that watches a metric and lowers the learning rate when it stops improving. */
import { ArgumentError } from '../../common/errors.ts'
import { LRScheduler, checkChoice, type LRState } from './scheduler.ts'

export interface ReduceOnPlateauOptions {
  readonly learningRate: number
  /** Whether the metric should fall or rise; default 'min'. */
  readonly mode?: 'min' | 'max'
  /** The new rate is the old one times this, below 1; default 0.1. */
  readonly factor?: number
  /** Steps without improvement that are borne; default 10. */
  readonly patience?: number
  /** How much better counts as better; default 1e-4. */
  readonly threshold?: number
  /** Whether the threshold is a share of the best value or a difference; default 'rel'. */
  readonly thresholdMode?: 'rel' | 'abs'
  /** Steps after a reduction in which nothing is counted; default 0. */
  readonly cooldown?: number
  /** Default 0. */
  readonly minLr?: number
  /** A change no larger than this is not made; default 1e-8. */
  readonly epsilon?: number
  /** Print each reduction; default false. */
  readonly verbose?: boolean
}

/** Times `factor` when the metric given to `step(metric)` has not improved for more than `patience` steps. */
export class ReduceOnPlateau extends LRScheduler {
  private readonly options: Required<Omit<ReduceOnPlateauOptions, 'learningRate' | 'verbose'>>
  private best: number | null = null
  private badSteps = 0
  private cooldownLeft = 0

  constructor(options: ReduceOnPlateauOptions) {
    super(options)
    const { mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, thresholdMode = 'rel' } = options
    const { cooldown = 0, minLr = 0, epsilon = 1e-8 } = options
    if (!(factor < 1)) throw new ArgumentError(`ReduceOnPlateau: factor must be below 1, got ${factor}`)
    checkChoice(mode, ['min', 'max'], 'ReduceOnPlateau: mode')
    checkChoice(thresholdMode, ['rel', 'abs'], 'ReduceOnPlateau: thresholdMode')
    this.options = { mode, factor, patience, threshold, thresholdMode, cooldown, minLr, epsilon }
    this.place(0, this.baseLr)
  }

  getLr(): number {
    return this.lastLr
  }

  /** Takes the metric of the epoch that has ended. */
  override step(metric: number, epoch?: number): void {
    if (typeof metric !== 'number') {
      throw new ArgumentError(`ReduceOnPlateau.step: expected the metric as a number, got ${typeof metric}`)
    }
    this.place(epoch ?? this.lastEpoch + 1, this.lastLr)
    if (this.cooldownLeft > 0) {
      this.cooldownLeft--
      return
    }
    if (this.best === null || this.isBetter(metric, this.best)) {
      this.best = metric
      this.badSteps = 0
      return
    }
    if (++this.badSteps > this.options.patience) this.reduce()
  }

  override stateDict(): LRState {
    return {
      ...super.stateDict(),
      best: this.best,
      num_bad_epochs: this.badSteps,
      cooldown_counter: this.cooldownLeft,
    }
  }

  override setStateDict(state: LRState): void {
    super.setStateDict(state)
    this.best = state['best'] === null ? null : this.read(state, 'best')
    this.badSteps = this.read(state, 'num_bad_epochs')
    this.cooldownLeft = this.read(state, 'cooldown_counter')
  }

  private reduce(): void {
    const { factor, minLr, epsilon, cooldown } = this.options
    this.cooldownLeft = cooldown
    this.badSteps = 0
    const lower = Math.max(this.lastLr * factor, minLr)
    if (this.lastLr - lower <= epsilon) return
    this.place(this.lastEpoch, lower)
    this.report()
  }

  private isBetter(metric: number, best: number): boolean {
    const { mode, threshold, thresholdMode } = this.options
    const margin = thresholdMode === 'rel' ? best * threshold : threshold
    return mode === 'min' ? metric < best - margin : metric > best + margin
  }
}
