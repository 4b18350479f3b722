/**
 * Writing so that a reader finds the old content or the new, never a mixture, whatever dies and when: everything goes to a temporary
 * sibling, is flushed to the disk, and takes its place by a rename. What a dead process left behind is removed by the next save.
 *
 * A directory cannot be renamed over another, so an old one is first moved aside (`.NAME.old-OWNER`). Between the two renames only that
 * one exists: `findDirectory` reads it there, and the next save moves it back.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fillSink, openFileSink } from './sink.ts'
import type { FileSink, OpenSink } from './sink.ts'
import { codeOf, storageError, withStorageErrors } from './storage-error.ts'

/** After this long without a change, what another machine left on a shared disk counts as abandoned. */
const FOREIGN_ORPHAN_MS = 24 * 3600 * 1000

export interface AtomicOptions {
  /** How files are written. Default: the local disk, with fsync. */
  readonly openSink?: OpenSink
}

export interface ReplaceOptions extends AtomicOptions {
  /** Called when the target exists: throws when it must not be replaced. */
  readonly checkReplaceable?: (directory: string) => Promise<void>
}

type Kind = 'new' | 'old'

/** What a save has put beside its target, and which process did. */
interface Leftover {
  readonly path: string
  readonly target: string
  readonly kind: Kind
  readonly host: string
  readonly pid: number
  readonly start: string
}

const LEFTOVER = /^\.(.+)\.(new|old)-[0-9a-z]{9,}-([0-9a-f]{8})-(\d+)-(\d*)-[0-9a-f]{8}$/

const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)

/** When a process started, in the kernel's clock ticks since boot; '' where that cannot be asked. Tells a reused process id. */
function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

/** A name beside `target` that says what it is and which process made it; later ones sort after earlier ones of the same kind. */
function siblingName(target: string, kind: Kind): string {
  const time = Date.now().toString(36).padStart(9, '0')
  const owner = [host, process.pid, startOf(process.pid), randomBytes(4).toString('hex')].join('-')
  return join(dirname(target), `.${basename(target)}.${kind}-${time}-${owner}`)
}

/** What saves have left in a directory, oldest first for each target. */
async function leftoversIn(parent: string): Promise<Leftover[]> {
  const names = await readdir(parent).catch(() => [])
  return names.sort().flatMap((name) => {
    const [, base, kind, host, pid, start] = LEFTOVER.exec(name) ?? []
    if (base === undefined) return []
    const path = join(parent, name)
    return [{ path, target: join(parent, base), kind: kind as Kind, host: host!, pid: Number(pid), start: start! }]
  })
}

async function isAbandoned(leftover: Leftover): Promise<boolean> {
  if (leftover.host !== host) {
    const age = Date.now() - (await stat(leftover.path)).mtimeMs
    return age > FOREIGN_ORPHAN_MS
  }
  try {
    process.kill(leftover.pid, 0)
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
  return leftover.start !== '' && startOf(leftover.pid) !== leftover.start
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw storageError('reading', path, error)
  }
}

/** Makes the names in a directory durable. Windows cannot open directories and needs no such step. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function removeQuietly(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {})
}

/** Removes what dead processes left in `parent`; moves old content back where a death left only that. */
export async function removeOrphans(parent: string): Promise<void> {
  // Newest first: of several old copies of one target, the last one moved aside is the one to bring back.
  for (const orphan of (await leftoversIn(resolve(parent))).reverse()) {
    if (!(await isAbandoned(orphan).catch(() => false))) continue
    if (orphan.kind === 'new' || (await exists(orphan.target))) await removeQuietly(orphan.path)
    else await rename(orphan.path, orphan.target)
  }
}

/** Where the content of `target` lies now: there, or in the copy that a killed save had moved aside. Undefined when there is none. */
export async function findDirectory(target: string): Promise<string | undefined> {
  const path = resolve(target)
  if (await exists(path)) return path
  const leftovers = await leftoversIn(dirname(path))
  // A save in progress may have put the new content in place since the first look.
  if (await exists(path)) return path
  return leftovers.findLast((leftover) => leftover.kind === 'old' && leftover.target === path)?.path
}

const running = new Map<string, Promise<unknown>>()

/** Saves of one path in this process wait for each other. */
async function inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
  const turn = (running.get(path) ?? Promise.resolve()).then(work, work)
  running.set(path, turn)
  try {
    return await turn
  } finally {
    if (running.get(path) === turn) running.delete(path)
  }
}

/** Creates one file after another in the directory being made; names have no separators. */
export type FillFile = (name: string, fill: (sink: FileSink) => Promise<void>) => Promise<void>

/**
 * Makes `target` a directory with what `fill` writes, in one step as others see it. When anything fails, `target` is what it was.
 * Throws StorageError when the disk refuses, and what `fill` and `checkReplaceable` throw.
 */
export function replaceDirectory(
  target: string,
  fill: (file: FillFile) => Promise<void>,
  options: ReplaceOptions = {},
): Promise<void> {
  const path = resolve(target)
  const { openSink = openFileSink, checkReplaceable } = options
  return inTurn(path, () =>
    withStorageErrors('saving', path, async () => {
      await mkdir(dirname(path), { recursive: true })
      await removeOrphans(dirname(path))
      if (await exists(path)) await checkReplaceable?.(path)
      const fresh = siblingName(path, 'new')
      try {
        await mkdir(fresh)
        await fill((name, write) => fillSink(openSink, join(fresh, name), write))
        await syncDirectory(fresh)
        await swapIn(fresh, path)
      } catch (error) {
        await removeQuietly(fresh)
        throw error
      }
    }),
  )
}

async function swapIn(fresh: string, path: string): Promise<void> {
  const aside = (await exists(path)) ? siblingName(path, 'old') : undefined
  if (aside !== undefined) await rename(path, aside)
  try {
    await rename(fresh, path)
  } catch (error) {
    if (aside !== undefined) await rename(aside, path)
    throw error
  }
  await syncDirectory(dirname(path))
  if (aside !== undefined) await removeQuietly(aside)
}

/** Writes one file in the same way: a temporary sibling, fsync, rename over `target`. */
export function replaceFile(
  target: string,
  fill: (sink: FileSink) => Promise<void>,
  options: AtomicOptions = {},
): Promise<void> {
  const path = resolve(target)
  return inTurn(path, () =>
    withStorageErrors('saving', path, async () => {
      await mkdir(dirname(path), { recursive: true })
      await removeOrphans(dirname(path))
      const fresh = siblingName(path, 'new')
      try {
        await fillSink(options.openSink ?? openFileSink, fresh, fill)
        await rename(fresh, path)
      } catch (error) {
        await removeQuietly(fresh)
        throw error
      }
      await syncDirectory(dirname(path))
    }),
  )
}

export interface TogetherOptions {
  /** Where the files of a `fill` that threw are kept, a directory; null: nowhere. Default: nowhere. */
  readonly keep?: (error: unknown) => string | null
  /** Files beside `target` that belong to what it held before: they go with it, unless they are written anew. */
  readonly companions?: (target: string) => Promise<readonly string[]>
}

/**
 * Writes files that belong together. `fill` makes them in a directory of their own, under the names that they are to have: it gets the path of
 * the one that is called as `target`. Once it has returned they are moved beside `target`, that one last. Where it throws, nothing that was there
 * changes. Throws StorageError when the disk refuses, and what `fill` throws.
 */
export function replaceTogether<T>(
  target: string,
  fill: (path: string) => Promise<T>,
  { keep, companions }: TogetherOptions = {},
): Promise<T> {
  const path = resolve(target)
  return inTurn(path, () =>
    withStorageErrors('saving', path, async () => {
      const parent = dirname(path)
      await mkdir(parent, { recursive: true })
      await removeOrphans(parent)
      const fresh = siblingName(path, 'new')
      try {
        await mkdir(fresh)
        const result = await fill(join(fresh, basename(path)))
        const names = (await readdir(fresh)).filter((name) => name !== basename(path))
        const old = (await companions?.(path)) ?? []
        for (const name of [...names, basename(path)]) await rename(join(fresh, name), join(parent, name))
        for (const file of old) if (!names.includes(basename(file))) await removeQuietly(file)
        await syncDirectory(parent)
        return result
      } catch (error) {
        const kept = keep?.(error) ?? null
        if (kept !== null) await swapIn(fresh, resolve(kept))
        throw error
      } finally {
        await removeQuietly(fresh)
      }
    }),
  )
}
