import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ArgumentError } from '../common/errors.ts'
import { Generator, defaultGenerator, type FloatArray } from './generator.ts'

type Draws = Record<string, number[]>
const fixture = new URL('../../test/fixtures/rng/draws.json', import.meta.url)
const recorded = (JSON.parse(readFileSync(fixture, 'utf8')) as { draws: Record<string, Draws> }).draws

/** Distance in units of the last place of two float32 values of equal sign. */
function ulps(a: number, b: number): number {
  const bits = new Int32Array(Float32Array.of(a, b).buffer)
  return Math.abs(bits[0]! - bits[1]!)
}

function expectWithin2Ulp(got: FloatArray, expected: readonly number[]): void {
  expect(got.length).toBe(expected.length)
  expected.forEach((value, i) => expect(ulps(got[i]!, value)).toBeLessThanOrEqual(2))
}

function hash(values: Int32Array): number {
  let h = 2166136261
  for (const value of values) h = Math.imul(h ^ value, 16777619)
  return h >>> 0
}

describe.each(Object.entries(recorded))('draws of Paddle after paddle.seed(%s)', (seed, draws) => {
  const generator = (): Generator => new Generator(Number(seed))
  const exact: Record<string, () => ArrayLike<number>> = {
    'rand[8]': () => generator().uniform(new Float32Array(8)),
    'uniform[-2,3][6]': () => generator().uniform(new Float32Array(6), -2, 3),
    'randint(0,10)[8]': () => generator().randint(new Int32Array(8), 0, 10),
    'randint(-5,1000003)[8]': () => Array.from(generator().randint(new BigInt64Array(8), -5, 1000003), Number),
    'randperm(7)': () => generator().randperm(7),
    'randperm(8)': () => generator().randperm(8),
    'bernoulli(0.3)[10]': () => generator().bernoulli(new Float32Array(10), 0.3),
    'dropout(ones16,0.3)': () => {
      const scale = Math.fround(1 / Math.fround(1 - Math.fround(0.3)))
      return Array.from(generator().dropoutMask(new Uint8Array(16), 0.3), (kept) => kept * scale)
    },
  }
  const rounded: Record<string, () => FloatArray> = {
    'randn[9]': () => generator().normal(new Float32Array(9)),
    'normal(1,2)[6]': () => generator().normal(new Float32Array(6), 1, 2),
    'truncated_normal[6]': () => generator().truncatedNormal(new Float32Array(6)),
    'rand then randn': () => {
      const g = generator()
      const parts = [g.uniform(new Float32Array(2)), g.normal(new Float32Array(2)), g.uniform(new Float32Array(1))]
      return Float32Array.from(parts.flatMap((part) => Array.from(part)))
    },
  }

  test.each(Object.keys(exact))('%s, bit for bit', (name) => {
    expect(Array.from(exact[name]!())).toEqual(draws[name])
  })

  test.each(Object.keys(rounded))('%s, within 2 ulp', (name) => {
    expectWithin2Ulp(rounded[name]!(), draws[name]!)
  })
})

describe('libstdc++ distributions that Paddle uses and no Paddle record covers (recorded from GCC 12, seed 42)', () => {
  const generator = (): Generator => new Generator(42)

  test('float64 uniform and normal', () => {
    expect(Array.from(generator().uniform(new Float64Array(4), -2, 3))).toEqual([
      2.2483212592069526, 2.1377483127943764, 1.4154268942167332, 2.9774153917884139,
    ])
    const normal = [
      1.5648242996762698, 1.6029585395547181, 0.07200609881013442, 0.18909269406435214, 1.5474167627735271,
    ]
    generator()
      .normal(new Float64Array(5), 1, 2)
      .forEach((value, i) => expect(value).toBeCloseTo(normal[i]!, 13))
  })

  test('randint over ranges beyond 32 bits', () => {
    expect(Array.from(generator().randint(new BigInt64Array(5), -5, 2 ** 52 + 12345))).toEqual([
      3826547607993405n,
      3726952351940945n,
      3076343057629561n,
      4483257220757583n,
      904280702714767n,
    ])
    expect(Array.from(generator().randint(new BigInt64Array(3), 0, 2 ** 32))).toEqual([
      3649280174n,
      3554298736n,
      2933829362n,
    ])
  })

  test.each([
    [1, 84696351],
    [2, 276207162],
    [1000, 867851293],
    [100000, 3736890967],
    [200001, 1624282747],
  ])('randperm(%d): hash of the order', (n, expected) => {
    expect(hash(generator().randperm(n))).toBe(expected)
  })
})

describe('Generator', () => {
  test('only the low 32 bits of the seed reach the engine, as in Paddle', () => {
    const draw = (seed: number): number[] => Array.from(new Generator(seed).uniform(new Float32Array(4)))
    expect(draw(2 ** 32 + 5)).toEqual(draw(5))
    expect(() => new Generator(-1)).toThrow(ArgumentError)
    expect(() => new Generator(1.5)).toThrow(ArgumentError)
  })

  test('manualSeed starts over, counters included', () => {
    const g = new Generator(3)
    const first = g.normal(new Float32Array(5))
    g.incrementOffset(7)
    expect(g.incrementOffset(2)).toEqual({ key: 3, offset: 7 })
    expect(g.manualSeed(3).normal(new Float32Array(5))).toEqual(first)
    expect(g.incrementOffset(1)).toEqual({ key: 3, offset: 0 })
    expect(g.initialSeed()).toBe(3)
  })

  test('state round trip through JSON continues every kind of draw', () => {
    const g = new Generator(11)
    g.uniform(new Float32Array(500))
    g.incrementOffset(4)
    const { words, ...rest } = g.getState()
    const text = JSON.stringify({ ...rest, words: Array.from(words) })
    const draw = (from: Generator): unknown[] => [
      from.uniform(new Float32Array(400)),
      from.normal(new Float32Array(3)),
      from.randperm(9),
      from.incrementOffset(1),
    ]
    const expected = draw(g)
    const parsed = JSON.parse(text) as { seed: number; offset: number; position: number; words: number[] }
    const restored = new Generator(0)
    restored.setState({ ...parsed, words: Int32Array.from(parsed.words) })
    expect(draw(restored)).toEqual(expected)
  })

  test('a foreign state is refused', () => {
    const state = new Generator(1).getState()
    const g = new Generator(1)
    expect(() => g.setState({ ...state, words: new Int32Array(3) })).toThrow(ArgumentError)
    expect(() => g.setState({ ...state, position: 313 })).toThrow(/position/)
    expect(() => g.setState({ ...state, offset: NaN })).toThrow(ArgumentError)
  })

  test('the second value of a pair does not outlive the call', () => {
    const g = new Generator(42)
    const [first] = g.normal(new Float32Array(1))
    const pair = new Generator(42).normal(new Float32Array(2))
    expect(first).toBe(pair[0])
    expect(g.normal(new Float32Array(1))[0]).not.toBe(pair[1])
  })

  test('dropoutMask at the ends: 0 keeps all, 1 keeps nothing and draws nothing', () => {
    const g = new Generator(5)
    const before = g.getState()
    expect(g.dropoutMask(new Uint8Array(4).fill(9), 1)).toEqual(new Uint8Array(4))
    expect(g.getState()).toEqual(before)
    expect(g.dropoutMask(new Uint8Array(4), 0)).toEqual(new Uint8Array(4).fill(1))
  })

  test('randint rejects the surplus words of a large range evenly', () => {
    // 3 * 2^51 does not divide 2^64: thirds must stay equally likely.
    const n = 30000
    const thirds = [0, 0, 0]
    for (const value of new Generator(8).randint(new BigInt64Array(n), 0, 3 * 2 ** 51)) thirds[Number(value >> 51n)]!++
    for (const count of thirds) expect(Math.abs(count - n / 3)).toBeLessThan(4 * Math.sqrt(n))
  })

  test('exponential has mean 1 / lambda and is never negative', () => {
    const draws = new Generator(4).exponential(new Float32Array(50000), 2)
    expect(draws.every((x) => x >= 0)).toBe(true)
    expect(draws.reduce((a, b) => a + b, 0) / draws.length).toBeCloseTo(0.5, 2)
  })

  test('truncatedNormal stays inside its bounds, also far from the mean', () => {
    const draws = new Generator(4).truncatedNormal(new Float32Array(2000), 0, 1, 2.5, 3)
    expect(draws.every((x) => x >= 2.5 && x <= 3)).toBe(true)
  })

  test('bernoulli takes one probability an element', () => {
    const p = Float32Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? 0 : 1))
    expect(new Generator(4).bernoulli(new Float64Array(1000), p)).toEqual(Float64Array.from(p))
    expect(() => new Generator(4).bernoulli(new Float32Array(3), [0.5])).toThrow(ArgumentError)
  })

  test('wrong arguments are named', () => {
    const g = new Generator(1)
    expect(() => g.randint(new Int32Array(1), 3, 3)).toThrow(/low 3 and high 3/)
    expect(() => g.randint(new Int32Array(1), 0, 2 ** 60)).toThrow(ArgumentError)
    expect(() => g.bernoulli(new Float32Array(1), 1.5)).toThrow(/\[0, 1\]/)
    expect(() => g.randperm(-1)).toThrow(ArgumentError)
    expect(() => g.exponential(new Float32Array(1), 0)).toThrow(/lambda/)
    expect(() => g.poisson(new Float32Array(1), -1)).toThrow(/not negative/)
  })

  test('defaultGenerator is one and the same', () => {
    expect(defaultGenerator()).toBe(defaultGenerator())
  })
})

describe('multinomial', () => {
  test('with replacement draws in proportion to the weights, row by row', () => {
    const n = 20000
    const draws = new Generator(6).multinomial(Float32Array.of(1, 0, 3, 0, 5, 5), 3, n, true)
    const share = (row: number, category: number): number =>
      draws.subarray(row * n, (row + 1) * n).filter((c) => c === category).length / n
    expect([share(0, 1), share(1, 0)]).toEqual([0, 0])
    expect(share(0, 2)).toBeCloseTo(0.75, 1)
    expect(share(1, 1)).toBeCloseTo(0.5, 1)
  })

  test('without replacement never repeats and never takes weight 0', () => {
    for (let seed = 0; seed < 200; seed++) {
      const draws = new Generator(seed).multinomial(Float32Array.of(0, 0.1, 7, 1e-6, 2, 0), 6, 4)
      expect(Array.from(draws).sort()).toEqual([1, 2, 3, 4])
    }
  })

  test('impossible requests are refused', () => {
    const g = new Generator(1)
    expect(() => g.multinomial(Float32Array.of(0, 0), 2)).toThrow(/sum to 0/)
    expect(() => g.multinomial(Float32Array.of(1, -1), 2)).toThrow(/negative/)
    expect(() => g.multinomial(Float32Array.of(1, 0), 2, 2)).toThrow(/replacement/)
    expect(() => g.multinomial(Float32Array.of(1, 1, 1), 2)).toThrow(/rows of 2/)
  })
})
