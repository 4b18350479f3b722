/**
 * Writing a model so that a file is there only once it is known to compute what the model does: it is written beside its place, read again, run, and
 * moved there. What stood there before stays where a proof fails.
 */
import type { HostArray } from '../../common/dtype.ts'
import { ProofError } from '../../common/errors.ts'
import { writeChecked, type ModelFormat, type WriteOptions } from './model-files.ts'
import type { Exportable } from './program/export/record.ts'
import type { OperatorProgram } from './program/program.ts'
import { proveEqual, type Proof } from './proof.ts'

export interface ProvenOptions extends WriteOptions {
  /** Inputs to run, in order, a list for each run. */
  readonly samples: readonly (readonly HostArray[])[]
  /** Largest difference between layer and file. Default 1e-4. */
  readonly tolerance?: number
  /** Keep the files of a model whose proof fails, in the directory `PATH.failed`, to look into them. Default: they are removed. */
  readonly keepFailed?: boolean
}

export interface Saved {
  /** The file that names the model. */
  readonly path: string
  readonly proof: Proof
}

const directoryOfFailed = (target: string): string => `${target}.failed`

/**
 * Writes `program`, which was recorded from `live` or is what it runs, and proves the file equal to `live` (in evaluation). Throws ProofError where
 * they differ, ArgumentError, FormatError, StorageError; what stood at the path stays then.
 */
export async function saveProven(
  live: Exportable,
  program: OperatorProgram,
  path: string,
  format: ModelFormat | undefined,
  { samples, tolerance, keepFailed = false, ...options }: ProvenOptions,
): Promise<Saved> {
  const proofOptions = { samples, ...(tolerance === undefined ? {} : { tolerance }) }
  const keep = (error: unknown, target: string): string | null =>
    keepFailed && error instanceof ProofError ? directoryOfFailed(target) : null
  const written = await writeChecked(program, path, format, { ...options, keep }, async (file, target) => {
    try {
      return await proveEqual(live, program, file, proofOptions)
    } catch (error) {
      if (!(error instanceof ProofError)) throw error
      const where = keepFailed
        ? `what failed is in '${directoryOfFailed(target)}'`
        : 'keepFailed (--keep-failed of the command line) keeps what failed'
      throw new ProofError(`${error.message}; '${target}' was not written: ${where}`, { cause: error })
    }
  })
  return { path: written.path, proof: written.checked }
}
