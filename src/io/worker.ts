/** The worker thread of DataLoader: makes its own dataset, then answers tasks one by one. */
import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { WorkerError } from '../common/errors.ts'
import { globalRandomState } from '../common/numpy-random.ts'
import type { Dataset, IterableDataset } from './dataset.ts'
import { FetchFailure, Fetcher } from './fetch.ts'
import { importExport, makeDataset } from './remote.ts'
import { pack, Slot } from './transport.ts'
import { setWorkerInfo } from './worker-info.ts'
import type { SentError, WorkerInit, WorkerReply, WorkerTask } from './worker-protocol.ts'

async function makeFetcher(init: WorkerInit): Promise<Fetcher> {
  const { id, numWorkers } = init
  const seed = (init.seed + id) % 2 ** 32
  globalRandomState.seed(seed)
  // Set before the dataset's module is imported: a loader that this module starts by mistake must know where it is.
  setWorkerInfo({ id, numWorkers, seed, dataset: undefined as never })
  const dataset = (await makeDataset(init.dataset)) as Dataset | IterableDataset
  setWorkerInfo({ id, numWorkers, seed, dataset })
  if (init.initFn !== undefined) await ((await importExport(init.initFn)) as (id: number) => unknown)(id)
  const collate = typeof init.collate === 'string' ? init.collate : await importExport(init.collate)
  return new Fetcher(dataset, { ...init.fetch, collate: collate as 'default' }, id)
}

function send(error: unknown, index?: number): SentError {
  if (error instanceof FetchFailure) return send(error.cause, error.index)
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: String(error), index }
  return { name: error.name, message: error.message, stack: error.stack ?? error.message, index }
}

function serve(port: MessagePort, init: WorkerInit): void {
  const generation = new Int32Array(init.generation)
  const slots = new Map<number, Slot>()
  const slotOf = (slot: number): Slot => {
    if (!slots.has(slot)) slots.set(slot, new Slot())
    return slots.get(slot)!
  }
  const post = (reply: WorkerReply) => port.postMessage(reply)

  const answer = async (fetcher: Fetcher, task: WorkerTask): Promise<void> => {
    const { id, slot } = task
    if (Atomics.load(generation, 0) !== task.generation) return post({ kind: 'dropped', id, slot, skipped: [] })
    try {
      const { kind, value, skipped } = await fetcher.fetch(task)
      if (kind !== 'batch') return post({ kind, id, slot, skipped })
      const packed = pack(value, slotOf(slot))
      try {
        post({ kind: 'batch', id, slot, packed, skipped })
      } catch (cause) {
        throw new WorkerError(`the batch holds something that cannot be sent to another thread: ${String(cause)}`, {
          cause,
        })
      }
    } catch (error) {
      post({ kind: 'error', id, slot, error: send(error) })
    }
  }

  let turn: Promise<unknown> = makeFetcher(init).catch((error: unknown) => {
    post({ kind: 'unusable', error: send(error) })
  })
  const fetcher = turn as Promise<Fetcher | undefined>
  port.on('message', (task: WorkerTask) => {
    turn = turn.then(async () => {
      const ready = await fetcher
      if (ready !== undefined) await answer(ready, task)
    })
  })
}

if (parentPort !== null) serve(parentPort, (workerData as { longzhou: WorkerInit }).longzhou)
