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
import { makeLiteralsYoung } from '../young-collection.ts'
import { allocateBuffer, allocateNumbers, memoryUse, type CpuBuffer } from './memory.ts'
import { nativeRuntime, type NativeRuntime } from './native.ts'
import type { BoundProgram, CpuProgram } from './program.ts'
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
  /** Of the arena, which only grows, when it was last looked at. */
  private arenaBytes = 0

  /**
   * Finds the compiler, and compiles the native runtime where this machine has none yet.
   * @throws CompileError without a working compiler.
   */
  constructor() {
    makeLiteralsYoung()
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

  allocate(bytes: number, nodes?: number): DeviceBuffer {
    return allocateBuffer(bytes, nodes)
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
    checkCounts(p, leaves.length, outputs.length, scalars.length)
    const buffers = leaves.concat(outputs) as CpuBuffer[]
    const count = buffers.length + scalars.length
    if (count > this.slots.values.length) this.slots = allocateNumbers(2 * count)
    const { values, address } = this.slots
    for (let i = 0; i < buffers.length; i++) values[i] = buffers[i]!.address
    for (let i = 0; i < scalars.length; i++) values[buffers.length + i] = scalars[i]!
    const slots = { address, leaves: leaves.length, outputs: outputs.length, scalars: scalars.length }
    return this.start(p, slots, buffers, buffers, settled, timed, awaited)
  }

  /**
   * A program whose runs differ in few leaves: those that are null here, which each run gives. Nobody writes the others meanwhile. Most of what a
   * short run takes in JavaScript is looking at a hundred weights one by one.
   */
  bind(
    program: CpuProgram,
    leaves: readonly (DeviceBuffer | null)[],
    outputs: number,
    scalars: readonly number[],
  ): BoundProgram {
    checkCounts(program, leaves.length, outputs, scalars.length)
    const slots = allocateNumbers(leaves.length + outputs + scalars.length)
    leaves.forEach((leaf, i) => (slots.values[i] = leaf ? cpuBuffer(leaf).address : 0))
    slots.values.set(scalars, leaves.length + outputs)
    return {
      program,
      slots,
      leaves: leaves.length,
      outputs,
      scalars: scalars.length,
      given: leaves.flatMap((leaf, i) => (leaf ? [] : [i])),
      fixed: leaves.flatMap((leaf) => (leaf ? [cpuBuffer(leaf)] : [])),
    }
  }

  /** Runs a bound program on the leaves that it lacks, in order; the caller does nothing but wait for it. As `run` otherwise. */
  runBound(bound: BoundProgram, given: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): Promise<void> {
    const { program, slots, leaves, scalars } = bound
    if (given.length !== bound.given.length || outputs.length !== bound.outputs)
      throw new InternalError(
        `a run gives ${given.length} leaves and ${outputs.length} outputs to a program that lacks ${bound.given.length} and ${bound.outputs}`,
      )
    const own = given.concat(outputs) as CpuBuffer[]
    for (let i = 0; i < given.length; i++) slots.values[bound.given[i]!] = own[i]!.address
    for (let i = 0; i < outputs.length; i++) slots.values[leaves + i] = own[given.length + i]!.address
    const places = { address: slots.address, leaves, outputs: outputs.length, scalars }
    return this.start(program, places, own, [bound, own], undefined, false, true)
  }

  /** Submits a program. `own`: buffers that may be written behind this run; `uses`: what it works on. */
  private start(
    p: CpuProgram,
    slots: Slots,
    own: readonly CpuBuffer[],
    uses: unknown,
    settled: Settled | undefined,
    timed: boolean,
    awaited: boolean,
  ): Promise<void> {
    // The arena grows when the run starts, and is used at once: then it is too late to refuse.
    try {
      if (this.growsArena(p.arenaBytes)) checkArena(p.arenaBytes)
    } catch (error) {
      settled?.(error as Error)
      return Promise.reject(error)
    }
    const times = timed ? allocateNumbers(p.timeCount) : null
    const here = awaited ? this.shortRuns.mostNs() : 0
    const submit = (): number =>
      this.native.submit(
        p.address,
        slots.address,
        slots.leaves,
        slots.outputs,
        slots.scalars,
        times?.address ?? 0,
        p.threads,
        p.flushesSubnormals ? 1 : 0,
        p.taken.address,
        here,
      )
    const tell = times && ((fault: Error | null): void => settled?.(fault, this.runTimes(times.values)))
    const { ticket, hasRun, done } = this.queue.submit(submit, tell ?? settled, awaited, p, uses, times)
    for (const b of own) b.lastTicket = ticket
    if (here > 0 && hasRun) this.shortRuns.note(Number(p.taken.words[0]))
    return done
  }

  private growsArena(bytes: number): boolean {
    return bytes > this.arenaBytes && bytes > (this.arenaBytes = this.native.arenaBytes())
  }

  /**
   * Gets the memory that a program will need between its launches, while the caller still prepares it. Where a virtual machine has given memory back to
   * its host, which compilers make it do, a first run waits up to a second for 200 MB of it.
   */
  protected expectArena(bytes: number): void {
    if (!this.growsArena(bytes)) return
    try {
      checkArena(bytes)
      this.queue.submit(() => this.native.haveArena(bytes), undefined, false)
    } catch {
      // The run will say so.
    }
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

/** Where native code finds addresses and scalars of a run, and how many there are of each. */
interface Slots {
  readonly address: number
  readonly leaves: number
  readonly outputs: number
  readonly scalars: number
}

function checkArena(bytes: number): void {
  checkMemory(bytes, 'the memory for intermediates of a program')
}

function checkCounts({ needs }: CpuProgram, leaves: number, outputs: number, scalars: number): void {
  if (leaves >= needs.leaves && outputs >= needs.outputs && scalars >= needs.scalars) return
  throw new InternalError(
    `a run gives ${leaves} leaves, ${outputs} outputs and ${scalars} scalars to a program that needs ${needs.leaves}, ${needs.outputs} and ${needs.scalars}`,
  )
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
