/** Runs single kernels on the wasm device, for tests. */
import { viewHost, type DType, type HostData } from '../../common/dtype.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import type { Argument, Launch, Plan } from '../../schedule/plan.ts'
import type { WasmBackend } from './backend.ts'

export function planOf(steps: Plan['steps'], arenaBytes = 0): Plan {
  return { steps, arenaBytes }
}

export function launchOf(kernel: number, args: readonly Argument[], extent: number, scratchBytes = 0): Launch {
  return { kind: 'launch', kernel, arguments: args, extent, grain: 1, scratchBytes, flops: 0, bytes: 0 }
}

/** Runs one kernel; arrays are buffers, changed in place, and numbers the other arguments. */
export function runKernel(
  backend: WasmBackend,
  kernel: Kernel,
  args: readonly (HostData | number | bigint | 'scratch')[],
  extent: number,
  scratchBytes = 0,
): void {
  const arrays = args.filter((a): a is HostData => typeof a === 'object')
  const buffers = arrays.map((a) => {
    const buffer = backend.allocate(a.byteLength)
    backend.write(buffer, new Uint8Array(a.buffer, a.byteOffset, a.byteLength))
    return buffer
  })
  let slot = 0
  const launchArguments = args.map((a): Argument => {
    if (a === 'scratch') return { kind: 'scratch' }
    if (typeof a === 'object') return { kind: 'buffer', ref: { space: 'leaf', slot: slot++, byteOffset: 0, step: 0 } }
    return { kind: 'number', value: a }
  })
  const program = backend.compileSync(planOf([launchOf(0, launchArguments, extent, scratchBytes)]), [kernel])
  try {
    backend.runSync(program, buffers, [], [])
  } finally {
    arrays.forEach((a, i) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength).set(backend.readSync(buffers[i]!)))
  }
}

/** A typed array of a dtype with the values of `fill`. */
export function arrayOf(dtype: DType, length: number, fill: (i: number) => number): HostData {
  const data = viewHost(dtype, new ArrayBuffer(length * viewHost(dtype, new ArrayBuffer(0)).BYTES_PER_ELEMENT))
  for (let i = 0; i < length; i++) data[i] = dtype === 'int64' ? (BigInt(fill(i)) as never) : fill(i)
  return data
}

/** Uniform numbers in [-1, 1), the same for the same seed. */
export function noise(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  }
}
