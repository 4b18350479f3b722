/** Makes one batch out of a dataset: what a worker does, and what the loader does itself without workers. */
import { FormatError, StorageError } from '../common/errors.ts'
import { defaultCollate, defaultConvert } from './collate.ts'
import { isIterableDataset } from './dataset.ts'
import type { Dataset, IterableDataset } from './dataset.ts'
import { tensorsToHost } from './tensor-bridge.ts'
import { setSampleSeed } from './worker-info.ts'

export interface FetchOptions {
  /** null: no batching, samples are delivered one by one. */
  readonly batchSize: number | null
  readonly dropLast: boolean
  /** `skip` leaves out samples whose file is missing or broken (StorageError, FormatError). */
  readonly onSampleError: 'fail' | 'skip'
  /** `samples`: no collation here, the list of samples is the result. */
  readonly collate: ((samples: never) => unknown) | 'default' | 'samples'
}

/** Which batch: its indices, or for a stream how many came before it in this epoch. */
export interface FetchTask {
  /** What `currentRandom()` is seeded by, with epoch, batch and place. */
  readonly seed: number
  readonly epoch: number
  readonly batch: number
  readonly indices: readonly number[] | null
}

export interface SkippedSample {
  readonly index: number
  readonly reason: string
}

export interface Fetched {
  readonly kind: 'batch' | 'empty' | 'end'
  readonly value: unknown
  readonly skipped: readonly SkippedSample[]
}

/** An error of the dataset or the collation, with the sample at which it happened. */
export class FetchFailure extends Error {
  readonly index: number | undefined

  constructor(cause: unknown, index?: number) {
    super(String(cause), { cause })
    this.index = index
  }
}

const END: Fetched = { kind: 'end', value: undefined, skipped: [] }

/** A pass through an iterable dataset, and how many batches it has given. */
interface Stream {
  readonly seed: number
  readonly epoch: number
  readonly iterator: AsyncIterator<unknown>
  batches: number
}

export class Fetcher {
  private readonly dataset: Dataset | IterableDataset
  private readonly options: FetchOptions
  private readonly workerId: number
  private stream: Stream | undefined

  constructor(dataset: Dataset | IterableDataset, options: FetchOptions, workerId = 0) {
    this.dataset = dataset
    this.options = options
    this.workerId = workerId
  }

  /** Throws FetchFailure. */
  fetch(task: FetchTask): Promise<Fetched> {
    const { dataset } = this
    return isIterableDataset(dataset) ? this.fetchNext(dataset, task) : this.fetchIndices(dataset, task)
  }

  private async fetchIndices(dataset: Dataset, { seed, epoch, batch, indices }: FetchTask): Promise<Fetched> {
    const samples: unknown[] = []
    const skipped: SkippedSample[] = []
    // One after the other, so that what a dataset draws does not depend on how long its files take.
    for (const [place, index] of (indices ?? []).entries()) {
      setSampleSeed([seed, epoch, batch, place])
      try {
        samples.push(await tensorsToHost(await dataset.getItem(index)))
      } catch (error) {
        const broken = error instanceof StorageError || error instanceof FormatError
        if (!broken || this.options.onSampleError === 'fail') throw new FetchFailure(error, index)
        skipped.push({ index, reason: error.message })
      }
    }
    return samples.length === 0 ? { kind: 'empty', value: undefined, skipped } : this.collated(samples, skipped)
  }

  private async fetchNext(dataset: IterableDataset, { seed, epoch, batch }: FetchTask): Promise<Fetched> {
    let { stream } = this
    if (stream === undefined || stream.seed !== seed || stream.epoch !== epoch || stream.batches > batch) {
      await this.close()
      stream = this.stream = { seed, epoch, batches: 0, iterator: dataset[Symbol.asyncIterator]() }
    }
    // A worker that takes the place of a dead one runs through what that one had delivered.
    while (stream.batches < batch) {
      if ((await this.pull(stream)).length === 0) return END
    }
    const samples = await this.pull(stream)
    const wanted = this.options.batchSize ?? 1
    if (samples.length === 0 || (this.options.dropLast && samples.length < wanted)) return END
    return this.collated(samples, [])
  }

  /** Ends the pass through an iterable dataset that is under way. */
  async close(): Promise<void> {
    const { stream } = this
    this.stream = undefined
    await stream?.iterator.return?.()
  }

  private async pull(stream: Stream): Promise<unknown[]> {
    const samples: unknown[] = []
    for (let place = 0; place < (this.options.batchSize ?? 1); place++) {
      setSampleSeed([stream.seed, stream.epoch, this.workerId, stream.batches, place])
      try {
        const { done, value } = await stream.iterator.next()
        if (done === true) break
        samples.push(await tensorsToHost(value))
      } catch (error) {
        throw new FetchFailure(error)
      }
    }
    stream.batches++
    return samples
  }

  private async collated(samples: readonly unknown[], skipped: readonly SkippedSample[]): Promise<Fetched> {
    if (this.options.collate === 'samples') return { kind: 'batch', value: samples, skipped }
    try {
      const value = await collateSamples(samples, this.options.collate, this.options.batchSize)
      return { kind: 'batch', value: await tensorsToHost(value), skipped }
    } catch (error) {
      throw new FetchFailure(error)
    }
  }
}

/** Applies a collate function, or the default one, to the samples of a batch; without batching, to the sample itself. */
export function collateSamples(
  samples: readonly unknown[],
  collate: ((samples: never) => unknown) | 'default',
  batchSize: number | null,
): unknown {
  const apply = collate === 'default' ? (batchSize === null ? defaultConvert : defaultCollate) : collate
  return apply((batchSize === null ? samples[0] : samples) as never)
}
