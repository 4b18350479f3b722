/**
 * One executor lane a device: plans run in the order of submission. Compilation is asynchronous; a door that must not leave the JS
 * thread finishes what is queued by blocking.
 */
import { sizeOf } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { RecentMap } from '../common/recent-map.ts'
import { numel } from '../common/shape.ts'
import { generatePlan } from '../codegen/generate.ts'
import type { Constant } from '../codegen/prologue.ts'
import type { CompiledKernel, Kernel } from '../codegen/kernel.ts'
import { verifyGraph } from '../graph/verify.ts'
import type { DeviceBuffer } from '../graph/storage.ts'
import type { Backend, Capabilities, MadePlan, PlanRequest, Program, ProgramOptions } from '../runtime/backend.ts'
import type { RunTimes } from '../runtime/run-times.ts'
import type { Capture } from '../schedule/capture.ts'
import type { Plan } from '../schedule/plan.ts'
import { isArenaListed, isProfiling, notePlan, noteRun } from './profile.ts'
import { debugLevel, traceStages } from './trace.ts'

/** A plan by its structural key; the program once it is compiled. */
export interface CachedPlan {
  readonly plan: Plan
  /** Kernels that were compiled by another process stand in a plan that has its program. */
  readonly kernels: readonly (Kernel | CompiledKernel)[]
  readonly options: ProgramOptions
  program: Program | null
  compiling: Promise<void> | null
  /** Kernels that the program needs at other sizes, until they are asked for. */
  siblings: readonly Kernel[]
  /** Called once all kernels are compiled. */
  compiled?: (() => void) | undefined
}

interface Job {
  readonly cached: CachedPlan
  readonly leaves: readonly DeviceBuffer[]
  readonly outputs: readonly DeviceBuffer[]
  /** Outputs that hold nothing before: no value where the job fails. What is overwritten keeps its old one. */
  readonly fresh: readonly DeviceBuffer[]
  readonly scalars: readonly number[]
  /** Who is told how the job ended, instead of the next door. */
  readonly done?: (fault: unknown) => void
  /** Whether the caller does nothing but wait for it. */
  readonly isAwaited: boolean
}

/** A program that is run many times: its plan, and what it computes from leaves that never change. */
export interface PreparedPlan {
  readonly constants: readonly Constant[]
  /** Of each launch of the prologue: the constants that it writes. */
  readonly writes: readonly (readonly number[])[]
  /** Computes those of the constants (outputs by number) that `isWanted`. */
  prologue(isWanted: (constant: number) => boolean): CachedPlan
  readonly main: CachedPlan
}

/** Plans kept; the least recently used goes first. */
const maxPlans = 512
/** Plans that may be under way before submission waits for the device. */
const maxAhead = 4
/** Recorded nodes of the smallest program whose plan is looked for on disk: less is planned sooner than read. */
const leastRecalled = 48

export class Lane {
  readonly #backend: Backend
  readonly #plans = new RecentMap<string, CachedPlan>(maxPlans)
  readonly #queue: Job[] = []
  #running = 0
  #failure: unknown = null
  /** Buffers without a value, since what should have computed it failed; null until something fails, so that runs need not look for theirs. */
  #faults: WeakMap<DeviceBuffer, unknown> | null = null

  constructor(backend: Backend) {
    this.#backend = backend
  }

  /**
   * Submits a captured program. Planning happens now, compiling and running on their own. `fresh`: the outputs that overwrite nothing;
   * `isAwaited`: that the caller does nothing but wait for them.
   */
  run(
    program: Capture,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    fresh: readonly DeviceBuffer[],
    isAwaited: boolean,
  ): void {
    if (this.#backend.interpret) {
      try {
        for (const leaf of leaves) this.#checkValue(leaf)
        this.#backend.interpret(program, leaves, outputs)
      } catch (error) {
        this.#failure ??= error
        this.#fail(fresh, error)
      }
      return
    }
    if (this.#running >= maxAhead && this.#queue.length === 0 && this.#backend.capabilities.blocking) this.#block()
    let isPlanned = false
    const cached = this.#plans.getOrMake(program.key, () => {
      isPlanned = true
      return this.#makePlan(program, null, {}).main
    })
    this.#queue.push({ cached, leaves, outputs, fresh, scalars: program.scalars, isAwaited })
    this.#pump()
    this.#backend.submitted?.(program.size, isPlanned)
  }

  /** Plans a program for many runs. `constant`: leaves that never change; null where the device interprets programs itself. */
  prepare(capture: Capture, constant: ReadonlySet<number>, options: ProgramOptions = {}): PreparedPlan | null {
    return this.#backend.interpret ? null : this.#makePlan(capture, constant, options)
  }

  /** Runs a plan; resolves when it has run, and rejects with what this run met, which no door tells again. */
  execute(
    cached: CachedPlan,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (fault: unknown): void =>
        fault === null || fault === undefined ? resolve() : reject(fault as Error)
      this.#queue.push({ cached, leaves, outputs, fresh: outputs, scalars, done, isAwaited: true })
      this.#pump()
    })
  }

  /** The plan of a program as another process made it, or made here. */
  #makePlan(program: Capture, constant: ReadonlySet<number> | null, options: ProgramOptions): PreparedPlan {
    const backend = this.#backend
    const { threads, productParts } = options
    const capabilities = {
      ...backend.capabilities,
      ...(threads !== undefined && { threads }),
      ...(productParts !== undefined && { productParts }),
    }
    const started = performance.now()
    // Whoever wants to see the stages sees them made.
    const isKept = debugLevel === 0 && backend.recall !== undefined && program.size >= leastRecalled
    const request = isKept ? requestOf(program, constant, capabilities) : null
    const recalled = request && backend.recall!(request, options)
    if (recalled) {
      notePlan({ backend, plan: recalled.plan, ms: performance.now() - started, recalled: true })
      return preparedPlan(recalled, [], options, (plan) => recalled.bind(plan))
    }
    if (debugLevel >= 1) verifyGraph(program.nodes)
    backend.planning?.()
    const made = generatePlan(program, capabilities, constant ?? undefined, isArenaListed())
    notePlan({ backend, plan: made.plan, ms: performance.now() - started, recalled: false })
    if (debugLevel >= 1) traceStages(program, made.plan, made.kernels, capabilities.vectorBytes)
    return preparedPlan(
      made,
      made.siblings,
      options,
      () => null,
      request ? () => backend.remember?.(request, made, options) : undefined,
    )
  }

  /** Starts what can start: jobs whose program is compiled, in order. */
  #pump(): void {
    for (let job = this.#queue[0]; job; job = this.#queue[0]) {
      const { cached } = job
      if (!cached.program) {
        cached.compiling ??= this.#backend.compile!(cached.plan, sourcesOf(cached), cached.options).then(
          (program) => {
            setProgram(cached, program)
            this.#pump()
          },
          (error: unknown) => {
            cached.compiling = null
            const failed = this.#queue.findIndex((j) => j.cached === cached)
            if (failed >= 0) this.#end(this.#queue.splice(failed, 1)[0]!, error)
            else this.#failure ??= error
            this.#pump()
          },
        )
        return
      }
      this.#start(job, cached.program)
    }
  }

  #start(job: Job, program: Program): void {
    this.#queue.shift()
    const known = this.#faultOf(job)
    if (known !== undefined) return job.done ? job.done(known) : this.#skip(job, known)
    this.#running++
    const { plan, kernels, siblings, options } = job.cached
    job.cached.siblings = []
    const submitted = performance.now()
    const settled = (fault: Error | null, times?: RunTimes): void => {
      this.#running--
      // Behind the first run, which nobody should wait longer for.
      if (siblings.length > 0) this.#backend.compileAhead?.(siblings, options)
      if (times) noteRun({ backend: this.#backend, plan, kernels, submitted, times, fault })
      const inherited = this.#faultOf(job)
      if (fault) this.#end(job, fault)
      else if (job.done) job.done(inherited)
      else if (inherited !== undefined) this.#skip(job, inherited)
    }
    this.#backend.run!(program, job.leaves, job.outputs, job.scalars, settled, isProfiling(), job.isAwaited).catch(
      () => {},
    )
  }

  /** Why a job has no values to work on: the failure of one before it. */
  #faultOf(job: Job): unknown {
    const faults = this.#faults
    if (faults) for (const leaf of job.leaves) if (faults.has(leaf)) return faults.get(leaf)
    return undefined
  }

  /** A job came to a bad end: who waits for it is told, else the next door. */
  #end(job: Job, fault: unknown): void {
    if (job.done) return job.done(fault)
    this.#failure ??= fault
    this.#fail(job.fresh, fault)
  }

  /** What a job should have computed has no value: whoever reads that, or what is computed from it, gets the fault again. */
  #fail(fresh: readonly DeviceBuffer[], fault: unknown): void {
    this.#faults ??= new WeakMap()
    for (const buffer of fresh) this.#faults.set(buffer, fault)
  }

  /** As `fail`, for a job whose sources have no values. The next door tells only where nothing else will: an overwrite was left out. */
  #skip(job: Job, fault: unknown): void {
    if (job.fresh.length < job.outputs.length) this.#failure ??= fault
    this.#fail(job.fresh, fault)
  }

  /** Waits in the JS thread; what is thrown here is not thrown again. */
  #block(): void {
    try {
      this.#backend.synchronizeSync()
    } catch (error) {
      if (this.#failure === error) this.#failure = null
      throw error
    }
  }

  #checkValue(buffer: DeviceBuffer): void {
    const fault = this.#faults?.get(buffer)
    if (fault !== undefined) throw fault
  }

  /** Bytes of a buffer after everything submitted; throws what a submitted plan met. */
  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    await this.synchronize()
    this.#checkValue(buffer)
    return this.#backend.read(buffer)
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    this.synchronizeSync()
    this.#checkValue(buffer)
    return this.#backend.readSync(buffer)
  }

  /** Waits for everything submitted so far. Throws what a plan met on its way: a compile error, an index out of range. */
  async synchronize(): Promise<void> {
    while (this.#queue.length > 0 && this.#queue[0]!.cached.compiling) await this.#queue[0]!.cached.compiling
    await this.#backend.synchronize()
    this.#throwFailure()
  }

  synchronizeSync(): void {
    for (let job = this.#queue[0]; job; job = this.#queue[0]) {
      try {
        if (!job.cached.program)
          setProgram(job.cached, this.#backend.compileSync!(job.cached.plan, sourcesOf(job.cached), job.cached.options))
      } catch (error) {
        const failed = this.#queue.shift()!
        if (failed.done) {
          failed.done(error)
          continue
        }
        this.#fail(failed.fresh, error)
        throw error
      }
      this.#start(job, job.cached.program!)
    }
    this.#block()
    this.#throwFailure()
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = null
    if (failure) throw failure
  }
}

/** What a program's plan is asked for by. */
function requestOf(program: Capture, constant: ReadonlySet<number> | null, capabilities: Capabilities): PlanRequest {
  return {
    description: program.description(),
    capabilities,
    constant,
    leaves: program.leaves.map((l) => l.bytes),
    outputs: program.targets.map(({ node }) => numel(node.shape) * sizeOf(node.dtype)),
    scalars: program.scalars.length,
  }
}

/** `compiled` is called once all kernels are compiled. */
function preparedPlan(
  made: MadePlan,
  siblings: readonly Kernel[],
  options: ProgramOptions,
  bind: (plan: Plan) => Program | null,
  compiled?: () => void,
): PreparedPlan {
  const { plan, kernels, constants, prologue } = made
  const cached = (p: Plan): CachedPlan => ({
    plan: p,
    kernels,
    options,
    program: bind(p),
    compiling: null,
    siblings: p === plan ? siblings : [],
  })
  return {
    constants,
    writes: prologue.map((p) => p.writes),
    main: { ...cached(plan), compiled },
    prologue: (isWanted) =>
      cached({ steps: prologue.filter((p) => p.writes.some(isWanted)).map((p) => p.launch), arenaBytes: 0 }),
  }
}

/** The kernels of a plan that is not compiled. */
function sourcesOf({ kernels }: CachedPlan): Kernel[] {
  return kernels.map((k) => {
    if ('structure' in k) throw new InternalError(`the compiled kernel '${k.title}' is to be compiled`)
    return k
  })
}

function setProgram(cached: CachedPlan, program: Program): void {
  if (cached.program) return
  cached.program = program
  cached.compiled?.()
  cached.compiled = undefined
}

const lanes = new WeakMap<Backend, Lane>()

export function laneOf(backend: Backend): Lane {
  let lane = lanes.get(backend)
  if (!lane) lanes.set(backend, (lane = new Lane(backend)))
  return lane
}
