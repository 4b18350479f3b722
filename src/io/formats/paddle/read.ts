/** Reading Paddle's inference models, legacy (`.pdmodel`, `__model__`) and PIR (`.json`), with the files that belong to them. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { HostArray } from '../../../common/dtype.ts'
import { FormatError, StorageError, UnsupportedError } from '../../../common/errors.ts'
import { noteAbsent } from '../../file-trace.ts'
import { readBytes } from '../../files.ts'
import { withStorageErrors } from '../../storage-error.ts'
import { aboutFile } from '../about-file.ts'
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
  const program = await aboutFile(file, async () => {
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

/** Names that programs have in directories, those of newer formats first. */
export const USUAL_NAMES = [
  'inference.json',
  'inference.pdmodel',
  '__model__.json',
  '__model__',
  'model.json',
  'model.pdmodel',
  'model',
]

/**
 * The program file of Paddle's in a directory, null where there is none. Throws FormatError where there are several of no usual name, and
 * StorageError.
 */
export async function findProgramIn(directory: string): Promise<string | null> {
  const names = await withStorageErrors('reading', directory, () => readdir(directory))
  const usual = USUAL_NAMES.find((n) => names.includes(n))
  for (const name of USUAL_NAMES.slice(0, usual ? USUAL_NAMES.indexOf(usual) : undefined))
    noteAbsent(join(directory, name))
  if (usual) return join(directory, usual)
  const programs = names.filter(
    (n) => n.endsWith('.pdmodel') || (isJson(n) && names.includes(n.replace(/json$/, 'pdiparams'))),
  )
  if (programs.length > 1)
    throw new UnsupportedError(
      `'${directory}' holds ${programs.length} models (${programs.join(', ')}); name one of them`,
    )
  return programs.length === 1 ? join(directory, programs[0]!) : null
}

async function findProgram(path: string): Promise<string> {
  const found = await stat(path).catch(() => null)
  if (found?.isFile()) return path
  if (found?.isDirectory()) {
    const program = await findProgramIn(path)
    if (program === null)
      throw new StorageError(`'${path}' holds no program; looked for ${USUAL_NAMES.join(', ')} and *.pdmodel`)
    return program
  }
  for (const ending of ['.json', '.pdmodel']) if (await exists(path + ending)) return path + ending
  throw new StorageError(
    `reading '${path}': there is no such file or directory, and no '${basename(path)}.json' or '.pdmodel'; check the path`,
  )
}

function stemOf(program: string): string {
  return program.replace(/\.(json|pdmodel)$/, '')
}

async function readInfo(file: string): Promise<ReadonlyMap<string, ParameterInfo>> {
  if (!(await exists(file))) return new Map()
  const bytes = await readBytes(file)
  return aboutFile(file, () => parseParameterInfo(bytes))
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
    return aboutFile(file, () => parseParameters(bytes, names))
  }
  if (given !== undefined) throw new StorageError(`reading '${given}': there is no such file; check the path`)
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
        `reading the parameters of '${folder}': there is neither ${tried.map((t) => `'${basename(t)}'`).join(' nor ')}, nor a file '${name}'; copy them beside the program`,
      )
    const bytes = await readBytes(file)
    arrays.set(name, await aboutFile(file, () => parseParameter(bytes, name)))
  }
  return arrays
}

async function readConfig(folder: string): Promise<Record<string, string>> {
  const file = join(folder, INFERENCE_CONFIG)
  if (!(await exists(file))) return {}
  const text = new TextDecoder().decode(await readBytes(file))
  // A broken one is said here, not when images come.
  await aboutFile(file, () => parseInferenceConfig(text))
  return { [INFERENCE_CONFIG]: text }
}
