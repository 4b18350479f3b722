/**
 * ONNX files that other programs wrote, run and written again: paddle2onnx's models with the outputs of Paddle's predictor, and models of a few
 * operators with the results of ONNX Runtime (test/fixtures/onnx). The larger recordings are read where they lie beside the project.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import { onnxOfProgram, programOfOnnx, readOnnxModel } from '../../src/io/formats/onnx/index.ts'
import { readNpy, readNpz } from '../../src/io/files.ts'
import { getDevice, setDevice } from '../../src/tensor/device.ts'
import { differenceOf, runProgram } from '../support/onnx.ts'
import { ROOT } from '../support/scratch.ts'

const FIXTURES = join(ROOT, 'test/fixtures/onnx')
const SHARED = join(ROOT, '../shared/fixtures')
const names = [
  'attention',
  'block',
  'conv_transpose',
  'ernie',
  'layer_norm',
  'recurrent',
  'reshape_by_shape',
  'resize_like',
]

const device = getDevice()
beforeAll(() => setDevice('reference'))
afterAll(() => setDevice(device))

/** `in_0`, `in_1`, ... of a recording. */
const series = (arrays: Readonly<Record<string, HostArray>>, prefix: string): HostArray[] =>
  Object.keys(arrays)
    .filter((key) => key.startsWith(prefix))
    .sort()
    .map((key) => arrays[key]!)

describe('ONNX files', () => {
  it.each(names)('%s gives what was recorded, also after it was written and read again', async (name) => {
    const recorded = await readNpz(join(FIXTURES, `${name}.npz`))
    const program = await readOnnxModel(join(FIXTURES, `${name}.onnx`))
    const again = programOfOnnx(onnxOfProgram(program))
    const third = programOfOnnx(onnxOfProgram(again))
    expect(third.inputs).toEqual(again.inputs)
    expect(again.inputs).toMatchObject(program.inputs)
    expect(again.outputs.map((o) => o.name)).toEqual(program.outputs.map((o) => o.name))
    // What is written of what was read is read as the same.
    // (Outputs of recurrences are turned into either program's order, which is not undone.)
    if (name !== 'recurrent') expect(third.operations.map((o) => o.type)).toEqual(again.operations.map((o) => o.type))
    for (const version of [program, again, third]) {
      const outputs = await runProgram(version, series(recorded, 'in_'))
      const wanted = series(recorded, 'out_')
      expect(outputs.map((o, i) => differenceOf(o, wanted[i]!))).toEqual(wanted.map(() => null))
    }
  })

  it.runIf(existsSync(SHARED))('the direction classifier of PP-OCR gives what Paddle gives', async () => {
    const model = join(SHARED, 'models/ch_ppocr_mobile_v2.0_cls')
    const program = await readOnnxModel(join(SHARED, 'onnx/ch_ppocr_mobile_v2.0_cls.onnx'))
    const input = await readNpy(join(model, 'input_0.npy'))
    const wanted = await readNpy(join(model, 'legacy_output_0.npy'))
    setDevice(device)
    try {
      for (const version of [program, programOfOnnx(onnxOfProgram(program))]) {
        const [output] = await runProgram(version, [input])
        expect(differenceOf(output!, wanted)).toBe(null)
      }
    } finally {
      setDevice('reference')
    }
  })

  it.runIf(existsSync(SHARED))('a small network takes batches of any size, and its weights train', async () => {
    const program = await readOnnxModel(join(SHARED, 'onnx/simplecnn_v32.onnx'))
    expect(program.inputs[0]!.shape).toEqual([-1, 3, 32, 32])
    const x: HostArray = { dtype: 'float32', shape: [2, 3, 32, 32], data: new Float32Array(2 * 3 * 32 * 32).fill(0.5) }
    const [output] = await runProgram(program, [x])
    expect(output!.shape).toEqual([2, 10])
    expect([...program.parameters.values()].filter((p) => p.trainable).length).toBe(4)
  })
})
