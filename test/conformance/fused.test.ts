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

const F = nn.functional

describe('a product that a kernel computes for its largest value, and again beside it', () => {
  /** Numbers between 5e9 and 1e10, where float32 skips 512. */
  const large = (shape: readonly number[]): Tensor => lz.rand(shape).add(1).multiply(5e9)

  it.each([
    [1, 1000, 13],
    [4, 37, 7],
    [3, 16, 4],
  ])('softmax of means is a distribution: %i rows of %i', async (rows, classes, side) => {
    for (const device of judged) {
      setDevice(device)
      lz.seed(1)
      const x = large([rows, classes, side, side])
      await lz.realize([x])
      const sums = F.softmax(lz.mean(x, [2, 3]), -1).sum(-1)
      expect([...((await sums.data()) as Float32Array)]).toEqual(new Array(rows).fill(1))
    }
  })

  it('scaled scores less their maximum are 0 at most', () =>
    expectAgreement(() => {
      const scaled = large([9, 333]).multiply(0.3)
      return scaled
        .subtract(scaled.max(-1, { keepdim: true }))
        .greaterThan(0)
        .astype('float32')
        .sum()
    }, 0))
})

/** Small numbers of both signs, the same on every backend; trained where `variable`. */
function data(shape: readonly number[], variable = false, dtype: 'float32' | 'bfloat16' = 'float32'): Tensor {
  const size = shape.reduce((a, b) => a * b, 1)
  const values = Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + size))
  const t = lz.toTensor(values).reshape(shape).astype(dtype).detach()
  t.stopGradient = !variable
  return t
}

/** A result with the gradients of what it depends on. */
const withGradients = (y: Tensor, ...variables: Tensor[]): Tensor[] => [y, ...lz.grad([y.square().sum()], variables)]

describe('what follows a contraction', () => {
  const programs: Record<string, Program> = {
    'bias and each activation': () => {
      const y = F.linear(data([37, 19]), data([19, 53]), data([53]))
      return [F.relu(y), F.gelu(y), F.sigmoid(y), F.hardswish(y), F.silu(y), lz.tanh(y), F.leakyRelu(y)].map((t) =>
        t.add(1),
      )
    },
    'one activation, kept with its argument': () => {
      const y = F.linear(data([37, 19]), data([19, 53]), data([53]))
      return [y, F.relu(y)]
    },
    'training a linear layer with ReLU, GELU and dropout': () =>
      [F.relu, (x: Tensor) => F.gelu(x), (x: Tensor) => F.dropout(F.gelu(x), 0.4)].flatMap((f) => {
        const [x, w, b, v] = [data([40, 24], true), data([24, 56], true), data([56], true), data([56, 8], true)]
        return withGradients(F.linear(f(F.linear(x, w, b)), v), x, w, b, v)
      }),
    'a residual, broadcast and permuted': () => {
      const product = (): Tensor => data([6, 20, 9]).matmul(data([9, 33]))
      return [
        F.relu(product().add(data([6, 20, 33]))),
        product().add(data([20, 1])),
        product().add(data([6, 33, 20]).transpose([0, 2, 1])),
        product()
          .add(data([33, 20, 6]).transpose([2, 1, 0]))
          .multiply(data([6, 1, 1])),
        product()
          .reshape([120, 33])
          .add(data([120, 33]))
          .reshape([20, 6, 33])
          .multiply(2.5),
      ]
    },
    'two products added, and one used twice': () => {
      const [a, b] = [data([30, 11]).matmul(data([11, 47])), data([30, 5]).matmul(data([5, 47]))]
      return [F.relu(a.add(b)), a.subtract(b).sum(0), b]
    },
    'one column, one row, one number': () => [
      F.relu(
        data([33, 17])
          .matmul(data([17, 1]))
          .add(data([1])),
      ),
      F.relu(
        data([1, 17])
          .matmul(data([17, 50]))
          .add(data([50])),
      ),
      F.relu(
        data([1, 17])
          .matmul(data([17, 1]))
          .add(data([1])),
      ),
    ],
    'a long sum of a small result': () =>
      lz.tanh(
        data([8, 5000])
          .matmul(data([5000, 12]))
          .multiply(0.01)
          .add(data([12])),
      ),
    'a convolution with batch norm, activation and residual': () => {
      const [x, w, v] = [data([2, 6, 11, 13]), data([8, 6, 3, 3]), data([8]).abs().add(0.5)]
      const norm = (y: Tensor): Tensor => F.batchNorm(y, data([8]), v, { weight: data([8]).add(2), bias: data([8]) })
      const y = F.relu(norm(F.conv2d(x, w, null, { padding: 1 })))
      return [y, F.relu(norm(F.conv2d(y, data([8, 8, 3, 3]), data([8]), { padding: 1 })).add(y))]
    },
    'depthwise, strided and transposed convolutions': () => [
      F.hardswish(F.conv2d(data([2, 6, 12, 12]), data([6, 1, 3, 3]), data([6]), { groups: 6, padding: 1 })),
      F.relu(F.conv2d(data([2, 6, 12, 12]), data([4, 6, 3, 3]), data([4]), { stride: 2 })),
      F.relu(F.conv2dTranspose(data([2, 6, 7, 7]), data([6, 4, 3, 3]), data([4]), { stride: 2 })),
    ],
    'training a convolution with bias and ReLU': () => {
      const [x, w, b] = [data([2, 5, 12, 10], true), data([7, 5, 3, 3], true), data([7], true)]
      return withGradients(F.maxPool2d(F.relu(F.conv2d(x, w, b, { padding: 1, stride: 1 })), 2), x, w, b)
    },
    'NaN and infinity': () => {
      const x = lz.toTensor(Float32Array.from({ length: 16 * 8 }, (_, i) => [NaN, Infinity, -Infinity, 1, 0][i % 5]!))
      return F.relu(
        x
          .reshape([16, 8])
          .matmul(data([8, 40]))
          .add(data([40])),
      )
    },
    'a result of another dtype': () => [
      data([20, 9])
        .matmul(data([9, 50]))
        .add(1)
        .astype('bfloat16'),
      data([20, 9])
        .matmul(data([9, 50]))
        .greaterThan(0),
      data([20, 9])
        .matmul(data([9, 50]))
        .multiply(10)
        .astype('int32')
        .add(1),
      data([20, 9])
        .matmul(data([9, 50]))
        .add(1)
        .astype('float64'),
    ],
    'a loop over time': () => {
      const cell = new nn.SimpleRNN(6, 10)
      for (const p of cell.parameters()) p.setValue(data(p.shape).multiply(0.3))
      const x = data([3, 7, 6], true)
      return withGradients((cell(x) as unknown as [Tensor])[0], x, ...cell.parameters())
    },
  }
  it.each(Object.keys(programs))('%s', (name) => expectAgreement(programs[name]!, 2e-4))

  it('reads what is overwritten before it is', async () => {
    for (const device of ['reference', ...judged]) {
      setDevice(device)
      const [state, x, w] = [lz.ones([24, 40]), data([24, 8]), data([8, 40])]
      const before = x.matmul(w).add(state)
      state.assign(x.matmul(w).multiply(2).add(state))
      const after = F.relu(x.matmul(w).add(state))
      await lz.realize([before, after, state])
      const product = (await x.matmul(w).data()) as Float32Array
      const expected = (f: (p: number) => number): number[] => [...product].map(f)
      const rows: readonly [Tensor, number[]][] = [
        [before, expected((p) => p + 1)],
        [state, expected((p) => 2 * p + 1)],
        [after, expected((p) => Math.max(0, 3 * p + 1))],
      ]
      for (const [t, wanted] of rows)
        expect([device, firstDifference(wanted, (await t.data()) as Float32Array, 1e-5)]).toEqual([device, -1])
    }
  })
})

describe('pools behind a bias and an activation', () => {
  it.each([
    [1, 2, 5, 8],
    [2, 3, 6, 17],
    [1, 2, 4, 34],
    [2, 1, 3, 70],
  ])('of images %s, with gradients', (...shape) =>
    expectAgreement(() => {
      const [x, bias] = [data(shape, true), data([shape[1]!, 1, 1], true)]
      const pool = (kernel: number | number[], stride: number | number[]): Tensor[] =>
        withGradients(F.maxPool2d(F.relu(x.add(bias)), kernel, { stride: stride }), x, bias)
      return [...pool(2, 2), ...pool(3, 2), ...pool([2, 1], [2, 1])]
    }, 1e-4),
  )
})
