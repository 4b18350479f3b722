/** `longzhou inspect`: what it says of a model, and of what is none. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runCli } from '../../src/cli/run.ts'
import { catchOutput } from '../support/cli.ts'
import { MODELS } from '../support/program-cases.ts'
import { makeScratch } from '../support/scratch.ts'

const model = join(MODELS, 'ch_ppocr_mobile_v2.0_cls')
const scratch = makeScratch('inspect')
afterAll(() => rm(scratch, { recursive: true }))

const printed = catchOutput()

const inspect = (...words: string[]): Promise<number> => runCli(['inspect', ...words])

describe('longzhou inspect', () => {
  test('prints inputs, outputs, parameters, multiply-accumulates and operators', async () => {
    expect(await inspect(model)).toBe(0)
    expect(printed.stdout).toMatch(/^input {3}x: float32\[\?, 3, \?, \?\]$/m)
    expect(printed.stdout).toMatch(/^output {2}\S+: float32\[\?, 2\]$/m)
    expect(printed.stdout).toMatch(/^\d+ parameters with [\d,]+ elements \(\d+ KiB\), \d+ operations$/m)
    expect(printed.stdout).toMatch(/ M multiply-accumulates for x \[1, 3, \d+, \d+\]; --shape counts for others$/m)
    expect(printed.stdout).toMatch(/^operator {2,}times\nconv2d {2,}\d+$/m)
    expect(printed.stdout).toMatch(/every operator is supported$/m)
  })

  test('counts for given sizes, which grow with the area', async () => {
    const counted = async (shape: string): Promise<{ count: number; shapes: number[][] }> => {
      printed.stdout = ''
      expect(await inspect(model, '--shape', shape, '--json')).toBe(0)
      return (JSON.parse(printed.stdout) as { macs: { count: number; shapes: number[][] } }).macs
    }
    const [small, large] = [await counted('1x3x48x192'), await counted('x=2x3x48x192')]
    expect(small.shapes).toEqual([[1, 3, 48, 192]])
    expect(large.count).toBe(2 * small.count)
    for (const [shape, message] of [
      ['1x4x48x192', '[1, 4, 48, 192] does not fit; the model takes x (float32[any, 3, any, any])'],
      ['y=1x3x48x192', "there is no input 'y'; the model takes x"],
      ['1..2x3x48x192', 'takes one choice of sizes'],
      ['48', '[48] does not fit'],
    ] as const) {
      expect(await inspect(model, '--shape', shape)).toBe(2)
      expect(printed.stderr).toContain(message)
    }
  })

  test('prints each operation', async () => {
    expect(await inspect(model, '--graph')).toBe(0)
    expect(printed.stdout).toMatch(/^\w+=\S+ = conv2d\(input=x, filter=\S+; strides=\[2, 2\], /m)
  })

  test('says of what is no model what it is, and what to name', async () => {
    const folder = join(scratch, 'project')
    await mkdir(join(folder, 'exported'), { recursive: true })
    await mkdir(join(scratch, 'two'))
    const files = ['a.pdparams', 'a.pdiparams', 'README.md', 'inference.yml', '../two/a.onnx', '../two/b.nb']
    for (const file of files) await writeFile(join(folder, file), 'x')
    for (const [path, message] of [
      [folder, /holds no model; looked for inference\.json, .*\*\.onnx, .*; its directories are exported$/m],
      [join(scratch, 'two'), /holds 2 models \(a\.onnx, b\.nb\); name one of them/],
      [
        join(folder, 'a.pdparams'),
        /is no model: it holds a training run's values without the network; build the network/,
      ],
      [
        join(folder, 'a.pdiparams'),
        /is no model: it holds the parameters of one; name the \.json or \.pdmodel beside it/,
      ],
      [join(folder, 'README.md'), /is no model: its name has none of the endings \.json, \.pdmodel, \.onnx/],
      [join(folder, 'absent.onnx'), /there is no such file or directory; check the path$/m],
      [
        join(folder, 'absent'),
        /there is no such file or directory, and no 'absent\.json' or '\.pdmodel'; check the path$/m,
      ],
    ] as const) {
      printed.stderr = ''
      expect(await inspect(path)).toBe(1)
      expect(printed.stderr).toMatch(message)
      expect(printed.stderr).not.toMatch(/free space|overwritten/)
    }
  })
})
