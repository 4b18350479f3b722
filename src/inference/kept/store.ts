/**
 * Models that earlier processes have prepared, on disk beside the compiled kernels: a directory for each contents of a model's files, with a file for
 * each choice of shapes (its plan) and files of packed weights, which plans share. Predictors of such a model read no model, record no
 * network, plan and pack nothing.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { open, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { dtypes } from '../../common/dtype.ts'
import { readEnvironment } from '../../common/env.ts'
import { CompileError, FormatError } from '../../common/errors.ts'
import type { Shape } from '../../common/shape.ts'
import type { FileTrace } from '../../io/file-trace.ts'
import { cacheDirectoryPath } from '../../runtime/cache-directory.ts'
import { sourcesVersion } from '../../runtime/cpu/generator-version.ts'
import { sha256 } from '../../runtime/cpu/kernel-files.ts'
import { cpuMachine } from '../../runtime/cpu/machine.ts'
import { codeDirectory } from '../../runtime/cpu/native.ts'
import { getDevice } from '../../tensor/current-device.ts'
import type { EngineOptions, PortInfo } from '../engine.ts'
import { ModelIndex, trimIndex } from './identity.ts'
import { decodePiece, decodeRun, encodeRun, type KeptRun, type Piece } from './kept-run.ts'
import { replaceCached, replaceCachedText } from '../../runtime/cpu/replace.ts'
import { integer, list, oneOf, readSealed, record, seal, text } from '../../runtime/cpu/sealed.ts'

/** Folders of src/ on which it depends what a model's file becomes. */
const folders = [
  'common',
  'graph',
  'schedule',
  'codegen',
  'render',
  'runtime',
  'tensor',
  'nn',
  'amp',
  'io',
  'inference',
]

/** Bytes of models that are kept, and their share of the disk that stays free besides. The ones used longest ago go first. */
const mostBytes = 2 ** 32
const freeShare = 0.1

const MODEL = 'model.json'
const INDEX = 'index'

/** What a predictor tells of a model. */
export interface Ports {
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
}

/** A model that is kept, or may be. */
export class KeptModel {
  readonly directory: string
  /** Where compiled kernels lie. */
  readonly code: string
  readonly ports: Ports
  readonly #options: EngineOptions

  constructor(directory: string, code: string, ports: Ports, options: EngineOptions) {
    this.directory = directory
    this.code = code
    this.ports = ports
    this.#options = options
  }

  /** What the model is at these shapes; null where no process has kept it. */
  run(shapes: readonly Shape[]): KeptRun | null {
    const path = this.#pathOf(shapes)
    const value = readSealed(path)
    if (value === null) return null
    const run = orNull(() => decodeRun(value, this.ports.inputs, shapes))
    if (!run) rmSync(path, { force: true })
    return run
  }

  /** Forgets the run at these shapes. */
  forget(shapes: readonly Shape[]): void {
    rmSync(this.#pathOf(shapes), { force: true })
  }

  /** Forgets a file of pieces that does not hold what it should, and with it the runs that need it. */
  forgetFile(name: string): void {
    rmSync(join(this.directory, name), { force: true })
  }

  /** The pieces that runs of the model have already, by their digests; and the names of their files. */
  knownPieces(): Map<string, { readonly piece: Piece; readonly file: string }> {
    const known = new Map<string, { piece: Piece; file: string }>()
    for (const name of readdirSync(this.directory).filter((n) => n.endsWith('.run'))) {
      const value = readSealed(join(this.directory, name))
      if (value === null) continue
      orNull(() => {
        const { pieces, files } = record(value)
        for (const piece of list(pieces).map(decodePiece)) {
          const holder = text(list(files)[piece.file])
          if (existsSync(join(this.directory, holder))) known.set(piece.digest, { piece, file: holder })
        }
        return null
      })
    }
    return known
  }

  /** Writes a file of pieces, one after another; false where the disk should not hold it. */
  async writePieces(name: string, pieces: readonly Uint8Array[]): Promise<boolean> {
    const bytes = pieces.reduce((sum, p) => sum + p.length, 0)
    const disk = await statfs(this.directory)
    if (bytes > mostBytes / 2 || disk.bavail * disk.bsize - bytes < freeShare * disk.blocks * disk.bsize) return false
    trim(join(this.directory, '..'), bytes, this.directory)
    await replaceCached(join(this.directory, name), async (temporary) => {
      const handle = await open(temporary, 'wx', 0o600)
      try {
        for (const p of pieces) if (p.length > 0) await handle.writeFile(p)
        // What names the file must not be on disk before it is.
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
    return true
  }

  async write(shapes: readonly Shape[], run: KeptRun): Promise<void> {
    const { inputs, outputNames, metadata } = this.ports
    await replaceCachedText(join(this.directory, MODEL), seal({ inputs, outputNames, metadata }))
    await replaceCachedText(this.#pathOf(shapes), seal(encodeRun(run)))
  }

  #pathOf(shapes: readonly Shape[]): string {
    const { threads, precision = 'float32' } = this.#options
    const { capabilities } = cpuMachine()
    const key = { capabilities: { ...capabilities, threads: threads ?? capabilities.threads }, precision, shapes }
    return join(this.directory, `${sha256(JSON.stringify(key)).slice(0, 40)}.run`)
  }
}

/** The models that a cache directory keeps. */
export class KeptModels {
  readonly #code: string
  readonly #directory: string
  readonly #index: ModelIndex
  readonly #options: EngineOptions

  constructor(code: string, options: EngineOptions) {
    this.#code = code
    this.#directory = join(code, 'models')
    this.#index = new ModelIndex(join(this.#directory, INDEX))
    this.#options = options
  }

  /** The model at a path, where another process has kept it and its files are what they were. */
  async find(model: string): Promise<KeptModel | null> {
    const contents = await this.#index.find(model).catch(() => null)
    if (contents === null) return null
    const directory = this.#directoryOf(contents)
    const path = join(directory, MODEL)
    const value = readSealed(path)
    const ports = value === null ? null : orNull(() => portsOf(value))
    if (!ports) return null
    const now = new Date()
    // Says that it is in use. Somebody may just have removed it.
    orNull(() => utimesSync(path, now, now))
    return new KeptModel(directory, this.#code, ports, this.#options)
  }

  /** A place for the model at a path, which was read from these files; null where their contents cannot be told. */
  async make(model: string, files: FileTrace, ports: Ports): Promise<KeptModel | null> {
    const contents = await this.#index.look(model, files)
    if (contents === null) return null
    const directory = this.#directoryOf(contents)
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    return new KeptModel(directory, this.#code, ports, this.#options)
  }

  #directoryOf(contents: string): string {
    return join(this.#directory, directoryName(contents))
  }
}

/** Where models are kept for these options; null where nothing is: no path, another device, a cache that is off, stages that somebody watches. */
export function keptModels(options: EngineOptions): KeptModels | null {
  const { device = getDevice(), cache = cacheDirectoryPath() } = options
  const { planCache, debug } = readEnvironment()
  if (device !== 'cpu' || cache === false || !planCache || debug > 0) return null
  try {
    return new KeptModels(codeDirectory(cache), options)
  } catch (error) {
    // Without a compiler the device is another one.
    if (error instanceof CompileError) return null
    throw error
  }
}

function directoryName(contents: string): string {
  return createHash('sha256')
    .update(`${sourcesVersion(folders)} ${contents}`)
    .digest('hex')
    .slice(0, 40)
}

function portsOf(value: unknown): Ports {
  const { inputs, outputNames, metadata } = record(value)
  return {
    inputs: list(inputs).map((port): PortInfo => {
      const { name, dtype, shape, axisNames } = record(port)
      return {
        name: text(name),
        dtype: oneOf(dtypes, dtype),
        shape: list(shape).map((d) => integer(d, -1)),
        ...(axisNames !== undefined && { axisNames: list(axisNames).map((n) => (n === null ? null : text(n))) }),
      }
    }),
    outputNames: list(outputNames).map(text),
    metadata: Object.fromEntries(Object.entries(record(metadata)).map(([k, v]) => [k, text(v)])),
  }
}

/** Makes room for so many bytes more; `spared` stays. */
function trim(root: string, bytes: number, spared: string): void {
  const known = readdirSync(root)
    .filter((name) => name !== INDEX)
    .map((name) => {
      const directory = join(root, name)
      const sizes = readdirSync(directory).map(
        (f) => statSync(join(directory, f), { throwIfNoEntry: false })?.size ?? 0,
      )
      const used = statSync(join(directory, MODEL), { throwIfNoEntry: false }) ?? statSync(directory)
      return { directory, bytes: sizes.reduce((a, b) => a + b, 0), time: used.mtimeMs }
    })
    .sort((a, b) => a.time - b.time)
  let total = bytes + known.reduce((sum, k) => sum + k.bytes, 0)
  let hasGone = false
  for (const k of known) {
    if (total <= mostBytes) break
    if (k.directory === spared) continue
    total -= k.bytes
    rmSync(k.directory, { recursive: true, force: true })
    hasGone = true
  }
  if (hasGone) trimIndex(join(root, INDEX), (contents) => existsSync(join(root, directoryName(contents))))
}

function orNull<T>(body: () => T): T | null {
  try {
    return body()
  } catch (error) {
    if (error instanceof FormatError || (error as NodeJS.ErrnoException).code !== undefined) return null
    throw error
  }
}
