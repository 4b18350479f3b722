/**
 * How much memory reading a file may take. Each value charges an estimate of what it costs before it is made; nothing is given back, so
 * that no order of instructions can cost more. With the file itself, the bound is 4 times its size and 64 MiB.
 */
import { FormatError } from '../../common/errors.ts'

const FIXED = 48 << 20

export class Budget {
  private left: number
  private readonly total: number

  private readonly what: string

  /** `what` begins the messages of errors. */
  constructor(fileBytes: number, what: string) {
    this.what = what
    this.total = 3 * fileBytes + FIXED
    this.left = this.total
  }

  /** Throws FormatError where the file asks for more than its size allows. */
  charge(bytes: number, position: number): void {
    this.left -= bytes
    if (this.left < 0) {
      throw new FormatError(
        `${this.what}: what it holds takes more than the ${Math.round(this.total / 2 ** 20)} MiB that a file of this size may take: it is corrupt, or holds long lists that should be arrays (at byte ${position})`,
      )
    }
  }
}
