/** Files of the cache, written so that another process finds the old one or the new one. They are not worth waiting for the disk: one that is lost is made again. */
import { rename, rm, writeFile } from 'node:fs/promises'
import { threadId } from 'node:worker_threads'

let written = 0

/** Has `write` write a file of its own beside `path`, which then takes its place. Throws what the disk and `write` throw, leaving nothing behind. */
export async function replaceCached(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.${threadId}.${written++}.tmp`
  try {
    await write(temporary)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
}

/** The same for a text, which is nobody else's to read. */
export function replaceCachedText(path: string, text: string): Promise<void> {
  return replaceCached(path, (temporary) => writeFile(temporary, text, { mode: 0o600 }))
}
