/** The loop of `Model.fit`: epochs, evaluations, checkpoints, resuming, and what Ctrl-C does. */
import { ArgumentError } from '../common/errors.ts'
import { loadCheckpoint, type Checkpoint } from '../io/checkpoint.ts'
import { loadLatest } from '../io/checkpoint-steps.ts'
import type { DataLoader } from '../io/dataloader.ts'
import { restoreTraining, trainingCheckpoint, type TrainingParts } from '../io/training-state.ts'
import { CallbackList, type Callback, type Logs, type RunParameters } from './callbacks/callback.ts'
import { ModelCheckpoint } from './callbacks/checkpoint.ts'
import { LRScheduler } from './callbacks/learning-rate.ts'
import { ProgBarLogger } from './callbacks/progress-bar.ts'
import { batchesOf, loaderOf, tensorsOf, type LoaderOptions, type RunData } from './data.ts'
import { evaluatePass, lossLogs } from './evaluate.ts'
import { watchInterrupts, type InterruptWatch } from './interrupt.ts'
import type { Model } from './model.ts'

export interface FitOptions extends LoaderOptions {
  readonly trainData: RunData
  readonly evalData?: RunData | null
  /** Default 1. */
  readonly epochs?: number
  /** Epochs between two evaluations. Default 1. */
  readonly evalFreq?: number
  /** Steps between two lines where `verbose` is 2. Default 10. */
  readonly logFreq?: number
  /** Where checkpoints go. Default: nothing is saved, and Ctrl-C just ends the process. */
  readonly saveDir?: string | null
  /** Epochs between two checkpoints. Default 1. */
  readonly saveFreq?: number
  /** 0 silent, 1 progress bar, 2 lines. Default 2. */
  readonly verbose?: 0 | 1 | 2
  /** Default true. */
  readonly shuffle?: boolean
  readonly callbacks?: readonly Callback[]
  /** Batches whose gradients are summed before an update. Default 1. */
  readonly accumulateGradBatches?: number
  /** Steps after which training ends, over all epochs. Default: none. */
  readonly numIters?: number
  /** Goes on from a checkpoint: the newest of `saveDir` (true), of another run's directory, or a single `step-N`. Default false. */
  readonly resume?: boolean | string
  /** What Ctrl-C prints as the way to go on. Default: the `resume` option. */
  readonly resumeCommand?: string
}

export interface History {
  /** Results at the end of each epoch of this run; those of evaluations under `eval_` names. */
  readonly epochs: readonly Logs[]
  /** Steps done, over all epochs. */
  readonly step: number
  /** Ended by Ctrl-C. */
  readonly interrupted: boolean
}

/** A run as callbacks and checkpoints see it. */
export interface Run {
  readonly step: number
  readonly interrupted: boolean
  /** Everything that a resumed run needs. */
  capture(): Promise<Checkpoint>
}

const say = (text: string): void => void process.stderr.write(`${text}\n`)

export async function fitModel(model: Model, options: FitOptions, begun: (run: Run) => void): Promise<History> {
  const loop = new FitLoop(model, options)
  begun(loop)
  return loop.run()
}

class FitLoop implements Run {
  step = 0
  interrupted = false
  readonly #model: Model
  readonly #options: FitOptions
  readonly #loader: DataLoader<unknown, unknown>
  readonly #evalLoader: DataLoader<unknown, unknown> | null
  readonly #callbacks: CallbackList
  #epoch = 0
  /** Batches of the epoch that are done. */
  #stepInEpoch = 0
  #watch: InterruptWatch | null = null

  constructor(model: Model, options: FitOptions) {
    const { batchSize = 1, numWorkers = 0, epochs = 1, accumulateGradBatches = 1, logFreq = 10, saveFreq = 1 } = options
    if (!model.optimizer) throw new ArgumentError('Model.fit: call prepare({ optimizer, loss }) first')
    if (!options?.trainData) throw new ArgumentError('Model.fit: give { trainData }, a Dataset or a DataLoader')
    for (const [name, value] of Object.entries({ epochs, accumulateGradBatches, logFreq, saveFreq }))
      if (!Number.isInteger(value) || value < 1)
        throw new ArgumentError(`Model.fit: ${name} must be a positive integer, got ${String(value)}`)
    this.#model = model
    this.#options = options
    this.#loader = loaderOf(options.trainData, { ...options, shuffle: options.shuffle ?? true })
    this.#evalLoader = options.evalData ? loaderOf(options.evalData, { batchSize, numWorkers }) : null
    const params: RunParameters = {
      mode: 'train',
      epochs,
      steps: batchesOf(this.#loader),
      verbose: options.verbose ?? 2,
      logFreq,
      batchSize: options.batchSize ?? null,
      saveDir: options.saveDir ?? null,
      saveFreq,
      evaluates: this.#evalLoader !== null,
      metrics: model.metricNames(),
    }
    this.#callbacks = new CallbackList(withDefaults(options.callbacks ?? []), model, params)
  }

  async run(): Promise<History> {
    const { saveDir, epochs = 1, resume = false, trainData, evalData } = this.#options
    const model = this.#model
    const history: Logs[] = []
    model.stopTraining = false
    this.#watch = saveDir ? watchInterrupts(say) : null
    try {
      if (resume !== false) await this.#resume(resume)
      await this.#callbacks.call('onTrainBegin', {})
      while (this.#epoch < epochs && !this.#isOver() && !this.interrupted) {
        const logs = await this.#trainEpoch()
        if (!this.interrupted) history.push(logs)
        this.interrupted ||= this.#watch?.requested ?? false
      }
      if (this.interrupted) await this.#saveInterrupted(saveDir!)
      await this.#callbacks.call('onTrainEnd', history.at(-1) ?? {})
    } finally {
      this.#watch?.stop()
      if (this.#loader !== trainData) await this.#loader.close()
      if (this.#evalLoader !== evalData) await this.#evalLoader?.close()
    }
    if (this.interrupted) this.#watch?.exit()
    return { epochs: history, step: this.step, interrupted: this.interrupted }
  }

  /** Whether training ends here, whatever epochs are left. */
  #isOver(): boolean {
    return this.#model.stopTraining || this.step >= (this.#options.numIters ?? Infinity)
  }

  /** One epoch, or what is left of it: batches, evaluation, callbacks. */
  async #trainEpoch(): Promise<Logs> {
    const model = this.#model
    const callbacks = this.#callbacks
    const epoch = this.#epoch
    for (const m of model.metrics) m.reset()
    await callbacks.call('onEpochBegin', epoch, {})
    let logs: Logs = {}
    let isWhole = true
    for await (const batch of this.#loader) {
      logs = await this.#trainBatch(batch)
      if (!this.#mayPause()) continue
      this.interrupted = this.#watch?.requested ?? false
      // Interrupted at its last batch, an epoch is resumed for what comes after its batches.
      if (this.interrupted) return logs
      isWhole = !this.#isOver() || this.#stepInEpoch === batchesOf(this.#loader)
      if (!isWhole) break
    }
    if (isWhole) {
      this.#epoch++
      this.#stepInEpoch = 0
    }
    const { evalFreq = 1, epochs = 1 } = this.#options
    if (this.#evalLoader && ((epoch + 1) % evalFreq === 0 || epoch + 1 === epochs)) {
      const results = await evaluatePass(model, this.#evalLoader, callbacks)
      logs = { ...logs, ...Object.fromEntries(Object.entries(results).map(([name, v]) => [`eval_${name}`, v])) }
    }
    await callbacks.call('onEpochEnd', epoch, logs)
    return logs
  }

  async #trainBatch(batch: unknown): Promise<Logs> {
    const model = this.#model
    const { inputs, labels } = model.divide(tensorsOf(batch))
    const index = this.#stepInEpoch
    await this.#callbacks.call('onTrainBatchBegin', index, {})
    const lr = model.optimizer!.getLr()
    this.#stepInEpoch++
    this.step++
    const { loss, metrics } = await model.trainBatch(inputs, labels, { update: this.#mayPause() })
    const logs: Logs = { ...lossLogs(loss), ...metrics, lr, batchSize: inputs[0]?.shape[0] ?? 1 }
    await this.#callbacks.call('onTrainBatchEnd', index, logs)
    return logs
  }

  /** Whether the last batch ended a group whose gradients are summed. */
  #mayPause(): boolean {
    const { accumulateGradBatches = 1, numIters = Infinity } = this.#options
    const isLast = this.#stepInEpoch === batchesOf(this.#loader) || this.step >= numIters
    return this.#stepInEpoch % accumulateGradBatches === 0 || isLast
  }

  #parts(): TrainingParts {
    const { network, optimizer, scaler } = this.#model
    return { model: network, optimizer, scaler, sampler: this.#loader }
  }

  capture(): Promise<Checkpoint> {
    return trainingCheckpoint(this.#parts(), {
      epoch: this.#epoch,
      step: this.step,
      extra: { stepInEpoch: this.#stepInEpoch, callbacks: this.#callbacks.stateDict() },
    })
  }

  async #resume(resume: string | true): Promise<void> {
    const root = resume === true ? this.#options.saveDir : resume
    if (!root) throw new ArgumentError('Model.fit: resume: true needs saveDir, where the checkpoints are')
    const found = await findCheckpoint(root)
    if (!found) {
      if (resume !== true) throw new ArgumentError(`Model.fit: there is no checkpoint in '${root}' to resume from`)
      return
    }
    const { epoch, step, extra } = restoreTraining(found, this.#parts(), root)
    const { stepInEpoch, callbacks } = (extra ?? {}) as { stepInEpoch?: number; callbacks?: never }
    this.#epoch = epoch
    this.step = step
    this.#stepInEpoch = stepInEpoch ?? 0
    this.#callbacks.setStateDict(callbacks ?? null)
    say(`resumed from step ${step} (epoch ${epoch + 1}, batch ${this.#stepInEpoch})`)
  }

  async #saveInterrupted(saveDir: string): Promise<void> {
    const directory = await this.#model.checkpoint(saveDir)
    const { resumeCommand = `model.fit({ ..., saveDir: '${saveDir}', resume: true })` } = this.#options
    say(`\ninterrupted after step ${this.step}; saved ${directory}\nresume with: ${resumeCommand}`)
  }
}

/** The checkpoint that a path names: a run's newest, or the one that the path itself is. */
async function findCheckpoint(path: string): Promise<Checkpoint | undefined> {
  if (/(^|[/\\])step-\d+[/\\]?$/.test(path)) return loadCheckpoint(path)
  return loadLatest(path, (directory, error) => say(`passing over ${directory}: ${error.message}`))
}

/** What every run has unless it brings its own. Checkpoints come last, when the others have seen the epoch. */
function withDefaults(own: readonly Callback[]): Callback[] {
  const has = (kind: new (...args: never[]) => Callback): boolean => own.some((c) => c instanceof kind)
  return [
    ...(has(ProgBarLogger) ? [] : [new ProgBarLogger()]),
    ...(has(LRScheduler) ? [] : [new LRScheduler()]),
    ...own.filter((c) => !(c instanceof ModelCheckpoint)),
    ...(has(ModelCheckpoint) ? own.filter((c) => c instanceof ModelCheckpoint) : [new ModelCheckpoint()]),
  ]
}
