/** Complaints about what a file holds name the file. */
import { FormatError, UnsupportedError } from '../../common/errors.ts'

/** Runs `work`; a FormatError of it says which file it is about, and stays of its kind. */
export async function aboutFile<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    const Kind = cause instanceof UnsupportedError ? UnsupportedError : FormatError
    throw new Kind(`'${file}': ${cause.message}`, { cause })
  }
}
