/** What a loader and its workers say to each other. */
import type { FetchOptions, FetchTask, SkippedSample } from './fetch.ts'
import type { ModuleExport, WorkerSource } from './remote.ts'
import type { Packed } from './transport.ts'

/** What a worker starts with. */
export interface WorkerInit {
  readonly id: number
  readonly numWorkers: number
  /** The loader's; the worker's own is this + id. */
  readonly seed: number
  readonly dataset: WorkerSource
  readonly fetch: Omit<FetchOptions, 'collate'>
  readonly collate: ModuleExport | 'default' | 'samples'
  readonly initFn: ModuleExport | undefined
  /** One Int32: the generation. Tasks of earlier ones are answered without being done. */
  readonly generation: SharedArrayBuffer
}

export interface WorkerTask extends FetchTask {
  readonly id: number
  readonly generation: number
  /** Which of the worker's pieces of shared memory to answer in. */
  readonly slot: number
}

/** An error as it crosses threads. */
export interface SentError {
  readonly name: string
  readonly message: string
  readonly stack: string
  /** The sample at which it happened, where that is known. */
  readonly index: number | undefined
}

export type WorkerReply =
  | {
      readonly kind: 'batch'
      readonly id: number
      readonly slot: number
      readonly packed: Packed
      readonly skipped: readonly SkippedSample[]
    }
  | {
      readonly kind: 'empty' | 'end' | 'dropped'
      readonly id: number
      readonly slot: number
      readonly skipped: readonly SkippedSample[]
    }
  | { readonly kind: 'error'; readonly id: number; readonly slot: number; readonly error: SentError }
  /** The dataset could not be made, or workerInitFn threw: no task will be done. */
  | { readonly kind: 'unusable'; readonly error: SentError }
