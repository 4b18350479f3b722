/**
 * How much memory reading a file may take. Each value charges an estimate of what it costs before it is made; nothing is given back, so
 * that no order of instructions can cost more. With the file itself, the bound is 4 times its size and 64 MiB.
 */
import { brokenPickle } from './errors.ts'

/** What values cost in V8, in bytes: the object, and the place in what holds it while that grows. */
export const COST = { slot: 24, list: 48, tuple: 72, dict: 192, entry: 64, text: 40, object: 96, memo: 24 } as const

const FIXED = 48 << 20

export class Budget {
  private left: number
  private readonly total: number

  constructor(fileBytes: number) {
    this.total = 3 * fileBytes + FIXED
    this.left = this.total
  }

  /** Throws FormatError where the file asks for more than its size allows. */
  charge(bytes: number, position: number): void {
    this.left -= bytes
    if (this.left < 0) {
      throw brokenPickle(
        `the values take more than the ${Math.round(this.total / 2 ** 20)} MiB that a file of this size may take; it is corrupt, or holds long lists that should be arrays`,
        position,
      )
    }
  }
}
