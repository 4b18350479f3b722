import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GradScaler } from '../amp/index.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { globalRandomState, RandomState } from '../common/numpy-random.ts'
import * as nn from '../nn/index.ts'
import { guard } from '../nn/unique-name.ts'
import { AdamW, lr } from '../optimizer/index.ts'
import { seed, setDevice, type Tensor } from '../tensor/index.ts'
import { DataLoader } from './dataloader.ts'
import { Dataset } from './dataset.ts'
import { loadTrainingState, saveTrainingState } from './training-state.ts'
import './wiring.ts'

let directory: string
beforeAll(async () => {
  setDevice('reference')
  directory = await mkdtemp(join(tmpdir(), 'longzhou-training-'))
})
afterAll(() => rm(directory, { recursive: true }))
const at = (name: string): string => join(directory, name)

class Points extends Dataset<[Float32Array, number]> {
  get length(): number {
    return 12
  }

  getItem(i: number): [Float32Array, number] {
    return [Float32Array.of(i / 12, Math.sin(i), Math.cos(3 * i)), i % 2]
  }
}

class Net extends nn.Layer {
  first = new nn.Linear(3, 8)
  norm = new nn.BatchNorm1D(8)
  drop = new nn.Dropout(0.3)
  last = new nn.Linear(8, 2)

  forward(x: Tensor): Tensor {
    return this.last(this.drop(nn.functional.relu(this.norm(this.first(x)))))
  }
}

/** All parts of a run, as a process that begins makes them. */
function start(names: 'fresh' | 'others' = 'fresh') {
  seed(2)
  globalRandomState.setState(new RandomState(9).getState())
  const build = (): Net => new Net()
  const model = names === 'fresh' ? guard(build) : build()
  const schedule = new lr.StepDecay({ learningRate: 0.05, stepSize: 2 })
  return {
    model,
    optimizer: new AdamW({ learningRate: schedule, parameters: model.parameters() }),
    scaler: new GradScaler({ initLossScaling: 8, incrEveryNSteps: 2 }),
    sampler: new DataLoader<unknown, [Tensor, Tensor]>(new Points(), { batchSize: 4, shuffle: true }),
    schedule,
  }
}

type Parts = ReturnType<typeof start>

/** Runs `steps` steps, leaving an epoch in its middle where they end there. */
async function run({ model, optimizer, scaler, sampler, schedule }: Parts, steps: number): Promise<void> {
  const criterion = new nn.CrossEntropyLoss()
  for (let done = 0; done < steps;) {
    for await (const [x, y] of sampler) {
      const scaled = scaler.scale(criterion(model(x), y))
      scaled.backward()
      scaler.minimize(optimizer, scaled)
      optimizer.clearGrad()
      schedule.step()
      if (++done === steps) break
    }
  }
}

async function weights(model: Net): Promise<unknown> {
  const entries = Object.entries(model.stateDict()).map(async ([name, t]) => [name, await t.data()] as const)
  return Object.fromEntries(await Promise.all(entries))
}

for (const names of ['fresh', 'others'] as const)
  test(`eight steps are five, a checkpoint in the middle of an epoch, and three more (${names} parameter names)`, async () => {
    const whole = start()
    await run(whole, 8)

    const first = start()
    await run(first, 5)
    await saveTrainingState(at('run'), { ...first, epoch: 1, step: 5, extra: { note: 'half way' } })
    const second = start(names)
    seed(77)
    globalRandomState.randomSample(5)
    expect(await loadTrainingState(at('run'), second)).toEqual({ epoch: 1, step: 5, extra: { note: 'half way' } })
    expect(second.schedule.lastLr).toBe(first.schedule.lastLr)
    await run(second, 3)
    expect(await weights(second.model)).toEqual(await weights(whole.model))
    expect(await second.scaler.lossScaling.item()).toBe(await whole.scaler.lossScaling.item())
    expect(await weights(first.model)).not.toEqual(await weights(whole.model))
  })

test('a checkpoint of another model, and one that lacks a part, change nothing', async () => {
  const parts = start()
  await saveTrainingState(at('bare'), { model: parts.model, epoch: 0, step: 0 })
  const before = await weights(parts.model)
  await expect(loadTrainingState(at('bare'), parts)).rejects.toThrow(ArgumentError)
  const other = new nn.Linear(3, 2)
  await expect(loadTrainingState(at('bare'), { model: other })).rejects.toThrow(/another model: it lacks weight, bias/)
  expect(await weights(parts.model)).toEqual(before)
})

test('a corrupt checkpoint is told, and changes nothing', async () => {
  const parts = start()
  await saveTrainingState(at('corrupt'), { ...parts, epoch: 0, step: 0 })
  const file = join(at('corrupt'), 'model.safetensors')
  const bytes = await readFile(file)
  bytes[bytes.length - 1]! ^= 1
  await writeFile(file, bytes)
  const before = await weights(parts.model)
  await expect(loadTrainingState(at('corrupt'), parts)).rejects.toThrow(FormatError)
  expect(await weights(parts.model)).toEqual(before)
})
