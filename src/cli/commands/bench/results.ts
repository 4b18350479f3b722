/** The form of bench/results.json, and what its numbers say about the budgets. */
import type { Roofline } from '../../../runtime/roofline.ts'
import { memoryRatio, type InferenceResult } from './inference.ts'
import { geometricMean, median, pairedRatio, round, type Rounds, type SweepRun, type WorkloadRun } from './measure.ts'
import type { VariantResult } from './variants.ts'

/** Steps of a run in which V8 has compiled what records them: its first dozens run slower code. */
export const LONG_RUN = 60

/** A contestant on a workload, over all rounds. */
export interface ContestantResult {
  readonly peer: string
  readonly rounds: number
  readonly ms_median: number
  readonly ms_min: number
  readonly first_s: number
  readonly peak_mb: number
  readonly loss: number | null
  readonly js_ms?: number
  /** The same in a run of LONG_RUN steps. */
  readonly js_long_ms?: number
  /** Our time over this peer's, the median over rounds; absent for ourselves. */
  readonly ratio?: number
}

export interface WorkloadResult {
  readonly workload: string
  readonly contestants: readonly ContestantResult[]
}

export interface FirstStepResult {
  readonly workload: string
  readonly cold_s: number
  readonly warm_s: number
  readonly torch_compile_s?: number
}

export interface SweepResult {
  readonly case: string
  readonly gflops: number
  readonly torch_gflops?: number
  /** Our speed over PyTorch's, the median over rounds. */
  readonly speed?: number
  /** Operations over the bytes of operands and result. */
  readonly intensity?: number
  /** Least time under the roofline over the time taken, where there is a roofline. */
  readonly roof_share?: number
  /** The seed that a random shape was drawn with; absent for named ones. */
  readonly seed?: number
}

/** Where a training step's time goes: the kernels that take most of it. */
export interface KernelsResult {
  readonly workload: string
  readonly step_ms: number
  readonly kernel_ms: number
  readonly between_ms: number
  readonly outside_ms: number
  readonly roof_share: number | null
  readonly kernels: readonly {
    readonly title: string
    readonly shapes: string
    readonly calls: number
    readonly ms: number
    readonly gflops: number
    readonly gbs: number
    readonly intensity: number
    readonly roof_share: number | null
  }[]
}

/** A walk over sizes, each met for the first time. */
export interface WalkResult {
  readonly walk: string
  readonly sizes: number
  readonly plan_ms_median: number
  readonly plan_ms_max: number
  readonly compiles: number
  /** Sizes at which something was compiled. */
  readonly compiled_at: readonly number[]
}

export interface Results {
  readonly date: string
  readonly quick: boolean
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly vector_bytes: number
    readonly memory_gib: number
    readonly system: string
  }
  readonly roofline: Roofline | null
  readonly versions: Readonly<Record<string, string>>
  readonly settings: { readonly threads: number; readonly rounds: number; readonly steps: number }
  readonly workloads: readonly WorkloadResult[]
  readonly variants: readonly VariantResult[]
  readonly kernels: readonly KernelsResult[]
  readonly first_steps: readonly FirstStepResult[]
  readonly walks: readonly WalkResult[]
  readonly sweep: readonly SweepResult[]
  readonly inference: readonly InferenceResult[]
  readonly budgets: readonly Budget[]
  /** What could not be run, one line each. */
  readonly problems: readonly string[]
}

/** A limit of the design and what was measured; null where the run did not measure it. */
export interface Budget {
  readonly what: string
  readonly limit: string
  readonly measured: number | null
  readonly holds: boolean | null
}

/** Sums up the rounds of a workload, ours first, and the JS time of our long run. Contestants without a single run are left out. */
export function workloadResult(
  workload: string,
  rounds: ReadonlyMap<string, Rounds<WorkloadRun>>,
  ours: string,
  jsLongMs?: number,
): WorkloadResult {
  const timesOf = (name: string): (number | undefined)[] => (rounds.get(name) ?? []).map((run) => run?.ms_median)
  const contestants = [...rounds].flatMap(([name, all]): ContestantResult[] => {
    const runs = all.filter((run) => run !== undefined)
    if (runs.length === 0) return []
    const over = (field: 'ms_median' | 'first_s' | 'peak_mb'): number => median(runs.map((run) => run[field]))
    const jsTimes = runs.flatMap((run) => run.js_ms ?? [])
    const ratio = name === ours ? NaN : pairedRatio(timesOf(ours), timesOf(name))
    return [
      {
        peer: runs[0]!.peer,
        rounds: runs.length,
        ms_median: round(over('ms_median')),
        ms_min: round(Math.min(...runs.map((run) => run.ms_min))),
        first_s: round(over('first_s'), 3),
        peak_mb: round(over('peak_mb'), 1),
        loss: runs.at(-1)!.loss,
        ...(jsTimes.length > 0 && { js_ms: round(median(jsTimes)) }),
        ...(name === ours && jsLongMs !== undefined && { js_long_ms: round(jsLongMs) }),
        ...(!Number.isNaN(ratio) && { ratio: round(ratio, 3) }),
      },
    ]
  })
  return { workload, contestants }
}

/** Sums up rounds of the sweep case by case; `facts` are what else is known of a case. */
export function sweepResults(
  ours: Rounds<readonly SweepRun[]>,
  theirs: Rounds<readonly SweepRun[]>,
  facts: (name: string, gflops: number) => Partial<SweepResult> = () => ({}),
): SweepResult[] {
  const names = [...new Set(ours.flatMap((runs) => runs?.map((run) => run.case) ?? []))]
  return names.map((name) => {
    const speeds = (rounds: Rounds<readonly SweepRun[]>): (number | undefined)[] =>
      rounds.map((runs) => runs?.find((run) => run.case === name)?.gflops)
    const [mine, other] = [speeds(ours), speeds(theirs)]
    const speed = pairedRatio(mine, other)
    const middle = (values: readonly (number | undefined)[]): number =>
      round(median(values.filter((v) => v !== undefined)), 1)
    const gflops = middle(mine)
    const result = { case: name, gflops, ...facts(name, gflops) }
    return Number.isNaN(speed) ? result : Object.assign(result, { torch_gflops: middle(other), speed: round(speed, 3) })
  })
}

function budget(what: string, limit: number, unit: string, measured: number, atLeast = false): Budget {
  const limitText = `${atLeast ? 'at least' : 'at most'} ${limit}${unit}`
  if (!Number.isFinite(measured)) return { what, limit: limitText, measured: null, holds: null }
  return {
    what,
    limit: limitText,
    measured: round(measured, 3),
    holds: atLeast ? measured >= limit : measured <= limit,
  }
}

/** The extreme of some numbers; NaN of none, so that it counts as not measured. */
const largest = (values: readonly number[]): number => (values.length === 0 ? NaN : Math.max(...values))
const smallest = (values: readonly number[]): number => (values.length === 0 ? NaN : Math.min(...values))

/**
 * How well shapes do that nothing is tuned for, over how well the named ones do: speed over PyTorch's where it was measured for both,
 * share of the roofline otherwise. NaN where there are none of either.
 */
export function efficiencyOfRandom(sweep: readonly SweepResult[]): number {
  const bySpeed = randomOverNamed(sweep, 'speed')
  return Number.isNaN(bySpeed) ? randomOverNamed(sweep, 'roof_share') : bySpeed
}

/** Geometric mean of random shapes over that of the named ones; NaN where there are none of either. */
export function randomOverNamed(sweep: readonly SweepResult[], field: 'speed' | 'roof_share'): number {
  const mean = (isRandom: boolean): number =>
    geometricMean(sweep.flatMap((s) => ((s.seed !== undefined) === isRandom ? (s[field] ?? []) : [])))
  return mean(true) / mean(false)
}

/** The project's budgets that this benchmark measures. */
export function budgetsOf(
  results: Pick<Results, 'workloads' | 'variants' | 'first_steps' | 'walks' | 'sweep' | 'inference'>,
): Budget[] {
  const { workloads, variants, first_steps: firstSteps, walks, sweep, inference } = results
  const rows = workloads.map(({ contestants }) => {
    const named = (prefix: string) => contestants.find((c) => c.peer.startsWith(prefix))
    return { ours: named('longzhou'), torch: named('torch'), paddle: named('paddle') }
  })
  const torchRatios = rows.flatMap((row) => row.torch?.ratio ?? [])
  const paddleRatios = rows.flatMap((row) => row.paddle?.ratio ?? [])
  const memory = rows.flatMap((row) => (row.ours && row.torch ? [row.ours.peak_mb / row.torch.peak_mb] : []))
  const resnet = workloads.findIndex((w) => w.workload.startsWith('resnet18'))
  const firstStep = firstSteps.find((f) => f.workload.startsWith('resnet18'))
  const named = sweep.filter((s) => s.seed === undefined)
  const speeds = named.flatMap((s) => s.speed ?? [])
  const ofVariant = (name: VariantResult['variant']): VariantResult[] => variants.filter((v) => v.variant === name)
  const [low, again] = [ofVariant('bf16'), ofVariant('recompute')] as const
  const inferenceRatios = inference.flatMap((c) => c.ratio ?? [])
  const inferenceMemory = inference.map(memoryRatio).filter((ratio) => !Number.isNaN(ratio))
  return [
    budget("training step over PyTorch's, geometric mean", 0.5, 'x', geometricMean(torchRatios)),
    budget("training step over PyTorch's, worst workload", 0.75, 'x', largest(torchRatios)),
    budget("training step over PaddlePaddle's, worst workload", 1, 'x', largest(paddleRatios)),
    budget("speed of products and convolutions over PyTorch's, geometric mean", 1, 'x', geometricMean(speeds), true),
    budget("speed of products and convolutions over PyTorch's, worst case", 0.9, 'x', smallest(speeds), true),
    budget('efficiency of random shapes over that of the named', 0.85, 'x', efficiencyOfRandom(sweep), true),
    budget('first step of ResNet-18, nothing cached', 4, ' s', firstStep?.cold_s ?? NaN),
    budget('first step of ResNet-18, disk cache warm', 0.5, ' s', firstStep?.warm_s ?? NaN),
    budget('planning of a new size, worst of the walks', 20, ' ms', largest(walks.map((w) => w.plan_ms_max))),
    budget('compiler calls for new sizes', 0, '', largest(walks.map((w) => w.compiles))),
    budget(`JS time of a ResNet-18 step, in a run of ${LONG_RUN}`, 3, ' ms', rows[resnet]?.ours?.js_long_ms ?? NaN),
    budget("peak memory over PyTorch's, worst workload", 1, 'x', largest(memory)),
    budget(
      'bfloat16 training step, speed over float32, worst workload',
      1.6,
      'x',
      smallest(low.map((v) => 1 / v.time)),
      true,
    ),
    budget('bfloat16 memory of a step over float32, worst workload', 0.6, 'x', largest(low.map((v) => v.memory))),
    budget('recomputed layers of ERNIE-nano, memory of a step', 0.5, 'x', largest(again.map((v) => v.memory))),
    budget('recomputed layers of ERNIE-nano, time of a step', 1.35, 'x', largest(again.map((v) => v.time))),
    budget('inference over the faster peer, geometric mean', 0.6, 'x', geometricMean(inferenceRatios)),
    budget('inference over the faster peer, worst case', 0.6, 'x', largest(inferenceRatios)),
    budget("peak memory of inference over the peers', worst case", 1, 'x', largest(inferenceMemory)),
  ]
}
