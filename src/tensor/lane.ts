/**
 * One executor lane a device: plans run in the order of submission. Compilation is asynchronous; a door that must not leave the JS
 * thread finishes what is queued by blocking.
 */
import { generatePlan } from '../codegen/generate.ts'
import type { Kernel } from '../codegen/kernel.ts'
import { verifyGraph } from '../graph/verify.ts'
import type { DeviceBuffer } from '../graph/storage.ts'
import type { Backend, Program } from '../runtime/backend.ts'
import type { Capture } from '../schedule/capture.ts'
import type { Plan } from '../schedule/plan.ts'
import { debugLevel, traceStages } from './trace.ts'

/** A plan by its structural key; the program once it is compiled. */
interface CachedPlan {
  readonly plan: Plan
  readonly kernels: readonly Kernel[]
  program: Program | null
  compiling: Promise<void> | null
}

interface Job {
  readonly cached: CachedPlan
  readonly leaves: readonly DeviceBuffer[]
  readonly outputs: readonly DeviceBuffer[]
  readonly scalars: readonly number[]
}

/** Plans kept; the least recently used goes first. */
const maxPlans = 512
/** Plans that may be under way before submission waits for the device. */
const maxAhead = 4

export class Lane {
  readonly #backend: Backend
  readonly #plans = new Map<string, CachedPlan>()
  readonly #queue: Job[] = []
  #running = 0
  #failure: unknown = null
  /** What a blocking door has thrown already: the run's promise rejects with it once more. */
  #thrown: unknown = null

  constructor(backend: Backend) {
    this.#backend = backend
  }

  /** Submits a captured program. Planning happens now, compiling and running on their own. */
  run(program: Capture, leaves: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    if (this.#backend.interpret) {
      this.#backend.interpret(program, leaves, outputs)
      return
    }
    if (this.#running >= maxAhead && this.#queue.length === 0 && this.#backend.capabilities.blocking)
      this.#backend.synchronizeSync()
    this.#queue.push({ cached: this.#planOf(program), leaves, outputs, scalars: program.scalars })
    this.#pump()
  }

  #planOf(program: Capture): CachedPlan {
    const cached = this.#plans.get(program.key) ?? this.#makePlan(program)
    this.#plans.delete(program.key)
    this.#plans.set(program.key, cached)
    if (this.#plans.size > maxPlans) this.#plans.delete(this.#plans.keys().next().value!)
    return cached
  }

  #makePlan(program: Capture): CachedPlan {
    if (debugLevel >= 1) verifyGraph(program.nodes)
    const { plan, kernels } = generatePlan(program, this.#backend.capabilities)
    if (debugLevel >= 1) traceStages(program, plan, kernels)
    return { plan, kernels, program: null, compiling: null }
  }

  /** Starts what can start: jobs whose program is compiled, in order. */
  #pump(): void {
    for (let job = this.#queue[0]; job; job = this.#queue[0]) {
      const { cached } = job
      if (!cached.program) {
        cached.compiling ??= this.#backend.compile!(cached.plan, cached.kernels).then(
          (program) => {
            cached.program ??= program
            this.#pump()
          },
          (error: unknown) => {
            cached.compiling = null
            this.#failure ??= error
            const failed = this.#queue.findIndex((j) => j.cached === cached)
            if (failed >= 0) this.#queue.splice(failed, 1)
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
    this.#running++
    this.#backend.run!(program, job.leaves, job.outputs, job.scalars)
      .catch((error: unknown) => {
        if (error !== this.#thrown) this.#failure ??= error
      })
      .finally(() => this.#running--)
  }

  /** Bytes of a buffer after everything submitted; throws what a submitted plan met. */
  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    await this.synchronize()
    return this.#backend.read(buffer)
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    this.synchronizeSync()
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
      job.cached.program ??= this.#backend.compileSync!(job.cached.plan, job.cached.kernels)
      this.#start(job, job.cached.program)
    }
    try {
      this.#backend.synchronizeSync()
    } catch (error) {
      this.#thrown = error
      throw error
    }
    this.#throwFailure()
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = null
    if (failure) throw failure
  }
}

const lanes = new WeakMap<Backend, Lane>()

export function laneOf(backend: Backend): Lane {
  let lane = lanes.get(backend)
  if (!lane) lanes.set(backend, (lane = new Lane(backend)))
  return lane
}
