/**
 * JSON for training state: plain values come back exactly, also the numbers that JSON has no form for (NaN, Infinity, -0, bigint).
 * Those are written as an object with one reserved key. Anything else that would be lost is refused, with its path.
 */
import { ArgumentError, FormatError } from '../common/errors.ts'

/** What a state can hold. Object members that are undefined are left out, as JSON does. */
export type StateValue =
  null | boolean | number | bigint | string | readonly StateValue[] | { readonly [key: string]: StateValue | undefined }

const NUMBER = '$number'
const BIGINT = '$bigint'

/** Throws ArgumentError that names the member which JSON cannot hold. */
export function stringifyState(state: StateValue): string {
  return JSON.stringify(encode(state, 'state', []))
}

function encode(value: unknown, path: string, parents: readonly object[]): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { [NUMBER]: Object.is(value, -0) ? '-0' : `${value}` }
    case 'bigint':
      return { [BIGINT]: `${value}` }
    case 'string':
    case 'boolean':
      return value
    case 'object':
      return value === null ? null : encodeObject(value, path, parents)
    default:
      throw new ArgumentError(
        `${path} is a ${typeof value}; a state holds numbers, strings, booleans, null, lists and objects`,
      )
  }
}

function encodeObject(value: object, path: string, parents: readonly object[]): unknown {
  if (parents.includes(value)) throw new ArgumentError(`${path} contains itself; a state is a tree`)
  const inside = [...parents, value]
  if (Array.isArray(value)) return value.map((item, i) => encode(item, `${path}[${i}]`, inside))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    const name = (value.constructor as { name?: string } | undefined)?.name ?? 'class instance'
    throw new ArgumentError(`${path} is a ${name}; save arrays among the tensors, and plain objects in the state`)
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  if (members.some(([key]) => key === NUMBER || key === BIGINT)) {
    throw new ArgumentError(`${path} has a member named ${NUMBER} or ${BIGINT}, which are reserved`)
  }
  return Object.fromEntries(members.map(([key, member]) => [key, encode(member, `${path}.${key}`, inside)]))
}

const specialNumbers: Record<string, number> = { NaN, Infinity, '-Infinity': -Infinity, '-0': -0 }

/** Restores what `stringifyState` wrote. Throws FormatError. */
export function parseState(text: string): StateValue {
  try {
    return JSON.parse(text, (_, value: unknown) => decode(value)) as StateValue
  } catch (cause) {
    if (cause instanceof FormatError) throw cause
    throw new FormatError('the state is not JSON', { cause })
  }
}

function decode(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const { [NUMBER]: number, [BIGINT]: bigint } = value as Record<string, unknown>
  if (number !== undefined) {
    if (typeof number === 'string' && Object.hasOwn(specialNumbers, number)) return specialNumbers[number]
    throw new FormatError(`the state holds ${JSON.stringify(number)} where NaN, Infinity, -Infinity or -0 was expected`)
  }
  if (bigint !== undefined) {
    if (typeof bigint === 'string' && /^-?\d+$/.test(bigint)) return BigInt(bigint)
    throw new FormatError(`the state holds ${JSON.stringify(bigint)} where an integer was expected`)
  }
  return value
}
