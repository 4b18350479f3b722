import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { fromBfloat16Bits, getElement, toFloat16Bits, type HostArray } from '../../common/dtype.ts'
import { DTypeError, ShapeError } from '../../common/errors.ts'
import { Generator } from '../../tensor/generator.ts'
import * as initializer from './index.ts'

interface SeedDraws {
  readonly [name: string]: number[] | { readonly [parameter: string]: number[] }
}
const fixture = new URL('../../../test/fixtures/rng/draws.json', import.meta.url)
const recorded = (JSON.parse(readFileSync(fixture, 'utf8')) as { draws: Record<string, SeedDraws> }).draws

const { Assign, Bilinear, Constant, Dirac, KaimingNormal, KaimingUniform, Normal, Orthogonal } = initializer
const { TruncatedNormal, Uniform, XavierNormal, XavierUniform } = initializer

function values(array: HostArray): number[] {
  return Array.from({ length: array.data.length }, (_, i) => getElement(array.dtype, array.data, i))
}

function ulps(a: number, b: number): number {
  const bits = new Int32Array(Float32Array.of(a, b).buffer)
  return Math.abs(bits[0]! - bits[1]!)
}

/** The recorder kept only the first elements of some weights. */
function expectPrefix(got: HostArray, expected: number[], tolerance: number): void {
  const head = values(got).slice(0, expected.length)
  expect(head.length).toBe(expected.length)
  if (tolerance === 0) expect(head).toEqual(expected)
  else head.forEach((value, i) => expect(ulps(value, expected[i]!)).toBeLessThanOrEqual(tolerance))
}

const rnnBound = 1 / Math.sqrt(2)

describe.each(Object.entries(recorded))('initial weights of Paddle after paddle.seed(%s)', (seed, draws) => {
  test.each([
    ['Linear(5,7).weight', [5, 7], new XavierUniform(), 0],
    ['Embedding(6,3).weight', [6, 3], new XavierUniform(), 0],
    ['KaimingUniform[4,5]', [4, 5], new KaimingUniform(), 0],
    ['LSTM(2,2).weight_ih_l0', [8, 2], new Uniform({ low: -rnnBound, high: rnnBound }), 0],
    ['Conv2D(3,2,3).weight', [2, 3, 3, 3], new KaimingNormal(), 2],
    ['KaimingNormal[4,3,3,3]', [4, 3, 3, 3], new KaimingNormal(), 2],
    ['truncated_normal[6]', [6], new TruncatedNormal(), 2],
  ])('%s', (name, shape, how, tolerance) => {
    expectPrefix(how.initialize(shape, 'float32', new Generator(Number(seed))), draws[name] as number[], tolerance)
  })

  test('orthogonal[3,3] within the float32 rounding of LAPACK', () => {
    const got = values(new Orthogonal().initialize([3, 3], 'float32', new Generator(Number(seed))))
    ;(draws['orthogonal[3,3]'] as number[]).forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5))
  })

  test('a network draws in construction order, weight before bias, and constant biases draw nothing', () => {
    const network = draws['Sequential(Conv2D(3,4,3),ReLU,Linear(4,3)) in order'] as Record<string, number[]>
    const generator = new Generator(Number(seed))
    expectPrefix(new KaimingNormal().initialize([4, 3, 3, 3], 'float32', generator), network['0.weight']!, 2)
    expectPrefix(new Constant(0).initialize([4], 'float32'), network['0.bias']!, 0)
    expectPrefix(new XavierUniform().initialize([4, 3], 'float32', generator), network['2.weight']!, 0)
    expectPrefix(new Constant(0).initialize([3], 'float32'), network['2.bias']!, 0)
  })
})

describe('random initialisers', () => {
  const seeded = (): Generator => new Generator(1)

  test('options replace what the shape says', () => {
    const wide = values(new XavierUniform({ fanIn: 1, fanOut: 5, gain: 2 }).initialize([300], 'float32', seeded()))
    expect(Math.max(...wide)).toBeGreaterThan(1.9)
    expect(Math.max(...wide.map(Math.abs))).toBeLessThanOrEqual(2)
    const scaled = values(new XavierNormal({ gain: 3 }).initialize([2, 2], 'float64', seeded()))
    const plain = values(new Normal({ std: 3 * Math.sqrt(0.5) }).initialize([2, 2], 'float64', seeded()))
    expect(scaled).toEqual(plain)
    const leaky = new KaimingNormal({ mode: 'fan_out', nonlinearity: 'leaky_relu', negativeSlope: 1 })
    expect(values(leaky.initialize([4, 25], 'float64', seeded()))).toEqual(
      values(new Normal({ std: 0.2 }).initialize([4, 25], 'float64', seeded())),
    )
    expect(values(new KaimingUniform({ fanIn: 6 }).initialize([9], 'float64', seeded()))).toEqual(
      values(new Uniform({ low: -1, high: 1 }).initialize([9], 'float64', seeded())).map((v) => expect.closeTo(v, 6)),
    )
  })

  test('halves are the rounded float32 draws', () => {
    const single = values(new Normal().initialize([64], 'float32', seeded()))
    expect(Array.from(new Normal().initialize([64], 'float16', seeded()).data, Number)).toEqual(
      single.map(toFloat16Bits),
    )
    const half = new Normal().initialize([64], 'bfloat16', seeded())
    Array.from(half.data, Number).forEach((bits, i) => {
      expect(Math.abs(fromBfloat16Bits(bits) - single[i]!)).toBeLessThanOrEqual(Math.abs(single[i]!) / 256)
    })
  })

  test('integer parameters and empty intervals are refused', () => {
    expect(() => new Uniform().initialize([2], 'int64', seeded())).toThrow(DTypeError)
    expect(() => new Uniform({ low: 1, high: 0 })).toThrow(/low must not exceed high/)
    expect(() => new TruncatedNormal({ a: 2, b: 1 })).toThrow(/a must be below b/)
    expect(() => new Orthogonal().initialize([2], 'float32', seeded())).toThrow(ShapeError)
  })

  test('zero-sized parameters draw nothing', () => {
    const generator = seeded()
    const before = generator.getState()
    for (const how of [new Normal(), new XavierUniform(), new Orthogonal()]) {
      expect(how.initialize([0, 3], 'float32', generator).data.length).toBe(0)
    }
    expect(generator.getState()).toEqual(before)
  })

  test.each([
    [3, 8],
    [8, 3],
    [4, 2, 3],
  ])('orthogonal %i x %i ...: the shorter side is orthonormal, times gain', (...shape) => {
    const rows = shape[0]!
    const q = values(new Orthogonal({ gain: 2 }).initialize(shape, 'float64', seeded()))
    const columns = q.length / rows
    const short = Math.min(rows, columns)
    const entry = (vector: number, i: number): number =>
      rows < columns ? q[vector * columns + i]! : q[i * columns + vector]!
    for (let a = 0; a < short; a++) {
      for (let b = 0; b < short; b++) {
        let dot = 0
        for (let i = 0; i < Math.max(rows, columns); i++) dot += entry(a, i) * entry(b, i)
        expect(dot).toBeCloseTo(a === b ? 4 : 0, 12)
      }
    }
  })
})

describe('constant initialisers', () => {
  test('Constant in every kind of dtype', () => {
    expect(values(new Constant(0.25).initialize([2, 2], 'float16'))).toEqual([0.25, 0.25, 0.25, 0.25])
    expect(values(new Constant({ value: 3 }).initialize([2], 'int64'))).toEqual([3, 3])
    expect(values(new Constant().initialize([], 'float32'))).toEqual([0])
    expect(values(new Constant(1).initialize([0], 'bool'))).toEqual([])
  })

  test('Assign takes lists, typed arrays and host arrays', () => {
    expect(
      values(
        new Assign([
          [1, 2],
          [3, 4.5],
        ]).initialize([2, 2], 'float32'),
      ),
    ).toEqual([1, 2, 3, 4.5])
    expect(values(new Assign(Float64Array.of(1.7, -2.2)).initialize([2], 'int32'))).toEqual([1, -2])
    const host: HostArray = { dtype: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) }
    expect(values(new Assign(host).initialize([2], 'float32'))).toEqual([1, -2])
    expect(() => new Assign(host).initialize([1, 2], 'float32')).toThrow(/\[1, 2\].*\[2\]/)
    expect(() => new Assign([1, 2, 3]).initialize([2], 'float32')).toThrow(ShapeError)
  })

  test('Dirac passes channels through at the centre of the kernel, group by group', () => {
    expect(values(new Dirac().initialize([2, 3, 3], 'float32'))).toEqual([
      0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
    ])
    expect(values(new Dirac({ groups: 2 }).initialize([4, 1, 2], 'float32'))).toEqual([0, 1, 0, 0, 0, 1, 0, 0])
    expect(() => new Dirac({ groups: 3 }).initialize([4, 1, 2], 'float32')).toThrow(/groups/)
    expect(() => new Dirac().initialize([4, 4], 'float32')).toThrow(ShapeError)
  })

  test('Bilinear is the tent that doubles a feature map', () => {
    const row = [0.25, 0.75, 0.75, 0.25]
    const kernel = row.flatMap((y) => row.map((x) => x * y))
    expect(values(new Bilinear().initialize([2, 1, 4, 4], 'float32'))).toEqual([...kernel, ...kernel])
    expect(() => new Bilinear().initialize([1, 1, 3, 4], 'float32')).toThrow(/square/)
  })
})

describe('setGlobalInitializer', () => {
  afterEach(() => initializer.setGlobalInitializer())

  test('sets, replaces and clears both', () => {
    expect(initializer.getGlobalInitializer()).toEqual({ weight: undefined, bias: undefined })
    const weight = new Normal()
    const bias = new Constant(1)
    initializer.setGlobalInitializer(weight, bias)
    expect(initializer.getGlobalInitializer()).toEqual({ weight, bias })
    initializer.setGlobalInitializer(weight)
    expect(initializer.getGlobalInitializer().bias).toBeUndefined()
  })
})
