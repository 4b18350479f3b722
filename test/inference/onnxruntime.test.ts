/** ONNX Runtime behind the interface of predictors: it computes what the engine of this package does, of models of any format. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import {
  ArgumentError,
  DeviceError,
  DTypeError,
  FormatError,
  ShapeError,
  StorageError,
} from '../../src/common/errors.ts'
import { createPredictor } from '../../src/inference/index.ts'
import { readNpz } from '../../src/io/files.ts'
import { hasOnnxRuntime, parseOnnx, serializeOnnx } from '../../src/io/formats/onnx/index.ts'
import { differenceOf } from '../support/onnx.ts'
import { FIXTURES, MODELS, modelSamples, modelsIn } from '../support/program-cases.ts'
import { makeScratch } from '../support/scratch.ts'

const engine = 'onnxruntime'
const files = ['attention', 'block', 'conv_transpose', 'ernie', 'layer_norm', 'recurrent', 'resize_like']

describe.runIf(await hasOnnxRuntime())('the engine onnxruntime', () => {
  async function expectBoth(model: string, inputs: readonly HostArray[], wanted: readonly HostArray[]): Promise<void> {
    const ours = await createPredictor({ model })
    const theirs = await createPredictor({ model, engine, threads: 1 })
    expect(theirs.inputs.map((i) => [i.name, i.dtype, i.shape])).toEqual(
      ours.inputs.map((i) => [i.name, i.dtype, i.shape]),
    )
    expect(theirs.outputNames).toEqual(ours.outputNames)
    const [a, b] = await Promise.all([ours.run(inputs), theirs.run(inputs)])
    expect(Object.values(b).map((o, i) => differenceOf(o, Object.values(a)[i]!))).toEqual(wanted.map(() => null))
    expect(Object.values(b).map((o, i) => differenceOf(o, wanted[i]!))).toEqual(wanted.map(() => null))
    await Promise.all([ours.dispose(), theirs.dispose()])
  }

  it.each(files)('gives what our engine gives of %s.onnx', async (name) => {
    const arrays = await readNpz(join(FIXTURES, 'onnx', `${name}.npz`))
    const series = (prefix: string): HostArray[] =>
      Object.keys(arrays)
        .filter((key) => key.startsWith(prefix))
        .sort()
        .map((key) => arrays[key]!)
    await expectBoth(join(FIXTURES, 'onnx', `${name}.onnx`), series('in_'), series('out_'))
  })

  it.each(modelsIn(MODELS))("gives what our engine gives of Paddle's %s", async (name) => {
    const [sample] = modelSamples(join(MODELS, name))
    await expectBoth(join(MODELS, name), Object.values(sample!.inputs), sample!.outputs)
  })

  it('checks inputs, devices and options as ours, and says what is expected', async () => {
    const model = join(MODELS, 'ch_ppocr_mobile_v2.0_cls')
    const predictor = await createPredictor({ model, engine })
    expect(Object.keys(predictor.metadata)).toContain('inference.yml')
    const data = new Float32Array(3 * 48 * 192)
    const x: HostArray = { dtype: 'float32', shape: [1, 3, 48, 192], data }
    await expect(predictor.run({ y: x })).rejects.toThrow("no input 'y'; the model takes x (float32[x_0, 3, x_2, x_3])")
    await expect(predictor.run([{ ...x, shape: [3, 48, 192] }])).rejects.toThrow(ShapeError)
    await expect(predictor.run([{ ...x, dtype: 'int32' }])).rejects.toThrow(DTypeError)
    const answer = predictor.run([x])
    data.fill(9)
    const { [predictor.outputNames[0]!]: first } = await answer
    const [later] = Object.values(await predictor.run([x]))
    data.fill(0)
    const [again] = Object.values(await predictor.run([x]))
    expect(again).toEqual(first)
    expect(later).not.toEqual(first)
    await predictor.dispose()
    await expect(predictor.run([x])).rejects.toThrow('disposed')

    await expect(createPredictor({ model, engine, device: 'tpu' })).rejects.toThrow(ArgumentError)
    await expect(createPredictor({ model, engine, device: 'gpu:1x' })).rejects.toThrow('use cpu, gpu, tensorrt')
    await expect(createPredictor({ model, engine, threads: 0 })).rejects.toThrow('threads must be an integer')
    await expect(createPredictor({ model, engine, precision: 'bfloat16' })).rejects.toThrow('does not take precision')
    await expect(createPredictor({ model: join(FIXTURES, 'nowhere.onnx'), engine })).rejects.toThrow(StorageError)
  })

  it.runIf(process.platform === 'linux')('says what to install for a device that is not there', async () => {
    const model = join(FIXTURES, 'onnx/block.onnx')
    await expect(createPredictor({ model, engine, device: 'tensorrt' })).rejects.toThrow(DeviceError)
    await expect(createPredictor({ model, engine, device: 'gpu:0' })).rejects.toThrow('npm rebuild')
  })

  it('refuses a file that ONNX Runtime refuses', async () => {
    // An opset that is not there yet, which our reader is not asked about.
    const scratch = makeScratch('onnxruntime')
    const model = parseOnnx(await readFile(join(FIXTURES, 'onnx/block.onnx')))
    const path = join(scratch, 'later.onnx')
    await writeFile(path, serializeOnnx({ ...model, opsets: new Map([['', 999]]) }))
    await expect(createPredictor({ model: path, engine })).rejects.toThrow(FormatError)
    await rm(scratch, { recursive: true })
  })
})
