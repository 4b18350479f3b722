/** The arguments of `longzhou bench`, checked before anything runs. */
import { MAX_THREADS } from '../../../common/thread-count.ts'
import { UsageError } from '../../errors.ts'

/** Parts of the comparison, in the order in which they run. */
export const PARTS = ['training', 'amp', 'kernels', 'first', 'walks', 'sweep', 'inference'] as const
export type Part = (typeof PARTS)[number]

/** What is run by itself, ours alone; null for the comparison. */
export type Alone = 'workload' | 'kernels' | 'arena' | 'walk' | 'sweep'
const ALONE = ['workload', 'kernels', 'arena', 'walk', 'sweep'] as const

export interface BenchArguments {
  readonly alone: { readonly what: Alone; readonly name: string } | null
  readonly parts: readonly Part[]
  readonly steps: number
  readonly rounds: number
  readonly threads: number | undefined
  readonly budgetMs: number
  /** Of the random shapes; undefined for a new one. */
  readonly seed: number | undefined
  readonly bfloat16: boolean
  readonly recomputes: boolean
  readonly quick: boolean
  readonly resume: boolean
  readonly page: boolean
  readonly json: boolean
}

type RawArguments = Readonly<Record<string, unknown>>

function wholeNumber(args: RawArguments, name: string, low: number, high: number): number | undefined {
  const text = args[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < low || value > high)
    throw new UsageError(`--${name} is '${String(text)}', expected a whole number from ${low} to ${high}`)
  return value
}

function textOf(args: RawArguments, name: string): string | undefined {
  return typeof args[name] === 'string' ? args[name] : undefined
}

function partsOf(text: string | undefined, quick: boolean): readonly Part[] {
  if (text === undefined) return quick ? ['training', 'first', 'sweep'] : PARTS
  const wanted = text.split(',').map((p) => p.trim())
  const unknown = wanted.find((p) => !PARTS.some((known) => known === p))
  if (unknown !== undefined) throw new UsageError(`--only is '${text}', expected some of ${PARTS.join(', ')}`)
  return PARTS.filter((p) => wanted.includes(p))
}

/** Throws UsageError for what does not fit; `workloads` and `walks` are the names that --workload and --walk take. */
export function checkBenchArguments(
  args: RawArguments,
  workloads: readonly string[],
  walks: readonly string[],
): BenchArguments {
  const amp = textOf(args, 'amp')
  const chosen = ALONE.flatMap((what) => {
    const name = textOf(args, what)
    return name === undefined ? [] : [{ what, name }]
  })
  const alone = chosen[0] ?? null
  if (chosen.length > 1) throw new UsageError(`give --${chosen[0]!.what} or --${chosen[1]!.what}, not both`)
  const known =
    alone?.what === 'workload' || alone?.what === 'arena' ? workloads : alone?.what === 'walk' ? walks : null
  if (alone && known && !known.includes(alone.name))
    throw new UsageError(
      `there is no ${alone.what === 'walk' ? 'walk' : 'workload'} '${alone.name}'; there are: ${known.join(', ')}`,
    )
  if (amp !== undefined && amp !== 'bf16') throw new UsageError(`--amp is '${amp}', expected bf16`)
  const isStep = alone?.what === 'workload' || alone?.what === 'kernels' || alone?.what === 'arena'
  if (amp !== undefined && !isStep) throw new UsageError('--amp goes with --workload, --kernels or --arena')
  const recomputes = args['recompute'] === true
  if (recomputes && !isStep) throw new UsageError('--recompute goes with --workload, --kernels or --arena')
  const own = ['quick', 'resume', 'page', 'rounds', 'only'].find(
    (name) => args[name] !== undefined && args[name] !== false,
  )
  if (alone && own !== undefined) throw new UsageError(`--${own} belongs to the comparison, not to --${alone.what}`)
  const [quick, resume, page] = [args['quick'] === true, args['resume'] === true, args['page'] === true]
  const steps = wholeNumber(args, 'steps', 1, 100_000) ?? 7
  return {
    alone,
    parts: partsOf(textOf(args, 'only'), quick),
    steps: quick ? Math.min(steps, 3) : steps,
    rounds: wholeNumber(args, 'rounds', 1, 100) ?? (quick ? 1 : 5),
    threads: wholeNumber(args, 'threads', 1, MAX_THREADS),
    budgetMs: wholeNumber(args, 'budget-ms', 1, 60_000) ?? 200,
    seed: wholeNumber(args, 'seed', 0, 2 ** 31),
    bfloat16: amp === 'bf16',
    recomputes,
    quick,
    resume,
    page,
    json: args['json'] === true,
  }
}
