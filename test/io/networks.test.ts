/**
 * Networks of PP-OCR v2 to v5, classifiers and text encoders, made and exported by PaddlePaddle 3.3.1 (PIR) and 2.6.2 (legacy): they are read, run,
 * written in every format, and what is written is run by PaddlePaddle, ONNX Runtime and Paddle Lite.
 */
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readModel, writeModel, type ModelFormat } from '../../src/io/formats/model-files.ts'
import { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../../src/io/formats/program/program.ts'
import { getDevice, setDevice } from '../../src/tensor/device.ts'
import {
  differenceFrom,
  makeNetworks,
  outputsIn,
  predictAll,
  runRecording,
  type MadeNetwork,
  type PredictionJob,
} from '../support/networks.ts'
import { onnxPython } from '../support/onnx.ts'
import { paddle26Python, paddlePython } from '../support/paddle.ts'
import { paddleLitePython } from '../support/paddlelite.ts'
import { makeScratch } from '../support/scratch.ts'

const [paddle, paddle26, onnx, lite] = [paddlePython(), paddle26Python(), onnxPython(), paddleLitePython()]
interface Source {
  readonly format: 'pir' | 'pdmodel'
  readonly folder: string
  networks: readonly MadeNetwork[]
}

const scratch = makeScratch('networks')
const sources: Source[] = [
  { format: 'pir', folder: join(scratch, 'pir'), networks: [] },
  { format: 'pdmodel', folder: join(scratch, 'pdmodel'), networks: [] },
]
const programs = new Map<string, OperatorProgram>()
const writings = new Map<string, readonly PredictionJob[]>()
const device = getDevice()

beforeAll(async () => {
  // Its kernels need no compiler, which for hundreds of small ones would take longer than all else.
  setDevice('wasm')
  const pythons = { pir: paddle, pdmodel: paddle26 }
  await Promise.all(
    sources.map(async (source) => {
      const python = pythons[source.format]
      if (python !== undefined) source.networks = await makeNetworks(python, source.folder)
    }),
  )
})
afterAll(() => {
  setDevice(device)
  rmSync(scratch, { recursive: true, force: true })
})

const endings = { pir: '.json', pdmodel: '.pdmodel', onnx: '.onnx', nb: '.nb', safetensors: '.safetensors' } as const
const recordings = ({ folder }: Source, { name, samples }: MadeNetwork): string[] =>
  Array.from({ length: samples }, (_, i) => join(folder, name, `${i}.npz`))

async function programOf(source: Source, network: MadeNetwork): Promise<OperatorProgram> {
  const path = join(source.folder, network.name, `inference${endings[source.format]}`)
  const program = programs.get(path) ?? (await readModel(path))
  programs.set(path, program)
  return program
}

/** What is wrong with a program, in words. */
async function problemsOf(what: string, program: OperatorProgram, paths: readonly string[]): Promise<string[]> {
  const layer = new TranslatedLayer(program)
  const problems: string[] = []
  for (const path of paths) {
    const difference = differenceFrom(path, await runRecording(layer, program, path))
    if (difference !== null) problems.push(`${what}: ${difference}`)
  }
  return problems
}

/** Every network of a source, written in a format, once. */
async function written(source: Source, format: ModelFormat): Promise<readonly PredictionJob[]> {
  const key = `${source.format}-${format}`
  const known = writings.get(key)
  if (known) return known
  const jobs: PredictionJob[] = []
  writings.set(key, jobs)
  for (const network of source.networks) {
    const folder = join(scratch, `${source.format}-${format}`, network.name)
    const program = await writeModel(await programOf(source, network), `${folder}/`, format)
    const inputs = recordings(source, network)
    const outputs = inputs.map((_, i) => join(folder, `out${i}.npz`))
    jobs.push({ program, parameters: join(folder, 'inference.pdiparams'), inputs, outputs })
  }
  return jobs
}

/** Runs jobs in a real program, each folder's outputs beside the recording. */
async function judge(python: string, script: string, jobs: readonly PredictionJob[]): Promise<string[]> {
  await predictAll(python, script, jobs)
  return jobs.flatMap(({ program, inputs, outputs }) =>
    inputs.flatMap((path, i) => {
      const difference = differenceFrom(path, outputsIn(outputs[i]!))
      return difference === null ? [] : [`${program}: ${difference}`]
    }),
  )
}

/** The work takes seconds; where other work has the processors, a process waits for long. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

test.runIf(paddle26 && lite)(
  "Paddle Lite's opt writes .nb where it is installed, and its runtime gives the same",
  async () => {
    const source = sources[1]!
    vi.stubEnv('LONGZHOU_PADDLE_LITE_OPT', join(dirname(lite ?? ''), 'paddle_lite_opt'))
    const problems: string[] = []
    const jobs: PredictionJob[] = []
    try {
      for (const network of source.networks.filter((n) =>
        ['cls-v2', 'det-v3-mobile', 'rec-v4-mobile', 'bert'].includes(n.name),
      )) {
        const folder = join(scratch, 'opt', network.name)
        const lite = { writer: 'opt', targets: ['x86'] } as const
        const program = await writeModel(await programOf(source, network), `${folder}/`, 'nb', { lite })
        const inputs = recordings(source, network)
        problems.push(...(await problemsOf(`opt ${network.name}`, await readModel(program), inputs)))
        jobs.push({ program, parameters: '', inputs, outputs: inputs.map((_, i) => join(folder, `out${i}.npz`)) })
      }
    } finally {
      vi.unstubAllEnvs()
    }
    expect(jobs.length).toBe(4)
    expect(problems).toEqual([])
    expect(await judge(lite ?? '', 'judge_lite.py', jobs)).toEqual([])
  },
)

describe.each(sources)('networks exported as $format', (source) => {
  const python = source.format === 'pir' ? paddle : paddle26

  test.runIf(python)('are read and give what the real predictor gives', async () => {
    expect(source.networks.length).toBeGreaterThan(20)
    const problems: string[] = []
    for (const network of source.networks)
      problems.push(...(await problemsOf(network.name, await programOf(source, network), recordings(source, network))))
    expect(problems).toEqual([])
  })

  test.runIf(python)('are written in every format and read again', async () => {
    const problems: string[] = []
    for (const format of ['pir', 'pdmodel', 'onnx', 'nb'] as const)
      for (const { program, inputs } of await written(source, format))
        problems.push(...(await problemsOf(program, await readModel(program), inputs.slice(0, 1))))
    expect(problems).toEqual([])
  })

  test.runIf(python && paddle)('as PIR run in PaddlePaddle 3.3.1', async () => {
    expect(await judge(paddle!, 'predict.py', await written(source, 'pir'))).toEqual([])
  })

  test.runIf(python && paddle26)('as .pdmodel run in PaddlePaddle 2.6.2', async () => {
    expect(await judge(paddle26!, 'predict.py', await written(source, 'pdmodel'))).toEqual([])
  })

  test.runIf(python && onnx)('as ONNX satisfy onnx.checker and run in ONNX Runtime', async () => {
    expect(await judge(onnx!, 'judge_onnx.py', await written(source, 'onnx'))).toEqual([])
  })

  test.runIf(python && lite)('as .nb run in Paddle Lite', async () => {
    const jobs = await written(source, 'nb')
    expect(jobs.length).toBe(source.networks.length)
    expect(await judge(lite!, 'judge_lite.py', jobs)).toEqual([])
  })
})
