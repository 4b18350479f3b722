/**
 * `paddle.io.DataLoader`: batches of a dataset, made here or by worker threads ahead of time, always in order. It can save where it is in an
 * epoch, and another process goes on from there.
 */
import { ArgumentError, FormatError, WorkerError } from '../common/errors.ts'
import { RandomState } from '../common/numpy-random.ts'
import { BatchSampler } from './batch-sampler.ts'
import { isIterableDataset } from './dataset.ts'
import type { Dataset, IterableDataset } from './dataset.ts'
import { collateSamples, FetchFailure, Fetcher } from './fetch.ts'
import type { FetchOptions, SkippedSample } from './fetch.ts'
import { defaultRandomState } from './generator.ts'
import { LoaderIterator, workerResults } from './loader-iterator.ts'
import type { IndexBatches } from './loader-iterator.ts'
import { datasetSource, functionSource } from './remote.ts'
import { isResumable, startStateOf } from './sampler.ts'
import type { SamplerState } from './sampler.ts'
import { mapArrays, tensorFactory } from './tensor-bridge.ts'
import type { ToTensor } from './tensor-bridge.ts'
import { getWorkerInfo } from './worker-info.ts'
import { WorkerPool } from './worker-pool.ts'

export interface DataLoaderOptions<S = unknown> {
  /** Samples in a batch; null delivers samples one by one, as they are. Default 1. */
  readonly batchSize?: number | null
  /** Visit the samples in random order. Default false. */
  readonly shuffle?: boolean
  /** Leave out a last batch that is not full. Default false. */
  readonly dropLast?: boolean
  /** Lists of indices, one for each batch; instead of batchSize, shuffle and dropLast. */
  readonly batchSampler?: Iterable<readonly number[]> & { readonly length: number }
  /** Worker threads; 0 loads here. Default 0. */
  readonly numWorkers?: number
  /** Batches that each worker makes ahead. Default 2. */
  readonly prefetchFactor?: number
  /**
   * Makes a batch of samples. Default: `defaultCollate`. With workers, one marked by `workerFunction` runs in them, any other here.
   */
  readonly collateFn?: (samples: S[]) => unknown
  /** Called in each new worker with its id; must be marked by `workerFunction`. */
  readonly workerInitFn?: (workerId: number) => unknown
  /** Seconds to wait for a batch of a worker; 0 waits for ever. Default 0. */
  readonly timeout?: number
  /** Keep the workers for the next epoch, until `close()`. Default false. */
  readonly persistentWorkers?: boolean
  /** Seeds shuffling and `currentRandom()`. Default: drawn from NumPy's global generator, as in Paddle. */
  readonly seed?: number
  /** What a missing or broken file (StorageError, FormatError in getItem) does: end the epoch, or leave the sample out and count it. Default 'fail'. */
  readonly onSampleError?: 'fail' | 'skip'
  /** What becomes of each array of a batch. Default: what `setTensorFactory` was given. */
  readonly toTensor?: ToTensor
  /** Always true in dynamic mode, as in Paddle; accepted so that ported programs run. */
  readonly returnList?: true
}

/** Where a loader is: JSON for a checkpoint. */
export interface DataLoaderState {
  readonly epoch: number
  /** Batches delivered in this epoch. */
  readonly position: number
  readonly seed: number
  readonly sampler: SamplerState | null
}

/** Samples that were left out in this epoch. */
export interface SkippedReport {
  readonly count: number
  /** The first 1000 of them. */
  readonly samples: readonly SkippedSample[]
}

const MAX_NAMED = 1000

/**
 * Iterate it with `for await`, once for each epoch:
 *
 *     const loader = new DataLoader(dataset, { batchSize: 32, shuffle: true, numWorkers: 2, seed: 1 })
 *     for await (const [image, label] of loader) { ... }
 *
 * With `numWorkers > 0` the dataset must say how a worker makes it (`workerDataset`). Leaving the loop stops the workers.
 * Throws ArgumentError for options that do not go together; iterating throws what the dataset throws, DataLoaderError from workers.
 */
export class DataLoader<S = unknown, B = unknown> implements AsyncIterable<B> {
  readonly dataset: Dataset<S> | IterableDataset<S>
  readonly batchSampler: IndexBatches | undefined
  private readonly options: DataLoaderOptions<S>
  private seed: number | undefined
  private pool: WorkerPool | undefined
  private nextEpoch = 0
  private skip = 0
  private pass: { epoch: number; position: number; sampler: SamplerState | null } | undefined
  private skippedCount = 0
  private skippedSamples: SkippedSample[] = []

  constructor(dataset: Dataset<S> | IterableDataset<S>, options: DataLoaderOptions<S> = {}) {
    checkOptions(options, isIterableDataset(dataset))
    this.dataset = dataset
    this.options = options
    this.seed = options.seed
    if (!isIterableDataset(dataset)) {
      const { batchSize, shuffle, dropLast, seed } = options
      this.batchSampler =
        options.batchSampler ??
        new BatchSampler({
          dataset,
          shuffle,
          dropLast,
          batchSize: batchSize ?? 1,
          ...(seed === undefined ? {} : { generator: seed }),
        })
    }
  }

  /** Batches in an epoch. Throws ArgumentError for an iterable dataset, whose length is not known. */
  get length(): number {
    if (this.batchSampler === undefined) throw new ArgumentError('DataLoader: an iterable dataset has no length')
    return this.batchSampler.length
  }

  /** The samples that `onSampleError: 'skip'` left out in the current or last epoch. */
  get skipped(): SkippedReport {
    return { count: this.skippedCount, samples: this.skippedSamples }
  }

  private get baseSeed(): number {
    // A copy is drawn from: the order of the samples must not change when somebody asks for this.
    this.seed ??= defaultRandomState().clone().uint32()
    return this.seed
  }

  /** Where the epoch is that is under way (or was left); after it, where the next one begins. */
  stateDict(): DataLoaderState {
    const { pass } = this
    if (pass !== undefined) return { ...pass, seed: this.baseSeed }
    return { epoch: this.nextEpoch, position: this.skip, seed: this.baseSeed, sampler: startStateOf(this.batchSampler) }
  }

  /** The next iteration goes on where `state` was taken: the same batches, bit for bit. Throws FormatError. */
  setStateDict(state: DataLoaderState): void {
    const { epoch, position, seed, sampler } = (state ?? {}) as Partial<DataLoaderState>
    for (const number of [epoch, position, seed]) {
      if (!Number.isSafeInteger(number) || number! < 0) {
        throw new FormatError(
          'DataLoader.setStateDict: this is not a state from stateDict {epoch, position, seed, sampler}',
        )
      }
    }
    if (sampler !== null && sampler !== undefined && isResumable(this.batchSampler))
      this.batchSampler.setStateDict(sampler)
    this.nextEpoch = epoch!
    this.skip = position!
    this.seed = seed!
    this.pass = undefined
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<B> {
    return new LoaderIterator((signal) => this.run(signal)) as AsyncIterableIterator<B>
  }

  /** Ends persistent workers. */
  async close(): Promise<void> {
    const pool = this.pool
    this.pool = undefined
    await pool?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** One epoch. */
  private async *run(signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
    const pass = { epoch: this.nextEpoch, position: this.skip, sampler: startStateOf(this.batchSampler) }
    this.pass = pass
    this.nextEpoch++
    this.skip = 0
    this.skippedCount = 0
    this.skippedSamples = []
    const toTensor = this.options.toTensor ?? tensorFactory()
    const results = (this.options.numWorkers ?? 0) > 0 ? this.fromWorkers(pass, signal) : this.fromHere(pass)
    for await (const { kind, value, skipped } of results) {
      pass.position++
      this.report(skipped)
      if (kind === 'batch') yield mapArrays(value, toTensor)
    }
    if (this.pass === pass) this.pass = undefined
  }

  private report(skipped: readonly SkippedSample[]): void {
    this.skippedCount += skipped.length
    this.skippedSamples.push(...skipped.slice(0, MAX_NAMED - this.skippedSamples.length))
  }

  private fetchOptions(): Omit<FetchOptions, 'collate'> {
    const { batchSize = 1, dropLast = false, onSampleError = 'fail' } = this.options
    return { batchSize, dropLast, onSampleError }
  }

  private async *fromHere(pass: { epoch: number; position: number }) {
    const fetcher = new Fetcher(this.dataset, { ...this.fetchOptions(), collate: this.options.collateFn ?? 'default' })
    const seed = this.baseSeed
    const done = pass.position
    let batch = 0
    const next = async (indices: readonly number[] | null) => {
      try {
        return await fetcher.fetch({ seed, epoch: pass.epoch, batch, indices })
      } catch (error) {
        throw error instanceof FetchFailure ? error.cause : error
      }
    }
    try {
      if (this.batchSampler === undefined) {
        for (batch = done; ; batch++) {
          const result = await next(null)
          if (result.kind === 'end') return
          yield result
        }
      }
      for (const indices of this.batchSampler) {
        if (batch >= done) yield await next(indices)
        batch++
      }
    } finally {
      await fetcher.close()
    }
  }

  private async *fromWorkers(pass: { epoch: number; position: number }, signal: AbortSignal) {
    const { collateFn, prefetchFactor = 2, timeout = 0 } = this.options
    const pool = await this.acquirePool()
    const collateHere = collateFn !== undefined && functionSource(collateFn) === undefined ? collateFn : undefined
    try {
      const settings = {
        seed: this.baseSeed,
        epoch: pass.epoch,
        position: pass.position,
        prefetchFactor,
        timeout,
        signal,
      }
      for await (const result of workerResults(pool, this.batchSampler, settings)) {
        const { value } = result
        if (collateHere === undefined || result.kind !== 'batch') yield result
        else yield { ...result, value: await collateSamples(value as S[], collateHere, this.fetchOptions().batchSize) }
      }
    } finally {
      await this.releasePool(pool)
    }
  }

  private async acquirePool(): Promise<WorkerPool> {
    if (getWorkerInfo() !== null) {
      throw new WorkerError(
        'DataLoader: a worker tried to start workers of its own. Most often the module of the dataset is the program itself, which each ' +
          'worker imports: move the dataset to a module that only defines it',
      )
    }
    if (this.pool !== undefined && !this.pool.busy) {
      this.pool.busy = true
      return this.pool
    }
    const { collateFn, workerInitFn, numWorkers = 0 } = this.options
    const initFn = workerInitFn && functionSource(workerInitFn)
    if (workerInitFn !== undefined && initFn === undefined) {
      throw new WorkerError(
        'DataLoader: workerInitFn cannot be sent to a worker; export it from a module and mark it: ' +
          'workerFunction(import.meta.url, fn)',
      )
    }
    const collate = collateFn === undefined ? 'default' : (functionSource(collateFn) ?? 'samples')
    const dataset = await datasetSource(this.dataset)
    const pool = new WorkerPool({
      numWorkers,
      seed: this.baseSeed,
      dataset,
      fetch: this.fetchOptions(),
      collate,
      initFn,
    })
    pool.busy = true
    if (this.options.persistentWorkers) this.pool ??= pool
    return pool
  }

  /** Ends the workers, or leaves them to the next epoch with what was ahead forgotten. */
  private async releasePool(pool: WorkerPool): Promise<void> {
    if (pool !== this.pool) return pool.close()
    pool.forget()
    pool.busy = false
  }
}

/** Throws ArgumentError where NumPy's generator does not take the seed. */
function checkSeed(seed: number): RandomState {
  return new RandomState(seed)
}

function checkOptions<S>(options: DataLoaderOptions<S>, iterable: boolean): void {
  const {
    batchSize = 1,
    numWorkers = 0,
    prefetchFactor = 2,
    timeout = 0,
    batchSampler,
    shuffle,
    dropLast,
    seed,
  } = options
  const whole = (name: string, value: number, least: number) => {
    if (!Number.isSafeInteger(value) || value < least) {
      throw new ArgumentError(`DataLoader: ${name} is ${value}; an integer of at least ${least} is needed`)
    }
  }
  if (batchSize !== null) whole('batchSize', batchSize, 1)
  whole('numWorkers', numWorkers, 0)
  whole('prefetchFactor', prefetchFactor, 1)
  if (!(timeout >= 0)) throw new ArgumentError(`DataLoader: timeout is ${timeout} seconds; give 0 or more`)
  if (seed !== undefined) checkSeed(seed)
  if (batchSampler !== undefined && (batchSize !== 1 || shuffle === true || dropLast === true)) {
    throw new ArgumentError(
      'DataLoader: batchSampler decides batches and order; leave out batchSize, shuffle and dropLast',
    )
  }
  if (batchSize === null && dropLast === true)
    throw new ArgumentError('DataLoader: without batches (batchSize: null) there is no dropLast')
  if (iterable && (shuffle === true || batchSampler !== undefined)) {
    throw new ArgumentError('DataLoader: an iterable dataset has its own order; leave out shuffle and batchSampler')
  }
  if ((options.returnList as boolean | undefined) === false) {
    throw new ArgumentError('DataLoader: returnList: false is for static graphs, which are not supported; leave it out')
  }
}
