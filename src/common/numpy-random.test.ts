import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ArgumentError, FormatError } from './errors.ts'
import { RandomState } from './numpy-random.ts'

interface Recorded {
  random_sample5: number[]
  shuffle17: number[]
  permutation100: number[]
  permutation_twice10: number[][]
  choice_replace: number[]
  choice_noreplace: number[]
  choice_p_replace: number[]
  choice_p_noreplace: number[]
  randint_0_10: number[]
  randint_m5_100000: number[]
  randint_full32: number[]
  uniform: number[]
  standard_normal: number[]
  normal: number[]
  permutation100000: number[]
}

const recorded = JSON.parse(
  readFileSync(new URL('../../test/fixtures/numpy/random-state.json', import.meta.url), 'utf8'),
) as {
  cases: Record<string, Recorded>
  array_seed: { seed: number[]; random_sample3: number[] }
  weighted: { replace: number[]; noreplace: number[] }
}

const times = <T>(n: number, draw: () => T): T[] => Array.from({ length: n }, draw)
const p = [0.1, 0.3, 0.05, 0.35, 0.2]

describe.each(Object.keys(recorded.cases).map(Number))('RandomState(%d) draws what NumPy draws', (seed) => {
  const want = recorded.cases[String(seed)]!
  const fresh = () => new RandomState(seed)

  test('random_sample and uniform', () => {
    expect([...fresh().randomSample(5)]).toEqual(want.random_sample5)
    const uniform = fresh()
    expect(times(5, () => uniform.uniform(-2, 3))).toEqual(want.uniform)
  })

  test('shuffle and permutation', () => {
    const list = Array.from({ length: 17 }, (_, i) => i)
    fresh().shuffle(list)
    expect(list).toEqual(want.shuffle17)
    expect([...fresh().permutation(100)]).toEqual(want.permutation100)
    const twice = fresh()
    expect(times(2, () => [...twice.permutation(10)])).toEqual(want.permutation_twice10)
    const large = fresh()
    const order = large.permutation(100000)
    expect([order[0], order[777], order[99999], large.randomSample()]).toEqual(want.permutation100000)
  })

  test('choice', () => {
    expect([...fresh().choice(50, 20)]).toEqual(want.choice_replace)
    expect([...fresh().choice(50, 20, { replace: false })]).toEqual(want.choice_noreplace)
    expect([...fresh().choice(5, 12, { p })]).toEqual(want.choice_p_replace)
    expect([...fresh().choice(5, 4, { p, replace: false })]).toEqual(want.choice_p_noreplace)
  })

  test('randint', () => {
    const draws = (low: number, high: number, n: number) => {
      const random = fresh()
      return times(n, () => random.randint(low, high))
    }
    expect(draws(0, 10, 12)).toEqual(want.randint_0_10)
    expect(draws(-5, 100000, 12)).toEqual(want.randint_m5_100000)
    expect(draws(0, 2 ** 32, 6)).toEqual(want.randint_full32)
  })

  test('normal, within the last bit of log and sqrt', () => {
    const standard = fresh()
    const scaled = fresh()
    times(7, () => standard.normal()).forEach((v, i) => expect(v).toBeCloseTo(want.standard_normal[i]!, 14))
    times(3, () => scaled.normal(1.5, 2)).forEach((v, i) => expect(v).toBeCloseTo(want.normal[i]!, 14))
  })
})

test('a list as seed', () => {
  const { seed, random_sample3 } = recorded.array_seed
  expect([...new RandomState(seed).randomSample(3)]).toEqual(random_sample3)
})

test('the state survives JSON in the middle of a normal pair', () => {
  const random = new RandomState(7)
  random.normal()
  const state = JSON.parse(JSON.stringify(random.getState())) as ReturnType<RandomState['getState']>
  const restored = new RandomState(0)
  restored.setState(state)
  expect(times(1000, () => restored.normal())).toEqual(times(1000, () => random.normal()))
  expect(random.clone().uint32()).toBe(random.uint32())
})

test('without a seed two generators differ', () => {
  expect(new RandomState().uint32()).not.toBe(new RandomState().uint32())
})

test('wrong arguments are named', () => {
  const random = new RandomState(0)
  expect(() => new RandomState(-1)).toThrow(ArgumentError)
  expect(() => new RandomState(2 ** 32)).toThrow(/2\^32/)
  expect(() => new RandomState([])).toThrow(ArgumentError)
  expect(() => random.choice(3, 4, { replace: false })).toThrow(/at most 3/)
  expect(() => random.choice(2, 1, { p: [0.5, 0.6] })).toThrow(/sum to 1.1/)
  expect(() => random.choice(2, 1, { p: [1.5, -0.5] })).toThrow(/-0.5 at index 1/)
  expect(() => random.choice(2, 2, { p: [1, 0], replace: false })).toThrow(/only 1/)
  expect(() => random.choice(0, 1)).toThrow(ArgumentError)
  expect(() => random.randint(3, 3)).toThrow(ArgumentError)
  expect(() => random.permutation(-1)).toThrow(ArgumentError)
  expect(() => random.setState({ ...random.getState(), key: 'ff' })).toThrow(FormatError)
  expect(() => random.setState({ ...random.getState(), position: 625 })).toThrow(FormatError)
})
