/** What a dataset can ask about where it runs: the worker it is in, and a generator for the sample that is being made. */
import { RandomState } from '../common/numpy-random.ts'
import type { Dataset, IterableDataset } from './dataset.ts'

/** `paddle.io.get_worker_info()`. */
export interface WorkerInfo {
  /** 0 to numWorkers - 1. */
  readonly id: number
  readonly numWorkers: number
  /** The loader's seed + id. */
  readonly seed: number
  /** This worker's own copy. */
  readonly dataset: Dataset | IterableDataset
}

let info: WorkerInfo | null = null
let seedWords: readonly number[] | undefined
let random: RandomState | undefined

/** In a DataLoader worker: which one; null elsewhere. */
export function getWorkerInfo(): WorkerInfo | null {
  return info
}

/** Called once by a worker, before it does anything else of the user's. */
export function setWorkerInfo(worker: WorkerInfo): void {
  info = worker
}

/**
 * A generator for the sample that is being made (in `getItem`, or between two samples of `iterate`). It is seeded by the loader's seed, the
 * epoch, the batch and the place in it: number of workers, a replaced worker and a resumed run change nothing. Ask for it before the first
 * `await` of `getItem`. Outside a DataLoader it is seeded by the system.
 */
export function currentRandom(): RandomState {
  random ??= new RandomState(seedWords)
  return random
}

/** Called by the loader before each sample. */
export function setSampleSeed(words: readonly number[]): void {
  seedWords = words
  random = undefined
}
