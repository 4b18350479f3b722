import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPredictor, writeModel, type Predictor } from '../../src/inference/index.ts'
import { exportProgram } from '../../src/io/formats/program/export/export.ts'
import type { OperatorProgram } from '../../src/inference/index.ts'
import { jit, nn, setDevice, type Tensor } from '../../src/index.ts'
import * as T from '../../src/tensor/index.ts'
import { judged } from '../support/backends.ts'
import { makeScratch } from '../support/scratch.ts'

const scratch = makeScratch('nonce')
afterAll(() => rm(scratch, { recursive: true }))

/** Two layers behind which the number that came in can still be told. */
class Echo extends nn.Layer {
  first = new nn.Linear(4, 4, { weightAttr: { initializer: new nn.initializer.Constant(0.25) } })
  forward(x: Tensor): Tensor {
    return T.add(nn.functional.relu(this.first(x)), 1)
  }
}

describe.each([...judged])('predictors on %s', (device) => {
  let model: OperatorProgram
  beforeAll(async () => {
    setDevice(device)
    model = await exportProgram(new Echo(), { inputSpec: [new jit.InputSpec([null, 4], 'float32', 'x')] })
  })

  /** The calls whose answers are another's. */
  const wrongOf = async (predictors: readonly Predictor[]): Promise<number[]> => {
    const calls = Array.from({ length: 10_000 }, (_, nonce) => {
      // Each predictor gets each number of rows, and each row is another question.
      const rows = 1 + (Math.floor(nonce / predictors.length) % 4)
      const data = Float32Array.from({ length: 4 * rows }, (_, i) => 4 * nonce + (i >> 2))
      return predictors[nonce % predictors.length]!.run({ x: { dtype: 'float32', shape: [rows, 4], data } })
    })
    const answers = await Promise.all(calls)
    const wrong = answers.flatMap(({ output_0: out }, nonce) => {
      const rows = 1 + (Math.floor(nonce / predictors.length) % 4)
      const isRight =
        out!.data.length === 4 * rows && (out!.data as Float32Array).every((v, i) => v === 4 * nonce + (i >> 2) + 1)
      return isRight ? [] : [nonce]
    })
    for (const predictor of predictors) await predictor.dispose()
    return wrong
  }

  it('give each of 10,000 calls at once the answer to its own question', async () => {
    const predictors = [await createPredictor({ model, device }), await createPredictor({ model, device })]
    expect(await wrongOf([...predictors, predictors[0]!.clone()])).toEqual([])
  })

  it('do so from a file too, by a predictor that reads it and by one that finds it prepared', async () => {
    const path = join(scratch, `${device}.safetensors`)
    await writeModel(model, path)
    const cache = join(scratch, 'cache')
    const first = await createPredictor({ model: path, device, cache })
    await first.prepare([[2, 4]])
    await first.dispose()
    const predictors = [
      await createPredictor({ model: path, device, cache }),
      await createPredictor({ model: path, device, cache: false }),
    ]
    expect(await wrongOf(predictors)).toEqual([])
  })
})
