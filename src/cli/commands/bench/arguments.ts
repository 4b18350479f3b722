/** The arguments of `longzhou bench`, checked before anything runs. */
import { UsageError } from '../../errors.ts'

export interface BenchArguments {
  readonly workload: string | undefined
  readonly sweep: string | undefined
  readonly steps: number
  readonly rounds: number
  readonly threads: number | undefined
  readonly budgetMs: number
  readonly bfloat16: boolean
  readonly quick: boolean
  readonly json: boolean
}

type RawArguments = Readonly<Record<string, unknown>>

function wholeNumber(args: RawArguments, name: string, high: number): number | undefined {
  const text = args[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > high)
    throw new UsageError(`--${name} is '${String(text)}', expected a whole number from 1 to ${high}`)
  return value
}

function textOf(args: RawArguments, name: string): string | undefined {
  return typeof args[name] === 'string' ? args[name] : undefined
}

/** Throws UsageError for what does not fit; `workloads` are the names that --workload takes. */
export function checkBenchArguments(args: RawArguments, workloads: readonly string[]): BenchArguments {
  const [workload, sweep, amp] = [textOf(args, 'workload'), textOf(args, 'sweep'), textOf(args, 'amp')]
  const quick = args['quick'] === true
  if (workload !== undefined && !workloads.includes(workload))
    throw new UsageError(`there is no workload '${workload}'; there are: ${workloads.join(', ')}`)
  if (workload !== undefined && sweep !== undefined) throw new UsageError('give --workload or --sweep, not both')
  if (amp !== undefined && amp !== 'bf16') throw new UsageError(`--amp is '${amp}', expected bf16`)
  if (amp !== undefined && workload === undefined) throw new UsageError('--amp goes with --workload')
  const isAlone = workload !== undefined || sweep !== undefined
  if (isAlone && (quick || args['rounds'] !== undefined))
    throw new UsageError('--quick and --rounds belong to the comparison, not to --workload or --sweep')
  const steps = wholeNumber(args, 'steps', 100_000) ?? 7
  return {
    workload,
    sweep,
    steps: quick ? Math.min(steps, 3) : steps,
    rounds: wholeNumber(args, 'rounds', 100) ?? (quick ? 1 : 5),
    threads: wholeNumber(args, 'threads', 1024),
    budgetMs: wholeNumber(args, 'budget-ms', 60_000) ?? 200,
    bfloat16: amp === 'bf16',
    quick,
    json: args['json'] === true,
  }
}
