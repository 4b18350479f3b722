/** Programs as Paddle Lite's `.nb`: the legacy program in its container. */
import { readBytes } from '../files.ts'
import { replaceFile, type AtomicOptions } from '../atomic.ts'
import { ArgumentError, FormatError } from '../../common/errors.ts'
import type { HostArray } from '../../common/dtype.ts'
import { aboutFile } from './about-file.ts'
import { convertWithOpt, findOpt, liteWriters, type LiteOptions } from './lite-opt.ts'
import { withKernels } from './lite-kernels.ts'
import { refuseMissing, withLiteOperators } from './lite-operators.ts'
import { narrowSizes } from './lite-sizes.ts'
import { parseNaiveBuffer, serializeNaiveBuffer } from './naive-buffer/naive-buffer.ts'
import { programFromLegacy } from './paddle/legacy-reader.ts'
import { legacyFromProgram } from './paddle/legacy-writer.ts'
import { missingOperators } from './program/translated-layer.ts'
import type { OperatorProgram } from './program/program.ts'

/** The version of Paddle Lite that files are written for; others warn and run them. */
const LITE_VERSION = 'v2.12'

/** Reads a `.nb`. Throws StorageError, FormatError. */
export async function readLiteModel(path: string): Promise<OperatorProgram> {
  const bytes = await readBytes(path)
  return aboutFile(path, () => parseLiteModel(bytes))
}

function parseLiteModel(bytes: Uint8Array): OperatorProgram {
  const { program, parameters } = parseNaiveBuffer(bytes)
  return programFromLegacy(program, new Map(Object.entries(parameters)))
}

/**
 * Writes a `.nb`, atomically: with Paddle Lite's `opt` for its targets, or for any target, whose kernels are chosen by the runtime that loads it. Throws
 * ArgumentError, FormatError, StorageError.
 */
export async function writeLiteModel(
  program: OperatorProgram,
  path: string,
  options: AtomicOptions & LiteOptions = {},
): Promise<void> {
  const known = withLiteOperators(program)
  const bytes = (await convertedByOpt(known, options)) ?? ownBytes(known)
  await replaceFile(path, (sink) => sink.write(bytes), options)
}

function ownBytes(program: OperatorProgram): Uint8Array {
  const parameters: Record<string, HostArray> = {}
  for (const [name, { array }] of program.parameters) parameters[name] = array
  const written = legacyFromProgram(narrowSizes(program))
  refuseMissing(written)
  return serializeNaiveBuffer({ optVersion: LITE_VERSION, program: withKernels(written), parameters })
}

/** What `opt` makes, once it is seen that it can be read again; null where another writer is to be used. */
async function convertedByOpt(program: OperatorProgram, options: LiteOptions): Promise<Uint8Array | null> {
  const { writer = 'auto', targets } = options
  if (!liteWriters.includes(writer))
    throw new ArgumentError(`there is no writer '${String(writer)}' of .nb files; use ${liteWriters.join(', ')}`)
  if (writer === 'own') return null
  const opt = await findOpt()
  if (opt === null) {
    if (writer === 'auto') return null
    throw new ArgumentError(
      "Paddle Lite's opt is not there: install paddlelite (scripts/setup-paddlelite.sh) and put paddle_lite_opt on PATH, or name it in LONGZHOU_PADDLE_LITE_OPT",
    )
  }
  try {
    const bytes = await convertWithOpt(opt, program, targets)
    const missing = missingOperators(parseLiteModel(bytes))
    if (missing.size > 0)
      throw new FormatError(
        `what paddle_lite_opt made uses operators that are not known: ${[...missing.keys()].join(', ')}`,
      )
    return bytes
  } catch (error) {
    if (writer === 'opt' || !(error instanceof FormatError)) throw error
    return null
  }
}
