/** Programs of one or few operators, written as `.nb` by our own writer and run by Paddle Lite's light predictor, as the recorded predictor ran them. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import { UnsupportedError } from '../../src/common/errors.ts'
import { writeNpz } from '../../src/io/files.ts'
import { writeModel } from '../../src/io/formats/model-files.ts'
import { readPaddleModel } from '../../src/io/formats/paddle/index.ts'
import type { Shape } from '../../src/common/shape.ts'
import type { Operation, OperatorProgram } from '../../src/io/formats/program/program.ts'
import { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import { fromHost, type Tensor } from '../../src/tensor/tensor.ts'
import { outputsIn, predictAll, type PredictionJob } from '../support/networks.ts'
import { paddleLitePython } from '../support/paddlelite.ts'
import {
  largestDifference,
  modelSamples,
  networks,
  operatorPrograms,
  operatorSample,
  PROGRAMS,
  type Sample,
} from '../support/program-cases.ts'
import { makeScratch } from '../support/scratch.ts'

const python = paddleLitePython()
const scratch = makeScratch('lite-operators')
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
vi.setConfig({ testTimeout: 600_000 })

/** There for Arm only. */
const notOnX86 = new Set(['conv3d', 'scatter'])

test.runIf(python)('Paddle Lite gives what was recorded, or the operators that it lacks are named', async () => {
  const jobs: Job[] = []
  let refused = 0
  for (const name of operatorPrograms.filter((n) => !notOnX86.has(n))) {
    const read = await readPaddleModel(join(PROGRAMS, name, 'legacy.pdmodel'))
    try {
      jobs.push(await writeJob(name, read, [operatorSample(name)]))
    } catch (error) {
      expect(error, name).toBeInstanceOf(UnsupportedError)
      expect((error as UnsupportedError).message).toMatch(/^Paddle Lite 2.12 has no kernels for: \w.* \(\d+\)$/)
      refused++
    }
  }
  expect(jobs.length).toBeGreaterThan(45)
  expect(refused).toBeLessThan(25)
  await judge(jobs)
})

test.runIf(python)('Paddle Lite gives what was recorded of networks, text encoders among them', async () => {
  const jobs: Job[] = []
  for (const { name, folder, files, parameters } of networks)
    for (const [form, file] of Object.entries(files))
      jobs.push(await writeJob(`${name}-${form}`, await readPaddleModel(file, { parameters }), modelSamples(folder)))
  expect(jobs.filter((j) => j.name.startsWith('ernie_tokencls')).length).toBe(2)
  await judge(jobs)
})

/** One operator that Paddle Lite computes otherwise under the same name. */
function lone(type: string, inputs: Readonly<Record<string, HostArray>>, attributes: Operation['attributes'] = {}) {
  const names = Object.keys(inputs)
  const program: OperatorProgram = {
    inputs: names.map((name) => ({ name, dtype: inputs[name]!.dtype, shape: inputs[name]!.shape })),
    outputs: [{ name: 'out', value: 'y' }],
    parameters: new Map(),
    operations: [{ type, inputs: Object.fromEntries(names.map((n) => [n, n])), outputs: { out: 'y' }, attributes }],
    values: new Map(),
    metadata: {},
  }
  return { program, inputs }
}

const whole = (dtype: 'int32' | 'int64', values: readonly number[], shape: Shape = [values.length]): HostArray => ({
  dtype,
  shape: [...shape],
  data: dtype === 'int64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values),
})
const floats = (values: readonly number[], shape: Shape = [values.length]): HostArray => ({
  dtype: 'float32',
  shape: [...shape],
  data: Float32Array.from(values),
})

test.runIf(python)(
  'remainders, quotients and padding that Paddle Lite computes otherwise are written in other words',
  async () => {
    const [a, b] = [
      [7, -7, 7, -7, 100, 0, 9],
      [3, 3, -3, -3, 7, 5, 3],
    ]
    const image = [1, -2, 3, 4, 5, 6]
    const pad = (value: number) => ({ paddings: [1, 1, 1, 0, 0, 0], mode: 'constant', pad_value: value })
    const cases = [
      ...(['int32', 'int64'] as const).flatMap((dtype) => [
        lone('remainder', { x: whole(dtype, a), y: whole(dtype, b) }),
        lone('floor_divide', { x: whole(dtype, a), y: whole(dtype, b) }),
        lone('pad3d', { x: whole(dtype, image, [1, 1, 1, 2, 3]) }, pad(2)),
      ]),
      lone('floor_divide', { x: floats(a), y: floats(b) }),
      lone('pad3d', { x: floats(image, [1, 1, 1, 2, 3]) }, pad(-1.5)),
      lone('pad3d', { x: floats(image, [1, 1, 2, 3, 1]) }, { ...pad(3e30), data_format: 'NDHWC' }),
    ]
    const jobs: Job[] = []
    for (const [i, { program, inputs }] of cases.entries()) {
      const layer = new TranslatedLayer(program)
      const out = layer(...Object.values(inputs).map((x) => fromHost(x))) as Tensor
      const sample = { inputs, outputs: [await out.hostArray()] }
      jobs.push(await writeJob(`lone-${i}-${program.operations[0]!.type}`, program, [sample]))
    }
    expect(jobs).toHaveLength(cases.length)
    await judge(jobs)
  },
)

test('what Paddle Lite computes otherwise and cannot be written in other words is refused by name', async () => {
  const x = floats([1, 2, 3, 4, 5, 6], [1, 1, 1, 2, 3])
  const refused = [
    [lone('remainder', { x, y: x }), 'elementwise_mod of float32 (1)'],
    [
      lone('pad3d', { x }, { paddings: [1, 1, 0, 0, 0, 0], pad_value: -Infinity }),
      'pad3d with the value -Infinity (1)',
    ],
  ] as const
  for (const [{ program }, message] of refused)
    await expect(writeModel(program, `${join(scratch, 'refused')}/`, 'nb')).rejects.toThrow(
      new UnsupportedError(`Paddle Lite 2.12 has no kernels for: ${message}`),
    )
})

interface Job {
  readonly name: string
  readonly files: PredictionJob
  readonly samples: readonly Sample[]
}

async function writeJob(name: string, read: OperatorProgram, samples: readonly Sample[]): Promise<Job> {
  const folder = join(scratch, name)
  const program = await writeModel(read, `${folder}/`, 'nb', { lite: { writer: 'own' } })
  const files = (what: string): string[] => samples.map((_, i) => join(folder, `${what}${i}.npz`))
  const [inputs, outputs] = [files('in'), files('out')]
  for (const [i, sample] of samples.entries()) await writeNpz(inputs[i]!, sample.inputs)
  return { name, samples, files: { program, parameters: '', inputs, outputs } }
}

async function judge(jobs: readonly Job[]): Promise<void> {
  await predictAll(
    python ?? '',
    'judge_lite.py',
    jobs.map((j) => j.files),
  )
  // Paddle Lite has no tensors without axes.
  const longAxes = ({ shape }: HostArray): number[] => shape.filter((d) => d !== 1)
  for (const { name, samples, files } of jobs)
    for (const [i, sample] of samples.entries()) {
      const made = outputsIn(files.outputs[i]!)
      for (const [k, expected] of sample.outputs.entries()) {
        expect(longAxes(made[k]!), name).toEqual(longAxes(expected))
        expect(largestDifference(made[k]!, expected), name).toBeLessThanOrEqual(1e-4)
      }
    }
}
