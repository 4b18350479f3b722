/** Label files of one's own pictures: read, and cleared of what cannot be trained on, before anything starts. */
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FormatError, LongzhouError } from '../../common/errors.ts'
import { configError } from '../../hapi/config/check.ts'
import type { ConfigPath, ConfigSource } from '../../hapi/config/source.ts'
import type { LabelFileSet } from './config.ts'
import type { Dictionary } from './dictionary.ts'
import { textProblem } from './line-groups.ts'
import { LabelledLines, type LabelledFile } from './lines.ts'

export interface FileList {
  readonly files: readonly LabelledFile[]
  /** Lines that were left out, with the reason. */
  readonly leftOut: readonly string[]
}

/**
 * The lines of a set's label files whose picture exists and whose text the dictionary holds. `fail`: the first other one is an error.
 * Throws ConfigError naming the key where a label file cannot be used or nothing is left.
 */
export async function listFiles(
  set: LabelFileSet,
  dictionary: Dictionary,
  onBadSample: 'skip' | 'fail',
  source: ConfigSource,
  at: ConfigPath,
): Promise<FileList> {
  const entries: LabelledFile[] = []
  for (const labelFile of [set.labelFiles].flat()) {
    try {
      entries.push(...(await LabelledLines.read(labelFile, set.dataDir ?? dirname(labelFile))))
    } catch (error) {
      if (!(error instanceof LongzhouError)) throw error
      throw configError(source, [...at, 'labelFiles'], error.message)
    }
  }
  const problems = await inChunks(entries, async ({ file, text }) => {
    const problem = textProblem(text, dictionary) ?? ((await exists(file)) ? null : 'there is no such picture')
    return problem === null ? null : `'${file}': ${problem}`
  })
  const leftOut = problems.filter((p) => p !== null)
  if (onBadSample === 'fail' && leftOut.length > 0)
    throw new FormatError(`${leftOut.length} of ${entries.length} lines cannot be used; the first: ${leftOut[0]}`)
  const files = entries.filter((_, i) => problems[i] === null)
  if (files.length === 0) {
    const why =
      leftOut.length > 0 ? `none of ${entries.length} lines can be used; the first: ${leftOut[0]}` : 'no lines'
    throw configError(source, [...at, 'labelFiles'], why)
  }
  return { files, leftOut }
}

/** Not all at once: a set may hold more pictures than a process may open. */
async function inChunks<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let i = 0; i < items.length; i += 64) results.push(...(await Promise.all(items.slice(i, i + 64).map(work))))
  return results
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
