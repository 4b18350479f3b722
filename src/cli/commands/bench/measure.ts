/** What the benchmark's processes print, one JSON line each, and the statistics over them. */
import { z } from 'zod'

/** One workload alone in a process. Times in milliseconds but for the first step's, which holds all planning and compiling. */
export const workloadRun = z.object({
  peer: z.string(),
  workload: z.string(),
  ms_median: z.number(),
  ms_min: z.number(),
  first_s: z.number(),
  /** Null for NaN and infinity, which JSON lacks. */
  loss: z.number().nullable(),
  /** Largest resident memory of the whole process, interpreter and libraries counted, in MiB. */
  peak_mb: z.number(),
  /** Time on the JS thread until a step is recorded and submitted; Longzhou's alone. */
  js_ms: z.number().optional(),
  /** Memory that a step plans for what it computes and keeps for its gradients, in MiB; Longzhou's alone. */
  arena_mb: z.number().optional(),
})
export type WorkloadRun = z.infer<typeof workloadRun>

/** One matrix product or convolution of the sweep. */
export const sweepRun = z.object({ peer: z.string(), case: z.string(), ms_min: z.number(), gflops: z.number() })
export type SweepRun = z.infer<typeof sweepRun>

/** One size of a walk. */
export const walkRun = z.object({
  walk: z.string(),
  size: z.number(),
  /** JS time of making the plans of the first step at this size, all of them together. */
  plan_ms: z.number(),
  plans: z.number(),
  compiles: z.number(),
  /** The first step at this size and the second one. */
  first_ms: z.number(),
  again_ms: z.number(),
})
export type WalkRun = z.infer<typeof walkRun>

/** What `--kernels` prints. Times and work of one step. */
export const kernelProfile = z.object({
  model: z.string(),
  device: z.string(),
  threads: z.number(),
  steps: z.number(),
  runs: z.number(),
  stepMs: z.number(),
  kernelMs: z.number(),
  betweenMs: z.number(),
  outsideMs: z.number(),
  roof: z.object({ gflops: z.number(), gbs: z.number() }).nullable(),
  roofShare: z.number().nullable(),
  rows: z.array(
    z.object({
      title: z.string(),
      shapes: z.string(),
      calls: z.number(),
      ms: z.number(),
      share: z.number(),
      flops: z.number(),
      bytes: z.number(),
      gflops: z.number(),
      gbs: z.number(),
      roofShare: z.number().nullable(),
    }),
  ),
})
export type KernelProfile = z.infer<typeof kernelProfile>

/** Runs of one contestant by round; undefined where a run failed. */
export type Rounds<T> = readonly (T | undefined)[]

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits))
}

/** The middle value, the mean of the two middle ones where their number is even; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** NaN of none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length)
}

/**
 * Ours over the peer's, paired round by round: what disturbs the machine for a while disturbs both runs of a round. Rounds that one of the
 * two lacks do not count; NaN where none is left.
 */
export function pairedRatio(ours: readonly (number | undefined)[], theirs: readonly (number | undefined)[]): number {
  const ratios = ours.flatMap((mine, i) => {
    const other = theirs[i]
    return mine === undefined || other === undefined ? [] : [mine / other]
  })
  return median(ratios)
}

/** The objects of those lines that are JSON objects of this form; a library's chatter between them is passed over. */
export function readJsonLines<T>(text: string, form: z.ZodType<T>): T[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return []
    try {
      return [form.parse(JSON.parse(line))]
    } catch {
      return []
    }
  })
}
