/** `save` and `load`, as in `paddle`: state dictionaries and nested values with tensors in them, as safetensors files, atomically. */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { fromHost, type Tensor } from '../tensor/tensor.ts'
import type { AtomicOptions } from './atomic.ts'
import { readSafetensors, writeSafetensors } from './files.ts'
import { isFlat, joinTensors, separateTensors } from './nested-tensors.ts'
import { parseState, stringifyState } from './state-json.ts'

/** Where the structure of a nested value stands in a file's metadata. */
const STRUCTURE = 'longzhou.structure'
const paddleSuffix = /\.(pdparams|pdopt|pdmodel|pdiparams)$/

/**
 * Saves a state dictionary, or any nesting of plain objects and lists of tensors, numbers, strings, booleans and null. Tensors are read in one
 * plan; an older file stays whole until the new one is on disk. A flat dictionary of tensors is a plain safetensors file.
 *
 * Throws ArgumentError for values that cannot be saved and for names that promise Paddle's own format; StorageError.
 * @example await save(model.stateDict(), 'out/model.safetensors')
 */
export async function save(value: unknown, path: string, options: AtomicOptions = {}): Promise<void> {
  const promised = paddleSuffix.exec(path)
  if (promised)
    throw new ArgumentError(
      `save: '${path}' promises Paddle's own format, what is written is safetensors; name it ${path.slice(0, promised.index)}.safetensors`,
    )
  const { tensors, rest } = await separateTensors(value, 'save')
  const metadata: Record<string, string> = isFlat(rest) ? {} : { [STRUCTURE]: stringifyState(rest) }
  await writeSafetensors(path, tensors, metadata, options)
}

export interface LoadOptions {
  /** HostArrays instead of tensors, `return_numpy` in Paddle. Default false. */
  readonly returnHostArrays?: boolean
}

/** Loads what `save` wrote, or any safetensors file. Tensors land on the current device. Throws StorageError, FormatError. */
export async function load<T = Record<string, Tensor>>(path: string, options: LoadOptions = {}): Promise<T> {
  const { tensors, metadata } = await readSafetensors(path)
  const make = (array: HostArray, name: string): unknown =>
    options.returnHostArrays ? array : fromHost(array, { name })
  const structure = metadata[STRUCTURE]
  if (structure !== undefined) return joinTensors({ tensors, rest: parseState(structure) }, make) as T
  return Object.fromEntries(Object.entries(tensors).map(([name, array]) => [name, make(array, name)])) as T
}
