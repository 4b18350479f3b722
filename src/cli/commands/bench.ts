/**
 * `longzhou bench`: training steps, first steps, walks over new sizes, products and convolutions, against the peers where bench/setup.sh has
 * made them; with `--workload`, `--kernels`, `--arena`, `--walk` or `--sweep` ours alone, for a profiler, a script or the comparison itself.
 */
import { resolve } from 'node:path'
import { detectCpuFeatures } from '../../runtime/cpu-features.ts'
import type { CliCommand } from '../commands.ts'
import { EXIT } from '../errors.ts'
import { newSeed, runAlone } from './bench/alone.ts'
import { checkBenchArguments, PARTS, type BenchArguments } from './bench/arguments.ts'
import { compare, rewritePage } from './bench/compare.ts'
import { renderPage } from './bench/markdown.ts'
import { WALKS } from './bench/walks.ts'
import { WORKLOADS } from './bench/workloads.ts'

const tell = (text: string): void => void process.stderr.write(`${text}\n`)

/** Progress with the time of day, since a whole run takes long. */
const progress = (text: string): void => tell(`${new Date().toTimeString().slice(0, 8)} ${text}`)

async function compareAll(args: BenchArguments): Promise<number> {
  const folder = resolve('.')
  const { parts, resume, quick, rounds, steps, json } = args
  const threads = args.threads ?? detectCpuFeatures().physicalCores
  const budgetMs = quick ? Math.min(args.budgetMs, 50) : args.budgetMs
  const seed = args.seed ?? newSeed()
  const settings = { folder, parts, resume, quick, rounds, steps, threads, budgetMs, seed, say: progress }
  const file = args.page ? await rewritePage(settings) : await compare(settings)
  const { results } = file
  process.stdout.write(json ? `${JSON.stringify(results)}\n` : renderPage(results))
  tell(`written: ${file.files.join(', ')}`)
  // Ours must have run; peers may be missing.
  const complete = results.workloads.every((w) => w.contestants.some((c) => c.peer.startsWith('longzhou')))
  return complete ? EXIT.ok : EXIT.failure
}

const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name)

export const command: CliCommand = {
  args: {
    workload: {
      type: 'string',
      description: `Run this workload of ours alone: ${names(WORKLOADS).join(', ')}`,
    },
    kernels: {
      type: 'string',
      description:
        "List each kernel of a step under this machine's roofline: of a workload, or of a module that exports a function `step`",
    },
    arena: {
      type: 'string',
      description: 'List what the memory of a training step of this workload is taken by, where it takes most',
    },
    walk: {
      type: 'string',
      description: `Meet fifty new sizes, one after another: ${names(WALKS).join(', ')}`,
    },
    sweep: {
      type: 'string',
      description:
        'Run products and convolutions of ours alone: those whose name holds this text (conv, 2048, ...), all, random, or - for cases as JSON on standard input',
    },
    only: {
      type: 'string',
      description: `Parts of the comparison, separated by commas: ${PARTS.join(', ')}; what was measured of the others stays`,
    },
    resume: {
      type: 'boolean',
      description: 'Go on with a comparison that was cut off: what is in the results already is not measured again',
    },
    page: { type: 'boolean', description: 'Measure nothing: write the page from the results that are there' },
    steps: { type: 'string', description: 'Timed steps of each run', default: '7' },
    rounds: {
      type: 'string',
      description: 'Times that each contestant runs in the comparison; 5, or 1 with --quick',
    },
    threads: { type: 'string', description: 'Threads of every contestant; default the physical cores' },
    amp: { type: 'string', description: 'With --workload, --kernels or --arena: bf16 for mixed precision' },
    recompute: {
      type: 'boolean',
      description:
        'With --workload, --kernels or --arena: layers are computed again in the backward pass, where a workload can',
    },
    'budget-ms': { type: 'string', description: 'Time for each case of the sweep', default: '200' },
    seed: { type: 'string', description: 'Seed of the random shapes, to run those of an earlier run again' },
    quick: { type: 'boolean', description: 'A smoke run of a minute or two; its results go to out/bench' },
    json: { type: 'boolean', description: 'Print JSON: one line a run, or all results of the comparison' },
  },
  async run(raw) {
    const args = checkBenchArguments(raw, names(WORKLOADS), names(WALKS))
    if (!args.alone) return compareAll(args)
    await runAlone(args.alone, args)
    return EXIT.ok
  },
}
