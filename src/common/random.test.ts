import { describe, expect, it } from 'vitest'
import { ArgumentError } from './errors.ts'
import { SmallRandom } from './random.ts'

const draw = (seed: number, stream?: number, count = 8) => {
  const random = new SmallRandom(seed, stream)
  return Array.from({ length: count }, () => random.bits())
}

describe('SmallRandom', () => {
  it('repeats itself for the same seed and stream, and for no other', () => {
    expect(draw(7, 3)).toEqual(draw(7, 3))
    const streams = [draw(7, 3), draw(7, 4), draw(8, 3), draw(3, 7), draw(0), draw(1), draw(0, 1)]
    expect(new Set(streams.map(String)).size).toBe(streams.length)
  })

  it('keeps giving the numbers that it gave when it was written: images are named by their seed', () => {
    expect(draw(20261123, 5, 4)).toMatchInlineSnapshot(`
      [
        2956066590,
        132003187,
        582452147,
        2684201506,
      ]
    `)
  })

  it('covers [low, high) evenly', () => {
    const random = new SmallRandom(1)
    const bins = new Int32Array(10)
    for (let i = 0; i < 20000; i++) bins[Math.floor(random.uniform(0, 10))]! += 1
    for (const count of bins) expect(Math.abs(count - 2000)).toBeLessThan(200)
  })

  it('includes both bounds of an integer', () => {
    const random = new SmallRandom(2)
    const seen = new Set(Array.from({ length: 200 }, () => random.integer(-1, 2)))
    expect([...seen].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2])
    expect(() => random.integer(3, 2)).toThrow(ArgumentError)
    expect(() => random.choice([])).toThrow(ArgumentError)
  })

  it('draws normals with the asked mean and deviation', () => {
    const random = new SmallRandom(3)
    const values = Array.from({ length: 20000 }, () => random.normal(5, 2))
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    expect(mean).toBeCloseTo(5, 1)
    expect(Math.sqrt(variance)).toBeCloseTo(2, 1)
  })

  it('weighs its choices', () => {
    const random = new SmallRandom(4)
    const counts = [0, 0, 0]
    for (let i = 0; i < 9000; i++) counts[random.weighted([1, 0, 2])]! += 1
    expect(counts[1]).toBe(0)
    expect(counts[2]! / counts[0]!).toBeCloseTo(2, 0)
  })

  it('writes digits without a leading zero', () => {
    const random = new SmallRandom(5)
    for (let length = 1; length < 20; length++)
      expect(random.digits(length)).toMatch(new RegExp(`^[1-9]\\d{${length - 1}}$`))
  })
})
