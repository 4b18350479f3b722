/** Which generator made a plan: its sources themselves, so that no change of them meets a plan of before. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Folders of src/ (of the package, once it is built) on which a plan and its kernels depend. */
const folders = ['common', 'graph', 'schedule', 'codegen', 'render', 'runtime/cpu']

let known: string | undefined

/** Equal for equal sources. Of a program that was bundled into one file, it is that file's. */
export function generatorVersion(): string {
  return (known ??= digest())
}

function digest(): string {
  const hash = createHash('sha256')
  const root = new URL('../../', import.meta.url)
  const isModule = (name: string): boolean => /\.[cm]?[jt]s$/.test(name) && !/\.(?:test|d)\.[cm]?ts$/.test(name)
  try {
    for (const folder of folders) {
      const directory = fileURLToPath(new URL(`${folder}/`, root))
      for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(isModule).sort())
        hash.update(name).update(readFileSync(`${directory}${name}`))
    }
  } catch {
    hash.update(readFileSync(fileURLToPath(import.meta.url)))
  }
  return hash.digest('hex')
}
