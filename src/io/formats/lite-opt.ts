/**
 * Paddle Lite's own converter, `paddle_lite_opt`, where it is installed: it fuses operators and chooses kernels for a target. It is given the legacy
 * files and started without a shell.
 */
import { execFile } from 'node:child_process'
import { access, constants, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { ArgumentError, FormatError } from '../../common/errors.ts'
import { writePaddleModel } from './paddle/index.ts'
import type { OperatorProgram } from './program/program.ts'

export const liteWriters = ['auto', 'own', 'opt'] as const
export interface LiteOptions {
  /**
   * `opt`: Paddle Lite's converter, whose file runs on its targets only; `own`: a file without fusions that runs on every target; `auto`: `opt` where it
   * is installed and its file can be read again, else `own`. Default `auto`.
   */
  readonly writer?: (typeof liteWriters)[number]
  /** For `opt`: what the file is for, in order of preference: `arm`, `x86`, `opencl`, ... Default `arm`. */
  readonly targets?: readonly string[]
}

const TARGETS = ['arm', 'x86', 'opencl', 'metal', 'xpu', 'host', 'nnadapter']
/** ms; networks of 200 MB take about a minute. */
const PATIENCE = 600_000
const run = promisify(execFile)

/** The converter at $LONGZHOU_PADDLE_LITE_OPT, or `paddle_lite_opt` on the search path; null where there is none. */
export async function findOpt(): Promise<string | null> {
  const named = process.env['LONGZHOU_PADDLE_LITE_OPT']
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((f) => f !== '')
  for (const path of named ? [named] : folders.map((f) => join(f, 'paddle_lite_opt'))) {
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return null
}

/** The file that `opt` makes of a program. Throws ArgumentError for unknown targets, FormatError with what it complains of. */
export async function convertWithOpt(
  opt: string,
  program: OperatorProgram,
  targets: readonly string[] = ['arm'],
): Promise<Uint8Array> {
  const unknown = targets.filter((t) => !TARGETS.includes(t))
  if (unknown.length > 0 || targets.length === 0)
    throw new ArgumentError(`Paddle Lite has no target '${unknown.join(', ')}'; use ${TARGETS.join(', ')}`)
  const folder = await mkdtemp(join(tmpdir(), 'longzhou-opt-'))
  try {
    await writePaddleModel(join(folder, 'inference'), program, { format: 'pdmodel' })
    if (program.parameters.size === 0) await writeFile(join(folder, 'inference.pdiparams'), '')
    const args = [
      `--model_file=${join(folder, 'inference.pdmodel')}`,
      `--param_file=${join(folder, 'inference.pdiparams')}`,
      `--optimize_out=${join(folder, 'converted')}`,
      '--optimize_out_type=naive_buffer',
      `--valid_targets=${targets.join(',')}`,
    ]
    await run(opt, args, { timeout: PATIENCE, maxBuffer: 1 << 26 })
    return await readFile(join(folder, 'converted.nb'))
  } catch (cause) {
    if (cause instanceof FormatError) throw cause
    const complaint = /^.*(?:Check failed|rror:).*$/m.exec(outputOf(cause))?.[0] ?? String(cause)
    throw new FormatError(`paddle_lite_opt does not convert this model: ${complaint.trim()}`, { cause })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What a program that failed had printed. */
function outputOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { stderr = '', stdout = '' } = error as { readonly stderr?: unknown; readonly stdout?: unknown }
  return `${String(stderr)}\n${String(stdout)}`
}
