/**
 * What `paddle.save` writes (`.pdparams`, `.pdopt` and other names), from the values of its pickle: a dictionary of arrays with a table of
 * their unique names, or nested values in which each tensor is a pair of name and array.
 * Source: `paddle.framework.io` and `io_utils`, versions 2.0 to 3.3.
 */
import type { HostArray } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { numel } from '../../../common/shape.ts'
import { bytesOf, fromBytes, isHostArray } from '../../host-array.ts'
import { readPickle } from '../pickle/read.ts'
import { PickleTuple, type PickleDict, type PickleKey, type PickleValue } from '../pickle/values.ts'
import { NAME_TABLE, SLICE_TABLE } from './keys.ts'

export interface DecodeOptions {
  /** Leaves the table of unique names in the dictionary, as Paddle's `keep_name_table`. Default false. */
  readonly keepNameTable?: boolean
}

/**
 * The saved value: dictionaries as plain objects, tuples as lists, arrays as `make` makes them of array and unique name. `uint16` arrays are
 * bfloat16. A value that stands in several places of the file is one object.
 *
 * Throws RefusedPickleError for files that are more than data, FormatError for broken ones.
 */
export function decodeState(
  bytes: Uint8Array,
  make: (array: HostArray, name: string) => unknown,
  options: DecodeOptions = {},
): unknown {
  const root = readPickle(bytes, { uint16: 'bfloat16' })
  return isDict(root) ? decodeDict(joinSlices(root), make, options) : new Decoder(make).value(root, 'value')
}

function isDict(value: unknown): value is PickleDict {
  return value instanceof Map
}

function decodeDict(
  dict: PickleDict,
  make: (array: HostArray, name: string) => unknown,
  options: DecodeOptions,
): unknown {
  const table = dict.get(NAME_TABLE)
  if (table === undefined) return new Decoder(make).value(dict, '')
  if (!isDict(table)) throw new FormatError(`'${NAME_TABLE}' is no dictionary: the file is corrupt`)
  const entries = new Map<PickleKey, PickleValue>()
  for (const [key, value] of dict) {
    const name = table.get(key)
    if (key === NAME_TABLE && options.keepNameTable !== true) continue
    entries.set(key, typeof name === 'string' && isHostArray(value) ? new PickleTuple([name, value]) : value)
  }
  return new Decoder(make).value(entries, '')
}

/** Turns values of the pickle into plain ones; what is shared there stays shared. */
class Decoder {
  private readonly make: (array: HostArray, name: string) => unknown
  private readonly done = new Map<object, unknown>()

  constructor(make: (array: HostArray, name: string) => unknown) {
    this.make = make
  }

  /** `path`: the keys that lead to the value, the name of an array without one. */
  value(value: PickleValue, path: string): unknown {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
    const known = this.done.get(value)
    if (known !== undefined) return known
    const made = this.object(value, path)
    this.done.set(value, made)
    return made
  }

  private object(value: PickleValue & object, path: string): unknown {
    if (isHostArray(value)) return this.make(value, path)
    const inside = (key: PickleKey): string => (path === '' ? String(key) : `${path}.${String(key)}`)
    if (isDict(value)) {
      const entries = Array.from(value, ([key, item]) => [String(key), this.value(item, inside(key))] as const)
      const object: Record<string, unknown> = Object.fromEntries(entries)
      if (Object.keys(object).length !== value.size)
        throw new FormatError(`'${path}' has two keys that are the same text, such as 1 and '1'`)
      return object
    }
    if (value instanceof PickleTuple) {
      const [name, array] = value.items
      if (value.items.length === 2 && typeof name === 'string' && isHostArray(array)) return this.make(array, name)
      return value.items.map((item, i) => this.value(item, inside(i)))
    }
    return (value as readonly PickleValue[]).map((item, i) => this.value(item, inside(i)))
  }
}

/** Puts tensors together that protocol 2 or 3 made Paddle cut. */
function joinSlices(dict: PickleDict): PickleDict {
  const table = dict.get(SLICE_TABLE)
  if (table === undefined) return dict
  const out = new Map(dict)
  out.delete(SLICE_TABLE)
  for (const [key, entry] of isDict(table) ? table : corrupt('the table')) {
    const shape = isDict(entry) ? entry.get('OriginShape') : undefined
    const names = isDict(entry) ? entry.get('slices') : undefined
    if (!(shape instanceof PickleTuple) || !Array.isArray(names)) throw corrupt(String(key))
    const parts = (names as readonly PickleValue[]).map((name) => {
      const part = out.get(name as PickleKey)
      if (!isHostArray(part)) throw corrupt(String(key))
      // Each part belongs to one tensor, once: what is joined is never more than what the file holds.
      out.delete(name as PickleKey)
      return part
    })
    out.set(key, joined(String(key), parts, shape.items))
  }
  return out
}

function joined(key: string, parts: readonly HostArray[], shape: readonly PickleValue[]): HostArray {
  const dtype = parts[0]?.dtype
  const length = parts.reduce((sum, part) => sum + part.data.length, 0)
  const sizes = shape.filter((d): d is number => typeof d === 'number' && Number.isSafeInteger(d) && d >= 0)
  if (dtype === undefined || parts.some((part) => part.dtype !== dtype) || sizes.length !== shape.length)
    throw corrupt(key)
  if (numel(sizes) !== length) throw corrupt(key)
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.data.byteLength, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(bytesOf(part), at)
    at += part.data.byteLength
  }
  return fromBytes(dtype, sizes, bytes)
}

function corrupt(key: string): never {
  throw new FormatError(`'${SLICE_TABLE}': ${key} does not fit the parts that the file holds: it is corrupt`)
}
