/** Where a run's batches come from, and how a batch is divided into what the network takes and what the loss takes. */
import { ArgumentError } from '../common/errors.ts'
import { DistributedBatchSampler } from '../io/batch-sampler.ts'
import { DataLoader } from '../io/dataloader.ts'
import { isIterableDataset, type Dataset, type IterableDataset } from '../io/dataset.ts'
import { Tensor } from '../tensor/tensor.ts'

/** A dataset whose samples are lists (inputs, then labels), or a DataLoader over one. */
export type RunData = Dataset<unknown> | IterableDataset<unknown> | DataLoader<unknown, unknown>

export interface LoaderOptions {
  /** Default 1. */
  readonly batchSize?: number
  readonly shuffle?: boolean
  readonly dropLast?: boolean
  /** Worker threads. Default 0. */
  readonly numWorkers?: number
}

/** The loader of a run; a dataset gets one as Paddle's Model makes it: each epoch shuffled by its number. */
export function loaderOf(data: RunData, options: LoaderOptions): DataLoader<unknown, unknown> {
  if (data instanceof DataLoader) return data
  const { batchSize = 1, shuffle = false, dropLast = false, numWorkers = 0 } = options
  if (isIterableDataset(data)) return new DataLoader<unknown, unknown>(data, { batchSize, dropLast, numWorkers })
  const batchSampler = new DistributedBatchSampler(data, { batchSize, shuffle, dropLast })
  return new DataLoader<unknown, unknown>(data, { batchSampler, numWorkers, persistentWorkers: numWorkers > 0 })
}

/** Batches in an epoch, or null where the data does not say. */
export function batchesOf(loader: DataLoader<unknown, unknown>): number | null {
  return loader.batchSampler === undefined ? null : loader.length
}

/** The tensors of a batch: a tensor, or a list of them. Throws ArgumentError. */
export function tensorsOf(batch: unknown): Tensor[] {
  if (batch instanceof Tensor) return [batch]
  if (Array.isArray(batch) && batch.every((t) => t instanceof Tensor)) return batch
  throw new ArgumentError(
    'Model: a batch must be a tensor or a list of tensors (inputs, then labels); give a collateFn that makes one, or write the loop yourself',
  )
}
