/**
 * What a model is, by the contents of the files that it is read from. An index by path says which files these are, and what they held when they were
 * last looked at: as long as the system says that nothing has changed, nothing is read again.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { FileTrace } from '../../io/file-trace.ts'
import { sha256 } from '../../runtime/cpu/kernel-files.ts'
import { replaceCachedText } from '../../runtime/cpu/replace.ts'
import { list, readSealed, record, seal, text } from '../../runtime/cpu/sealed.ts'

/** A file whose times are this close to when it was looked at may have changed since, with the same times. */
const RACY_NS = 2_000_000_000n
const CHUNK = 1 << 20

interface Entry {
  readonly files: readonly { readonly path: string; readonly state: string }[]
  readonly absent: readonly string[]
  /** Nanoseconds of the system's clock, as text. */
  readonly looked: string
  readonly contents: string
}

export class ModelIndex {
  readonly #directory: string

  /** `directory` is private; it is made where it is missing. */
  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /** The digest of what the files of a model hold; null where it is not known which files it has, or they are not what they were. */
  async find(model: string): Promise<string | null> {
    const entry = this.#read(model)
    if (!entry || entry.absent.some((path) => stateOf(path) !== null)) return null
    const paths = entry.files.map((f) => f.path)
    const looked = BigInt(entry.looked)
    const isSame = entry.files.every(({ path, state }) => {
      const now = stateOf(path)
      return now !== null && now.text === state && now.changed + RACY_NS < looked
    })
    if (isSame) return entry.contents
    // Copied, touched, or young: its contents tell.
    return (await this.look(model, { read: new Set(paths), absent: new Set(entry.absent) })) === entry.contents
      ? entry.contents
      : null
  }

  /** Looks at the files of a model, and keeps what was seen; the digest of what they hold, or null where they cannot be told or change meanwhile. */
  async look(model: string, { read, absent }: FileTrace): Promise<string | null> {
    const paths = [...read]
    const looked = String(BigInt(Date.now()) * 1_000_000n)
    const before = paths.map(stateOf)
    const contents = await contentsOf(paths).catch(() => null)
    const files = paths.map((path, i) => ({ path, state: before[i]?.text ?? '' }))
    if (contents === null || paths.some((path, i) => !before[i] || stateOf(path)?.text !== before[i].text)) return null
    const entry: Entry = { files, absent: [...absent], looked, contents }
    // What cannot be written is looked at again by the next process.
    await replaceCachedText(this.#pathOf(model), seal(entry)).catch(() => {})
    return contents
  }

  #pathOf(model: string): string {
    return join(this.#directory, `${sha256(resolve(model)).slice(0, 40)}.json`)
  }

  #read(model: string): Entry | null {
    const value = readSealed(this.#pathOf(model))
    if (value === null) return null
    const { files, absent, looked, contents } = record(value)
    return {
      files: list(files).map((f) => ({ path: text(record(f)['path']), state: text(record(f)['state']) })),
      absent: list(absent).map(text),
      looked: text(looked),
      contents: text(contents),
    }
  }
}

/** What changes when a file changes, and when it did; null for what is no regular file. */
function stateOf(path: string): { readonly text: string; readonly changed: bigint } | null {
  const s = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (!s?.isFile()) return null
  const changed = s.ctimeNs > s.mtimeNs ? s.ctimeNs : s.mtimeNs
  return { text: [s.dev, s.ino, s.size, s.mtimeNs, s.ctimeNs].join(' '), changed }
}

async function contentsOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  const chunk = new Uint8Array(CHUNK)
  for (const path of paths) {
    const handle = await open(path, 'r')
    try {
      hash.update(`${basename(path)} ${(await handle.stat()).size}\n`)
      for (;;) {
        const { bytesRead } = await handle.read(chunk, 0, CHUNK)
        if (bytesRead === 0) break
        hash.update(chunk.subarray(0, bytesRead))
      }
    } finally {
      await handle.close()
    }
  }
  return hash.digest('hex')
}

/** Removes entries of models that `isKept` denies. */
export function trimIndex(directory: string, isKept: (contents: string) => boolean): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    const value = readSealed(path)
    if (value === null || !isKept(text(record(value)['contents']))) rmSync(path, { force: true })
  }
}
