/**
 * Models compiled ahead of time beside predictors that plan and compile as they run, in turn, each run in a process of its own:
 *
 *     npx tsx bench/compiled.ts MODEL --shape x=1x3x640x640 [--target native] [--threads 1,2] [--rounds 3] [--repeat 20]
 *
 * MODEL is what `longzhou compile` takes; `--shape` for one choice of shapes. The kernel cache of the predictor is warm. Prints sizes, and a line
 * for each number of threads.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Manifest } from '../src/inference/index.ts'
import { readModelArgument } from '../src/cli/model-argument.ts'
import { writeNpy } from '../src/io/files.ts'
import { writeModel } from '../src/io/formats/model-files.ts'
import { drawSamples } from '../src/io/formats/proof.ts'

interface Times {
  readonly load_ms: number
  readonly first_ms: number
  readonly ms_median: number
  readonly peak_mb: number
}

const root = fileURLToPath(new URL('..', import.meta.url))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    shape: { type: 'string' },
    target: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    repeat: { type: 'string', default: '20' },
  },
})
const [model] = positionals
if (!model) throw new Error('give a model: npx tsx bench/compiled.ts MODEL --shape x=1x3x640x640')

const longzhou = (...args: readonly string[]): string =>
  execFileSync(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
const lastJson = (text: string): unknown => JSON.parse(text.trimEnd().split('\n').at(-1)!)
const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!

const directory = mkdtempSync(join(tmpdir(), 'longzhou-compiled-'))
try {
  const program = await readModelArgument(model)
  const out = join(directory, 'compiled')
  const shape = values.shape === undefined ? [] : ['--shape', values.shape]
  const compiled = lastJson(longzhou('compile', model, out, '--target', values.target, ...shape, '--json')) as {
    readonly manifest: Manifest
    readonly ms: number
  }
  const { library, weights } = compiled.manifest
  const kib = (file: string): string => `${Math.round(statSync(join(out, file)).size / 1024)} KiB`
  console.log(
    `compiled for ${values.target} in ${(compiled.ms / 1000).toFixed(1)} s: library ${kib(library!.file)}, weights ${kib(weights.file)}`,
  )
  const plain = await writeModel(program, join(directory, 'model.safetensors'))
  const inputs: string[] = []
  for (const [i, array] of drawSamples(program, [compiled.manifest.shapes[0]!.inputs])[0]!.entries()) {
    const file = join(directory, `${i}.npy`)
    await writeNpy(file, array)
    inputs.push('--input', `${program.inputs[i]!.name}=${file}`)
  }
  const run = (path: string, threads: string, repeat = values.repeat): Times =>
    lastJson(longzhou('infer', path, ...inputs, '--threads', threads, '--repeat', repeat, '--json')) as Times
  for (const threads of values.threads.split(',')) {
    run(plain, threads, '1')
    const ours: Times[] = []
    const theirs: Times[] = []
    for (let i = 0; i < Number(values.rounds); i++) {
      ours.push(run(out, threads))
      theirs.push(run(plain, threads))
    }
    const line = (key: keyof Times): string =>
      `${median(ours.map((t) => t[key])).toFixed(2)} / ${median(theirs.map((t) => t[key])).toFixed(2)}`
    const ratio = median(ours.map((t, i) => t.ms_median / theirs[i]!.ms_median))
    console.log(
      `${threads} threads: ${line('ms_median')} ms, ratio ${ratio.toFixed(2)}; load ${line('load_ms')} ms, first run ${line('first_ms')} ms, peak ${line('peak_mb')} MiB (compiled / predictor)`,
    )
  }
  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, node ${process.version}`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
