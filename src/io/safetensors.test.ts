import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { sampleArray } from '../../test/support/arrays.ts'
import { parseMutations } from '../../test/support/mutate.ts'
import { dtypes } from '../common/dtype.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { parseSafetensors, serializeSafetensors } from './safetensors.ts'

const reference = new Uint8Array(
  readFileSync(new URL('../../test/fixtures/safetensors/reference.safetensors', import.meta.url)),
)

function file(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const out = Buffer.alloc(8 + json.length + dataBytes)
  out.writeBigUInt64LE(BigInt(json.length))
  json.copy(out, 8)
  return out
}

test('reads what the reference implementation wrote, and writes the same bytes', () => {
  const { tensors, metadata } = parseSafetensors(reference)
  expect(metadata).toEqual({ format: 'pt', note: '数字' })
  expect(Object.keys(tensors).sort()).toEqual(['a', 'b.weight', 'e', 'flag', 'h', 's', 'u'])
  expect(tensors.a).toEqual({ dtype: 'int64', shape: [5], data: BigInt64Array.of(0n, 1n, 2n, 3n, 4n) })
  expect(tensors.s).toEqual({ dtype: 'float64', shape: [], data: Float64Array.of(2.5) })
  expect(tensors.h).toEqual({ dtype: 'float16', shape: [3], data: Uint16Array.of(0, 0x3c00, 0x4000) })
  expect(tensors.flag).toEqual({ dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) })
  expect(tensors.e!.shape).toEqual([0, 4])
  const again = parseSafetensors(serializeSafetensors(tensors, metadata))
  expect(again).toEqual({ tensors, metadata })
  expect(serializeSafetensors(tensors, metadata).length).toBe(reference.length)
})

test('every dtype, rank 0 and size 0; the arrays are views of the file', () => {
  const tensors = Object.fromEntries(
    dtypes.flatMap((dtype) =>
      [[], [3], [2, 5], [0, 7]].map((shape) => [`${dtype}${shape}`, sampleArray(dtype, shape)]),
    ),
  )
  const bytes = serializeSafetensors(tensors)
  const { tensors: read, metadata } = parseSafetensors(bytes)
  expect(read).toEqual(tensors)
  expect(metadata).toEqual({})
  for (const array of Object.values(read)) expect(array.data.buffer).toBe(bytes.buffer)
})

test('names that JavaScript treats specially', () => {
  const tensors = Object.fromEntries(
    ['__proto__', 'constructor', '7', ''].map((name) => [name, sampleArray('int8', [2])]),
  )
  expect(Object.keys(parseSafetensors(serializeSafetensors(tensors)).tensors).sort()).toEqual(
    ['', '7', '__proto__', 'constructor'].sort(),
  )
  expect(() => serializeSafetensors({ __metadata__: sampleArray('int8', [1]) })).toThrow(ArgumentError)
})

const t = (dtype: string, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets })

test.each([
  ['gap', { a: t('U8', [2], [0, 2]), b: t('U8', [1], [3, 4]) }, 4, /begins at 3, the one before ends at 2 \(gap\)/],
  ['overlap', { a: t('U8', [3], [0, 3]), b: t('U8', [2], [2, 4]) }, 4, /overlap/],
  ['leftover bytes', { a: t('U8', [2], [0, 2]) }, 3, /1 bytes after the last tensor/],
  ['end beyond the file', { a: t('U8', [9], [0, 9]) }, 4, /truncated/],
  ['product overflow', { a: t('U8', [2 ** 32, 2 ** 32, 0], [0, 0]) }, 0, /more bytes than can be addressed/],
  ['wrong byte count', { a: t('F32', [2], [0, 4]) }, 4, /takes 8 bytes/],
  ['end before begin', { a: t('U8', [0], [4, 2]) }, 4, /give -2/],
  ['foreign dtype', { a: t('F8_E4M3', [2], [0, 2]) }, 2, /supported: BOOL/],
  ['negative dimension', { a: t('U8', [-1], [0, 1]) }, 1, /no usable shape/],
  ['fractional offset', { a: t('U8', [1], [0.5, 1.5]) }, 2, /no usable data_offsets/],
  ['metadata of numbers', { __metadata__: { a: 1 } }, 0, /map strings to strings/],
  ['array header', [], 0, /not a JSON object/],
  ['no JSON', '{"a":', 0, /not JSON/],
] as const)('refuses %s', (_, header, dataBytes, message) => {
  const bytes = file(header, dataBytes)
  expect(() => parseSafetensors(bytes)).toThrow(message)
  expect(() => parseSafetensors(bytes)).toThrow(FormatError)
})

test('refuses headers beyond the limits', () => {
  const long = Buffer.alloc(16)
  long.writeBigUInt64LE(100_000_001n)
  expect(() => parseSafetensors(long)).toThrow(/at most 100000000/)
  const entries = Array.from({ length: 100_001 }, (_, i) => `"${i}":0`)
  expect(() => parseSafetensors(file(`{${entries.join(',')}}`, 0))).toThrow(/more than the limit/)
  for (let n = 0; n < reference.length; n += 7) {
    expect(() => parseSafetensors(reference.subarray(0, n))).toThrow(FormatError)
  }
})

test('damaged files give a value or a FormatError', () => {
  expect(parseMutations(reference, 4000, parseSafetensors, FormatError)).toBeGreaterThan(2500)
})
