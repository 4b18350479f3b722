import { describe, expect, test } from 'vitest'
import { philox4x32, philox4x32Words, uniformAt } from './philox.ts'

describe('philox4x32', () => {
  // Known answers of the Random123 library (Salmon et al. 2011), philox4x32 with 10 rounds: counter, key, result.
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('known answer %#', (counter, key, expected) => {
    const [c0, c1, c2, c3] = counter as [number, number, number, number]
    const [k0, k1] = key as [number, number]
    expect(philox4x32Words(c0, c1, c2, c3, k0, k1)).toEqual(expected)
  })

  test('the 64-bit counter leaves the upper words zero', () => {
    expect(philox4x32(5, 6, 7, 8)).toEqual(philox4x32Words(5, 6, 0, 0, 7, 8))
  })
})

describe('uniformAt', () => {
  test('takes the words of successive blocks in order, upper 24 bits', () => {
    const key = 2 ** 35 + 9
    const offset = 2 ** 32 - 1
    for (let index = 0; index < 12; index++) {
      const counter = offset + Math.floor(index / 4)
      const block = philox4x32(counter >>> 0, Math.floor(counter / 2 ** 32), 9, 8)
      expect(uniformAt(key, offset, index)).toBe((block[index % 4]! >>> 8) / 2 ** 24)
    }
  })

  test('is uniform: mean, variance and range', () => {
    let sum = 0
    let squares = 0
    const n = 20000
    for (let i = 0; i < n; i++) {
      const u = uniformAt(42, 1000, i)
      expect(u >= 0 && u < 1 && Math.fround(u) === u).toBe(true)
      sum += u
      squares += u * u
    }
    expect(sum / n).toBeCloseTo(0.5, 2)
    expect(squares / n - (sum / n) ** 2).toBeCloseTo(1 / 12, 2)
  })
})
