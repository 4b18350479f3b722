/**
 * Inference times beside ONNX Runtime's, in turn, each run in a process of its own:
 *
 *     npx tsx bench/inference.ts MODEL --shape x=1,3,640,640 [--threads 1,2] [--rounds 3] [--repeat 20]
 *
 * MODEL is of any format; ONNX Runtime gets it converted. Its Python is `.cache/venv-onnx` (scripts/setup-onnx.sh), or LONGZHOU_ONNX_PYTHON.
 * Prints a line for each number of threads, and the machine.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { writeNpy } from '../src/io/files.ts'
import { readModel, writeModel } from '../src/io/formats/model-files.ts'
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
    shape: { type: 'string', multiple: true, default: [] },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    repeat: { type: 'string', default: '20' },
  },
})
const [model] = positionals
if (!model) throw new Error('give a model: npx tsx bench/inference.ts MODEL --shape x=1,3,640,640')
const python = process.env['LONGZHOU_ONNX_PYTHON'] ?? join(root, '.cache/venv-onnx/bin/python')

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!
const directory = mkdtempSync(join(tmpdir(), 'longzhou-inference-'))
try {
  const program = await readModel(resolve(model))
  const shapes = new Map(
    values.shape.map((text): [string, number[]] => {
      const [name, sizes] = text.split('=') as [string, string]
      return [name, sizes.split(',').map(Number)]
    }),
  )
  const round = program.inputs.map((i) => shapes.get(i.name) ?? i.shape)
  const [sample] = drawSamples(program, [round])
  const inputs: string[] = []
  for (const [i, array] of sample!.entries()) {
    const file = join(directory, `${i}.npy`)
    await writeNpy(file, array)
    inputs.push('--input', `${program.inputs[i]!.name}=${file}`)
  }
  const onnx = await writeModel(program, join(directory, 'model.onnx'))
  const run = (command: string, args: readonly string[]): Times => {
    const out = execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
    return JSON.parse(out.trimEnd().split('\n').at(-1)!) as Times
  }
  for (const threads of values.threads.split(',')) {
    const options = [...inputs, '--threads', threads, '--repeat', values.repeat]
    const ours: Times[] = []
    const theirs: Times[] = []
    for (let i = 0; i < Number(values.rounds); i++) {
      ours.push(
        run(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'infer', resolve(model), ...options, '--json']),
      )
      theirs.push(run(python, ['bench/peers/ort_infer.py', onnx, ...options]))
    }
    const line = (key: keyof Times): string =>
      `${median(ours.map((t) => t[key])).toFixed(2)} / ${median(theirs.map((t) => t[key])).toFixed(2)}`
    const ratio = median(ours.map((t, i) => t.ms_median / theirs[i]!.ms_median))
    console.log(
      `${threads} threads: ${line('ms_median')} ms, ratio ${ratio.toFixed(2)}; first run ${line('first_ms')} ms, load ${line('load_ms')} ms, peak ${line('peak_mb')} MiB (ours / ONNX Runtime)`,
    )
  }
  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, node ${process.version}`)
} finally {
  rmSync(directory, { recursive: true })
}
