/**
 * What a device must do. A backend owns memory and runs programs on it in the order of submission; it knows nothing of Tensors.
 */
import type { DeviceBuffer } from '../graph/storage.ts'
import type { Capabilities, ProductParts } from '../codegen/capabilities.ts'
import type { GeneratedPlan } from '../codegen/generate.ts'
import type { CompiledKernel, Kernel } from '../codegen/kernel.ts'
import type { Plan } from '../schedule/plan.ts'
import type { Capture } from '../schedule/capture.ts'
import type { Roof } from './kernel-summary.ts'
import type { RunTimes } from './run-times.ts'
import type { SharedMemory } from './shared-memory.ts'

export type { Capabilities }

export interface MemoryInfo {
  readonly liveBytes: number
  readonly peakBytes: number
  readonly arenaBytes: number
}

/**
 * Is told how a run ended (null: well) as soon as it is known, also while the JS thread is blocked, in the order of the runs; and when its
 * launches ran, where that was asked for.
 */
export type Settled = (fault: Error | null, times?: RunTimes) => void

/** Kernels of a plan, compiled and bound: what `run` needs. Opaque. */
export interface Program {
  readonly kernels: number
}

/** What a plan is asked for by, and what memory it may use. */
export interface PlanRequest {
  /** Numbers that tell the program from all others (see `Capture.description`). */
  readonly description: Float64Array
  /** What the plan is made for. */
  readonly capabilities: Capabilities
  /** Leaves that never change; null where none is taken out of the plan. */
  readonly constant: ReadonlySet<number> | null
  /** Bytes of each leaf and each output, and how many scalars there are. */
  readonly leaves: readonly number[]
  readonly outputs: readonly number[]
  readonly scalars: number
}

/** A plan as `generatePlan` makes it, whoever made it. */
export type MadePlan = Omit<GeneratedPlan, 'kernels' | 'siblings'> & {
  readonly kernels: readonly (Kernel | CompiledKernel)[]
}

/** A plan that was made before, by any process: all its kernels are compiled. `bind` makes a program of it, or of its prologue. */
export interface RecalledPlan extends MadePlan {
  bind(plan: Plan): Program
}

/** What one user of a device wants of it that others do not. */
export interface ProgramOptions {
  /** Threads that may work for its runs, at most. Default: as many as for all others. */
  readonly threads?: number
  /**
   * Whether numbers below the smallest normal one (1.2e-38 in float32) count as zero, where the device can choose: arithmetic on them takes a hundred
   * times as long on many processors. Default false.
   */
  readonly flushesSubnormals?: boolean
  /** Parts of the factors of float32 products, at most; see capabilities. Default: the backend's. */
  readonly productParts?: ProductParts
  /** Directory that keeps what is compiled for it; false: nothing is kept. Default: the process's, where the backend keeps anything at all. */
  readonly cache?: string | false
}

export interface Backend {
  readonly name: string
  readonly capabilities: Capabilities
  /**
   * Memory with anything in it: whoever asks for it writes it, or has it written, before it is read. `nodes`: recorded nodes that are alive
   * meanwhile, among which dropped memory is not worth looking for. Default 0.
   */
  allocate(bytes: number, nodes?: number): DeviceBuffer
  /** Replaces the contents; ordered after what was submitted before. */
  write(buffer: DeviceBuffer, data: Uint8Array): void
  /** The contents after what was submitted before. The bytes may be the memory itself: do not write to them. */
  read(buffer: DeviceBuffer): Promise<Uint8Array>
  readSync(buffer: DeviceBuffer): Uint8Array
  /** Interprets the graph itself (the oracle); compiled backends lack it. */
  interpret?(capture: Capture, leaves: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void
  /** Compiles what is not compiled yet. Throws CompileError. */
  compile?(plan: Plan, kernels: readonly Kernel[], options?: ProgramOptions): Promise<Program>
  compileSync?(plan: Plan, kernels: readonly Kernel[], options?: ProgramOptions): Program
  /** Compiles in the background what plans to come may need. Backends for which that takes no time worth saving lack it. */
  compileAhead?(kernels: readonly Kernel[], options?: ProgramOptions): void
  /** A plan that is known from before; null where there is none. Backends that keep none lack it. */
  recall?(request: PlanRequest, options?: ProgramOptions): RecalledPlan | null
  /** Keeps a plan whose kernels are compiled, for processes to come. */
  remember?(request: PlanRequest, made: GeneratedPlan, options?: ProgramOptions): void
  /**
   * Submits a program: `leaves` and `outputs` by number, `scalars` the numbers of this run. Resolves when it has run; rejects with a typed
   * error where a kernel meets an index out of range, and leaves the rest of the program out. `timed` runs tell `settled` when each launch
   * began and ended; others pay nothing for it. `awaited`: the caller does nothing but wait for this run, so that a short one may run in this
   * thread, and have run when this returns.
   */
  run?(
    program: Program,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
    settled?: Settled,
    timed?: boolean,
    awaited?: boolean,
  ): Promise<void>
  /** Told before a plan is made, which takes the JS thread some milliseconds. */
  planning?(): void
  /** Told of each recorded program behind its submission: its graph is garbage soon. `isPlanned`: a plan was made for it. */
  submitted?(nodes: number, isPlanned: boolean): void
  /** Waits for everything submitted. */
  synchronize(): Promise<void>
  synchronizeSync(): void
  memory(): MemoryInfo
  /** Memory that all threads of the process read; absent where each has its own. */
  readonly shared?: SharedMemory
  /** What the device can do at best with the threads that it uses now; null where that was not measured. */
  roof?(): Roof | null
}
