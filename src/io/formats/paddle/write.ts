/** Writing Paddle's inference models. */
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ArgumentError } from '../../../common/errors.ts'
import { replaceFile, type AtomicOptions } from '../../atomic.ts'
import type { OperatorProgram } from '../program/program.ts'
import { INFERENCE_CONFIG } from './inference-config.ts'
import { legacyFromProgram } from './legacy-writer.ts'
import { parameterChunks } from './parameter-file.ts'
import { serializePirProgram } from './pir-writer.ts'
import { serializeProgramDesc } from './program-desc-writer.ts'

export type PaddleFormat = 'pdmodel' | 'pir'

export interface PaddleWriteOptions extends AtomicOptions {
  /** `pdmodel` (legacy, for Paddle 2 and Paddle Lite) or `pir` (`.json`, for Paddle 3; default). */
  readonly format?: PaddleFormat
}

/**
 * Writes a program as `PATH.json` or `PATH.pdmodel`, its parameters as `PATH.pdiparams`, and the `inference.yml` of its metadata beside them.
 * Each file is replaced in one step, the program last. What cannot be written is refused before any file changes. Outputs have the names
 * `fetch_name_0`, ... in PIR; in legacy files they keep theirs. Throws FormatError, StorageError.
 * @example await writePaddleModel('out/inference', program, { format: 'pdmodel' })
 */
export async function writePaddleModel(
  path: string,
  program: OperatorProgram,
  options: PaddleWriteOptions = {},
): Promise<void> {
  const { format = 'pir' } = options
  if (format !== 'pir' && format !== 'pdmodel')
    throw new ArgumentError(`writePaddleModel: the format must be 'pir' or 'pdmodel', got '${String(format)}'`)
  const bytes =
    format === 'pir'
      ? new TextEncoder().encode(serializePirProgram(program))
      : serializeProgramDesc(legacyFromProgram(program))
  const arrays = new Map([...program.parameters].map(([name, { array }]) => [name, array] as const))
  const parameters = `${path}.pdiparams`
  // A model without parameters has no file of them: Paddle refuses an empty one.
  if (arrays.size === 0) await rm(parameters, { force: true })
  else
    await replaceFile(
      parameters,
      async (sink) => {
        for (const chunk of parameterChunks(arrays)) await sink.write(chunk)
      },
      options,
    )
  const config = program.metadata[INFERENCE_CONFIG]
  if (config !== undefined)
    await replaceFile(
      join(dirname(path), INFERENCE_CONFIG),
      (sink) => sink.write(new TextEncoder().encode(config)),
      options,
    )
  await replaceFile(`${path}.${format === 'pir' ? 'json' : 'pdmodel'}`, (sink) => sink.write(bytes), options)
}
