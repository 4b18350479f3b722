/**
 * A whole training run that is counted in steps, whatever it trains: progress, log, checkpoints, evaluations, the best model, resuming,
 * and what Ctrl-C does. What is trained, and on what, is a TrainingJob.
 */
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ArgumentError } from '../common/errors.ts'
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from '../io/checkpoint.ts'
import { latestCheckpoint, loadLatest, saveStep } from '../io/checkpoint-steps.ts'
import type { StateValue } from '../io/state-json.ts'
import { restoreTraining, trainingCheckpoint, type StatefulModel } from '../io/training-state.ts'
import type { Optimizer } from '../optimizer/index.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { watchInterrupts, type InterruptWatch } from './interrupt.ts'
import { Progress } from './progress.ts'
import { runSteps, type StepState } from './step-loop.ts'

/** A batch, and where the data goes on after it: JSON for a checkpoint. */
export interface PlacedBatch<B> {
  readonly batch: B
  readonly next: StateValue
}

export interface JobEvaluation {
  /** Smaller is better: decides which model is the best. */
  readonly score: number
  /** Results by name, for log and terminal: `cer_heldout`. */
  readonly results: Readonly<Record<string, number>>
}

/** What is trained, and on what. */
export interface TrainingJob<B = unknown> {
  readonly model: StatefulModel
  readonly optimizer: Optimizer
  /** Steps of the whole run. */
  readonly steps: number
  /** Batches from a place that `PlacedBatch.next` named, or from the beginning. */
  batches(place: StateValue): AsyncIterable<PlacedBatch<B>>
  /** Samples of a batch. */
  samples(batch: B): number
  /** Records a step, submits it, and gives the loss. */
  trainStep(batch: B): Tensor
  /** Measures the model as it is; null where there is nothing to measure on. */
  readonly evaluate: (() => Promise<JobEvaluation>) | null
  /** Writes the model for use. */
  save(file: string): Promise<void>
  /** Settings on which a run depends from its beginning: a resumed run with others says so. */
  readonly settings: Readonly<Record<string, StateValue>>
  /** Reads checkpoints that an older program wrote; gives the place of the data, undefined where it is none of them. */
  restoreOlder?(checkpoint: Checkpoint & { readonly step: number }): StateValue | undefined
}

export interface TrainingRunOptions {
  /** Holds `checkpoints/step-N`, `best/` and `log.jsonl`. */
  readonly outputDir: string
  /** Where the model goes: the best so far, or the last where nothing is evaluated. */
  readonly modelFile: string
  readonly logEvery: number
  readonly saveEvery: number
  readonly evalEvery: number
  readonly keepLast: number
  readonly resume: boolean | string
  readonly stopAfterMinutes?: number
  /** What Ctrl-C prints as the way to go on. */
  readonly resumeCommand: string
  /** Called when it is certain that the run begins, before its first step. */
  begun?(): Promise<void>
  /** Messages for the user. */
  readonly say: (text: string) => void
  /** Word before the progress bar. */
  readonly label?: string
}

export interface TrainingRunResult {
  readonly step: number
  readonly steps: number
  /** Mean loss since the last entry of the log; null where no step was made. */
  readonly loss: number | null
  readonly evaluation: JobEvaluation | null
  readonly best: { readonly step: number; readonly score: number } | null
  readonly interrupted: boolean
  /** The newest checkpoint, and the best one where models are evaluated. */
  readonly latestCheckpoint: string | null
  readonly bestCheckpoint: string | null
  readonly modelFile: string
}

/** What a checkpoint says of the run besides weights, optimizer and generators. */
interface RunNotes {
  readonly place: StateValue
  readonly best: { readonly step: number; readonly score: number } | null
  readonly settings: Readonly<Record<string, StateValue>>
  readonly losses: { readonly sum: number; readonly count: number }
}

/** Trains to the end, to Ctrl-C, or to the time limit. Throws ArgumentError where `outputDir` holds a run that this one would overwrite. */
export async function runTraining<B>(job: TrainingJob<B>, options: TrainingRunOptions): Promise<TrainingRunResult> {
  return new TrainingRun(job, options).run()
}

class TrainingRun<B> {
  readonly #job: TrainingJob<B>
  readonly #options: TrainingRunOptions
  readonly #checkpoints: string
  readonly #bestDirectory: string
  #step = 0
  #place: StateValue = null
  #best: RunNotes['best'] = null
  #losses = { sum: 0, count: 0 }
  #evaluation: JobEvaluation | null = null
  #saved: string | null = null
  #progress: Progress | null = null
  #begun = performance.now()

  constructor(job: TrainingJob<B>, options: TrainingRunOptions) {
    this.#job = job
    this.#options = options
    this.#checkpoints = join(options.outputDir, 'checkpoints')
    this.#bestDirectory = join(options.outputDir, 'best')
  }

  async run(): Promise<TrainingRunResult> {
    const { outputDir, label = 'train', say, resumeCommand } = this.#options
    const { steps, optimizer } = this.#job
    await mkdir(outputDir, { recursive: true })
    await this.#begin()
    await this.#options.begun?.()
    const watch = watchInterrupts((text) => this.#say(text))
    let loss: number | null = null
    let stopped = false
    try {
      this.#progress = new Progress({ total: steps, start: this.#step, label })
      this.#begun = performance.now()
      await runSteps<PlacedBatch<B>>({
        steps,
        start: this.#step,
        batches: this.#job.batches(this.#place),
        optimizer,
        trainStep: ({ batch }) => this.#job.trainStep(batch),
        onStep: async (state) => {
          // Asked once a step: a run must not be found over after its last chance to save.
          stopped = state.step < steps && this.#isOver(watch)
          loss = await this.#afterStep(state, stopped)
          return !stopped
        },
      })
      this.#progress.stop()
      if (!stopped) await this.#finish()
    } finally {
      this.#progress?.stop()
      watch.stop()
    }
    if (stopped)
      say(`\nstopped after step ${this.#step} of ${steps}; saved ${this.#saved}\ngo on with: ${resumeCommand}`)
    return {
      step: this.#step,
      steps,
      loss,
      evaluation: this.#evaluation,
      best: this.#best,
      interrupted: stopped && watch.requested,
      latestCheckpoint: this.#saved,
      bestCheckpoint: this.#best && this.#bestDirectory,
      modelFile: this.#options.modelFile,
    }
  }

  #say(text: string): void {
    if (this.#progress) this.#progress.message(text)
    else this.#options.say(text)
  }

  #isOver(watch: InterruptWatch): boolean {
    const { stopAfterMinutes = 0 } = this.#options
    return watch.requested || (stopAfterMinutes > 0 && this.#minutes() >= stopAfterMinutes)
  }

  #minutes(): number {
    return (performance.now() - this.#begun) / 60_000
  }

  // ---- steps --------------------------------------------------------------------------------------------------------------

  /** Log, evaluation and checkpoint where they are due. Gives the mean loss since the last entry of the log. */
  async #afterStep(state: StepState<PlacedBatch<B>>, isOver: boolean): Promise<number> {
    const { logEvery, saveEvery, evalEvery } = this.#options
    const { step, loss, learningRate, batch } = state
    this.#step = step
    this.#place = batch.next
    this.#losses = { sum: this.#losses.sum + loss, count: this.#losses.count + 1 }
    this.#progress!.update({ step, loss, learningRate, samples: this.#job.samples(batch.batch) })
    const isLast = step === this.#job.steps
    const evaluates = this.#job.evaluate !== null && (step % evalEvery === 0 || isLast)
    const logs = step % logEvery === 0 || evaluates || isLast
    const mean = this.#losses.sum / this.#losses.count
    if (logs) this.#losses = { sum: 0, count: 0 }
    this.#evaluation = evaluates ? await this.#evaluate() : null
    if (logs)
      await this.#log({ step, loss: mean, learningRate, minutes: this.#minutes(), ...this.#evaluation?.results })
    if (step % saveEvery === 0 || isLast || isOver) await this.#save()
    return mean
  }

  async #log(entry: Readonly<Record<string, number>>): Promise<void> {
    await appendFile(join(this.#options.outputDir, 'log.jsonl'), `${JSON.stringify(entry)}\n`)
  }

  /** Measures, and keeps the model where it is the best so far. */
  async #evaluate(): Promise<JobEvaluation> {
    const evaluation = await this.#job.evaluate!()
    const { score, results } = evaluation
    const isBest = this.#best === null || score < this.#best.score
    const shown = Object.entries(results).map(([name, value]) => `${name} ${value.toFixed(4)}`)
    this.#say(`step ${this.#step}: ${shown.join('  ')}${isBest ? '  (best so far)' : ''}`)
    if (isBest) {
      this.#best = { step: this.#step, score }
      await saveCheckpoint(this.#bestDirectory, await this.#capture())
      await this.#job.save(this.#options.modelFile)
    }
    return evaluation
  }

  /** The last look at a run that came to its end, also where it had come there before. */
  async #finish(): Promise<void> {
    if (this.#job.evaluate && this.#evaluation === null) this.#evaluation = await this.#evaluate()
    if (this.#job.evaluate === null) await this.#job.save(this.#options.modelFile)
  }

  // ---- checkpoints --------------------------------------------------------------------------------------------------------

  #capture(): Promise<Checkpoint> {
    const notes: RunNotes = {
      place: this.#place,
      best: this.#best,
      settings: this.#job.settings,
      losses: this.#losses,
    }
    return trainingCheckpoint(this.#job, { epoch: 0, step: this.#step, extra: notes as unknown as StateValue })
  }

  async #save(): Promise<void> {
    const { keepLast, modelFile } = this.#options
    this.#saved = await saveStep(this.#checkpoints, this.#step, await this.#capture(), { keepLast })
    if (this.#job.evaluate === null) await this.#job.save(modelFile)
  }

  /** Resumes as told. A new run must not mix with an old one. */
  async #begin(): Promise<void> {
    const { resume, outputDir, resumeCommand } = this.#options
    if (resume !== false) {
      const checkpoint = await this.#findCheckpoint(resume)
      if (checkpoint) return this.#restore(checkpoint)
      if (resume !== true) throw new ArgumentError(`there is no checkpoint in '${resume}' to go on from`)
      this.#say(`there is no checkpoint in '${this.#checkpoints}' yet: starting at the beginning`)
      return
    }
    const old = await latestCheckpoint(this.#checkpoints)
    if (old) {
      throw new ArgumentError(
        `'${outputDir}' holds a run at step ${old.step}, which a new one would overwrite; go on with it:\n  ${resumeCommand}\nor give another Global.outputDir, or remove it`,
      )
    }
  }

  async #findCheckpoint(resume: string | true): Promise<(Checkpoint & { directory: string }) | undefined> {
    const onCorrupt = (directory: string, error: Error): void =>
      this.#say(`${directory} is damaged (${error.message}); trying the one before`)
    if (resume === true) return loadLatest(this.#checkpoints, onCorrupt)
    const newest = (await loadLatest(resume, onCorrupt)) ?? (await loadLatest(join(resume, 'checkpoints'), onCorrupt))
    return newest ?? { ...(await loadCheckpoint(resume)), directory: resume }
  }

  #restore(checkpoint: Checkpoint & { readonly directory: string; readonly step?: number }): void {
    const { directory } = checkpoint
    const older = this.#job.restoreOlder?.({ ...checkpoint, step: checkpoint.step ?? 0 })
    if (older !== undefined) {
      this.#step = checkpoint.step ?? 0
      this.#place = older
    } else {
      const { step, extra } = restoreTraining(checkpoint, this.#job, directory)
      const { place, best, settings, losses } = extra as unknown as RunNotes
      this.#step = step
      this.#place = place
      this.#best = best
      this.#losses = losses
      const changed = Object.entries(this.#job.settings).filter(
        ([k, v]) => JSON.stringify(v) !== JSON.stringify(settings[k]),
      )
      if (changed.length > 0)
        this.#say(`note: ${changed.map(([name]) => name).join(', ')} differ from when ${directory} was saved`)
    }
    this.#saved = directory
    this.#say(`resumed at step ${this.#step} from ${directory}`)
  }
}
