/** `longzhou infer MODEL --input name=x.npy --out DIR`: runs a model file of any format on arrays, and times it. */
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { HostArray } from '../../common/dtype.ts'
import {
  createPredictor,
  describePort,
  engineNames,
  precisions,
  type Predictor,
  type PredictorOptions,
} from '../../inference/index.ts'
import { readNpy, writeNpy } from '../../io/files.ts'
import { peakMemory } from '../../runtime/peak-memory.ts'
import type { CliCommand } from '../commands.ts'
import { UsageError } from '../errors.ts'
import { formatTable } from '../ui.ts'

export const command: CliCommand = {
  repeatable: ['input'],
  args: {
    model: {
      type: 'positional',
      description: 'Model: a file or a directory of any format, or a compiled model',
      required: true,
    },
    input: { type: 'string', description: 'NAME=FILE.npy, once for each input; NAME may be left out for a single one' },
    out: { type: 'string', description: 'Directory for one .npy an output' },
    engine: { type: 'string', description: `What runs it: ${engineNames.join(', ')}` },
    device: { type: 'string', description: 'Device: cpu, wasm, reference; for onnxruntime cpu, gpu, tensorrt' },
    threads: { type: 'string', description: 'Threads of a run; default the physical cores' },
    precision: { type: 'string', description: `Precision of products: ${precisions.join(', ')} (Default: float32)` },
    repeat: { type: 'string', description: 'Timed runs after the first (Default: 1)' },
    json: { type: 'boolean', description: 'Print one JSON object as the last line' },
  },
  async run(args) {
    const repeat = positive(args['repeat'] ?? 1, 'repeat')
    const options = predictorOptions(args)

    const started = performance.now()
    const predictor = await createPredictor(options)
    const loaded = performance.now()
    const inputs = await readInputs(predictor, args['input'])
    const before = performance.now()
    let outputs = await predictor.run(inputs)
    const first = performance.now() - before
    const times: number[] = []
    for (let i = 0; i < repeat; i++) {
      // Nobody looks at those of before: they need not stay beside the next ones.
      outputs = {}
      const from = performance.now()
      outputs = await predictor.run(inputs)
      times.push(performance.now() - from)
    }
    times.sort((a, b) => a - b)

    const files =
      args['out'] === undefined ? new Map<string, string>() : await write(resolve(String(args['out'])), outputs)
    const described = Object.entries(outputs).map(([name, { shape, dtype }]) => ({
      name,
      shape,
      dtype,
      file: files.get(name),
    }))
    const report = {
      inputs: Object.entries(inputs).map(([name, { shape, dtype }]) => ({ name, shape, dtype })),
      outputs: described,
      load_ms: rounded(loaded - started),
      first_ms: rounded(first),
      ms_min: rounded(times[0]!),
      ms_median: rounded(times[times.length >> 1]!),
      peak_mb: rounded(peakMemory()),
    }
    if (args['json']) {
      process.stdout.write(`${JSON.stringify(report)}\n`)
      return
    }
    const rows = described.map((o) => [o.name, o.dtype, `[${o.shape.join(', ')}]`, o.file ?? ''])
    process.stdout.write(
      `${formatTable([['output', 'dtype', 'shape', 'file'], ...rows])}\nloaded in ${report.load_ms} ms, first run ${report.first_ms} ms, then ${report.ms_median} ms (best ${report.ms_min}) over ${repeat}; peak memory ${report.peak_mb} MiB\n`,
    )
  },
}

function predictorOptions(args: Readonly<Record<string, unknown>>): PredictorOptions {
  const { device, threads } = args
  const engine = chosen(args['engine'], 'engine', engineNames)
  const precision = chosen(args['precision'], 'precision', precisions)
  return {
    model: resolve(String(args['model'])),
    ...(engine !== undefined && { engine }),
    ...(device !== undefined && { device: String(device) }),
    ...(threads !== undefined && { threads: positive(threads, 'threads') }),
    ...(precision !== undefined && { precision }),
  }
}

function chosen<T extends string>(value: unknown, name: string, choices: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  const found = choices.find((c) => c === value)
  if (found === undefined)
    throw new UsageError(`infer: --${name} must be one of ${choices.join(', ')}, got '${String(value)}'`)
  return found
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000

function positive(value: unknown, name: string): number {
  const n = Number(value)
  if (!Number.isInteger(n) || n < 1)
    throw new UsageError(`infer: --${name} must be a positive integer, got '${String(value)}'`)
  return n
}

async function readInputs(predictor: Predictor, given: unknown): Promise<Record<string, HostArray>> {
  const texts = given === undefined ? [] : Array.isArray(given) ? given.map(String) : [String(given)]
  const names = predictor.inputs.map((i) => i.name)
  const expected = predictor.inputs.map(describePort)
  const inputs: Record<string, HostArray> = {}
  for (const text of texts) {
    const at = text.indexOf('=')
    const name = at > 0 && names.includes(text.slice(0, at)) ? text.slice(0, at) : names.length === 1 ? names[0]! : ''
    if (name === '') throw new UsageError(`infer: '${text}' names no input; the model takes ${expected.join(', ')}`)
    if (name in inputs) throw new UsageError(`infer: the input '${name}' is given twice`)
    inputs[name] = await readNpy(resolve(name === text.slice(0, at) ? text.slice(at + 1) : text))
  }
  const missing = names.filter((n) => !(n in inputs))
  if (missing.length > 0)
    throw new UsageError(`infer: --input is missing for ${missing.join(', ')}; the model takes ${expected.join(', ')}`)
  return inputs
}

/** One file an output, named after it as far as file systems allow. */
async function write(directory: string, outputs: Readonly<Record<string, HostArray>>): Promise<Map<string, string>> {
  await mkdir(directory, { recursive: true })
  const files = new Map<string, string>()
  const taken = new Set<string>()
  for (const [name, array] of Object.entries(outputs)) {
    const base = name.replaceAll(/[^\w.-]/g, '_')
    let file = base
    for (let n = 1; taken.has(file); n++) file = `${base}_${n}`
    taken.add(file)
    const path = join(directory, `${file}.npy`)
    await writeNpy(path, array)
    files.set(name, path)
  }
  return files
}
