/**
 * From a list of samples to a batch, by the rules of Paddle's `default_collate_fn`: arrays are stacked, numbers become an array, strings stay
 * a list, lists and dictionaries are collated field by field.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, DTypeError } from '../common/errors.ts'
import { fromTypedArray, isHostArray, isTypedArray, stackArrays } from './host-array.ts'
import { describe, isPlainObject } from './tensor-bridge.ts'

type Scalar = number | bigint | boolean

/**
 * Collates samples of equal structure; gives the same structure with a leading batch axis.
 *
 * JavaScript does not tell 1 from 1.0, so a field of numbers is int64 when all numbers of the batch are integers and float64 otherwise. Give
 * `{dtype, shape: [], data}` where a field of reals can happen to be whole. Typed arrays count as arrays, Buffers as byte strings.
 *
 * Throws ShapeError, DTypeError, ArgumentError (samples whose structures differ).
 */
export function defaultCollate(samples: readonly unknown[]): unknown {
  const first = samples[0]
  if (isArrayLike(first)) return stackArrays(samples.map((sample, i) => asArray(sample, i)))
  if (isScalar(first)) return collateNumbers(samples)
  if (typeof first === 'string' || isBytes(first)) return [...samples]
  if (Array.isArray(first)) return collateLists(samples, first.length)
  if (isPlainObject(first)) return collateObjects(samples, first)
  throw new DTypeError(
    `collate: a sample holds ${describe(first)}; it can hold arrays, numbers, booleans, strings, lists and plain objects, ` +
      'or give a collateFn',
  )
}

/** What `batchSize: null` does to each sample (Paddle's `default_convert_fn`): typed arrays become HostArrays, all else stays. */
export function defaultConvert(sample: unknown): unknown {
  if (isHostArray(sample)) return sample
  if (isArrayLike(sample)) return asArray(sample, 0)
  if (Array.isArray(sample)) return sample.map(defaultConvert)
  if (!isPlainObject(sample)) return sample
  return Object.fromEntries(Object.entries(sample).map(([key, field]) => [key, defaultConvert(field)]))
}

function isBytes(value: unknown): boolean {
  return typeof Buffer !== 'undefined' && Buffer.isBuffer(value)
}

function isArrayLike(value: unknown): boolean {
  return isHostArray(value) || (isTypedArray(value) && !isBytes(value))
}

function asArray(sample: unknown, index: number): HostArray {
  if (isHostArray(sample)) return sample
  if (isTypedArray(sample)) return fromTypedArray(sample)
  throw new ArgumentError(`collate: sample ${index} of the batch has ${describe(sample)} where sample 0 has an array`)
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'
}

/** `np.array` of Python scalars: bool when all are, int64 when all are integers, float64 otherwise. */
function collateNumbers(samples: readonly unknown[]): HostArray {
  const wrong = samples.findIndex((sample) => !isScalar(sample))
  if (wrong >= 0) {
    throw new ArgumentError(
      `collate: sample ${wrong} of the batch has ${describe(samples[wrong])} where sample 0 has a number`,
    )
  }
  const scalars = samples as readonly Scalar[]
  const shape = [scalars.length]
  if (scalars.every((v) => typeof v === 'boolean')) {
    return { dtype: 'bool', shape, data: Uint8Array.from(scalars, (v) => (v ? 1 : 0)) }
  }
  if (scalars.every((v) => typeof v !== 'number' || Number.isSafeInteger(v))) {
    return { dtype: 'int64', shape, data: BigInt64Array.from(scalars, BigInt) }
  }
  return { dtype: 'float64', shape, data: Float64Array.from(scalars, Number) }
}

function collateLists(samples: readonly unknown[], length: number): unknown[] {
  samples.forEach((sample, i) => {
    if (Array.isArray(sample) && sample.length === length) return
    const found = Array.isArray(sample) ? `${sample.length} fields` : describe(sample)
    throw new ArgumentError(`collate: sample ${i} of the batch has ${found}, sample 0 has ${length} fields`)
  })
  const lists = samples as readonly unknown[][]
  return Array.from({ length }, (_, field) => defaultCollate(lists.map((list) => list[field])))
}

function collateObjects(samples: readonly unknown[], first: Record<string, unknown>): Record<string, unknown> {
  const fields = Object.keys(first).map((key) => {
    const values = samples.map((sample, i) => {
      if (isPlainObject(sample) && Object.hasOwn(sample, key)) return sample[key]
      throw new ArgumentError(`collate: sample ${i} of the batch has no field '${key}', sample 0 has`)
    })
    return [key, defaultCollate(values)] as const
  })
  return Object.fromEntries(fields)
}
