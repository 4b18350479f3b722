/**
 * Checkpoints: a directory with one safetensors file for each group of tensors, `state.json`, and `manifest.json` with size and SHA-256 of
 * each. It is written beside its place, flushed, and renamed (atomic.ts); loading checks every byte against the manifest.
 */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError, StorageError } from '../common/errors.ts'
import { findDirectory, replaceDirectory } from './atomic.ts'
import type { AtomicOptions, FillFile } from './atomic.ts'
import { readBytes, readSafetensorsHashed, streamSafetensors } from './files.ts'
import { layoutSafetensors } from './safetensors.ts'
import { hashingSink } from './sink.ts'
import type { Digest, FileSink } from './sink.ts'
import { parseState, stringifyState } from './state-json.ts'
import type { StateValue } from './state-json.ts'
import { withStorageErrors } from './storage-error.ts'

const FORMAT = 'longzhou-checkpoint'
const VERSION = 1
const MANIFEST = 'manifest.json'
const STATE = 'state.json'
const SUFFIX = '.safetensors'
const GROUP = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/

export interface Checkpoint {
  /** Named groups of named tensors: `{model: {...}, optimizer: {...}}`. Group names become file names. */
  readonly tensors: Readonly<Record<string, Readonly<Record<string, HostArray>>>>
  /** What is no tensor: step, learning rate, generator and sampler states. */
  readonly state: StateValue
}

interface Manifest {
  readonly format: typeof FORMAT
  readonly version: number
  readonly files: Readonly<Record<string, Digest>>
}

/**
 * Saves a checkpoint as `directory`; an older one there is replaced in one step and stays whole when saving fails.
 *
 *     await saveCheckpoint('out/step-100', { tensors: { model: weights }, state: { step: 100 } })
 *
 * The arrays must not change until the promise resolves. Throws ArgumentError (a state or name that cannot be saved; `directory` exists and is
 * not a checkpoint), StorageError (disk full, no permission).
 */
export async function saveCheckpoint(
  directory: string,
  checkpoint: Checkpoint,
  options: AtomicOptions = {},
): Promise<void> {
  const state = new TextEncoder().encode(stringifyState(checkpoint.state))
  const groups = Object.entries(checkpoint.tensors)
  for (const [group, tensors] of groups) {
    if (!GROUP.test(group)) {
      throw new ArgumentError(
        `saveCheckpoint: group '${group}' cannot be a file name; use letters, digits, '_', '-' and '.'`,
      )
    }
    layoutSafetensors(tensors)
  }
  await replaceDirectory(
    directory,
    async (file) => {
      const files: Record<string, Digest> = {}
      const write = hashedWriter(file, files)
      for (const [group, tensors] of groups) await write(group + SUFFIX, (sink) => streamSafetensors(sink, tensors))
      await write(STATE, (sink) => sink.write(state))
      await file(MANIFEST, (sink) => sink.write(serializeManifest({ format: FORMAT, version: VERSION, files })))
    },
    { ...options, checkReplaceable },
  )
}

function hashedWriter(file: FillFile, files: Record<string, Digest>): FillFile {
  return async (name, fill) => {
    let digest: Digest | undefined
    await file(name, async (sink: FileSink) => {
      const hashing = hashingSink(sink)
      await fill(hashing.sink)
      digest = hashing.digest()
    })
    if (digest !== undefined) files[name] = digest
  }
}

/** Refuses to replace what is not a checkpoint, or one that somebody put other files into. */
async function checkReplaceable(directory: string): Promise<void> {
  const present = await readdir(directory)
  if (present.length === 0) return
  const refuse = (why: string, cause?: unknown) =>
    new ArgumentError(
      `saveCheckpoint: '${directory}' ${why}; nothing was changed: choose another directory or move it away`,
      {
        cause,
      },
    )
  let manifest: Manifest
  try {
    manifest = await readManifest(directory)
  } catch (cause) {
    throw refuse('exists and is not a checkpoint', cause)
  }
  const foreign = present.filter((name) => name !== MANIFEST && !Object.hasOwn(manifest.files, name))
  if (foreign.length > 0) throw refuse(`holds files that are not of the checkpoint (${foreign.slice(0, 5).join(', ')})`)
}

/**
 * Loads and verifies a checkpoint. Throws StorageError when there is none, FormatError when it is corrupt, truncated, foreign or of a newer
 * version.
 */
export async function loadCheckpoint(directory: string): Promise<Checkpoint> {
  for (let attempt = 1; ; attempt++) {
    const path = await findDirectory(directory)
    if (path === undefined) {
      throw new StorageError(`loadCheckpoint: there is no checkpoint at '${resolve(directory)}'; check the path`)
    }
    let manifest: Manifest | undefined
    try {
      manifest = await readManifest(path)
      return await loadFiles(path, manifest)
    } catch (error) {
      if (attempt === 3 || !(await wasReplaced(directory, path, manifest))) throw error
    }
  }
}

/** Whether a save has replaced the checkpoint since `manifest` was read: then what failed to load is no longer there. */
async function wasReplaced(directory: string, path: string, manifest: Manifest | undefined): Promise<boolean> {
  const now = await findDirectory(directory)
  if (now !== path) return now !== undefined
  const after = await readManifest(now).catch(() => undefined)
  return (
    after !== undefined && (manifest === undefined || !serializeManifest(after).equals(serializeManifest(manifest)))
  )
}

async function loadFiles(path: string, manifest: Manifest): Promise<Checkpoint> {
  const tensors: [string, Record<string, HostArray>][] = []
  let state: StateValue | undefined
  for (const [name, expected] of Object.entries(manifest.files)) {
    const file = join(path, name)
    if (name === STATE) {
      const bytes = await readMember(file, () => readBytes(file))
      check(file, expected, digestOf(bytes))
      state = parseState(Buffer.from(bytes).toString('utf8'))
    } else {
      const content = await readMember(file, () => readSafetensorsHashed(file))
      check(file, expected, content.digest)
      tensors.push([name.slice(0, -SUFFIX.length), content.tensors])
    }
  }
  if (state === undefined) throw new FormatError(`'${path}': the manifest lists no ${STATE}`)
  return { tensors: Object.fromEntries(tensors), state }
}

/** A member that the manifest lists but that is not there makes the checkpoint corrupt. */
async function readMember<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause
    throw new FormatError(`'${file}': listed in the manifest, but it cannot be read: ${cause.message}`, { cause })
  }
}

function digestOf(bytes: Uint8Array): Digest {
  return { bytes: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') }
}

function check(file: string, expected: Digest, actual: Digest): void {
  if (actual.bytes !== expected.bytes) {
    throw new FormatError(
      `'${file}': ${actual.bytes} bytes, the manifest says ${expected.bytes}: truncated or replaced`,
    )
  }
  if (actual.sha256 !== expected.sha256) throw new FormatError(`'${file}': corrupt (its SHA-256 is not the manifest's)`)
}

/** The manifest carries a checksum of itself, so that damage to it is told from damage to the files. */
function serializeManifest(manifest: Manifest): Buffer {
  const checksum = digestOf(Buffer.from(JSON.stringify(manifest))).sha256
  return Buffer.from(`${JSON.stringify({ ...manifest, checksum }, null, 1)}\n`)
}

/** Reads and checks `manifest.json` of a directory. Throws StorageError, FormatError. */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, MANIFEST)
  const text = await withStorageErrors('reading', path, async () => Buffer.from(await readBytes(path)).toString('utf8'))
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new FormatError(`'${path}': not JSON: corrupt, truncated or foreign`, { cause })
  }
  const { checksum, ...manifest } = (json ?? {}) as Partial<Manifest> & { checksum?: unknown }
  if (manifest.format !== FORMAT) throw new FormatError(`'${path}': not a checkpoint of Longzhou`)
  if (typeof manifest.version !== 'number' || manifest.version > VERSION) {
    throw new FormatError(
      `'${path}': version ${manifest.version} is newer than this program's ${VERSION}; update Longzhou`,
    )
  }
  if (digestOf(Buffer.from(JSON.stringify(manifest))).sha256 !== checksum) {
    throw new FormatError(`'${path}': corrupt (its checksum differs)`)
  }
  const { files } = manifest
  if (!isFileTable(files)) throw new FormatError(`'${path}': the table of files is not usable`)
  return { format: FORMAT, version: manifest.version, files }
}

/** Names are those that `saveCheckpoint` makes: a foreign manifest must not lead outside its directory. */
function isFileTable(files: unknown): files is Manifest['files'] {
  if (typeof files !== 'object' || files === null) return false
  return Object.entries(files as Record<string, Partial<Digest> | null>).every(([name, digest]) => {
    const named = name === STATE || (name.endsWith(SUFFIX) && GROUP.test(name.slice(0, -SUFFIX.length)))
    return named && Number.isSafeInteger(digest?.bytes) && /^[0-9a-f]{64}$/.test(digest?.sha256 ?? '')
  })
}
