/** A key of nested arguments: their structure, and all in them that is no tensor. */
import { isPlain } from '../tensor/nested.ts'
import { Tensor } from '../tensor/tensor.ts'

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
