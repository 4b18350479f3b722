import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { HostArray } from '../common/dtype.ts'
import { exportProgram } from '../io/formats/program/export/export.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'
import { InputSpec } from '../jit/input-spec.ts'
import * as nn from '../nn/index.ts'
import { compilerCandidates } from '../runtime/compiler.ts'
import { noGrad } from '../tensor/autograd.ts'
import { backendOf } from '../tensor/device.ts'
import * as T from '../tensor/index.ts'
import { keptNodes, recordedNodes } from '../tensor/session.ts'
import { fromHost, type Tensor } from '../tensor/tensor.ts'
import { createPredictor } from './engines.ts'

const hasCompiler = compilerCandidates().length > 0

class Net extends nn.Layer {
  conv = new nn.Conv2D(3, 16, { kernelSize: 3, padding: 1 })
  norm = new nn.BatchNorm2D(16)
  thin = new nn.Conv2D(16, 16, { kernelSize: 3, padding: 1, groups: 16, biasAttr: false })
  normThin = new nn.BatchNorm2D(16)
  head = new nn.Linear(16, 4)
  forward(x: Tensor): Tensor {
    let y = nn.functional.relu(this.norm(this.conv(x)))
    y = T.add(y, nn.functional.hardswish(this.normThin(this.thin(y))))
    return this.head(T.mean(y, [2, 3]))
  }
}

const image = (n: number, h: number, w: number, at: number): HostArray => ({
  dtype: 'float32',
  shape: [n, 3, h, w],
  data: Float32Array.from({ length: n * 3 * h * w }, (_, i) => Math.sin(i * 0.37 + at)),
})

describe('Predictor', () => {
  const net = new Net()
  let model: OperatorProgram

  beforeAll(async () => {
    T.seed(1)
    net.train()
    // Running statistics that are not 0 and 1.
    for (let i = 0; i < 3; i++) await net(T.add(T.multiply(T.randn([4, 3, 12, 12]), 2), 1)).data()
    net.eval()
    model = await exportProgram(net, { inputSpec: [new InputSpec([null, 3, null, null], 'float32', 'x')] })
  })

  const wanted = async (x: HostArray): Promise<Float32Array> =>
    (await noGrad(() => net(fromHost(x))).data()) as Float32Array

  it('refuses what is no model, no array, and arrays of another class than the dtype has', async () => {
    for (const given of ['model.onnx', undefined, {}, { model: '' }, { model: 3 }])
      await expect(createPredictor(given as never)).rejects.toThrow(/createPredictor: give \{ model \}/)
    for (const maxShapes of [0, -1, 1.5, NaN])
      await expect(createPredictor({ model, maxShapes })).rejects.toThrow(/maxShapes must be a positive integer, got/)
    const predictor = await createPredictor({ model })
    const x = image(1, 8, 8, 0)
    for (const [inputs, message] of [
      [null, /inputs come by name or in order, got null; the model takes x \(float32/],
      [3, /inputs come by name or in order, got 3/],
      [{ x: x.data }, /input 'x' must be a tensor or \{ dtype, shape, data \}, got Float32Array; the model takes x/],
      [[3], /input 'x' must be a tensor or \{ dtype, shape, data \}, got 3/],
      [
        { x: { ...x, data: Float64Array.from(x.data as Float32Array) } },
        /must be a Float32Array \(float32\), got Float64Array/,
      ],
      [{ x: { ...x, data: new Int32Array(x.data.length) } }, /must be a Float32Array \(float32\), got Int32Array/],
    ] as const)
      await expect(predictor.run(inputs as never)).rejects.toThrow(message)
    await predictor.dispose()
  })

  it('gives what the layer gives, for any shape', async () => {
    const predictor = await createPredictor({ model })
    for (const x of [image(1, 8, 8, 0), image(2, 9, 17, 1), image(1, 8, 8, 2)]) {
      const { output_0 } = await predictor.run({ x })
      const expected = await wanted(x)
      expect(output_0!.shape).toEqual([x.shape[0], 4])
      const worst = Math.max(...expected.map((v, i) => Math.abs(v - (output_0!.data as Float32Array)[i]!)))
      expect(worst).toBeLessThan(1e-4)
    }
  })

  it('answers each of many calls at once with its own result', async () => {
    const predictor = await createPredictor({ model })
    const calls = Array.from({ length: 400 }, (_, i) => image(1 + (i % 3), 6, 6 + (i % 2), i))
    const answers = await Promise.all(calls.map((x, i) => (i % 2 ? predictor : predictor.clone()).run([x])))
    for (let i = 0; i < calls.length; i += 37) {
      const expected = await wanted(calls[i]!)
      const got = answers[i]!['output_0']!.data as Float32Array
      expect(Math.max(...expected.map((v, k) => Math.abs(v - got[k]!)))).toBeLessThan(1e-4)
    }
    // Answers to different questions differ.
    const keys = new Set(answers.map((a) => (a['output_0']!.data as Float32Array).join(',')))
    expect(keys.size).toBe(calls.length)
  })

  it('records a new shape in the middle of a long recording', async () => {
    const predictor = await createPredictor({ model })
    const x = image(1, 7, 11, 3)
    const expected = await wanted(x)
    let counter = T.zeros([1])
    let additions = 0
    // What is recorded is submitted at 20,000 nodes; a network whose inputs have no values yet must not be.
    while (recordedNodes() < 19_980) [counter, additions] = [T.add(counter, 1), additions + 1]
    const got = (await predictor.run([x]))['output_0']!.data as Float32Array
    expect(Math.max(...expected.map((v, k) => Math.abs(v - got[k]!)))).toBeLessThan(1e-4)
    expect(await counter.data()).toEqual(Float32Array.of(additions))
  })

  it('records shapes that depend on the values of an input for each of its values, and asks for few of them', async () => {
    const sizes = (values: readonly number[]): HostArray => ({
      dtype: 'int64',
      shape: [values.length],
      data: BigInt64Array.from(values, BigInt),
    })
    const x: HostArray = { dtype: 'float32', shape: [2, 6], data: Float32Array.from({ length: 12 }, (_, i) => i) }
    const reshaping = (from: number): OperatorProgram => ({
      inputs: [
        { name: 'x', dtype: 'float32', shape: [2, 6] },
        { name: 'sizes', dtype: 'int64', shape: [from] },
      ],
      outputs: [{ name: 'y', value: 'y' }],
      parameters: new Map(),
      operations: [
        { type: 'shape64', inputs: { input: 'sizes' }, outputs: { out: 'count' }, attributes: {} },
        { type: 'add', inputs: { x: 'sizes', y: 'count' }, outputs: { out: 'shape' }, attributes: {} },
        { type: 'subtract', inputs: { x: 'shape', y: 'count' }, outputs: { out: 'same' }, attributes: {} },
        { type: 'reshape', inputs: { x: 'x', shape: 'same' }, outputs: { out: 'y' }, attributes: {} },
      ],
      values: new Map(),
      metadata: {},
    })
    const predictor = await createPredictor({ model: reshaping(2) })
    for (const shape of [
      [3, 4],
      [12, 1],
      [3, 4],
    ]) {
      const { y } = await predictor.run([x, sizes(shape)])
      expect(y!.shape).toEqual(shape)
      expect([...(y!.data as Float32Array)]).toEqual([...(x.data as Float32Array)])
    }
    await predictor.dispose()
    const greedy = await createPredictor({ model: reshaping(2000) })
    await expect(greedy.run([x, sizes(new Array<number>(2000).fill(1))])).rejects.toThrow(
      /shapes of what the model computes depend on the values of 'sizes'/,
    )
    await greedy.dispose()
  })

  it('leaves nothing behind for the writes of a program that trains beside it', async () => {
    const predictor = await createPredictor({ model, device: 'reference' })
    await predictor.prepare([[1, 3, 6, 6]])
    const weight = T.zeros([1])
    weight.add_(T.ones([1]))
    // Submits the write, and whatever was kept for it: not the network, whose inputs had no values when it was recorded.
    const kept = keptNodes()
    expect(await weight.data()).toEqual(Float32Array.of(1))
    expect(kept).toEqual([])
  })

  it('says which input does not fit', async () => {
    const predictor = await createPredictor({ model })
    await expect(predictor.run({ y: image(1, 8, 8, 0) })).rejects.toThrow(
      "no input 'y'; the model takes x (float32[any, 3, any, any])",
    )
    await expect(predictor.run([{ ...image(1, 8, 8, 0), shape: [1, 1, 8, 24] }])).rejects.toThrow('[any, 3, any, any]')
    await expect(predictor.run([{ dtype: 'int32', shape: [1, 3, 1, 1], data: new Int32Array(3) }])).rejects.toThrow(
      "input 'x' is int32; the model takes x (float32[any, 3, any, any])",
    )
    await expect(predictor.run([{ ...image(1, 8, 8, 0), shape: [1, 3, 8, 9] }])).rejects.toThrow('has 192 elements')
  })

  it('takes what its inputs hold when it is called', async () => {
    const predictor = await createPredictor({ model })
    const [first, second] = [image(1, 8, 8, 0), image(1, 8, 8, 5)]
    const expected = await wanted(first)
    const running = predictor.run([first])
    ;(first.data as Float32Array).set(second.data as Float32Array)
    const { output_0: got } = await running
    expect(Math.max(...expected.map((v, k) => Math.abs(v - (got!.data as Float32Array)[k]!)))).toBeLessThan(1e-4)
  })

  it('runs to the end what was called before it was disposed, and its clones go on', async () => {
    const predictor = await createPredictor({ model })
    const clone = predictor.clone()
    const running = clone.run([image(1, 8, 8, 0)])
    await predictor.dispose()
    await expect(predictor.run([image(1, 8, 8, 0)])).rejects.toThrow('disposed')
    const answer = await running
    expect(await clone.run([image(1, 8, 8, 0)])).toEqual(answer)
    const last = clone.run([image(1, 8, 8, 0)])
    await clone.dispose()
    expect(await last).toEqual(answer)
    await clone.dispose()
  })

  it('takes a number of threads of its own, which changes no result', async () => {
    const predictors = await Promise.all([1, 2, undefined].map((threads) => createPredictor({ model, threads })))
    const answers = await Promise.all(predictors.map((p) => p.run([image(2, 16, 16, 3)])))
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
    await expect(createPredictor({ model, threads: 1.5 })).rejects.toThrow('integer from 1 to 1024, got 1.5')
    await expect(createPredictor({ model, device: 'wasm', threads: 2 })).rejects.toThrow("'wasm' runs on one thread")
    expect((await createPredictor({ model, device: 'wasm', threads: 1 })).device).toBe('wasm')
  })

  it.runIf(hasCompiler)('keeps compiled kernels in the directory that it is given, or not at all', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'longzhou-predictor-'))
    const x = image(1, 8, 8, 0)
    try {
      const usual = await (await createPredictor({ model })).run([x])
      const kept = await createPredictor({ model, cache: join(directory, 'kernels') })
      expect(await kept.run([x])).toEqual(usual)
      const files = readdirSync(join(directory, 'kernels'), { recursive: true, encoding: 'utf8' })
      expect(files.some((f) => f.endsWith('.so'))).toBe(true)
      const temporary = join(directory, 'temporary')
      mkdirSync(temporary)
      vi.stubEnv('TMPDIR', temporary)
      const unkept = await createPredictor({ model, cache: false })
      expect(await unkept.run([x])).toEqual(usual)
      expect(readdirSync(temporary)).toEqual([])
    } finally {
      vi.unstubAllEnvs()
      rmSync(directory, { recursive: true })
    }
  })

  it('multiplies in bfloat16 where the processor does, and says so where it does not', async () => {
    const x = image(1, 16, 16, 3)
    const isThere = backendOf('cpu').capabilities.bfloat16 !== undefined
    if (isThere) {
      const low = await createPredictor({ model, device: 'cpu', precision: 'bfloat16' })
      const { output_0: got } = await low.run([x])
      expect(got!.dtype).toBe('float32')
      const expected = await wanted(x)
      const worst = Math.max(...expected.map((v, k) => Math.abs(v - (got!.data as Float32Array)[k]!)))
      expect(worst).toBeLessThan(0.05)
      expect(worst).toBeGreaterThan(0)
    } else {
      await expect(createPredictor({ model, device: 'cpu', precision: 'bfloat16' })).rejects.toThrow('use that')
    }
    await expect(createPredictor({ model, device: 'wasm', precision: 'bfloat16' })).rejects.toThrow(
      "device 'wasm' of this machine does not multiply bfloat16",
    )
    await expect(createPredictor({ model, precision: 'int4' as 'float32' })).rejects.toThrow('float32, high, bfloat16')
  })

  it('multiplies factors of 16 bits where the processor does so faster', async () => {
    const x = image(1, 16, 16, 3)
    const high = await createPredictor({ model, device: 'cpu', precision: 'high' })
    const { output_0: got } = await high.run([x])
    const worst = Math.max(...(await wanted(x)).map((v, k) => Math.abs(v - (got!.data as Float32Array)[k]!)))
    expect(worst).toBeLessThan(1e-4)
  })

  it('refuses engines and options that there are not', async () => {
    await expect(createPredictor({ model, engine: 'longzou' as 'longzhou' })).rejects.toThrow('did you mean longzhou?')
    await expect(createPredictor({ model, mode: 1 } as never)).rejects.toThrow('does not take mode; it takes device')
  })
})
