import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { sampleArray, valuesOf } from '../../test/support/arrays.ts'
import { parseMutations } from '../../test/support/mutate.ts'
import { dtypes, type HostArray } from '../common/dtype.ts'
import { FormatError } from '../common/errors.ts'
import { parseNpy, serializeNpy } from './npy.ts'
import { parseNpz, serializeNpz } from './npz.ts'

const recorded = JSON.parse(readFileSync(new URL('../../test/fixtures/numpy/npy.json', import.meta.url), 'utf8')) as {
  files: Record<string, { npy: string; shape: number[]; values: number[] }>
  foreign: Record<string, string>
  npz: Record<'stored' | 'deflated', string>
}
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))

const widenedTo: Record<string, string> = {
  int16: 'int32',
  uint16: 'int32',
  uint32: 'int64',
  uint64: 'int64',
  '>f4': 'float32',
  '>i8': 'int64',
  '>f2': 'float16',
  fortran: 'float32',
  v2: 'float32',
  v3: 'float32',
  scalar: 'float64',
  empty: 'float32',
}

describe('npy', () => {
  test.each(Object.keys(recorded.files))('reads what NumPy wrote: %s', (name) => {
    const { npy, shape, values } = recorded.files[name]!
    const array = parseNpy(bytesOf(npy))
    expect(array.dtype).toBe(widenedTo[name] ?? name)
    expect(array.shape).toEqual(shape)
    expect(valuesOf(array)).toEqual(values)
  })

  test.each(dtypes)('%s round trip, with rank 0 and size 0', (dtype) => {
    for (const shape of [[], [5], [2, 3], [0, 4], [1, 1, 1]]) {
      const array = sampleArray(dtype, shape)
      expect(parseNpy(serializeNpy(array), { uint16: 'bfloat16' })).toEqual(array)
    }
  })

  test('what is written begins with a header of a multiple of 64 bytes, as NumPy asks', () => {
    const bytes = serializeNpy(sampleArray('float32', [2, 3]))
    expect((bytes.length - 24) % 64).toBe(0)
    expect(Buffer.from(bytes.subarray(10, 70)).toString()).toBe(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } ",
    )
  })

  test('aligned data is viewed, misaligned data copied', () => {
    const file = serializeNpy(sampleArray('float32', [4]))
    expect(parseNpy(file).data.buffer).toBe(file.buffer)
    const shifted = new Uint8Array(file.length + 1)
    shifted.set(file, 1)
    expect(parseNpy(shifted.subarray(1))).toEqual(parseNpy(file))
  })

  test.each(Object.keys(recorded.foreign))('refuses %s elements', (name) => {
    expect(() => parseNpy(bytesOf(recorded.foreign[name]!))).toThrow(FormatError)
  })

  test('truncated, padded and overflowing files', () => {
    const good = serializeNpy(sampleArray('float32', [2, 3]))
    for (let n = 0; n < good.length; n++) expect(() => parseNpy(good.subarray(0, n))).toThrow(FormatError)
    expect(() => parseNpy(good.subarray(0, good.length - 1))).toThrow(/takes 24 bytes, there are 23/)
    expect(() => parseNpy(new Uint8Array([...good, 0]))).toThrow(/foreign bytes/)
    const huge = Buffer.from(good)
    huge.write('(9999999999999999, 9, 9), }', huge.indexOf('(2, 3)'))
    expect(() => parseNpy(huge)).toThrow(FormatError)
    const wide = serializeNpy(sampleArray('int64', [1]))
    Buffer.from(wide.buffer).write('<u8', Buffer.from(wide.buffer).indexOf('<i8'))
    wide.fill(0xff, wide.length - 8)
    expect(() => parseNpy(wide)).toThrow(/does not fit int64/)
  })

  test('damaged files give a value or a FormatError', () => {
    for (const name of ['float32', 'fortran', '>f2', 'uint64', 'v3']) {
      const refused = parseMutations(bytesOf(recorded.files[name]!.npy), 1000, parseNpy, FormatError)
      expect(refused).toBeGreaterThan(300)
    }
  })
})

describe('npz', () => {
  test.each(['stored', 'deflated'] as const)('reads what NumPy wrote: %s', (kind) => {
    const arrays = parseNpz(bytesOf(recorded.npz[kind]))
    expect(Object.keys(arrays)).toEqual(['x', 'layer/weight', 'flag'])
    expect(valuesOf(arrays.x!)).toEqual(Array.from({ length: 24 }, (_, i) => i))
    expect(arrays['layer/weight']!.dtype).toBe('int64')
    expect(valuesOf(arrays['layer/weight']!)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(arrays.flag).toMatchObject({ dtype: 'bool', shape: [] })
  })

  test.each([false, true])('round trip, compress: %s', (compress) => {
    const arrays = {
      数字: sampleArray('int64', [300]),
      __proto: sampleArray('bool', []),
      e: sampleArray('float16', [0]),
    }
    const bytes = serializeNpz(arrays, { compress })
    expect(parseNpz(bytes)).toEqual(arrays)
    expect(bytes.length < 2400).toBe(compress)
    expect(parseNpz(serializeNpz({}))).toEqual({})
  })

  test('a changed byte is noticed, whichever it is in the data', () => {
    const good = serializeNpz({ a: sampleArray('float32', [16]) }, { compress: true })
    const name = Buffer.from(good).indexOf('a.npy') + 5
    const bad = good.slice()
    bad[name + 20]! ^= 0x10
    expect(() => parseNpz(bad)).toThrow(FormatError)
    expect(() => parseNpz(new TextEncoder().encode('PK, but not a zip'))).toThrow(/not a ZIP archive/)
  })

  test('a member that claims more than deflate can hold is refused before it is allocated', () => {
    const bomb = Buffer.from(serializeNpz({ a: sampleArray('float32', [4]) }, { compress: true }))
    const directory = bomb.indexOf(Buffer.from([0x50, 0x4b, 1, 2]))
    bomb.writeUInt32LE(0xfffffff0, directory + 24)
    expect(() => parseNpz(bomb)).toThrow(/claims 4294967280 bytes/)
  })

  test('an archive of zeros is unpacked where that is allowed, and else refused', () => {
    const zeros: HostArray = { dtype: 'uint8', shape: [49 << 20], data: new Uint8Array(49 << 20) }
    const bomb = serializeNpz({ zeros }, { compress: true })
    expect(bomb.byteLength).toBeLessThan(100_000)
    expect(() => parseNpz(bomb)).toThrow(/unpack to \d+ bytes.*raise maxBytes/)
    expect(parseNpz(bomb, { maxBytes: 50 << 20 })['zeros']!.shape).toEqual([49 << 20])
  })

  test('damaged archives give a value or a FormatError', () => {
    const refused = ['stored', 'deflated'].map((kind) =>
      parseMutations(bytesOf(recorded.npz[kind as 'stored']).slice(0), 1500, parseNpz, FormatError),
    )
    expect(Math.min(...refused)).toBeGreaterThan(800)
  })
})
