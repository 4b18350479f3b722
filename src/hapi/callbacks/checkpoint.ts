/** ModelCheckpoint: keeps a run resumable, as `paddle.callbacks.ModelCheckpoint`. */
import { join } from 'node:path'
import { Callback } from './callback.ts'

export interface ModelCheckpointOptions {
  /** Epochs between two checkpoints. Default: the run's `saveFreq`. */
  readonly saveFreq?: number
  /** Default: the run's `saveDir`. */
  readonly saveDir?: string
  /** Steps between two checkpoints, besides those at the ends of epochs. Default: none. */
  readonly everySteps?: number
  /** Checkpoints that stay. Default 3. */
  readonly keepLast?: number
}

/**
 * Saves the whole state of training as `saveDir/step-N` every `saveFreq` epochs, and the weights as `saveDir/final.safetensors` at the end.
 * Does nothing without a directory.
 */
export class ModelCheckpoint extends Callback {
  readonly #options: ModelCheckpointOptions
  #due = false

  constructor(options: ModelCheckpointOptions = {}) {
    super()
    this.#options = options
  }

  get #directory(): string | null {
    return this.#options.saveDir ?? this.params.saveDir
  }

  async #save(): Promise<void> {
    const directory = this.#directory
    if (directory !== null) await this.model.checkpoint(directory, { keepLast: this.#options.keepLast ?? 3 })
  }

  override async onTrainBatchEnd(): Promise<void> {
    const every = this.#options.everySteps
    this.#due ||= every !== undefined && this.model.step % every === 0
    // Gradients that are still being summed are in no checkpoint.
    if (!this.#due || !this.model.hasUpdated) return
    this.#due = false
    await this.#save()
  }

  override async onEpochEnd(epoch: number): Promise<void> {
    const every = this.#options.saveFreq ?? this.params.saveFreq
    if ((epoch + 1) % every === 0 || epoch + 1 === this.params.epochs) await this.#save()
  }

  override async onTrainEnd(): Promise<void> {
    const directory = this.#directory
    if (directory !== null && !this.model.interrupted)
      await this.model.save(join(directory, 'final'), { training: false })
  }
}
