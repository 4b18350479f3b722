/** The words that start this program again in a process of its own, from sources as from a build. */
import { fileURLToPath } from 'node:url'

/** Gives the arguments of `process.execPath` for `longzhou ...words`. */
export type Words = (words: readonly string[]) => readonly string[]

/** Arguments of `process.execPath` for `longzhou ...words`. */
export function freshWords(words: readonly string[]): string[] {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const main = fileURLToPath(new URL(`./main.${extension}`, import.meta.url))
  const loader = extension === 'ts' ? ['--import', import.meta.resolve('tsx')] : []
  return [...loader, main, ...words]
}
