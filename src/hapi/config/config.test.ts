import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ConfigError } from '../../common/errors.ts'
import * as nn from '../../nn/index.ts'
import { sum } from '../../tensor/index.ts'
import { checkConfig } from './check.ts'
import { globalSchema } from './global.ts'
import { makeOptimizer, makeSchedule, optimizerSchema, type OptimizerConfig } from './optimizer.ts'
import { parseConfig } from './source.ts'

const schema = z.strictObject({ Global: globalSchema, Optimizer: optimizerSchema })
const text = `Global:
  steps: 100
Optimizer:
  name: Momentum
  lr: &rate
    name: Cosine
    learningRate: 0.1
  regularizer: { name: L2, factor: 1.0e-4 }
`
const check = (yaml: string, ...overrides: string[]) => checkConfig(schema, parseConfig(yaml, 'run.yml', overrides))
const complaint = (yaml: string, ...overrides: string[]): string => {
  try {
    check(yaml, ...overrides)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error('nothing was wrong')
}

test('defaults are filled in, and keys without a value are left out', () => {
  const config = check(text.replace('steps: 100', 'steps: 100\n  device:'))
  expect(config.Global).toMatchObject({ steps: 100, seed: 1, saveEvery: 200, resume: false, onBadSample: 'skip' })
  expect(config.Global.device).toBeUndefined()
  expect(config.Optimizer.lr).toEqual({
    name: 'Cosine',
    learningRate: 0.1,
    minLearningRate: 0,
    warmupSteps: 0,
    warmupStart: 0,
  })
})

test('overrides replace, add, and reach into sections and lists', () => {
  const config = check(
    text,
    'Global.steps=20',
    'Global.resume=out/a',
    'Optimizer.lr={name: Const, learningRate: 1.0e-3}',
  )
  expect(config.Global).toMatchObject({ steps: 20, resume: 'out/a' })
  expect(config.Optimizer.lr).toMatchObject({ name: 'Const', learningRate: 0.001 })
  expect(parseConfig('A:\n  - b: 1\n', 'x.yml', ['A.0.b=2']).value).toEqual({ A: [{ b: 2 }] })
})

test('anchors and merge keys', () => {
  expect(parseConfig('A: &a\n  x: 1\nB:\n  <<: *a\n  y: 2\n', 'x.yml').value).toMatchObject({ B: { x: 1, y: 2 } })
})

describe('what is wrong is named with file, line, key, what was expected and what is near', () => {
  test.each([
    ['steps: 100', 'steps: many', 'run.yml:2: Global.steps: expected a whole number from 1, got "many"'],
    ['steps: 100', 'steps: 0.5', 'run.yml:2: Global.steps: expected a whole number from 1, got 0.5'],
    ['steps: 100', 'resume: 5', 'run.yml:2: Global.resume: expected true, false, or the folder of a checkpoint, got 5'],
    [
      'steps: 100',
      'onBadSample: skp',
      /run.yml:2: Global.onBadSample: expected "skip", "fail", got "skp"; did you mean 'skip'\?/,
    ],
    [
      'learningRate: 0.1',
      'learningRate: -1',
      'run.yml:7: Optimizer.lr.learningRate: expected a number above 0, got -1',
    ],
    [
      'learningRate: 0.1',
      'decay: 1',
      /run.yml:5: Optimizer.lr.learningRate: expected a number above 0, but it is missing/,
    ],
    [
      'learningRate: 0.1',
      'learning_rate: 1',
      /run.yml:7: Optimizer.lr.learning_rate: unknown key; did you mean 'learningRate'\?/,
    ],
    [
      'name: Cosine',
      'name: Cosin',
      /run.yml:6: Optimizer.lr.name: expected Const, Cosine, .*got "Cosin"; did you mean 'Cosine'\?/,
    ],
    ['name: Momentum', 'nam: Momentum', /run.yml:3: Optimizer.name: expected SGD, Momentum, .*but it is missing/],
    ['name: Momentum', 'name: AdamW', /run.yml:8: Optimizer.regularizer: unknown key \(known: name, lr, .*weightDecay/],
    ['Global:', 'Gobal:', /run.yml:1: Gobal: unknown key; did you mean 'Global'\?/],
    ['{ name: L2, factor: 1.0e-4 }', '5', 'run.yml:8: Optimizer.regularizer'],
  ])('%s -> %s', (from, to, expected) => {
    const message = complaint(text.replace(from, to))
    if (typeof expected === 'string') expect(message).toContain(expected)
    else expect(message).toMatch(expected)
  })

  test('an override is named as such', () => {
    expect(complaint(text, 'Global.steps=0')).toBe(
      '-o Global.steps=0: Global.steps: expected a whole number from 1, got 0',
    )
  })

  test.each([
    ['Global:\n  a: 1\n b', [], /^run.yml:3: this is no YAML/],
    ['Global: {a: 1}\nGlobal: {}', [], /^run.yml:2: this is no YAML: Map keys must be unique/],
    ['words', [], /^run.yml: expected sections/],
    ['', [], /^run.yml: expected sections/],
    [text, ['Global.steps'], /^-o Global.steps: expected key=value/],
    [text, ['=5'], /^-o =5: expected key=value/],
    [text, ['Global.steps.deep=5'], /is no section/],
    [text, ['Global.steps={'], /the value is no YAML/],
  ])('%j with %j', (yaml, overrides, expected) => {
    expect(() => parseConfig(yaml, 'run.yml', overrides)).toThrow(expected)
  })

  test('many complaints are cut short', () => {
    const wrong = `Global: {${Array.from({ length: 12 }, (_, i) => `q${i}: 1`).join(', ')}}\n`
    expect(complaint(wrong)).toMatch(/\n {2}and \d+ more$/)
  })
})

describe('tables', () => {
  const rates = (yaml: string, steps: number): number[] => {
    const config = check(text, `Optimizer.lr=${yaml}`).Optimizer.lr
    const schedule = makeSchedule(config, steps)
    if (typeof schedule === 'number') return [schedule]
    return Array.from({ length: steps }, () => {
      const rate = schedule.lastLr
      schedule.step()
      return rate
    })
  }

  test('a warm-up comes before any schedule, which then ends with the run', () => {
    const warm = rates('{name: Linear, learningRate: 1, warmupSteps: 4}', 12)
    expect(warm.slice(0, 5)).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(warm[11]).toBeCloseTo(1 / 8)
    expect(rates('{name: Cosine, learningRate: 1}', 10)[5]).toBeCloseTo(0.5)
    expect(rates('{name: Step, learningRate: 1, stepSize: 2, gamma: 0.5}', 5)).toEqual([1, 1, 0.5, 0.5, 0.25])
    expect(rates('{name: MultiStep, learningRate: 1, milestones: [1, 3], gamma: 0.5}', 5)).toEqual([
      1, 0.5, 0.5, 0.25, 0.25,
    ])
    expect(rates('{name: Exponential, learningRate: 1, gamma: 0.5}', 3)).toEqual([1, 0.5, 0.25])
    expect(rates('{name: Const, learningRate: 0.3}', 3)).toEqual([0.3])
  })

  test.each(optimizerSchema.options.map((o) => o.shape.name.value))('%s trains', async (name) => {
    const { parse } = optimizerSchema
    const clips = ['{name: GlobalNorm, clipNorm: 1}', '{name: Norm, clipNorm: 1}', '{name: Value, max: 1}']
    const clip = clips[name.length % 3]!
    const source = parseConfig(
      `Optimizer: {name: ${name}, lr: {name: Const, learningRate: 0.1}, gradClip: ${clip}}`,
      'run.yml',
    )
    const config = parse((source.value as { Optimizer: unknown }).Optimizer) as OptimizerConfig
    const layer = new nn.Linear(2, 1)
    const before = await layer.weight.array()
    const optimizer = makeOptimizer(config, layer.parameters(), 10)
    sum(layer.weight).backward()
    optimizer.step()
    expect(optimizer.constructor.name).toBe(name)
    expect(await layer.weight.array()).not.toEqual(before)
  })
})
