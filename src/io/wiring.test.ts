import { beforeAll, expect, test } from 'vitest'
import { seed, setDevice, Tensor, toTensor } from '../tensor/index.ts'
import { DataLoader } from './dataloader.ts'
import { Dataset, randomSplit, TensorDataset } from './dataset.ts'
import { SubsetRandomSampler } from './sampler.ts'
import './wiring.ts'

beforeAll(() => setDevice('reference'))

test('DataLoader yields tensors, in lists and dictionaries', async () => {
  class Pairs extends Dataset<{ x: Float32Array; y: number }> {
    get length(): number {
      return 4
    }
    getItem(i: number) {
      return { x: Float32Array.of(i, -i), y: i }
    }
  }
  const batches: unknown[] = []
  for await (const batch of new DataLoader<unknown, { x: Tensor; y: Tensor }>(new Pairs(), { batchSize: 2 })) {
    expect(batch.x).toBeInstanceOf(Tensor)
    expect(batch.y.dtype).toBe('int64')
    batches.push(await batch.x.array())
  }
  expect(batches).toEqual([
    [
      [0, -0],
      [1, -1],
    ],
    [
      [2, -2],
      [3, -3],
    ],
  ])
})

test('datasets may hold tensors', async () => {
  const dataset = new TensorDataset([toTensor([[1], [2], [3]]), toTensor([4, 5, 6])] as never)
  const loader = new DataLoader<unknown, [Tensor, Tensor]>(dataset, { batchSize: 3 })
  for await (const [x, y] of loader)
    expect([await x.array(), await y.array()]).toEqual([
      [[1], [2], [3]],
      [4, 5, 6],
    ])
})

test('seed decides randomSplit and SubsetRandomSampler, and their position can be saved', () => {
  const draw = (): number[][] => {
    seed(4)
    const data = { length: 6 } as never
    return randomSplit(data, [3, 3]).map((s) => [
      ...((s as unknown as { indices: ArrayLike<number> }).indices as number[]),
    ])
  }
  expect(draw()).toEqual(draw())
  seed(4)
  const sampler = new SubsetRandomSampler([5, 6, 7, 8])
  const pass = sampler[Symbol.iterator]()
  const first = [pass.next().value, pass.next().value]
  const state = JSON.parse(JSON.stringify(sampler.stateDict())) as ReturnType<typeof sampler.stateDict>
  const rest = [pass.next().value, pass.next().value]
  const other = new SubsetRandomSampler([5, 6, 7, 8])
  other.setStateDict(state)
  expect([...other]).toEqual(rest)
  expect([...first, ...rest].toSorted()).toEqual([5, 6, 7, 8])
})
