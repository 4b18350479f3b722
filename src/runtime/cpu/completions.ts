/** Who waits for runs in this thread of JavaScript. Native code tells of the end of one run at a time: the first that somebody waits for. */

export class Completions {
  readonly #finished: () => number
  readonly #listen: (ticket: number) => void
  #waits: { readonly ticket: number; readonly done: () => void }[] = []
  /** The ticket that native code will tell of; Infinity: of none. */
  #next = Infinity

  /** `finished` gives the last ticket that has run; `listen` has `told` called, soon, when a ticket has run, or not any more for 0. */
  constructor(finished: () => number, listen: (ticket: number) => void) {
    this.#finished = finished
    this.#listen = listen
  }

  /** Calls `done` when a ticket has run, and not before this returns. */
  wait(ticket: number, done: () => void): void {
    this.#waits.push({ ticket, done })
    if (ticket < this.#next) this.#listen((this.#next = ticket))
  }

  /** What native code calls. */
  told(): void {
    const finished = this.#finished()
    const ready = this.#waits.filter((w) => w.ticket <= finished)
    this.#waits = this.#waits.filter((w) => w.ticket > finished)
    // Whoever waits again meanwhile is listened for below.
    this.#next = 0
    for (const { done } of ready) done()
    this.#next = this.#waits.reduce((least, w) => Math.min(least, w.ticket), Infinity)
    this.#listen(this.#next === Infinity ? 0 : this.#next)
  }
}
