/**
 * How much memory may still be asked for. An operating system promises more than it has and ends the process that uses it, so that a large
 * request is held against what is there before anything is allocated.
 */
import { OutOfMemoryError } from './errors.ts'

/** Requests below this are not worth the question; engines refuse them by themselves. */
const smallBytes = 2 ** 26

let limit: number | null = null

/** Runs `body` as if the machine had `bytes` of memory left: for tests, which must not depend on the machine. */
export async function withMemoryLimit<T>(bytes: number, body: () => T | Promise<T>): Promise<T> {
  const before = limit
  limit = bytes
  try {
    return await body()
  } finally {
    limit = before
  }
}

/** Bytes that are left, as far as the host tells (Node 20.13 does, browsers do not). */
function availableBytes(): number {
  if (limit !== null) return limit
  const host = typeof process === 'undefined' ? undefined : (process as { availableMemory?: () => number })
  return host?.availableMemory?.() ?? Infinity
}

/** Throws OutOfMemoryError where `bytes` for `what` are more than is left. */
export function checkMemory(bytes: number, what: string): void {
  if (bytes < smallBytes) return
  const left = availableBytes()
  if (bytes > left)
    throw new OutOfMemoryError(
      `${what} needs ${formatBytes(bytes)}, but ${formatBytes(left)} of memory are left; use a smaller batch or shape, or free tensors`,
    )
}

/**
 * An ArrayBuffer of zeros, or as `make` makes it. Throws OutOfMemoryError, before anything is allocated where memory does not suffice.
 */
export function allocateBytes(
  bytes: number,
  what: string,
  make = (size: number): ArrayBufferLike => new ArrayBuffer(size),
): ArrayBufferLike {
  checkMemory(bytes, what)
  try {
    const memory = make(bytes)
    // A buffer may be larger than any typed array over it (2^32 elements in Node 20).
    if (bytes >= smallBytes) void new Uint8Array(memory)
    return memory
  } catch (cause) {
    throw new OutOfMemoryError(
      `${what} needs ${formatBytes(bytes)}, which the engine refuses to allocate; use a smaller batch or shape, or free tensors`,
      { cause },
    )
  }
}

function formatBytes(bytes: number): string {
  return bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
