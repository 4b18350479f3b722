/**
 * The workers of one DataLoader. Each answers its tasks in order. A worker that dies is replaced: the batch at which it died is issued once
 * more, those that waited behind it as if nothing had happened; a batch at which two workers die is an error.
 */
import type { Worker } from 'node:worker_threads'
import { WorkerError } from '../common/errors.ts'
import type { FetchTask, SkippedSample } from './fetch.ts'
import { unpack } from './transport.ts'
import { launchWorker } from './worker-launch.ts'
import type { SentError, WorkerInit, WorkerReply, WorkerTask } from './worker-protocol.ts'

export interface PoolReply {
  readonly kind: 'batch' | 'empty' | 'end' | 'dropped'
  readonly value: unknown
  readonly skipped: readonly SkippedSample[]
}

interface Pending {
  readonly task: WorkerTask
  readonly resolve: (reply: PoolReply) => void
  readonly reject: (error: Error) => void
  deaths: number
}

/** What happened in a worker: which worker, at which sample, and the error there (`cause`, with its own stack). */
export class DataLoaderError extends WorkerError {
  readonly workerId: number
  /** The index of the sample, where the error is one of a sample. */
  readonly index: number | undefined

  constructor(message: string, workerId: number, index?: number, cause?: Error) {
    super(message, cause === undefined ? undefined : { cause })
    this.workerId = workerId
    this.index = index
    if (cause?.stack !== undefined) this.stack += `\nin worker ${workerId}: ${cause.stack}`
  }
}

function received(error: SentError, workerId: number, what: string): DataLoaderError {
  const cause = new Error(error.message)
  cause.name = error.name
  cause.stack = error.stack
  const sample = error.index === undefined ? '' : ` at sample ${error.index}`
  const message = `DataLoader worker ${workerId} ${what}${sample}: ${error.name}: ${error.message}`
  return new DataLoaderError(message, workerId, error.index, cause)
}

/** One place in the pool: a thread, and the next one when that dies. */
class PoolWorker {
  private readonly init: WorkerInit
  private readonly pending = new Map<number, Pending>()
  private readonly freeSlots: number[] = []
  private slots = 0
  private thread: Worker | undefined
  private lastError: Error | undefined
  private failure: Error | undefined
  private referenced = false

  constructor(init: WorkerInit) {
    this.init = init
  }

  submit(task: Omit<WorkerTask, 'slot'>): Promise<PoolReply> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) return reject(this.failure)
      const numbered = { ...task, slot: this.freeSlots.pop() ?? this.slots++ }
      this.pending.set(task.id, { task: numbered, resolve, reject, deaths: 0 })
      if (this.thread === undefined) this.start()
      else this.thread.postMessage(numbered)
    })
  }

  /** Starts a thread and gives it all that is pending. */
  private start(): void {
    let thread: Worker
    try {
      thread = launchWorker(this.init)
    } catch (error) {
      this.fail(error as Error)
      return
    }
    this.thread = thread
    this.lastError = undefined
    thread.on('message', (reply: WorkerReply) => this.receive(reply))
    thread.on('error', (error: Error) => (this.lastError = error))
    thread.on('exit', (code) => this.replace(thread, code))
    if (!this.referenced) thread.unref()
    for (const { task } of this.pending.values()) thread.postMessage(task)
  }

  private receive(reply: WorkerReply): void {
    if (reply.kind === 'unusable') {
      this.fail(received(reply.error, this.init.id, 'could not make its dataset'))
      return
    }
    const entry = this.pending.get(reply.id)
    if (entry === undefined) return
    this.pending.delete(reply.id)
    this.freeSlots.push(reply.slot)
    if (reply.kind === 'error') entry.reject(received(reply.error, this.init.id, `failed in batch ${entry.task.batch}`))
    else {
      const value = reply.kind === 'batch' ? unpack(reply.packed) : undefined
      entry.resolve({ kind: reply.kind, value, skipped: reply.skipped })
    }
  }

  /** A thread has ended that was not asked to. It was at the oldest task. */
  private replace(thread: Worker, code: number): void {
    if (this.thread !== thread) return
    this.thread = undefined
    const [oldest] = this.pending.values()
    if (oldest === undefined || this.failure !== undefined) return
    oldest.deaths++
    if (oldest.deaths > 1) {
      this.pending.delete(oldest.task.id)
      this.freeSlots.push(oldest.task.slot)
      oldest.reject(this.deathOf(oldest, code))
    }
    if (this.pending.size > 0) this.start()
  }

  private deathOf({ task }: Pending, code: number): DataLoaderError {
    const { id } = this.init
    const samples = task.indices === null ? '' : ` (samples ${task.indices.join(', ')})`
    const why = this.lastError === undefined ? `exit code ${code}` : `${this.lastError.name}: ${this.lastError.message}`
    const message =
      `DataLoader worker ${id} died twice at batch ${task.batch}${samples}: ${why}. Look for process.exit, a native crash or ` +
      'memory running out in the dataset'
    return new DataLoaderError(message, id, undefined, this.lastError)
  }

  /** Rejects all that is pending and all that will come. */
  private fail(error: Error): void {
    this.failure = error
    for (const entry of this.pending.values()) entry.reject(error)
    this.pending.clear()
  }

  /** Whether the thread keeps the process alive. */
  setReferenced(referenced: boolean): void {
    this.referenced = referenced
    if (referenced) this.thread?.ref()
    else this.thread?.unref()
  }

  async close(error: Error): Promise<void> {
    const thread = this.thread
    this.thread = undefined
    this.fail(error)
    await thread?.terminate()
  }
}

export class WorkerPool {
  private readonly workers: readonly PoolWorker[]
  private readonly generation: Int32Array
  private tasks = 0
  /** Set while an iterator uses the pool. */
  busy = false

  constructor(init: Omit<WorkerInit, 'id' | 'generation'>) {
    const generation = new SharedArrayBuffer(4)
    this.generation = new Int32Array(generation)
    this.workers = Array.from({ length: init.numWorkers }, (_, id) => new PoolWorker({ ...init, id, generation }))
  }

  get size(): number {
    return this.workers.length
  }

  /** Gives a task to a worker. Rejects with DataLoaderError. */
  submit(worker: number, task: FetchTask): Promise<PoolReply> {
    const reply = this.workers[worker]!.submit({ ...task, id: this.tasks++, generation: this.generation[0]! })
    // Who waits for it sees the error; what nobody waits for any more must not end the process.
    reply.catch(() => {})
    return reply
  }

  /** What was submitted so far is of no interest any more: workers pass over it. */
  forget(): void {
    Atomics.add(this.generation, 0, 1)
  }

  /** The threads keep the process alive only while somebody waits for them. */
  setReferenced(referenced: boolean): void {
    for (const worker of this.workers) worker.setReferenced(referenced)
  }

  /** Ends all threads; what was pending rejects. */
  async close(): Promise<void> {
    const error = new WorkerError('the DataLoader was closed')
    await Promise.all(this.workers.map((worker) => worker.close(error)))
  }
}
