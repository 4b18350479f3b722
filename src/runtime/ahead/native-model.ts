/** A compiled model's library as functions, through koffi; addresses are numbers below 2^53. No compiler is needed. */
import koffi, { type LibraryHandle } from 'koffi'
import {
  DeviceError,
  FormatError,
  IndexOutOfRangeError,
  InternalError,
  type LongzhouError,
  OutOfMemoryError,
  ShapeError,
  StorageError,
} from '../../common/errors.ts'
import { allocateWords } from '../cpu/memory.ts'
import { abiVersion, errorCodes } from './header.ts'

/** Memory that native code reads or writes. */
export interface NativeMemory {
  readonly address: number
  readonly bytes: number
}

type NativeFunction = ReturnType<LibraryHandle['func']>

const errorBytes = 4 + 1024

type ErrorClass = new (message: string) => LongzhouError

const errorClasses: Readonly<Record<keyof typeof errorCodes, ErrorClass>> = {
  OK: InternalError,
  BAD_ARGUMENT: InternalError,
  UNKNOWN_SHAPE: ShapeError,
  BAD_WEIGHTS: FormatError,
  BAD_FILE: StorageError,
  NO_MEMORY: OutOfMemoryError,
  BAD_INDEX: IndexOutOfRangeError,
  BAD_PROCESSOR: DeviceError,
}

/** Models that are loaded. What this process still holds when it ends is freed, once what runs has run. */
const loaded = new Map<number, (handle: number) => void>()
let hasHook = false

function freeAtExit(): void {
  if (hasHook) return
  hasHook = true
  process.once('exit', () => {
    for (const [handle, free] of loaded) free(handle)
    loaded.clear()
  })
}

/** Frees a model that nobody holds any longer. */
const registry = new FinalizationRegistry<number>((handle) => freeNow(handle))

function freeNow(handle: number): void {
  const free = loaded.get(handle)
  loaded.delete(handle)
  free?.(handle)
}

export class NativeModel {
  readonly #handle: number
  readonly #run: NativeFunction

  /**
   * Loads a library, which executes what it holds, and its weights.
   * @throws FormatError for a library that is none, or is another one than its name says; and for weights that are not its own.
   * @throws DeviceError where the processor lacks what it was compiled for.
   */
  constructor(path: string, name: string, weights: string, threads: number) {
    const library = open(path)
    const bind = (declaration: string): NativeFunction => {
      try {
        return library.func(declaration)
      } catch (cause) {
        throw new FormatError(`'${path}' is no library of a compiled model '${name}' (${(cause as Error).message})`, {
          cause,
        })
      }
    }
    const abi = Number(bind(`int ${name}_abi()`)())
    if (abi !== abiVersion)
      throw new FormatError(
        `'${path}' was made by another version of Longzhou (its interface is ${abi}, this build has ${abiVersion}): compile the model again`,
      )
    const load = bind(`int ${name}_load(const char *path, int threads, int64_t *model, uint8_t *error)`)
    const free = bind(`void ${name}_free(int64_t model)`)
    this.#run = bind(`int ${name}_run(int64_t model, int shape, int64_t inputs, int64_t outputs, int64_t error)`)
    const model = new BigInt64Array(1)
    const error = new Uint8Array(errorBytes)
    throwOf(Number(load(weights, threads, model, error)), error)
    this.#handle = Number(model[0])
    loaded.set(this.#handle, (handle) => void free(handle))
    registry.register(this, this.#handle, this)
    freeAtExit()
  }

  /** Runs it on a thread of libuv's pool. The memory must be held by the caller until it resolves. Throws ShapeError and what else the run meets. */
  run(shape: number, inputs: readonly NativeMemory[], outputs: readonly NativeMemory[]): Promise<void> {
    const given = pairsOf(inputs)
    const taken = pairsOf(outputs)
    const error = allocateWords(Math.ceil(errorBytes / 8))
    return new Promise((resolve, reject) => {
      this.#run.async(
        this.#handle,
        shape,
        given.address,
        taken.address,
        error.address,
        (failure: unknown, code: number) => {
          try {
            if (failure) throw failure
            throwOf(code, new Uint8Array(error.words.buffer))
            resolve()
          } catch (reason) {
            reject(reason as Error)
          }
          // Native code worked on these; they must not be collected before.
          void [inputs, outputs, given, taken]
        },
      )
    })
  }

  /** Frees it, once what runs has run. It must not be used again. */
  dispose(): void {
    registry.unregister(this)
    freeNow(this.#handle)
  }
}

/** The structs of inputs and outputs: an address and a number of bytes each. */
function pairsOf(memory: readonly NativeMemory[]): { words: BigInt64Array; address: number } {
  const pairs = allocateWords(2 * memory.length)
  memory.forEach(({ address, bytes }, i) => {
    pairs.words[2 * i] = BigInt(address)
    pairs.words[2 * i + 1] = BigInt(bytes)
  })
  return pairs
}

function open(path: string): LibraryHandle {
  try {
    return koffi.load(path)
  } catch (cause) {
    throw new FormatError(`the library '${path}' cannot be loaded (${(cause as Error).message})`, { cause })
  }
}

function throwOf(code: number, error: Uint8Array): void {
  if (code === errorCodes.OK) return
  const text = new TextDecoder().decode(error.subarray(4, Math.max(4, error.indexOf(0, 4))))
  const kind = (Object.keys(errorCodes) as (keyof typeof errorCodes)[]).find((k) => errorCodes[k] === code)
  if (!kind) throw new InternalError(`a compiled model failed with the unknown code ${code}: ${text}`)
  throw new errorClasses[kind](text)
}
