/**
 * Runs that take less time than is worth handing over: waking the executor, then a thread that waits for it, then the event loop takes 0.1 to
 * 0.3 milliseconds of a run's time, which small networks take altogether. The JS thread computes them itself, with the pool's threads, but
 * does not keep the event loop waiting for long: between two of its turns it computes a few milliseconds, and hands over the next run.
 */

/**
 * Milliseconds of the longest run that the JS thread does itself. Runs of 3 ms took up to 1.3 times as long: every third one is handed over, and the
 * executor then shares a core with the pool's thread for a while.
 */
const LONGEST_MS = 1
/** Milliseconds of such runs after which the event loop has its turn. */
const MOST_BETWEEN_TURNS_MS = 8

export class ShortRuns {
  #sinceTurn = 0

  /** Whether a run that took `lastMs` the last time may be done here, now. */
  mayRun(lastMs: number): boolean {
    return lastMs <= LONGEST_MS && this.#sinceTurn < MOST_BETWEEN_TURNS_MS
  }

  /** A run was done here. */
  note(ms: number): void {
    if (this.#sinceTurn === 0) setImmediate(() => (this.#sinceTurn = 0))
    this.#sinceTurn += ms
  }
}
