import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../../../common/errors.ts'
import { WireList, WireReader } from './wire.ts'
import { WireWriter } from './wire-writer.ts'

describe('protobuf wire format', () => {
  it('writes the bytes of the encoding guide', () => {
    const writer = new WireWriter()
    writer.varint(1, 150)
    writer.string(2, 'testing')
    writer.message(3, (w) => {
      w.varint(1, 150)
    })
    writer.packed(6, [3, 270, 86942])
    const bytes = [...writer.finish()].map((b) => b.toString(16).padStart(2, '0')).join(' ')
    expect(bytes).toBe('08 96 01 12 07 74 65 73 74 69 6e 67 1a 03 08 96 01 32 06 03 8e 02 9e a7 05')
  })

  it('reads back every int64 and double', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.double(), (integer, real) => {
        const writer = new WireWriter()
        writer.varint(5, integer)
        writer.double(6, real)
        const reader = new WireReader(writer.finish())
        expect(reader.next()).toBe(true)
        const got = reader.int64()
        expect(BigInt(got)).toBe(integer)
        expect(typeof got === 'number').toBe(
          Number.isSafeInteger(Number(integer)) && BigInt(Number(integer)) === integer,
        )
        expect(reader.next()).toBe(true)
        expect(reader.double()).toBe(real)
        expect(reader.next()).toBe(false)
      }),
    )
  })

  it('joins runs of a repeated field, packed and not, and passes over what is unknown', () => {
    const writer = new WireWriter()
    writer.packedFloats(4, Float32Array.of(1, 2))
    writer.float(4, 3)
    writer.string(9, 'unknown')
    writer.packedFloats(4, Float32Array.of(4))
    writer.packed(7, [-1n, 2n ** 40n])
    writer.varint(7, 5)
    const floats = new WireList((n) => new Float32Array(n))
    const longs = new WireList((n) => new BigInt64Array(n))
    const reader = new WireReader(writer.finish())
    while (reader.next()) {
      if (reader.field === 4) reader.floats(floats)
      else if (reader.field === 7) reader.int64s(longs)
      else reader.skip()
    }
    expect(floats.elements).toEqual(Float32Array.of(1, 2, 3, 4))
    expect(longs.elements).toEqual(BigInt64Array.of(-1n, 2n ** 40n, 5n))
  })

  it('gives large values back as views of the file, and keeps messages around them whole', () => {
    const large = Uint8Array.from({ length: 5000 }, (_, i) => i)
    const writer = new WireWriter()
    writer.message(1, (outer) => {
      outer.string(1, 'x'.repeat(300))
      outer.message(2, (inner) => {
        inner.bytes(3, large)
        inner.varint(4, 7)
      })
      outer.bytes(5, large)
    })
    const file = writer.finish()
    expect(file.length).toBe(writer.byteLength)
    const root = new WireReader(file)
    root.next()
    const outer = root.message()
    outer.next()
    expect(outer.string()).toBe('x'.repeat(300))
    outer.next()
    const inner = outer.message()
    inner.next()
    const bytes = inner.bytes()
    expect(bytes).toEqual(large)
    expect(bytes.buffer).toBe(file.buffer)
    inner.next()
    expect(inner.int32()).toBe(7)
    outer.next()
    expect(outer.bytes()).toEqual(large)
    expect([inner.next(), outer.next(), root.next()]).toEqual([false, false, false])
  })

  it('ends within any bytes, or refuses them by a FormatError', () => {
    const walk = (bytes: Uint8Array, depth: number): void => {
      const reader = new WireReader(bytes)
      const list = new WireList((n) => new BigInt64Array(n))
      while (reader.next()) {
        if (reader.field === 1 && depth < 5) walk(reader.bytes(), depth + 1)
        else if (reader.field === 2) reader.int64s(list)
        else reader.skip()
      }
      expect(list.elements.length).toBeLessThanOrEqual(bytes.length)
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          walk(bytes, 0)
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
      { numRuns: 1000, seed: 7 },
    )
  })
})
