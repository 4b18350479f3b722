/** Weights that never change from now on, and what is computed from them alone, for predictors. */
import type { HostArray } from '../common/dtype.ts'
import { numel } from '../common/shape.ts'
import { Storage, type DeviceBuffer } from '../graph/storage.ts'
import type { Backend } from '../runtime/backend.ts'
import { backendOf } from './device.ts'
import { storageFrom } from './tensor.ts'

/**
 * Packed weights and other constants, by recipe and the weights that it is over; for all computations over one set of weights. Where the device
 * has memory that all threads of the process read, weights are kept there once by what they hold, and constants by recipe: stores of equal
 * weights, in any thread, share them.
 */
export class ConstantStore {
  readonly #device: string
  readonly #backend: Backend
  readonly #weights = new Map<Storage, string>()
  readonly #buffers = new Map<string, DeviceBuffer>()
  /** Ends when what is being computed is there. */
  pending: Promise<void> = Promise.resolve()

  constructor(device: string) {
    this.#device = device
    this.#backend = backendOf(device)
  }

  /** A storage that holds an array, for a weight; in shared memory at once. */
  place(array: HostArray): Storage {
    const { data, dtype, shape } = array
    const { shared } = this.#backend
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    const buffer = data.length === numel(shape) ? shared?.place(bytes) : null
    if (!buffer) return storageFrom(array, this.#device)
    const weight = new Storage(this.#device, dtype, data.length, buffer)
    this.nameOf(weight)
    return weight
  }

  /** Name in recipes of a weight, which never changes from now on. */
  nameOf(weight: Storage): string {
    let name = this.#weights.get(weight)
    if (name === undefined) this.#weights.set(weight, (name = this.#share(weight)))
    return name
  }

  #share(weight: Storage): string {
    const { shared } = this.#backend
    const buffer = shared?.share(weight.buffer) ?? null
    const name = buffer && shared!.nameOf(buffer)
    // Numbers of storages are counted in each thread.
    if (!buffer || name === null) return `t${shared?.thread ?? 0}.s${weight.id}`
    weight.buffer = buffer
    // As if somebody were reading it for ever: whoever overwrites the storage gets other memory.
    weight.readers++
    return name
  }

  get(name: string, bytes: number): DeviceBuffer | undefined {
    let buffer = this.#buffers.get(name)
    if (!buffer) {
      buffer = this.#backend.shared?.find(name, bytes) ?? undefined
      if (buffer) this.#buffers.set(name, buffer)
    }
    return buffer
  }

  /** Memory for a constant that `set` is called with once it is computed. */
  allocate(bytes: number): DeviceBuffer {
    return (this.#backend.shared ?? this.#backend).allocate(bytes)
  }

  /** Keeps a constant; returns the memory to use, which may be what another thread has computed meanwhile. */
  set(name: string, computed: DeviceBuffer): DeviceBuffer {
    const buffer = this.#backend.shared?.publish(name, computed) ?? computed
    this.#buffers.set(name, buffer)
    return buffer
  }

  get bytes(): number {
    return [...this.#buffers.values()].reduce((sum, b) => sum + b.bytes, 0)
  }

  /** Gives memory back; nothing that was prepared with this store may run any more. */
  dispose(): void {
    const { shared } = this.#backend
    for (const weight of this.#weights.keys()) shared?.release(weight.buffer)
    for (const buffer of this.#buffers.values()) shared?.release(buffer)
    this.#weights.clear()
    this.#buffers.clear()
  }
}
