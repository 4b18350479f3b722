/** What kernels compute together gives on every backend what the oracle gives, op by op: at sizes around those that templates cut at. */
import { describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { nn, type Tensor } from '../../src/index.ts'
import { random, scalar } from '../../src/graph/build.ts'
import { setDevice } from '../../src/tensor/device.ts'
import { Tensor as TensorOf } from '../../src/tensor/tensor.ts'
import { firstDifference, judged } from '../support/backends.ts'

type Program = () => Tensor | readonly Tensor[]

async function valuesOf(program: Program, device: string): Promise<(ArrayLike<number> | ArrayLike<bigint>)[]> {
  setDevice(device)
  lz.seed(7)
  const results = [program()].flat() as Tensor[]
  await lz.realize(results)
  return Promise.all(results.map((r) => r.data()))
}

/** Compares all results of a program on all backends with the oracle's. */
async function expectAgreement(program: Program, tolerance: number): Promise<void> {
  const wanted = await valuesOf(program, 'reference')
  for (const device of judged) {
    const got = await valuesOf(program, device)
    const differences = wanted.map((w, i) => firstDifference(w, got[i]!, tolerance))
    expect({ device, differences }).toEqual({ device, differences: wanted.map(() => -1) })
  }
}

describe('random draws, four a block', () => {
  const draws = (shape: readonly number[], dtype?: 'float32' | 'int32'): Tensor =>
    new TensorOf(random(scalar(2 ** 35 + 9, 'int64'), scalar(2 ** 32 - 3, 'int64'), shape, dtype))

  it.each([[1], [3], [4], [7, 9], [64], [67], [4096], [4099], [3, 5, 31, 17]])('of shape %s and beyond', (...shape) =>
    expectAgreement(
      () => [
        draws(shape),
        draws(shape, 'int32'),
        draws(shape).astype('float64'),
        draws(shape).greaterThan(0.25),
        draws(shape).multiply(3).subtract(1),
        nn.functional.dropout(lz.ones(shape), 0.3),
      ],
      1e-6,
    ),
  )

  it('a mask that is a result, and used twice', () =>
    expectAgreement(() => {
      const mask = draws([37, 6]).greaterThan(0.5)
      return [mask, mask.astype('float32').add(1), lz.where(mask, lz.ones([37, 6]), lz.zeros([37, 6])).sum(0)]
    }, 1e-6))
})
