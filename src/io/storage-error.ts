/** Node's file errors as StorageErrors that say what was being done, to which file, and what to do. */
import { StorageError } from '../common/errors.ts'

const advice: Record<string, string> = {
  ENOENT: 'there is no such file or directory; check the path',
  EACCES: 'permission denied; check owner and mode',
  EPERM: 'permission denied; check owner and mode',
  EROFS: 'the file system is read-only; choose another directory',
  ENOSPC: 'the disk is full; free some space or choose another directory',
  EDQUOT: 'the disk quota is used up; free some space or choose another directory',
  EISDIR: 'this is a directory, a file is needed',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EEXIST: 'a file stands where a directory is needed; choose another path',
  EMFILE: 'too many open files; raise `ulimit -n`',
}

/** The error code of a Node error, or undefined. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** Wraps a system error; errors that are not from the system pass through unchanged. */
export function storageError(doing: string, path: string, cause: unknown): unknown {
  const code = codeOf(cause)
  if (code === undefined || cause instanceof StorageError) return cause
  const why = advice[code] ?? `${(cause as Error).message}; check the free space and the permissions of the path`
  return new StorageError(`${doing} '${path}' failed (${code}): ${why}`, { cause })
}

/** Runs `work` and rethrows what the system refuses as a StorageError. */
export async function withStorageErrors<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw storageError(doing, path, error)
  }
}
