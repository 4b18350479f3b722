/**
 * Runs that take less time than is worth handing over: waking the executor, then a thread that waits for it, then the event loop takes 0.1 to
 * 0.3 milliseconds of a run's time, which small networks take altogether. The JS thread computes them itself, with the pool's threads, but
 * does not keep the event loop waiting for long: between two of its turns it computes a few milliseconds, and hands over the next run.
 */

/**
 * Nanoseconds of the longest run that the JS thread does itself. Runs of 3 ms took up to 1.3 times as long: every third one is handed over, and the
 * executor then shares a core with the pool's thread for a while.
 */
const LONGEST_NS = 1_000_000
/** Nanoseconds of such runs after which the event loop has its turn. */
const MOST_BETWEEN_TURNS_NS = 8_000_000

export class ShortRuns {
  #sinceTurn = 0

  /** Nanoseconds that a run may have taken the last time to be done here now; 0 where none may. */
  mostNs(): number {
    return this.#sinceTurn < MOST_BETWEEN_TURNS_NS ? LONGEST_NS : 0
  }

  /** A run was done here. */
  note(ns: number): void {
    if (this.#sinceTurn === 0) setImmediate(() => (this.#sinceTurn = 0))
    this.#sinceTurn += ns
  }
}
