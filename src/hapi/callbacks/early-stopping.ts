/** EarlyStopping: ends a run that gets no better, as `paddle.callbacks.EarlyStopping`. */
import { join } from 'node:path'
import { Monitor, type MonitorOptions } from './monitor.ts'

export interface EarlyStoppingOptions extends MonitorOptions {
  /** A result that has to be beaten from the beginning. */
  readonly baseline?: number
  /** Saves the weights of the best result as `saveDir/best_model.safetensors`. Default true. */
  readonly saveBestModel?: boolean
}

/** Stops training once `monitor` has not improved for `patience` evaluations (default 0: with the first that is not better). */
export class EarlyStopping extends Monitor {
  readonly #saveBestModel: boolean

  constructor(options: EarlyStoppingOptions = {}) {
    super(options, 0, 0)
    this.#saveBestModel = options.saveBestModel ?? true
    if (options.baseline !== undefined) this.setBaseline(options.baseline)
  }

  protected override async improved(): Promise<void> {
    const directory = this.params.saveDir
    if (this.#saveBestModel && directory !== null)
      await this.model.save(join(directory, 'best_model'), { training: false })
  }

  protected override exhausted(): void {
    this.model.stopTraining = true
    this.say(`'${this.monitor}' is not better than ${this.best} for ${this.wait} evaluations; training stops`)
  }
}
