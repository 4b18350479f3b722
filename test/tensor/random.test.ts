/** Random tensors: Paddle's draws, their distributions, and the generator's state. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { ArgumentError, DTypeError, seed, toTensor, type Tensor } from '../../src/index.ts'
import { random as randomNode } from '../../src/graph/build.ts'
import { drawKey } from '../../src/tensor/random.ts'
import { recordedJson } from '../support/recorded.ts'

const { draws } = recordedJson('rng/draws.json') as { draws: Record<string, Record<string, number[]>> }

beforeAll(() => lz.setDevice('reference'))
beforeEach(() => void seed(7))

describe.each(Object.keys(draws))('draws recorded after seed(%s)', (s) => {
  const exact: Record<string, () => Tensor> = {
    'rand[8]': () => lz.rand([8]),
    'uniform[-2,3][6]': () => lz.uniform([6], 'float32', -2, 3),
    'randint(0,10)[8]': () => lz.randint(0, 10, [8]),
    'randint(-5,1000003)[8]': () => lz.randint(-5, 1000003, [8]),
    'randperm(7)': () => lz.randperm(7),
    'randperm(8)': () => lz.randperm(8),
    'bernoulli(0.3)[10]': () => lz.bernoulli(lz.full([10], 0.3)),
  }
  it.each(Object.keys(exact))('%s', async (name) => {
    seed(Number(s))
    expect(await exact[name]!().array()).toEqual(draws[s]![name])
  })

  it.each([
    ['randn[9]', () => lz.randn([9])],
    ['normal(1,2)[6]', () => lz.normal(1, 2, [6])],
  ] as const)('%s, within 2 ulp', async (name, draw) => {
    seed(Number(s))
    const got = (await draw().array()) as number[]
    const expected = draws[s]![name]!
    got.forEach((v, k) => expect(Math.abs(v - expected[k]!)).toBeLessThanOrEqual(2 ** -22 * Math.abs(expected[k]!)))
  })
})

describe('random functions', () => {
  it('have the shapes and dtypes asked for', () => {
    expect(lz.rand([2, 3], 'float64').dtype).toBe('float64')
    expect(lz.randn([2], 'bfloat16').dtype).toBe('bfloat16')
    expect(lz.randn([0, 3]).shape).toEqual([0, 3])
    expect(lz.rand([]).shape).toEqual([])
    expect(lz.randint(5).shape).toEqual([1])
    expect(lz.randint(0, 5, [2], 'int32').dtype).toBe('int32')
    expect(lz.randintLike(lz.zeros([3]), 4).dtype).toBe('float32')
    expect(lz.randperm(3, 'int32').dtype).toBe('int32')
    expect(lz.normal(toTensor([1.5, 2]), 3).shape).toEqual([2])
    expect(lz.randLike(lz.zeros([2, 2], 'float64')).dtype).toBe('float64')
    expect(() => lz.rand([2], 'int32')).toThrow(DTypeError)
    expect(() => lz.randint(5, 5)).toThrow(ArgumentError)
    expect(() => seed(-1)).toThrow(ArgumentError)
  })

  it('continue from a saved state', async () => {
    lz.rand([5])
    const state = lz.getRngState()
    const first = await lz.randn([4]).array()
    lz.setRngState(state)
    expect(await lz.randn([4]).array()).toEqual(first)
  })

  it('multinomial follows the weights, and without replacement never repeats', async () => {
    const counts = [0, 0, 0]
    for (const v of (await lz.multinomial(toTensor([1, 0, 3], 'float32'), 2000, true).array()) as number[]) counts[v]!++
    expect(counts[1]).toBe(0)
    expect(counts[2]! / 2000).toBeCloseTo(0.75, 1)
    const rows = (await lz.multinomial(lz.ones([20, 5]), 5).array()) as number[][]
    for (const row of rows) expect([...row].sort()).toEqual([0, 1, 2, 3, 4])
    expect(() => lz.multinomial(lz.ones([3]), 4)).toThrow(ArgumentError)
  })

  it('multinomial draws what the generator draws', async () => {
    const weights = Float32Array.of(0.1, 0.5, 0.2, 0.7)
    for (const replacement of [true, false]) {
      seed(3)
      const expected = lz.defaultGenerator().multinomial(weights, 4, 3, replacement)
      seed(3)
      expect(await lz.multinomial(toTensor(weights), 3, replacement).array()).toEqual([...expected])
    }
  })

  it('poisson and in-place draws', async () => {
    const p = (await lz.poisson(lz.full([3000], 4)).array()) as number[]
    expect(p.reduce((a, b) => a + b) / 3000).toBeCloseTo(4, 0)
    const x = lz.zeros([1000])
    expect(await x.uniform_(2, 3).min().item()).toBeGreaterThanOrEqual(2)
    expect(await x.normal_(5, 0.1).mean().item()).toBeCloseTo(5, 1)
    expect(await x.exponential_(2).mean().item()).toBeCloseTo(0.5, 1)
    expect(await x.bernoulli_(0.25).mean().item()).toBeCloseTo(0.25, 1)
  })

  it('drawKey gives every call counters of its own, which the seed determines', async () => {
    const draw = (): Tensor => {
      const { key, offset } = drawKey(8)
      return new lz.Tensor(randomNode(key, offset, [8]))
    }
    seed(1)
    const [a, b] = [await draw().array(), await draw().array()]
    expect(a).not.toEqual(b)
    seed(1)
    expect(await draw().array()).toEqual(a)
    expect(lz.getRngState().offset).toBe(2)
  })
})
