/** What `longzhou bench` runs by itself in this process: one workload, its kernels, a walk, or some cases of the sweep. */
import { text } from 'node:stream/consumers'
import { CpuBackend } from '../../../runtime/cpu/backend.ts'
import { formatArena } from '../../../runtime/arena-summary.ts'
import { formatKernels } from '../../../runtime/kernel-summary.ts'
import { backendOf, getDevice } from '../../../tensor/device.ts'
import { UsageError } from '../../errors.ts'
import { formatTable } from '../../ui.ts'
import type { Alone, BenchArguments } from './arguments.ts'
import { arenaOf } from './arena.ts'
import { profileKernels } from './kernels.ts'
import { parseCases, runSweepCase } from './sweep.ts'
import { randomCases, sweepCases, type SweepCase } from './sweep-cases.ts'
import type { WalkRun } from './measure.ts'
import { runWalk, WALKS } from './walks.ts'
import { runWorkload, WORKLOADS } from './workloads.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** Threads of the native pool; other devices have their own way. */
function useThreads(threads: number | undefined): void {
  const backend = backendOf(getDevice())
  if (threads !== undefined && backend instanceof CpuBackend) backend.setNumThreads(threads)
}

async function workload(name: string, { steps, bfloat16, recomputes, json }: BenchArguments): Promise<void> {
  const chosen = WORKLOADS.find((w) => w.name === name)!
  const run = await runWorkload(chosen, { steps, bfloat16, recomputes })
  if (json) return say(JSON.stringify(run))
  say(`${name}: ${chosen.description}`)
  say(formatTable(Object.entries(run).map(([key, value]) => [key, String(value)])))
}

async function kernels(name: string, { steps, bfloat16, recomputes, json }: BenchArguments): Promise<void> {
  const profile = await profileKernels(name, { steps, bfloat16, recomputes })
  if (json) return say(JSON.stringify(profile))
  const { device, threads, stepMs, runs } = profile
  say(
    `${name} on ${device}, ${threads} threads: ${stepMs.toFixed(1)} ms a step in ${runs} plans, mean of ${steps} steps`,
  )
  say(formatKernels(profile))
}

/** What fills the arena of a workload's step. */
async function arena(name: string, { bfloat16, recomputes, json }: BenchArguments): Promise<void> {
  const { plan, peak } = await arenaOf(
    WORKLOADS.find((w) => w.name === name)!,
    { bfloat16, recomputes },
  )
  if (json) return say(JSON.stringify({ model: name, arenaBytes: plan.arenaBytes, ...peak }))
  say(formatArena(peak, plan.arenaBytes))
}

const walkLine = (r: WalkRun): string =>
  `${String(r.size).padStart(6)} ${r.plan_ms.toFixed(1).padStart(8)} ms planning ${r.plans} plans, ${r.compiles} compiled; first step ${r.first_ms.toFixed(1)} ms, second ${r.again_ms.toFixed(1)} ms`

async function walk(name: string, { json }: BenchArguments): Promise<void> {
  await runWalk(
    WALKS.find((w) => w.name === name)!,
    (run) => say(json ? JSON.stringify(run) : walkLine(run)),
  )
}

/** `random` draws shapes, `-` reads them, any other text chooses among the named ones. */
async function casesOf(pattern: string, seed: number | undefined): Promise<SweepCase[]> {
  if (pattern === '-') return parseCases(await text(process.stdin))
  if (pattern !== 'random') return sweepCases(pattern)
  const drawn = seed ?? newSeed()
  process.stderr.write(`random shapes of seed ${drawn}\n`)
  return randomCases(drawn)
}

/** A seed that no earlier run had, but by chance. */
export function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 31)
}

async function sweep(pattern: string, { seed, budgetMs, json }: BenchArguments): Promise<void> {
  const cases = await casesOf(pattern, seed)
  const width = Math.max(0, ...cases.map((c) => c.name.length))
  for (const c of cases) {
    const run = await runSweepCase(c, budgetMs)
    const columns = `${run.gflops.toFixed(1).padStart(8)} GFLOP/s ${run.ms_min.toFixed(3).padStart(10)} ms`
    say(json ? JSON.stringify(run) : `${c.name.padEnd(width)} ${columns}`)
  }
}

const RUNS = { workload, kernels, arena, walk, sweep } satisfies Record<
  Alone,
  (name: string, args: BenchArguments) => Promise<void>
>

export async function runAlone({ what, name }: { what: Alone; name: string }, args: BenchArguments): Promise<void> {
  // Before the device is made: a walk measures planning, not what an earlier one left on disk, where values of the arena have no names.
  if (what === 'walk' || what === 'arena') process.env['LONGZHOU_PLAN_CACHE'] = '0'
  const cannot = args.recomputes && !WORKLOADS.find((w) => w.name === name)?.canRecompute
  if (cannot) throw new UsageError(`--recompute: ${name} has no layers that it can compute again`)
  useThreads(args.threads)
  await RUNS[what](name, args)
}
