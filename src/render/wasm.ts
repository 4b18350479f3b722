/**
 * The WebAssembly dialect: a list of kernels as one module. The module imports its memory (`env.memory`) and the host functions that
 * the kernels call (`math.exp`, ...: numbers to a number), and exports each kernel as `k0`, `k1`, ...: a function of the address of
 * the arguments, the first and last + 1 iteration of the parallel loop, the address of private memory, and the address of the fault
 * code. Arguments are 64-bit words in the order of the parameters: pointers, indices and integers as int64, floats as a double.
 */
import { expressionsOf, flatten, operands } from '../codegen/walk.ts'
import { vectorize, type VectorizeOptions } from '../codegen/vectorize.ts'
import type { CallIr, Expr, Kernel } from '../codegen/kernel.ts'
import { groupLanes } from './wasm/emitter.ts'
import { ModuleEncoder, type FunctionType } from './wasm/encoder.ts'
import { compileFunction, kernelType } from './wasm/function.ts'

export { reservedBytes } from './wasm/emitter.ts'

export interface WasmOptions {
  /** Whether the engine has relaxed SIMD: a * b + c in one rounding. */
  readonly relaxedSimd: boolean
}

export const memoryImport = { module: 'env', name: 'memory' } as const
export const callModule = 'math'
export const argumentBytes = 8

/** Name of the export of a kernel. */
export function exportName(kernel: number): string {
  return `k${kernel}`
}

const binaryCalls: ReadonlySet<CallIr> = new Set(['pow', 'atan2', 'fmod'])

/** The bytes of a module with all kernels. */
export function renderWasm(kernels: readonly Kernel[], options: WasmOptions): Uint8Array {
  const encoder = new ModuleEncoder()
  encoder.importMemory(memoryImport.module, memoryImport.name)
  const prepared = kernels.map(prepare)
  const callees = new Map<CallIr, number>()
  for (const fn of callsOf(prepared)) {
    const type: FunctionType = { parameters: binaryCalls.has(fn) ? ['f64', 'f64'] : ['f64'], results: ['f64'] }
    callees.set(fn, encoder.importFunction(callModule, fn, type))
  }
  prepared.forEach((kernel, i) => {
    const code = compileFunction(kernel, { ...options, callees, withText: false })
    encoder.exportFunction(exportName(i), kernelType, code.finish())
  })
  return encoder.encode()
}

/** The instructions of one kernel as text, for people and tests. */
export function wasmText(kernel: Kernel, options: WasmOptions): string {
  const prepared = prepare(kernel)
  const callees = new Map([...callsOf([prepared])].map((fn, i) => [fn, i]))
  return compileFunction(prepared, { ...options, callees, withText: true }).text
}

/** What loops over lanes are here: four at a time; as many registers as a processor adds at once are filled where there are sums. */
export const laneOptions: VectorizeOptions = {
  lanes: [groupLanes],
  accumulatorRegisters: 4,
  narrowStores: true,
  stridedStores: false,
  otherwise: 'sequential',
}

function prepare(kernel: Kernel): Kernel {
  return vectorize(kernel, laneOptions)
}

/** Host functions that kernels call, in the order of their first use. */
function callsOf(kernels: readonly Kernel[]): Set<CallIr> {
  const found = new Set<CallIr>()
  const seen = new Set<Expr>()
  const expression = (e: Expr): void => {
    if (seen.has(e)) return
    seen.add(e)
    if (e.kind === 'call') found.add(e.fn)
    operands(e).forEach(expression)
  }
  for (const k of kernels) for (const s of flatten(k.body)) expressionsOf(s).forEach(expression)
  return found
}
