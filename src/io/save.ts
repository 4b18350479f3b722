/**
 * `save` and `load`, as in `paddle`: state dictionaries and nested values with tensors in them, atomically. The ending of the name says the
 * format: `.pdparams`, `.pdopt`, `.pdtensor` and `.pd` are Paddle's own (a pickle, read as data only), everything else is safetensors.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { fromHost, type Tensor } from '../tensor/tensor.ts'
import { replaceFile, type AtomicOptions } from './atomic.ts'
import { parseFile, readSafetensors, writeSafetensors } from './files.ts'
import { decodeState } from './formats/pdparams/decode.ts'
import { encodeState } from './formats/pdparams/encode.ts'
import { pickleParts } from './formats/pickle/write.ts'
import { isFlat, joinTensors, separateTensors } from './nested-tensors.ts'
import { parseState, stringifyState } from './state-json.ts'

/** Where the structure of a nested value stands in a file's metadata. */
const STRUCTURE = 'longzhou.structure'
const paddleState = /\.(pdparams|pdopt|pdtensor|pd)$/
const paddleProgram = /\.(pdmodel|pdiparams)$/

export interface SaveOptions extends AtomicOptions {
  /** The protocol of Paddle's files: 2, 3 or 4. Default 4, as in Paddle; 2 and 3 cut tensors of 1 GiB and more, as Paddle does. */
  readonly protocol?: 2 | 3 | 4
}

/**
 * Saves a state dictionary, or any nesting of plain objects and lists of tensors, numbers, strings, booleans and null. Tensors are read in one
 * plan; an older file stays whole until the new one is on disk. A flat dictionary of tensors is a plain safetensors file.
 *
 * A file in Paddle's format is read by `paddle.load`; bfloat16 stands in it as the bits in `uint16`, and a whole number as an `int`.
 *
 * Throws ArgumentError for values that cannot be saved and for names of programs, which hold more than values; StorageError.
 * @example await save(model.stateDict(), 'out/model.pdparams')
 */
export async function save(value: unknown, path: string, options: SaveOptions = {}): Promise<void> {
  const program = paddleProgram.exec(path)
  if (program) {
    const name = path.slice(0, program.index)
    throw new ArgumentError(
      `save: '${path}' promises a program, what is saved are values; name it ${name}.pdparams or ${name}.safetensors`,
    )
  }
  if (paddleState.test(path)) return savePaddle(value, path, options)
  const { tensors, rest } = await separateTensors(value, 'save')
  const metadata: Record<string, string> = isFlat(rest) ? {} : { [STRUCTURE]: stringifyState(rest) }
  await writeSafetensors(path, tensors, metadata, options)
}

async function savePaddle(value: unknown, path: string, options: SaveOptions): Promise<void> {
  const state = await encodeState(value, 'save', options)
  const write = async (sink: { write(bytes: Uint8Array): Promise<void> }): Promise<void> => {
    for (const part of pickleParts(state, options)) await sink.write(part)
  }
  await replaceFile(path, write, options)
}

export interface LoadOptions {
  /** HostArrays instead of tensors, `return_numpy` in Paddle. Default false. */
  readonly returnHostArrays?: boolean
  /** Keeps the table of unique names in what Paddle saved, under `StructuredToParameterName@@`. Default false. */
  readonly keepNameTable?: boolean
}

/**
 * Loads what `save` or `paddle.save` wrote, or any safetensors file. Tensors land on the current device, under the names that the file gives
 * them (Paddle's files: the unique names of parameters). Paddle's files are read as data: a pickle that would call or make anything else is
 * refused with a RefusedPickleError.
 *
 * Throws StorageError, FormatError.
 * @example model.setStateDict(await load('model.pdparams'))
 */
export async function load<T = Record<string, Tensor>>(path: string, options: LoadOptions = {}): Promise<T> {
  const make = (array: HostArray, name: string): unknown =>
    options.returnHostArrays ? array : fromHost(array, { name })
  if (paddleState.test(path)) return parseFile(path, (bytes) => decodeState(bytes, make, options) as T)
  const { tensors, metadata } = await readSafetensors(path)
  const structure = metadata[STRUCTURE]
  if (structure !== undefined) return joinTensors({ tensors, rest: parseState(structure) }, make) as T
  return Object.fromEntries(Object.entries(tensors).map(([name, array]) => [name, make(array, name)])) as T
}
