import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  Broken,
  Counting,
  joinLabels,
  joinNames,
  Large,
  Mixed,
  Noise,
  Squares,
  throwAtStart,
  Troubled,
  Uneven,
  Whereabouts,
} from '../../test/io/datasets.ts'
import type { Trouble } from '../../test/io/datasets.ts'
import { sampleArray, valuesOf } from '../../test/support/arrays.ts'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError, WorkerError } from '../common/errors.ts'
import { globalRandomState } from '../common/numpy-random.ts'
import { DistributedBatchSampler } from './batch-sampler.ts'
import { DataLoader } from './dataloader.ts'
import type { DataLoaderState } from './dataloader.ts'
import { ConcatDataset, Subset, TensorDataset } from './dataset.ts'
import { workerDataset } from './remote.ts'
import { setTensorFactory } from './tensor-bridge.ts'
import { DataLoaderError } from './worker-pool.ts'

const datasets = new URL('../../test/io/datasets.ts', import.meta.url).href
const scratch = mkdtempSync(join(tmpdir(), 'dataloader-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
let files = 0
const scratchFile = () => join(scratch, `${files++}`)

const collect = async <T>(batches: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const batch of batches) all.push(batch)
  return all
}
const labelsOf = (batches: unknown[]) => batches.map((batch) => valuesOf((batch as HostArray[])[1]!))
const squares = (n: number) => workerDataset(datasets, Squares, n)
const troubled = (n: number, trouble: Trouble, at: number, log: string) =>
  workerDataset(datasets, Troubled, n, trouble, at, log)

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
    expect((await collect(loader)).map((batch) => valuesOf((batch as HostArray[])[0]!))).toEqual([[0, 1], [2, 3], [4]])
    expect(() => loader.length).toThrow(/no length/)
    const dropping = new DataLoader(new Counting(5), { batchSize: 2, dropLast: true })
    expect(await collect(dropping)).toHaveLength(2)
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
    const loader = new DataLoader(new Troubled(4, 'throw', 2, scratchFile()), { batchSize: 2 })
    await expect(collect(loader)).rejects.toThrow(new TypeError('no such glyph'))
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

describe('with workers', () => {
  test('the same batches as without, in order, though some samples take longer', async () => {
    const dataset = workerDataset(datasets, Uneven, 23)
    const options = { batchSize: 3, shuffle: true, seed: 4 }
    const here = await collect(new DataLoader(new Squares(23), options))
    const there = await collect(new DataLoader(dataset, { ...options, numWorkers: 3, prefetchFactor: 3 }))
    expect(there).toEqual(here)
    for (const batch of there as HostArray[][]) expect(batch[0]!.data.buffer).toBeInstanceOf(ArrayBuffer)
  })

  test('large batches of changing size come through shared memory unharmed', async () => {
    const dataset = workerDataset(datasets, Large, 11, 320)
    const batches = (await collect(new DataLoader(dataset, { batchSize: 4, numWorkers: 2 }))) as HostArray[]
    expect(batches.map((b) => b.shape)).toEqual([
      [4, 3, 48, 320],
      [4, 3, 48, 320],
      [3, 3, 48, 320],
    ])
    expect(batches.flatMap((b) => Array.from({ length: b.shape[0]! }, (_, i) => b.data[i * 3 * 48 * 320]))).toEqual([
      ...Array(11).keys(),
    ])
  })

  test('random draws depend on neither the workers nor on where a run was resumed', async () => {
    const options = { batchSize: 2, shuffle: true, seed: 11 }
    const epochs = async (loader: DataLoader) => [await collect(loader), await collect(loader)]
    const here = await epochs(new DataLoader(new Noise(9), options))
    expect(await epochs(new DataLoader(workerDataset(datasets, Noise, 9), { ...options, numWorkers: 2 }))).toEqual(here)
    expect(here[0]).not.toEqual(here[1])
  })

  test('every worker knows what it is and is seeded by seed + id', async () => {
    const loader = new DataLoader(workerDataset(datasets, Whereabouts), { numWorkers: 2, seed: 7, batchSize: 2 })
    const told = (await collect(loader)).flat(2) as string[]
    const draw = (seed: number) => {
      globalRandomState.seed(seed)
      return globalRandomState.uint32()
    }
    expect(told.slice(1, 3)).toEqual([0, 1].map((id) => `${id} of 2, seed ${7 + id}, same: true, ${draw(7 + id)}`))
  })

  test('combined datasets and datasets of tensors need no module of their own', async () => {
    const dataset = new Subset(new ConcatDataset([squares(4), squares(3)]), [6, 0, 3])
    expect(labelsOf(await collect(new DataLoader(dataset, { numWorkers: 1, batchSize: 2 })))).toEqual([[2, 0], [3]])
    const tensors = new TensorDataset([sampleArray('float16', [5, 2]), sampleArray('int64', [5])])
    const here = await collect(new DataLoader(tensors, { batchSize: 2 }))
    expect(await collect(new DataLoader(tensors, { batchSize: 2, numWorkers: 2 }))).toEqual(here)
  })

  test('collate functions run in the worker when marked, here otherwise; what they see has its types', async () => {
    const options = { batchSize: 2, numWorkers: 1 }
    expect(await collect(new DataLoader(squares(3), { ...options, collateFn: joinNames }))).toEqual([
      '0+1 in a worker',
      '2 in a worker',
    ])
    const unmarked = (samples: [Float32Array, number][]) => samples.map(([x, label]) => [x, label])
    expect(await collect(new DataLoader(squares(3), { ...options, collateFn: unmarked }))).toEqual([
      [
        [Float32Array.of(0, 0), 0],
        [Float32Array.of(1, 1), 1],
      ],
      [[Float32Array.of(2, 4), 2]],
    ])
  })

  test('everything that can be sent arrives as it was; what cannot is an error', async () => {
    const dataset = workerDataset(datasets, Mixed)
    const iterator = new DataLoader(dataset, { batchSize: null, numWorkers: 1, collateFn: (sample) => sample })[
      Symbol.asyncIterator
    ]()
    expect((await iterator.next()).value).toEqual(new Mixed().getItem(0))
    await expect(iterator.next()).rejects.toThrow(/worker 0 failed in batch 1.*cannot be sent to another thread/)
  })

  test('iterable datasets: each worker has its part, and they take turns until all have ended', async () => {
    const dataset = workerDataset(datasets, Counting, 7)
    const loader = new DataLoader(dataset, { numWorkers: 2, batchSize: 2, persistentWorkers: true, seed: 1 })
    const epoch = async () => (await collect(loader)).map((batch) => valuesOf((batch as HostArray[])[0]!))
    const want = [[0, 2], [1, 3], [4, 6], [5]]
    expect(await epoch()).toEqual(want)
    expect(await epoch()).toEqual(want)
    await loader.close()
  })

  test('persistent workers serve the next epoch, also after one that was left', async () => {
    const log = scratchFile()
    await using loader = new DataLoader(troubled(40, 'exit', -1, log), {
      numWorkers: 2,
      batchSize: 2,
      persistentWorkers: true,
    })
    for await (const batch of loader) {
      expect(labelsOf([batch])).toEqual([[0, 1]])
      break
    }
    expect(labelsOf(await collect(loader))).toEqual(Array.from({ length: 20 }, (_, i) => [2 * i, 2 * i + 1]))
    const [a, b] = await Promise.all([collect(loader), collect(loader)])
    expect(labelsOf(a)).toEqual(labelsOf(b))
  })
})

describe('trouble in workers', () => {
  test.each(['exit', 'throw later'] as const)(
    'a worker that dies (%s) is replaced; no sample is lost or doubled',
    async (trouble) => {
      const log = scratchFile()
      const loader = new DataLoader(troubled(24, trouble, 7, log), { numWorkers: 2, batchSize: 2 })
      const begun = performance.now()
      expect(labelsOf(await collect(loader))).toEqual(Array.from({ length: 12 }, (_, i) => [2 * i, 2 * i + 1]))
      expect(performance.now() - begun).toBeLessThan(5000)
      const times = readFileSync(log, 'utf8').trim().split('\n').map(Number)
      const count = (index: number) => times.filter((i) => i === index).length
      expect([count(6), count(7)]).toEqual([2, 2])
      expect([...Array(24).keys()].filter((i) => i !== 6 && i !== 7).every((i) => count(i) === 1)).toBe(true)
    },
  )

  test('a batch at which two workers die is an error', async () => {
    const loader = new DataLoader(troubled(8, 'exit always', 5, scratchFile()), { numWorkers: 2, batchSize: 2 })
    await expect(collect(loader)).rejects.toThrow(/worker 0 died twice at batch 2 \(samples 4, 5\): exit code 3/)
  })

  test('an iterable dataset goes on where its worker died', async () => {
    const options = { numWorkers: 2, batchSize: 2, seed: 3 }
    const calm = await collect(new DataLoader(workerDataset(datasets, Counting, 20), options))
    const dying = workerDataset(datasets, Counting, 20, scratchFile(), 13)
    expect(await collect(new DataLoader(dying, options))).toEqual(calm)
    expect(existsSync(dying.marker)).toBe(true)
  })

  test('an error names worker and sample and keeps its stack', async () => {
    const loader = new DataLoader(troubled(8, 'throw', 6, scratchFile()), { numWorkers: 2, batchSize: 2 })
    const error = await collect(loader).then(
      () => undefined,
      (e: unknown) => e as DataLoaderError,
    )
    expect(error).toBeInstanceOf(DataLoaderError)
    expect(error).toBeInstanceOf(WorkerError)
    expect(error).toMatchObject({ workerId: 1, index: 6 })
    expect(error!.message).toBe('DataLoader worker 1 failed in batch 3 at sample 6: TypeError: no such glyph')
    expect((error!.cause as Error).stack).toMatch(/TypeError: no such glyph\n\s+at .*datasets\.ts/)
  })

  test('samples whose file is broken are skipped and counted, or fail', async () => {
    const dataset = workerDataset(datasets, Broken, 10)
    const loader = new DataLoader(dataset, { numWorkers: 2, batchSize: 2, onSampleError: 'skip' })
    expect(labelsOf(await collect(loader))).toEqual([[1], [2], [4, 5], [7], [8]])
    expect(loader.skipped).toEqual({
      count: 4,
      samples: [0, 3, 6, 9].map((index) => ({ index, reason: `'line-${index}.png': not an image` })),
    })
    const single = new DataLoader(new Broken(4), { onSampleError: 'skip' })
    expect(labelsOf(await collect(single))).toEqual([[1], [2]])
    await expect(collect(new DataLoader(new Broken(4)))).rejects.toThrow(FormatError)
  })

  test('a sample that hangs runs into the timeout; the workers end', async () => {
    const loader = new DataLoader(troubled(4, 'hang', 2, scratchFile()), { numWorkers: 1, timeout: 1.5 })
    await expect(collect(loader)).rejects.toThrow(/has not delivered batch 2 within 1.5 s/)
  })

  test('return() ends at once what waits for a batch', async () => {
    const loader = new DataLoader(troubled(4, 'hang', 0, scratchFile()), { numWorkers: 1 })
    const iterator = loader[Symbol.asyncIterator]()
    const waiting = iterator.next()
    expect(await iterator.return!()).toEqual({ done: true, value: undefined })
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  test('what a worker cannot make is explained', async () => {
    const run = (dataset: Squares | Counting, options: object = {}) =>
      collect(new DataLoader(dataset as Squares, { numWorkers: 1, ...options }))
    await expect(run(new Squares(4))).rejects.toThrow(
      /dataset 'Squares', and it does not say.*workerDataset\(import\.meta\.url/s,
    )
    class Hidden extends Squares {}
    await expect(run(workerDataset(datasets, Hidden, 4))).rejects.toThrow(
      /no class or function 'Hidden' in .*datasets\.ts', which exports/,
    )
    await expect(run(workerDataset('file:///nowhere.js', Hidden, 4))).rejects.toThrow(
      /could not make its dataset.*nowhere/,
    )
    await expect(run(squares(4), { workerInitFn: () => {} })).rejects.toThrow(/workerFunction\(import\.meta\.url, fn\)/)
    await expect(run(squares(4), { workerInitFn: throwAtStart })).rejects.toThrow(/worker 0 has no camera/)
  })

  test('a dataset whose module starts a loader itself', async () => {
    const module = new URL('../../test/io/loader-in-module.ts', import.meta.url).href
    class Self extends Squares {}
    const loader = new DataLoader(workerDataset(module, Self, 4), { numWorkers: 1 })
    await expect(collect(loader)).rejects.toThrow(/a worker tried to start workers of its own/)
  })
})

describe('a resumed loader delivers what was left', () => {
  const restore = (state: DataLoaderState) => JSON.parse(JSON.stringify(state)) as DataLoaderState

  test.each([0, 2])('with %d workers, at every batch, through the next epoch', async (numWorkers) => {
    const options = { batchSize: 2, shuffle: true, numWorkers, seed: 5 }
    const make = (seed = 5) => new DataLoader(workerDataset(datasets, Noise, 7), { ...options, seed })
    const whole = make()
    const want = [...(await collect(whole)), ...(await collect(whole)), ...(await collect(whole))]
    const batches = numWorkers === 0 ? [0, 1, 2, 3, 4, 5, 6] : [3, 6]
    for (const stop of batches) {
      const first = make()
      let state = first.stateDict()
      let seen = 0
      while (seen < stop) {
        for await (const _ of first) {
          state = first.stateDict()
          if (++seen === stop) break
        }
      }
      const second = make(99)
      second.setStateDict(restore(state))
      const rest: unknown[] = []
      while (stop + rest.length < 12) rest.push(...(await collect(second)))
      expect(rest).toEqual(want.slice(stop))
    }
  })

  test.each([0, 2])('an iterable dataset with %d workers', async (numWorkers) => {
    const make = () => new DataLoader(workerDataset(datasets, Counting, 11), { batchSize: 2, numWorkers, seed: 5 })
    const want = await collect(make())
    const first = make()
    for await (const _ of first) if (first.stateDict().position === 3) break
    const second = make()
    second.setStateDict(restore(first.stateDict()))
    expect(await collect(second)).toEqual(want.slice(3))
  })

  test('after the epoch, and when the order comes from the global generator', async () => {
    globalRandomState.seed(2)
    const make = () => new DataLoader(new Squares(9), { batchSize: 2, shuffle: true })
    const first = make()
    await collect(first)
    const between = restore(first.stateDict())
    for await (const _ of first) break
    const inside = restore(first.stateDict())
    expect([between.epoch, between.position, inside.epoch, inside.position]).toEqual([1, 0, 1, 1])
    const second = make()
    second.setStateDict(between)
    const epoch = await collect(second)
    second.setStateDict(inside)
    expect(await collect(second)).toEqual(epoch.slice(1))
    expect(() => second.setStateDict({} as DataLoaderState)).toThrow(FormatError)
  })
})
