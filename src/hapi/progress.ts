/**
 * Progress of a training run: step, loss, learning rate, samples a second and the time that remains. A bar that redraws itself on a
 * terminal; where nobody watches (a log file, a CI job) a line now and then.
 */
import cliProgress from 'cli-progress'
import { formatDuration } from '../common/format.ts'

export interface ProgressOptions {
  /** Steps of the whole run. */
  readonly total: number
  /** Step at which a resumed run begins; default 0. */
  readonly start?: number
  /** Word before the bar, such as `fine-tune`. */
  readonly label?: string
  /** Default: standard error, so that results on standard output stay clean. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** Least time between two lines where there is no terminal; default 5,000. */
  readonly lineIntervalMs?: number
  /** Clock in milliseconds; default `performance.now`. */
  readonly now?: () => number
}

/** What is known after a step. */
export interface ProgressUpdate {
  /** Steps done so far, counted from the run's beginning. */
  readonly step: number
  /** Samples seen in this step or since the last update. */
  readonly samples?: number
  readonly loss?: number
  readonly learningRate?: number
}

/** Rates follow the last ten seconds or so: long enough to be calm, short enough to notice a change. */
const SMOOTHING_MS = 10_000

export class Progress {
  readonly #options: Required<Omit<ProgressOptions, 'start' | 'label'>>
  readonly #label: string
  readonly #bar: cliProgress.SingleBar | undefined
  #step: number
  #lastTime: number
  #lastLine = -Infinity
  #lastText = ''
  #stepRate = new SmoothedRate()
  #sampleRate = new SmoothedRate()

  constructor({ total, start = 0, label = '', ...rest }: ProgressOptions) {
    this.#options = { total, stream: process.stderr, lineIntervalMs: 5_000, now: () => performance.now(), ...rest }
    this.#label = label === '' ? '' : `${label} `
    this.#step = start
    this.#lastTime = this.#options.now()
    if (this.#options.stream.isTTY === true) {
      this.#bar = new cliProgress.SingleBar({
        format: `${this.#label}{bar} {text}`,
        stream: this.#options.stream,
        barsize: 24,
        barCompleteChar: '█',
        barIncompleteChar: '░',
        hideCursor: true,
        gracefulExit: false,
        emptyOnZero: true,
      })
      this.#bar.start(total, start, { text: '' })
    }
  }

  /** Tells what a step brought; cheap enough for every step. */
  update(update: ProgressUpdate): void {
    const time = this.#options.now()
    const elapsed = time - this.#lastTime
    this.#stepRate.add(update.step - this.#step, elapsed)
    if (update.samples !== undefined) this.#sampleRate.add(update.samples, elapsed)
    this.#step = update.step
    this.#lastTime = time
    this.#lastText = this.#describe(update)
    if (this.#bar !== undefined) this.#bar.update(update.step, { text: this.#lastText })
    else if (time - this.#lastLine >= this.#options.lineIntervalMs || update.step >= this.#options.total)
      this.#line(time)
  }

  /** Prints a line above the bar. */
  message(text: string): void {
    // The bar redraws itself below with its next update.
    this.#options.stream.write(this.#bar === undefined ? `${text}\n` : `\r\u001b[K${text}\n`)
  }

  /** Draws the last state and leaves the bar as it is; what is printed next begins on a new line. */
  stop(): void {
    this.#bar?.stop()
  }

  #line(time: number): void {
    this.#options.stream.write(`${this.#label}${this.#lastText}\n`)
    this.#lastLine = time
  }

  #describe({ step, loss, learningRate }: ProgressUpdate): string {
    const { total } = this.#options
    const rate = this.#sampleRate.perSecond
    const parts = [`step ${step}/${total}`]
    if (loss !== undefined) parts.push(`loss ${formatLoss(loss)}`)
    if (learningRate !== undefined) parts.push(`lr ${learningRate.toExponential(2)}`)
    if (rate !== undefined) parts.push(`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} samples/s`)
    const stepsPerSecond = this.#stepRate.perSecond
    if (step < total && stepsPerSecond !== undefined && stepsPerSecond > 0) {
      parts.push(`${formatDuration((total - step) / stepsPerSecond)} left`)
    }
    return parts.join('  ')
  }
}

function formatLoss(loss: number): string {
  return Number.isFinite(loss) && loss !== 0 && Math.abs(loss) < 1e-3 ? loss.toExponential(3) : loss.toFixed(4)
}

/** Events a second, smoothed exponentially in time and exact from the first event on (as Adam corrects its moments). */
class SmoothedRate {
  #events = 0
  #seconds = 0

  add(events: number, elapsedMs: number): void {
    const keep = Math.exp(-elapsedMs / SMOOTHING_MS)
    this.#events = this.#events * keep + events
    this.#seconds = this.#seconds * keep + elapsedMs / 1000
  }

  get perSecond(): number | undefined {
    return this.#seconds > 0 ? this.#events / this.#seconds : undefined
  }
}
