/**
 * The one place where io meets tensors. Everything here exchanges HostArrays; the tensor layer says how to make a Tensor of one, and how to
 * read one, and from then on DataLoader yields Tensors and datasets may hold them.
 */
import type { HostArray } from '../common/dtype.ts'
import { DTypeError } from '../common/errors.ts'
import { isHostArray } from './host-array.ts'

export type ToTensor<T = unknown> = (array: HostArray) => T

/** The array of a tensor; undefined for values that are no tensors. */
export type ToHost = (value: unknown) => HostArray | Promise<HostArray> | undefined

const identity: ToTensor = (array) => array
let toTensor: ToTensor = identity
let toHost: ToHost = () => undefined

/** Sets what DataLoader makes of each array that it delivers, and how arrays are got out of tensors. Without arguments: arrays stay arrays. */
export function setTensorFactory(factory: ToTensor = identity, reader: ToHost = () => undefined): void {
  toTensor = factory
  toHost = reader
}

export function tensorFactory(): ToTensor {
  return toTensor
}

/** The array of a HostArray or tensor. Throws DTypeError for other values. */
export async function hostArrayOf(value: unknown): Promise<HostArray> {
  const array = isHostArray(value) ? value : await toHost(value)
  if (array === undefined) throw new DTypeError(`a tensor or {dtype, shape, data} was expected, not ${describe(value)}`)
  return array
}

/** Replaces the tensors in a sample (lists and plain objects are searched) by their arrays. */
export async function tensorsToHost(value: unknown): Promise<unknown> {
  if (typeof value !== 'object' || value === null || isHostArray(value) || ArrayBuffer.isView(value)) return value
  const array = toHost(value)
  if (array !== undefined) return array
  if (Array.isArray(value)) return Promise.all(value.map(tensorsToHost))
  if (!isPlainObject(value)) return value
  const fields = Object.entries(value).map(async ([key, field]) => [key, await tensorsToHost(field)] as const)
  return Object.fromEntries(await Promise.all(fields))
}

/** Applies `convert` to every HostArray in lists and plain objects. */
export function mapArrays(value: unknown, convert: (array: HostArray) => unknown): unknown {
  if (isHostArray(value)) return convert(value)
  if (Array.isArray(value)) return value.map((item) => mapArrays(item, convert))
  if (!isPlainObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, mapArrays(field, convert)]))
}

/** Whether a value is a dictionary in Python's sense: not a class instance. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What a value is, for error messages. */
export function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value
  return (value.constructor as { name?: string } | undefined)?.name ?? 'object'
}
