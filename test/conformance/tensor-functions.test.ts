/** Values and gradients of tensor functions as real PaddlePaddle recorded them, on every backend. */
import { afterAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { grad, setDevice, Tensor } from '../../src/index.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { firstDifference, judged } from '../support/backends.ts'
import { recordedCase } from '../support/recorded.ts'

type Inputs = Readonly<Record<string, Tensor>>

/** The `expr` of each case, in our words. */
const cases: Readonly<Record<string, (inputs: Inputs) => Tensor | Tensor[]>> = {
  act_tanh: ({ x }) => lz.tanh(x!),
  argmax_topk_sort: ({ x }) => [
    x!.argmax(-1),
    ...lz.topk(x!, 3, { axis: 1 }),
    lz.sort(x!, 1, { descending: true }),
    lz.argsort(x!, 1),
  ],
  bmm: ({ x, y }) => lz.bmm(x!, y!),
  concat_split_stack: ({ x, y }) => [
    lz.concat([x!, y!], 1),
    lz.stack([x!, x!.multiply(2)], 0),
    ...lz.split(y!, [1, -1, 2], 1),
  ],
  cumsum_clip_abs: ({ x }) => [
    x!.cumsum(1),
    x!.clip(-0.3, 0.4),
    x!.abs(),
    x!.square(),
    lz.exp(x!),
    lz.log(x!.abs().add(1)),
    lz.sqrt(x!.abs().add(0.1)),
    lz.floor(x!.multiply(4)),
    lz.round(x!.multiply(4)),
  ],
  div_pow: ({ x, y }) => x!.divide(y!).pow(1.5),
  einsum: ({ x, y }) => lz.einsum('bhqd,bhkd->bhqk', x!, y!),
  expand_tile_flip_roll: ({ x }) => [
    x!.expand([4, 2, 3]),
    x!.tile([2, 1]),
    x!.flip([0]),
    x!.roll(1, 1),
    lz.tril(x!),
    lz.triu(x!),
  ],
  gather_index_select: ({ x, i, n, t }) => [
    lz.gather(x!, i!, 0),
    lz.indexSelect(x!, i!, 1),
    lz.gatherNd(x!, n!),
    lz.takeAlongAxis(x!, t!, 1),
  ],
  matmul_tx_ty: ({ x, y }) => lz.matmul(x!, y!, { transposeX: true, transposeY: true }),
  max_min_where: ({ x, y }) => lz.where(x!.greaterThan(y!), lz.maximum(x!, y!).multiply(2), lz.minimum(x!, y!)),
  one_hot: ({ i }) => lz.oneHot(i!, 7),
  reshape_transpose: ({ x }) => lz.flatten(x!.transpose([0, 2, 1]).reshape([0, 2, -1, 3]), 1, 2),
  scatter: ({ x, i, u }) => [
    lz.scatter(x!, i!, u!),
    lz.scatter(x!, i!, u!, false),
    lz.scatterNdAdd(x!, i!.unsqueeze(1), u!),
  ],
  squeeze_unsqueeze_cast: ({ x }) => [
    x!.squeeze(1),
    x!.unsqueeze([0, 2]),
    x!.astype('int32'),
    x!.astype('float64'),
    x!.greaterThan(0).astype('float32'),
  ],
}

afterAll(() => setDevice('reference'))

describe.each(['reference', ...judged])('recorded tensor functions on %s', (device) => {
  it.each(Object.keys(cases))('%s', async (name) => {
    setDevice(device)
    const { arrays, grads } = recordedCase(name)
    const inputs = Object.fromEntries(
      Object.entries(arrays)
        .filter(([key]) => key.startsWith('in_'))
        .map(([key, host]) => [key.slice(3), fromHost(host, { stopGradient: !grads.includes(key.slice(3)) })]),
    )
    const result = cases[name]!(inputs)
    const outputs = result instanceof Tensor ? [result] : result
    for (const [k, output] of outputs.entries()) {
      const expected = arrays[`out${k}`]!
      expect([output.dtype, output.shape], `output ${k}`).toEqual([expected.dtype, expected.shape])
      expect(firstDifference(expected.data, await output.data(), 1e-5), `output ${k}`).toBe(-1)
    }
    const differentiable = outputs
      .map((o, k) => ({ o, g: arrays[`gout${k}`] }))
      .filter(({ o, g }) => g && !o.stopGradient)
    if (differentiable.length === 0) return
    const gradients = grad(
      differentiable.map(({ o }) => o),
      grads.map((g) => inputs[g]!),
      { gradOutputs: differentiable.map(({ o, g }) => fromHost(g!).astype(o.dtype)) },
    )
    for (const [k, g] of gradients.entries()) {
      const expected = arrays[`d_${grads[k]}`]!
      expect(firstDifference(expected.data, await g.data(), 1e-5), `gradient of ${grads[k]}`).toBe(-1)
    }
  })
})
