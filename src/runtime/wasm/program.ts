/**
 * A plan bound to linear memory: its launches with their functions, and its arguments written out as words, with a note of those that
 * each run must fill in: addresses of leaves, outputs and the arena, and numbers of the run.
 */
import { DeviceError, InternalError } from '../../common/errors.ts'
import type { Kernel, Parameter } from '../../codegen/kernel.ts'
import type { Argument, BufferRef, Launch, Plan } from '../../schedule/plan.ts'
import { argumentBytes } from '../../render/wasm.ts'
import type { Program } from '../backend.ts'
import { timeCount } from '../run-times.ts'
import type { LinearMemory } from './memory.ts'

export type KernelFunction = (
  argumentsAddress: number,
  begin: number,
  end: number,
  scratch: number,
  status: number,
) => void

/** A word that each run fills in. */
export type Relocation =
  | { readonly kind: 'buffer'; readonly word: number; readonly ref: BufferRef }
  | { readonly kind: 'scalar'; readonly word: number; readonly slot: number; readonly isInteger: boolean }

export interface BoundLaunch {
  readonly run: KernelFunction
  readonly title: string
  readonly word: number
  readonly extent: number
  /** Iterations a call. */
  readonly chunk: number
  /** Words of pointers that advance in a loop, and by how many bytes. */
  readonly advances: readonly { readonly word: number; readonly bytes: number }[]
}

export interface BoundLoop {
  readonly count: number
  readonly launches: readonly BoundLaunch[]
}

/** Calls of a launch: some, so that an engine can go over to optimised code in the middle of a long one. */
const maximumCalls = 16

export class WasmProgram implements Program {
  readonly kernels: number
  readonly arenaBytes: number
  readonly scratchBytes: number
  /** Numbers that a timed run writes. */
  readonly timeCount: number
  readonly loops: readonly BoundLoop[]
  readonly relocations: readonly Relocation[]
  /** Where the words are in linear memory. */
  readonly address: number
  readonly bytes: number

  constructor(plan: Plan, kernels: readonly Kernel[], functions: readonly KernelFunction[], memory: LinearMemory) {
    const binding = new Binding(kernels, functions)
    this.kernels = kernels.length
    this.arenaBytes = plan.arenaBytes
    this.timeCount = timeCount(plan)
    this.loops = plan.steps.map((s) => ({
      count: s.kind === 'loop' ? s.count : 1,
      launches: (s.kind === 'loop' ? s.steps : [s]).map((launch) => binding.launch(launch)),
    }))
    this.relocations = binding.relocations
    this.scratchBytes = binding.scratchBytes
    const words = BigInt64Array.from(binding.words)
    this.bytes = words.byteLength
    this.address = memory.allocate(this.bytes)
    memory.bytes.set(new Uint8Array(words.buffer), this.address)
  }
}

class Binding {
  readonly words: bigint[] = []
  readonly relocations: Relocation[] = []
  scratchBytes = 0
  private readonly kernels: readonly Kernel[]
  private readonly functions: readonly KernelFunction[]

  constructor(kernels: readonly Kernel[], functions: readonly KernelFunction[]) {
    this.kernels = kernels
    this.functions = functions
  }

  launch(launch: Launch): BoundLaunch {
    const kernel = this.kernels[launch.kernel]
    const run = this.functions[launch.kernel]
    if (!kernel || !run) throw new InternalError(`a plan launches kernel ${launch.kernel} of ${this.kernels.length}`)
    const { title, parameters } = kernel
    if (parameters.length !== launch.arguments.length) {
      throw new InternalError(
        `kernel '${title}' is launched with ${launch.arguments.length} arguments, expected ${parameters.length}`,
      )
    }
    const word = this.words.length
    parameters.forEach((p, i) => this.argument(title, p, launch.arguments[i]!))
    this.scratchBytes = Math.max(this.scratchBytes, launch.scratchBytes)
    const advances = launch.arguments.flatMap((a, i) =>
      a.kind === 'buffer' && a.ref.step !== 0 ? [{ word: word + i, bytes: a.ref.step }] : [],
    )
    checkIndex(title, launch.extent)
    const chunk = Math.max(1, launch.grain, Math.ceil(launch.extent / maximumCalls))
    return { run, title, word, extent: launch.extent, chunk, advances }
  }

  private argument(title: string, p: Parameter, a: Argument): void {
    const word = this.words.length
    const isPointer = p.kind === 'buffer'
    if (isPointer !== (a.kind === 'buffer') || (p.kind === 'scratch') !== (a.kind === 'scratch')) {
      throw new InternalError(`kernel '${title}' is launched with ${a.kind} for argument ${word}, expected ${p.kind}`)
    }
    this.words.push(0n)
    switch (a.kind) {
      case 'buffer':
        this.relocations.push({ kind: 'buffer', word, ref: a.ref })
        return
      case 'scalar':
        this.relocations.push({ kind: 'scalar', word, slot: a.slot, isInteger: isInteger(p) })
        return
      case 'index':
      case 'number':
        if (p.kind === 'index') checkIndex(title, Number(a.value))
        this.words[word] = encode(a.value, isInteger(p))
        return
      case 'scratch':
        return
      default:
        return a satisfies never
    }
  }
}

function isInteger(p: Parameter): boolean {
  return p.kind === 'index' || (p.kind === 'scalar' && (p.type === 'i32' || p.type === 'i64'))
}

const double = new Float64Array(1)
const doubleBits = new BigInt64Array(double.buffer)

/** A number as the word that kernels expect. */
export function encode(value: number | bigint, asInteger: boolean): bigint {
  if (asInteger)
    return BigInt.asIntN(
      64,
      typeof value === 'bigint' ? value : Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n,
    )
  double[0] = Number(value)
  return doubleBits[0]!
}

/** Kernels count with 32 bits on this device. */
function checkIndex(title: string, value: number): void {
  if (Math.abs(value) < 2 ** 31) return
  throw new DeviceError(
    `the wasm device counts elements with 32 bits, but '${title}' needs a size, stride or offset of ${value}: split the tensor, or use another device`,
  )
}

export { argumentBytes }
