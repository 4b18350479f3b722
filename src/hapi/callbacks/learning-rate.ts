/** Callbacks that move the learning rate, as `paddle.callbacks.LRScheduler` and `ReduceLROnPlateau`. */
import { ArgumentError } from '../../common/errors.ts'
import type { StateValue } from '../../io/state-json.ts'
import { ReduceOnPlateau } from '../../optimizer/lr/index.ts'
import { Callback } from './callback.ts'
import { Monitor, type MonitorOptions } from './monitor.ts'

export interface LRSchedulerOptions {
  /** The schedule moves after each step. Default true, unless `byEpoch`. */
  readonly byStep?: boolean
  /** The schedule moves after each epoch. Default false. */
  readonly byEpoch?: boolean
}

/** Steps the optimizer's schedule. A run has one of these (by step) unless it is given another. */
export class LRScheduler extends Callback {
  readonly #byStep: boolean
  readonly #byEpoch: boolean

  constructor(options: LRSchedulerOptions = {}) {
    super()
    const { byEpoch = false, byStep = !byEpoch } = options
    if (byStep && byEpoch) throw new ArgumentError('LRScheduler: a schedule moves by step or by epoch, not by both')
    this.#byStep = byStep
    this.#byEpoch = byEpoch
  }

  #move(): void {
    const schedule = this.model.optimizer?.lrScheduler
    if (schedule && !(schedule instanceof ReduceOnPlateau)) schedule.step()
  }

  override onTrainBatchEnd(): void {
    if (this.#byStep && this.model.hasUpdated) this.#move()
  }

  override onEpochEnd(): void {
    if (this.#byEpoch) this.#move()
  }
}

export interface ReduceLROnPlateauOptions extends MonitorOptions {
  /** Default 0.1. */
  readonly factor?: number
  /** Evaluations after a reduction in which nothing is counted. Default 0. */
  readonly cooldown?: number
  /** Default 0. */
  readonly minLr?: number
}

/** Multiplies the learning rate by `factor` once `monitor` has not improved for `patience` (default 10) evaluations. */
export class ReduceLROnPlateau extends Monitor {
  readonly #factor: number
  readonly #cooldown: number
  readonly #minLr: number
  #cooling = 0

  constructor(options: ReduceLROnPlateauOptions = {}) {
    super(options, 10, 1e-4)
    const { factor = 0.1, cooldown = 0, minLr = 0 } = options
    if (!(factor > 0 && factor < 1))
      throw new ArgumentError(`ReduceLROnPlateau: factor must lie between 0 and 1, got ${factor}`)
    this.#factor = factor
    this.#cooldown = cooldown
    this.#minLr = minLr
  }

  protected override counts(): boolean {
    if (this.#cooling > 0) {
      this.#cooling--
      this.wait = 0
    }
    return this.#cooling === 0
  }

  protected override exhausted(): void {
    const { optimizer } = this.model
    if (!optimizer || optimizer.lrScheduler) {
      this.say('the learning rate follows a schedule and is left alone')
      return
    }
    const before = optimizer.getLr()
    const after = Math.max(before * this.#factor, this.#minLr)
    this.wait = 0
    this.#cooling = this.#cooldown
    if (after >= before) return
    optimizer.setLr(after)
    this.say(`learning rate reduced to ${after}`)
  }

  override stateDict(): StateValue {
    return { ...(super.stateDict() as object), cooling: this.#cooling }
  }

  override setStateDict(state: StateValue): void {
    super.setStateDict(state)
    this.#cooling = (state as { cooling: number }).cooling
  }
}
