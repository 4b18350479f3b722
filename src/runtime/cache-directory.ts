/**
 * The private directory that holds compiled kernels. What lies in it is loaded as machine code, so it belongs to this user
 * alone: created with mode 0700, and refused when somebody else owns it or may write to it.
 */
import { mkdirSync, statSync, type Stats } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { type EnvironmentVariables, processVariables, readCacheDirectory } from '../common/env.ts'
import { StorageError } from '../common/errors.ts'

/**
 * Where the cache is or would be: $LONGZHOU_CACHE_DIR, else $XDG_CACHE_HOME/longzhou, else ~/.cache/longzhou.
 * A relative XDG_CACHE_HOME is ignored, as its specification asks.
 */
export function cacheDirectoryPath(variables: EnvironmentVariables = processVariables()): string {
  const chosen = readCacheDirectory(variables)
  if (chosen !== undefined) return resolve(chosen)
  const xdg = variables['XDG_CACHE_HOME']
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'longzhou')
  return join(variables['HOME'] || homedir(), '.cache', 'longzhou')
}

/**
 * Creates the cache directory where it is missing and returns its path.
 * @throws StorageError when it cannot be made, is no directory, or is not private.
 */
export function ensureCacheDirectory(path: string = cacheDirectoryPath()): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new StorageError(
      `cannot create the cache directory ${path} (${(cause as Error).message}); set LONGZHOU_CACHE_DIR to a directory that you may write`,
      { cause },
    )
  }
  const problem = privacyProblem(path, statSync(path))
  if (problem !== undefined) throw new StorageError(`${problem.what}; ${problem.fix}`)
  return path
}

/** Why machine code from this directory is not to be trusted, with what to do; undefined where all is well. */
export function privacyProblem(
  path: string,
  stats: Pick<Stats, 'uid' | 'mode'>,
): { what: string; fix: string } | undefined {
  const user = process.getuid?.()
  if (user === undefined) return undefined
  if (stats.uid !== user) {
    return {
      what: `the cache directory ${path} belongs to user ${stats.uid}, not to you (${user})`,
      fix: 'set LONGZHOU_CACHE_DIR to a directory of your own',
    }
  }
  if ((stats.mode & 0o022) !== 0) {
    return {
      what: `the cache directory ${path} may be written by others (mode ${formatMode(stats.mode)})`,
      // A sticky directory such as /tmp is shared on purpose.
      fix: (stats.mode & 0o1000) === 0 ? `run: chmod 700 ${path}` : `set LONGZHOU_CACHE_DIR to a directory inside it`,
    }
  }
  return undefined
}

/** The permission bits as `ls` users know them, `0700`. */
export function formatMode(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
}
