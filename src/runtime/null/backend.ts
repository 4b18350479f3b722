/** The null device: plans, generates and renders like the CPU, and runs nothing. Tests of the compiler use it; values are zeros. */
import { allocateBytes } from '../../common/memory.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import { verifyKernel } from '../../codegen/verify.ts'
import { renderC } from '../../render/c.ts'
import type { Plan } from '../../schedule/plan.ts'
import type { Backend, Capabilities, MemoryInfo, Program, Settled } from '../backend.ts'

export interface NullProgram extends Program {
  readonly plan: Plan
  readonly source: string
}

export class NullBackend implements Backend {
  readonly name = 'null'
  readonly capabilities: Capabilities = {
    vectorBytes: 32,
    threads: 2,
    cacheBytes: [32768, 524288, 4194304],
    blocking: true,
  }
  /** What was compiled, the latest last. */
  readonly programs: NullProgram[] = []

  allocate(bytes: number): DeviceBuffer {
    return { bytes }
  }

  write(): void {}

  read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return Promise.resolve(this.readSync(buffer))
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    return new Uint8Array(allocateBytes(buffer.bytes, 'a tensor'))
  }

  compile(plan: Plan, kernels: readonly Kernel[]): Promise<Program> {
    return Promise.resolve(this.compileSync(plan, kernels))
  }

  compileSync(plan: Plan, kernels: readonly Kernel[]): Program {
    for (const k of kernels) verifyKernel(k)
    const program = { plan, source: renderC(kernels, this.capabilities.vectorBytes), kernels: kernels.length }
    this.programs.push(program)
    return program
  }

  run(
    _program: Program,
    _leaves: readonly DeviceBuffer[],
    _outputs: readonly DeviceBuffer[],
    _scalars: readonly number[],
    settled?: Settled,
  ): Promise<void> {
    settled?.(null)
    return Promise.resolve()
  }

  synchronize(): Promise<void> {
    return Promise.resolve()
  }

  synchronizeSync(): void {}

  memory(): MemoryInfo {
    return { liveBytes: 0, peakBytes: 0, arenaBytes: 0 }
  }
}
