/** Programs as Paddle Lite's `.nb`: the legacy program in its container. */
import { readBytes } from '../files.ts'
import { replaceFile, type AtomicOptions } from '../atomic.ts'
import { FormatError } from '../../common/errors.ts'
import type { HostArray } from '../../common/dtype.ts'
import { parseNaiveBuffer, serializeNaiveBuffer } from './naive-buffer/naive-buffer.ts'
import { programFromLegacy } from './paddle/legacy-reader.ts'
import { legacyFromProgram } from './paddle/legacy-writer.ts'
import type { OperatorProgram } from './program/program.ts'

/** The version of Paddle Lite that files are written for; others warn and run them. */
const LITE_VERSION = 'v2.12'

/** Reads a `.nb`. Throws StorageError, FormatError. */
export async function readLiteModel(path: string): Promise<OperatorProgram> {
  const bytes = await readBytes(path)
  try {
    const { program, parameters } = parseNaiveBuffer(bytes)
    return programFromLegacy(program, new Map(Object.entries(parameters)))
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new FormatError(`'${path}': ${cause.message}`, { cause })
  }
}

/** Writes a `.nb` for any target, atomically: kernels are chosen by the runtime that loads it. Throws FormatError, StorageError. */
export async function writeLiteModel(
  program: OperatorProgram,
  path: string,
  options: AtomicOptions = {},
): Promise<void> {
  const parameters: Record<string, HostArray> = {}
  for (const [name, { array }] of program.parameters) parameters[name] = array
  const bytes = serializeNaiveBuffer({ optVersion: LITE_VERSION, program: legacyFromProgram(program), parameters })
  await replaceFile(path, (sink) => sink.write(bytes), options)
}
