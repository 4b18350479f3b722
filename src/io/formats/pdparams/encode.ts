/**
 * Values as `paddle.save` writes them. A dictionary of tensors (and of dictionaries without tensors) is written as plain arrays with a
 * table of unique names; in any other value each tensor becomes a pair of name and array.
 */
import type { HostArray } from '../../../common/dtype.ts'
import { sizeOf } from '../../../common/dtype.ts'
import { ArgumentError } from '../../../common/errors.ts'
import { hostArrays } from '../../../tensor/doors.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { fromTypedArray, isHostArray, isTypedArray } from '../../host-array.ts'
import { describe, isPlainObject } from '../../tensor-bridge.ts'
import { PickleTuple, type PickleKey, type PickleValue } from '../pickle/values.ts'
import { NAME_TABLE, SLICE_TABLE } from './keys.ts'

/** What protocols 2 and 3 hold in one piece, as Paddle counts. */
const SLICE_BYTES = 2 ** 30 - 1
const MAX_DEPTH = 200

export interface EncodeOptions {
  /** Default 4, as in Paddle. */
  readonly protocol?: 2 | 3 | 4
  /** Bytes from which protocols 2 and 3 cut a tensor of a state dictionary; Paddle's number by default. */
  readonly sliceBytes?: number
}

/** The value for a pickle. Tensors are read together. Throws ArgumentError that names what cannot be saved. */
export async function encodeState(value: unknown, what: string, options: EncodeOptions = {}): Promise<PickleValue> {
  const encoder = new Encoder(what)
  await encoder.read(value)
  const dict = isStateDict(value) ? encoder.stateDict(value) : encoder.value(value, '')
  const cuts = (options.protocol ?? 4) < 4 && dict instanceof Map
  return cuts ? cutLarge(dict as Map<PickleKey, PickleValue>, options.sliceBytes ?? SLICE_BYTES) : dict
}

type ArrayLike = Tensor | HostArray | ArrayBufferView

function isArray(value: unknown): value is ArrayLike {
  return value instanceof Tensor || isHostArray(value) || isTypedArray(value)
}

/** Paddle's own rule, `_is_state_dict`. */
function isStateDict(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isPlainObject(value)) return false
  const plain = (inner: unknown): boolean => {
    if (isArray(inner)) return false
    if (Array.isArray(inner)) return inner.every(plain)
    return !isPlainObject(inner) || Object.values(inner).every(plain)
  }
  return Object.values(value).every((entry) => isArray(entry) || (isPlainObject(entry) && plain(entry)))
}

class Encoder {
  private readonly what: string
  private readonly arrays = new Map<Tensor, HostArray>()

  constructor(what: string) {
    this.what = what
  }

  /** Looks the whole value through before anything is awaited, and reads its tensors in one plan. */
  async read(value: unknown): Promise<void> {
    const tensors = new Set<Tensor>()
    const visit = (item: unknown, path: string, depth: number): void => {
      if (depth > MAX_DEPTH)
        throw new ArgumentError(`${this.what}: '${path.slice(0, 80)}...' goes on without end; a state is a tree`)
      if (item instanceof Tensor) tensors.add(item)
      else if (isArray(item)) return
      else if (Array.isArray(item)) item.forEach((v, i) => visit(v, join(path, i), depth + 1))
      else if (isPlainObject(item)) for (const [key, v] of Object.entries(item)) visit(v, join(path, key), depth + 1)
      else if (typeof item === 'object' && item !== null)
        throw new ArgumentError(
          `${this.what}: ${path || 'the value'} is a ${describe(item)}; save what its stateDict() returns`,
        )
      else if (typeof item === 'function' || typeof item === 'symbol')
        throw new ArgumentError(
          `${this.what}: ${path || 'the value'} is a ${typeof item}; save tensors, numbers, strings, booleans, null, lists and objects`,
        )
    }
    visit(value, '', 0)
    const list = [...tensors]
    const read = await hostArrays(list)
    list.forEach((tensor, i) => this.arrays.set(tensor, read[i]!))
  }

  stateDict(value: Readonly<Record<string, unknown>>): PickleValue {
    const dict = new Map<PickleKey, PickleValue>()
    const names = new Map<PickleKey, PickleValue>()
    for (const [key, entry] of Object.entries(value)) {
      if (key === NAME_TABLE) continue
      if (isArray(entry)) {
        dict.set(key, this.array(entry))
        names.set(key, nameOf(entry, key))
      } else dict.set(key, this.value(entry, key))
    }
    return dict.set(NAME_TABLE, names)
  }

  value(value: unknown, path: string): PickleValue {
    if (isArray(value)) return new PickleTuple([nameOf(value, path || 'value'), this.array(value)])
    if (Array.isArray(value)) return value.map((item, i) => this.value(item, join(path, i)))
    if (isPlainObject(value)) {
      const members = Object.entries(value).filter(([, member]) => member !== undefined)
      return new Map(members.map(([key, member]) => [key, this.value(member, join(path, key))]))
    }
    return (value ?? null) as PickleValue
  }

  private array(value: ArrayLike): HostArray {
    if (value instanceof Tensor) return this.arrays.get(value)!
    return isHostArray(value) ? value : fromTypedArray(value)
  }
}

function join(path: string, key: string | number): string {
  return path === '' ? String(key) : `${path}.${key}`
}

/** Names that were given to nobody say nothing: then the key does. */
function nameOf(value: ArrayLike, key: string): string {
  return value instanceof Tensor && !value.name.startsWith('generated_tensor_') ? value.name : key
}

/** Cuts what is too large for protocols 2 and 3, as Paddle does and undoes. */
function cutLarge(dict: ReadonlyMap<PickleKey, PickleValue>, sliceBytes: number): PickleValue {
  const out = new Map<PickleKey, PickleValue>()
  const table = new Map<PickleKey, PickleValue>()
  for (const [key, value] of dict) {
    const most = isHostArray(value) ? Math.floor(sliceBytes / sizeOf(value.dtype)) : 0
    if (!isHostArray(value) || value.data.length <= most) {
      out.set(key, value)
      continue
    }
    const slices: string[] = []
    for (let from = 0; from < value.data.length; from += most) {
      const data = value.data.subarray(from, from + most)
      const part = `${String(key)}@@.${slices.length}`
      out.set(part, { dtype: value.dtype, shape: [data.length], data })
      slices.push(part)
    }
    const entry: [PickleKey, PickleValue][] = [
      ['OriginShape', new PickleTuple(value.shape)],
      ['slices', slices],
    ]
    table.set(key, new Map(entry))
  }
  return table.size > 0 ? out.set(SLICE_TABLE, table) : out
}
