/** Programs of one or few operators, written as `.nb` by our own writer and run by Paddle Lite's light predictor, as the recorded predictor ran them. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import { FormatError } from '../../src/common/errors.ts'
import { writeNpz } from '../../src/io/files.ts'
import { writeModel } from '../../src/io/formats/model-files.ts'
import { readPaddleModel } from '../../src/io/formats/paddle/index.ts'
import type { OperatorProgram } from '../../src/io/formats/program/program.ts'
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

/** conv3d and scatter are there for Arm only; the host's pad3d takes no notice of its value, in files of `opt`, too. */
const notOnX86 = new Set(['conv3d', 'scatter', 'pad_constant'])

test.runIf(python)('Paddle Lite gives what was recorded, or the operators that it lacks are named', async () => {
  const jobs: Job[] = []
  let refused = 0
  for (const name of operatorPrograms.filter((n) => !notOnX86.has(n))) {
    const read = await readPaddleModel(join(PROGRAMS, name, 'legacy.pdmodel'))
    try {
      jobs.push(await writeJob(name, read, [operatorSample(name)]))
    } catch (error) {
      expect(error, name).toBeInstanceOf(FormatError)
      expect((error as FormatError).message).toMatch(/^Paddle Lite 2.12 has no kernels for: \w.* \(\d+\)$/)
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
