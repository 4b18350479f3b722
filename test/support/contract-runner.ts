/**
 * Runs the steps of a lowered contraction through the system's C compiler, without scheduler or thread pool: for tests of the templates
 * and for their benchmark. Threads are koffi's.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import type { ContractArgument, ContractStep, LoweredContract } from '../../src/codegen/contract/problem.ts'
import { renderKernel, translationUnit, type CKernel } from '../../src/render/c.ts'
import { compileSharedObjectSync, defaultCompiler } from '../../src/runtime/compiler.ts'

type KernelFunction = ReturnType<ReturnType<typeof koffi.load>['func']>

/** How kernels are printed and compiled. */
export interface Compilation {
  readonly vectorBytes: number
  flags(kernel: CKernel): readonly string[]
}

/** As tests have it: quick to compile. */
let compilation: Compilation = {
  vectorBytes: 32,
  flags: () => ['-O1', ...defaultCompiler().machineFlags, '-fopenmp-simd', '-fno-math-errno', '-lm'],
}
/** For benchmarks. */
export function compileAs(other: Compilation): void {
  compilation = other
}

const functions = new Map<string, KernelFunction>()

/** The compiled function of a kernel; each structure is compiled once a process. */
function compiled(steps: readonly ContractStep[]): KernelFunction[] {
  const rendered = steps.map((s) => renderKernel(s.kernel, compilation.vectorBytes))
  const units = new Map<string, { readonly flags: readonly string[]; readonly kernels: CKernel[] }>()
  for (const r of rendered.filter((k) => !functions.has(k.name))) {
    const flags = compilation.flags(r)
    const unit = units.get(flags.join(' '))
    if (unit) unit.kernels.push(r)
    else units.set(flags.join(' '), { flags, kernels: [r] })
  }
  for (const { flags, kernels: missing } of units.values()) {
    const folder = mkdtempSync(join(tmpdir(), 'contract-'))
    const file = join(folder, 'kernels.so')
    compileSharedObjectSync(translationUnit(missing), file, flags)
    const library = koffi.load(file)
    for (const r of missing)
      functions.set(r.name, library.func(r.name, 'void', ['void *', 'int64', 'int64', 'size_t', 'void *']))
    rmSync(folder, { recursive: true })
  }
  return rendered.map((r) => functions.get(r.name)!)
}

export interface RunMemory {
  readonly lhs: NodeJS.TypedArray
  readonly rhs: NodeJS.TypedArray
  readonly out: NodeJS.TypedArray
  readonly operands?: readonly NodeJS.TypedArray[]
  readonly results?: readonly NodeJS.TypedArray[]
  readonly scalars?: readonly number[]
}

interface Prepared {
  readonly fn: KernelFunction
  readonly step: ContractStep
  readonly words: BigInt64Array
  readonly scratch: readonly Uint8Array[]
}

export class ContractRunner {
  private readonly prepared: readonly Prepared[]
  /** The memory that `words` point into. */
  readonly kept: readonly unknown[]
  private readonly status = new Int32Array(16)

  constructor(lowered: LoweredContract, memory: RunMemory, threads = 1) {
    const temporaries = lowered.temporaries.map((t) => new Uint8Array(t.bytes + 64).fill(0xff))
    this.kept = [temporaries, memory]
    const fns = compiled(lowered.steps)
    const word = (a: ContractArgument): bigint => {
      switch (a.kind) {
        case 'index':
          return BigInt(a.value)
        case 'temporary':
          return aligned(temporaries[a.number]!)
        case 'result':
          return koffi.address(memory.results![a.number]!)
        case 'operand':
          return koffi.address(memory.operands![a.number]!)
        case 'scalar':
          return new BigInt64Array(new Float64Array([memory.scalars![a.number]!]).buffer)[0]!
        case 'scratch':
          return 0n
        default:
          return koffi.address(memory[a.kind])
      }
    }
    this.prepared = lowered.steps.map((step, i) => ({
      fn: fns[i]!,
      step,
      words: BigInt64Array.from(step.arguments.map(word)),
      scratch: Array.from({ length: threads }, () => new Uint8Array(step.scratchBytes + 64).fill(0xff)),
    }))
  }

  run(): void {
    for (const { fn, step, words, scratch } of this.prepared) {
      fn(words, 0, step.extent, aligned(scratch[0]!), this.status)
    }
  }

  /** Seconds of each step in one run on one thread. */
  timeSteps(): number[] {
    return this.prepared.map(({ fn, step, words, scratch }) => {
      const start = performance.now()
      fn(words, 0, step.extent, aligned(scratch[0]!), this.status)
      return (performance.now() - start) / 1e3
    })
  }

  /** Tasks in chunks of the grain, handed out to as many threads as scratch was made for. */
  async runThreads(): Promise<void> {
    for (const { fn, step, words, scratch } of this.prepared) {
      let next = 0
      const chunk = Math.max(step.grain, Math.ceil(step.extent / (scratch.length * 8)))
      const lane = async (own: Uint8Array): Promise<void> => {
        while (next < step.extent) {
          const from = next
          next = Math.min(step.extent, from + chunk)
          await new Promise<void>((resolve, reject) => {
            fn.async(words, from, next, aligned(own), this.status, (error: Error | null) =>
              error ? reject(error) : resolve(),
            )
          })
        }
      }
      await Promise.all(scratch.map(lane))
    }
  }
}

function aligned(bytes: Uint8Array): bigint {
  const address = koffi.address(bytes) as bigint
  return (address + 63n) & ~63n
}
