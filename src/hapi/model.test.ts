import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ArgumentError } from '../common/errors.ts'
import { Dataset, DataLoader } from '../io/index.ts'
import { Accuracy } from '../metric/index.ts'
import * as nn from '../nn/index.ts'
import { guard } from '../nn/unique-name.ts'
import { Adam, lr, SGD } from '../optimizer/index.ts'
import { ones, seed, setDevice, toTensor, type Tensor } from '../tensor/index.ts'
import {
  Callback,
  CSVLogger,
  EarlyStopping,
  JSONLogger,
  ModelCheckpoint,
  ReduceLROnPlateau,
  type Logs,
} from './callbacks/index.ts'
import { Model } from './index.ts'

let directory: string
beforeAll(async () => {
  setDevice('reference')
  directory = await mkdtemp(join(tmpdir(), 'longzhou-model-'))
})
afterAll(() => rm(directory, { recursive: true }))
beforeEach(() => void seed(1))
const at = (name: string): string => join(directory, name)

/** Two classes that a line divides. */
class Points extends Dataset<[Float32Array, number]> {
  readonly length: number

  constructor(length = 24) {
    super()
    this.length = length
  }

  getItem(i: number): [Float32Array, number] {
    const x = Math.sin(i * 1.7)
    const y = Math.cos(i * 2.3)
    return [Float32Array.of(x, y), x + y > 0 ? 1 : 0]
  }
}

class Net extends nn.Layer {
  hidden = new nn.Linear(2, 8)
  norm = new nn.BatchNorm1D(8)
  drop = new nn.Dropout(0.1)
  last = new nn.Linear(8, 2)

  forward(x: Tensor): Tensor {
    return this.last(this.drop(nn.functional.relu(this.norm(this.hidden(x)))))
  }
}

function build(learningRate: number | lr.LRScheduler = 0.05): Model {
  seed(3)
  const network = guard(() => new Net())
  return new Model(network).prepare({
    optimizer: new Adam({ learningRate, parameters: network.parameters() }),
    loss: new nn.CrossEntropyLoss(),
    metrics: new Accuracy(),
  })
}

async function weights(model: Model): Promise<unknown> {
  const entries = Object.entries(model.network.stateDict()).map(async ([name, t]) => [name, await t.data()] as const)
  return Object.fromEntries(await Promise.all(entries))
}

const quiet = { batchSize: 6, verbose: 0 } as const

/** Notes what it is told. */
class Recorder extends Callback {
  readonly calls: string[] = []
  readonly logs: Logs[] = []
  override onTrainBegin = (): void => void this.calls.push('train begin')
  override onTrainEnd = (): void => void this.calls.push('train end')
  override onEpochBegin = (e: number): void => void this.calls.push(`epoch ${e}`)
  override onEvalBegin = (): void => void this.calls.push('eval')
  override onTrainBatchEnd = (step: number, logs: Logs): void => {
    this.calls.push(`batch ${step}`)
    this.logs.push(logs)
  }
  override onEpochEnd = (e: number): void => void this.calls.push(`end ${e}`)
}

describe('fit', () => {
  test('learns, evaluates and predicts', async () => {
    const model = build()
    const history = await model.fit({ ...quiet, trainData: new Points(), evalData: new Points(12), epochs: 8 })
    expect(history.epochs).toHaveLength(8)
    expect(history.step).toBe(32)
    expect(history.epochs.at(-1)!['eval_acc']).toBeGreaterThan(0.9)
    const results = await model.evaluate(new Points(12), { ...quiet, batchSize: 5 })
    expect(results['acc']).toBe(history.epochs.at(-1)!['eval_acc'])
    expect(results['loss']).toBeCloseTo(history.epochs.at(-1)!['eval_loss'] as number, 5)
    const stacked = await model.predict(new Points(7), { ...quiet, stackOutputs: true })
    expect(stacked.map((a) => a.shape)).toEqual([[7, 2]])
    const parts = await model.predict(new Points(7), quiet)
    expect(parts[0]!.map((a) => a.shape)).toEqual([
      [6, 2],
      [1, 2],
    ])
    expect([...parts[0]![0]!.data, ...parts[0]![1]!.data]).toEqual([...stacked[0]!.data])
  })

  test('calls callbacks in order, with results', async () => {
    const recorder = new Recorder()
    await build().fit({
      ...quiet,
      trainData: new Points(12),
      evalData: new Points(6),
      epochs: 2,
      evalFreq: 2,
      callbacks: [recorder],
    })
    expect(recorder.calls).toEqual([
      'train begin',
      'epoch 0',
      'batch 0',
      'batch 1',
      'end 0',
      'epoch 1',
      'batch 0',
      'batch 1',
      'eval',
      'end 1',
      'train end',
    ])
    expect(recorder.logs[0]).toMatchObject({ lr: 0.05, batchSize: 6 })
    expect(Object.keys(recorder.logs[0]!)).toEqual(['loss', 'acc', 'lr', 'batchSize'])
  })

  test('resumes to the same weights: at the end of an epoch, and from its middle', async () => {
    const schedule = () => new lr.CosineAnnealingDecay({ learningRate: 0.05, tMax: 12 })
    const run = { ...quiet, trainData: new Points(), epochs: 3 }
    const whole = build(schedule())
    await whole.fit(run)
    for (const numIters of [4, 6]) {
      const saveDir = at(`resume-${numIters}`)
      await build(schedule()).fit({ ...run, numIters, saveDir })
      const second = build(schedule())
      seed(99)
      const history = await second.fit({ ...run, saveDir, resume: true })
      expect(history.step).toBe(12)
      expect(await weights(second)).toEqual(await weights(whole))
    }
    expect((await readdir(at('resume-6'))).toSorted()).toEqual(['final.safetensors', 'step-12', 'step-6', 'step-8'])
  })

  test('checkpoints: how often, how many stay', async () => {
    const saveDir = at('often')
    const callbacks = [new ModelCheckpoint({ everySteps: 3, keepLast: 2 })]
    await build().fit({ ...quiet, trainData: new Points(), epochs: 2, saveFreq: 5, saveDir, callbacks })
    expect((await readdir(saveDir)).toSorted()).toEqual(['final.safetensors', 'step-6', 'step-8'])
  })

  test('summed gradients of small batches are the gradients of a large one', async () => {
    const train = async (batchSize: number, accumulateGradBatches: number) => {
      seed(3)
      const network = guard(() => new nn.Linear(2, 2))
      const loss = (y: Tensor, label: Tensor): Tensor => nn.functional.crossEntropy(y, label, { reduction: 'sum' })
      const model = new Model(network).prepare({
        optimizer: new SGD({ learningRate: 0.1, parameters: network.parameters() }),
        loss,
      })
      await model.fit({
        trainData: new Points(14),
        batchSize,
        accumulateGradBatches,
        epochs: 1,
        shuffle: false,
        verbose: 0,
      })
      return Array.from((await network.weight.data()) as Float32Array)
    }
    const large = await train(6, 1)
    const small = await train(2, 3)
    large.forEach((w, i) => expect(small[i]).toBeCloseTo(w, 5))
  })

  test('the JS thread stays free', async () => {
    setDevice('cpu')
    try {
      let ticks = 0
      const model = build()
      await model.fit({ ...quiet, trainData: new Points(12), epochs: 1 })
      const started = performance.now()
      const timer = setInterval(() => ticks++, 10)
      await model.fit({ ...quiet, trainData: new Points(60), epochs: 6 })
      clearInterval(timer)
      const elapsed = performance.now() - started
      expect(ticks).toBeGreaterThan(Math.floor(elapsed / 40))
    } finally {
      setDevice('reference')
    }
  })

  test('says what is missing', async () => {
    const network = new nn.Linear(2, 2)
    await expect(new Model(network).fit({ trainData: new Points() })).rejects.toThrow(/prepare/)
    await expect(build().fit({ ...quiet, trainData: new Points(), epochs: 0 })).rejects.toThrow(ArgumentError)
    await expect(build().fit({ ...quiet, trainData: new Points(), resume: at('nowhere') })).rejects.toThrow(
      /no checkpoint/,
    )
    const words = new DataLoader<unknown, unknown>(new Points(), { collateFn: () => ({ text: 'a' }) })
    await expect(build().fit({ ...quiet, trainData: words })).rejects.toThrow(/list of tensors/)
  })
})

describe('single batches', () => {
  test('mixed precision trains with a scaled loss', async () => {
    const network = guard(() => new nn.Linear(2, 2))
    const model = new Model(network).prepare({
      optimizer: new SGD({ learningRate: 0.1, parameters: network.parameters() }),
      loss: new nn.CrossEntropyLoss(),
      ampConfigs: { level: 'O1', initLossScaling: 128 },
    })
    expect(await model.scaler!.lossScaling.item()).toBe(128)
    const x = toTensor(
      [
        [1, 0],
        [0, 1],
      ],
      { dtype: 'float32' },
    )
    const y = toTensor([0, 1])
    const before = await network.weight.array()
    const first = await model.trainBatch(x, y)
    expect(first.loss).toHaveLength(1)
    expect(await network.weight.array()).not.toEqual(before)
    for (let i = 0; i < 10; i++) await model.trainBatch(x, y)
    expect((await model.evalBatch(x, y)).loss[0]).toBeLessThan(first.loss[0]!)
  })

  test('several losses are summed', async () => {
    const network = guard(() => new nn.Linear(2, 1))
    const model = new Model(network).prepare({
      optimizer: new SGD({ learningRate: 1, parameters: network.parameters() }),
      loss: (y: Tensor) => [y.sum(), y.multiply(2).sum()],
    })
    const bias = await network.bias!.item()
    expect((await model.trainBatch(ones([1, 2]))).loss).toHaveLength(2)
    expect(await network.bias!.item()).toBeCloseTo(bias - 3)
  })
})

describe('callbacks', () => {
  test('EarlyStopping ends a run that gets no better, and keeps the best weights', async () => {
    const saveDir = at('early')
    const stop = new EarlyStopping({ monitor: 'acc', patience: 2, verbose: 0 })
    const model = build(0)
    const history = await model.fit({
      ...quiet,
      trainData: new Points(),
      evalData: new Points(6),
      epochs: 20,
      saveDir,
      callbacks: [stop],
    })
    expect(history.epochs.length).toBeLessThan(20)
    expect(await readdir(saveDir)).toContain('best_model.safetensors')
  })

  test('ReduceLROnPlateau lowers the rate', async () => {
    const model = build(1e-12)
    const reduce = new ReduceLROnPlateau({ factor: 0.5, patience: 1, minLr: 2e-13, verbose: 0 })
    await model.fit({ ...quiet, trainData: new Points(6), shuffle: false, epochs: 6, callbacks: [reduce] })
    expect(model.optimizer!.getLr()).toBeLessThan(1e-12)
    expect(model.optimizer!.getLr()).toBeGreaterThanOrEqual(2e-13)
  })

  test('logs of epochs as CSV and JSON lines', async () => {
    const model = build()
    const run = { ...quiet, trainData: new Points(12), evalData: new Points(6), epochs: 2 }
    await model.fit({ ...run, callbacks: [new CSVLogger(at('log.csv')), new JSONLogger(at('log.jsonl'))] })
    await model.fit({ ...run, epochs: 1, callbacks: [new CSVLogger(at('log.csv'), { append: true })] })
    const rows = (await readFile(at('log.csv'), 'utf8')).trimEnd().split('\n')
    expect(rows[0]).toBe('epoch,step,loss,acc,lr,eval_loss,eval_acc')
    expect(rows).toHaveLength(4)
    const lines = (await readFile(at('log.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((l) => JSON.parse(l) as Logs)
    expect(lines.map((l) => l['step'])).toEqual([2, 4])
  })
})

describe('files', () => {
  test('save and load with the optimizer', async () => {
    const model = build()
    await model.fit({ ...quiet, trainData: new Points(12), epochs: 1 })
    await model.save(at('saved/model'))
    const other = build()
    expect(await other.load(at('saved/model'))).toMatchObject({ missing: [], unexpected: [] })
    expect(await weights(other)).toEqual(await weights(model))
    for (const m of [model, other]) {
      seed(4)
      await m.trainBatch(ones([2, 2]), toTensor([0, 1]))
    }
    expect(await weights(other)).toEqual(await weights(model))
  })

  test('another network is refused, unless mismatches are to be skipped', async () => {
    await build().save(at('net'))
    const other = new Model(
      guard(() => new nn.Sequential(['hidden', new nn.Linear(2, 8)], ['last', new nn.Linear(8, 3)])),
    )
    await expect(other.load(at('net'))).rejects.toThrow(/last.weight \(network: \[8, 3\], file: \[8, 2\]\)/)
    expect((await other.load(at('net'), { skipMismatch: true })).missing).toEqual(['last.weight', 'last.bias'])
  })
})
