/**
 * The CPU backend: generated C, compiled by the system's compiler, run by a native thread pool off the JS thread. Runs are executed in
 * the order of submission; results do not depend on the number of threads.
 */
import { isMainThread } from 'node:worker_threads'
import { readEnvironment } from '../../common/env.ts'
import { ArgumentError, InternalError } from '../../common/errors.ts'
import { checkMemory } from '../../common/memory.ts'
import { RecentMap } from '../../common/recent-map.ts'
import { isThreadCount } from '../../common/thread-count.ts'
import type { GeneratedPlan } from '../../codegen/generate.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import { structureOf } from '../../codegen/structure.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import { renderKernel, type CKernel } from '../../render/c.ts'
import type { Plan } from '../../schedule/plan.ts'
import type {
  Backend,
  Capabilities,
  MemoryInfo,
  PlanRequest,
  Program,
  ProgramOptions,
  RecalledPlan,
  Settled,
} from '../backend.ts'
import { cacheDirectoryPath } from '../cache-directory.ts'
import { defaultCompiler } from '../compiler.ts'
import { bfloat16Products, detectCpuFeatures, vectorBytes } from '../cpu-features.ts'
import type { Roof } from '../kernel-summary.ts'
import { readRoofline, roofOf } from '../roofline.ts'
import { RunTimes } from '../run-times.ts'
import { identityOf, KernelLibrary } from './kernel-library.ts'
import { allocateBuffer, allocateNumbers, memoryUse, type CpuBuffer } from './memory.ts'
import { codeDirectory, nativeRuntime, type NativeRuntime } from './native.ts'
import { PlanStore } from './plan-store.ts'
import { encodeProgram, type CpuProgram } from './program.ts'
import { RunQueue } from './run-queue.ts'
import { CpuSharedMemory, SharedBuffer } from './shared-memory.ts'

export class CpuBackend implements Backend {
  readonly name = 'cpu'
  readonly shared: CpuSharedMemory
  private readonly native: NativeRuntime
  /** By the directory that they keep code in. */
  private readonly libraries = new Map<string | false, KernelLibrary>()
  /** By the directory that they lie in. */
  private readonly stores = new Map<string, PlanStore>()
  private readonly keepsPlans: boolean
  private readonly queue: RunQueue
  private readonly features = detectCpuFeatures()
  private readonly vectorBytes: number
  /** Printed kernels by structure: a new size of a known program has the same ones. */
  private readonly rendered = new RecentMap<string, CKernel>(4096)
  private readonly bfloat16: Capabilities['bfloat16']
  private threads: number
  private readonly winograd: boolean
  /** What to add to milliseconds of the native clock; unknown until times are asked for. */
  private clockOffset: number | null = null
  /** Addresses and scalars of the run being submitted; native code copies them. */
  private slots = allocateNumbers(256)

  /**
   * Finds the compiler, and compiles the native runtime where this machine has none yet.
   * @throws CompileError without a working compiler.
   */
  constructor() {
    this.vectorBytes = vectorBytes(defaultCompiler().features)
    this.native = nativeRuntime()
    this.bfloat16 = bfloat16Products(defaultCompiler().features, () => this.native.allowTiles() === 1)
    this.queue = new RunQueue(this.native)
    const { numThreads, winograd, planCache } = readEnvironment()
    this.keepsPlans = planCache
    this.threads = numThreads ?? this.features.physicalCores
    this.winograd = winograd
    this.native.setThreads(this.threads)
    this.shared = new CpuSharedMemory(this.native, (ticket) => this.queue.hasFinished(ticket))
    // Runs must not outlive the memory that they work on; those of a worker are waited for by the native library.
    if (isMainThread) process.once('exit', () => this.native.halt())
  }

  get capabilities(): Capabilities {
    const { l1d, l2, l3 } = this.features.caches
    const { vectorBytes, bfloat16, threads, winograd } = this
    const cacheBytes = [l1d, l2, l3] as const
    return { vectorBytes, ...(bfloat16 && { bfloat16 }), threads, cacheBytes, blocking: true, winograd }
  }

  /** Threads that a run may use, from the next one on; the pool is shared by all backends of the process. */
  setNumThreads(threads: number): void {
    if (!isThreadCount(threads)) {
      throw new ArgumentError(`setNumThreads: got ${threads}, expected an integer from 1 to 1024`)
    }
    this.threads = threads
    this.native.setThreads(threads)
  }

  allocate(bytes: number): DeviceBuffer {
    return allocateBuffer(bytes)
  }

  write(buffer: DeviceBuffer, data: Uint8Array): void {
    const target = cpuBuffer(buffer)
    if (target instanceof SharedBuffer) throw new InternalError('shared memory is not written any more')
    if (data.length > target.bytes)
      throw new InternalError(`${data.length} bytes written to a buffer of ${target.bytes}`)
    if (this.queue.hasFinished(target.lastTicket)) {
      target.view.set(data)
      return
    }
    const source = allocateBuffer(data.length)
    source.view.set(data)
    const copy = (): number => this.native.copy(target.address, source.address, data.length)
    target.lastTicket = this.queue.submit(copy, undefined, target, source).ticket
  }

  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    const source = cpuBuffer(buffer)
    await this.queue.wait(source.lastTicket)
    return source.view
  }

  /** Throws the fault of a run that it had to wait for; that run's promise rejects with the same error. */
  readSync(buffer: DeviceBuffer): Uint8Array {
    const source = cpuBuffer(buffer)
    this.blockUntil(source.lastTicket)
    return source.view
  }

  async compile(plan: Plan, kernels: readonly Kernel[], options: ProgramOptions = {}): Promise<Program> {
    const addresses = await this.library(options).load(this.render(kernels))
    return encodeProgram(plan, kernels, addresses, options.threads)
  }

  compileSync(plan: Plan, kernels: readonly Kernel[], options: ProgramOptions = {}): Program {
    return encodeProgram(plan, kernels, this.library(options).loadSync(this.render(kernels)), options.threads)
  }

  compileAhead(kernels: readonly Kernel[], options: ProgramOptions = {}): void {
    // Whoever needs one of them compiles it again, and is told what is wrong.
    this.library(options)
      .load(this.render(kernels))
      .catch(() => {})
  }

  private library({ cache = cacheDirectoryPath() }: ProgramOptions): KernelLibrary {
    let library = this.libraries.get(cache)
    if (!library) {
      const directory = cache === false ? null : codeDirectory(cache)
      library = new KernelLibrary(this.native, directory, this.features.logicalCores)
      this.libraries.set(cache, library)
    }
    return library
  }

  /** Null where nothing is kept. */
  private store({ cache = cacheDirectoryPath() }: ProgramOptions): PlanStore | null {
    if (!this.keepsPlans || cache === false) return null
    let store = this.stores.get(cache)
    if (!store) this.stores.set(cache, (store = new PlanStore(codeDirectory(cache))))
    return store
  }

  recall(request: PlanRequest, options: ProgramOptions = {}): RecalledPlan | null {
    const found = this.store(options)?.read(request)
    const addresses = found && this.library(options).find(found.kernels.map((k) => k.identity))
    if (!found || !addresses) return null
    return { ...found, bind: (plan) => encodeProgram(plan, found.kernels, addresses, options.threads) }
  }

  remember(request: PlanRequest, made: GeneratedPlan, options: ProgramOptions = {}): void {
    const rendered = this.render(made.kernels)
    const kernels = made.kernels.map(({ title, parameters }, i) => ({
      title,
      parameters,
      structure: structureOf(made.kernels[i]!),
      identity: identityOf(rendered[i]!),
    }))
    void this.store(options)?.write(request, { ...made, kernels })
  }

  private render(kernels: readonly Kernel[]): CKernel[] {
    return kernels.map((k) => this.rendered.getOrMake(structureOf(k), () => renderKernel(k, this.vectorBytes)))
  }

  run(
    program: Program,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
    settled?: Settled,
    timed = false,
  ): Promise<void> {
    const p = program as CpuProgram
    if (leaves.length < p.needs.leaves || outputs.length < p.needs.outputs || scalars.length < p.needs.scalars) {
      throw new InternalError(
        `a run gives ${leaves.length} leaves, ${outputs.length} outputs and ${scalars.length} scalars to a program that needs ${p.needs.leaves}, ${p.needs.outputs} and ${p.needs.scalars}`,
      )
    }
    // The arena grows when the run starts, and is used at once: then it is too late to refuse.
    try {
      if (p.arenaBytes > this.native.arenaBytes())
        checkMemory(p.arenaBytes, 'the memory for intermediates of a program')
    } catch (error) {
      settled?.(error as Error)
      return Promise.reject(error)
    }
    const buffers = leaves.concat(outputs) as CpuBuffer[]
    const count = buffers.length + scalars.length
    if (count > this.slots.values.length) this.slots = allocateNumbers(2 * count)
    const { values, address } = this.slots
    for (let i = 0; i < buffers.length; i++) values[i] = buffers[i]!.address
    for (let i = 0; i < scalars.length; i++) values[buffers.length + i] = scalars[i]!
    const times = timed ? allocateNumbers(p.timeCount) : null
    const submit = (): number =>
      this.native.submit(
        p.address,
        address,
        leaves.length,
        outputs.length,
        scalars.length,
        times?.address ?? 0,
        p.threads,
      )
    const tell = times && ((fault: Error | null): void => settled?.(fault, this.runTimes(times.values)))
    const { ticket, done } = this.queue.submit(submit, tell ?? settled, p, buffers, times)
    for (const b of buffers) b.lastTicket = ticket
    return done
  }

  synchronize(): Promise<void> {
    return this.queue.wait(this.queue.last)
  }

  /** Throws the fault of a run that it had to wait for; that run's promise rejects with the same error. */
  synchronizeSync(): void {
    this.blockUntil(this.queue.last)
  }

  memory(): MemoryInfo {
    return { ...memoryUse(), arenaBytes: this.native.arenaBytes() }
  }

  roof(): Roof | null {
    const roofline = readRoofline()
    return roofline && roofOf(roofline, this.threads)
  }

  /** Nanoseconds of the native clock as milliseconds of the process's. */
  private runTimes(nanoseconds: Float64Array): RunTimes {
    this.clockOffset ??= performance.now() - this.native.now() / 1e6
    const offset = this.clockOffset
    return new RunTimes(nanoseconds.map((t) => (t === 0 ? 0 : t / 1e6 + offset)))
  }

  private blockUntil(ticket: number): void {
    const fault = this.queue.waitSync(ticket)
    if (fault) throw fault
  }
}

function cpuBuffer(buffer: DeviceBuffer): CpuBuffer {
  if (!('address' in buffer)) throw new InternalError('a buffer of another device was given to the CPU')
  return buffer as CpuBuffer
}
