import { beforeAll, describe, expect, it } from 'vitest'
import { createPredictor } from '../../src/inference/index.ts'
import { exportProgram } from '../../src/io/formats/program/export/export.ts'
import type { OperatorProgram } from '../../src/inference/index.ts'
import { jit, nn, setDevice, type Tensor } from '../../src/index.ts'
import * as T from '../../src/tensor/index.ts'
import { judged } from '../support/backends.ts'

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

  it('give each of 10,000 calls at once the answer to its own question', async () => {
    const predictors = [await createPredictor({ model, device }), await createPredictor({ model, device })]
    predictors.push(predictors[0]!.clone())
    const calls = Array.from({ length: 10_000 }, (_, nonce) => {
      const rows = 1 + (nonce % 3)
      const data = new Float32Array(4 * rows).fill(nonce)
      return predictors[nonce % 3]!.run({ x: { dtype: 'float32', shape: [rows, 4], data } })
    })
    const answers = await Promise.all(calls)
    const wrong = answers.flatMap(({ output_0: out }, nonce) => {
      const rows = 1 + (nonce % 3)
      const isRight = out!.data.length === 4 * rows && (out!.data as Float32Array).every((v) => v === nonce + 1)
      return isRight ? [] : [nonce]
    })
    expect(wrong).toEqual([])
  })
})
