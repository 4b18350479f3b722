/**
 * Devices by name. A backend is made on first use; a name that this build or machine lacks is an error that lists what is present,
 * never a silent fallback.
 */
import { ArgumentError, CompileError, DeviceError } from '../common/errors.ts'
import type { Backend } from '../runtime/backend.ts'
import { CpuBackend } from '../runtime/cpu/backend.ts'
import { NullBackend } from '../runtime/null/backend.ts'
import { ReferenceBackend } from '../runtime/reference/backend.ts'
import { WasmBackend } from '../runtime/wasm/backend.ts'
import { getDevice, makeCurrent, makePreferred } from './current-device.ts'

export { getDevice }

interface DeviceEntry {
  /** Makes the backend, or throws DeviceError that says why it cannot be had here. */
  readonly make: () => Backend
  backend: Backend | null
}

const registry = new Map<string, DeviceEntry>([
  ['cpu', { make: makeCpu, backend: null }],
  ['wasm', { make: () => new WasmBackend(), backend: null }],
  ['reference', { make: () => new ReferenceBackend(), backend: null }],
  ['null', { make: () => new NullBackend(), backend: null }],
])

/** Native code where there is a compiler; WebAssembly, said once, where there is none. */
function makeCpu(): Backend {
  try {
    return new CpuBackend()
  } catch (error) {
    if (!(error instanceof CompileError)) throw error
    process.stderr.write(
      `longzhou: no working C compiler (${error.message.split('\n')[0]}); device 'cpu' runs as WebAssembly, slower. 'longzhou doctor' tells more.\n`,
    )
    return backendOf('wasm')
  }
}

/** Adds a device; the last one registered as default is what programs get that never call `setDevice`. */
export function registerDevice(name: string, make: () => Backend, asDefault = false): void {
  registry.set(name, { make, backend: null })
  if (asDefault) makePreferred(name)
}

const cudaName = /^(gpu|cuda)(:\d+)?$/

function entryOf(name: string): DeviceEntry {
  const entry = registry.get(name)
  if (entry) return entry
  // `null` computes nothing: it is for tests of the compiler.
  const present = [...registry.keys()].filter((n) => n !== 'null').join(', ')
  if (cudaName.test(name))
    throw new DeviceError(`device '${name}' needs CUDA, which this build does not have; present: ${present}`)
  if (name === 'webgpu') throw new DeviceError(`device 'webgpu' is not part of this build; present: ${present}`)
  throw new ArgumentError(`there is no device '${name}'; present: ${present}`)
}

/** The backend of a device, made on first use. */
export function backendOf(name: string): Backend {
  const entry = entryOf(name)
  entry.backend ??= entry.make()
  return entry.backend
}

/**
 * Chooses where new tensors live and programs run, as `paddle.set_device`. `'cpu'` is native code, or WebAssembly where there is no
 * compiler (said once). Throws DeviceError for a device that is absent.
 * @example setDevice(isCompiledWithCuda() ? 'gpu' : 'cpu')
 */
export function setDevice(name: string): void {
  backendOf(name)
  makeCurrent(name)
}

/**
 * Threads that runs of device `cpu` may use from now on, as `torch.set_num_threads`; all programs of the process share one pool.
 * Throws ArgumentError.
 */
export function setNumThreads(threads: number): void {
  const backend = backendOf('cpu')
  if (backend instanceof CpuBackend) backend.setNumThreads(threads)
}

/** Runs `body`, which is synchronous, with another current device. */
export function withDevice<T>(name: string, body: () => T): T {
  const before = getDevice()
  setDevice(name)
  try {
    return body()
  } finally {
    setDevice(before)
  }
}

/** Names of the devices that this build has. */
export function devices(): string[] {
  return [...registry.keys()]
}

/** True where this build has its CUDA backend and the driver can be loaded. */
export function isCompiledWithCuda(): boolean {
  return registry.has('gpu')
}
