/** `longzhou infer`: what it prints and writes, and what it says to inputs and options that do not fit. */
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runCli } from '../../src/cli/run.ts'
import { readNpy, writeNpy } from '../../src/io/files.ts'
import { hasOnnxRuntime } from '../../src/io/formats/onnx/index.ts'
import { catchOutput } from '../support/cli.ts'
import { differenceOf } from '../support/onnx.ts'
import { MODELS } from '../support/program-cases.ts'
import { makeScratch, ROOT } from '../support/scratch.ts'

const folder = join(MODELS, 'ch_ppocr_mobile_v2.0_cls')
const input = join(folder, 'input_0.npy')
const isOnnxRuntimeHere = await hasOnnxRuntime()
const scratch = makeScratch('infer')
afterAll(() => rm(scratch, { recursive: true }))

const printed = catchOutput()

const infer = (...words: string[]): Promise<number> => runCli(['infer', ...words])

interface Port {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: string
  readonly file?: string
}

interface Report {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly load_ms: number
  readonly first_ms: number
  readonly ms_min: number
  readonly ms_median: number
  readonly peak_mb: number
}

const report = (): Report => JSON.parse(printed.stdout.trimEnd().split('\n').at(-1)!) as Report

describe('longzhou infer', () => {
  test('runs, writes one .npy an output, and tells times as the last line', async () => {
    const out = join(scratch, 'ours')
    const options = ['--out', out, '--threads', '1', '--repeat', '3', '--device', 'cpu', '--json']
    expect(await infer(folder, '--input', `x=${input}`, ...options)).toBe(0)
    const { inputs, outputs, ...times } = report()
    expect(inputs).toEqual([{ name: 'x', shape: [2, 3, 48, 192], dtype: 'float32' }])
    expect(outputs).toEqual([
      { name: outputs[0]!.name, shape: [2, 2], dtype: 'float32', file: expect.stringContaining(out) as string },
    ])
    expect(Object.keys(times)).toEqual(['load_ms', 'first_ms', 'ms_min', 'ms_median', 'peak_mb'])
    expect(Object.values(times).every((t) => t > 0)).toBe(true)
    expect(times.ms_min).toBeLessThanOrEqual(times.ms_median)
    const wanted = await readNpy(join(folder, 'legacy_output_0.npy'))
    expect(differenceOf(await readNpy(outputs[0]!.file!), wanted)).toBe(null)
  })

  test('needs no name for a single input, and writes nothing where --out is left out', async () => {
    expect(await infer(join(folder, 'inference.json'), '--input', input)).toBe(0)
    expect(printed.stdout).toMatch(/output +dtype +shape/)
    expect(printed.stdout).toMatch(/loaded in .* ms, first run .* ms/)
  })

  test.runIf(isOnnxRuntimeHere)('runs by ONNX Runtime as well', async () => {
    const out = join(scratch, 'theirs')
    expect(await infer(folder, '--input', input, '--engine', 'onnxruntime', '--out', out, '--json')).toBe(0)
    const wanted = await readNpy(join(folder, 'legacy_output_0.npy'))
    expect(differenceOf(await readNpy(report().outputs[0]!.file!), wanted)).toBe(null)
  })

  test('says what the model takes where inputs do not fit', async () => {
    const takes = 'x (float32[any, 3, any, any])'
    const wrong = join(scratch, 'wrong.npy')
    expect(await infer(folder)).toBe(2)
    expect(printed.stderr).toContain(`--input is missing for x; the model takes ${takes}`)
    expect(await infer(folder, '--input', `x=${input}`, '--input', `x=${input}`)).toBe(2)
    expect(printed.stderr).toContain("the input 'x' is given twice")

    await writeNpy(wrong, { dtype: 'float32', shape: [1, 1, 48, 192], data: new Float32Array(48 * 192) })
    expect(await infer(folder, '--input', `x=${wrong}`)).toBe(1)
    expect(printed.stderr).toContain(`has shape [1, 1, 48, 192]; the model takes ${takes}`)
    await writeNpy(wrong, { dtype: 'int32', shape: [1, 3, 1, 1], data: new Int32Array(3) })
    expect(await infer(folder, '--input', `x=${wrong}`)).toBe(1)
    expect(printed.stderr).toContain(`is int32; the model takes ${takes}`)
    expect(await infer(folder, '--input', join(scratch, 'nowhere.npy'))).toBe(1)
    expect(printed.stderr).toContain('nowhere.npy')
    printed.stderr = ''
    expect(await infer(join(MODELS, 'ernie_tokencls'), '--input', `ids=${input}`)).toBe(2)
    expect(printed.stderr).toMatch(/names no input; the model takes input_ids \(int64\[any, any\]\), token_type_ids/)
  })

  test('takes what is written as NAME=FILE apart where names or files hold = themselves, and says so where the name is another', async () => {
    expect(await infer(folder, '--input', `y=${input}`)).toBe(2)
    expect(printed.stderr).toContain(
      `--input 'y=${input}' names no input; the model takes x (float32[any, 3, any, any])`,
    )
    const odd = join(scratch, 'a=b.npy')
    await copyFile(input, odd)
    expect(await infer(folder, '--input', odd, '--json')).toBe(0)
    expect(await infer(folder, '--input', `x=${odd}`, '--json')).toBe(0)
    expect(report().outputs[0]!.shape).toEqual([2, 2])
  })

  test('runs a recogniser file', async () => {
    const image = join(scratch, 'line.npy')
    await writeNpy(image, { dtype: 'uint8', shape: [1, 1, 32, 96], data: new Uint8Array(32 * 96) })
    expect(await infer(join(ROOT, 'models/receipts-base.safetensors'), '--input', image, '--json')).toBe(0)
    expect(report().outputs).toMatchObject([{ name: 'logits', dtype: 'float32', shape: [23, 1, 1155] }])
    // What was prepared by then is found by the path of the file, as that of other models.
    const out = (name: string): string => join(scratch, name)
    const [first, again] = [out('first'), out('again')]
    const file = join(ROOT, 'models/receipts-base.safetensors')
    for (const o of [first, again]) expect(await infer(file, '--input', `images=${image}`, '--out', o)).toBe(0)
    expect(await readNpy(join(again, 'logits.npy'))).toEqual(await readNpy(join(first, 'logits.npy')))
  })

  test('refuses a directory for outputs that is a file before it runs anything', async () => {
    expect(await infer(join(scratch, 'no-model.onnx'), '--out', join(folder, 'io.json'))).toBe(1)
    expect(printed.stderr).toMatch(
      /making the directory '.*io\.json' failed \(EEXIST\): a file stands where a directory is needed/,
    )
  })

  test('says that a directory is no compiled model', async () => {
    expect(await infer(folder, '--input', input, '--engine', 'compiled')).toBe(1)
    expect(printed.stderr).toContain('is no compiled model; compileModel, or longzhou compile, makes one')
  })

  test('refuses options that there are not', async () => {
    for (const [option, value, message] of [
      ['--threads', '0', '--threads must be a positive integer'],
      ['--repeat', 'x', '--repeat must be a positive integer'],
      ['--engine', 'tflite', '--engine must be one of longzhou, compiled, onnxruntime'],
      ['--precision', 'int4', '--precision must be one of float32, high, bfloat16'],
    ] as const) {
      expect(await infer(folder, '--input', input, option, value)).toBe(2)
      expect(printed.stderr).toContain(message)
    }
    expect(await infer(folder, '--input', input, '--device', 'tpu')).toBe(1)
    expect(printed.stderr).toMatch(/there is no device 'tpu'; present: cpu, wasm, reference$/m)
    expect(await infer(folder, '--input', input, '--device', 'wasm', '--threads', '2')).toBe(1)
    expect(printed.stderr).toContain("device 'wasm' runs on one thread")
  })
})
