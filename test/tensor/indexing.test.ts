/** Reading and writing by index against a plain model: nested arrays and Python's rules written out. */
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import {
  arange,
  ArgumentError,
  AutogradError,
  DTypeError,
  IndexOutOfRangeError,
  ShapeError,
  slice,
  toTensor,
  type Tensor,
} from '../../src/index.ts'

type Nested = number | Nested[]

const counted = (...shape: number[]): Tensor =>
  arange(shape.reduce((a, b) => a * b, 1))
    .astype('float32')
    .reshape(shape)

interface Range {
  readonly start: number | null
  readonly stop: number | null
  readonly step: number
}

/** The positions of Python's range(*slice(...).indices(size)). */
function positions({ start, stop, step }: Range, size: number): number[] {
  const clamp = (v: number, low: number, high: number): number => Math.min(Math.max(v < 0 ? v + size : v, low), high)
  const out: number[] = []
  if (step > 0) {
    const end = stop === null ? size : clamp(stop, 0, size)
    for (let i = start === null ? 0 : clamp(start, 0, size); i < end; i += step) out.push(i)
  } else {
    const end = stop === null ? -1 : clamp(stop, -1, size - 1)
    for (let i = start === null ? size - 1 : clamp(start, -1, size - 1); i > end; i += step) out.push(i)
  }
  return out
}

type ModelItem = number | Range

/** Picks nested elements item by item. */
function pick(value: Nested, items: readonly ModelItem[], depth = 0): Nested {
  if (depth === items.length || !Array.isArray(value)) return value
  const item = items[depth]!
  if (typeof item === 'number') return pick(value.at(item)!, items, depth + 1)
  return positions(item, value.length).map((i) => pick(value[i]!, items, depth + 1))
}

const bound = fc.option(fc.integer({ min: -7, max: 7 }), { nil: null })
const range: fc.Arbitrary<Range> = fc.record({
  start: bound,
  stop: bound,
  step: fc.constantFrom(1, 2, 3, -1, -2),
})
const shapeAndItems = fc
  .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 })
  .chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.tuple(...shape.map((d) => fc.oneof(range, fc.integer({ min: -d, max: d - 1 })) as fc.Arbitrary<ModelItem>)),
    ),
  )

const ours = (items: readonly ModelItem[]): lz.IndexItem[] =>
  items.map((i) => (typeof i === 'number' ? i : new lz.IndexSlice(i.start, i.stop, i.step)))

beforeAll(() => lz.setDevice('reference'))

describe('reading', () => {
  it('agrees with the model for positions and slices', async () => {
    await fc.assert(
      fc.asyncProperty(shapeAndItems, async ([shape, items]) => {
        const x = counted(...shape)
        const expected = pick((await x.array()) as Nested, items)
        expect(await x.get(...ours(items)).array()).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('takes slices as objects and as text', async () => {
    const x = counted(4, 3)
    const expected = [
      [3, 4],
      [6, 7],
    ]
    expect(await x.get(slice(1, 3), slice(2)).array()).toEqual(expected)
    expect(await x.get('1:3', ':2').array()).toEqual(expected)
    expect(await x.get('1:3, :2').array()).toEqual(expected)
    expect(await x.get('::2', -1).array()).toEqual([2, 8])
  })

  it('takes an ellipsis and new axes', () => {
    const x = counted(2, 3, 4)
    expect(x.get('...', 0).shape).toEqual([2, 3])
    expect(x.get(0, '...', 0).shape).toEqual([3])
    expect(x.get(null, '...', null).shape).toEqual([1, 2, 3, 4, 1])
    expect(x.get(1, 2, 3, '...').shape).toEqual([])
    expect(x.get().shape).toEqual([2, 3, 4])
  })

  it('takes index tensors and arrays', async () => {
    const x = counted(3, 4)
    expect(await x.get([2, 0]).array()).toEqual([
      [8, 9, 10, 11],
      [0, 1, 2, 3],
    ])
    expect(await x.get(':', toTensor([[-1], [0]])).array()).toEqual([
      [[3], [0]],
      [[7], [4]],
      [[11], [8]],
    ])
    expect(await x.get([0, 2], [1, -1]).array()).toEqual([1, 11])
    expect(await x.get(toTensor([[0], [2]]), [1, 3]).array()).toEqual([
      [1, 3],
      [9, 11],
    ])
    // Index tensors that are not neighbours put their axes in front.
    expect(counted(2, 3, 4).get([0, 1, 0], ':', [1, 2, 3]).shape).toEqual([3, 3])
  })

  it('a mask gives a promise', async () => {
    const x = counted(2, 3)
    expect(await (await x.get(x.greaterThan(3))).array()).toEqual([4, 5])
    expect(await (await lz.maskedSelect(x, toTensor([true, false]))).array()).toEqual([[0, 1, 2]])
    expect((await x.get(x.greaterThan(9))).shape).toEqual([0])
  })

  it('says what is wrong', async () => {
    const x = counted(2, 3)
    expect(() => x.get(2)).toThrow(IndexOutOfRangeError)
    expect(() => x.get(0, 0, 0)).toThrow(IndexOutOfRangeError)
    expect(() => x.get('...', '...')).toThrow(ArgumentError)
    expect(() => x.get('0:1:0')).toThrow(ArgumentError)
    expect(() => x.get('a')).toThrow(ArgumentError)
    expect(() => x.get(0.5)).toThrow(ArgumentError)
    expect(() => x.get(toTensor([0.5]))).toThrow(DTypeError)
    await expect(x.get([5]).data()).rejects.toThrow(IndexOutOfRangeError)
    await expect(x.get([0], [3]).data()).rejects.toThrow(IndexOutOfRangeError)
  })
})

describe('writing', () => {
  it('agrees with reading, and leaves the rest alone', async () => {
    await fc.assert(
      fc.asyncProperty(shapeAndItems, async ([shape, items]) => {
        const index = ours(items)
        const x = counted(...shape)
        const places = x.get(...index)
        const written = lz.setItem(x, index, places.add(100))
        expect(await written.get(...index).array()).toEqual(await places.add(100).array())
        const changed = written.notEqual(x).astype('int64').sum()
        expect(await changed.item()).toBe(places.size)
      }),
      { numRuns: 150 },
    )
  })

  it('replaces the value; what was read before keeps the old one', async () => {
    const x = counted(2, 3)
    const before = x.add(0)
    expect(x.set([0, '1:'], 9)).toBe(x)
    expect(await x.array()).toEqual([
      [0, 9, 9],
      [3, 4, 5],
    ])
    expect(await before.array()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ])
  })

  it('broadcasts values and writes under masks', async () => {
    const x = counted(2, 3)
    x.set(':', toTensor([7, 8, 9]))
    x.set(x.equal(8), -1)
    x.set(toTensor([false, true]), toTensor([[1.5, 2.5, 3.5]]))
    expect(await x.array()).toEqual([
      [7, -1, 9],
      [1.5, 2.5, 3.5],
    ])
    x.set(x.greaterThan(2), toTensor([10, 20, 30, 40]))
    expect(await x.array()).toEqual([
      [10, -1, 20],
      [1.5, 30, 40],
    ])
  })

  it('gradients flow through what was written and not through what was replaced', async () => {
    const a = toTensor([1, 2, 3], { dtype: 'float32', stopGradient: false })
    const b = toTensor([5], { dtype: 'float32', stopGradient: false })
    const y = a.multiply(2)
    y.set('1:2', b)
    y.square().sum().backward()
    expect(await a.grad!.array()).toEqual([8, 0, 24])
    expect(await b.grad!.array()).toEqual([10])
  })

  it('refuses a leaf that wants a gradient, and shapes that do not fit', () => {
    const w = toTensor([1, 2], { dtype: 'float32', stopGradient: false })
    expect(() => w.set(0, 1)).toThrow(AutogradError)
    lz.noGrad(() => w.set(0, 1))
    expect(w.stopGradient).toBe(false)
    expect(() => counted(2, 3).set(0, counted(2))).toThrow(ShapeError)
    expect(() => counted(2, 3).set(toTensor([true]), 1)).toThrow(ShapeError)
  })
})

describe('gather and scatter', () => {
  it('takeAlongAxis and putAlongAxis check the axis itself, not the flat tensor', async () => {
    const x = counted(2, 3)
    await expect(lz.takeAlongAxis(x, toTensor([[3], [0]]), 1).data()).rejects.toThrow(IndexOutOfRangeError)
    await expect(lz.takeAlongAxis(x, toTensor([[-4], [0]]), 1).data()).rejects.toThrow(IndexOutOfRangeError)
    await expect(lz.putAlongAxis(x, toTensor([[3], [0]]), 1, 1).data()).rejects.toThrow(IndexOutOfRangeError)
    await expect(lz.gatherNd(x, toTensor([[0, 3]])).data()).rejects.toThrow(IndexOutOfRangeError)
    expect(await lz.takeAlongAxis(x, toTensor([[-1], [0]]), 1).array()).toEqual([[2], [3]])
  })

  it('putAlongAxis reduces', async () => {
    const x = toTensor([[10, 30, 20]])
    const at = toTensor([[1, 1]])
    const put = (reduce: lz.PutReduction, includeSelf: boolean): Promise<unknown> =>
      lz.putAlongAxis(x, at, toTensor([[2, 6]]), 1, { reduce, includeSelf }).array()
    expect(await put('add', true)).toEqual([[10, 38, 20]])
    expect(await put('add', false)).toEqual([[10, 8, 20]])
    expect(await put('mul', true)).toEqual([[10, 360, 20]])
    expect(await put('amin', true)).toEqual([[10, 2, 20]])
    expect(await put('amin', false)).toEqual([[10, 2, 20]])
    expect(await put('amax', false)).toEqual([[10, 6, 20]])
    expect(await put('mean', false)).toEqual([[10, 4, 20]])
  })

  it('nonzero and unique', async () => {
    const x = toTensor([
      [0, 3, 0],
      [1, 0, 3],
    ])
    expect(await (await x.nonzero()).array()).toEqual([
      [0, 1],
      [1, 0],
      [1, 2],
    ])
    const [rows, columns] = await x.nonzero(true)
    expect(await rows!.array()).toEqual([0, 1, 1])
    expect(await columns!.array()).toEqual([1, 0, 2])
    expect((await lz.zeros([2]).nonzero()).shape).toEqual([0, 1])
    const [values, first, inverse, counts] = await x.unique({
      returnIndex: true,
      returnInverse: true,
      returnCounts: true,
    })
    expect(await values!.array()).toEqual([0, 1, 3])
    expect(await first!.array()).toEqual([0, 3, 1])
    expect(await inverse!.array()).toEqual([0, 2, 0, 1, 0, 2])
    expect(await counts!.array()).toEqual([3, 1, 2])
    expect(await (await toTensor([1, 1, 2, 2, 1]).uniqueConsecutive()).array()).toEqual([1, 2, 1])
  })
})
