/** Iterating with workers: keeping them busy, taking results in order, and stopping at any moment. */
import { WorkerError } from '../common/errors.ts'
import type { PoolReply, WorkerPool } from './worker-pool.ts'

export type IndexBatches = Iterable<readonly number[]> & { readonly length: number }

export interface WorkerPassSettings {
  readonly seed: number
  readonly epoch: number
  /** Batches of this pass that were delivered before: they are passed over. */
  readonly position: number
  readonly prefetchFactor: number
  /** Seconds; 0 waits for ever. */
  readonly timeout: number
  /** Ends the wait for a batch. */
  readonly signal: AbortSignal
}

interface Issued {
  readonly worker: number
  readonly batch: number
  readonly reply: Promise<PoolReply>
}

/** The results of one pass, in order, whatever the speed of the workers: batch i is made by worker i mod n. */
export async function* workerResults(
  pool: WorkerPool,
  batches: IndexBatches | undefined,
  settings: WorkerPassSettings,
): AsyncGenerator<PoolReply, void, undefined> {
  const issue = batches === undefined ? issueStream(pool, settings) : issueIndices(pool, batches, settings)
  const ahead: Issued[] = []
  // A stream is produced from its beginning; what was delivered before is thrown away.
  let discard = batches === undefined ? settings.position : 0
  for (;;) {
    while (ahead.length < pool.size * settings.prefetchFactor) {
      const issued = issue.next()
      if (issued === undefined) break
      ahead.push(issued)
    }
    const head = ahead.shift()
    if (head === undefined) return
    const reply = await answerOf(head, pool, settings)
    if (reply.kind === 'end') issue.exhausted(head.worker)
    else if (discard > 0) discard--
    else yield reply
  }
}

interface Issue {
  /** Gives the next batch to a worker; undefined when there is none. */
  next(): Issued | undefined
  /** The worker's stream has ended. */
  exhausted(worker: number): void
}

function issueIndices(pool: WorkerPool, batches: IndexBatches, { seed, epoch, position }: WorkerPassSettings): Issue {
  const indices = batches[Symbol.iterator]()
  let batch = 0
  for (; batch < position; batch++) indices.next()
  return {
    next: () => {
      const { done, value } = indices.next()
      if (done === true) return undefined
      const worker = batch % pool.size
      const reply = pool.submit(worker, { seed, epoch, batch, indices: value })
      return { worker, batch: batch++, reply }
    },
    exhausted: () => {},
  }
}

/** Each worker runs through its own stream; they take turns until all have ended. */
function issueStream(pool: WorkerPool, { seed, epoch }: WorkerPassSettings): Issue {
  const issuedTo = Array.from({ length: pool.size }, () => 0)
  const ended = new Set<number>()
  let turn = 0
  return {
    next: () => {
      if (ended.size === pool.size) return undefined
      while (ended.has(turn % pool.size)) turn++
      const worker = turn++ % pool.size
      const batch = issuedTo[worker]!++
      return { worker, batch, reply: pool.submit(worker, { seed, epoch, batch, indices: null }) }
    },
    exhausted: (worker) => ended.add(worker),
  }
}

/** Waits for a batch; meanwhile the workers keep the process alive. */
async function answerOf(
  { worker, batch, reply }: Issued,
  pool: WorkerPool,
  settings: WorkerPassSettings,
): Promise<PoolReply> {
  const { timeout, signal } = settings
  let timer: NodeJS.Timeout | undefined
  let stop: (() => void) | undefined
  pool.setReferenced(true)
  try {
    const given = new Promise<never>((_, reject) => {
      stop = () => reject(new WorkerError('the iteration was stopped'))
      signal.addEventListener('abort', stop)
      if (signal.aborted) stop()
      if (timeout === 0) return
      const message =
        `DataLoader: worker ${worker} has not delivered batch ${batch} within ${timeout} s; ` +
        'raise timeout, or look for a sample that hangs'
      timer = setTimeout(() => reject(new WorkerError(message)), timeout * 1000)
    })
    return await Promise.race([reply, given])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop!)
    pool.setReferenced(false)
  }
}

/**
 * Wraps a generator so that `return()` takes effect at once, also while `next()` is waiting for a batch: a generator by itself would first wait.
 */
export class LoaderIterator<B> implements AsyncIterableIterator<B, undefined> {
  private readonly results: AsyncGenerator<B, void, undefined>
  private readonly controller = new AbortController()

  constructor(start: (signal: AbortSignal) => AsyncGenerator<B, void, undefined>) {
    this.results = start(this.controller.signal)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<B, undefined>> {
    try {
      const { done, value } = await this.results.next()
      return done === true ? { done: true, value: undefined } : { done: false, value: value as B }
    } catch (error) {
      if (this.controller.signal.aborted) return { done: true, value: undefined }
      throw error
    }
  }

  async return(): Promise<IteratorResult<B, undefined>> {
    this.controller.abort()
    await this.results.return().catch(() => {})
    return { done: true, value: undefined }
  }
}
