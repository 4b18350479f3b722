/** The whole benchmark: ours and the peers in turn over all workloads, the sweep, and first steps with an empty and a full cache. */
import { mkdtemp, rm } from 'node:fs/promises'
import { release, tmpdir, totalmem, type } from 'node:os'
import { join } from 'node:path'
import manifest from '../../../../package.json' with { type: 'json' }
import { detectCpuFeatures } from '../../../runtime/cpu-features.ts'
import { longzhou, peer, peerPython, sweepOfLongzhou, sweepOfTorch, type Contestant } from './contestants.ts'
import { median, round, type SweepRun, type WorkloadRun } from './measure.ts'
import {
  budgetsOf,
  sweepResults,
  workloadResult,
  type FirstStepResult,
  type Results,
  type SweepResult,
} from './results.ts'
import { sweepCases } from './sweep.ts'
import { WORKLOADS } from './workloads.ts'

export interface CompareOptions {
  /** The repository, or another folder that holds bench/peers and bench/venv. */
  readonly folder: string
  readonly quick: boolean
  readonly threads: number
  readonly rounds: number
  readonly steps: number
  /** Told what begins now. */
  readonly say: (text: string) => void
}

/** Runs what may fail; a failure is a line in the results, and the benchmark goes on. */
class Attempts {
  readonly problems: string[] = []

  async of<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run()
    } catch (error) {
      this.problems.push(`${what}: ${(error as Error).message.split('\n')[0]}`)
      return undefined
    }
  }
}

/** All rounds of one workload; who fails once is not asked again. */
async function runRounds(
  workload: string,
  contestants: readonly Contestant[],
  options: CompareOptions,
  attempts: Attempts,
): Promise<Map<string, (WorkloadRun | undefined)[]>> {
  const rounds = new Map(contestants.map((c) => [c.name, [] as (WorkloadRun | undefined)[]]))
  for (let i = 0; i < options.rounds; i++) {
    for (const { name, train } of contestants) {
      const runs = rounds.get(name)!
      if (i > 0 && runs.at(-1) === undefined) {
        runs.push(undefined)
        continue
      }
      options.say(`${workload}: ${name}, round ${i + 1} of ${options.rounds}`)
      runs.push(await attempts.of(`${workload}, ${name}`, () => train(workload, options)))
    }
  }
  return rounds
}

/** The first step with an empty cache directory, and again with what that run left there. */
async function firstStep(
  workload: string,
  compiled: Contestant | undefined,
  options: CompareOptions,
  attempts: Attempts,
): Promise<FirstStepResult | undefined> {
  const settings = { steps: 1, threads: options.threads }
  const times: { cold: number; warm: number }[] = []
  for (let i = 0; i < Math.min(3, options.rounds); i++) {
    options.say(`${workload}: first step, round ${i + 1}`)
    const cache = await mkdtemp(join(tmpdir(), 'longzhou-bench-'))
    try {
      const ours = longzhou(cache)
      const run = async () => (await ours.train(workload, settings)).first_s
      const pair = await attempts.of(`${workload}, first step`, async () => ({ cold: await run(), warm: await run() }))
      if (!pair) return undefined
      times.push(pair)
    } finally {
      await rm(cache, { recursive: true, force: true })
    }
  }
  if (compiled) options.say(`${workload}: first step of ${compiled.name}`)
  const other =
    compiled && (await attempts.of(`${workload}, ${compiled.name}`, () => compiled.train(workload, settings)))
  return {
    workload,
    cold_s: round(median(times.map((t) => t.cold)), 3),
    warm_s: round(median(times.map((t) => t.warm)), 3),
    ...(other && { torch_compile_s: other.first_s }),
  }
}

/** Measures everything. Takes about a quarter of an hour with the peers, a minute or two where it is `quick`. */
export async function compare(options: CompareOptions): Promise<Results> {
  const { folder, quick, threads, rounds, steps } = options
  const attempts = new Attempts()
  const python = peerPython(folder)
  if (python === undefined)
    attempts.problems.push('PyTorch and PaddlePaddle: bench/venv is not there; bench/setup.sh makes it')
  const contestant = (name: string): Contestant[] => (python === undefined ? [] : [peer(name, folder, python)])

  const ours = longzhou()
  const contestants = [ours, ...contestant('torch'), ...contestant('paddle')]
  const names = WORKLOADS.map((w) => w.name).slice(0, quick ? 1 : undefined)
  const workloads = []
  const firstSteps: FirstStepResult[] = []
  for (const name of names) {
    workloads.push(workloadResult(name, await runRounds(name, contestants, options, attempts), ours.name))
    const first = await firstStep(name, quick ? undefined : contestant('torch+compile')[0], options, attempts)
    if (first) firstSteps.push(first)
  }

  const measured = { workloads, first_steps: firstSteps, sweep: await compareSweeps(options, attempts) }
  const cpu = detectCpuFeatures()
  return {
    date: new Date().toISOString(),
    quick,
    machine: {
      cpu: cpu.model,
      cores: cpu.physicalCores,
      vector_bytes: cpu.vectorBytes,
      memory_gib: Math.round(totalmem() / 2 ** 30),
      system: `${type()} ${release()}`,
    },
    versions: { longzhou: manifest.version, node: process.versions.node, ...peerVersions(workloads) },
    settings: { threads, rounds, steps },
    ...measured,
    budgets: budgetsOf(measured),
    problems: [...new Set(attempts.problems)],
  }
}

/** Products and convolutions, ours and PyTorch's in turn. */
async function compareSweeps(options: CompareOptions, attempts: Attempts): Promise<SweepResult[]> {
  const { folder, quick, threads, rounds } = options
  const python = peerPython(folder)
  const pattern = quick ? 'matmul 256x' : 'all'
  const settings = { threads, budgetMs: quick ? 50 : 200 }
  const ours: (SweepRun[] | undefined)[] = []
  const theirs: (SweepRun[] | undefined)[] = []
  for (let i = 0; i < Math.min(3, rounds); i++) {
    options.say(`products and convolutions: round ${i + 1}`)
    ours.push(await attempts.of('sweep, longzhou', () => sweepOfLongzhou(pattern, settings)))
    if (python === undefined) continue
    theirs.push(await attempts.of('sweep, torch', () => sweepOfTorch(sweepCases(pattern), settings, folder, python)))
  }
  return sweepResults(ours, theirs)
}

/** `{ torch: '2.15.0' }` from contestants that call themselves torch2.15.0. */
function peerVersions(workloads: Results['workloads']): Record<string, string> {
  const versions: Record<string, string> = {}
  for (const { peer: name } of workloads.flatMap((w) => w.contestants)) {
    const match = /^([a-z]+)(\d.*)$/.exec(name)
    if (match) versions[match[1]!] = match[2]!
  }
  return versions
}
