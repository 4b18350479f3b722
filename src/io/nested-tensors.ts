/**
 * Nested values with tensors in them, for files that hold named arrays and JSON: the arrays are taken out under the path that leads to
 * them, and a mark stays where each stood.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { hostArrays } from '../tensor/doors.ts'
import { Tensor } from '../tensor/tensor.ts'
import { isHostArray, isTypedArray, fromTypedArray } from './host-array.ts'
import type { StateValue } from './state-json.ts'
import { describe, isPlainObject } from './tensor-bridge.ts'

const MARK = '$tensor'

/** Arrays by name, and what remains: plain values with `{$tensor: name}` where an array was. */
export interface Separated {
  readonly tensors: Record<string, HostArray>
  readonly rest: StateValue
}

/** Takes the tensors, HostArrays and typed arrays out of a value. Tensors are read together. Throws ArgumentError for what JSON cannot hold. */
export async function separateTensors(value: unknown, what: string): Promise<Separated> {
  const found = new Map<string, Tensor | HostArray>()
  const take = (array: Tensor | HostArray, path: readonly string[]): StateValue => {
    const name = path.join('.') || 'value'
    if (found.has(name))
      throw new ArgumentError(`${what}: two tensors would be named '${name}'; rename one of the keys`)
    found.set(name, array)
    return { [MARK]: name }
  }
  const visit = (item: unknown, path: readonly string[]): StateValue => {
    if (item instanceof Tensor || isHostArray(item)) return take(item, path)
    if (isTypedArray(item)) return take(fromTypedArray(item), path)
    if (Array.isArray(item)) return item.map((v, i) => visit(v, [...path, String(i)]))
    if (isPlainObject(item)) {
      if (MARK in item)
        throw new ArgumentError(`${what}: ${path.join('.')} has a member named ${MARK}, which is reserved`)
      return Object.fromEntries(Object.entries(item).map(([key, v]) => [key, visit(v, [...path, key])]))
    }
    if (typeof item === 'object' && item !== null)
      throw new ArgumentError(
        `${what}: ${path.join('.') || 'the value'} is a ${describe(item)}; save what its stateDict() returns`,
      )
    return item as StateValue
  }
  const rest = visit(value, [])
  return { tensors: await toHostArrays(found), rest }
}

async function toHostArrays(found: ReadonlyMap<string, Tensor | HostArray>): Promise<Record<string, HostArray>> {
  const tensors = [...found].filter((entry): entry is [string, Tensor] => entry[1] instanceof Tensor)
  const arrays = await hostArrays(tensors.map(([, t]) => t))
  const read = new Map(tensors.map(([name], i) => [name, arrays[i]!]))
  return Object.fromEntries([...found].map(([name, array]) => [name, read.get(name) ?? (array as HostArray)]))
}

/** Puts the arrays back where their marks stand, as `make` makes them. Throws FormatError for a mark without an array. */
export function joinTensors(
  { tensors, rest }: { readonly tensors: Readonly<Record<string, HostArray>>; readonly rest: StateValue },
  make: (array: HostArray, name: string) => unknown,
): unknown {
  const visit = (item: StateValue | undefined): unknown => {
    if (Array.isArray(item)) return item.map(visit)
    if (!isPlainObject(item)) return item
    const name = item[MARK]
    if (name === undefined)
      return Object.fromEntries(Object.entries(item).map(([key, v]) => [key, visit(v as StateValue)]))
    const array = tensors[String(name)]
    if (!array) throw new FormatError(`the file has no tensor '${String(name)}', which its description names`)
    return make(array, String(name))
  }
  return visit(rest)
}

/** Whether a value is `{name: tensor, ...}` without anything else: then its names say all. */
export function isFlat(rest: StateValue): boolean {
  return isPlainObject(rest) && Object.entries(rest).every(([key, v]) => isPlainObject(v) && v[MARK] === key)
}
