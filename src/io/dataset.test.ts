import { expect, test } from 'vitest'
import { sampleArray, valuesOf } from '../../test/support/arrays.ts'
import { ArgumentError, IndexOutOfRangeError, ShapeError } from '../common/errors.ts'
import { RandomState } from '../common/numpy-random.ts'
import {
  ChainDataset,
  ComposeDataset,
  ConcatDataset,
  Dataset,
  IterableDataset,
  randomSplit,
  Subset,
  TensorDataset,
} from './dataset.ts'
import { setDefaultPermutationGenerator } from './generator.ts'
import { globalRandomState } from '../common/numpy-random.ts'
import { setTensorFactory } from './tensor-bridge.ts'

class Range extends Dataset<number> {
  readonly start: number
  readonly length: number
  constructor(start: number, length: number) {
    super()
    this.start = start
    this.length = length
  }
  getItem(index: number): number {
    return this.start + index
  }
}

class Stream extends IterableDataset<string> {
  *iterate() {
    yield 'a'
    yield 'b'
  }
}

const all = <T>(dataset: Dataset<T>) =>
  Promise.all(Array.from({ length: dataset.length }, (_, i) => dataset.getItem(i)))

test('TensorDataset gives rows without copying them', async () => {
  const x = sampleArray('float32', [3, 2])
  const dataset = new TensorDataset([x, sampleArray('int64', [3])])
  expect(dataset.length).toBe(3)
  const [row, label] = await dataset.getItem(1)
  expect([row!.shape, valuesOf(row!), label!.shape, valuesOf(label!)]).toEqual([[2], [0, 1], [], [-1]])
  expect(row!.data.buffer).toBe(x.data.buffer)
  await expect(dataset.getItem(3)).rejects.toThrow(IndexOutOfRangeError)
  expect(() => new TensorDataset([x, sampleArray('int64', [4])])).toThrow(/\[3, 2\], \[4\]/)
  expect(() => new TensorDataset([sampleArray('int64', [])])).toThrow(ShapeError)
})

test('TensorDataset reads tensors through the bridge', async () => {
  const inner = sampleArray('float32', [2, 2])
  setTensorFactory(undefined, (value) => (value as { host?: Promise<typeof inner> }).host)
  const dataset = new TensorDataset([{ shape: [2, 2], host: Promise.resolve(inner) } as never])
  expect(valuesOf((await dataset.getItem(1))[0]!)).toEqual([0, 1])
  setTensorFactory()
})

test('combinations', async () => {
  const concat = new ConcatDataset([new Range(0, 2), new Range(9, 0), new Range(10, 3)])
  expect(await all(concat)).toEqual([0, 1, 10, 11, 12])
  expect(concat.getItem(-1)).toBe(12)
  expect(() => concat.getItem(5)).toThrow(IndexOutOfRangeError)
  expect(() => concat.getItem(-6)).toThrow(IndexOutOfRangeError)
  const compose = new ComposeDataset([new Range(0, 2), new TensorDataset([sampleArray('int8', [2])])])
  expect((await all(compose)).map(([n, a]) => [n, (a as { shape: number[] }).shape])).toEqual([
    [0, []],
    [1, []],
  ])
  expect(await all(new Subset(concat, [4, 0, 4]))).toEqual([12, 0, 12])
  const chained: string[] = []
  for await (const item of new ChainDataset([new Stream(), new Stream()])) chained.push(item)
  expect(chained).toEqual(['a', 'b', 'a', 'b'])
  expect(() => new ComposeDataset([new Range(0, 2), new Range(0, 3)])).toThrow(/2, 3/)
  expect(() => new ConcatDataset([])).toThrow(ArgumentError)
  expect(() => new ChainDataset([new Range(0, 1) as never])).toThrow(/iterable only/)
  expect(() => new ConcatDataset([new Stream() as never])).toThrow(/indexed only/)
})

test('randomSplit by sizes and by fractions', async () => {
  const dataset = new Range(0, 10)
  const order = [...new RandomState(3).permutation(10)]
  const [a, b] = randomSplit(dataset, [3, 7], new RandomState(3))
  expect([...(await all(a!)), ...(await all(b!))]).toEqual(order)
  expect(a!.length).toBe(3)
  expect(randomSplit(dataset, [0.55, 0.25, 0.2]).map((part) => part.length)).toEqual([6, 2, 2])
  expect(() => randomSplit(dataset, [3, 3])).toThrow(/sum to 6; give sizes that sum to 10/)
  expect(() => randomSplit(dataset, [-1, 11])).toThrow(ArgumentError)
})

test('randomSplit draws from the default permutation generator', async () => {
  const reversed = {
    permutation: (n: number) => Array.from({ length: n }, (_, i) => n - 1 - i),
    getState: () => null,
    setState: () => {},
  }
  setDefaultPermutationGenerator(reversed)
  expect(await all(randomSplit(new Range(0, 3), [3])[0]!)).toEqual([2, 1, 0])
  setDefaultPermutationGenerator(globalRandomState)
})
