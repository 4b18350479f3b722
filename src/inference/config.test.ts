/** The way of Paddle Inference: Config, handles, run. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { readNpy } from '../io/files.ts'
import { Config, createPredictor } from './index.ts'

const file = (name: string): string =>
  fileURLToPath(new URL(`../../test/fixtures/paddle/models/ch_ppocr_mobile_v2.0_cls/${name}`, import.meta.url))

describe('Config', () => {
  it('makes a predictor whose handles are filled, run and read', async () => {
    const config = new Config(file('inference.pdmodel'), file('inference.pdiparams'))
    config.disableGpu()
    config.setCpuMathLibraryNumThreads(1)
    config.switchIrOptim(true)
    config.enableMemoryOptim()
    config.enableMkldnn()
    const predictor = await createPredictor(config)
    expect(predictor.getInputNames()).toEqual(['x'])
    const input = predictor.getInputHandle('x')
    const output = predictor.getOutputHandle(predictor.getOutputNames()[0]!)
    expect(() => output.copyToCpu()).toThrow('no value before run()')
    await expect(predictor.run()).rejects.toThrow("nothing was copied to input 'x'")

    const x = await readNpy(file('input_0.npy'))
    expect(() => input.copyFromCpu(x.data)).toThrow('call reshape(shape) first')
    input.reshape(x.shape)
    expect(() => input.copyFromCpu(new Float32Array(3))).toThrow('got 3 elements')
    expect(() => input.copyFromCpu(new Int32Array(x.data.length))).toThrow("'x' is float32, got a Int32Array")
    input.copyFromCpu(x.data)
    await predictor.run()
    const wanted = await readNpy(file('legacy_output_0.npy'))
    const got = output.copyToCpu()
    expect(output.shape()).toEqual(wanted.shape)
    const [a, b] = [got.data as Float32Array, wanted.data as Float32Array]
    expect(Math.max(...b.map((v, i) => Math.abs(v - a[i]!)))).toBeLessThan(1e-4)

    const one: HostArray = { dtype: 'float32', shape: [1, 3, 48, 192], data: new Float32Array(3 * 48 * 192) }
    input.copyFromCpu(one)
    await predictor.run()
    expect(output.shape()).toEqual([1, 2])
    expect(() => predictor.getInputHandle('y')).toThrow("there is no input 'y'; the model has x")
    expect(() => predictor.getOutputHandle('y')).toThrow(ArgumentError)
    await expect(predictor.clone().run()).rejects.toThrow('nothing was copied')
  })

  it('says what createPredictor is given', () => {
    const config = new Config()
    expect(() => config.options()).toThrow('call setModel')
    config.setModel('model.onnx')
    expect(config.options()).toEqual({ model: 'model.onnx' })
    config.enableUseGpu(200, 1)
    config.enableOnnxruntime()
    config.enableMkldnnBfloat16()
    config.setOptimCacheDir('cache')
    expect([config.useGpu(), config.onnxruntimeEnabled(), config.progFile(), config.paramsFile()]).toEqual([
      true,
      true,
      'model.onnx',
      '',
    ])
    expect(config.options()).toEqual({
      model: 'model.onnx',
      engine: 'onnxruntime',
      device: 'gpu:1',
      precision: 'bfloat16',
      cache: 'cache',
    })
    config.disableOnnxruntime()
    config.disableGpu()
    expect(config.options()).toEqual({ model: 'model.onnx', device: 'cpu', precision: 'bfloat16', cache: 'cache' })
    expect(() => config.switchIrOptim(false)).toThrow('always on')
    expect(() => config.enableMemoryOptim(false)).toThrow(ArgumentError)
  })
})
