/** Batches of indices, as in `paddle.io`: from any sampler, and dealt to the ranks of a distributed run. */
import { ArgumentError, FormatError } from '../common/errors.ts'
import { RandomState } from '../common/numpy-random.ts'
import { isResumable, RandomSampler, ResumableSampler, SequenceSampler, startStateOf } from './sampler.ts'
import type { GeneratorOption, SamplerState, Sized, Sampler } from './sampler.ts'

function checkBatchSize(name: string, batchSize: number): number {
  if (!Number.isSafeInteger(batchSize) || batchSize <= 0) {
    throw new ArgumentError(`${name}: batchSize is ${batchSize}; a positive integer is needed`)
  }
  return batchSize
}

function* inBatches(indices: Iterable<number>, batchSize: number, dropLast: boolean): Generator<number[]> {
  let batch: number[] = []
  for (const index of indices) {
    batch.push(index)
    if (batch.length < batchSize) continue
    yield batch
    batch = []
  }
  if (batch.length > 0 && !dropLast) yield batch
}

function countBatches(samples: number, batchSize: number, dropLast: boolean): number {
  return dropLast ? Math.floor(samples / batchSize) : Math.ceil(samples / batchSize)
}

export interface BatchSamplerOptions extends GeneratorOption {
  /** What is visited; give this or `sampler`. */
  readonly dataset?: Sized
  /** The order in which it is visited. Default: in sequence, or at random with `shuffle`. */
  readonly sampler?: Sampler | (Iterable<number> & Sized)
  /** Default false. */
  readonly shuffle?: boolean
  /** Indices in a batch. Default 1. */
  readonly batchSize?: number
  /** Leave out a last batch that is not full. Default false. */
  readonly dropLast?: boolean
}

/** `paddle.io.BatchSampler`. Its position counts batches, whatever the sampler inside can save. */
export class BatchSampler extends ResumableSampler<number[]> {
  readonly batchSize: number
  readonly dropLast: boolean
  private readonly sampler: Iterable<number> & Sized

  constructor(options: BatchSamplerOptions) {
    super()
    const { dataset, sampler, shuffle = false, batchSize = 1, dropLast = false, generator } = options
    if ((dataset === undefined) === (sampler === undefined)) {
      throw new ArgumentError('BatchSampler: give either a dataset or a sampler')
    }
    if (sampler !== undefined && shuffle)
      throw new ArgumentError('BatchSampler: shuffle is for a dataset; the sampler decides the order')
    this.batchSize = checkBatchSize('BatchSampler', batchSize)
    this.dropLast = dropLast
    this.sampler = sampler ?? (shuffle ? new RandomSampler(dataset!, { generator }) : new SequenceSampler(dataset!))
  }

  get length(): number {
    return countBatches(this.sampler.length, this.batchSize, this.dropLast)
  }

  protected begin(): Iterable<number[]> {
    return inBatches(this.sampler, this.batchSize, this.dropLast)
  }

  protected saveSource(): SamplerState | null {
    return startStateOf(this.sampler)
  }

  protected restoreSource(source: unknown): void {
    if (isResumable(this.sampler)) this.sampler.setStateDict(source as SamplerState)
  }
}

export interface DistributedBatchSamplerOptions {
  /** Indices in a batch of one rank. */
  readonly batchSize: number
  /** Number of ranks. Default: PADDLE_TRAINERS_NUM, else 1. */
  readonly numReplicas?: number
  /** This process's rank. Default: PADDLE_TRAINER_ID, else 0. */
  readonly rank?: number
  /** Default false. */
  readonly shuffle?: boolean
  /** Default false. */
  readonly dropLast?: boolean
}

function fromEnvironment(name: string, otherwise: number): number {
  const text = globalThis.process?.env[name]
  return text === undefined || text === '' ? otherwise : Number(text)
}

/**
 * `paddle.io.DistributedBatchSampler`: every rank gets as many samples. The indices (in the order of `RandomState(epoch).shuffle` with `shuffle`)
 * are padded from their beginning to a multiple of the ranks; groups of `batchSize * ranks` are dealt in blocks, the rest in equal blocks.
 */
export class DistributedBatchSampler extends ResumableSampler<number[]> {
  readonly batchSize: number
  readonly dropLast: boolean
  readonly shuffle: boolean
  readonly ranks: number
  readonly rank: number
  private readonly dataset: Sized
  private epoch = 0

  constructor(dataset: Sized, options: DistributedBatchSamplerOptions) {
    super()
    const { numReplicas = fromEnvironment('PADDLE_TRAINERS_NUM', 1), rank = fromEnvironment('PADDLE_TRAINER_ID', 0) } =
      options
    if (
      !Number.isSafeInteger(numReplicas) ||
      numReplicas < 1 ||
      !Number.isSafeInteger(rank) ||
      rank < 0 ||
      rank >= numReplicas
    ) {
      throw new ArgumentError(`DistributedBatchSampler: rank ${rank} of ${numReplicas}; ranks are 0 to numReplicas - 1`)
    }
    if (dataset.length === 0) throw new ArgumentError('DistributedBatchSampler: the dataset is empty')
    this.batchSize = checkBatchSize('DistributedBatchSampler', options.batchSize)
    this.dropLast = options.dropLast ?? false
    this.shuffle = options.shuffle ?? false
    this.ranks = numReplicas
    this.rank = rank
    this.dataset = dataset
  }

  private get samplesPerRank(): number {
    return Math.ceil(this.dataset.length / this.ranks)
  }

  get length(): number {
    return countBatches(this.samplesPerRank, this.batchSize, this.dropLast)
  }

  /** The epoch that seeds the next shuffle; it counts up by itself with each pass. */
  setEpoch(epoch: number): void {
    this.epoch = epoch
  }

  protected begin(): Iterable<number[]> {
    const { batchSize, ranks, rank, dataset } = this
    const total = this.samplesPerRank * ranks
    const order = Int32Array.from({ length: total }, (_, i) => i % dataset.length)
    if (this.shuffle) {
      new RandomState(this.epoch).shuffle(order)
      this.epoch++
    }
    const rest = total % (batchSize * ranks)
    const share = rest / ranks
    const mine = new Int32Array(this.samplesPerRank)
    let filled = 0
    for (let at = rank * batchSize; at < total - rest; at += batchSize * ranks) {
      mine.set(order.subarray(at, at + batchSize), filled)
      filled += batchSize
    }
    mine.set(order.subarray(total - rest + rank * share, total - rest + (rank + 1) * share), filled)
    return inBatches(mine, batchSize, this.dropLast)
  }

  protected saveSource(): number {
    return this.epoch
  }

  protected restoreSource(source: unknown): void {
    if (!Number.isSafeInteger(source))
      throw new FormatError('DistributedBatchSampler.setStateDict: the state holds no epoch')
    this.epoch = source as number
  }
}
