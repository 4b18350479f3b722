/** A model trained here goes on in the real PaddlePaddle: as layer and as program of what jit.save wrote, and by set_state_dict of its .pdparams. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { jit, nn, noGrad, save, seed, type Tensor } from '../../src/index.ts'
import { writeNpz } from '../../src/io/files.ts'
import { drawSamples } from '../../src/io/formats/proof.ts'
import * as optimizer from '../../src/optimizer/index.ts'
import * as T from '../../src/tensor/index.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { runScript } from '../support/networks.ts'
import { askPaddle, paddle26Python, paddlePython } from '../support/paddle.ts'
import { makeScratch } from '../support/scratch.ts'

const { functional: F } = nn
const scratch = makeScratch('fine-tuning')
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

class Small extends nn.Layer {
  conv = new nn.Conv2D(2, 8, { kernelSize: 3, padding: 1 })
  norm = new nn.BatchNorm2D(8)
  drop = new nn.Dropout(0.3)
  fc = new nn.Linear(8, 3)
  forward(x: Tensor): Tensor {
    const y = F.relu(this.norm(this.conv(x)))
    return F.softmax(this.fc(this.drop(T.mean(y, [2, 3]))), -1)
  }
}

/** What test/support/networks/train.py tells of a model. */
interface Trained {
  readonly losses: readonly number[]
  readonly parameters: number
  readonly evaluation: readonly (readonly number[])[]
  /** The same after training. */
  readonly after: readonly (readonly number[])[]
  /** Of a layer. */
  readonly sameInTraining?: boolean
}

seed(11)
const model = new Small()
const data = join(scratch, 'data.npz')
let expected: number[] = []

beforeAll(async () => {
  const spec = { inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 2, 6, 6] }] } as const
  const [[x]] = drawSamples(
    { ...spec, outputs: [], parameters: new Map(), operations: [], values: new Map(), metadata: {} },
    [[[12, 2, 6, 6]]],
  ) as [[Parameters<typeof fromHost>[0]]]
  const y = { dtype: 'int64', shape: [12], data: BigInt64Array.from({ length: 12 }, (_, i) => BigInt(i % 3)) } as const
  const steps = new optimizer.Momentum({ learningRate: 0.05, parameters: model.parameters() })
  for (let i = 0; i < 3; i++) {
    const loss = F.nllLoss(T.log(model(fromHost(x))), fromHost(y))
    loss.backward()
    steps.step()
    steps.clearGrad()
  }
  await writeNpz(data, { x, y })
  model.eval()
  expected = Array.from(await noGrad(() => model(fromHost(x))).data(), Number)
  model.train()
})

const real = [
  { version: '3.3.1', python: paddlePython(), format: 'pir', ways: ['layer'], drops: false },
  { version: '2.6.2', python: paddle26Python(), format: 'pdmodel', ways: ['layer', 'program'], drops: true },
] as const

describe.each(real)('PaddlePaddle $version', ({ python, format, ways, drops }) => {
  test.runIf(python)('loads what jit.save wrote and goes on with it', async () => {
    const path = join(scratch, format, 'model')
    await jit.save(model, path, { inputSpec: [new jit.InputSpec([null, 2, 6, 6], 'float32', 'x')], format })
    const jobs = join(scratch, `${format}.json`)
    writeFileSync(jobs, JSON.stringify(ways.map((way) => ({ way, path, inputs: data, steps: 60 }))))
    const results = (await runScript(python ?? '', 'train.py', [jobs])) as Trained[]
    expect(results.length).toBe(ways.length)
    for (const made of results) {
      // Running statistics are parameters of what Paddle loads, too.
      expect(made.parameters).toBe(Object.keys(model.stateDict()).length)
      expect(largestDifference(made.evaluation, expected)).toBeLessThan(1e-5)
      expect(made.losses.at(-1)!).toBeLessThan(made.losses[0]! - 0.05)
      expect(largestDifference(made.after, expected)).toBeGreaterThan(1e-2)
    }
    // Of its own exports, too, 3.3.1 keeps `is_test` of dropouts; 2.6.2 turns it off in training.
    expect(results[0]!.sameInTraining).toBe(!drops)
  })
})

function largestDifference(made: readonly (readonly number[])[], wanted: readonly number[]): number {
  return Math.max(...made.flat().map((v, i) => Math.abs(v - wanted[i]!)))
}

const LOAD = `
import json, sys, numpy as np, paddle
request = json.load(sys.stdin)
class Small(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(2, 8, 3, padding=1)
        self.norm = paddle.nn.BatchNorm2D(8)
        self.drop = paddle.nn.Dropout(0.3)
        self.fc = paddle.nn.Linear(8, 3)
    def forward(self, x):
        y = paddle.nn.functional.relu(self.norm(self.conv(x)))
        return paddle.nn.functional.softmax(self.fc(self.drop(y.mean([2, 3]))), -1)
model = Small()
missing, unexpected = model.set_state_dict(paddle.load(request['path']))
model.eval()
y = model(paddle.to_tensor(np.load(request['inputs'])['x'])).numpy()
print(json.dumps({'missing': missing, 'unexpected': unexpected, 'outputs': y.flatten().tolist()}))
`

test.runIf(paddlePython())('the same layer in PaddlePaddle takes the .pdparams', async () => {
  const path = join(scratch, 'model.pdparams')
  await save(model.stateDict(), path)
  const made = askPaddle(paddlePython()!, LOAD, { path, inputs: data }) as {
    missing: string[]
    unexpected: string[]
    outputs: number[]
  }
  expect(made).toMatchObject({ missing: [], unexpected: [] })
  expect(Math.max(...made.outputs.map((v, i) => Math.abs(v - expected[i]!)))).toBeLessThan(1e-5)
})
