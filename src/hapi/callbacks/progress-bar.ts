/** ProgBarLogger: what a run prints, as `paddle.callbacks.ProgBarLogger`. */
import { formatDuration } from '../../common/format.ts'
import { Progress } from '../progress.ts'
import { Callback, logNumber, type Logs } from './callback.ts'

export interface ProgBarLoggerOptions {
  /** Steps between two lines where `verbose` is 2. Default 1. */
  readonly logFreq?: number
  /** 0 silent, 1 a bar, 2 lines. Default: the run's. */
  readonly verbose?: number
  /** Default: standard error, so that results on standard output stay clean. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean }
}

/** `loss: 2.3026 - acc: 0.1094` */
function describe(logs: Logs): string {
  const format = (x: number): string =>
    Number.isFinite(x) && x !== 0 && Math.abs(x) < 1e-3 ? x.toExponential(3) : x.toFixed(4)
  return Object.entries(logs)
    .filter(([name]) => name !== 'batchSize')
    .map(([name, value]) => `${name}: ${typeof value === 'number' ? format(value) : value.map(format).join(' ')}`)
    .join(' - ')
}

/** Prints a bar (verbose 1) or a line every `logFreq` steps (verbose 2) for training, evaluation and prediction. */
export class ProgBarLogger extends Callback {
  readonly #options: ProgBarLoggerOptions
  #bar: Progress | null = null
  #label = ''
  #begun = 0
  /** Steps of this epoch that were done before; null until the first step. */
  #first: number | null = null
  #logs: Logs = {}
  #evalSteps: number | null = null

  constructor(options: ProgBarLoggerOptions = {}) {
    super()
    this.#options = options
  }

  get #verbose(): number {
    return this.#options.verbose ?? this.params.verbose
  }

  #say(text: string): void {
    ;(this.#options.stream ?? process.stderr).write(`${text}\n`)
  }

  #start(label: string): void {
    this.#label = label
    this.#begun = performance.now()
    this.#first = null
    this.#logs = {}
  }

  #beginStep(step: number, steps: number | null): void {
    if (this.#first !== null) return
    this.#first = step
    if (this.#verbose === 1 && steps !== null) {
      const { stream } = this.#options
      this.#bar = new Progress({ total: steps, start: step, label: this.#label, ...(stream && { stream }) })
    } else if (this.#verbose > 0) this.#say(this.#label)
  }

  #step(step: number, steps: number | null, logs: Logs): void {
    this.#logs = logs
    const loss = logNumber(logs, 'loss')
    const learningRate = logNumber(logs, 'lr')
    const samples = logNumber(logs, 'batchSize')
    this.#bar?.update({
      step: step + 1,
      ...(samples !== undefined && { samples }),
      ...(loss !== undefined && { loss }),
      ...(learningRate !== undefined && { learningRate }),
    })
    if (this.#verbose !== 2) return
    const every = this.#options.logFreq ?? this.params.logFreq
    if ((step + 1) % every === 0 || step + 1 === steps) this.#line(step + 1, steps, logs)
  }

  #line(step: number, steps: number | null, logs: Logs): void {
    const done = Math.max(1, step - (this.#first ?? 0))
    const each = Math.round((performance.now() - this.#begun) / done)
    const count = steps === null ? String(step) : `${String(step).padStart(String(steps).length)}/${steps}`
    this.#say(`step ${count} - ${describe(logs)} - ${each}ms/step`)
  }

  /** Closes what `#start` opened; the second call does nothing. */
  #end(logs: Logs): void {
    this.#bar?.stop()
    this.#bar = null
    const seen = this.#first !== null
    this.#first = null
    if (seen && this.#verbose > 0 && Object.keys(logs).length > 0)
      this.#say(`${describe(logs)} - ${formatDuration((performance.now() - this.#begun) / 1000)}`)
  }

  override onEpochBegin(epoch: number): void {
    this.#start(`Epoch ${epoch + 1}/${this.params.epochs}`)
  }

  override onTrainBatchBegin(step: number): void {
    this.#beginStep(step, this.params.steps)
  }

  override onTrainBatchEnd(step: number, logs: Logs): void {
    this.#step(step, this.params.steps, logs)
  }

  override onEpochEnd(): void {
    this.#end(this.#logs)
  }

  override onTrainEnd(): void {
    this.#end({})
  }

  override onEvalBegin(logs: Logs): void {
    this.#end(this.#logs)
    this.#start('Eval')
    this.#evalSteps = logNumber(logs, 'steps') ?? null
  }

  override onEvalBatchBegin(step: number): void {
    this.#beginStep(step, this.#evalSteps)
  }

  override onEvalBatchEnd(step: number, logs: Logs): void {
    this.#step(step, this.#evalSteps, logs)
  }

  override onEvalEnd(logs: Logs): void {
    this.#end(logs)
  }

  override onPredictBegin(): void {
    this.#start('Predict')
  }

  override onPredictBatchBegin(step: number): void {
    this.#beginStep(step, this.params.steps)
  }

  override onPredictBatchEnd(step: number, logs: Logs): void {
    this.#step(step, this.params.steps, logs)
  }

  override onPredictEnd(): void {
    this.#end({})
  }
}
