/**
 * What runs compiled programs on the CPU: native memory, the queue of runs, and the thread pool. It makes no programs: the backend, which
 * compiles, is such a machine, and predictors whose programs lie on disk need no more than one.
 */
import { isMainThread } from 'node:worker_threads'
import { readEnvironment } from '../../common/env.ts'
import { ArgumentError, InternalError } from '../../common/errors.ts'
import { checkMemory } from '../../common/memory.ts'
import { isThreadCount } from '../../common/thread-count.ts'
import type { Capabilities } from '../../codegen/capabilities.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { MemoryInfo, Program, Settled } from '../backend.ts'
import { defaultCompiler } from '../compiler.ts'
import { bfloat16Products, detectCpuFeatures, vectorBytes } from '../cpu-features.ts'
import { RunTimes } from '../run-times.ts'
import { allocateBuffer, allocateNumbers, memoryUse, type CpuBuffer } from './memory.ts'
import { nativeRuntime, type NativeRuntime } from './native.ts'
import type { CpuProgram } from './program.ts'
import { RunQueue } from './run-queue.ts'
import { CpuSharedMemory, SharedBuffer } from './shared-memory.ts'
import { ShortRuns } from './short-runs.ts'

let machine: CpuMachine | undefined

function adopt(made: CpuMachine): void {
  machine = made
}

export class CpuMachine {
  readonly native: NativeRuntime
  readonly shared: CpuSharedMemory
  private readonly queue: RunQueue
  private readonly shortRuns = new ShortRuns()
  protected readonly features = detectCpuFeatures()
  protected readonly vectorBytes: number
  private readonly bfloat16: Capabilities['bfloat16']
  private readonly choices: Pick<Capabilities, 'winograd' | 'productParts'>
  protected threads: number
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
    const { numThreads, winograd, splitProducts } = readEnvironment()
    this.threads = numThreads ?? this.features.physicalCores
    this.choices = { winograd, ...(splitProducts !== undefined && { productParts: splitProducts }) }
    this.native.setThreads(this.threads)
    this.shared = new CpuSharedMemory(this.native, (ticket) => this.queue.hasFinished(ticket))
    // Runs must not outlive the memory that they work on; those of a worker are waited for by the native library.
    if (isMainThread) process.once('exit', () => this.native.halt())
    adopt(this)
  }

  get capabilities(): Capabilities {
    const { l1d, l2, l3 } = this.features.caches
    const { vectorBytes, bfloat16, threads, choices } = this
    const cacheBytes = [l1d, l2, l3] as const
    return { vectorBytes, ...(bfloat16 && { bfloat16 }), threads, cacheBytes, blocking: true, ...choices }
  }

  /** Threads that a run may use, from the next one on; the pool is shared by all threads of the process. */
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
    target.lastTicket = this.queue.submit(copy, undefined, false, target, source).ticket
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

  run(
    program: Program,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
    settled?: Settled,
    timed = false,
    awaited = false,
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
    const here = awaited ? this.shortRuns.mostNs() : 0
    const submit = (): number =>
      this.native.submit(
        p.address,
        address,
        leaves.length,
        outputs.length,
        scalars.length,
        times?.address ?? 0,
        p.threads,
        p.flushesSubnormals ? 1 : 0,
        p.taken.address,
        here,
      )
    const tell = times && ((fault: Error | null): void => settled?.(fault, this.runTimes(times.values)))
    const { ticket, done } = this.queue.submit(submit, tell ?? settled, awaited, p, buffers, times)
    for (const b of buffers) b.lastTicket = ticket
    if (here > 0 && this.queue.hasFinished(ticket)) this.shortRuns.note(Number(p.taken.words[0]))
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

/** A buffer of this device. @throws InternalError for another's. */
export function cpuBuffer(buffer: DeviceBuffer): CpuBuffer {
  if (!('address' in buffer)) throw new InternalError('a buffer of another device was given to the CPU')
  return buffer as CpuBuffer
}

/** The machine of this thread that was made last; made where it has none. @throws CompileError without a working compiler. */
export function cpuMachine(): CpuMachine {
  return (machine ??= new CpuMachine())
}
