import { expect, it } from 'vitest'
import { resizedBy } from './sampling.ts'

it('sizes are cut as Paddle cuts them, and as float32 does for factors that it holds', () => {
  // What Paddle 3.3.1 makes of images of such sizes.
  const given = [
    [10, 0.7, 7],
    [10, 1.1, 11],
    [33, 1.3, 42],
    [7, 1.7, 11],
    [100, 0.29, 28],
  ] as const
  for (const [size, factor, out] of given) expect(resizedBy(size, factor)).toBe(out)
  // The number that a file has for 0.7 is below it.
  expect(Math.floor(10 * Math.fround(0.7))).toBe(6)
  expect(resizedBy(10, Math.fround(0.7))).toBe(7)
})
