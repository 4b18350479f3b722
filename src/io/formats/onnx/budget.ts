/** How many messages a file of a size may have. */
import { FormatError } from '../../../common/errors.ts'

/** A message has a size in memory even where it has none in the file: so many are free, and one more for every so many bytes. */
const FREE_MESSAGES = 200_000
const BYTES_A_MESSAGE = 64

/** Counts messages. */
export class Budget {
  #left: number

  constructor(fileBytes: number) {
    this.#left = FREE_MESSAGES + Math.floor(fileBytes / BYTES_A_MESSAGE)
  }

  spend(): void {
    if (this.#left-- <= 0)
      throw new FormatError('ONNX: more messages than a model of this size has: corrupt or hostile')
  }
}
