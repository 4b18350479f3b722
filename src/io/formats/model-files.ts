/** Model files of all formats: one table says what a path is, how it is read, and how it is written. */
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { HostArray } from '../../common/dtype.ts'
import { ArgumentError, FormatError, StorageError, UnsupportedError } from '../../common/errors.ts'
import { replaceTogether } from '../atomic.ts'
import { withStorageErrors } from '../storage-error.ts'
import { modelFormats, type ModelFormat } from './format-names.ts'
import type { LiteOptions } from './lite-opt.ts'
import { readLiteModel, writeLiteModel } from './lite-program.ts'
import { dataFilesOf, hasOnnxRuntime, openOnnxRuntime, readOnnxModel, writeOnnxModel } from './onnx/index.ts'
import { readPaddleModel, writePaddleModel } from './paddle/index.ts'
import { findProgramIn, USUAL_NAMES } from './paddle/read.ts'
import type { OperatorProgram } from './program/program.ts'
import { readSafetensorsProgram, writeSafetensorsProgram } from './safetensors-program.ts'

export { modelFormats, type ModelFormat }

interface FormatRow {
  readonly format: ModelFormat
  /** What the file that is named ends with. */
  readonly ending: string
  read(path: string): Promise<OperatorProgram>
  /** `path` ends with `ending`. */
  write(program: OperatorProgram, path: string, options: WriteOptions): Promise<void>
  /** Other files that belong to the model that `path` holds now; absent: there are none. */
  companions?(path: string): Promise<readonly string[]>
  /** The runtime that files of the format are made for, where it is installed here. */
  foreign?(): Promise<ForeignRuntime | null>
}

/** A runtime of somebody else's: what it makes of a file is what users of the file get. */
export interface ForeignRuntime {
  readonly name: string
  /** Opens a file of its format, or a program by way of that format in memory. Rejects with what the runtime met. */
  open(model: string | OperatorProgram): Promise<ForeignSession>
}

/** A model in a runtime of somebody else's; whoever opened it disposes it. */
export interface ForeignSession {
  /** Outputs in order, for inputs in order. Rejects with what the runtime met. */
  run(inputs: readonly HostArray[]): Promise<readonly HostArray[]>
  dispose(): Promise<void>
}

export interface WriteOptions {
  /** How `.nb` files are written. */
  readonly lite?: LiteOptions
}

const rows: readonly FormatRow[] = [
  {
    format: 'pir',
    ending: '.json',
    read: readPaddleModel,
    write: (program, path) => writePaddleModel(path.slice(0, -5), program, { format: 'pir' }),
    companions: async (path) => [`${path.slice(0, -5)}.pdiparams`],
  },
  {
    format: 'pdmodel',
    ending: '.pdmodel',
    read: readPaddleModel,
    write: (program, path) => writePaddleModel(path.slice(0, -8), program, { format: 'pdmodel' }),
    companions: async (path) => [`${path.slice(0, -8)}.pdiparams`, `${path.slice(0, -8)}.pdiparams.info`],
  },
  {
    format: 'onnx',
    ending: '.onnx',
    read: readOnnxModel,
    write: (program, path) => writeOnnxModel(program, path),
    companions: dataFilesOf,
    foreign: async () => ((await hasOnnxRuntime()) ? { name: 'ONNX Runtime', open: openOnnxRuntime } : null),
  },
  {
    format: 'safetensors',
    ending: '.safetensors',
    read: readSafetensorsProgram,
    write: (program, path) => writeSafetensorsProgram(program, path),
  },
  {
    format: 'nb',
    ending: '.nb',
    read: readLiteModel,
    write: (program, path, { lite }) => writeLiteModel(program, path, lite),
  },
]

const rowOf = (path: string): FormatRow | undefined => rows.find((r) => path.endsWith(r.ending))

/** The format that a path's ending names; undefined where it names none. */
export function formatOf(path: string): ModelFormat | undefined {
  return rowOf(path)?.format
}

/** The file that a model is written to: where `path` is a directory, `inference` in it; without the format's ending, with it. */
async function targetOf(row: FormatRow, path: string): Promise<string> {
  const isDirectory = await stat(path).then(
    (s) => s.isDirectory(),
    () => /[/\\]$/.test(path),
  )
  if (isDirectory) return join(path, `inference${row.ending}`)
  return path.endsWith(row.ending) ? path : path + row.ending
}

/**
 * Reads a model: a `.json` (PIR), `.pdmodel`, `__model__`, `.onnx`, `.safetensors` or `.nb` file, a directory that holds one, or the path of a
 * Paddle model without its ending. Throws StorageError, FormatError.
 */
export async function readModel(path: string): Promise<OperatorProgram> {
  const found = await stat(path).catch(() => null)
  const file = found?.isDirectory() ? await modelIn(path) : path
  const row = rowOf(file)
  if (row) return row.read(file)
  const what = filesOfModels.find(([endings]) => endings.some((e) => file.endsWith(e)))?.[1]
  if (found?.isFile() && what !== undefined) throw new UnsupportedError(`'${path}' is no model: it holds ${what}`)
  return found?.isFile() && !USUAL_NAMES.includes(basename(file)) ? readUnnamed(file) : readPaddleModel(file)
}

/** A file whose name tells no format: Paddle 2's, if any. */
async function readUnnamed(file: string): Promise<OperatorProgram> {
  try {
    return await readPaddleModel(file)
  } catch (cause) {
    if (!(cause instanceof FormatError) || cause instanceof UnsupportedError) throw cause
    throw new UnsupportedError(
      `'${file}' is no model: its name has none of the endings ${rows.map((r) => r.ending).join(', ')}, and it is no whole program of Paddle 2`,
      { cause },
    )
  }
}

/** Files that stand beside models, or are taken for them. */
const filesOfModels: readonly (readonly [endings: readonly string[], what: string])[] = [
  [
    ['.pdparams', '.pdopt'],
    "a training run's values without the network; build the network and give them to setStateDict(load(...)), or have Paddle export it (paddle.jit.save)",
  ],
  [
    ['.pdiparams', '.pdiparams.info'],
    'the parameters of one; name the .json or .pdmodel beside it, or their directory',
  ],
  [['.yml', '.yaml'], 'what goes with one; name the model file or its directory'],
]

/** The model file in a directory. Throws StorageError, and FormatError where it is not clear which one is meant. */
async function modelIn(directory: string): Promise<string> {
  const program = await findProgramIn(directory)
  if (program !== null) return program
  const entries = await withStorageErrors('reading', directory, () => readdir(directory, { withFileTypes: true }))
  const names = entries
    .filter((e) => !e.isDirectory() && rowOf(e.name)?.read !== readPaddleModel && rowOf(e.name))
    .map((e) => e.name)
  const usual = names.filter((n) => n.startsWith('inference.'))
  const [only, ...others] = usual.length === 1 ? usual : names
  if (only === undefined) {
    const looked = [...USUAL_NAMES, ...rows.filter((r) => r.read !== readPaddleModel).map((r) => `*${r.ending}`)]
    const folders = entries.filter((e) => e.isDirectory()).map((e) => e.name)
    const near =
      folders.length === 0
        ? ''
        : `; its directories are ${folders.slice(0, 5).join(', ')}${folders.length > 5 ? ', ...' : ''}`
    throw new StorageError(`'${directory}' holds no model; looked for ${looked.join(', ')}${near}`)
  }
  if (others.length > 0)
    throw new UnsupportedError(`'${directory}' holds ${names.length} models (${names.join(', ')}); name one of them`)
  return join(directory, only)
}

/** The runtime that a model file is made for, where it is installed here; else null. */
export async function foreignRuntimeOf(path: string): Promise<ForeignRuntime | null> {
  return (await rowOf(path)?.foreign?.()) ?? null
}

/**
 * Writes a program; returns the path of the file that names the model. Throws ArgumentError, FormatError, StorageError; what stood at `path` stays then.
 */
export async function writeModel(
  program: OperatorProgram,
  path: string,
  format?: ModelFormat,
  options: WriteOptions = {},
): Promise<string> {
  return (await writeChecked(program, path, format, options, async () => {})).path
}

/** Writes a program as `writeModel` does, once `check` has passed the file, which lies in a directory of its own until then. Throws what `check` throws. */
export async function writeChecked<T>(
  program: OperatorProgram,
  path: string,
  format: ModelFormat | undefined,
  options: WriteOptions & {
    /** The directory that keeps the files of a model that failed, by the path that it was to have; null: none. */
    readonly keep?: (error: unknown, target: string) => string | null
  },
  check: (path: string, target: string) => Promise<T>,
): Promise<{ readonly path: string; readonly checked: T }> {
  const row = format ? rows.find((r) => r.format === format) : rowOf(path)
  if (!row)
    throw new ArgumentError(
      format
        ? `there is no model format '${String(format)}'; use ${modelFormats.join(', ')}`
        : `the name '${basename(path)}' tells no format; end it with ${rows.map((r) => r.ending).join(', ')}, or give the format (--to of the command line)`,
    )
  const { keep, ...rest } = options
  const target = await targetOf(row, path)
  const checked = await replaceTogether(
    target,
    async (staged) => {
      await row.write(program, staged, rest)
      return check(staged, target)
    },
    {
      ...(row.companions && { companions: row.companions }),
      ...(keep && { keep: (error) => keep(error, target) }),
    },
  )
  return { path: target, checked }
}
