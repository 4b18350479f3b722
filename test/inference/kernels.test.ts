/**
 * What predictors alone do (operands packed once, parts of a join computed in their places, axes of one element without loops) gives on every
 * backend what the oracle gives, at sizes around those that templates tell apart.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { createPredictor } from '../../src/inference/index.ts'
import * as lz from '../../src/index.ts'
import { jit, nn, type Tensor } from '../../src/index.ts'
import { exportProgram } from '../../src/io/formats/program/export/export.ts'
import { drawSamples } from '../../src/io/formats/proof.ts'
import { firstDifference, judged } from '../support/backends.ts'

const { avgPool2d, hardswish, interpolate, maxPool2d, relu, swish } = nn.functional

/** Convolutions to small images with activations, pooled with padding, and squeezed. */
class Small extends nn.Layer {
  first = new nn.Conv2D(3, 24, 3, { stride: 2, padding: 1 })
  second = new nn.Conv2D(24, 40, 3, { padding: 1 })
  thin = new nn.Conv2D(40, 40, 5, { padding: 2, groups: 40 })
  down = new nn.Conv2D(40, 10, 1)
  up = new nn.Conv2D(10, 40, 1)

  forward(x: Tensor): Tensor {
    const pooled = maxPool2d(relu(this.first(x)), 3, { stride: 2, padding: 1 })
    const y = hardswish(this.thin(swish(this.second(pooled))))
    const gate = nn.functional.hardsigmoid(this.up(relu(this.down(lz.mean(y, [2, 3], { keepdim: true })))))
    return avgPool2d(lz.multiply(y, gate), 3, { stride: 2, padding: 1 })
  }
}

/** Parts that convolutions, enlarging and elementwise work give, joined along channels, rows and the last axis. */
class Joined extends nn.Layer {
  a = new nn.Conv2D(3, 8, 3, { padding: 1 })
  b = new nn.Conv2D(3, 8, 1)

  forward(x: Tensor): readonly Tensor[] {
    const [a, b] = [relu(this.a(x)), this.b(x)]
    const large = interpolate(maxPool2d(a, 2, { stride: 2 }), { scaleFactor: 2, mode: 'nearest' })
    const channels = lz.concat([a, large, lz.add(b, b), x], 1)
    return [channels, lz.concat([a, b], 2), lz.concat([a, lz.multiply(b, 2)], 3), lz.concat([channels, channels], 1)]
  }
}

/** Products of rows with constant matrices, recurrence, normalisation. */
class Sequence extends nn.Layer {
  first = new nn.Linear(20, 70)
  norm = new nn.LayerNorm(70)
  rnn = new nn.LSTM(70, 33, { direction: 'bidirect' })
  last = new nn.Linear(66, 5)

  forward(x: Tensor): Tensor {
    const [y] = this.rnn(this.norm(nn.functional.gelu(this.first(x))))
    return nn.functional.softmax(this.last(y), -1)
  }
}

type Case = readonly [
  name: string,
  layer: () => nn.Layer,
  shapes: readonly (readonly number[])[],
  spec: (number | null)[],
]
const cases: readonly Case[] = [
  [
    'small images',
    () => new Small(),
    [
      [1, 3, 28, 28],
      [1, 3, 17, 61],
      [2, 3, 9, 8],
      [1, 3, 120, 132],
    ],
    [null, 3, null, null],
  ],
  [
    'joins',
    () => new Joined(),
    [
      [1, 3, 8, 18],
      [2, 3, 8, 32],
      [1, 3, 4, 4],
    ],
    [null, 3, null, null],
  ],
  [
    'sequences',
    () => new Sequence(),
    [
      [1, 1, 20],
      [1, 7, 20],
      [3, 5, 20],
      [1, 130, 20],
    ],
    [null, null, 20],
  ],
]

describe.each(cases)('%s', (_, make, shapes, spec) => {
  let model: Awaited<ReturnType<typeof exportProgram>>

  beforeAll(async () => {
    lz.seed(3)
    const sampleShapes = [2, 3, 5].map((n, i) => [spec.map((d, axis) => d ?? (axis === 0 ? n : 8 + 4 * i))])
    model = await exportProgram(make(), { inputSpec: [new jit.InputSpec(spec, 'float32', 'x')], sampleShapes })
  })

  it.each(judged)('on %s', async (device) => {
    const oracle = await createPredictor({ model, device: 'reference' })
    const predictor = await createPredictor({ model, device })
    for (const shape of shapes) {
      const [inputs] = drawSamples(model, [[shape]])
      const wanted = await oracle.run(inputs!)
      // Twice: the second run finds what the first one packed, and memory that was used before.
      await predictor.run(inputs!)
      const got = await predictor.run(inputs!)
      for (const [name, { data, shape: size }] of Object.entries(wanted)) {
        expect(got[name]!.shape).toEqual(size)
        const at = firstDifference(data, got[name]!.data, 1e-4)
        expect({ name, shape, at }).toEqual({ name, shape, at: -1 })
      }
    }
  })
})
