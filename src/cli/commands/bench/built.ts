/** The built package, which is what users run: sources need a loader, which takes memory and time of its own. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freshWords, type Words } from '../../fresh-words.ts'

/**
 * Builds the repository at `folder` where this program runs from its sources. Gives the arguments of `process.execPath` for
 * `longzhou ...words` of the built package.
 */
export async function builtWords(folder: string, say: (text: string) => void): Promise<Words> {
  if (!import.meta.url.endsWith('.ts')) return freshWords
  say('building the package')
  await promisify(execFile)('npm', ['run', 'build'], { cwd: folder, maxBuffer: 16 << 20 })
  return (words) => [join(folder, 'dist/cli/main.js'), ...words]
}
