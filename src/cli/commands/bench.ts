/**
 * `longzhou bench`: training steps, products and convolutions, against the peers where bench/setup.sh has made them; with `--workload` or
 * `--sweep` ours alone, for a profiler, a script or the comparison itself.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { CpuBackend } from '../../runtime/cpu/backend.ts'
import { detectCpuFeatures } from '../../runtime/cpu-features.ts'
import { backendOf, getDevice } from '../../tensor/device.ts'
import type { CliCommand } from '../commands.ts'
import { EXIT } from '../errors.ts'
import { formatTable } from '../ui.ts'
import { checkBenchArguments, type BenchArguments } from './bench/arguments.ts'
import { compare } from './bench/compare.ts'
import { renderPage } from './bench/markdown.ts'
import type { Results } from './bench/results.ts'
import { runSweepCase, sweepCases } from './bench/sweep.ts'
import { runWorkload, WORKLOADS } from './bench/workloads.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** Threads of the native pool; other devices have their own way. */
function useThreads(threads: number | undefined): void {
  const backend = backendOf(getDevice())
  if (threads !== undefined && backend instanceof CpuBackend) backend.setNumThreads(threads)
}

async function workloadAlone(name: string, args: BenchArguments): Promise<void> {
  useThreads(args.threads)
  const workload = WORKLOADS.find((w) => w.name === name)!
  const run = await runWorkload(workload, { steps: args.steps, bfloat16: args.bfloat16 })
  if (args.json) return say(JSON.stringify(run))
  say(`${name}: ${workload.description}`)
  say(formatTable(Object.entries(run).map(([key, value]) => [key, String(value)])))
}

async function sweepAlone(pattern: string, args: BenchArguments): Promise<void> {
  useThreads(args.threads)
  const cases = sweepCases(pattern)
  const width = Math.max(0, ...cases.map((c) => c.name.length))
  for (const c of cases) {
    const run = await runSweepCase(c, args.budgetMs)
    const columns = `${run.gflops.toFixed(1).padStart(8)} GFLOP/s ${run.ms_min.toFixed(3).padStart(10)} ms`
    say(args.json ? JSON.stringify(run) : `${c.name.padEnd(width)} ${columns}`)
  }
}

/** Writes the results and the page made from them; a quick run does not replace those of a whole one. */
async function writeResults(folder: string, results: Results): Promise<string[]> {
  const base = results.quick ? join(folder, 'out') : folder
  const files = [
    { path: join(base, 'bench/results.json'), text: `${JSON.stringify(results, null, 2)}\n` },
    { path: join(base, results.quick ? 'bench/benchmarks.md' : 'docs/benchmarks.md'), text: renderPage(results) },
  ]
  for (const { path, text } of files) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
  return files.map(({ path }) => relative('.', path))
}

async function compareAll(args: BenchArguments): Promise<number> {
  const folder = resolve('.')
  const threads = args.threads ?? detectCpuFeatures().physicalCores
  const { quick, rounds, steps, json } = args
  const tell = (text: string): void => void process.stderr.write(`${text}\n`)
  const results = await compare({ folder, quick, rounds, steps, threads, say: tell })
  const files = await writeResults(folder, results)
  say(json ? JSON.stringify(results) : renderPage(results))
  tell(`written: ${files.join(', ')}`)
  // Ours must have run; peers may be missing.
  const complete = results.workloads.every((w) => w.contestants.some((c) => c.peer.startsWith('longzhou')))
  return complete ? EXIT.ok : EXIT.failure
}

export const command: CliCommand = {
  args: {
    workload: {
      type: 'string',
      description: `Run this workload of ours alone: ${WORKLOADS.map((w) => w.name).join(', ')}`,
    },
    sweep: {
      type: 'string',
      description:
        'Run products and convolutions of ours alone, those whose name holds this text (conv, 2048, ...), or all',
    },
    steps: { type: 'string', description: 'Timed steps of each run', default: '7' },
    rounds: {
      type: 'string',
      description: 'Times that each contestant runs in the comparison; 5, or 1 with --quick',
    },
    threads: { type: 'string', description: 'Threads of every contestant; default the physical cores' },
    amp: { type: 'string', description: 'With --workload: bf16 for mixed precision' },
    'budget-ms': { type: 'string', description: 'With --sweep: time for each case', default: '200' },
    quick: { type: 'boolean', description: 'A smoke run of a minute or two; its results go to out/bench' },
    json: { type: 'boolean', description: 'Print JSON: one line a run, or all results of the comparison' },
  },
  async run(raw) {
    const args = checkBenchArguments(
      raw,
      WORKLOADS.map((w) => w.name),
    )
    if (args.workload !== undefined) await workloadAlone(args.workload, args)
    else if (args.sweep !== undefined) await sweepAlone(args.sweep, args)
    else return compareAll(args)
    return EXIT.ok
  },
}
