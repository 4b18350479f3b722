import { describe, expect, test } from 'vitest'
import type { HostArray } from '../../../common/dtype.ts'
import { ArgumentError, FormatError } from '../../../common/errors.ts'
import { ALLOWED_GLOBALS } from './globals.ts'
import { readPickle } from './read.ts'
import { PickleTuple, type PickleValue } from './values.ts'
import { serializePickle } from './write.ts'

/** Bytes of a pickle, written as Python writes bytes: text with \x escapes. */
const pickled = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))

const roundTrip = (value: PickleValue, protocol: 2 | 3 | 4): PickleValue =>
  readPickle(serializePickle(value, { protocol }), { uint16: 'bfloat16' })

describe.each([2, 3, 4] as const)('protocol %i', (protocol) => {
  test('plain values come back', () => {
    const value: PickleValue = new Map<string, PickleValue>([
      ['tuples', [new PickleTuple([]), new PickleTuple([1]), new PickleTuple([1, 2, 3, 'four'])]],
      ['text', ['', 'ascii', 'ü键', 'x'.repeat(255), 'ü'.repeat(300)]],
      [
        'integers',
        [0, 255, 256, 65535, 65536, -1, 2 ** 31, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, 1n << 80n, -1n << 80n],
      ],
      ['floats', [0.5, -0, NaN, -Infinity, 1e300]],
      ['others', [null, true, false, Uint8Array.of(0, 127, 128, 255), new Uint8Array(0)]],
    ])
    expect(roundTrip(value, protocol)).toEqual(value)
  })

  test('arrays come back, in memory of their own', () => {
    const array: HostArray = { dtype: 'bfloat16', shape: [2, 1], data: Uint16Array.of(0x3f80, 0xffff) }
    const large: HostArray = {
      dtype: 'float32',
      shape: [300_000],
      data: Float32Array.from({ length: 300_000 }, Math.sqrt),
    }
    const read = roundTrip([array, large, array], protocol) as HostArray[]
    expect(read).toEqual([array, large, array])
    expect(new Set(read.map((a) => a.data.buffer)).size).toBe(3)
    expect(read[1]!.data.buffer.byteLength).toBe(1_200_000)
  })

  test('keys of dictionaries keep their kind', () => {
    const value = new Map<string | number | boolean | null, PickleValue>([
      ['1', 'text'],
      [1, 'number'],
      [null, 'none'],
    ])
    expect(roundTrip(value, protocol)).toEqual(value)
  })
})

test('arrays of both byte orders and axis orders, of protocol 5, and numbers of NumPy', () => {
  // pickle.dumps of arrays, written by Python 3.11 with NumPy 1.26.
  const big = pickled(
    '\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02C\x01bq\x03\x87q\x04Rq\x05(K\x01K\x02K\x02\x86q\x06cnumpy\ndtype\nq\x07X\x02\x00\x00\x00i2q\x08\x89\x88\x87q\tRq\n(K\x03X\x01\x00\x00\x00>q\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0cb\x88C\x08\x00\x01\x00\x03\x00\x02\xff\xfcq\rtq\x0eb.',
  )
  expect(readPickle(big)).toEqual({ dtype: 'int32', shape: [2, 2], data: Int32Array.of(1, 2, 3, -4) })
  const five = pickled(
    '\x80\x05\x8c\x12numpy.core.numeric\x8c\x0b_frombuffer\x93(\x96\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f4\x89\x88\x87RK\x02\x85\x8c\x01CtR.',
  )
  expect(readPickle(five)).toEqual({ dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) })
  const scalar = pickled(
    '\x80\x04\x8c\x15numpy.core.multiarray\x8c\x06scalar\x93\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f8\x89\x88\x87RC\x08\x00\x00\x00\x00\x00\x00\xe0?\x86R.',
  )
  expect(readPickle(scalar)).toBe(0.5)
})

test("Python 2's strings are text, and bytes of arrays", () => {
  const text =
    '\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87RU\x04\x00\x00\x80?'
  // The state of dtype stands between: BUILD of '<'.
  expect(readPickle(pickled(text.replace('RU\x04', 'R\x89U\x04') + 'tb.'))).toEqual({
    dtype: 'float32',
    shape: [1],
    data: Float32Array.of(1),
  })
  expect(readPickle(pickled('\x80\x02U\x03a\xe9b.'))).toBe('aéb')
})

test('what the file shares is shared', () => {
  const [a, b] = readPickle(pickled('\x80\x04]\x94(}\x94\x8c\x01aK\x01sh\x01e.')) as [PickleValue, PickleValue]
  expect(a).toEqual(new Map([['a', 1]]))
  expect(b).toBe(a)
})

test('the names that are allowed are few and known', () => {
  expect(ALLOWED_GLOBALS).toEqual([
    '__builtin__.bytes',
    '__builtin__.tuple',
    '_codecs.encode',
    'builtins.bytes',
    'builtins.tuple',
    'collections.OrderedDict',
    'numpy._core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
    'numpy._core.numeric._frombuffer',
    'numpy.core.multiarray._reconstruct',
    'numpy.core.multiarray.scalar',
    'numpy.core.numeric._frombuffer',
    'numpy.dtype',
    'numpy.ndarray',
  ])
})

test('what cannot be written is named', () => {
  const loop: PickleValue[] = []
  loop.push(loop)
  expect(() => serializePickle(loop)).toThrow(ArgumentError)
  expect(() => serializePickle(1n << 3000n)).toThrow('too large')
  expect(() => serializePickle(1, { protocol: 5 as 4 })).toThrow('protocol 5')
  expect(() => readPickle(Uint8Array.of(1, 2, 3))).toThrow(FormatError)
})
