/** What EarlyStopping and ReduceLROnPlateau share: watching whether a result gets better. */
import { ArgumentError } from '../../common/errors.ts'
import type { StateValue } from '../../io/state-json.ts'
import { Callback, logNumber, type Logs } from './callback.ts'

export interface MonitorOptions {
  /** Name of the result that is watched. Default `loss`. */
  readonly monitor?: string
  /** `min`, `max`, or `auto` (default): max for names with `acc`, min for others. */
  readonly mode?: 'auto' | 'min' | 'max'
  /** Evaluations without improvement that are waited for. */
  readonly patience?: number
  /** The least change that counts as an improvement. */
  readonly minDelta?: number
  /** Default 1: says what it does. */
  readonly verbose?: number
}

/** Watches evaluations, or epochs of training where nothing is evaluated. */
export abstract class Monitor extends Callback {
  protected readonly monitor: string
  protected readonly patience: number
  protected readonly verbose: number
  protected best: number
  protected wait = 0
  readonly #sign: 1 | -1
  readonly #minDelta: number
  #warned = false

  constructor(options: MonitorOptions, patience: number, minDelta: number) {
    super()
    const { monitor = 'loss', mode = 'auto', verbose = 1 } = options
    if (!['auto', 'min', 'max'].includes(mode))
      throw new ArgumentError(`${new.target.name}: mode must be 'auto', 'min' or 'max', got '${String(mode)}'`)
    this.monitor = monitor
    this.patience = options.patience ?? patience
    this.verbose = verbose
    this.#sign = mode === 'max' || (mode === 'auto' && monitor.includes('acc')) ? 1 : -1
    this.#minDelta = Math.abs(options.minDelta ?? minDelta)
    this.best = this.#worst
  }

  get #worst(): number {
    return this.#sign === 1 ? -Infinity : Infinity
  }

  /** Called for every result; false where a result that is not better does not count. */
  protected counts(): boolean {
    return true
  }

  /** The result got better; `best` is the new one. */
  protected improved(): void | Promise<void> {}
  /** It has not got better `patience` times. */
  protected abstract exhausted(value: number): void | Promise<void>

  /** A value that has to be beaten from now on. */
  protected setBaseline(value: number): void {
    this.best = value
  }

  override async onEvalEnd(logs: Logs): Promise<void> {
    if (this.params.mode === 'train') await this.#look(logs)
  }

  override async onEpochEnd(_epoch: number, logs: Logs): Promise<void> {
    if (!this.params.evaluates) await this.#look(logs)
  }

  async #look(logs: Logs): Promise<void> {
    const value = logNumber(logs, this.monitor)
    if (value === undefined) {
      if (!this.#warned) this.say(`there is no result '${this.monitor}' to watch, only ${Object.keys(logs).join(', ')}`)
      this.#warned = true
      return
    }
    const counts = this.counts()
    if (this.#sign * (value - this.best) > this.#minDelta) {
      this.best = value
      this.wait = 0
      await this.improved()
      return
    }
    if (!counts) return
    this.wait++
    if (this.wait >= this.patience) await this.exhausted(value)
  }

  protected say(text: string): void {
    if (this.verbose > 0) process.stderr.write(`${this.constructor.name}: ${text}\n`)
  }

  override stateDict(): StateValue {
    return { best: this.best, wait: this.wait }
  }

  override setStateDict(state: StateValue): void {
    const { best, wait } = state as { best: number; wait: number }
    this.best = best
    this.wait = wait
  }
}
