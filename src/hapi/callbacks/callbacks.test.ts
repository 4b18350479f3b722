/** What callbacks do to a run and print about it. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ArgumentError } from '../../common/errors.ts'
import { TensorDataset } from '../../io/index.ts'
import { Accuracy } from '../../metric/index.ts'
import * as nn from '../../nn/index.ts'
import { lr, SGD } from '../../optimizer/index.ts'
import type { HostArray } from '../../common/dtype.ts'
import { rand, seed, setDevice, toTensor, type Tensor } from '../../tensor/index.ts'
import { Model } from '../index.ts'
import { Callback, EarlyStopping, LRScheduler, ModelCheckpoint, ProgBarLogger, type Logs } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'callbacks-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeAll(() => setDevice('reference'))
beforeEach(() => void seed(5))

const data = (length: number): TensorDataset =>
  new TensorDataset([
    rand([length, 2]),
    toTensor(
      Array.from({ length }, (_, i) => i % 2),
      { dtype: 'int64' },
    ),
  ])

function build(learningRate: number | lr.LRScheduler = 0.1): Model {
  const network = new nn.Linear(2, 2)
  return new Model(network).prepare({
    optimizer: new SGD({ learningRate, parameters: network.parameters() }),
    loss: new nn.CrossEntropyLoss(),
    metrics: new Accuracy(),
  })
}

/** The rate of every step. */
class Rates extends Callback {
  readonly rates: number[] = []
  override onTrainBatchEnd(_: number, logs: Logs): void {
    this.rates.push(logs['lr'] as number)
  }
}

describe('LRScheduler', () => {
  const halving = () => new lr.StepDecay({ learningRate: 0.8, stepSize: 1, gamma: 0.5 })
  const ratesWith = async (own: readonly Callback[], more = {}): Promise<number[]> => {
    const rates = new Rates()
    const run = { trainData: data(6), batchSize: 2, epochs: 2, verbose: 0 as const, shuffle: false }
    await build(halving()).fit({ ...run, ...more, callbacks: [rates, ...own] })
    return rates.rates
  }

  test('by step, which is what a run does by itself', async () => {
    const expected = [0.8, 0.4, 0.2, 0.1, 0.05, 0.025]
    expect(await ratesWith([])).toEqual(expected)
    expect(await ratesWith([new LRScheduler()])).toEqual(expected)
  })

  test('by epoch', async () => {
    expect(await ratesWith([new LRScheduler({ byEpoch: true })])).toEqual([0.8, 0.8, 0.8, 0.4, 0.4, 0.4])
  })

  test('steps are updates: batches whose gradients are still summed do not count', async () => {
    expect(await ratesWith([], { accumulateGradBatches: 2 })).toEqual([0.8, 0.8, 0.4, 0.2, 0.2, 0.1])
  })

  test('not both', () => {
    expect(() => new LRScheduler({ byStep: true, byEpoch: true })).toThrow(ArgumentError)
  })
})

describe('ProgBarLogger', () => {
  class Sink extends Writable {
    text = ''
    isTTY = false
    override _write(chunk: Buffer, _: string, done: () => void): void {
      this.text += chunk.toString()
      done()
    }
  }
  const printed = async (verbose: 0 | 1 | 2, isTTY = false): Promise<string> => {
    const stream = new Sink()
    stream.isTTY = isTTY
    const logger = new ProgBarLogger({ stream, verbose, logFreq: 2 })
    const run = { trainData: data(6), evalData: data(4), batchSize: 2, epochs: 2, verbose }
    await build().fit({ ...run, callbacks: [logger] })
    return stream.text
  }

  test('lines: every second step, the last, and the evaluation', async () => {
    const text = await printed(2)
    const steps = [/^Epoch 1\/2\n/, /step 2\/3 - loss: \d\.\d{4} - acc: [01]\.\d{4} - lr: 0\.1000 - \d+ms\/step\n/]
    for (const pattern of [...steps, /step 3\/3 - /, /\nEval\nstep 2\/2 - loss: /, /\nEpoch 2\/2\n/])
      expect(text).toMatch(pattern)
    expect(text).not.toMatch(/step 1\/3/)
    expect(text.includes('\u001b')).toBe(false)
  })

  test('a bar where nobody watches: plain lines without control characters', async () => {
    const text = await printed(1)
    expect(text).toMatch(/Epoch 1\/2 step 3\/3 {2}loss \d\.\d{4} {2}lr 1\.00e-1/)
    expect(text).toMatch(/Eval step 2\/2/)
    expect(text.includes('\u001b') || text.includes('\r')).toBe(false)
  })

  test('a bar on a terminal', async () => expect(await printed(1, true)).toMatch(/Epoch 2\/2 █+/))

  test('silent', async () => expect(await printed(0)).toBe(''))
})

describe('ModelCheckpoint', () => {
  const run = { trainData: data(4), batchSize: 2, epochs: 5, verbose: 0 as const }

  test('every so many epochs, the last epoch always, in a directory of its own', async () => {
    const saveDir = join(root, 'own')
    await build().fit({ ...run, callbacks: [new ModelCheckpoint({ saveDir, saveFreq: 2 })] })
    expect(readdirSync(saveDir).sort()).toEqual(['final.safetensors', 'step-10', 'step-4', 'step-8'])
  })

  test('nothing without a directory', async () => {
    await build().fit({ ...run, callbacks: [new ModelCheckpoint()] })
    expect(readdirSync(root)).toEqual(['own'])
  })
})

test('EarlyStopping goes on counting in a resumed run', async () => {
  const saveDir = join(root, 'early')
  const run = { trainData: data(4), evalData: data(4), batchSize: 4, verbose: 0 as const, saveDir }
  const stops = () => new EarlyStopping({ monitor: 'loss', patience: 2, verbose: 0, saveBestModel: false })
  // A rate of 0 never gets better: the first evaluation is the best, two more are tolerated.
  expect((await build(0).fit({ ...run, epochs: 2, callbacks: [stops()] })).step).toBe(2)
  const history = await build(0).fit({ ...run, epochs: 10, resume: true, callbacks: [stops()] })
  expect(history.step).toBe(3)
})

test('evaluate and predict give over batches what all samples together give', async () => {
  const model = build()
  const set = data(6)
  const [x, y] = set.tensors as [Tensor, Tensor]
  const outputs = await model.predict(set, { batchSize: 4, verbose: 0, stackOutputs: true })
  const logits = (outputs as HostArray[])[0]!
  const [whole] = await model.predictBatch(x)
  expect(logits.shape).toEqual([6, 2])
  expect(logits.data).toEqual(whole!.data)

  const results = await model.evaluate(set, { batchSize: 4, verbose: 0 })
  const scores = Array.from(logits.data, Number)
  const labels = Array.from(await y.data(), Number)
  const right = labels.filter((label, i) => (scores[2 * i + 1]! > scores[2 * i]! ? 1 : 0) === label).length
  const losses = labels.map((label, i) => {
    const [a, b] = [scores[2 * i]!, scores[2 * i + 1]!]
    return Math.log(Math.exp(a) + Math.exp(b)) - (label === 1 ? b : a)
  })
  expect(results['acc']).toBeCloseTo(right / 6, 6)
  expect(results['loss']).toBeCloseTo(losses.reduce((sum, l) => sum + l, 0) / 6, 5)
})
