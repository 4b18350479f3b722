/** Images enlarged by a number, where each value is stored several times side by side. Every backend against the reference. */
import { expect, test } from 'vitest'
import * as lz from '../../src/index.ts'
import { judged } from '../support/backends.ts'

const { functional } = lz.nn

for (const device of judged) {
  test.each([2, 3, 4, 5, 7, 8, 9])(`by %i, on ${device}`, async (scaleFactor) => {
    const numbers = async (on: typeof device | 'reference'): Promise<number[]> => {
      lz.setDevice(on)
      const wave = Float32Array.from({ length: 2 * 3 * 5 * 21 }, (_, i) => Math.sin(0.73 * i))
      const x = lz.toTensor(wave).reshape([2, 3, 5, 21])
      const large = functional.interpolate(lz.add(lz.multiply(x, x), x), { scaleFactor, mode: 'nearest' })
      return Array.from(await large.data(), Number)
    }
    const expected = await numbers('reference')
    const found = await numbers(device)
    expect(found).toHaveLength(expected.length)
    expect(found.every((v, i) => Math.abs(v - expected[i]!) < 1e-5)).toBe(true)
  })
}
