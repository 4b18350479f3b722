/** Which sources made a plan: they themselves, so that no change of them meets a plan of before. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Folders of src/ (of the package, once it is built) on which a plan and its kernels depend. */
const generator = ['common', 'graph', 'schedule', 'codegen', 'render', 'runtime/cpu']

/** File beside the folders of a built package with the digest of all of them: reading it is enough. */
export const SOURCES_DIGEST = 'sources.sha256'

const known = new Map<string, string>()

/** Equal for equal sources of the generator. Of a program that was bundled into one file, it is that file's. */
export function generatorVersion(): string {
  return sourcesVersion(generator)
}

/** Equal for equal sources of these folders. */
export function sourcesVersion(folders: readonly string[]): string {
  const key = folders.join()
  let version = known.get(key)
  if (version === undefined) known.set(key, (version = versionOf(folders)))
  return version
}

function versionOf(folders: readonly string[]): string {
  const root = new URL('../../', import.meta.url)
  try {
    const digest = readFileSync(new URL(SOURCES_DIGEST, root), 'utf8')
    if (/^[0-9a-f]{64}$/.test(digest)) return digest
  } catch {
    // Not a built package.
  }
  try {
    return digestSources(fileURLToPath(root), folders)
  } catch {
    return createHash('sha256')
      .update(readFileSync(fileURLToPath(import.meta.url)))
      .digest('hex')
  }
}

/** The digest of all modules below folders of `root`. */
export function digestSources(root: string, folders: readonly string[]): string {
  const hash = createHash('sha256')
  const isModule = (name: string): boolean => /\.[cm]?[jt]s$/.test(name) && !/\.(?:test|d)\.[cm]?ts$/.test(name)
  for (const folder of folders) {
    const directory = `${root}/${folder}/`
    for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(isModule).sort())
      hash.update(name).update(readFileSync(`${directory}${name}`))
  }
  return hash.digest('hex')
}
