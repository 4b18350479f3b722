/** `longzhou infer MODEL --input name=x.npy --out DIR`: runs a model file of any format on arrays, and times it. */
import { mkdir, stat } from 'node:fs/promises'
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
import { withStorageErrors } from '../../io/storage-error.ts'
import { peakMemory } from '../../runtime/peak-memory.ts'
import type { CliCommand } from '../commands.ts'
import { UsageError } from '../errors.ts'
import { withStatus, type StatusLine } from '../status-line.ts'
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
    device: {
      type: 'string',
      description: 'Device: cpu, wasm, reference (slow, for tests); for onnxruntime cpu, gpu, tensorrt, webgpu',
    },
    threads: { type: 'string', description: 'Threads of a run; default LONGZHOU_NUM_THREADS, else the physical cores' },
    precision: { type: 'string', description: `Precision of products: ${precisions.join(', ')} (Default: float32)` },
    repeat: { type: 'string', description: 'Timed runs after the first (Default: 1)' },
    json: {
      type: 'boolean',
      description:
        'Print one JSON object as the last line: inputs, outputs, load_ms, first_ms, ms_min, ms_median, peak_mb',
    },
  },
  async run(args) {
    const repeat = positive(args['repeat'] ?? 1, 'repeat')
    const options = predictorOptions(args)
    const directory = args['out'] === undefined ? undefined : resolve(String(args['out']))
    if (directory !== undefined) await makeDirectory(directory)
    const run = await withStatus((status) => measure(args, options, repeat, status))
    const { inputs, outputs, times } = run
    const files = directory === undefined ? new Map<string, string>() : await write(directory, outputs)
    const described = Object.entries(outputs).map(([name, { shape, dtype }]) => ({
      name,
      shape,
      dtype,
      file: files.get(name),
    }))
    const report = {
      inputs: Object.entries(inputs).map(([name, { shape, dtype }]) => ({ name, shape, dtype })),
      outputs: described,
      load_ms: rounded(run.loadMs),
      first_ms: rounded(run.firstMs),
      ms_min: rounded(times[0]!),
      ms_median: rounded((times[(times.length - 1) >> 1]! + times[times.length >> 1]!) / 2),
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

interface Measured {
  readonly inputs: Readonly<Record<string, HostArray>>
  readonly outputs: Readonly<Record<string, HostArray>>
  readonly loadMs: number
  readonly firstMs: number
  /** Milliseconds of the runs after the first, in ascending order. */
  readonly times: readonly number[]
}

async function measure(
  args: Readonly<Record<string, unknown>>,
  options: Omit<PredictorOptions, 'model'>,
  repeat: number,
  status: StatusLine,
): Promise<Measured> {
  status.show(`loading ${String(args['model'])}`)
  const started = performance.now()
  const predictor = await createPredictor({ ...options, model: resolve(String(args['model'])) })
  const loaded = performance.now()
  const inputs = await readInputs(predictor, args['input'])
  status.show('first run: kernels that the cache lacks are compiled')
  const before = performance.now()
  let outputs = await predictor.run(inputs)
  const firstMs = performance.now() - before
  const times: number[] = []
  for (let i = 0; i < repeat; i++) {
    status.show(`run ${i + 1} of ${repeat}`)
    // Nobody looks at those of before: they need not stay beside the next ones.
    outputs = {}
    const from = performance.now()
    outputs = await predictor.run(inputs)
    times.push(performance.now() - from)
  }
  return { inputs, outputs, loadMs: loaded - started, firstMs, times: times.toSorted((a, b) => a - b) }
}

function predictorOptions(args: Readonly<Record<string, unknown>>): Omit<PredictorOptions, 'model'> {
  const { device, threads } = args
  const engine = chosen(args['engine'], 'engine', engineNames)
  const precision = chosen(args['precision'], 'precision', precisions)
  return {
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
    const { name, file } = await namedInput(text, names)
    if (name === undefined)
      throw new UsageError(`infer: --input '${text}' names no input; the model takes ${expected.join(', ')}`)
    if (name in inputs) throw new UsageError(`infer: the input '${name}' is given twice`)
    inputs[name] = await readNpy(resolve(file))
  }
  const missing = names.filter((n) => !(n in inputs))
  if (missing.length > 0)
    throw new UsageError(`infer: --input is missing for ${missing.join(', ')}; the model takes ${expected.join(', ')}`)
  return inputs
}

/** `NAME=FILE`, where names and files may hold `=` themselves; or FILE alone for a single input. */
async function namedInput(text: string, names: readonly string[]): Promise<{ name: string | undefined; file: string }> {
  const name = names.filter((n) => text.startsWith(`${n}=`)).toSorted((a, b) => b.length - a.length)[0]
  if (name !== undefined) return { name, file: text.slice(name.length + 1) }
  // Of a single input the name may be left out; what looks like another name is none of it, unless it is a file.
  const isFile = !text.includes('=') || (await stat(resolve(text)).catch(() => null)) !== null
  return { name: names.length === 1 && isFile ? names[0] : undefined, file: text }
}

async function makeDirectory(directory: string): Promise<void> {
  await withStorageErrors('making the directory', directory, () => mkdir(directory, { recursive: true }))
}

/** One file an output, named after it as far as file systems allow. */
async function write(directory: string, outputs: Readonly<Record<string, HostArray>>): Promise<Map<string, string>> {
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
