/** The native runtime library as functions: compiled once a machine, loaded once a process. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import koffi from 'koffi'
import { CompileError, OutOfMemoryError } from '../../common/errors.ts'
import { cacheDirectoryPath, ensureCacheDirectory } from '../cache-directory.ts'
import { compileSharedObjectSync, defaultCompiler, type Compiler } from '../compiler.ts'
import { detectCpuFeatures } from '../cpu-features.ts'
import { addonSource } from './addon.c.ts'
import { Completions } from './completions.ts'
import { kernelFlags } from './flags.ts'
import { runtimeSource } from './runtime.c.ts'
import { sharedMemorySource } from './shared-memory.c.ts'
import { undisturbedSource } from './undisturbed.c.ts'

/** Functions of runtime.c.ts; addresses and tickets are numbers below 2^53. */
export interface NativeRuntime {
  /**
   * Queues a program with a copy of its slots; the ticket, 0 where the queue is full, -1 where memory or threads are. `times` is where the
   * executor writes when launches ran, 0 for nowhere; `threads` how many may work for it, 0 for as many as `setThreads` says; `flushes` whether
   * it takes subnormal numbers for zero, 0 or 1. `taken` is where
   * the nanoseconds of each run of this program are written; where the last took less than `most` and no run waits, this thread runs it at once.
   */
  submit(
    code: number,
    slots: number,
    leaves: number,
    outputs: number,
    scalars: number,
    times: number,
    threads: number,
    flushes: number,
    taken: number,
    most: number,
  ): number
  copy(target: number, source: number, bytes: number): number
  /** Queues getting memory for the arena of runs to come; the ticket as for `submit`. */
  haveArena(bytes: number): number
  finished(): number
  status(ticket: number): number
  /** Blocks until a ticket has run. */
  wait(ticket: number): number
  /** Calls `done` when a ticket has run, and not before this returns; keeps the event loop alive until then. */
  waitAsync(ticket: number, done: () => void): void
  setThreads(threads: number): void
  /** Nanoseconds on the clock of the executor's times. */
  now(): number
  arenaBytes(): number
  halt(): void
  /** Asks the system for AMX's tiles, for all threads of the process: 1 where it gives them. */
  allowTiles(): number
  /** Functions of undisturbed.c.ts: threads of the engine leave the processor of this one, and may return. */
  keepProcessor(): void
  shareProcessor(): void
  load(path: string): number
  symbol(library: number, name: string): number
  loadError(): string | null
  /** Functions of shared-memory.c.ts; addresses are 0 where there is none. */
  sharedCopy(source: number, bytes: number): number
  sharedFind(key: string, bytes: number): number
  sharedAllocate(bytes: number): number
  /** Not zeroed. */
  sharedReserve(bytes: number): number
  sharedPublish(address: number, key: string): number
  sharedAlias(address: number, key: string): void
  sharedRelease(address: number): void
  sharedSerial(address: number): number
  sharedCount(): number
  sharedBytes(): number
  /** A checksum of memory. */
  checksum(address: number, bytes: number): number
  /** Reads a part of a file into memory on a thread of libuv's pool; gives the checksum of what was read, -1 where it cannot be read whole. */
  readFile(path: string, offset: number, target: number, bytes: number): Promise<number>
  /** Tells the collector that so many bytes more (or less) hang on objects of this thread. */
  weigh(bytes: number): void
}

const source = runtimeSource + sharedMemorySource + undisturbedSource + addonSource

/** Where compiled code for this machine, compiler and flags lies in a cache directory: another of either has another place. Throws StorageError. */
export function codeDirectory(cache: string = cacheDirectoryPath(), compiler: Compiler = defaultCompiler()): string {
  const { model, architecture } = detectCpuFeatures()
  const identity = [
    compiler.path,
    compiler.family,
    compiler.version,
    compiler.target,
    ...[...compiler.features].sort(),
    ...[true, false].flatMap((needsRegions) => kernelFlags(needsRegions, compiler)),
    architecture,
    model,
  ]
  const key = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 16)
  const path = join(ensureCacheDirectory(cache), `cpu-${key}`)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}

let loaded: NativeRuntime | undefined

/** @throws CompileError where it cannot be compiled or loaded. */
export function nativeRuntime(): NativeRuntime {
  return (loaded ??= openRuntime())
}

function openRuntime(): NativeRuntime {
  const digest = createHash('sha256').update(source).digest('hex').slice(0, 32)
  const path = join(codeDirectory(), `runtime-${digest}.so`)
  const isCached = existsSync(path)
  if (!isCached) compileRuntime(path)
  try {
    return open(path)
  } catch (error) {
    if (!isCached) throw new CompileError(`the native runtime ${path} cannot be loaded (${(error as Error).message})`)
    // A damaged file in the cache is replaced.
    rmSync(path, { force: true })
    compileRuntime(path)
    return open(path)
  }
}

/** What the addon offers besides functions of a library. */
interface Addon {
  weigh(bytes: number): void
  /** Takes a function that is called when runs end, and gives a handle to say when, or 0. */
  listener(told: () => void): number
}

/** As an addon of Node's, so that it knows this thread of JavaScript, and as a library of functions. */
function open(path: string): NativeRuntime {
  const addon: { exports: Partial<Addon> } = { exports: {} }
  process.dlopen(addon, path)
  const { weigh, listener } = addon.exports
  if (!weigh || !listener) throw new CompileError('this host lacks functions of Node-API that the native runtime needs')
  return bind(koffi.load(path), { weigh, listener })
}

function compileRuntime(path: string): void {
  compileSharedObjectSync(source, path, ['-O2', '-pthread', '-ldl', '-w'])
}

function bind(library: ReturnType<typeof koffi.load>, { weigh, listener }: Addon): NativeRuntime {
  library.func('void longzhou_keep_freed_memory()')()
  const finished: NativeRuntime['finished'] = library.func('double longzhou_finished()')
  const listen = library.func('void longzhou_listen(int64_t handle, double ticket)')
  const completions = new Completions(finished, (ticket) => void listen(handle, ticket))
  const handle = listener(() => completions.told())
  if (handle === 0) throw new OutOfMemoryError('there is no memory left to wait for runs')
  const readFile = library.func(
    'double longzhou_read_file(const char *path, double offset, int64_t target, int64_t bytes)',
  )
  return {
    submit: library.func(
      'double longzhou_submit(int64_t code, int64_t slots, int leaves, int outputs, int scalars, int64_t times, int threads, int flushes, int64_t taken, int64_t most)',
    ),
    copy: library.func('double longzhou_copy(int64_t target, int64_t source, int64_t bytes)'),
    haveArena: library.func('double longzhou_have_arena(int64_t bytes)'),
    finished,
    status: library.func('int longzhou_status(double ticket)'),
    wait: library.func('double longzhou_wait(double ticket)'),
    waitAsync: (ticket, done) => completions.wait(ticket, done),
    setThreads: library.func('void longzhou_set_threads(int threads)'),
    now: library.func('double longzhou_now()'),
    arenaBytes: library.func('double longzhou_arena_bytes()'),
    allowTiles: library.func('int longzhou_allow_tiles()'),
    halt: library.func('void longzhou_halt()'),
    keepProcessor: library.func('void longzhou_keep_processor()'),
    shareProcessor: library.func('void longzhou_share_processor()'),
    load: library.func('int64_t longzhou_load(const char *path)'),
    symbol: library.func('int64_t longzhou_symbol(int64_t library, const char *name)'),
    loadError: library.func('const char *longzhou_load_error()'),
    sharedCopy: library.func('int64_t longzhou_shared_copy(int64_t source, int64_t bytes)'),
    sharedFind: library.func('int64_t longzhou_shared_find(const char *key, int64_t bytes)'),
    sharedAllocate: library.func('int64_t longzhou_shared_allocate(int64_t bytes)'),
    sharedReserve: library.func('int64_t longzhou_shared_reserve(int64_t bytes)'),
    sharedPublish: library.func('int64_t longzhou_shared_publish(int64_t address, const char *key)'),
    sharedAlias: library.func('void longzhou_shared_alias(int64_t address, const char *key)'),
    sharedRelease: library.func('void longzhou_shared_release(int64_t address)'),
    sharedSerial: library.func('double longzhou_shared_serial(int64_t address)'),
    sharedCount: library.func('double longzhou_shared_count()'),
    sharedBytes: library.func('double longzhou_shared_bytes()'),
    checksum: library.func('double longzhou_checksum(int64_t address, int64_t bytes)'),
    readFile: (...given) =>
      new Promise((resolve, reject) =>
        readFile.async(...given, (error: Error | null, checksum: number) =>
          error ? reject(error) : resolve(checksum),
        ),
      ),
    weigh,
  }
}
