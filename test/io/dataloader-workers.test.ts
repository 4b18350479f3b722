/**
 * DataLoader with worker threads. These tests start many threads, so they run the sources as built JavaScript, which starts faster than
 * TypeScript does; dataloader.test.ts has a worker from TypeScript.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test, vi } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import type { DataLoaderError } from '../../src/io/index.ts'
import { sampleArray } from '../support/arrays.ts'
import { collect, fieldOf, labelsOf, throughJson } from '../support/batches.ts'
import { buildSources } from '../support/build.ts'
import type { Trouble } from './datasets.ts'

vi.setConfig({ testTimeout: 30_000 })

const built = buildSources('dataloader-workers', ['src', 'test/io'])
const builtModule = (path: string) => pathToFileURL(join(built, path)).href
const io = (await import(builtModule('src/io/index.js'))) as typeof import('../../src/io/index.ts')
const samples = (await import(builtModule('test/io/datasets.js'))) as typeof import('./datasets.ts')
const errors = (await import(builtModule('src/common/errors.js'))) as typeof import('../../src/common/errors.ts')
const { globalRandomState } = (await import(
  builtModule('src/common/numpy-random.js')
)) as typeof import('../../src/common/numpy-random.ts')

const { ConcatDataset, DataLoader, Subset, TensorDataset, workerDataset } = io
const { Broken, Counting, Large, Mixed, Noise, Squares, Troubled, Uneven, Whereabouts } = samples
const { joinNames, throwAtStart } = samples

const datasets = builtModule('test/io/datasets.js')
const scratch = mkdtempSync(join(tmpdir(), 'dataloader-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
let files = 0
const scratchFile = () => join(scratch, `${files++}`)

const squares = (n: number) => workerDataset(datasets, Squares, n)
const troubled = (n: number, trouble: Trouble, at: number, log: string) =>
  workerDataset(datasets, Troubled, n, trouble, at, log)

describe('with workers', () => {
  test('the same batches as without, in order, though some samples take longer', async () => {
    const dataset = workerDataset(datasets, Uneven, 23)
    const options = { batchSize: 3, shuffle: true, seed: 4 }
    const here = await collect(new DataLoader(new Squares(23), options))
    const there = await collect(new DataLoader(dataset, { ...options, numWorkers: 2, prefetchFactor: 3 }))
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
    const epochs = async (loader: AsyncIterable<unknown>) => [await collect(loader), await collect(loader)]
    const here = await epochs(new DataLoader(new Noise(9), options))
    await using there = new DataLoader(workerDataset(datasets, Noise, 9), {
      ...options,
      numWorkers: 2,
      persistentWorkers: true,
    })
    expect(await epochs(there)).toEqual(here)
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
    expect(await collect(new DataLoader(tensors, { batchSize: 2, numWorkers: 1 }))).toEqual(here)
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
    const epoch = async () => fieldOf(await collect(loader), 0)
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
      expect(labelsOf(await collect(loader))).toEqual(Array.from({ length: 12 }, (_, i) => [2 * i, 2 * i + 1]))
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
    const options = { numWorkers: 1, batchSize: 2, seed: 3 }
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
    expect(error).toBeInstanceOf(io.DataLoaderError)
    expect(error).toBeInstanceOf(errors.WorkerError)
    expect(error).toMatchObject({ workerId: 1, index: 6 })
    expect(error!.message).toBe('DataLoader worker 1 failed in batch 3 at sample 6: TypeError: no such glyph')
    expect((error!.cause as Error).stack).toMatch(/TypeError: no such glyph\n\s+at .*datasets\.js/)
  })

  test('samples whose file is broken are skipped and counted, or fail', async () => {
    const dataset = workerDataset(datasets, Broken, 10)
    const loader = new DataLoader(dataset, { numWorkers: 1, batchSize: 2, onSampleError: 'skip' })
    expect(labelsOf(await collect(loader))).toEqual([[1], [2], [4, 5], [7], [8]])
    expect(loader.skipped).toEqual({
      count: 4,
      samples: [0, 3, 6, 9].map((index) => ({ index, reason: `'line-${index}.png': not an image` })),
    })
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
    const run = (dataset: object, options: object = {}) =>
      collect(new DataLoader(dataset as never, { numWorkers: 1, ...options }))
    await expect(run(new Squares(4))).rejects.toThrow(
      /dataset 'Squares', and it does not say.*workerDataset\(import\.meta\.url/s,
    )
    class Hidden extends Squares {}
    await expect(run(workerDataset(datasets, Hidden, 4))).rejects.toThrow(
      /no class or function 'Hidden' in .*datasets\.js', which exports/,
    )
    await expect(run(workerDataset('file:///nowhere.js', Hidden, 4))).rejects.toThrow(
      /could not make its dataset.*nowhere/,
    )
    await expect(run(squares(4), { workerInitFn: () => {} })).rejects.toThrow(/workerFunction\(import\.meta\.url, fn\)/)
    await expect(run(squares(4), { workerInitFn: throwAtStart })).rejects.toThrow(/worker 0 has no camera/)
  })

  test('a dataset whose module starts a loader itself', async () => {
    const module = builtModule('test/io/loader-in-module.js')
    class Self extends Squares {}
    const loader = new DataLoader(workerDataset(module, Self, 4), { numWorkers: 1 })
    await expect(collect(loader)).rejects.toThrow(/a worker tried to start workers of its own/)
  })
})

describe('a resumed loader delivers what was left', () => {
  test('with workers that are ahead of what was delivered, after a break', async () => {
    const options = { batchSize: 2, shuffle: true, seed: 5 }
    const here = new DataLoader(new Noise(7), options)
    const want = [...(await collect(here)), ...(await collect(here))]
    const noise = workerDataset(datasets, Noise, 7)
    await using first = new DataLoader(noise, { ...options, numWorkers: 2, prefetchFactor: 4 })
    for await (const _ of first) if (first.stateDict().position === 2) break
    await using second = new DataLoader(noise, { ...options, seed: 6, numWorkers: 1, persistentWorkers: true })
    // Its workers run already, with another seed, when the state is restored.
    await collect(second)
    second.setStateDict(throughJson(first.stateDict()))
    expect([...(await collect(second)), ...(await collect(second))]).toEqual(want.slice(2, 8))
  })

  test('an iterable dataset', async () => {
    const make = () => new DataLoader(workerDataset(datasets, Counting, 11), { batchSize: 2, numWorkers: 2, seed: 5 })
    const first = make()
    const want: unknown[] = []
    let state = first.stateDict()
    for await (const batch of first) if (want.push(batch) === 3) state = throughJson(first.stateDict())
    const second = make()
    second.setStateDict(state)
    expect(await collect(second)).toEqual(want.slice(3))
  })
})
