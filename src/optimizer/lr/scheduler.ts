/**
 * The base of all learning-rate schedules (`paddle.optimizer.lr.LRScheduler`): where a schedule stands, how it moves, and how
 * it is saved. A schedule is given to an optimizer as its learning rate; the user calls `step()` after `optimizer.step()`, or
 * after each epoch. Before the first `step()` it stands at epoch 0.
 */
import { ArgumentError } from '../../common/errors.ts'

/** What every schedule takes besides its own options. */
export interface SchedulerOptions {
  /** Index of the last epoch that is done, to go on from there; default -1, the beginning. */
  readonly lastEpoch?: number
  /** Print each new learning rate; default false. */
  readonly verbose?: boolean
}

/** State under Paddle's names, as they stand in `.pdopt` files. */
export interface LRState {
  readonly [key: string]: number | null | LRState
}

/**
 * To write a schedule, extend this class with `getLr()`:
 *
 *     class Halving extends LRScheduler {
 *       getLr() { return this.baseLr * 0.5 ** this.lastEpoch }
 *     }
 */
export abstract class LRScheduler {
  /** The learning rate that the schedule starts from. */
  readonly baseLr: number
  readonly verbose: boolean
  private epoch: number
  private rate: number
  private started = false

  constructor(options: SchedulerOptions & { readonly learningRate?: number } = {}) {
    const { learningRate = 0.1, lastEpoch = -1, verbose = false } = options
    if (!(learningRate >= 0)) {
      throw new ArgumentError(`${new.target.name}: learningRate must be a number >= 0, got ${learningRate}`)
    }
    this.baseLr = learningRate
    this.rate = learningRate
    this.epoch = lastEpoch
    this.verbose = verbose
  }

  /** The learning rate at `lastEpoch`, in double precision. */
  abstract getLr(): number

  /** Index of the current epoch (or step, if `step()` is called after each batch). */
  get lastEpoch(): number {
    this.start()
    return this.epoch
  }

  /** The learning rate that the optimizer uses now. */
  get lastLr(): number {
    this.start()
    return this.rate
  }

  /** Moves to the next epoch, or to `epoch`. */
  step(epoch?: number): void {
    this.start()
    this.advance(epoch)
  }

  /** What must be saved to go on later. */
  stateDict(): LRState {
    return { last_epoch: this.lastEpoch, last_lr: this.lastLr }
  }

  /** Goes on from a saved state; throws ArgumentError when a key is missing. */
  setStateDict(state: LRState): void {
    this.place(this.read(state, 'last_epoch'), this.read(state, 'last_lr'))
  }

  /** One move: a new epoch, its learning rate, a line if `verbose`. */
  protected advance(epoch?: number): void {
    this.epoch = epoch ?? this.epoch + 1
    this.place(this.epoch, epoch === undefined ? this.getLr() : this.closedFormLr())
    this.report()
  }

  /** The learning rate at an epoch that was jumped to, for schedules whose `getLr` needs the epoch before. */
  protected closedFormLr(): number {
    return this.getLr()
  }

  /** Puts the schedule at an epoch with a learning rate, whatever it would compute itself. */
  protected place(epoch: number, rate: number): void {
    this.started = true
    this.epoch = epoch
    this.rate = rate
  }

  protected report(): void {
    if (!this.verbose) return
    console.log(`Epoch ${this.epoch}: ${this.constructor.name} set learning rate to ${this.rate}.`)
  }

  protected read(state: LRState, key: string): number {
    const value = state[key]
    if (typeof value === 'number') return value
    throw new ArgumentError(
      `${this.constructor.name}.setStateDict: expected a number under '${key}', got ${JSON.stringify(value)} ` +
        `(keys: ${Object.keys(state).join(', ')}); pass what stateDict() of the same schedule returned`,
    )
  }

  /** The move to epoch 0 waits until somebody looks, because a subclass has no fields yet while this constructor runs. */
  private start(): void {
    if (this.started) return
    this.started = true
    this.advance()
  }
}

/** Throws ArgumentError unless `value` is a positive integer. */
export function checkPositiveInteger(value: number, name: string): number {
  if (!Number.isInteger(value) || value <= 0) {
    throw new ArgumentError(`${name} must be a positive integer, got ${value}`)
  }
  return value
}

/** Throws ArgumentError unless `value` is one of `allowed`. */
export function checkChoice<T extends string>(value: T, allowed: readonly T[], name: string): T {
  if (allowed.includes(value)) return value
  throw new ArgumentError(`${name} must be one of ${allowed.join(', ')}, got '${value}'`)
}
