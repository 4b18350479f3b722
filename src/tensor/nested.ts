/** Tensors in arrays and plain objects: arguments and results of layers and functions. */
import { Tensor } from './tensor.ts'

/** Whether a value is an object literal, or made like one. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The same arrays and plain objects with every tensor replaced. All else stays as it is. */
export function mapTensors(value: unknown, replace: (tensor: Tensor) => unknown): unknown {
  if (value instanceof Tensor) return replace(value)
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, replace))
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTensors(item, replace)]))
}

/** The tensors in arrays and plain objects, in order. */
export function tensorsIn(value: unknown): Tensor[] {
  const found: Tensor[] = []
  mapTensors(value, (tensor) => found.push(tensor))
  return found
}
