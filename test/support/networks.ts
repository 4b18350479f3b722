/** Networks that the real PaddlePaddle makes and exports (test/support/networks/), and real programs that run what is written of them. */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { getElement, type HostArray } from '../../src/common/dtype.ts'
import type { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../../src/io/formats/program/program.ts'
import { parseNpz } from '../../src/io/npz.ts'
import { noGrad } from '../../src/tensor/autograd.ts'
import { tensorsIn } from '../../src/tensor/nested.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { largestDifference } from './program-cases.ts'
import { ROOT } from './scratch.ts'

export interface MadeNetwork {
  readonly name: string
  /** How many runs of Paddle's predictor are recorded. */
  readonly samples: number
}

/** A model file, and where its runs are: recordings with inputs by name, files that get outputs. */
export interface PredictionJob {
  readonly program: string
  readonly parameters: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

const run = promisify(execFile)

/** Runs a script of test/support/networks and parses the JSON in the last line of its output. */
export async function runScript(python: string, script: string, args: readonly string[]): Promise<unknown> {
  const path = join(ROOT, 'test/support/networks', script)
  const env = { ...process.env, OMP_NUM_THREADS: String(Math.min(2, availableParallelism())) }
  const options = { encoding: 'utf8', maxBuffer: 1 << 28, env } as const
  const { stdout } = await run(python, ['-B', '-W', 'ignore', path, ...args], options)
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
}

/** Exports the networks of the catalogue into `folder`, a folder each. */
export async function makeNetworks(python: string, folder: string): Promise<MadeNetwork[]> {
  return (await runScript(python, 'make.py', [folder])) as MadeNetwork[]
}

/** Lets a real program run jobs: `predict.py` (Paddle), `judge_onnx.py` or `judge_lite.py`. */
export async function predictAll(python: string, script: string, jobs: readonly PredictionJob[]): Promise<void> {
  const folder = join(jobs[0]!.outputs[0]!, '..')
  mkdirSync(folder, { recursive: true })
  const list = join(folder, 'jobs.json')
  writeFileSync(list, JSON.stringify(jobs))
  await runScript(python, script, [list])
}

/** The outputs that a recording or a job's file holds. */
export function outputsIn(path: string): HostArray[] {
  const arrays = parseNpz(readFileSync(path))
  const outputs: HostArray[] = []
  for (let i = 0; arrays[`out${i}`]; i++) outputs.push(arrays[`out${i}`]!)
  return outputs
}

/** What a program makes of the inputs of a recording. */
export async function runRecording(
  layer: TranslatedLayer,
  program: OperatorProgram,
  path: string,
): Promise<HostArray[]> {
  const arrays = parseNpz(readFileSync(path))
  const made = noGrad(() => tensorsIn(layer(...program.inputs.map(({ name }) => fromHost(arrays[name]!)))))
  return Promise.all(made.map((t) => t.hostArray()))
}

/** How outputs differ from those of a recording, in words: by more than 1e-4 of the largest value, of 1 where that is less. Null: they do not. */
export function differenceFrom(path: string, got: readonly HostArray[]): string | null {
  const wanted = outputsIn(path)
  if (got.length !== wanted.length) return `${got.length} outputs for ${wanted.length}`
  for (const [k, want] of wanted.entries()) {
    const own = got[k]!
    const words = (a: HostArray): string => `${a.dtype} [${a.shape.join(', ')}]`
    if (words(own) !== words(want)) return `output ${k}: ${words(own)} for ${words(want)}`
    let scale = 1
    for (let i = 0; i < want.data.length; i++) scale = Math.max(scale, Math.abs(getElement(want.dtype, want.data, i)))
    const difference = largestDifference(own, want) / scale
    if (difference > 1e-4) return `output ${k} differs by ${difference}`
  }
  return null
}
