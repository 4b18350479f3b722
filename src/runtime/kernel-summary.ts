/** Where the time of some runs went: their launches by kernel, beside what the device could do at best. */
import { formatTable } from '../common/table.ts'
import type { CompiledKernel, Kernel } from '../codegen/kernel.ts'
import { structureOf } from '../codegen/structure.ts'
import type { Launch, Plan } from '../schedule/plan.ts'
import type { RunTimes } from './run-times.ts'

/** Arithmetic and memory traffic that a device can do at best. */
export interface Roof {
  readonly gflops: number
  readonly gbs: number
}

/** A run and what was run. */
export interface TimedRun {
  readonly plan: Plan
  /** The plan's kernels by number. */
  readonly kernels: readonly (Kernel | CompiledKernel)[]
  readonly times: RunTimes
}

/** Launches of one kernel over equal shapes. Work and times are of one step: divided by the number of steps. */
export interface KernelRow {
  /** What is fused into it. */
  readonly title: string
  /** Shape of the result, and those of a contraction's operands: `64x10 = 64x512 * 512x10`; empty where nobody noted them. */
  readonly shapes: string
  readonly calls: number
  readonly ms: number
  /** Of the step, between 0 and 1. */
  readonly share: number
  readonly flops: number
  readonly bytes: number
  readonly gflops: number
  readonly gbs: number
  /**
   * Least time of this work under the roof over the time it took. More than 1 where the data is in a cache, which is faster than the memory
   * that the roof counts on. Null where there is no roof.
   */
  readonly roofShare: number | null
}

export interface KernelSummary {
  /** The longest first. */
  readonly rows: readonly KernelRow[]
  readonly runs: number
  /** Milliseconds of a step: all of it, inside kernels, inside runs but between kernels, and outside runs. */
  readonly stepMs: number
  readonly kernelMs: number
  readonly betweenMs: number
  readonly outsideMs: number
  readonly roof: Roof | null
  /** Least time of all rows under the roof over the time in kernels. */
  readonly roofShare: number | null
}

/** Least milliseconds that work takes under a roof. */
export function leastTime(work: { readonly flops: number; readonly bytes: number }, roof: Roof): number {
  return Math.max(work.flops / roof.gflops, work.bytes / roof.gbs) / 1e6
}

function shapesOf({ shapes }: Launch): string {
  const [result, ...operands] = (shapes ?? []).map((s) => (s.length === 0 ? 'scalar' : s.join('x')))
  if (result === undefined) return ''
  return operands.length === 0 ? result : `${result} = ${operands.join(' * ')}`
}

interface Sum {
  readonly title: string
  readonly shapes: string
  readonly flops: number
  readonly bytes: number
  calls: number
  ms: number
}

/**
 * Sums up `runs`, which were `steps` equal steps that took `totalMs` together; by default one step that is the runs themselves. `roof` is
 * what the device can do.
 */
export function summarizeKernels(
  runs: readonly TimedRun[],
  roof: Roof | null,
  steps = 1,
  totalMs = runs.reduce((ms, { times }) => ms + times.end - times.start, 0),
): KernelSummary {
  const sums = new Map<string, Sum>()
  let inRuns = 0
  for (const { plan, kernels, times } of runs) {
    inRuns += times.end - times.start
    const keys = kernels.map(structureOf)
    for (const { launch, start, end, share } of times.launches(plan)) {
      const { kernel, flops, bytes } = launch
      const shapes = shapesOf(launch)
      const key = `${keys[kernel]} ${flops} ${bytes} ${shapes}`
      let sum = sums.get(key)
      if (!sum) sums.set(key, (sum = { title: kernels[kernel]!.title, shapes, flops, bytes, calls: 0, ms: 0 }))
      sum.calls++
      sum.ms += (end - start) * share
    }
  }
  const stepMs = totalMs / steps
  const rows = [...sums.values()].map((s): KernelRow => {
    const [flops, bytes, ms] = [(s.flops * s.calls) / steps, (s.bytes * s.calls) / steps, s.ms / steps]
    const speed = (work: number): number => (ms > 0 ? work / ms / 1e6 : 0)
    return {
      title: s.title,
      shapes: s.shapes,
      calls: s.calls / steps,
      ms,
      share: stepMs > 0 ? ms / stepMs : 0,
      flops,
      bytes,
      gflops: speed(flops),
      gbs: speed(bytes),
      roofShare: roof && ms > 0 ? leastTime({ flops, bytes }, roof) / ms : null,
    }
  })
  rows.sort((a, b) => b.ms - a.ms)
  const kernelMs = rows.reduce((n, r) => n + r.ms, 0)
  const least = roof && rows.reduce((n, r) => n + leastTime(r, roof), 0)
  return {
    rows,
    runs: runs.length / steps,
    stepMs,
    kernelMs,
    betweenMs: inRuns / steps - kernelMs,
    outsideMs: (totalMs - inRuns) / steps,
    roof,
    roofShare: least !== null && kernelMs > 0 ? least / kernelMs : null,
  }
}

const percent = (share: number | null): string =>
  share === null ? '-' : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`
const count = (calls: number): string => String(Number(calls.toFixed(1)))

/** Titles are cut in the middle: the shapes at their ends tell kernels apart. */
function shorten(title: string): string {
  const [longest, kept] = [100, 48]
  return title.length <= longest ? title : `${title.slice(0, kept)}...${title.slice(kept + 3 - longest)}`
}

/** Three digits; three decimals below 1. */
function number(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3)
}

/**
 * The summary as a table, `limit` kernels at most and the others in one line; then totals. Operations and bytes are those of one call.
 */
export function formatKernels(summary: KernelSummary, limit = Infinity): string {
  const { rows, roof, stepMs } = summary
  const line = (r: KernelRow): string[] => [
    count(r.calls),
    number(r.ms),
    percent(r.share),
    number(r.gflops),
    number(r.gbs),
    percent(r.roofShare),
    number(r.flops / r.calls / 1e6),
    number(r.bytes / r.calls / 1e6),
    shorten(r.shapes === '' ? r.title : `${r.title}, ${r.shapes}`),
  ]
  const total = (name: string, calls: string, ms: number, roofShare: number | null = null): string[] => [
    calls,
    number(ms),
    percent(stepMs > 0 ? ms / stepMs : 0),
    '',
    '',
    roofShare === null ? '' : percent(roofShare),
    '',
    '',
    name,
  ]
  const hidden = rows.slice(limit)
  const sum = (list: readonly KernelRow[], field: 'calls' | 'ms'): number => list.reduce((n, r) => n + r[field], 0)
  const table = [
    ['calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'roof', 'Mflop', 'MB', 'kernel'],
    ...rows.slice(0, limit).map(line),
    ...(hidden.length > 0 ? [total(`${hidden.length} more`, count(sum(hidden, 'calls')), sum(hidden, 'ms'))] : []),
    total('all kernels', count(sum(rows, 'calls')), summary.kernelMs, summary.roofShare),
    total('between kernels', '', summary.betweenMs),
    ...(summary.outsideMs > 0 ? [total('outside plans', '', summary.outsideMs)] : []),
  ]
  const text = formatTable(table, [...Array<'right'>(8).fill('right'), 'left'])
  if (!roof) return `${text}\nno roofline: 'longzhou doctor' measures it`
  return `${text}\nroof: ${number(roof.gflops)} GFLOP/s, ${number(roof.gbs)} GB/s`
}
