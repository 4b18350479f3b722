/** Workloads in bfloat16, and with layers computed again in the backward pass, in turn with themselves in float32. */
import type { Words } from '../../fresh-words.ts'
import { longzhou } from './contestants.ts'
import { median, pairedRatio, round, type Rounds, type WorkloadRun } from './measure.ts'
import { WORKLOADS } from './workloads.ts'

/** A workload in another variant beside itself in float32, round by round. */
export interface VariantResult {
  readonly workload: string
  readonly variant: 'bf16' | 'recompute'
  readonly ms_median: number
  readonly float32_ms: number
  /** Its time over float32's, the median over rounds. */
  readonly time: number
  /** Memory that a step plans, in MiB, and over float32's. */
  readonly arena_mb: number
  readonly memory: number
  readonly loss: number | null
}

/** Words that follow `--workload NAME`. */
const WORDS = { float32: [], bf16: ['--amp', 'bf16'], recompute: ['--recompute'] } as const
type Variant = keyof typeof WORDS

/** Workloads whose budgets in bfloat16 are named. */
export const VARIED = ['crnn_b16', 'ernie_nano_b16_s128'] as const

export interface VariantOptions {
  readonly rounds: number
  readonly steps: number
  readonly threads: number
  readonly say: (text: string) => void
  /** Runs what may fail. */
  readonly attempt: <T>(what: string, run: () => Promise<T>) => Promise<T | undefined>
}

/** The variants of a workload, all rounds of them. */
export async function variantsOf(ours: Words, workload: string, options: VariantOptions): Promise<VariantResult[]> {
  const { rounds, say, attempt } = options
  const others: readonly VariantResult['variant'][] = WORKLOADS.find((w) => w.name === workload)!.canRecompute
    ? ['bf16', 'recompute']
    : ['bf16']
  const runs = new Map<Variant, (WorkloadRun | undefined)[]>()
  for (let i = 0; i < rounds; i++) {
    for (const variant of ['float32', ...others] as const) {
      const { train } = longzhou(ours, undefined, WORDS[variant])
      const run = await attempt(`${workload}, ${variant}`, () => train(workload, options))
      say(`${workload}: ${variant}, round ${i + 1} of ${rounds}: ${run ? `${run.ms_median.toFixed(1)} ms` : 'failed'}`)
      runs.set(variant, [...(runs.get(variant) ?? []), run])
    }
  }
  return others.flatMap((v) => variantResult(workload, v, runs.get(v) ?? [], runs.get('float32') ?? []) ?? [])
}

/** Sums up the rounds of a variant and of float32; undefined where no round has both. */
export function variantResult(
  workload: string,
  variant: VariantResult['variant'],
  runs: Rounds<WorkloadRun>,
  plain: Rounds<WorkloadRun>,
): VariantResult | undefined {
  const times = (rounds: Rounds<WorkloadRun>): (number | undefined)[] => rounds.map((run) => run?.ms_median)
  const time = pairedRatio(times(runs), times(plain))
  const [own, other] = [runs, plain].map((rounds) => rounds.filter((run) => run !== undefined))
  const arena = own?.at(-1)?.arena_mb
  const arenaBefore = other?.at(-1)?.arena_mb
  if (Number.isNaN(time) || arena === undefined || arenaBefore === undefined) return undefined
  return {
    workload,
    variant,
    ms_median: round(median(own!.map((run) => run.ms_median))),
    float32_ms: round(median(other!.map((run) => run.ms_median))),
    time: round(time, 3),
    arena_mb: arena,
    memory: round(arena / arenaBefore, 3),
    loss: own!.at(-1)!.loss,
  }
}
