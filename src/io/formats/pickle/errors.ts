/** What goes wrong in a pickle: broken bytes, and files that ask for more than data. */
import { FormatError } from '../../../common/errors.ts'

/** A pickle that would run code, make objects of classes, or reach outside the file. Reading stops there; nothing was executed. */
export class RefusedPickleError extends FormatError {
  /** What was asked for: `GLOBAL os.system`, `INST`, `BINPERSID`, ... */
  readonly refused: string
  /** Byte at which it stands. */
  readonly position: number

  constructor(refused: string, position: number, why: string) {
    super(`pickle: refused ${refused} at byte ${position}: ${why}`)
    this.refused = refused
    this.position = position
  }
}

/** A pickle that is truncated, contradicts itself, or exceeds a limit. */
export function brokenPickle(what: string, position: number): FormatError {
  return new FormatError(`pickle: ${what} (at byte ${position})`)
}
