/** Threads with predictors over the same model file hold one copy of its weights, whoever comes and goes. */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createPredictor } from '../../src/inference/index.ts'
import { jit, nn, type Tensor } from '../../src/index.ts'
import { compilerCandidates } from '../../src/runtime/compiler.ts'
import * as T from '../../src/tensor/index.ts'
import { backendOf } from '../../src/tensor/device.ts'
import { judged } from '../support/backends.ts'
import { makeScratch } from '../support/scratch.ts'
import { ask, startWorker } from '../support/workers.ts'

const width = 64

/** Large weights behind which the number that came in can still be told. */
class Echo extends nn.Layer {
  first = new nn.Linear(width, width, { weightAttr: { initializer: new nn.initializer.Constant(1 / width) } })
  scale = this.createParameter({ shape: [width], defaultInitializer: new nn.initializer.Constant(1) })
  forward(x: Tensor): Tensor {
    // The scale is folded into the weights, which makes a constant of them.
    return T.add(nn.functional.relu(T.multiply(this.first(x), this.scale)), 1)
  }
}

const usage = (): { readonly buffers: number; readonly bytes: number } => backendOf('cpu').shared!.usage()

const scratch = makeScratch('workers')
const workers: Worker[] = []
let model: string

async function start(device = 'cpu'): Promise<Worker> {
  const worker = startWorker(new URL('predictor-worker.ts', import.meta.url), { model, device, width })
  workers.push(worker)
  expect(await ask(worker, { do: 'answer', from: 0, to: 4 })).toEqual([])
  return worker
}

beforeAll(async () => {
  const inputSpec = [new jit.InputSpec([null, width], 'float32', 'x')]
  model = (await jit.save(new Echo(), join(scratch, 'echo'), { inputSpec, format: 'safetensors' })).path
})
afterAll(async () => {
  await Promise.all(workers.map((w) => w.terminate()))
  await rm(scratch, { recursive: true })
})

describe.each(judged)('predictors on %s in worker threads', (device) => {
  it('answer 10,000 calls at once in two threads, each its own question', async () => {
    const pair = await Promise.all([start(device), start(device)])
    const wrong = await Promise.all(pair.map((w, i) => ask(w, { do: 'answer', from: 5000 * i, to: 5000 * (i + 1) })))
    expect(wrong).toEqual([[], []])
    await Promise.all(pair.map((w) => w.terminate()))
  })
})

describe.runIf(compilerCandidates().length > 0)('weights in worker threads', () => {
  // Each thread prepares the model itself: what the cache keeps is for src/inference/kept/kept.test.ts.
  beforeAll(() => void vi.stubEnv('LONGZHOU_PLAN_CACHE', '0'))
  afterAll(() => void vi.unstubAllEnvs())

  it('are there once, with what is packed from them, and go with the last one', async () => {
    expect(usage()).toEqual({ buffers: 0, bytes: 0 })
    const first = await start()
    const packed = await ask<number>(first, { do: 'constants' })
    expect(packed).toBeGreaterThanOrEqual(width * width * 4)
    const alone = usage()
    expect(alone.bytes).toBeGreaterThanOrEqual(packed + width * width * 4)
    const second = await start()
    expect(await ask(second, { do: 'constants' })).toBe(packed)
    expect(usage()).toEqual(alone)
    const own = await createPredictor({ model, threads: 1 })
    for (const rows of [1, 2, 3]) await own.prepare([[rows, width]])
    expect(own.constantBytes).toBe(packed)
    expect(usage()).toEqual(alone)

    await first.terminate()
    expect(usage()).toEqual(alone)
    expect(await ask(second, { do: 'answer', from: 0, to: 300 })).toEqual([])
    expect(await ask(second, { do: 'dispose' })).toBe('disposed')
    expect(usage()).toEqual(alone)
    const { output_0 } = await own.run([
      { dtype: 'float32', shape: [2, width], data: new Float32Array(2 * width).fill(5) },
    ])
    expect(output_0!.data.every((v) => v === 6)).toBe(true)
    await own.dispose()
    expect(usage()).toEqual({ buffers: 0, bytes: 0 })
    await second.terminate()
  })

  it('go with a thread that ends by itself', async () => {
    const worker = await start()
    expect(usage().bytes).toBeGreaterThan(0)
    const ended = once(worker, 'exit')
    worker.postMessage({ do: 'end' })
    expect(await ended).toEqual([0])
    expect(usage()).toEqual({ buffers: 0, bytes: 0 })
  })

  it('stay for others when a thread is terminated in the midst of its runs', async () => {
    const staying = await start()
    const alone = usage()
    for (let i = 0; i < 3; i++) {
      const going = await start()
      const answers = ask(staying, { do: 'answer', from: 0, to: 1000 })
      expect(await ask(going, { do: 'flood' })).toBe('flooded')
      await going.terminate()
      expect(await answers).toEqual([])
      expect(usage()).toEqual(alone)
    }
    await staying.terminate()
    expect(usage()).toEqual({ buffers: 0, bytes: 0 })
  })
})
