/** Paddle's inference models: what the real predictor gave, from all forms that Paddle writes, and again from what is written here. */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readNpz, writeNpz } from '../../src/io/files.ts'
import { parseInferenceConfig, readPaddleModel, writePaddleModel } from '../../src/io/formats/paddle/index.ts'
import type { OperatorProgram } from '../../src/io/formats/program/program.ts'
import { askPaddle, paddle26Python, paddlePython } from '../support/paddle.ts'
import {
  expectSample,
  largestDifference,
  MODELS,
  modelSamples,
  networks,
  operatorPrograms,
  operatorSample,
  PROGRAMS,
  SHARED_MODELS,
  type Sample,
} from '../support/program-cases.ts'
import { makeScratch } from '../support/scratch.ts'

const FORMS = ['legacy.pdmodel', 'pir.json', 'pir30.json'] as const
const FORMATS = ['pdmodel', 'pir'] as const
const scratch = makeScratch('paddle-models')

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

describe.each(FORMS)('one operator, %s', (form) => {
  test.each(operatorPrograms)('%s', async (name) => {
    await expectSample(await readPaddleModel(join(PROGRAMS, name, form)), operatorSample(name))
  })
})

describe.each(networks)('$name', ({ folder, files, parameters }) => {
  test.each(Object.entries(files))('read from %s', async (_, file) => {
    const program = await readPaddleModel(file, { parameters })
    for (const sample of modelSamples(folder)) await expectSample(program, sample)
  })
})

test.runIf(existsSync(SHARED_MODELS))('the larger networks, ../shared/fixtures/models, are among them', () => {
  expect(networks.filter((n) => n.name.startsWith('shared')).length).toBeGreaterThan(2)
})

/** A program written and read again. */
async function again(program: OperatorProgram, format: 'pdmodel' | 'pir', name: string): Promise<OperatorProgram> {
  const path = join(scratch, name, format, 'inference')
  await writePaddleModel(path, program, { format })
  return readPaddleModel(join(scratch, name, format))
}

describe.each(FORMATS)('written as %s and read again', (format) => {
  test.each(operatorPrograms)('%s', async (name) => {
    for (const form of ['legacy.pdmodel', 'pir30.json']) {
      const program = await readPaddleModel(join(PROGRAMS, name, form))
      await expectSample(await again(program, format, `${name}-${form}`), operatorSample(name))
    }
  })

  test.each(networks)('$name', async ({ name, folder, files, parameters }) => {
    for (const [form, file] of Object.entries(files)) {
      const program = await readPaddleModel(file, { parameters })
      const read = await again(program, format, `${name}-${form}`)
      expect([...read.parameters.keys()].sort()).toEqual([...program.parameters.keys()].sort())
      expect([...read.parameters.values()].filter((p) => p.trainable).length).toBe(
        [...program.parameters.values()].filter((p) => p.trainable).length,
      )
      expect(read.inputs).toEqual(program.inputs)
      expect(read.metadata).toEqual(program.metadata)
      for (const sample of modelSamples(folder)) await expectSample(read, sample)
    }
  })
})

test('what is written twice is the same program', async () => {
  const { files, parameters } = networks[0]!
  for (const format of FORMATS) {
    const once = await again(await readPaddleModel(files['legacy']!, { parameters }), format, `once-${format}`)
    const twice = await again(once, format, `twice-${format}`)
    const shape = (p: OperatorProgram) => p.operations.map((o) => [o.type, o.attributes, Object.keys(o.inputs)])
    expect(shape(twice)).toEqual(shape(once))
    expect(twice.outputs.map((o) => o.name)).toEqual(once.outputs.map((o) => o.name))
  }
})

test('inference.yml travels with the program, as text and in a typed form', async () => {
  const program = await readPaddleModel(join(MODELS, 'ch_ppocr_mobile_v2.0_cls/inference.pdmodel'))
  const config = parseInferenceConfig(program.metadata['inference.yml']!)
  expect(config.preProcess.map((s) => s.name)).toContain('ClsResizeImg')
  expect(config.postProcess?.name).toBe('ClsPostProcess')
})

/** Runs models in the real predictor: for each its files, the inputs as .npz, and where outputs go. */
const RUN = `
import json, sys, numpy as np
import paddle.inference as inference
jobs = json.load(sys.stdin)
for job in jobs:
    config = inference.Config(job['program'], job['parameters'])
    config.disable_gpu()
    config.disable_glog_info()
    # oneDNN of 3.3.1 refuses the attributes of nearest_interp, in its own exports, too.
    getattr(config, 'disable_mkldnn', lambda: None)()
    predictor = inference.create_predictor(config)
    arrays = np.load(job['inputs'])
    for name in predictor.get_input_names():
        predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(arrays[name]))
    predictor.run()
    outputs = [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]
    np.savez(job['outputs'], **{'out%d' % i: o for i, o in enumerate(outputs)})
print(json.dumps(len(jobs)))
`

interface Job {
  readonly name: string
  readonly sample: Sample
  readonly program: string
  readonly parameters: string
  readonly inputs: string
  readonly outputs: string
}

async function writeJob(
  program: OperatorProgram,
  sample: Sample,
  format: 'pdmodel' | 'pir',
  name: string,
): Promise<Job> {
  const folder = join(scratch, 'asked', name.replaceAll(' ', '-'), format)
  await writePaddleModel(join(folder, 'inference'), program, { format })
  await writeNpz(join(folder, 'inputs.npz'), sample.inputs)
  const parameters = join(folder, 'inference.pdiparams')
  return {
    name: `${name} as ${format}`,
    sample,
    program: join(folder, format === 'pir' ? 'inference.json' : 'inference.pdmodel'),
    parameters: existsSync(parameters) ? parameters : '',
    inputs: join(folder, 'inputs.npz'),
    outputs: join(folder, 'outputs.npz'),
  }
}

/** Paddle 2.6.2 weighs positive labels wrongly, in its own exports, too. */
const WRONG_IN_26 = new Set(['bce_logits'])

const realOnes = [
  { version: '3.3.1', python: paddlePython(), formats: FORMATS, wrong: new Set<string>() },
  { version: '2.6.2', python: paddle26Python(), formats: ['pdmodel'] as const, wrong: WRONG_IN_26 },
]

describe.each(realOnes)('PaddlePaddle $version', ({ python, formats, wrong }) => {
  test.runIf(python)('runs what is written, and gives what was recorded', async () => {
    const jobs: Job[] = []
    for (const format of formats) {
      for (const name of operatorPrograms) {
        if (wrong.has(name)) continue
        for (const form of ['legacy.pdmodel', 'pir30.json'])
          jobs.push(
            await writeJob(
              await readPaddleModel(join(PROGRAMS, name, form)),
              operatorSample(name),
              format,
              `${name} from ${form}`,
            ),
          )
      }
      for (const { name, folder, files, parameters } of networks)
        for (const [form, file] of Object.entries(files))
          for (const [i, sample] of modelSamples(folder).entries())
            jobs.push(
              await writeJob(await readPaddleModel(file, { parameters }), sample, format, `${name} ${i} from ${form}`),
            )
    }
    const files = jobs.map(({ program, parameters, inputs, outputs }) => ({ program, parameters, inputs, outputs }))
    expect(askPaddle(python ?? '', RUN, files)).toBe(jobs.length)
    for (const { name, outputs, sample } of jobs) {
      const made = await readNpz(outputs)
      sample.outputs.forEach((expected, i) => {
        expect(made[`out${i}`]?.shape, name).toEqual(expected.shape)
        expect(largestDifference(made[`out${i}`]!, expected), name).toBeLessThanOrEqual(1e-4)
      })
    }
  })
})
