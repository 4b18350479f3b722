/** Exported networks with recorded inputs and outputs, and how programs are judged by them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { getElement, type HostArray } from '../../src/common/dtype.ts'
import { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../../src/io/formats/program/program.ts'
import { parseNpy } from '../../src/io/npy.ts'
import { parseNpz } from '../../src/io/npz.ts'
import { noGrad } from '../../src/tensor/autograd.ts'
import { fromHost, Tensor } from '../../src/tensor/tensor.ts'
import { ROOT } from './scratch.ts'

export const FIXTURES = join(ROOT, 'test/fixtures')
export const PROGRAMS = join(FIXTURES, 'paddle/op_programs')
export const MODELS = join(FIXTURES, 'paddle/models')
/** Larger networks, which a clone does not have. */
export const SHARED_MODELS = join(ROOT, '../shared/fixtures/models')

/** Inputs by name, outputs in order. */
export interface Sample {
  readonly inputs: Readonly<Record<string, HostArray>>
  readonly outputs: readonly HostArray[]
}

/**
 * Programs of one operator each, by name. Left out is the one whose logits are so far apart that the CPU kernel clamps them: Longzhou follows
 * the documentation.
 */
export const operatorPrograms = readdirSync(PROGRAMS).filter((name) => name !== 'cross_entropy_extreme')

export function operatorSample(name: string): Sample {
  const arrays = parseNpz(readFileSync(join(FIXTURES, `ops/${name}.npz`)))
  const inputs = Object.entries(arrays).flatMap(([key, a]) =>
    key.startsWith('in_') ? [[key.slice(3), a] as const] : [],
  )
  const outputs: HostArray[] = []
  for (let i = 0; arrays[`out${i}`]; i++) outputs.push(arrays[`out${i}`]!)
  return { inputs: Object.fromEntries(inputs), outputs }
}

/** The samples of a network's folder (`io.json`). */
export function modelSamples(folder: string): Sample[] {
  const { cases } = JSON.parse(readFileSync(join(folder, 'io.json'), 'utf8')) as {
    cases: { inputs: Record<string, string>; outputs: string[] }[]
  }
  const read = (file: string): HostArray => parseNpy(readFileSync(join(folder, file)))
  return cases.map((c) => ({
    inputs: Object.fromEntries(Object.entries(c.inputs).map(([name, file]) => [name, read(file)])),
    outputs: c.outputs.map(read),
  }))
}

/** The networks in a folder; none where it is absent. */
export function modelsIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((n) => existsSync(join(folder, n, 'io.json'))) : []
}

export interface RecordedNetwork {
  readonly name: string
  readonly folder: string
  readonly files: Readonly<Record<string, string>>
  readonly parameters: string
}

/** Networks of the project, and of the folder beside it where there is one. */
export const networks: readonly RecordedNetwork[] = [
  ...modelsIn(MODELS).map((name) => {
    const folder = join(MODELS, name)
    const file = (n: string): string => join(folder, n)
    const all = { legacy: file('inference.pdmodel'), pir: file('inference.json'), pir30: file('inference30.json') }
    return { name, folder, files: present(all), parameters: file('inference.pdiparams') }
  }),
  ...modelsIn(SHARED_MODELS).map((name) => {
    const folder = join(SHARED_MODELS, name)
    const all = {
      legacy: join(folder, 'legacy/inference.pdmodel'),
      pir: join(folder, 'pir/inference.json'),
      pir30: join(folder, 'pir30/inference.json'),
    }
    return { name: `shared ${name}`, folder, files: present(all), parameters: join(folder, 'pir/inference.pdiparams') }
  }),
]

function present(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([, file]) => existsSync(file)))
}

/** Expects a program to give what was recorded, within 1e-4; returns the largest difference. */
export async function expectSample(program: OperatorProgram, sample: Sample): Promise<number> {
  const layer = new TranslatedLayer(program)
  const inputs = program.inputs.map(({ name }) => fromHost(sample.inputs[name]!))
  const made = noGrad(() => layer(...inputs))
  const outputs = made instanceof Tensor ? [made] : made
  expect(outputs.length).toBe(sample.outputs.length)
  let worst = 0
  for (const [i, tensor] of outputs.entries()) {
    const expected = sample.outputs[i]!
    expect(tensor.shape).toEqual(expected.shape)
    expect(tensor.dtype).toBe(expected.dtype)
    const data = await tensor.data()
    worst = Math.max(worst, largestDifference({ dtype: tensor.dtype, shape: tensor.shape, data }, expected))
  }
  expect(worst).toBeLessThanOrEqual(1e-4)
  return worst
}

export function largestDifference(got: HostArray, expected: HostArray): number {
  let worst = 0
  for (let i = 0; i < expected.data.length; i++) {
    const a = getElement(got.dtype, got.data, i)
    const b = getElement(expected.dtype, expected.data, i)
    if (a !== b && !(Number.isNaN(a) && Number.isNaN(b)))
      worst = Math.max(worst, Number.isNaN(a - b) ? Infinity : Math.abs(a - b))
  }
  return worst
}
