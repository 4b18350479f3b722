/** Reading Paddle's inference models, legacy (`.pdmodel`, `__model__`) and PIR (`.json`), with the files that belong to them. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { HostArray } from '../../../common/dtype.ts'
import { FormatError, StorageError } from '../../../common/errors.ts'
import { noteAbsent } from '../../file-trace.ts'
import { readBytes } from '../../files.ts'
import { withStorageErrors } from '../../storage-error.ts'
import type { OperatorProgram } from '../program/program.ts'
import { INFERENCE_CONFIG, parseInferenceConfig } from './inference-config.ts'
import { legacyParameterNames, programFromLegacy } from './legacy-reader.ts'
import { parseParameterInfo, type ParameterInfo } from './parameter-info.ts'
import { parseParameter, parseParameters } from './parameter-file.ts'
import { parsePirProgram } from './pir-json.ts'
import { pirParameterNames, programFromPir } from './pir-reader.ts'
import { parseProgramDesc } from './program-desc-reader.ts'

export interface PaddleReadOptions {
  /** The parameter file. Default: the one that stands beside the program, or one file a variable. */
  readonly parameters?: string
}

/**
 * Reads an inference model: a directory that holds one, a `.pdmodel`, `.json` or `__model__` file, or their path without the ending. An
 * `inference.yml` beside it becomes metadata under its name. Operators that are not in the table stay in the program; making a
 * TranslatedLayer of it lists them all. Throws StorageError, FormatError.
 * @example const layer = new TranslatedLayer(await readPaddleModel('ch_PP-OCRv4_det_infer'))
 */
export async function readPaddleModel(path: string, options: PaddleReadOptions = {}): Promise<OperatorProgram> {
  const file = await findProgram(path)
  const bytes = await readBytes(file)
  const program = await naming(file, async () => {
    if (isJson(file)) {
      const pir = parsePirProgram(bytes)
      return programFromPir(pir, await readParameters(file, pirParameterNames(pir), options.parameters))
    }
    const desc = parseProgramDesc(bytes)
    const arrays = await readParameters(file, legacyParameterNames(desc), options.parameters)
    return withInfo(programFromLegacy(desc, arrays), await readInfo(`${stemOf(file)}.pdiparams.info`))
  })
  return { ...program, metadata: { ...program.metadata, ...(await readConfig(dirname(file))) } }
}

function isJson(file: string): boolean {
  return file.endsWith('.json')
}

async function exists(path: string): Promise<boolean> {
  const found = await stat(path).then(
    (s) => s.isFile(),
    () => false,
  )
  if (!found) noteAbsent(path)
  return found
}

const USUAL_NAMES = [
  'inference.json',
  'inference.pdmodel',
  '__model__.json',
  '__model__',
  'model.json',
  'model.pdmodel',
  'model',
]

async function findProgram(path: string): Promise<string> {
  const found = await withStorageErrors('reading', path, () => stat(path)).catch((error: unknown) => {
    if (error instanceof StorageError) return null
    throw error
  })
  if (found?.isFile()) return path
  if (found?.isDirectory()) {
    const names = await withStorageErrors('reading', path, () => readdir(path))
    const usual = USUAL_NAMES.find((n) => names.includes(n))
    for (const name of USUAL_NAMES.slice(0, usual ? USUAL_NAMES.indexOf(usual) : undefined))
      noteAbsent(join(path, name))
    if (usual) return join(path, usual)
    const programs = names.filter(
      (n) => n.endsWith('.pdmodel') || (isJson(n) && names.includes(n.replace(/json$/, 'pdiparams'))),
    )
    if (programs.length === 1) return join(path, programs[0]!)
    const what =
      programs.length === 0 ? 'no program' : `${programs.length} programs (${programs.join(', ')}); name one of them`
    throw new FormatError(`'${path}' holds ${what}; looked for ${USUAL_NAMES.join(', ')} and *.pdmodel`)
  }
  for (const ending of ['.json', '.pdmodel']) if (await exists(path + ending)) return path + ending
  throw new StorageError(
    `reading '${path}': there is no such file or directory, and no '${basename(path)}.json' or '.pdmodel'`,
  )
}

function stemOf(program: string): string {
  return program.replace(/\.(json|pdmodel)$/, '')
}

async function readInfo(file: string): Promise<ReadonlyMap<string, ParameterInfo>> {
  if (!(await exists(file))) return new Map()
  const bytes = await readBytes(file)
  return naming(file, async () => parseParameterInfo(bytes))
}

function withInfo(program: OperatorProgram, infos: ReadonlyMap<string, ParameterInfo>): OperatorProgram {
  const parameters = Array.from(program.parameters, ([name, parameter]) => {
    const { structuredName, trainable = parameter.trainable } = infos.get(name) ?? {}
    return [name, { ...parameter, trainable, ...(structuredName === undefined ? {} : { structuredName }) }] as const
  })
  return { ...program, parameters: new Map(parameters) }
}

async function readParameters(
  program: string,
  names: readonly string[],
  given: string | undefined,
): Promise<Map<string, HostArray>> {
  if (names.length === 0) return new Map()
  const folder = dirname(program)
  const stem = stemOf(program)
  const candidates =
    given === undefined ? [`${stem}.pdiparams`, join(folder, '__params__'), join(folder, 'params')] : [given]
  for (const file of candidates) {
    if (!(await exists(file))) continue
    const bytes = await readBytes(file)
    return naming(file, async () => parseParameters(bytes, names))
  }
  if (given !== undefined) throw new StorageError(`reading '${given}': there is no such file`)
  return readSeparate(folder, names, candidates)
}

/** One file a variable, named as it is. */
async function readSeparate(
  folder: string,
  names: readonly string[],
  tried: readonly string[],
): Promise<Map<string, HostArray>> {
  const arrays = new Map<string, HostArray>()
  for (const name of names) {
    // A name comes from the file: it must not lead elsewhere.
    if (name.startsWith('/') || name.includes('\\') || name.includes('\0') || name.split('/').includes('..'))
      throw new FormatError(`a parameter has the name '${name}', which is no name of a file beside the program`)
    const file = join(folder, name)
    if (!(await exists(file)))
      throw new StorageError(
        `reading the parameters of '${folder}': there is neither ${tried.map((t) => `'${basename(t)}'`).join(' nor ')}, nor a file '${name}'`,
      )
    const bytes = await readBytes(file)
    arrays.set(name, await naming(file, async () => parseParameter(bytes, name)))
  }
  return arrays
}

async function readConfig(folder: string): Promise<Record<string, string>> {
  const file = join(folder, INFERENCE_CONFIG)
  if (!(await exists(file))) return {}
  const text = new TextDecoder().decode(await readBytes(file))
  // A broken one is said here, not when images come.
  await naming(file, async () => parseInferenceConfig(text))
  return { [INFERENCE_CONFIG]: text }
}

/** A FormatError names the file. */
async function naming<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new FormatError(`'${file}': ${cause.message}`, { cause })
  }
}
