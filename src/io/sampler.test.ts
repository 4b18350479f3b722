import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { globalRandomState, RandomState } from '../common/numpy-random.ts'
import { BatchSampler, DistributedBatchSampler } from './batch-sampler.ts'
import { RandomSampler, SequenceSampler, SubsetRandomSampler, WeightedRandomSampler } from './sampler.ts'
import type { ResumableSampler, SamplerState } from './sampler.ts'

const fixture = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../test/fixtures/${path}`, import.meta.url), 'utf8')) as unknown
const paddle = fixture('ocr_pipeline/datapipe.json') as Record<string, Record<string, unknown> | number[][]>
const numpy = fixture('numpy/random-state.json') as { weighted: { replace: number[]; noreplace: number[] } }
const sized = (length: number) => ({ length })

describe('as recorded from Paddle', () => {
  const cases = Object.keys(paddle).filter((name) => name.startsWith('DistributedBatchSampler'))
  test.each(cases)('%s', (name) => {
    const [, n, batchSize, numReplicas, shuffle, dropLast] =
      /n=(\d+),bs=(\d+),replicas=(\d+),shuffle=(\w+),drop_last=(\w+)/.exec(name)!
    for (const [key, want] of Object.entries(paddle[name]!)) {
      const [, rank, what] = /rank(\d+)_(\w+)/.exec(key)!
      const sampler = new DistributedBatchSampler(sized(Number(n)), {
        batchSize: Number(batchSize),
        numReplicas: Number(numReplicas),
        rank: Number(rank),
        shuffle: shuffle === 'True',
        dropLast: dropLast === 'True',
      })
      if (what === 'len') expect(sampler.length).toBe(want)
      else {
        const passes = what === 'epoch1' ? [[...sampler], [...sampler]] : [[...sampler]]
        expect(passes.at(-1)).toEqual(want)
      }
    }
  })

  test('np.random.seed(0); BatchSampler(D(10),shuffle=True,batch_size=4)', () => {
    globalRandomState.seed(0)
    const want = paddle['np.random.seed(0); BatchSampler(D(10),shuffle=True,batch_size=4)']
    expect([...new BatchSampler({ dataset: sized(10), shuffle: true, batchSize: 4 })]).toEqual(want)
    expect([...new BatchSampler({ dataset: sized(10), shuffle: true, batchSize: 4, generator: 0 })]).toEqual(want)
  })

  test('WeightedRandomSampler', () => {
    const weights = [0.1, 0.3, 0.5, 0.7, 0.2]
    expect([...new WeightedRandomSampler(weights, 5, { generator: 2023 })]).toEqual(numpy.weighted.replace)
    expect([...new WeightedRandomSampler(weights, 5, { generator: 2023, replacement: false })]).toEqual(
      numpy.weighted.noreplace,
    )
  })
})

test('orders and lengths', () => {
  expect([...new SequenceSampler(sized(4))]).toEqual([0, 1, 2, 3])
  const random = new RandomSampler(sized(100), { generator: 3 })
  const [first, second] = [[...random], [...random]]
  expect(first).not.toEqual(second)
  expect(first.toSorted((a, b) => a - b)).toEqual([...new SequenceSampler(sized(100))])
  expect([...new RandomSampler(sized(3), { replacement: true, numSamples: 50, generator: 0 })]).toHaveLength(50)
  expect([...new SubsetRandomSampler([7, 9, 11], { generator: 1 })].toSorted((a, b) => a - b)).toEqual([7, 9, 11])
  const batches = new BatchSampler({ sampler: [5, 6, 7], batchSize: 2 })
  expect([batches.length, ...batches]).toEqual([2, [5, 6], [7]])
  const dropping = new BatchSampler({ sampler: [5, 6, 7], batchSize: 2, dropLast: true })
  expect([dropping.length, ...dropping]).toEqual([1, [5, 6]])
})

const makers: Record<string, () => ResumableSampler<unknown>> = {
  SequenceSampler: () => new SequenceSampler(sized(23)),
  RandomSampler: () => new RandomSampler(sized(23), { generator: 5 }),
  'RandomSampler with replacement': () =>
    new RandomSampler(sized(23), { generator: 5, replacement: true, numSamples: 31 }),
  WeightedRandomSampler: () => new WeightedRandomSampler([1, 2, 3, 0, 4], 17, { generator: 5 }),
  SubsetRandomSampler: () => new SubsetRandomSampler([3, 1, 4, 1, 5, 9, 2, 6], { generator: 5 }),
  BatchSampler: () => new BatchSampler({ dataset: sized(23), shuffle: true, batchSize: 4, generator: 5 }),
  'BatchSampler over a list': () => new BatchSampler({ sampler: [4, 3, 2, 1, 0], batchSize: 2 }),
  DistributedBatchSampler: () =>
    new DistributedBatchSampler(sized(23), { batchSize: 2, numReplicas: 2, rank: 1, shuffle: true }),
}

describe.each(Object.keys(makers))('%s continues where it was saved', (name) => {
  const make = makers[name]!
  const passes = (sampler: Iterable<unknown>, n: number) => Array.from({ length: n }, () => [...sampler])
  const restored = (state: SamplerState) => {
    const sampler = make()
    for (const _ of sampler) break
    sampler.setStateDict(JSON.parse(JSON.stringify(state)) as SamplerState)
    return sampler
  }

  test('in the middle of the second pass, at every position', () => {
    const [, second, third] = passes(make(), 3)
    for (let position = 0; position <= second!.length; position++) {
      const sampler = make()
      for (const _ of sampler);
      const pass = sampler[Symbol.iterator]()
      for (let i = 0; i < position; i++) pass.next()
      const again = restored(sampler.stateDict())
      expect([...again]).toEqual(second!.slice(position))
      expect([...again]).toEqual(third)
    }
  })

  test('between passes, and when the state is saved again at once', () => {
    const [, second] = passes(make(), 2)
    const sampler = make()
    for (const _ of sampler);
    expect([...restored(restored(sampler.stateDict()).stateDict())]).toEqual(second)
  })

  test('after a pass that was left and one begun anew', () => {
    const sampler = make()
    for (const _ of sampler) break
    const pass = sampler[Symbol.iterator]()
    pass.next()
    const again = restored(sampler.stateDict())
    expect([...again]).toEqual([...pass])
    expect([...again]).toEqual([...sampler])
  })

  test('refuses what is no state', () => {
    expect(() => make().setStateDict({} as SamplerState)).toThrow(FormatError)
    expect(() => make().setStateDict({ position: -1, source: null })).toThrow(FormatError)
  })
})

test('the global generator is restored with the sampler', () => {
  globalRandomState.seed(9)
  const sampler = new RandomSampler(sized(10))
  const pass = sampler[Symbol.iterator]()
  pass.next()
  const state = sampler.stateDict()
  const rest = [...pass, ...sampler]
  globalRandomState.seed(1)
  sampler.setStateDict(state)
  expect([...sampler, ...sampler]).toEqual(rest)
})

test('wrong arguments are named', () => {
  expect(() => new RandomSampler(sized(3), { numSamples: 4 })).toThrow(/4 samples of 3/)
  expect(() => new RandomSampler(sized(0))).toThrow(ArgumentError)
  expect(() => new WeightedRandomSampler([1, -1], 1)).toThrow(/-1 at index 1/)
  expect(() => new WeightedRandomSampler([1, 0], 2, { replacement: false })).toThrow(/1 positive/)
  expect(() => new SubsetRandomSampler([])).toThrow(ArgumentError)
  expect(() => new BatchSampler({})).toThrow(/either/)
  expect(() => new BatchSampler({ sampler: [1], shuffle: true })).toThrow(/decides the order/)
  expect(() => new BatchSampler({ sampler: [1], batchSize: 0 })).toThrow(ArgumentError)
  expect(() => new DistributedBatchSampler(sized(3), { batchSize: 1, numReplicas: 2, rank: 2 })).toThrow(/rank 2 of 2/)
  expect(() => new DistributedBatchSampler(sized(0), { batchSize: 1 })).toThrow(/empty/)
  expect(new RandomState(0).permutation(3)).toHaveLength(3)
})
