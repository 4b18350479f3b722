/** Nested arguments and results: which tensors they hold, the same structure with other tensors, and a key of all that is no tensor. */
import { Tensor } from '../tensor/tensor.ts'

function isPlain(value: unknown): value is Record<string, unknown> {
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

const identities = new WeakMap<object, number>()
let nextIdentity = 1

/** A number for each object, the same as long as it lives. */
export function identityOf(value: object): number {
  let id = identities.get(value)
  if (id === undefined) identities.set(value, (id = nextIdentity++))
  return id
}

/** A text that differs where structure, tensors (as `describe` says) or other values differ; class instances and functions by identity. */
export function structureKey(value: unknown, describe: (tensor: Tensor) => string): string {
  if (value instanceof Tensor) return describe(value)
  if (Array.isArray(value)) return `[${value.map((item) => structureKey(item, describe)).join(',')}]`
  if (isPlain(value))
    return `{${Object.entries(value)
      .map(([key, item]) => `${JSON.stringify(key)}:${structureKey(item, describe)}`)
      .join(',')}}`
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'object':
    case 'function':
      return value === null ? 'null' : `#${identityOf(value)}`
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value)
    default:
      return `${typeof value} ${String(value)}`
  }
}
