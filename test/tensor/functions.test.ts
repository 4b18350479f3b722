/** Functions against plain models and known identities, and their edge cases. */
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { arange, ArgumentError, DTypeError, ShapeError, toTensor, type DType, type Tensor } from '../../src/index.ts'

const counted = (...shape: number[]): Tensor =>
  arange(shape.reduce((a, b) => a * b, 1))
    .astype('float32')
    .reshape(shape)
const float = (...values: number[]): Tensor => toTensor(values, 'float32')

beforeAll(() => lz.setDevice('reference'))

describe('creation', () => {
  it('toTensor infers dtype and shape', async () => {
    expect([
      toTensor([
        [1, 2],
        [3, 4],
      ]).shape,
      toTensor([[1], [2.5]]).dtype,
    ]).toEqual([[2, 2], 'float32'])
    expect(toTensor([]).shape).toEqual([0])
    expect(toTensor([[], []]).shape).toEqual([2, 0])
    expect(toTensor([true, 2]).dtype).toBe('int64')
    const typed: [ArrayBufferView, DType][] = [
      [Float32Array.of(1), 'float32'],
      [Float64Array.of(1), 'float64'],
      [Int32Array.of(1), 'int32'],
      [BigInt64Array.of(1n), 'int64'],
      [Uint8Array.of(1), 'uint8'],
      [Int8Array.of(1), 'int8'],
      [Uint32Array.of(1), 'int64'],
      [Int16Array.of(1), 'int32'],
    ]
    for (const [data, dtype] of typed) expect(toTensor(data as Float32Array).dtype).toBe(dtype)
    expect(toTensor([Float32Array.of(1, 2), Float32Array.of(3, 4)]).dtype).toBe('float32')
    expect(toTensor(1n << 40n).dtype).toBe('int64')
    expect(await toTensor([1.5, -2.7], 'int32').array()).toEqual([1, -2])
    expect(await toTensor(Uint16Array.of(0x3c00), 'float16').array()).toEqual([1])
    expect(toTensor(1, { stopGradient: false, dtype: 'float32' }).stopGradient).toBe(false)
  })

  it('toTensor copies, and says what is wrong', async () => {
    const data = Float32Array.of(1, 2)
    const t = toTensor(data)
    data[0] = 9
    expect(await t.array()).toEqual([1, 2])
    expect(() => toTensor([[1, 2], [3]])).toThrow(ShapeError)
    expect(() => toTensor([1, [2]])).toThrow(ShapeError)
    expect(() => toTensor([[1], 2])).toThrow(ShapeError)
    expect(() => toTensor('a' as never)).toThrow(ArgumentError)
    expect(() => toTensor(null as never)).toThrow(ArgumentError)
    expect(() => toTensor(Uint16Array.of(1))).toThrow(DTypeError)
    expect(() => toTensor([1], 'float31' as never)).toThrow(DTypeError)
  })

  it('ramps', async () => {
    expect(await arange(1, 10, 3).array()).toEqual([1, 4, 7])
    expect(await arange(5, 0, -2).array()).toEqual([5, 3, 1])
    expect(arange(5, 0).shape).toEqual([0])
    expect(await arange(0, 2, 0.5, 'int32').array()).toEqual([0, 0, 1, 1])
    expect(() => arange(0, 1, 0)).toThrow(ArgumentError)
    expect(() => arange(0, Infinity)).toThrow(ArgumentError)
    expect(await lz.linspace(0, 1, 5).array()).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(await lz.linspace(0, 10, 5, 'int32').array()).toEqual([0, 2, 5, 7, 10])
    expect(await lz.linspace(3, 9, 1).array()).toEqual([3])
    expect(await lz.logspace(0, 3, 4).array()).toEqual([1, 10, 100, 1000])
  })

  it('filled tensors and the like', async () => {
    expect(await lz.full([2], 7).array()).toEqual([7, 7])
    expect(lz.full([2], true).dtype).toBe('bool')
    expect(await lz.fullLike(toTensor([1, 2]), 1.5).array()).toEqual([1, 1])
    expect(lz.zeros([]).shape).toEqual([])
    expect(lz.ones([0, 3]).shape).toEqual([0, 3])
    expect(() => lz.zeros([-1])).toThrow(ShapeError)
    expect(() => lz.zeros([1.5])).toThrow(ShapeError)
    expect(() => lz.zeros(3 as never)).toThrow(ArgumentError)
    expect(() => lz.zeros([2 ** 31, 2 ** 31])).toThrow(ShapeError)
    expect(await lz.eye(2, 3).array()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ])
    expect(await lz.trilIndices(2, 2).array()).toEqual([
      [0, 1, 1],
      [0, 0, 1],
    ])
    expect(await lz.numel(counted(2, 3)).item()).toBe(6)
  })

  it('diagonals come back from matrices', async () => {
    for (const offset of [-2, -1, 0, 1, 3]) {
      const v = float(1, 2, 3)
      expect(await lz.diagonal(lz.diagEmbed(v, offset), offset).array()).toEqual([1, 2, 3])
      const x = counted(3, 4)
      const same = lz.diagonalScatter(x, lz.diagonal(x, offset), offset)
      expect(await same.equalAll(x).item()).toBe(1)
    }
    expect(
      await lz
        .diagonal(
          toTensor([
            [true, false],
            [false, true],
          ]),
        )
        .array(),
    ).toEqual([true, true])
    expect(lz.diagonal(counted(2, 3), 5).shape).toEqual([0])
  })
})

describe('arithmetic', () => {
  it('integers follow Python', async () => {
    const a = toTensor([7, -7, 7, -7])
    const b = toTensor([2, 2, -2, -2])
    expect(await a.floorDivide(b).array()).toEqual([3, -4, -4, 3])
    expect(await a.mod(b).array()).toEqual([1, 1, -1, -1])
    expect(await toTensor([2, 3], 'int32').pow(2).array()).toEqual([4, 9])
  })

  it('bools add as or and multiply as and', async () => {
    const a = toTensor([true, true, false])
    const b = toTensor([true, false, false])
    expect(await a.add(b).array()).toEqual([true, true, false])
    expect(await a.multiply(b).array()).toEqual([true, false, false])
    expect(() => a.subtract(b)).toThrow(DTypeError)
    expect(() => a.abs()).toThrow(DTypeError)
  })

  it('extrema and NaN', async () => {
    const a = float(NaN, 1, NaN)
    const b = float(2, NaN, NaN)
    expect(await lz.maximum(a, b).array()).toEqual([NaN, NaN, NaN])
    expect(await lz.fmax(a, b).array()).toEqual([2, 1, NaN])
    expect(await lz.fmin(a, b).array()).toEqual([2, 1, NaN])
    expect(await a.clip(0, 1).array()).toEqual([NaN, 1, NaN])
    expect(await a.isnan().array()).toEqual([true, false, true])
    expect(await lz.nanToNum(float(NaN, Infinity, -Infinity), { nan: 1, posinf: 2, neginf: 3 }).array()).toEqual([
      1, 2, 3,
    ])
    expect(await lz.nansum(float(1, NaN, 2)).item()).toBe(3)
    expect(await lz.nanmean(float(1, NaN, 2)).item()).toBe(1.5)
  })

  it('infinities', async () => {
    expect(await lz.logaddexp(float(-Infinity, Infinity, 0), float(-Infinity, 1, -Infinity)).array()).toEqual([
      -Infinity,
      Infinity,
      0,
    ])
    expect(await lz.hypot(float(3e38, Infinity, 0), float(0, NaN, 0)).array()).toEqual([Math.fround(3e38), Infinity, 0])
    expect(await lz.logsumexp(float(-Infinity, -Infinity)).item()).toBe(-Infinity)
    expect(await lz.logsumexp(float(Infinity, 0)).item()).toBe(Infinity)
    expect(await lz.logsumexp(float(1000, 1000)).item()).toBeCloseTo(1000 + Math.LN2, 3)
    expect(await lz.amax(float(1, Infinity)).item()).toBe(Infinity)
    expect(await lz.isinf(float(1, -Infinity)).array()).toEqual([false, true])
    expect(await lz.isposinf(float(1, -Infinity)).array()).toEqual([false, false])
    expect(await lz.isclose(float(Infinity, Infinity), float(Infinity, -Infinity)).array()).toEqual([true, false])
    expect(await lz.allclose(float(NaN), float(NaN), { equalNan: true }).item()).toBe(1)
  })

  it('signs of zero', async () => {
    expect(await lz.signbit(float(-0, 0, -1, 2)).array()).toEqual([true, false, true, false])
    expect(await lz.copysign(float(1, 1), float(-0, 0)).array()).toEqual([-1, 1])
  })

  it('special functions at known points', async () => {
    const close = async (t: Tensor, expected: number[]): Promise<void> => {
      const got = [...((await t.data()) as Float64Array)]
      got.forEach((v, k) =>
        expect(Math.abs(v - expected[k]!), `${k}`).toBeLessThan(1e-12 * Math.max(1, Math.abs(expected[k]!))),
      )
    }
    const double = (...v: number[]): Tensor => toTensor(v, 'float64')
    await close(lz.lgamma(double(0.5, 1, 2, 10, 100, -0.5)), [
      0.5 * Math.log(Math.PI),
      0,
      0,
      Math.log(362880),
      359.1342053695754,
      1.2655121234846454,
    ])
    const euler = 0.5772156649015329
    await close(lz.digamma(double(1, 2, 0.5, -0.5)), [
      -euler,
      1 - euler,
      -euler - 2 * Math.LN2,
      2 - euler - 2 * Math.LN2,
    ])
    await close(lz.polygamma(double(1, 2), 1), [Math.PI ** 2 / 6, Math.PI ** 2 / 6 - 1])
    await close(lz.erf(lz.erfinv(double(-0.999, -0.3, 0, 0.5, 0.99999))), [-0.999, -0.3, 0, 0.5, 0.99999])
    expect(await lz.erfinv(double(1, -1, 1.5)).array()).toEqual([Infinity, -Infinity, NaN])
    expect(await lz.lgamma(double(0, -1, Infinity)).array()).toEqual([Infinity, Infinity, Infinity])
    expect(await lz.digamma(double(0, -1)).array()).toEqual([-Infinity, NaN])
    expect(await lz.gcd(toTensor([12, 0, -9]), toTensor([-18, 5, 0])).array()).toEqual([6, 5, 9])
    expect(await lz.lcm(toTensor([4, 0]), toTensor([6, 5])).array()).toEqual([12, 0])
  })

  it('shapes that do not broadcast are shown', () => {
    expect(() => counted(2, 3).add(counted(2))).toThrow(/\[2, 3\] and \[2\]/)
    expect(() => lz.add(counted(2), null as never)).toThrow(ArgumentError)
    expect(() => lz.exp([1] as never)).toThrow(ArgumentError)
  })
})

describe('reductions', () => {
  it('of nothing', async () => {
    const none = lz.zeros([0])
    expect(await none.sum().item()).toBe(0)
    expect(await none.prod().item()).toBe(1)
    expect(await none.mean().item()).toBeNaN()
    expect(await none.all().item()).toBe(1)
    expect(await none.any().item()).toBe(0)
    expect(await none.logsumexp().item()).toBe(-Infinity)
    expect(lz.zeros([0, 3]).max(1).shape).toEqual([0])
    for (const f of [lz.max, lz.min, lz.amax, lz.argmax, lz.median]) expect(() => f(none)).toThrow(ShapeError)
  })

  it('of one number', async () => {
    const one = toTensor(3.5)
    expect(await one.sum().item()).toBe(3.5)
    expect(await one.max().item()).toBe(3.5)
    expect(await one.cumsum().array()).toEqual([3.5])
    expect((await one.cumsum(0)).shape).toEqual([])
    expect((await one.sort()).shape).toEqual([])
    expect((await one.topk(1))[0].shape).toEqual([])
    expect(await one.std().item()).toBeNaN()
    expect(await one.median().item()).toBe(3.5)
    expect(await one.argmax().item()).toBe(0)
    expect(() => one.sum(0)).toThrow(ArgumentError)
  })

  it('axes: several, negative, wrong', async () => {
    const x = counted(2, 3, 4)
    expect(x.sum([0, -1]).shape).toEqual([3])
    expect(x.sum([-1, 0], { keepdim: true }).shape).toEqual([1, 3, 1])
    expect(x.mean([]).shape).toEqual([])
    expect(() => x.sum(3)).toThrow(ArgumentError)
    expect(() => x.sum([0, 0])).toThrow(ArgumentError)
    expect(() => x.sum(0.5)).toThrow(ArgumentError)
    expect(await toTensor([true, false]).max().array()).toBe(true)
  })

  it('medians and quantiles', async () => {
    expect(await lz.median(float(3, 1, 2, 10)).item()).toBe(2.5)
    expect(await lz.median(float(3, NaN, 2)).item()).toBeNaN()
    const [value, position] = lz.median(float(3, 1, 2, 10), null, { mode: 'min' })
    expect([await value.item(), await position.item()]).toEqual([2, 2])
    expect(await lz.nanmedian(float(1, NaN, 2, 4, 7)).item()).toBe(3)
    expect(await lz.nanmedian(float(NaN)).item()).toBeNaN()
    for (const [how, expected] of [
      ['linear', 1.5],
      ['lower', 1],
      ['higher', 2],
      ['midpoint', 1.5],
      ['nearest', 2],
    ] as const)
      expect(await lz.quantile(float(0, 1, 2, 3), 0.5, 0, { interpolation: how }).item()).toBe(expected)
    expect(await lz.nanquantile(float(0, NaN, 4), [0, 0.25, 1]).array()).toEqual([0, 1, 4])
    expect(() => lz.quantile(float(1), 1.5)).toThrow(ArgumentError)
    expect(lz.quantile(counted(2, 3, 4), 0.5, [0, 2], { keepdim: true }).shape).toEqual([1, 3, 1])
  })

  it('sorting puts NaN last, ties in order', async () => {
    expect(await float(3, NaN, 1).sort().array()).toEqual([1, 3, NaN])
    expect(await float(2, 1, 2, 1).argsort().array()).toEqual([1, 3, 0, 2])
    expect(await lz.kthvalue(float(5, 1, 4), 2)[0].item()).toBe(4)
    expect(() => lz.topk(float(1), 2)).toThrow(ArgumentError)
    expect(() => lz.kthvalue(float(1), 0)).toThrow(ArgumentError)
    const [values, positions] = lz.mode(toTensor([2, 1, 2, 1]))
    expect([await values.item(), await positions.item()]).toEqual([1, 3])
  })

  it('searchsorted agrees with counting', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 9 }),
        fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        async (sequence, values, right) => {
          const sorted = [...sequence].sort((a, b) => a - b)
          const got = lz.searchsorted(toTensor(sorted, 'int64'), toTensor(values, 'int64'), { right })
          expect(await got.array()).toEqual(values.map((v) => sorted.filter((s) => (right ? s <= v : s < v)).length))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('histograms', async () => {
    expect(await lz.histogram(float(1, 2, 2), 4).array()).toEqual([1, 0, 0, 2])
    expect(await lz.histogram(float(5, 5), 2).array()).toEqual([0, 2])
    expect(await lz.histogram(float(1, 2, NaN, 9), 3, 0, 3).array()).toEqual([0, 1, 1])
    expect(await lz.histogram(lz.zeros([0]), 2).array()).toEqual([0, 0])
    const density = (await lz.histogram(float(1, 2, 2), 4, 0, 0, { density: true }).array()) as number[]
    expect(density.reduce((a, b) => a + b) * 0.25).toBeCloseTo(1, 5)
    expect(await lz.histogramBinEdges(float(1, 3), 2).array()).toEqual([1, 2, 3])
    expect(await (await lz.bincount(toTensor([1, 3, 1]), null, 6)).array()).toEqual([0, 2, 0, 1, 0, 0])
    expect(await (await lz.bincount(toTensor([1, 0, 1]), float(0.5, 1, 2))).array()).toEqual([1, 2.5])
    await expect(lz.bincount(toTensor([-1]))).rejects.toThrow(ArgumentError)
  })
})

describe('arrangement', () => {
  it('reshape copies with 0, works out -1, and keeps 0 in empty tensors', () => {
    const x = counted(2, 3, 4)
    expect(x.reshape([0, -1]).shape).toEqual([2, 12])
    expect(x.reshape([-1]).shape).toEqual([24])
    expect(lz.zeros([0, 3]).reshape([3, 0]).shape).toEqual([3, 0])
    expect(lz.zeros([0, 3]).reshape([-1, 2]).shape).toEqual([0, 2])
    expect(toTensor(1).reshape([1, 1]).shape).toEqual([1, 1])
    for (const bad of [[5, 5], [-1, -1], [-2], [-1, 7], [1, 1, 1, 0]]) expect(() => x.reshape(bad)).toThrow(ShapeError)
    expect(x.unflatten(2, [2, -1]).shape).toEqual([2, 3, 2, 2])
  })

  it('squeeze, unsqueeze, flatten', () => {
    const x = counted(1, 2, 1)
    expect(x.squeeze().shape).toEqual([2])
    expect(x.squeeze(1).shape).toEqual([1, 2, 1])
    expect(x.squeeze([0, -1]).shape).toEqual([2])
    expect(x.unsqueeze([0, -1]).shape).toEqual([1, 1, 2, 1, 1])
    expect(() => x.unsqueeze(5)).toThrow(ArgumentError)
    expect(toTensor(1).flatten().shape).toEqual([1])
    expect(counted(2, 3, 4).flatten(1).shape).toEqual([2, 12])
    expect(() => x.flatten(2, 0)).toThrow(ArgumentError)
    expect(() => x.transpose([0, 1])).toThrow(ArgumentError)
    expect(() => x.transpose([0, 0, 1])).toThrow(ArgumentError)
    expect(() => x.t()).toThrow(ShapeError)
  })

  it('concat and split are inverse', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 2 }),
        async (sizes, axis) => {
          const shape = [2, 3, 2]
          shape[axis] = sizes.reduce((a, b) => a + b)
          const x = counted(...shape)
          const pieces = lz.split(x, sizes, axis)
          expect(pieces.map((p) => p.shape[axis])).toEqual(sizes)
          expect(await lz.concat(pieces, axis).array()).toEqual(await x.array())
        },
      ),
      { numRuns: 40 },
    )
    expect(() => lz.concat([counted(2, 3), counted(3, 3)], 1)).toThrow(ShapeError)
    expect(() => lz.concat([counted(2), toTensor([1])])).toThrow(DTypeError)
    expect(() => lz.concat([])).toThrow(ArgumentError)
    expect(() => lz.split(counted(4), 3)).toThrow(ArgumentError)
    expect(() => lz.split(counted(4), [1, 1])).toThrow(ArgumentError)
    expect(() => lz.stack([counted(2), counted(3)])).toThrow(ShapeError)
    expect(await lz.concat([toTensor([true]), toTensor([false])]).array()).toEqual([true, false])
    expect(lz.tensorSplit(counted(7), 3).map((p) => p.size)).toEqual([3, 2, 2])
    expect(lz.tensorSplit(counted(7), [2, 9, -1]).map((p) => p.size)).toEqual([2, 5, 0, 1])
    expect(lz.hstack([float(1), float(2, 3)]).shape).toEqual([3])
    expect(lz.columnStack([float(1, 2), float(3, 4)]).shape).toEqual([2, 2])
    expect(lz.vstack([float(1, 2), counted(3, 2)]).shape).toEqual([4, 2])
    expect(lz.dstack([float(1, 2)]).shape).toEqual([1, 2, 1])
  })

  it('four quarter turns, and rolling back, change nothing', async () => {
    const x = counted(2, 3)
    let turned: Tensor = x
    for (let k = 0; k < 4; k++) turned = lz.rot90(turned)
    expect(await turned.equalAll(x).item()).toBe(1)
    expect(await lz.rot90(x, 5).equalAll(lz.rot90(x)).item()).toBe(1)
    expect(await lz.roll(lz.roll(x, 4), -4).equalAll(x).item()).toBe(1)
    expect(await lz.roll(x, [7, -3], [0, 1]).array()).toEqual([
      [3, 4, 5],
      [0, 1, 2],
    ])
    expect(lz.roll(lz.zeros([0]), 1).shape).toEqual([0])
  })

  it('repeats', async () => {
    expect(await lz.tile(float(1, 2), [2, 2]).array()).toEqual([
      [1, 2, 1, 2],
      [1, 2, 1, 2],
    ])
    expect(lz.tile(float(1, 2), 0).shape).toEqual([0])
    expect(await lz.repeatInterleave(float(1, 2), [0, 3]).array()).toEqual([2, 2, 2])
    expect(() => lz.tile(float(1), -1)).toThrow(ArgumentError)
    expect(() => lz.repeatInterleave(float(1), [1, 2])).toThrow(ArgumentError)
    expect(() => float(1, 2).expand([3])).toThrow(ShapeError)
    expect(() => float(1, 2).expand([-1, 2])).toThrow(ShapeError)
  })
})

/** Sum of products by looping over all letters. */
function naiveEinsum(
  inputs: readonly string[],
  output: string,
  arrays: readonly { shape: number[]; data: number[] }[],
): number[] {
  const sizes = new Map<string, number>()
  inputs.forEach((letters, k) => [...letters].forEach((l, i) => sizes.set(l, arrays[k]!.shape[i]!)))
  const letters = [...sizes.keys()]
  const offset = (names: string, at: Map<string, number>): number =>
    [...names].reduce((o, l) => o * sizes.get(l)! + at.get(l)!, 0)
  const out = new Array<number>([...output].reduce((n, l) => n * sizes.get(l)!, 1)).fill(0)
  const total = letters.reduce((n, l) => n * sizes.get(l)!, 1)
  for (let i = 0; i < total; i++) {
    const at = new Map<string, number>()
    let rest = i
    for (const l of letters) {
      at.set(l, rest % sizes.get(l)!)
      rest = Math.floor(rest / sizes.get(l)!)
    }
    const product = inputs.reduce((p, names, k) => p * arrays[k]!.data[offset(names, at)]!, 1)
    out[offset(output, at)]! += product
  }
  return out
}

describe('products', () => {
  it('einsum agrees with loops', async () => {
    const letter = fc.constantFrom('a', 'b', 'c', 'd')
    const operand = fc.array(letter, { maxLength: 3 }).map((l) => l.join(''))
    await fc.assert(
      fc.asyncProperty(
        fc.array(operand, { minLength: 1, maxLength: 3 }),
        fc.array(letter, { maxLength: 3 }),
        async (inputs, wanted) => {
          const known = new Set(inputs.join(''))
          const output = [...new Set(wanted)].filter((l) => known.has(l)).join('')
          const sizes: Record<string, number> = { a: 2, b: 3, c: 1, d: 2 }
          const arrays = inputs.map((names, k) => {
            const shape = [...names].map((l) => sizes[l]!)
            const n = shape.reduce((p, d) => p * d, 1)
            return { shape, data: Array.from({ length: n }, (_, i) => ((i * 7 + k * 3) % 5) - 2) }
          })
          const tensors = arrays.map((a) => toTensor(a.data, 'float64').reshape(a.shape))
          const got = lz.einsum(`${inputs.join(',')}->${output}`, ...tensors)
          expect([...((await got.data()) as Float64Array)].map((v) => v + 0)).toEqual(
            naiveEinsum(inputs, output, arrays).map((v) => v + 0),
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  it('einsum: implicit output, ellipsis, broadcasting, errors', async () => {
    const x = counted(2, 3)
    expect(await lz.einsum('ba', x).array()).toEqual(await x.T.array())
    expect(lz.einsum('i...->...i', counted(2, 3, 4)).shape).toEqual([3, 4, 2])
    expect(lz.einsum('...ij,...jk', counted(5, 1, 2, 3), counted(4, 3, 2)).shape).toEqual([5, 4, 2, 2])
    expect(lz.einsum('ij,jk', [x, counted(3, 1)]).shape).toEqual([2, 1])
    expect(lz.einsum('ij,ij->i', x, counted(1, 3)).shape).toEqual([2])
    expect(() => lz.einsum('ij,jk->ik', x, x)).toThrow(ShapeError)
    expect(() => lz.einsum('ijk->i', x)).toThrow(ShapeError)
    expect(() => lz.einsum('ij->ik', x)).toThrow(ArgumentError)
    expect(() => lz.einsum('ij->ii', x)).toThrow(ArgumentError)
    expect(() => lz.einsum('ij,jk->ik', x)).toThrow(ArgumentError)
    expect(() => lz.einsum('i1->i', x)).toThrow(ArgumentError)
  })

  it('matmul: shapes of all ranks', () => {
    const shapes: [number[], number[], number[]][] = [
      [[3], [3], []],
      [[2, 3], [3], [2]],
      [[3], [3, 4], [4]],
      [[5, 2, 3], [3], [5, 2]],
      [[3], [5, 3, 4], [5, 4]],
      [
        [5, 2, 3],
        [3, 4],
        [5, 2, 4],
      ],
      [
        [2, 3],
        [5, 3, 4],
        [5, 2, 4],
      ],
      [
        [6, 1, 2, 3],
        [5, 3, 4],
        [6, 5, 2, 4],
      ],
      [
        [1, 2, 3],
        [1, 3, 4],
        [1, 2, 4],
      ],
      [
        [0, 3],
        [3, 4],
        [0, 4],
      ],
      [
        [2, 0],
        [0, 4],
        [2, 4],
      ],
    ]
    for (const [a, b, out] of shapes) expect(lz.zeros(a).matmul(lz.zeros(b)).shape).toEqual(out)
    expect(() => lz.zeros([4, 7200]).matmul(lz.zeros([6272, 10]))).toThrow(/\[4, 7200\] x \[6272, 10\].*7200 and 6272/)
    expect(() => lz.zeros([2, 2, 3]).matmul(lz.zeros([3, 3, 4]))).toThrow(ShapeError)
    expect(() => toTensor(1.5).matmul(float(1))).toThrow(ShapeError)
    expect(() => float(1).matmul(toTensor([1]))).toThrow(DTypeError)
  })

  it('sums over nothing are zero', async () => {
    expect(
      await lz
        .zeros([2, 0])
        .matmul(lz.zeros([0, 2]))
        .array(),
    ).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  it('solves what it inverts', async () => {
    const a = toTensor(
      [
        [0, 2, 1],
        [1, 1, 0],
        [3, 0, -1],
      ],
      'float64',
    )
    const identity = lz.eye(3, 3, 'float64')
    expect(await lz.allclose(a.matmul(lz.inverse(a)), identity, { atol: 1e-12 }).item()).toBe(1)
    expect(await lz.det(a).item()).toBeCloseTo(-1, 12)
    expect(
      await lz
        .allclose(
          a.matmul(lz.solve(a, float(1, 2, 3).astype('float64')).unsqueeze(1)).squeeze(1),
          float(1, 2, 3).astype('float64'),
        )
        .item(),
    ).toBe(1)
    expect(await lz.allclose(lz.matrixPower(a, -2).matmul(a).matmul(a), identity, { atol: 1e-10 }).item()).toBe(1)
    const spd = a.matmul(a.T)
    const factor = lz.cholesky(spd)
    expect(await lz.allclose(factor.matmul(factor.T), spd).item()).toBe(1)
    const upper = lz.cholesky(spd, true)
    expect(await lz.allclose(upper.T.matmul(upper), spd).item()).toBe(1)
    const b = counted(3, 2).astype('float64')
    expect(await lz.allclose(spd.matmul(lz.choleskySolve(b, factor)), b, { atol: 1e-9 }).item()).toBe(1)
    expect(await lz.allclose(spd.matmul(lz.choleskySolve(b, upper, true)), b, { atol: 1e-9 }).item()).toBe(1)
  })

  it('matrices without an answer give NaN or 0', async () => {
    const singular = toTensor(
      [
        [1, 2],
        [2, 4],
      ],
      'float64',
    )
    expect(await lz.det(singular).item()).toBeCloseTo(0, 12)
    expect(await lz.inverse(singular).array()).toEqual([
      [NaN, NaN],
      [NaN, NaN],
    ])
    expect(await lz.slogdet(singular).abs().array()).toEqual([0, Infinity])
    expect(await lz.cholesky(toTensor([[-1]], 'float64')).array()).toEqual([[NaN]])
    expect(lz.inverse(lz.zeros([0, 0])).shape).toEqual([0, 0])
    expect(() => lz.det(counted(2, 3))).toThrow(ShapeError)
    expect(() => lz.solve(counted(2, 2), counted(3, 1))).toThrow(ShapeError)
    expect(() => lz.det(toTensor([[1]]))).toThrow(DTypeError)
  })

  it('norms', async () => {
    const x = toTensor(
      [
        [3, 0],
        [0, -4],
      ],
      'float64',
    )
    expect(await x.norm().item()).toBe(5)
    expect(await x.norm(0).item()).toBe(2)
    expect(await x.norm(1, [0, 1]).item()).toBe(4)
    expect(await x.norm(Infinity).item()).toBe(4)
    expect(await x.norm(-Infinity).item()).toBe(0)
    expect(x.norm('fro', [0, 1], { keepdim: true }).shape).toEqual([1, 1])
    expect(await x.norm(2, [0, 1]).item()).toBeCloseTo(4, 12)
    expect(() => x.norm(3, [0, 1])).toThrow(ArgumentError)
    expect(await lz.cross(float(1, 0, 0), float(0, 1, 0)).array()).toEqual([0, 0, 1])
    expect(() => lz.cross(float(1, 2), float(1, 2))).toThrow(ShapeError)
  })
})

describe('replacing values', () => {
  it('writes variables inside noGrad only, and in their memory', async () => {
    const w = toTensor([1, 2], { dtype: 'float32', stopGradient: false })
    expect(() => w.add_(1)).toThrow(lz.AutogradError)
    lz.noGrad(() => w.add_(1).scale_(2))
    expect(await w.array()).toEqual([4, 6])
    expect([w.stopGradient, w.isLeaf]).toEqual([false, true])
    lz.noGrad(() => w.zero_())
    expect(await w.array()).toEqual([0, 0])
    expect(() => w.reshape_([2, 1])).toThrow(lz.AutogradError)
  })

  it('results keep their past: gradients flow through', async () => {
    const w = toTensor([1, 2], { dtype: 'float32', stopGradient: false })
    const y = w.multiply(3)
    y.exp_()
    y.multiply_(2)
    y.sum().backward()
    const expected = [1, 2].map((v) => 6 * Math.exp(3 * v))
    ;((await w.grad!.array()) as number[]).forEach((g, k) => expect(g / expected[k]!).toBeCloseTo(1, 5))
  })

  it('does not change what was computed before', async () => {
    const x = float(1, 2)
    const y = x.multiply(10)
    x.add_(1).clip_(0, 2.5)
    x.fill_(7)
    expect(await y.array()).toEqual([10, 20])
    expect(await x.array()).toEqual([7, 7])
  })

  it('needs the same shape and dtype', () => {
    expect(() => float(1).add_(float(1, 2))).toThrow(ShapeError)
    expect(() => toTensor([1]).add_(0.5)).toThrow(DTypeError)
    expect(float(1, 2).unsqueeze_(0).shape).toEqual([1, 2])
    expect(float(1, 2).cast_('int32').dtype).toBe('int32')
  })

  it('has every method that it lists', () => {
    const x = float(1) as unknown as Record<string, unknown>
    expect(lz.tensorMethods.filter((name) => typeof x[name] !== 'function')).toEqual([])
    expect(lz.tensorMethods.length).toBeGreaterThan(250)
  })
})

describe('devices', () => {
  it('moves and names what is missing', async () => {
    const x = float(1, 2)
    expect(x.to('reference')).toBe(x)
    expect(x.to('float64').dtype).toBe('float64')
    expect(await x.to('wasm').array()).toEqual([1, 2])
    expect(x.to('wasm').place).toBe('wasm')
    expect(() => x.cuda()).toThrow(lz.DeviceError)
    expect(() => x.to('nowhere')).toThrow(ArgumentError)
  })
})
