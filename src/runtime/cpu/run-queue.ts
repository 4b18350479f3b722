/**
 * Tickets of the native queue as promises. The oldest run is waited for; when it has ended, all runs
 * that have finished are settled. What a run uses is referenced until then.
 */
import { IndexOutOfRangeError, InternalError, OutOfMemoryError } from '../../common/errors.ts'
import type { Settled } from '../backend.ts'
import type { NativeRuntime } from './native.ts'

/**
 * A run that has not been settled. A class, like everything that is made anew in every step and lives through its run: what object and
 * array literals make, V8 takes for long-lived after a while, and then it waits for a thorough collection.
 */
class Pending {
  readonly ticket: number
  readonly settled: Settled | undefined
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  /** Keeps what native code works on from being collected. */
  readonly uses: readonly unknown[]

  constructor(
    ticket: number,
    settled: Settled | undefined,
    resolve: () => void,
    reject: (error: Error) => void,
    uses: readonly unknown[],
  ) {
    this.ticket = ticket
    this.settled = settled
    this.resolve = resolve
    this.reject = reject
    this.uses = uses
  }
}

/** More runs than this are not left waiting: the caller then blocks until half have run. The native queue holds 2,048. */
const MAX_PENDING = 1024

export interface Submitted {
  readonly ticket: number
  /** Whether it was awaited, and has run. */
  readonly hasRun: boolean
  readonly done: Promise<void>
}

export class RunQueue {
  private readonly native: NativeRuntime
  /** In the order of their tickets. */
  private readonly pending: Pending[] = []
  /** Doors that wait for a ticket; they share the one native wait. */
  private waiters: { readonly ticket: number; readonly resolve: () => void }[] = []
  private isWaiting = false
  private lastTicket = 0

  constructor(native: NativeRuntime) {
    this.native = native
  }

  /** The ticket of the last submission. */
  get last(): number {
    return this.lastTicket
  }

  /** Whether a ticket has run. */
  hasFinished(ticket: number): boolean {
    return ticket === 0 || ticket <= this.native.finished()
  }

  /**
   * Submits by `enqueue`, which gives a ticket; `uses` stays referenced until it has run. What is `awaited` may have run when `enqueue` returns, and
   * is settled then.
   */
  submit(
    enqueue: () => number,
    settled: Settled | undefined,
    awaited: boolean,
    ...uses: readonly unknown[]
  ): Submitted {
    if (this.pending.length >= MAX_PENDING) this.waitSync(this.lastTicket - MAX_PENDING / 2)
    let ticket = enqueue()
    // The queue is full of other threads' runs.
    while (ticket === 0) {
      this.native.wait(this.native.finished() + 1)
      ticket = enqueue()
    }
    if (ticket < 0) throw new OutOfMemoryError('the CPU executor cannot get memory or a thread for another run')
    this.lastTicket = ticket
    const done = new Promise<void>((resolve, reject) =>
      this.pending.push(new Pending(ticket, settled, resolve, reject, uses)),
    )
    const finished = awaited ? this.native.finished() : 0
    const hasRun = finished >= ticket
    if (hasRun) this.settle(finished)
    else if (!this.isWaiting) this.waitForOldest()
    return { ticket, hasRun, done }
  }

  /** Resolves when a ticket has run, whatever it met. */
  async wait(ticket: number): Promise<void> {
    if (this.hasFinished(ticket)) return void this.settle()
    await new Promise<void>((resolve) => this.waiters.push({ ticket, resolve }))
  }

  /** Blocks until a ticket has run. The first fault among the runs that this settles. */
  waitSync(ticket: number): Error | null {
    if (ticket > 0) this.native.wait(ticket)
    return this.settle()
  }

  private waitForOldest(): void {
    const oldest = this.pending[0]
    this.isWaiting = oldest !== undefined
    if (!oldest) return
    this.native.waitAsync(oldest.ticket, () => {
      this.settle()
      this.waitForOldest()
    })
  }

  private settle(finished = this.native.finished()): Error | null {
    let first: Error | null = null
    for (let run = this.pending[0]; run && run.ticket <= finished; run = this.pending[0]) {
      this.pending.shift()
      const error = faultOf(this.native.status(run.ticket))
      run.settled?.(error)
      if (error) run.reject(error)
      else run.resolve()
      first ??= error
    }
    const ready = this.waiters.filter((w) => w.ticket <= finished)
    if (ready.length > 0) this.waiters = this.waiters.filter((w) => w.ticket > finished)
    for (const w of ready) w.resolve()
    return first
  }
}

function faultOf(status: number): Error | null {
  switch (status) {
    case 0:
      return null
    case 1:
      return new IndexOutOfRangeError(
        'an index given to gather, embedding, scatter or a loss lies outside the axis that it indexes; check the labels or token ids against the size of that axis',
      )
    case -1:
      return new OutOfMemoryError('the intermediates of a program do not fit in memory; use a smaller batch')
    default:
      return new InternalError(`a kernel reported the unknown fault ${status}`)
  }
}
