/**
 * Inference beside ONNX Runtime and Paddle Inference (with oneDNN): every case with one thread and with two, in turn, each run in a process
 * of its own; and what the rounds say: each program at its best number of threads counts.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { WorkerError } from '../../../common/errors.ts'
import { freshWords, type Words } from '../../fresh-words.ts'
import type { InferenceCase, InferenceFiles } from './inference-cases.ts'
import { median, pairedRatio, readJsonLines, round } from './measure.ts'

/** One process that loaded a network and ran it some times. */
export const inferenceRun = z.object({
  peer: z.string().default('longzhou'),
  load_ms: z.number(),
  /** The first run, with whatever is planned, compiled or packed in it. */
  first_ms: z.number(),
  ms_min: z.number(),
  ms_median: z.number(),
  /** Largest resident memory of the whole process, interpreter and libraries counted, in MiB. */
  peak_mb: z.number(),
})
export type InferenceRun = z.output<typeof inferenceRun>

/** A program with a number of threads, over all rounds. */
export interface InferenceRow {
  readonly peer: string
  readonly threads: number
  readonly rounds: number
  readonly ms_median: number
  readonly ms_min: number
  readonly load_ms: number
  readonly first_ms: number
  readonly peak_mb: number
}

/** What a network's arithmetic takes with one number of threads where multiply-adds never wait. */
export interface ArithmeticBound {
  readonly threads: number
  readonly ms: number
}

export interface InferenceResult {
  readonly case: string
  readonly rows: readonly InferenceRow[]
  /** Our time over that of the fastest peer, each at its best number of threads: the median over rounds. Absent without a peer. */
  readonly ratio?: number
  /** The same with factors of 16 bits. */
  readonly ratio_high?: number
  /** Multiply-accumulates of a run, counted directly. */
  readonly macs?: number
  /** By the speed of float32 multiply-adds that was measured on the machine; absent where it was not. */
  readonly bounds?: readonly ArithmeticBound[]
  /** The least bound over the time of the fastest peer at its best number of threads: a lower ratio takes fewer multiplications than the network has. */
  readonly bound_ratio?: number
}

/** A program with a number of threads. */
export interface Runner {
  readonly name: string
  readonly threads: number
  readonly run: (files: InferenceFiles, test: InferenceCase, repeat: number) => Promise<InferenceRun>
}

export const OURS = 'longzhou'
/** Ours with `precision: 'high'`. */
export const OURS_HIGH = 'longzhou high'

/** No single run takes this long; one that does hangs. */
const TIMEOUT_MS = 300_000

async function lineOf(file: string, words: readonly string[]): Promise<InferenceRun> {
  const { stdout } = await promisify(execFile)(file, words, { timeout: TIMEOUT_MS, maxBuffer: 16 << 20 }).catch(
    (error: Error & { stderr?: string }) => {
      const lines = (error.stderr ?? '').trim().split('\n')
      const reason = lines.findLast((line) => /\w*Error/.test(line)) ?? lines.at(-1)
      throw new WorkerError(reason || error.message, { cause: error })
    },
  )
  const [line] = readJsonLines(stdout, inferenceRun)
  if (!line) throw new WorkerError(`${words.join(' ')} printed no result`)
  return line
}

const peers = [
  { name: 'onnxruntime', script: 'ort_infer.py', python: '.cache/venv-onnx', made: 'scripts/setup-onnx.sh' },
  { name: 'paddle', script: 'paddle_infer.py', python: 'bench/venv', made: 'bench/setup.sh' },
] as const

/** Ours and the peers that are installed, with one thread and with two; `absent` says what is missing. */
export function runnersOf(
  folder: string,
  ours: Words = freshWords,
): { runners: Runner[]; absent: { peer: string; why: string }[] } {
  const words = (files: InferenceFiles, threads: number, repeat: number): string[] => [
    ...files.inputs.flatMap(({ name, file }) => ['--input', `${name}=${file}`]),
    '--threads',
    String(threads),
    '--repeat',
    String(repeat),
  ]
  const own =
    (name: string, options: readonly string[]): ((threads: number) => Runner) =>
    (threads) => ({
      name,
      threads,
      run: async (files, _, repeat) => {
        const line = ours(['infer', files.paddle, ...words(files, threads, repeat), ...options, '--json'])
        return { ...(await lineOf(process.execPath, line)), peer: name }
      },
    })
  const all: ((threads: number) => Runner)[] = [own(OURS, []), own(OURS_HIGH, ['--precision', 'high'])]
  const absent: { peer: string; why: string }[] = []
  for (const { name, script, python, made } of peers) {
    const interpreter = join(folder, python, 'bin/python')
    if (!existsSync(interpreter)) {
      absent.push({ peer: name, why: `${python} is not there; ${made} makes it` })
      continue
    }
    all.push((threads) => ({
      name,
      threads,
      run: (files, test, repeat) => {
        const model = name === 'paddle' ? (test.isLegacy ? files.legacy : files.paddle) : files.onnx
        return lineOf(interpreter, [join(folder, 'bench/peers', script), model, ...words(files, threads, repeat)])
      },
    }))
  }
  return { runners: all.flatMap((make) => [make(1), make(2)]), absent }
}

/** Runs of each runner by round; undefined where a run failed. */
export type InferenceRounds = readonly (readonly (InferenceRun | undefined)[])[]

/** Runs after the first that are timed. */
const REPEATS = { whole: 30, quick: 3 }

/** Whether a program keeps kernels and plans on disk: the first process that runs a network compiles them, and is not measured. */
const keepsKernels = (name: string): boolean => name === OURS || name === OURS_HIGH

/** All rounds of one network, all runners in turn; who fails once is not asked again. `attempt` gives undefined for what fails. */
export async function inferenceRounds(
  test: InferenceCase,
  files: InferenceFiles,
  runners: readonly Runner[],
  options: {
    readonly rounds: number
    readonly quick: boolean
    readonly say: (text: string) => void
    readonly attempt: (what: string, run: () => Promise<InferenceRun>) => Promise<InferenceRun | undefined>
  },
): Promise<InferenceRounds> {
  const { rounds: count, quick, say, attempt } = options
  const repeat = quick ? REPEATS.quick : REPEATS.whole
  const rounds = runners.map(() => [] as (InferenceRun | undefined)[])
  for (let r = 0; r < count; r++) {
    for (const [i, { name, threads, run }] of runners.entries()) {
      const what = `${test.name}, ${name} with ${threads} threads`
      let earlier: InferenceRun | null | undefined = r > 0 ? rounds[i]!.at(-1) : null
      if (r === 0 && keepsKernels(name)) earlier = await attempt(what, () => run(files, test, 1))
      const done = earlier === undefined ? undefined : await attempt(what, () => run(files, test, repeat))
      say(`${what}, round ${r + 1} of ${count}: ${done ? `${done.ms_median.toFixed(2)} ms` : 'failed'}`)
      rounds[i]!.push(done)
    }
  }
  return rounds
}

/** Of a network with so many multiply-accumulates, at GFLOP/s of float32 multiply-adds by the number of threads. */
export function arithmeticBounds(macs: number, gflopsOf: (threads: number) => number): ArithmeticBound[] {
  return [1, 2].map((threads) => ({ threads, ms: round((2 * macs) / gflopsOf(threads) / 1e6, 3) }))
}

/** Sums up the rounds of a case; `rounds[i][r]` is round r of runner i. */
export function inferenceResult(
  name: string,
  runners: readonly Pick<Runner, 'name' | 'threads'>[],
  rounds: InferenceRounds,
  work: Pick<InferenceResult, 'macs' | 'bounds'> = {},
): InferenceResult {
  const rows = runners.flatMap(({ threads }, i): InferenceRow[] => {
    const runs = rounds[i]!.filter((run) => run !== undefined)
    if (runs.length === 0) return []
    const over = (field: Exclude<keyof InferenceRun, 'peer'>): number => median(runs.map((run) => run[field]))
    return [
      {
        peer: runs[0]!.peer,
        threads,
        rounds: runs.length,
        ms_median: round(over('ms_median'), 3),
        ms_min: round(Math.min(...runs.map((run) => run.ms_min)), 3),
        load_ms: round(over('load_ms'), 1),
        first_ms: round(over('first_ms'), 1),
        peak_mb: round(over('peak_mb'), 1),
      },
    ]
  })
  const count = Math.max(0, ...rounds.map((runs) => runs.length))
  /** The best number of threads of those programs, by round. */
  const over = (isOne: (name: string) => boolean): (number | undefined)[] =>
    Array.from({ length: count }, (_, r) => {
      const times = runners.flatMap((c, i) => (isOne(c.name) ? (rounds[i]![r]?.ms_median ?? []) : []))
      return times.length === 0 ? undefined : Math.min(...times)
    })
  const theirs = over((program) => program !== OURS && program !== OURS_HIGH)
  const [ratio, ratioHigh] = [OURS, OURS_HIGH].map((own) =>
    pairedRatio(
      over((program) => program === own),
      theirs,
    ),
  ) as [number, number]
  const least = Math.min(...(work.bounds ?? []).map((b) => b.ms))
  const peer = median(theirs.filter((ms) => ms !== undefined))
  const boundRatio = least / peer
  return {
    case: name,
    rows,
    ...(!Number.isNaN(ratio) && { ratio: round(ratio, 3) }),
    ...(!Number.isNaN(ratioHigh) && { ratio_high: round(ratioHigh, 3) }),
    ...work,
    ...(Number.isFinite(boundRatio) && { bound_ratio: round(boundRatio, 3) }),
  }
}

/** Our peak of memory over the least of the peers'; NaN without one. */
export function memoryRatio({ rows }: InferenceResult): number {
  const least = (isOne: (name: string) => boolean): number =>
    Math.min(...rows.filter((r) => isOne(r.peer)).map((r) => r.peak_mb))
  const ratio = least((name) => name === OURS) / least((name) => name !== OURS && name !== OURS_HIGH)
  return ratio > 0 ? ratio : NaN
}
