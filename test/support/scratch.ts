/** Places for what tests write. */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..')

/** A new directory inside the repository, out of git's sight, for what must find the repository's packages; the caller removes it. */
export function makeScratch(name: string): string {
  const parent = join(ROOT, 'out/test')
  mkdirSync(parent, { recursive: true })
  return mkdtempSync(join(parent, `${name}-`))
}
