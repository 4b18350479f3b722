/** Where a file's bytes go: sequential writing that is durable once `close` returned. Tests and remote stores put their own behind it. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { withStorageErrors } from './storage-error.ts'

const CHUNK = 64 << 20

export interface FileSink {
  /** Appends all of `bytes`; they may be changed once the promise has resolved. */
  write(bytes: Uint8Array): Promise<void>
  /** Makes everything written durable (fsync), then closes. */
  close(): Promise<void>
  /** Closes without waiting for the disk; the file is of no use. Never throws. */
  abort(): Promise<void>
}

export type OpenSink = (path: string) => Promise<FileSink>

/** A new file on the local disk. Throws StorageError when it exists or cannot be made. */
export async function openFileSink(path: string): Promise<FileSink> {
  const handle = await withStorageErrors('creating', path, () => open(path, 'wx'))
  return {
    write: (bytes) =>
      withStorageErrors('writing', path, async () => {
        for (let at = 0; at < bytes.byteLength;) {
          const { bytesWritten } = await handle.write(bytes, at, Math.min(CHUNK, bytes.byteLength - at))
          at += bytesWritten
        }
      }),
    close: () =>
      withStorageErrors('writing', path, async () => {
        await handle.sync()
        await handle.close()
      }),
    abort: () => handle.close().catch(() => {}),
  }
}

/** Writes one file through a sink: closes it when `fill` is done, abandons it when `fill` throws. */
export async function fillSink(
  openSink: OpenSink,
  path: string,
  fill: (sink: FileSink) => Promise<void>,
): Promise<void> {
  const sink = await openSink(path)
  try {
    await fill(sink)
    await sink.close()
  } catch (error) {
    await sink.abort()
    throw error
  }
}

/** What went through a sink: how many bytes, and their SHA-256 in hexadecimal. */
export interface Digest {
  readonly bytes: number
  readonly sha256: string
}

/** Wraps a sink so that what passes is counted and hashed. */
export function hashingSink(sink: FileSink): { sink: FileSink; digest: () => Digest } {
  const hash = createHash('sha256')
  let bytes = 0
  return {
    sink: {
      ...sink,
      write: async (chunk) => {
        hash.update(chunk)
        bytes += chunk.byteLength
        await sink.write(chunk)
      },
    },
    digest: () => ({ bytes, sha256: hash.digest('hex') }),
  }
}
