/**
 * The wasm device: kernels compiled to WebAssembly, run in the JS thread over one linear memory. Nothing is asynchronous: what was
 * submitted has run when the call returns.
 */
import {
  CompileError,
  DeviceError,
  IndexOutOfRangeError,
  InternalError,
  OutOfMemoryError,
} from '../../common/errors.ts'
import { readEnvironment } from '../../common/env.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import { callModule, exportName, memoryImport, renderWasm } from '../../render/wasm.ts'
import { hostFunctions } from '../../render/wasm/host.ts'
import type { BufferRef, Plan } from '../../schedule/plan.ts'
import type { Backend, Capabilities, MemoryInfo, Program, Settled } from '../backend.ts'
import { RunTimes } from '../run-times.ts'
import { hasRelaxedSimd, hasSimd } from './features.ts'
import { LinearMemory, maximumMemoryBytes, Region } from './memory.ts'
import { argumentBytes, encode, WasmProgram, type BoundLaunch, type KernelFunction } from './program.ts'

export interface WasmBackendOptions {
  /** Whether to use relaxed SIMD where the engine has it; true by default. */
  readonly relaxedSimd?: boolean
  /** Upper bound of the memory; by default 4 GiB, the most that 32 bits address. */
  readonly maximumBytes?: number
}

class WasmBuffer implements DeviceBuffer {
  readonly bytes: number
  readonly address: number

  constructor(bytes: number, address: number) {
    this.bytes = bytes
    this.address = address
  }
}

interface Owned {
  readonly address: number
  readonly bytes: number
  readonly isBuffer: boolean
}

/** Of a core that nothing is known about: level 1 and 2, and a share of level 3. */
const cacheBytes: readonly [number, number, number] = [32 << 10, 512 << 10, 2 << 20]
const statusBytes = 64
/**
 * V8 keeps one of 16 registers for itself and schedules all loads of a loop before the arithmetic, so a tile must leave room: 4 x 8 floats
 * ran at 42 GFLOP/s where 4 x 12 ran at 20 (EPYC, Node 20 and 22; 37 and 22 on Node 24).
 */
const vectorRegisters = 14

export class WasmBackend implements Backend {
  readonly name = 'wasm'
  readonly capabilities: Capabilities = {
    vectorBytes: 16,
    vectorRegisters,
    threads: 1,
    cacheBytes,
    blocking: true,
    winograd: readEnvironment().winograd,
  }
  readonly relaxedSimd: boolean
  private readonly memoryBlocks: LinearMemory
  private readonly arena: Region
  private readonly scratch: Region
  private readonly statusAddress: number
  /** Functions of modules compiled before, by a hash of their bytes. */
  private readonly modules = new Map<string, readonly KernelFunction[]>()
  private readonly finalizer: FinalizationRegistry<Owned>
  /** What a run met, until somebody hears of it. */
  private fault: unknown = null
  private liveBytes = 0
  private peakBytes = 0

  /** Throws DeviceError where the engine lacks SIMD. */
  constructor(options: WasmBackendOptions = {}) {
    if (!hasSimd())
      throw new DeviceError(
        "this JavaScript engine has no WebAssembly SIMD, which the 'wasm' device needs: use a newer one",
      )
    this.relaxedSimd = options.relaxedSimd !== false && hasRelaxedSimd()
    this.memoryBlocks = new LinearMemory(options.maximumBytes ?? maximumMemoryBytes)
    this.arena = new Region(this.memoryBlocks)
    this.scratch = new Region(this.memoryBlocks)
    this.statusAddress = this.memoryBlocks.allocate(statusBytes)
    this.finalizer = new FinalizationRegistry((owned) => this.free(owned))
  }

  allocate(bytes: number): DeviceBuffer {
    const address = this.reserve(bytes)
    const buffer = new WasmBuffer(bytes, address)
    this.finalizer.register(buffer, { address, bytes, isBuffer: true })
    this.liveBytes += bytes
    this.notePeak()
    return buffer
  }

  write(buffer: DeviceBuffer, data: Uint8Array): void {
    const b = own(buffer)
    if (data.length > b.bytes) throw new InternalError(`${data.length} bytes are written to a buffer of ${b.bytes}`)
    this.memoryBlocks.bytes.set(data, b.address)
  }

  read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return Promise.resolve(this.readSync(buffer))
  }

  /** A copy: the memory itself moves when it grows. */
  readSync(buffer: DeviceBuffer): Uint8Array {
    const b = own(buffer)
    return this.memoryBlocks.bytes.slice(b.address, b.address + b.bytes)
  }

  async compile(plan: Plan, kernels: readonly Kernel[]): Promise<Program> {
    return this.compileSync(plan, kernels)
  }

  compileSync(plan: Plan, kernels: readonly Kernel[]): Program {
    const functions = this.instantiate(kernels)
    const program = new WasmProgram(plan, kernels, functions, this.memoryBlocks)
    this.finalizer.register(program, { address: program.address, bytes: program.bytes, isBuffer: false })
    return program
  }

  run(
    program: Program,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
    settled?: Settled,
    timed = false,
  ): Promise<void> {
    const times = timed ? new Float64Array(programOf(program).timeCount) : null
    const runTimes = times ? new RunTimes(times) : undefined
    try {
      this.runSync(program, leaves, outputs, scalars, times)
      settled?.(null, runTimes)
      return Promise.resolve()
    } catch (error) {
      settled?.(error as Error, runTimes)
      this.fault ??= error
      const rejected = Promise.reject<void>(error)
      rejected.catch(() => this.takeFault())
      return rejected
    }
  }

  /**
   * Runs a program. Throws IndexOutOfRangeError where a kernel meets an index out of range: what follows is not run. `times` is filled as
   * RunTimes says.
   */
  runSync(
    program: Program,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
    times: Float64Array | null = null,
  ): void {
    const p = programOf(program)
    this.prepare(p)
    this.relocate(p, leaves, outputs, scalars)
    if (!times) return this.execute(p, (launch) => this.launch(p, launch))
    let at = 2
    times[0] = performance.now()
    try {
      this.execute(p, (launch) => {
        times[at++] = performance.now()
        this.launch(p, launch)
        times[at++] = performance.now()
      })
    } finally {
      times[1] = performance.now()
    }
  }

  private execute(program: WasmProgram, run: (launch: BoundLaunch) => void): void {
    const words = new Int32Array(this.memoryBlocks.memory.buffer)
    const status = this.statusAddress >> 2
    words[status] = 0
    for (const { count, launches } of program.loops) {
      for (let i = 0; i < count; i++) {
        for (const launch of launches) {
          run(launch)
          if (words[status] !== 0) throw outOfRange(launch.title)
          for (const { word, bytes } of launch.advances) words[(program.address + word * argumentBytes) >> 2]! += bytes
        }
      }
    }
  }

  synchronize(): Promise<void> {
    return Promise.resolve()
  }

  /** Throws what a run met whose promise has not told it yet. */
  synchronizeSync(): void {
    const fault = this.takeFault()
    if (fault !== null) throw fault
  }

  memory(): MemoryInfo {
    return { liveBytes: this.liveBytes, peakBytes: this.peakBytes, arenaBytes: this.arena.bytes }
  }

  private takeFault(): unknown {
    const { fault } = this
    this.fault = null
    return fault
  }

  private free(owned: Owned): void {
    this.memoryBlocks.release(owned.address, owned.bytes)
    if (owned.isBuffer) this.liveBytes -= owned.bytes
  }

  private notePeak(): void {
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + this.arena.bytes)
  }

  /** A block; where there is none left, what plans keep between runs is given up first. */
  private reserve(bytes: number): number {
    try {
      return this.memoryBlocks.allocate(bytes)
    } catch (e) {
      if (!(e instanceof OutOfMemoryError) || this.arena.bytes + this.scratch.bytes === 0) throw e
      this.arena.release()
      this.scratch.release()
      return this.memoryBlocks.allocate(bytes)
    }
  }

  private prepare(program: WasmProgram): void {
    this.arena.reserve(program.arenaBytes)
    this.scratch.reserve(program.scratchBytes)
    this.notePeak()
  }

  private relocate(
    program: WasmProgram,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    scalars: readonly number[],
  ): void {
    const { buffer } = this.memoryBlocks.memory
    const words = new BigInt64Array(buffer, program.address, program.bytes / argumentBytes)
    const halves = new Int32Array(buffer, program.address)
    for (const r of program.relocations) {
      if (r.kind === 'buffer') halves[r.word * 2] = this.resolve(r.ref, leaves, outputs)
      else if (scalars[r.slot] !== undefined) words[r.word] = encode(scalars[r.slot]!, r.isInteger)
      else throw new InternalError(`a plan needs scalar ${r.slot}, which the run does not give`)
    }
  }

  private resolve(ref: BufferRef, leaves: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): number {
    if (ref.space === 'arena') return this.arena.address + ref.byteOffset
    const buffer = (ref.space === 'leaf' ? leaves : outputs)[ref.slot]
    if (!buffer) throw new InternalError(`a plan needs ${ref.space} ${ref.slot}, which the run does not give`)
    return own(buffer).address + ref.byteOffset
  }

  private launch(program: WasmProgram, { run, title, word, extent, chunk }: BoundLaunch): void {
    const address = program.address + word * argumentBytes
    try {
      for (let begin = 0; begin < extent; begin += chunk) {
        run(address, begin, Math.min(begin + chunk, extent), this.scratch.address, this.statusAddress)
      }
    } catch (e) {
      throw new InternalError(
        `kernel '${title}' failed in WebAssembly: ${e instanceof Error ? e.message : String(e)}`,
        { cause: e },
      )
    }
  }

  private instantiate(kernels: readonly Kernel[]): readonly KernelFunction[] {
    if (kernels.length === 0) return []
    const bytes = renderWasm(kernels, { relaxedSimd: this.relaxedSimd })
    const key = hashBytes(bytes)
    let functions = this.modules.get(key)
    if (!functions) this.modules.set(key, (functions = this.load(bytes, kernels)))
    return functions
  }

  private load(bytes: Uint8Array, kernels: readonly Kernel[]): readonly KernelFunction[] {
    try {
      const imports = {
        [memoryImport.module]: { [memoryImport.name]: this.memoryBlocks.memory },
        [callModule]: { ...hostFunctions },
      }
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)), imports)
      return kernels.map((_, i) => exports[exportName(i)] as KernelFunction)
    } catch (e) {
      const titles = kernels.map((k) => k.title).join(', ')
      throw new CompileError(
        `the engine refuses the WebAssembly module of ${titles}: ${e instanceof Error ? e.message : String(e)}`,
        { cause: e },
      )
    }
  }
}

function outOfRange(kernel: string): IndexOutOfRangeError {
  return new IndexOutOfRangeError(
    `'${kernel}' met an index outside the axis it indexes: indices must be at least 0 and below the size of the axis`,
  )
}

function programOf(program: Program): WasmProgram {
  if (program instanceof WasmProgram) return program
  throw new InternalError("the program was not compiled by the 'wasm' device")
}

function own(buffer: DeviceBuffer): WasmBuffer {
  if (buffer instanceof WasmBuffer) return buffer
  throw new InternalError("a buffer of another device was given to the 'wasm' device")
}

/** Two lanes of FNV-1a, and the length. */
function hashBytes(bytes: Uint8Array): string {
  let a = 0x811c9dc5
  let b = 0x9e3779b9
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = Math.imul(b + byte, 0x85ebca6b) ^ (b >>> 15)
  }
  return `${bytes.length}-${(a >>> 0).toString(16)}-${(b >>> 0).toString(16)}`
}
