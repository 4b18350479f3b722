/**
 * The environment variables that set defaults, read and checked in one place: LONGZHOU_DEVICE, LONGZHOU_NUM_THREADS,
 * LONGZHOU_DEBUG, LONGZHOU_CACHE_DIR, LONGZHOU_PLAN_CACHE, LONGZHOU_WINOGRAD and LONGZHOU_SPLIT_PRODUCTS. Nothing here needs Node: in a browser, where there is no `process`, all are unset.
 */
import { ArgumentError } from './errors.ts'
import { MAX_THREADS } from './thread-count.ts'

export type EnvironmentVariables = Readonly<Record<string, string | undefined>>

/** How much is printed of what the compiler does: 0 nothing, 1 plans, 2 schedules, 3 kernels, 4 sources, 5 everything. */
export type DebugLevel = 0 | 1 | 2 | 3 | 4 | 5

/** What the environment asks for; a field is undefined where its variable is unset or empty. */
export interface Environment {
  /** LONGZHOU_DEVICE: `cpu`, `wasm`, `webgpu`, `reference`, `null`, `gpu` or `gpu:N`. */
  readonly device: string | undefined
  /** LONGZHOU_NUM_THREADS: threads of the compute pool, at least 1. */
  readonly numThreads: number | undefined
  /** LONGZHOU_DEBUG, 0 where unset. */
  readonly debug: DebugLevel
  /** LONGZHOU_CACHE_DIR as written; see runtime/cache-directory.ts for the default. */
  readonly cacheDirectory: string | undefined
  /** LONGZHOU_PLAN_CACHE: whether plans, and packed weights of models that are run, are kept in the cache directory, beside compiled kernels; on where unset. */
  readonly planCache: boolean
  /** LONGZHOU_WINOGRAD: whether convolutions of 3x3 windows may be computed in Winograd's form (faster, rounded a little differently); on where unset. */
  readonly winograd: boolean
  /**
   * LONGZHOU_SPLIT_PRODUCTS: bfloat16 parts of the factors of float32 products, at most, where tiles make that faster: 3 (all of a factor), 2 (16 bits of its
   * significand) or 0 (products of float32). Unset: 3, in predictors what their `precision` says.
   */
  readonly splitProducts: 0 | 2 | 3 | undefined
}

const DEVICE = /^(?:cpu|wasm|webgpu|reference|null|gpu(?::\d{1,3})?)$/

/** The process's variables; none outside Node. */
export function processVariables(): EnvironmentVariables {
  return typeof process === 'undefined' ? {} : process.env
}

/**
 * Reads and checks the variables.
 * @throws ArgumentError naming the variable, the value found and the values it takes.
 */
export function readEnvironment(variables: EnvironmentVariables = processVariables()): Environment {
  return {
    device: readDevice(variables),
    numThreads: readInteger(variables, 'LONGZHOU_NUM_THREADS', 1, MAX_THREADS),
    debug: (readInteger(variables, 'LONGZHOU_DEBUG', 0, 5) ?? 0) as DebugLevel,
    cacheDirectory: readCacheDirectory(variables),
    planCache: readInteger(variables, 'LONGZHOU_PLAN_CACHE', 0, 1) !== 0,
    winograd: readInteger(variables, 'LONGZHOU_WINOGRAD', 0, 1) !== 0,
    splitProducts: readSplitProducts(variables),
  }
}

function readDevice(variables: EnvironmentVariables): string | undefined {
  const text = readText(variables, 'LONGZHOU_DEVICE')
  if (text !== undefined && !DEVICE.test(text)) {
    throw new ArgumentError(
      `LONGZHOU_DEVICE is '${text}', expected cpu, wasm, webgpu, gpu, gpu:N, reference or null; correct it or unset it`,
    )
  }
  return text
}

/** LONGZHOU_CACHE_DIR alone, whatever the other variables hold. @throws ArgumentError */
export function readCacheDirectory(variables: EnvironmentVariables): string | undefined {
  const text = readText(variables, 'LONGZHOU_CACHE_DIR')
  if (text?.includes('\0')) throw new ArgumentError('LONGZHOU_CACHE_DIR holds a NUL character, expected a path')
  return text
}

function readSplitProducts(variables: EnvironmentVariables): Environment['splitProducts'] {
  const parts = readInteger(variables, 'LONGZHOU_SPLIT_PRODUCTS', 0, 3)
  if (parts === 1) throw new ArgumentError("LONGZHOU_SPLIT_PRODUCTS is '1', expected 0, 2 or 3; correct it or unset it")
  return parts as Environment['splitProducts']
}

function readInteger(variables: EnvironmentVariables, name: string, low: number, high: number): number | undefined {
  const text = readText(variables, name)
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw new ArgumentError(`${name} is '${text}', expected an integer from ${low} to ${high}; correct it or unset it`)
  }
  return value
}

/** An empty variable counts as unset, as a shell user expects of `NAME= command`. */
function readText(variables: EnvironmentVariables, name: string): string | undefined {
  return variables[name]?.trim() || undefined
}
