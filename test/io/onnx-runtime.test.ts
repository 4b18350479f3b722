/**
 * Random models of one or a few ONNX operators, made and run by ONNX Runtime: they are read, run, written, checked by onnx.checker and shape
 * inference, and run by ONNX Runtime again. `ONNX_CASES` and `ONNX_SEED` ask for more of them, or for others.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FormatError } from '../../src/common/errors.ts'
import { readOnnxModel, writeOnnxModel } from '../../src/io/formats/onnx/index.ts'
import { readNpz } from '../../src/io/files.ts'
import { getDevice, setDevice } from '../../src/tensor/device.ts'
import { askOnnx, differenceOf, onnxPython, runProgram } from '../support/onnx.ts'
import { makeScratch } from '../support/scratch.ts'

interface Case {
  readonly i: number
  /** The generator in test/support/onnx/cases.py. */
  readonly name: string
  readonly opset: number
  readonly inputs: number
}

const SEED = Number(process.env['ONNX_SEED'] ?? 1)
const CASES = Number(process.env['ONNX_CASES'] ?? 345)

/** What is refused on purpose, and said so in docs/onnx-operators.md. */
const REFUSED =
  /whose? size(s)? (is|are) not known|an output size for an input size|ceil_mode with|needs version \d+ of the operator set/

const python = onnxPython()
if (python === undefined) console.warn('ONNX Runtime is not installed: scripts/setup-onnx.sh installs it')

const device = getDevice()
beforeAll(() => setDevice('reference'))
afterAll(() => setDevice(device))

describe.runIf(python !== undefined)('random models against ONNX Runtime', () => {
  const directory = makeScratch('onnx')
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('are read and written with the same results', async () => {
    const { cases } = askOnnx(python!, [directory, String(SEED), String(CASES)]) as { cases: Case[] }
    expect(cases.length).toBeGreaterThan(0.97 * CASES)
    const problems: string[] = []
    const refusals: string[] = []
    const written: number[] = []
    const opsets = [13, 17, 17, 18, 20, 22]
    for (const { i, name, opset, inputs } of cases) {
      const arrays = await readNpz(join(directory, `${i}.npz`))
      const place = `case ${i} (${name}, opset ${opset})`
      const check = async (path: string, stage: string): Promise<void> => {
        const program = await readOnnxModel(path)
        const operands = Array.from({ length: inputs }, (_, k) => arrays[`in_${k}`]!)
        const outputs = await runProgram(program, operands)
        outputs.forEach((output, k) => {
          const difference = differenceOf(output, arrays[`out_${k}`]!)
          if (difference) problems.push(`${place}: ${stage}: output ${k} ${difference}`)
        })
        if (stage === 'written') return
        const target = join(directory, `${i}.written.onnx`)
        await writeOnnxModel(program, target, { opset: opsets[i % opsets.length]! })
        written.push(i)
        await check(target, 'written')
      }
      try {
        await check(join(directory, `${i}.onnx`), 'read')
      } catch (error) {
        const message = (error as Error).message
        if (error instanceof FormatError && REFUSED.test(message)) refusals.push(`${place}: ${message}`)
        else problems.push(`${place}: ${message}`)
      }
    }
    for (const [i, what] of askOnnx(python!, ['--check', directory], written) as [number, string][])
      problems.push(`case ${i} (${cases.find((c) => c.i === i)!.name}), as written: ${what}`)
    expect(problems).toEqual([])
    expect(refusals.length).toBeLessThan(0.08 * cases.length)
  })
})
