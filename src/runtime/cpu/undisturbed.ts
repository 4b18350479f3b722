/**
 * While V8 compiles what plans and first steps have run, in threads of its own, the JS thread would wait for a processor as long as it works where
 * there are two. From a plan on its threads keep off the processor on which the JS thread was when it last submitted something.
 */
import type { NativeRuntime } from './native.ts'

/** Submissions behind a plan by which V8 has compiled most of what they take. */
const SUBMISSIONS = 64
/** Milliseconds after which nobody is waited for. */
const MOST_MS = 1000

export class Undisturbed {
  readonly #native: Pick<NativeRuntime, 'keepProcessor' | 'shareProcessor'>
  #left = 0
  #timer: NodeJS.Timeout | undefined

  constructor(native: Pick<NativeRuntime, 'keepProcessor' | 'shareProcessor'>) {
    this.#native = native
  }

  /** Begins, or goes on, with a plan. */
  begin(): void {
    this.#left = SUBMISSIONS
    this.#keep()
  }

  /** Something was submitted. */
  submitted(): void {
    if (this.#left === 0) return
    this.#left--
    if (this.#left > 0) this.#keep()
    else this.#native.shareProcessor()
  }

  #keep(): void {
    this.#native.keepProcessor()
    if (this.#timer) this.#timer.refresh()
    else this.#timer = setTimeout(() => this.#end(), MOST_MS).unref()
  }

  #end(): void {
    this.#timer = undefined
    this.#left = 0
    this.#native.shareProcessor()
  }
}
