import { describe, expect, test } from 'vitest'
import { Generator } from './generator.ts'

describe('poisson', () => {
  // std::poisson_distribution<> built afresh for each draw, as in Paddle's kernel; recorded from GCC 12 with seed 42.
  test.each([
    [0.5, [2, 1, 0, 2, 2, 1, 1, 3, 0, 0, 0, 1]],
    [3, [5, 6, 7, 4, 2, 6, 5, 3, 2, 2, 2, 4]],
    [11.5, [21, 6, 15, 6, 11, 10, 15, 13, 6, 12, 18, 6]],
  ])('small mean %d follows libstdc++', (mean, expected) => {
    expect(Array.from(new Generator(42).poisson(new Float32Array(expected.length), mean))).toEqual(expected)
  })

  test.each([0, 4, 12, 50, 1000])('mean and variance of mean %d', (mean) => {
    const n = 40000
    const draws = new Generator(1).poisson(new Float64Array(n), mean)
    const average = draws.reduce((a, b) => a + b, 0) / n
    const variance = draws.reduce((a, b) => a + (b - average) ** 2, 0) / n
    expect(Math.abs(average - mean)).toBeLessThanOrEqual(4 * Math.sqrt(mean / n))
    expect(Math.abs(variance - mean)).toBeLessThanOrEqual(5 * mean * Math.sqrt(2 / n))
  })

  test('probabilities of the rejection method match the mass function', () => {
    const mean = 13
    const n = 100000
    const draws = new Generator(2).poisson(new Float64Array(n), mean)
    const counts = new Map<number, number>()
    for (const k of draws) counts.set(k, (counts.get(k) ?? 0) + 1)
    let mass = Math.exp(-mean)
    for (let k = 0; k < 30; k++) {
      if (k > 0) mass *= mean / k
      expect(Math.abs((counts.get(k) ?? 0) / n - mass)).toBeLessThan(5 * Math.sqrt(mass / n) + 1e-4)
    }
  })
})
