/**
 * Pads that loops read through: what lies inside is computed in vectors, what lies in front of it and behind it element by element. Every backend
 * against the reference.
 */
import { expect, test } from 'vitest'
import * as lz from '../../src/index.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'

const { functional } = lz.nn

const wave = (shape: readonly number[], phase = 0): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  return lz.toTensor(Float32Array.from({ length: n }, (_, i) => Math.sin(0.73 * i + phase))).reshape([...shape])
}

const pad = (x: Tensor, padding: readonly number[], value = 0): Tensor => functional.pad(x, padding, { value })

const cases: Readonly<Record<string, () => Tensor>> = {
  'rows and columns, with a number': () => pad(wave([2, 3, 6, 37]), [1, 2, 2, 1], -3),
  'wider than a vector': () => pad(wave([1, 2, 3, 5]), [40, 35, 1, 1]),
  'narrower than a vector': () => pad(wave([1, 2, 3, 2]), [1, 0, 0, 1], 7),
  'one side': () => pad(wave([1, 3, 4, 64]), [0, 1, 0, 0], 2),
  'every second element': () => lz.stridedSlice(pad(wave([1, 2, 5, 41]), [3, 2, 1, 1], 5), [3], [1], [46], [2]),
  'turned around': () => lz.flip(pad(wave([1, 2, 5, 41]), [3, 2, 1, 1]), [3]),
  'a sum of two': () => lz.add(pad(wave([1, 2, 5, 41]), [3, 2, 1, 1]), pad(wave([1, 2, 7, 44], 1), [2, 0, 0, 0], 1)),
  'a sum of two that do not overlap': () =>
    lz.add(pad(wave([1, 2, 5, 20]), [0, 21, 0, 0]), pad(wave([1, 2, 5, 19], 1), [22, 0, 0, 0])),
  'a sum along rows': () => lz.sum(lz.exp(pad(wave([1, 2, 5, 41]), [3, 2, 1, 1], 0)), 3),
  'a sum along columns': () => lz.sum(lz.exp(pad(wave([1, 2, 5, 141]), [3, 2, 1, 1], 0)), 2),
  'doubled along rows': () =>
    functional.interpolate(pad(wave([1, 2, 5, 41]), [3, 2, 1, 1]), { scaleFactor: 2, mode: 'nearest' }),
  'repeated along rows': () => lz.add(pad(wave([1, 2, 1, 41]), [3, 2, 1, 1]), wave([1, 2, 3, 46])),
  'a pool': () =>
    functional.maxPool2d(lz.subtract(wave([2, 3, 15, 33]), lz.toTensor(2.5)), 3, { stride: 2, padding: 1 }),
  'an average': () => functional.avgPool2d(wave([2, 3, 15, 33]), 3, { stride: 2, padding: 1 }),
  truths: () =>
    lz.cast(pad(lz.cast(lz.greaterThan(wave([1, 2, 5, 41]), lz.toTensor(0.1)), 'float32'), [3, 2, 1, 1], 1), 'int32'),
}

for (const device of judged) {
  test.each(Object.entries(cases))(`%s, on ${device}`, async (_, build) => {
    const numbers = async (on: typeof device | 'reference'): Promise<number[]> => {
      lz.setDevice(on)
      return Array.from(await build().data(), Number)
    }
    const expected = await numbers('reference')
    const found = await numbers(device)
    expect(found).toHaveLength(expected.length)
    expect(found.every((x, i) => Math.abs(x - expected[i]!) < 1e-4)).toBe(true)
  })
}
