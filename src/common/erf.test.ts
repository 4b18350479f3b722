import { describe, expect, test } from 'vitest'
import { erf, erfinv, erfinvFloat32 } from './erf.ts'

// Values of SciPy 1.17's special.erf and special.erfinv.
const erfValues: [number, number][] = [
  [1e-3, 0.0011283787909692363],
  [0.1, 0.1124629160182849],
  [0.5, 0.5204998778130465],
  [1, 0.8427007929497148],
  [1.9, 0.9927904292352575],
  [2, 0.9953222650189527],
  [2.5, 0.999593047982555],
  [3, 0.9999779095030014],
  [4.5, 0.9999999998033839],
]
const erfinvValues: [number, number][] = [
  [1e-3, 0.000886227157466552],
  [0.1, 0.08885599049425769],
  [0.5, 0.4769362762044699],
  [0.8, 0.9061938024368232],
  [0.9, 1.1630871536766743],
  [0.99, 1.8213863677184496],
  [0.999999, 3.458910737275499],
  [1 - 1e-12, 5.042031898572696],
]

const relative = (got: number, expected: number): number => Math.abs(got - expected) / Math.abs(expected)

describe('erf', () => {
  test.each(erfValues)('erf(%d)', (x, expected) => {
    expect(relative(erf(x), expected)).toBeLessThan(4e-16)
    expect(erf(-x)).toBe(-erf(x))
  })

  test('zero, the ends and NaN', () => {
    expect(erf(0)).toBe(0)
    expect(erf(Infinity)).toBe(1)
    expect(erf(-7)).toBe(-1)
    expect(erf(NaN)).toBeNaN()
  })
})

describe('erfinv', () => {
  test.each(erfinvValues)('erfinv(%d)', (x, expected) => {
    // 1 - 1e-12 is itself rounded, which the steep slope there magnifies.
    expect(relative(erfinv(x), expected)).toBeLessThan(x > 0.9999999 ? 1e-6 : 1e-15)
    expect(erfinv(-x)).toBe(-erfinv(x))
    if (x < 0.9999) expect(relative(erfinvFloat32(Math.fround(x)), expected)).toBeLessThan(1e-6)
  })

  test('the ends are infinite, outside is NaN', () => {
    expect([erfinv(1), erfinv(-1), erfinvFloat32(1)]).toEqual([Infinity, -Infinity, Infinity])
    expect([erfinv(1.1), erfinv(NaN)]).toEqual([NaN, NaN])
  })
})
