/** `longzhou convert`: each format of a small network, what is said of the proof, and what to options that do not fit. */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runCli } from '../../src/cli/run.ts'
import { modelFormats, readModel } from '../../src/io/formats/model-files.ts'
import { hasOnnxRuntime } from '../../src/io/formats/onnx/index.ts'
import { catchOutput } from '../support/cli.ts'
import { MODELS } from '../support/program-cases.ts'
import { makeScratch } from '../support/scratch.ts'

const model = join(MODELS, 'ch_ppocr_mobile_v2.0_cls')
const scratch = makeScratch('convert')
afterAll(() => rm(scratch, { recursive: true }))

const printed = catchOutput()

const convert = (...words: string[]): Promise<number> => runCli(['convert', ...words])

describe('longzhou convert', () => {
  test.each(modelFormats)('writes %s and proves it', async (format) => {
    expect(await convert(model, join(scratch, format), '--to', format, '--writer', 'own', '--json')).toBe(0)
    const { path, ...proof } = JSON.parse(printed.stdout) as {
      readonly path: string
      readonly largestDifference: number
    }
    const foreignRuntime = format === 'onnx' && (await hasOnnxRuntime()) ? 'ONNX Runtime' : null
    expect(proof).toEqual({ samples: 2, largestDifference: proof.largestDifference, foreignRuntime })
    expect(proof.largestDifference).toBeLessThan(1e-4)
    expect((await readModel(path)).inputs.map((i) => i.name)).toEqual(
      (await readModel(model)).inputs.map((i) => i.name),
    )
  })

  test('says what it found in words', async () => {
    expect(await convert(model, join(scratch, 'words.safetensors'))).toBe(0)
    expect(printed.stdout).toMatch(
      /words\.safetensors: computes what the original does: largest difference \S+ over 2 drawn inputs/,
    )
  })

  test('writes into a directory that exists or is meant, and reads the model from there', async () => {
    expect(await convert(model, `${join(scratch, 'folder')}/`, '--to', 'onnx', '--json')).toBe(0)
    expect(JSON.parse(printed.stdout)).toMatchObject({ path: join(scratch, 'folder/inference.onnx') })
    printed.stdout = ''
    expect(await convert(join(scratch, 'folder'), join(scratch, 'folder'), '--to', 'pir', '--json')).toBe(0)
    expect(JSON.parse(printed.stdout)).toMatchObject({ path: join(scratch, 'folder/inference.json') })
  })

  test('runs both at the sizes that --shape names', async () => {
    const sizes = ['--shape', 'x=1x3x48x160', '--shape', 'x=1..2x3x48x192']
    expect(await convert(model, join(scratch, 'sized.onnx'), ...sizes, '--json')).toBe(0)
    expect(JSON.parse(printed.stdout)).toMatchObject({ samples: 3 })
    expect(await convert(model, join(scratch, 'other.onnx'), '--shape', 'x=1x3x48')).toBe(2)
    expect(printed.stderr).toContain('convert: [1, 3, 48] does not fit; the model takes x (')
    expect(existsSync(join(scratch, 'other.onnx'))).toBe(false)
  })

  test('leaves no file where the proof fails, and keeps what failed where asked', async () => {
    const out = join(scratch, 'strict.onnx')
    // ONNX Runtime adds in another order; where it is not installed, what is read again computes the same to the last bit.
    const words = [model, out, '--tolerance', '0', '--shape', 'x=2x3x48x192']
    const code = await convert(...words)
    expect(existsSync(out)).toBe(code === 0)
    if (await hasOnnxRuntime()) {
      expect(code).toBe(1)
      expect(printed.stderr).toContain(`'${out}' was not written: keepFailed (--keep-failed of the command line)`)
      expect(await convert(...words, '--keep-failed')).toBe(1)
      expect(existsSync(out)).toBe(false)
      expect((await readModel(join(`${out}.failed`, 'strict.onnx'))).inputs[0]!.name).toBe('x')
    }
  })

  test('says who judged a file for ONNX Runtime', async () => {
    expect(await convert(model, join(scratch, 'judged.onnx'))).toBe(0)
    expect(printed.stdout).toContain(
      (await hasOnnxRuntime())
        ? ', in ONNX Runtime too:'
        : 'ONNX Runtime was not asked: onnxruntime-node is not installed',
    )
  })

  test('refuses options that there are not', async () => {
    for (const [options, message] of [
      [['--to', 'tflite'], "there is no format 'tflite'; there are pir, pdmodel, onnx, safetensors, nb"],
      [['--to', 'nb', '--writer', 'lite'], "there is no writer 'lite'; there are auto"],
      [['--tolerance', 'little'], "--tolerance must be a number, got 'little'"],
    ] as const) {
      expect(await convert(model, join(scratch, 'refused'), ...options)).toBe(2)
      expect(printed.stderr).toContain(message)
    }
  })
})
