import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Broken, Counting, joinLabels, Noise, Squares, Troubled } from '../../test/io/datasets.ts'
import { collect, fieldOf, labelsOf, throughJson } from '../../test/support/batches.ts'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { globalRandomState } from '../common/numpy-random.ts'
import { DistributedBatchSampler } from './batch-sampler.ts'
import { DataLoader } from './dataloader.ts'
import type { DataLoaderState } from './dataloader.ts'
import { IterableDataset } from './dataset.ts'
import { workerDataset } from './remote.ts'
import { setTensorFactory } from './tensor-bridge.ts'

const datasets = new URL('../../test/io/datasets.ts', import.meta.url).href
const scratch = mkdtempSync(join(tmpdir(), 'dataloader-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('without workers', () => {
  test('batches of a dataset, in order, the last one short', async () => {
    const loader = new DataLoader(new Squares(5), { batchSize: 2 })
    expect(loader.length).toBe(3)
    const [first, , last] = (await collect(loader)) as HostArray[][]
    expect(first).toEqual([
      { dtype: 'float32', shape: [2, 2], data: Float32Array.of(0, 0, 1, 1) },
      { dtype: 'int64', shape: [2], data: BigInt64Array.of(0n, 1n) },
    ])
    expect(last![0]!.shape).toEqual([1, 2])
    expect(labelsOf(await collect(new DataLoader(new Squares(5), { batchSize: 2, dropLast: true })))).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  test('shuffling follows numpy.random.seed, as in Paddle, or a seed of its own', async () => {
    globalRandomState.seed(0)
    const shuffled = new DataLoader(new Squares(10), { batchSize: 4, shuffle: true })
    expect(labelsOf(await collect(shuffled))).toEqual([
      [2, 8, 4, 9],
      [1, 6, 7, 3],
      [0, 5],
    ])
    const seeded = new DataLoader(new Squares(10), { batchSize: 4, shuffle: true, seed: 0 })
    expect(labelsOf(await collect(seeded))).toEqual([
      [2, 8, 4, 9],
      [1, 6, 7, 3],
      [0, 5],
    ])
    expect(labelsOf(await collect(seeded))).not.toEqual([
      [2, 8, 4, 9],
      [1, 6, 7, 3],
      [0, 5],
    ])
  })

  test('a batch sampler, a collate function, no batching', async () => {
    const batchSampler = new DistributedBatchSampler({ length: 6 }, { batchSize: 2, numReplicas: 2, rank: 1 })
    expect(labelsOf(await collect(new DataLoader(new Squares(6), { batchSampler })))).toEqual([[2, 3], [5]])
    expect(await collect(new DataLoader(new Squares(3), { batchSize: 2, collateFn: joinLabels }))).toEqual([
      '0+1 here',
      '2 here',
    ])
    const [sample] = (await collect(new DataLoader(new Squares(1), { batchSize: null }))) as unknown[][]
    expect(sample).toEqual([{ dtype: 'float32', shape: [2], data: Float32Array.of(0, 0) }, 0])
  })

  test('an iterable dataset', async () => {
    const loader = new DataLoader(new Counting(5), { batchSize: 2 })
    expect(fieldOf(await collect(loader), 0)).toEqual([[0, 1], [2, 3], [4]])
    expect(() => loader.length).toThrow(/no length/)
    const dropping = new DataLoader(new Counting(5), { batchSize: 2, dropLast: true })
    expect(await collect(dropping)).toHaveLength(2)
  })

  test('leaving the loop ends the pass through an iterable dataset', async () => {
    let ended = false
    class Endless extends IterableDataset<number> {
      *iterate() {
        try {
          for (let i = 0; ; i++) yield i
        } finally {
          ended = true
        }
      }
    }
    for await (const _ of new DataLoader(new Endless(), { batchSize: 2 })) break
    expect(ended).toBe(true)
  })

  test('arrays become tensors where a factory is set', async () => {
    setTensorFactory((array) => ({ tensor: array.shape }))
    expect(await collect(new DataLoader(new Squares(2), { batchSize: 2 }))).toEqual([
      [{ tensor: [2, 2] }, { tensor: [2] }],
    ])
    setTensorFactory()
    const own = new DataLoader(new Squares(1), { toTensor: (array) => array.dtype })
    expect(await collect(own)).toEqual([['float32', 'int64']])
  })

  test('errors of the dataset come through as they are', async () => {
    const loader = new DataLoader(new Troubled(4, 'throw', 2, join(scratch, 'log')), { batchSize: 2 })
    await expect(collect(loader)).rejects.toThrow(new TypeError('no such glyph'))
  })

  test('broken files are left out, or are an error', async () => {
    const single = new DataLoader(new Broken(4), { onSampleError: 'skip' })
    expect(labelsOf(await collect(single))).toEqual([[1], [2]])
    await expect(collect(new DataLoader(new Broken(4)))).rejects.toThrow(FormatError)
  })

  test('options that do not go together', () => {
    const make = (options: object, dataset: Squares | Counting = new Squares(4)) =>
      expect(() => new DataLoader(dataset as Squares, options))
    make({ batchSize: 0 }).toThrow(/batchSize is 0/)
    make({ numWorkers: -1 }).toThrow(ArgumentError)
    make({ prefetchFactor: 0 }).toThrow(ArgumentError)
    make({ timeout: -1 }).toThrow(ArgumentError)
    make({ seed: -1 }).toThrow(ArgumentError)
    make({ batchSampler: [[0]], shuffle: true }).toThrow(/batchSampler decides/)
    make({ batchSize: null, dropLast: true }).toThrow(/no dropLast/)
    make({ shuffle: true }, new Counting(1)).toThrow(/own order/)
    make({ returnList: false }).toThrow(/static graphs/)
  })
})

test('with workers, from TypeScript sources: the same batches in the same order', { timeout: 30_000 }, async () => {
  const options = { batchSize: 3, shuffle: true, seed: 4 }
  const there = new DataLoader(workerDataset(datasets, Squares, 11), { ...options, numWorkers: 2 })
  expect(await collect(there)).toEqual(await collect(new DataLoader(new Squares(11), options)))
})

describe('a resumed loader delivers what was left', () => {
  /** The batches of three epochs, and the state that a loader of its own had after `stop` of them. */
  async function interrupted(stop: number, options: object): Promise<{ want: unknown[]; state: DataLoaderState }> {
    const first = new DataLoader(new Noise(7), options)
    const want: unknown[] = []
    let state = first.stateDict()
    while (want.length < 12) {
      for await (const batch of first) if (want.push(batch) === stop) state = throughJson(first.stateDict())
    }
    return { want, state }
  }

  test.each([0, 1, 2, 3, 4, 5, 6, 7])('after %d batches, to the end of the third epoch', async (stop) => {
    const options = { batchSize: 2, shuffle: true, seed: 5 }
    const { want, state } = await interrupted(stop, options)
    const second = new DataLoader(new Noise(7), { ...options, seed: 99 })
    second.setStateDict(state)
    const rest: unknown[] = []
    while (stop + rest.length < 12) rest.push(...(await collect(second)))
    expect(rest).toEqual(want.slice(stop))
  })

  test('an iterable dataset', async () => {
    const make = () => new DataLoader(workerDataset(datasets, Counting, 11), { batchSize: 2, seed: 5 })
    const first = make()
    const want: unknown[] = []
    let state = first.stateDict()
    for await (const batch of first) if (want.push(batch) === 3) state = throughJson(first.stateDict())
    const second = make()
    second.setStateDict(state)
    expect(await collect(second)).toEqual(want.slice(3))
  })

  test('after the epoch, and when the order comes from the global generator', async () => {
    globalRandomState.seed(2)
    const make = () => new DataLoader(new Squares(9), { batchSize: 2, shuffle: true })
    const first = make()
    await collect(first)
    const between = throughJson(first.stateDict())
    for await (const _ of first) break
    const inside = throughJson(first.stateDict())
    expect([between.epoch, between.position, inside.epoch, inside.position]).toEqual([1, 0, 1, 1])
    const second = make()
    second.setStateDict(between)
    const epoch = await collect(second)
    second.setStateDict(inside)
    expect(await collect(second)).toEqual(epoch.slice(1))
    expect(() => second.setStateDict({} as DataLoaderState)).toThrow(FormatError)
  })
})
