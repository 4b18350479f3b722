/** The array formats on disk: .npy, .npz and safetensors files. Writing is atomic; safetensors streams in both directions. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { HostArray } from '../common/dtype.ts'
import { FormatError, OutOfMemoryError } from '../common/errors.ts'
import { replaceFile } from './atomic.ts'
import type { AtomicOptions } from './atomic.ts'
import { noteRead } from './file-trace.ts'
import { bytesOf, fromBytes } from './host-array.ts'
import { parseNpy, serializeNpy } from './npy.ts'
import type { NpyReadOptions } from './npy.ts'
import type { NpzReadOptions, NpzWriteOptions } from './npz.ts'
import { layoutSafetensors, parseSafetensorsHeader, readHeaderLength } from './safetensors.ts'
import type { Safetensors } from './safetensors.ts'
import type { Digest, FileSink } from './sink.ts'
import { withStorageErrors } from './storage-error.ts'

const CHUNK = 64 << 20

/** The bytes of a file in an ArrayBuffer of their own, so that views of it are aligned. Files beyond 2 GiB too, unlike Node's `readFile`. */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return withStorageErrors('reading', path, async () => {
    const handle = await open(path, 'r')
    noteRead(path)
    try {
      const status = await handle.stat()
      // Pipes and devices have no size: they are read to their end.
      if (!status.isFile()) return new Uint8Array(await handle.readFile())
      const { size } = status
      const out = allocateBytes(size)
      let at = 0
      while (at < size) {
        const { bytesRead } = await handle.read(out, at, Math.min(CHUNK, size - at), at)
        if (bytesRead === 0) break
        at += bytesRead
      }
      return out.subarray(0, at)
    } finally {
      await handle.close()
    }
  })
}

/** Parses what `path` holds; a FormatError names the file. Throws StorageError. */
export async function parseFile<T>(path: string, parse: (bytes: Uint8Array) => T): Promise<T> {
  const bytes = await readBytes(path)
  return namingFile(path, async () => parse(bytes))
}

async function namingFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    cause.message = `'${path}': ${cause.message}`
    throw cause
  }
}

/** Reads a .npy file. Throws StorageError, FormatError. */
export function readNpy(path: string, options?: NpyReadOptions): Promise<HostArray> {
  return parseFile(path, (bytes) => parseNpy(bytes, options))
}

/** Reads a .npz file. Throws StorageError, FormatError. */
export async function readNpz(path: string, options?: NpzReadOptions): Promise<Record<string, HostArray>> {
  // Loaded when it is needed: it brings a library for zip files.
  const { parseNpz } = await import('./npz.ts')
  return parseFile(path, (bytes) => parseNpz(bytes, options))
}

export function writeNpy(path: string, array: HostArray): Promise<void> {
  return replaceFile(path, (sink) => sink.write(serializeNpy(array)))
}

export async function writeNpz(
  path: string,
  arrays: Readonly<Record<string, HostArray>>,
  options?: NpzWriteOptions,
): Promise<void> {
  const { serializeNpz } = await import('./npz.ts')
  return replaceFile(path, (sink) => sink.write(serializeNpz(arrays, options)))
}

/** Streams a safetensors file into a sink: only the header is built in memory. */
export async function streamSafetensors(
  sink: FileSink,
  tensors: Readonly<Record<string, HostArray>>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const layout = layoutSafetensors(tensors, metadata)
  await sink.write(layout.head)
  for (const [, array] of layout.tensors) {
    const bytes = bytesOf(array)
    for (let at = 0; at < bytes.byteLength; at += CHUNK) await sink.write(bytes.subarray(at, at + CHUNK))
  }
}

/** Writes a safetensors file, atomically. Throws ArgumentError, StorageError. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, HostArray>>,
  metadata?: Readonly<Record<string, string>>,
  options?: AtomicOptions,
): Promise<void> {
  return replaceFile(path, (sink) => streamSafetensors(sink, tensors, metadata), options)
}

/** Reads a safetensors file; each tensor gets a buffer of its own, read straight from the disk. Throws StorageError, FormatError. */
export async function readSafetensors(path: string): Promise<Safetensors> {
  const { tensors, metadata } = await readSafetensorsHashed(path)
  return { tensors, metadata }
}

/** The metadata of a safetensors file, without reading its tensors. Throws StorageError, FormatError. */
export async function readSafetensorsMetadata(path: string): Promise<Record<string, string>> {
  return withOpen(path, async (handle) => {
    const { size } = await handle.stat()
    return (await readHeader(sequentialReader(handle, size), size)).metadata
  })
}

/** As `readSafetensors`, and gives size and SHA-256 of the whole file, taken in the same pass. */
export function readSafetensorsHashed(path: string): Promise<Safetensors & { readonly digest: Digest }> {
  return withOpen(path, async (handle) => {
    const { size } = await handle.stat()
    const hash = createHash('sha256')
    const next = sequentialReader(handle, size, (bytes) => hash.update(bytes))
    const { entries, metadata } = await readHeader(next, size)
    const arrays: [string, HostArray][] = []
    for (const { name, dtype, shape, begin, end } of entries) {
      arrays.push([name, fromBytes(dtype, shape, await next(end - begin))])
    }
    return { tensors: Object.fromEntries(arrays), metadata, digest: { bytes: size, sha256: hash.digest('hex') } }
  })
}

function withOpen<T>(path: string, read: (handle: FileHandle) => Promise<T>): Promise<T> {
  return withStorageErrors('reading', path, async () => {
    const handle = await open(path, 'r')
    try {
      return await namingFile(path, () => read(handle))
    } finally {
      await handle.close()
    }
  })
}

type ReadNext = (length: number) => Promise<Uint8Array>

/** Reads a file of `size` bytes piece by piece, each into memory of its own; `seen` is told of all that is read. */
function sequentialReader(handle: FileHandle, size: number, seen?: (bytes: Uint8Array) => void): ReadNext {
  let position = 0
  return async (length) => {
    const out = allocateBytes(length)
    for (let at = 0; at < length;) {
      const { bytesRead } = await handle.read(out, at, Math.min(CHUNK, length - at), position)
      if (bytesRead === 0) throw new FormatError(`truncated while it was read, at byte ${position} of ${size}`)
      seen?.(out.subarray(at, at + bytesRead))
      at += bytesRead
      position += bytesRead
    }
    return out
  }
}

async function readHeader(next: ReadNext, size: number): Promise<ReturnType<typeof parseSafetensorsHeader>> {
  const headerLength = readHeaderLength(await next(Math.min(8, size)), size)
  return parseSafetensorsHeader(await next(headerLength), size - 8 - headerLength)
}

function allocateBytes(length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length)
  } catch (cause) {
    throw new OutOfMemoryError(`a tensor of ${length} bytes does not fit the memory of this process`, { cause })
  }
}
