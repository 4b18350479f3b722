/**
 * The comparison, part by part: ours and the peers in turn over all workloads, where our time goes, first steps with an empty and a full
 * cache, walks over new sizes, and the sweep. Each thing is saved as soon as it is known.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { release, tmpdir, totalmem, type } from 'node:os'
import { join } from 'node:path'
import manifest from '../../../../package.json' with { type: 'json' }
import { CpuBackend } from '../../../runtime/cpu/backend.ts'
import { machineRoofline } from '../../../runtime/cpu/roofline.ts'
import { detectCpuFeatures } from '../../../runtime/cpu-features.ts'
import { leastTime } from '../../../runtime/kernel-summary.ts'
import { roofOf } from '../../../runtime/roofline.ts'
import { backendOf } from '../../../tensor/device.ts'
import { UsageError } from '../../errors.ts'
import { freshWords, type Words } from '../../fresh-words.ts'
import type { Part } from './arguments.ts'
import {
  kernelsOfLongzhou,
  longzhou,
  peer,
  peerPython,
  sweepOfLongzhou,
  sweepOfTorch,
  walkOfLongzhou,
  type Contestant,
} from './contestants.ts'
import { builtWords } from './built.ts'
import { arithmeticBounds, inferenceResult, inferenceRounds, runnersOf } from './inference.ts'
import { filesOf, INFERENCE_CASES } from './inference-cases.ts'
import { median, round, type KernelProfile, type SweepRun, type WalkRun, type WorkloadRun } from './measure.ts'
import { empty, ResultsFile } from './results-file.ts'
import {
  LONG_RUN,
  sweepResults,
  workloadResult,
  type FirstStepResult,
  type KernelsResult,
  type Results,
  type SweepResult,
  type WalkResult,
} from './results.ts'
import { bytesOf, flopsOf, randomCases, sweepCases, type SweepCase } from './sweep-cases.ts'
import { VARIED, variantsOf, type VariantOptions } from './variants.ts'
import { WALKS } from './walks.ts'
import { WORKLOADS } from './workloads.ts'

export interface CompareOptions {
  /** The repository, or another folder that holds bench/peers and bench/venv; results are written below it. */
  readonly folder: string
  readonly parts: readonly Part[]
  /** Keeps what was measured before of these parts, and measures what is missing. */
  readonly resume: boolean
  readonly quick: boolean
  readonly threads: number
  readonly rounds: number
  readonly steps: number
  readonly budgetMs: number
  /** Of the random shapes. */
  readonly seed: number
  /** Told what begins now. */
  readonly say: (text: string) => void
}

/** Kernels of a step that the results keep. */
const KEPT_KERNELS = 20
/** Cases that a process of the sweep runs: a result is saved every half a minute or so. */
const CASES_A_PROCESS = 15

/** Measures the parts that are asked for. Takes about half an hour with the peers, a minute or two where it is `quick`. */
export async function compare(options: CompareOptions): Promise<ResultsFile> {
  const file = new ResultsFile(options.folder, emptyResults(options))
  const isPartial = options.resume || options.parts.length < Object.keys(RUNS).length
  if (isPartial && !options.quick && (await file.takeUp())) options.say('going on with the results that are there')
  if (!options.resume) for (const part of options.parts) file.change({ [SECTIONS[part]]: [] })
  const comparison = new Comparison(file, options)
  await comparison.build()
  for (const part of options.parts) await RUNS[part](comparison)
  await file.save()
  return file
}

const SECTIONS = {
  training: 'workloads',
  amp: 'variants',
  kernels: 'kernels',
  first: 'first_steps',
  walks: 'walks',
  sweep: 'sweep',
  inference: 'inference',
} as const satisfies Record<Part, keyof Results>

const RUNS: Readonly<Record<Part, (c: Comparison) => Promise<void>>> = {
  training: (c) => c.training(),
  amp: (c) => c.variants(),
  kernels: (c) => c.kernels(),
  first: (c) => c.firstSteps(),
  walks: (c) => c.walks(),
  sweep: (c) => c.sweep(),
  inference: (c) => c.inference(),
}

function emptyResults({ quick, threads, rounds, steps }: CompareOptions): Results {
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
    versions: { longzhou: manifest.version, node: process.versions.node },
    settings: { threads, rounds, steps },
    ...empty,
  }
}

class Comparison {
  readonly #file: ResultsFile
  readonly #options: CompareOptions
  readonly #python: string | undefined
  #ours: Words = freshWords

  constructor(file: ResultsFile, options: CompareOptions) {
    this.#file = file
    this.#options = options
    this.#python = peerPython(options.folder)
    if (this.#python === undefined)
      this.#problem('PyTorch and PaddlePaddle', 'bench/venv is not there; bench/setup.sh makes it')
  }

  /** What is measured is the built package, which is what users run; the sources as they are where it cannot be built. */
  async build(): Promise<void> {
    const { folder, say } = this.#options
    this.#ours = (await this.#attempt('build of the package', () => builtWords(folder, say))) ?? freshWords
  }

  get #results(): Results {
    return this.#file.results
  }

  get #workloads(): string[] {
    return WORKLOADS.map((w) => w.name).slice(0, this.#options.quick ? 1 : undefined)
  }

  #contestant(name: string): Contestant[] {
    return this.#python === undefined ? [] : [peer(name, this.#options.folder, this.#python)]
  }

  /** A line among the results' problems, in place of what was said of the same thing before. */
  #problem(what: string, message: string | null): void {
    const others = this.#results.problems.filter((p) => !p.startsWith(`${what}: `))
    this.#file.change({ problems: message === null ? others : [...others, `${what}: ${message}`] })
  }

  /** Runs what may fail; a failure is a line in the results, and the benchmark goes on. */
  async #attempt<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    this.#problem(what, null)
    try {
      return await run()
    } catch (error) {
      const message = (error as Error).message.split('\n')[0]!
      this.#options.say(`${what} failed: ${message}`)
      this.#problem(what, message)
      return undefined
    }
  }

  #save(change: Partial<Results>): Promise<void> {
    return this.#file.save({ date: new Date().toISOString(), ...change })
  }

  async training(): Promise<void> {
    const ours = longzhou(this.#ours)
    const contestants = [ours, ...this.#contestant('torch'), ...this.#contestant('paddle')]
    for (const name of this.#workloads) {
      const known = this.#results.workloads.find((w) => w.workload === name)
      if (known && known.contestants.length >= contestants.length) continue
      const rounds = await this.#rounds(name, contestants)
      const long = await this.#longRun(name, ours)
      const result = workloadResult(name, rounds, ours.name, long?.js_ms)
      const workloads = [...this.#results.workloads.filter((w) => w.workload !== name), result]
      const versions = { ...this.#results.versions, ...peerVersions([result]) }
      await this.#save({ workloads: inOrder(workloads, (w) => w.workload, this.#workloads), versions })
    }
  }

  /** Ours once more, for as long as JS time takes to settle; not where the comparison is quick. */
  async #longRun(workload: string, { train }: Contestant): Promise<WorkloadRun | undefined> {
    const { quick, threads, say } = this.#options
    if (quick) return undefined
    say(`${workload}: ${LONG_RUN} steps`)
    return this.#attempt(`${workload}, ${LONG_RUN} steps`, () => train(workload, { steps: LONG_RUN, threads }))
  }

  /** All rounds of one workload; who fails once is not asked again. */
  async #rounds(
    workload: string,
    contestants: readonly Contestant[],
  ): Promise<Map<string, (WorkloadRun | undefined)[]>> {
    const { rounds: count, say } = this.#options
    const rounds = new Map(contestants.map((c) => [c.name, [] as (WorkloadRun | undefined)[]]))
    for (let i = 0; i < count; i++) {
      for (const { name, train } of contestants) {
        const runs = rounds.get(name)!
        if (i > 0 && runs.at(-1) === undefined) {
          runs.push(undefined)
          continue
        }
        const run = await this.#attempt(`${workload}, ${name}`, () => train(workload, this.#options))
        const outcome = run ? `${run.ms_median.toFixed(1)} ms` : 'failed'
        say(`${workload}: ${name}, round ${i + 1} of ${count}: ${outcome}`)
        runs.push(run)
      }
    }
    return rounds
  }

  /** Workloads in other variants, each beside itself in float32. */
  async variants(): Promise<void> {
    for (const name of VARIED) {
      if (!this.#workloads.includes(name) || this.#results.variants.some((v) => v.workload === name)) continue
      const attempt: VariantOptions['attempt'] = (what, run) => this.#attempt(what, run)
      const found = await variantsOf(this.#ours, name, { ...this.#options, attempt })
      const variants = [...this.#results.variants, ...found]
      await this.#save({ variants: inOrder(variants, (v) => v.workload, VARIED) })
    }
  }

  async kernels(): Promise<void> {
    await this.#roofline()
    for (const name of this.#workloads) {
      if (this.#results.kernels.some((k) => k.workload === name)) continue
      this.#options.say(`${name}: kernels`)
      const profile = await this.#attempt(`${name}, kernels`, () => kernelsOfLongzhou(this.#ours, name, this.#options))
      if (!profile) continue
      const kernels = [...this.#results.kernels, kernelsResult(profile)]
      await this.#save({ kernels: inOrder(kernels, (k) => k.workload, this.#workloads) })
    }
  }

  /** The roofline of this machine, measured now where it was not before. */
  async #roofline(): Promise<void> {
    if (this.#results.roofline) return
    const backend = backendOf('cpu')
    if (!(backend instanceof CpuBackend)) return
    const roofline = await this.#attempt('roofline', () => machineRoofline(backend))
    if (roofline) this.#file.change({ roofline })
  }

  async firstSteps(): Promise<void> {
    const [compiled] = this.#options.quick ? [] : this.#contestant('torch+compile')
    for (const name of this.#workloads) {
      if (this.#results.first_steps.some((f) => f.workload === name)) continue
      const first = await this.#firstStep(name, compiled)
      if (!first) continue
      const steps = [...this.#results.first_steps, first]
      await this.#save({ first_steps: inOrder(steps, (f) => f.workload, this.#workloads) })
    }
  }

  /** The first step with an empty cache directory, and again with what that run left there. */
  async #firstStep(workload: string, compiled: Contestant | undefined): Promise<FirstStepResult | undefined> {
    const { threads, rounds, say } = this.#options
    const settings = { steps: 1, threads }
    const times: { cold: number; warm: number }[] = []
    for (let i = 0; i < Math.min(3, rounds); i++) {
      const cache = await mkdtemp(join(tmpdir(), 'longzhou-bench-'))
      try {
        const ours = longzhou(this.#ours, cache)
        const run = async (): Promise<number> => (await ours.train(workload, settings)).first_s
        const pair = await this.#attempt(`${workload}, first step`, async () => ({
          cold: await run(),
          warm: await run(),
        }))
        if (!pair) return undefined
        say(
          `${workload}: first step, round ${i + 1}: ${pair.cold.toFixed(2)} s, ${pair.warm.toFixed(2)} s with a cache`,
        )
        times.push(pair)
      } finally {
        await rm(cache, { recursive: true, force: true })
      }
    }
    if (compiled) say(`${workload}: first step of ${compiled.name}`)
    const other =
      compiled && (await this.#attempt(`${workload}, ${compiled.name}`, () => compiled.train(workload, settings)))
    return {
      workload,
      cold_s: round(median(times.map((t) => t.cold)), 3),
      warm_s: round(median(times.map((t) => t.warm)), 3),
      ...(other && { torch_compile_s: other.first_s }),
    }
  }

  async walks(): Promise<void> {
    for (const { name } of WALKS) {
      if (this.#results.walks.some((w) => w.walk === name)) continue
      this.#options.say(`walk: ${name}`)
      const runs = await this.#attempt(`walk ${name}`, () => walkOfLongzhou(this.#ours, name, this.#options.threads))
      if (!runs) continue
      const walks = [...this.#results.walks, walkResult(name, runs)]
      await this.#save({
        walks: inOrder(
          walks,
          (w) => w.walk,
          WALKS.map((w) => w.name),
        ),
      })
    }
  }

  /** Products and convolutions, named and random ones, ours and PyTorch's in turn. */
  async sweep(): Promise<void> {
    await this.#roofline()
    const { quick, resume } = this.#options
    const drawnBefore = resume ? this.#results.sweep.find((s) => s.seed !== undefined)?.seed : undefined
    const seed = drawnBefore ?? this.#options.seed
    const random = quick ? [] : randomCases(seed)
    const all = [...sweepCases(quick ? 'matmul 256x' : 'all'), ...random]
    const known = new Set(this.#results.sweep.map((s) => s.case))
    const missing = all.filter((c) => !known.has(c.name))
    for (let i = 0; i < missing.length; i += CASES_A_PROCESS) {
      const cases = missing.slice(i, i + CASES_A_PROCESS)
      const found = await this.#sweepOf(cases, new Set(random.map((c) => c.name)), seed)
      const sweep = [...this.#results.sweep, ...found]
      await this.#save({
        sweep: inOrder(
          sweep,
          (s) => s.case,
          all.map((c) => c.name),
        ),
      })
      this.#options.say(
        `products and convolutions: ${Math.min(i + CASES_A_PROCESS, missing.length)} of ${missing.length}`,
      )
    }
  }

  /** Networks beside ONNX Runtime and Paddle Inference. */
  async inference(): Promise<void> {
    const { folder, quick } = this.#options
    await this.#roofline()
    const { roofline } = this.#results
    const { runners, absent } = runnersOf(folder, this.#ours)
    for (const { peer: name, why } of absent) this.#problem(`inference, ${name}`, why)
    const scratch = await mkdtemp(join(tmpdir(), 'longzhou-bench-'))
    try {
      for (const test of quick ? INFERENCE_CASES.filter((c) => c.make).slice(0, 1) : INFERENCE_CASES) {
        if (this.#results.inference.some((c) => c.case === test.name)) continue
        const files = await this.#attempt(`inference, ${test.name}`, () => filesOf(test, folder, scratch))
        if (!files) continue
        const rounds = await inferenceRounds(test, files, runners, {
          ...this.#options,
          attempt: (what, run) => this.#attempt(what, run),
        })
        const { macs } = files
        const bounds = roofline && arithmeticBounds(macs, (threads) => roofOf(roofline, threads).gflops)
        const result = inferenceResult(test.name, runners, rounds, { macs, ...(bounds && { bounds }) })
        const inference = [...this.#results.inference, result]
        const names = INFERENCE_CASES.map((c) => c.name)
        await this.#save({ inference: inOrder(inference, (c) => c.case, names) })
      }
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  }

  async #sweepOf(cases: readonly SweepCase[], random: ReadonlySet<string>, seed: number): Promise<SweepResult[]> {
    const { folder, threads, rounds, budgetMs } = this.#options
    const python = this.#python
    const settings = { threads, budgetMs }
    const ours: (SweepRun[] | undefined)[] = []
    const theirs: (SweepRun[] | undefined)[] = []
    const [first, last] = [cases[0]!.name, cases.at(-1)!.name]
    const what = (who: string): string => `sweep of ${who}, ${first} to ${last}`
    for (let i = 0; i < Math.min(3, rounds); i++) {
      ours.push(await this.#attempt(what('longzhou'), () => sweepOfLongzhou(this.#ours, cases, settings)))
      if (python === undefined) continue
      theirs.push(await this.#attempt(what('torch'), () => sweepOfTorch(cases, settings, folder, python)))
    }
    const { roofline } = this.#results
    const roof = roofline && roofOf(roofline, threads)
    const facts = (name: string, gflops: number): Partial<SweepResult> => {
      const c = cases.find((known) => known.name === name)!
      const work = { flops: flopsOf(c), bytes: bytesOf(c) }
      const ms = work.flops / gflops / 1e6
      return {
        intensity: round(work.flops / work.bytes, 2),
        ...(roof && { roof_share: round(leastTime(work, roof) / ms, 3) }),
        ...(random.has(name) && { seed }),
      }
    }
    return sweepResults(ours, theirs, facts)
  }
}

/** In the order of some names; what none of them names goes last. */
function inOrder<T>(items: readonly T[], nameOf: (item: T) => string, names: readonly string[]): T[] {
  const place = new Map(names.map((name, i) => [name, i]))
  return items.toSorted((a, b) => (place.get(nameOf(a)) ?? names.length) - (place.get(nameOf(b)) ?? names.length))
}

/** Keeps the kernels that take most of a step's time. */
export function kernelsResult(profile: KernelProfile): KernelsResult {
  const share = (value: number | null): number | null => (value === null ? null : round(value, 3))
  return {
    workload: profile.model,
    step_ms: round(profile.stepMs),
    kernel_ms: round(profile.kernelMs),
    between_ms: round(profile.betweenMs),
    outside_ms: round(profile.outsideMs),
    roof_share: share(profile.roofShare),
    kernels: profile.rows.slice(0, KEPT_KERNELS).map((row) => ({
      title: row.title,
      shapes: row.shapes,
      calls: round(row.calls, 1),
      ms: round(row.ms, 3),
      gflops: round(row.gflops, 1),
      gbs: round(row.gbs, 1),
      intensity: row.bytes > 0 ? round(row.flops / row.bytes, 3) : 0,
      roof_share: share(row.roofShare),
    })),
  }
}

export function walkResult(walk: string, runs: readonly WalkRun[]): WalkResult {
  const times = runs.map((r) => r.plan_ms)
  return {
    walk,
    sizes: runs.length,
    plan_ms_median: round(median(times)),
    plan_ms_max: Math.max(...times),
    compiles: runs.reduce((n, r) => n + r.compiles, 0),
    compiled_at: runs.filter((r) => r.compiles > 0).map((r) => r.size),
  }
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

/** The page and the plot anew from the results that are there, whatever machine they are of. */
export async function rewritePage(options: CompareOptions): Promise<ResultsFile> {
  const file = new ResultsFile(options.folder, emptyResults(options))
  if (!(await file.takeUpAny()))
    throw new UsageError('there are no results yet: run `longzhou bench` without --page first')
  await file.save()
  return file
}
