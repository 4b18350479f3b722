import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { sampleArray, valuesOf } from '../../test/support/arrays.ts'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { defaultCollate, defaultConvert } from './collate.ts'

test('as recorded from Paddle: (np.array([i], float32), i)', () => {
  const path = new URL('../../test/fixtures/ocr_pipeline/datapipe.json', import.meta.url)
  const want = (
    JSON.parse(readFileSync(path, 'utf8')) as { default_collate: [string, number[], number[] | number[][]][] }
  ).default_collate
  const fields = defaultCollate([0, 1, 2].map((i) => [Float32Array.of(i), i])) as HostArray[]
  expect(fields.map((f) => [`paddle.${f.dtype}`, f.shape, valuesOf(f)])).toEqual(
    want.map(([d, s, v]) => [d, s, v.flat()]),
  )
})

test('numbers become the array that NumPy makes of them', () => {
  expect(defaultCollate([1, 2])).toEqual({ dtype: 'int64', shape: [2], data: BigInt64Array.of(1n, 2n) })
  expect(defaultCollate([1, 2.5])).toEqual({ dtype: 'float64', shape: [2], data: Float64Array.of(1, 2.5) })
  expect(defaultCollate([true, false])).toEqual({ dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) })
  expect(defaultCollate([true, 3])).toEqual({ dtype: 'int64', shape: [2], data: BigInt64Array.of(1n, 3n) })
  expect(defaultCollate([2n ** 60n, 1])).toEqual({ dtype: 'int64', shape: [2], data: BigInt64Array.of(2n ** 60n, 1n) })
  expect(defaultCollate([NaN, 1])).toMatchObject({ dtype: 'float64' })
})

test('lists, objects and strings keep their structure', () => {
  const samples = [0, 1].map((i) => ({ image: sampleArray('uint8', [2, 3]), name: `${i}.png`, box: [i, [i + 0.5, i]] }))
  expect(defaultCollate(samples)).toEqual({
    image: {
      dtype: 'uint8',
      shape: [2, 2, 3],
      data: Uint8Array.from([...samples[0]!.image.data, ...samples[1]!.image.data].map(Number)),
    },
    name: ['0.png', '1.png'],
    box: [
      { dtype: 'int64', shape: [2], data: BigInt64Array.of(0n, 1n) },
      [
        { dtype: 'float64', shape: [2], data: Float64Array.of(0.5, 1.5) },
        { dtype: 'int64', shape: [2], data: BigInt64Array.of(0n, 1n) },
      ],
    ],
  })
  const bytes = [Buffer.from('a'), Buffer.from('bc')]
  expect(defaultCollate(bytes)).toEqual(bytes)
})

test('arrays of rank 0, of size 0 and of every dtype', () => {
  const scalar = { dtype: 'bfloat16', shape: [], data: Uint16Array.of(0x3f80) } as const
  expect(defaultCollate([scalar, scalar])).toEqual({
    dtype: 'bfloat16',
    shape: [2],
    data: Uint16Array.of(0x3f80, 0x3f80),
  })
  expect(defaultCollate([sampleArray('float64', [0, 3])])).toEqual({
    dtype: 'float64',
    shape: [1, 0, 3],
    data: new Float64Array(0),
  })
})

test('what does not fit together is named', () => {
  const a = sampleArray('float32', [2])
  expect(() => defaultCollate([a, sampleArray('float32', [3])])).toThrow(/sample 1 .* \[3\], sample 0 \[2\]/)
  expect(() => defaultCollate([a, sampleArray('float32', [3])])).toThrow(ShapeError)
  expect(() => defaultCollate([a, sampleArray('int64', [2])])).toThrow(DTypeError)
  expect(() => defaultCollate([a, 3])).toThrow(/sample 1 of the batch has number where sample 0 has an array/)
  expect(() => defaultCollate([1, 'x'])).toThrow(ArgumentError)
  expect(() => defaultCollate([[1], [1, 2]])).toThrow(/has 2 fields, sample 0 has 1/)
  expect(() => defaultCollate([{ a: 1 }, { b: 1 }])).toThrow(/sample 1 of the batch has no field 'a'/)
  expect(() => defaultCollate([new Map()])).toThrow(/holds Map/)
  expect(() => defaultCollate([null])).toThrow(/null/)
  expect(() => defaultCollate([new Uint16Array(2)])).toThrow(/Uint16Array has no dtype/)
})

test('without batching a sample keeps its numbers', () => {
  expect(defaultConvert({ x: Float32Array.of(1), n: [1, 'a'] })).toEqual({
    x: { dtype: 'float32', shape: [1], data: Float32Array.of(1) },
    n: [1, 'a'],
  })
})
