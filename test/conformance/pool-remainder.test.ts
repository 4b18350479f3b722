/**
 * Pools whose windows leave rows and columns out: their gradients are computed box by box (see codegen/boxes.ts), together with what is fused into
 * them. Every backend against the reference.
 */
import { expect, test } from 'vitest'
import * as lz from '../../src/index.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'

const { functional } = lz.nn

interface Case {
  readonly shape: readonly number[]
  readonly pool: (x: Tensor) => Tensor
}

const cases: Readonly<Record<string, Case>> = {
  'a column left out': { shape: [2, 3, 8, 21], pool: (x) => functional.maxPool2d(x, 2) },
  'a row left out': { shape: [2, 3, 9, 20], pool: (x) => functional.maxPool2d(x, 2) },
  'both, several of each': { shape: [2, 5, 11, 20], pool: (x) => functional.maxPool2d(x, 3) },
  'windows of one row': { shape: [1, 4, 6, 37], pool: (x) => functional.maxPool2d(x, [1, 2]) },
  'over lines': { shape: [3, 4, 19], pool: (x) => functional.maxPool1d(x, 4) },
  'over volumes': { shape: [2, 2, 5, 7, 9], pool: (x) => functional.maxPool3d(x, 2) },
  averages: { shape: [2, 3, 7, 13], pool: (x) => functional.avgPool2d(x, 2) },
}

const wave = (shape: readonly number[], phase: number): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  return lz.toTensor(Float32Array.from({ length: n }, (_, i) => Math.sin(0.73 * i + phase))).reshape([...shape])
}

/** A pool behind a ReLU: values, and the gradients of the input and of a bias that is summed over images. */
async function numbers({ shape, pool }: Case): Promise<number[][]> {
  const x = wave(shape, 0)
  const bias = wave([shape[1]!, ...shape.slice(2).map(() => 1)], 1)
  for (const t of [x, bias]) t.stopGradient = false
  const y = pool(functional.relu(lz.add(x, bias)))
  lz.sum(lz.multiply(y, wave(y.shape, 2))).backward()
  return Promise.all([y, x.grad!, bias.grad!].map(async (t) => Array.from(await t.data(), Number)))
}

for (const device of judged) {
  test.each(Object.entries(cases))(`%s, on ${device}`, async (_, c) => {
    lz.setDevice('reference')
    const expected = await numbers(c)
    lz.setDevice(device)
    const found = await numbers(c)
    found.forEach((values, i) =>
      expect(values.every((x, j) => Math.abs(x - expected[i]![j]!) < 1e-5 * (i === 2 ? 10 : 1))).toBe(true),
    )
    expect(found[1]!.filter((x) => x === 0).length).toBeGreaterThan(found[1]!.length / 3)
  })
}
