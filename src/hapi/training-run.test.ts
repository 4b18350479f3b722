import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LongzhouError } from '../common/errors.ts'
import { loadCheckpoint, readSafetensors, writeSafetensors } from '../io/index.ts'
import * as nn from '../nn/index.ts'
import { Adam, lr } from '../optimizer/index.ts'
import { seed } from '../tensor/index.ts'
import { fromHost } from '../tensor/tensor.ts'
import { runTraining, type PlacedBatch, type TrainingJob, type TrainingRunOptions } from './training-run.ts'

let root: string
let said: string[]
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'training-run-'))
  said = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean(said.push(String(text))))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(root, { recursive: true, force: true })
})

interface JobOptions {
  readonly scores?: readonly number[]
  readonly badAt?: number
  readonly width?: number
}

/** A regression with dropout under Adam and a schedule: everything that a checkpoint must hold. */
function makeJob(steps: number, { scores, badAt, width = 4 }: JobOptions = {}): TrainingJob<number> {
  seed(3)
  const network = new nn.Sequential(new nn.Linear(2, width), new nn.Dropout(0.5), new nn.Linear(width, 1))
  const schedule = new lr.CosineAnnealingDecay({ learningRate: 0.05, tMax: 20 })
  const optimizer = new Adam({ parameters: network.parameters(), learningRate: schedule })
  let evaluations = 0
  return {
    model: network,
    optimizer,
    steps,
    settings: { width },
    async *batches(place): AsyncGenerator<PlacedBatch<number>> {
      for (let i = (place as number | null) ?? 0; ; i++) yield { batch: i, next: i + 1 }
    },
    samples: () => 2,
    trainStep(i) {
      const x = fromHost({
        dtype: 'float32',
        shape: [2, 2],
        data: Float32Array.of(i % 3, 1, 0.5, i === badAt ? NaN : 2),
      })
      network.train()
      const loss = network(x).square().mean()
      loss.backward()
      optimizer.step()
      optimizer.clearGrad()
      return loss
    },
    evaluate: scores ? async () => ({ score: scores[evaluations]!, results: { error: scores[evaluations++]! } }) : null,
    async save(file) {
      const weights = Object.entries(network.stateDict()).map(async ([n, t]) => [n, await t.hostArray()] as const)
      await writeSafetensors(file, Object.fromEntries(await Promise.all(weights)))
    },
  }
}

const settings = (name: string, more: Partial<TrainingRunOptions> = {}): TrainingRunOptions => ({
  outputDir: join(root, name),
  modelFile: join(root, name, 'model.safetensors'),
  logEvery: 2,
  saveEvery: 3,
  evalEvery: 3,
  keepLast: 2,
  resume: false,
  resumeCommand: 'run it again',
  say: (text) => void said.push(text),
  ...more,
})

const read = (...parts: string[]): string => readFileSync(join(root, ...parts), 'utf8')
const logOf = (name: string): { step: number; loss: number }[] =>
  read(name, 'log.jsonl')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { step: number; loss: number })
const losses = (name: string): Record<number, number> => Object.fromEntries(logOf(name).map((e) => [e.step, e.loss]))

describe('a whole run', () => {
  test('logs, keeps the last checkpoints, and writes the last model where nothing is evaluated', async () => {
    const result = await runTraining(makeJob(10), settings('a'))
    expect(result).toMatchObject({ step: 10, steps: 10, interrupted: false, best: null, bestCheckpoint: null })
    expect(logOf('a').map((e) => e.step)).toEqual([2, 4, 6, 8, 10])
    expect(readdirSync(join(root, 'a/checkpoints')).sort()).toEqual(['step-10', 'step-9'])
    const [model, checkpoint] = [
      await readSafetensors(result.modelFile),
      await loadCheckpoint(result.latestCheckpoint!),
    ]
    expect(model.tensors).toEqual(checkpoint.tensors['model'])
  })

  test('the best model is kept, not the last', async () => {
    const result = await runTraining(makeJob(9, { scores: [0.5, 0.2, 0.4] }), settings('b'))
    expect(result.best).toEqual({ step: 6, score: 0.2 })
    expect(result.evaluation?.results).toEqual({ error: 0.4 })
    const best = await loadCheckpoint(join(root, 'b/best'))
    expect((await readSafetensors(result.modelFile)).tensors).toEqual(best.tensors['model'])
    expect(said.join('')).toMatch(/step 6: error 0.2000 {2}\(best so far\)[\s\S]*step 9: error 0.4000\n/)
  })

  test('a loss that is no number ends the run, names the step, and leaves older checkpoints', async () => {
    await expect(runTraining(makeJob(10, { badAt: 6 }), settings('c'))).rejects.toThrow(LongzhouError)
    await expect(runTraining(makeJob(10, { badAt: 6 }), settings('d'))).rejects.toThrow(/the loss is NaN at step 7/)
    expect(readdirSync(join(root, 'd/checkpoints')).sort()).toEqual(['step-3', 'step-6'])
  })
})

describe('resuming', () => {
  test('goes on bit for bit: weights, moments, schedule, dropout, log', async () => {
    await runTraining(makeJob(10), settings('whole'))
    await runTraining(makeJob(4), settings('parts'))
    seed(99)
    const result = await runTraining(makeJob(10), settings('parts', { resume: true }))
    expect(result.step).toBe(10)
    const [a, b] = await Promise.all(
      ['whole', 'parts'].map((n) => loadCheckpoint(join(root, n, 'checkpoints/step-10'))),
    )
    expect(b!.tensors['model']).toEqual(a!.tensors['model'])
    // Names of parameters count on in one process; what is under them must be the same.
    expect(Object.values(b!.tensors['optimizer']!)).toEqual(Object.values(a!.tensors['optimizer']!))
    const { generator, numpy, step, extra } = a!.state as Record<string, unknown>
    expect(b!.state).toMatchObject({ generator, numpy, step, extra })
    expect(losses('parts')).toEqual(losses('whole'))
  })

  test('a new run does not overwrite an old one', async () => {
    await runTraining(makeJob(3), settings('e'))
    await expect(runTraining(makeJob(5), settings('e'))).rejects.toThrow(/holds a run at step 3[\s\S]*run it again/)
  })

  test('a damaged newest checkpoint is named, and the one before is taken', async () => {
    await runTraining(makeJob(6), settings('f'))
    truncateSync(join(root, 'f/checkpoints/step-6/model.safetensors'), 40)
    const result = await runTraining(makeJob(7), settings('f', { resume: true }))
    expect(result.step).toBe(7)
    expect(said.join('\n')).toMatch(/step-6 is damaged[\s\S]*resumed at step 3/)
  })

  test('from the best checkpoint or another run', async () => {
    await runTraining(makeJob(6, { scores: [0.1, 0.2] }), settings('g'))
    await runTraining(makeJob(4), settings('h', { resume: join(root, 'g/best') }))
    await runTraining(makeJob(7), settings('i', { resume: join(root, 'g') }))
    expect(said.filter((s) => s.startsWith('resumed'))).toEqual([
      `resumed at step 3 from ${join(root, 'g/best')}`,
      `resumed at step 6 from ${join(root, 'g/checkpoints/step-6')}`,
    ])
  })

  test('where there is nothing to go on from', async () => {
    const nowhere = runTraining(makeJob(3), settings('j', { resume: join(root, 'nowhere') }))
    await expect(nowhere).rejects.toThrow(/no checkpoint/)
    expect((await runTraining(makeJob(3), settings('k', { resume: true }))).step).toBe(3)
    expect(said.join('\n')).toMatch(/starting at the beginning/)
  })

  test('another model is refused; other settings are told', async () => {
    await runTraining(makeJob(3), settings('l'))
    await expect(runTraining(makeJob(5, { width: 5 }), settings('l', { resume: true }))).rejects.toThrow(
      /another model/,
    )
    const job = { ...makeJob(5), settings: { width: 6 } }
    await runTraining(job, settings('l', { resume: true }))
    expect(said.join('\n')).toMatch(/note: width differ/)
  })

  test('a run that is finished has nothing left to do', async () => {
    await runTraining(makeJob(3, { scores: [0.3] }), settings('m'))
    const again = await runTraining(makeJob(3, { scores: [0.3] }), settings('m', { resume: true }))
    expect(again).toMatchObject({ step: 3, loss: null, best: { step: 3, score: 0.3 } })
  })
})

test('Ctrl-C ends the run after its step, with a checkpoint and the way to go on', async () => {
  const others = process.listeners('SIGINT')
  const job = makeJob(1000)
  const trainStep = job.trainStep.bind(job)
  const stops = { ...job, trainStep: (i: number) => (i === 4 && process.emit('SIGINT'), trainStep(i)) }
  const result = await runTraining(stops, settings('n'))
  expect(result).toMatchObject({ step: 5, interrupted: true, latestCheckpoint: join(root, 'n/checkpoints/step-5') })
  expect(said.join('\n')).toMatch(/stopped after step 5 of 1000; saved .*step-5\ngo on with: run it again/)
  expect(process.listeners('SIGINT')).toEqual(others)
})

test('a time limit ends the run as Ctrl-C does', async () => {
  const result = await runTraining(makeJob(1000), settings('o', { stopAfterMinutes: 1e-9 }))
  expect(result).toMatchObject({ step: 1, interrupted: false })
})
