/**
 * One executor lane a device: plans run in the order of submission. Compilation is asynchronous; a door that must not leave the JS
 * thread finishes what is queued by blocking.
 */
import type { DeviceBuffer } from '../graph/storage.ts'
import type { Backend } from '../runtime/backend.ts'
import type { Capture } from '../schedule/capture.ts'

export class Lane {
  readonly #backend: Backend
  #failure: unknown = null

  constructor(backend: Backend) {
    this.#backend = backend
  }

  run(program: Capture, leaves: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    this.#backend.interpret!(program, leaves, outputs)
  }

  /** Bytes of a buffer after everything submitted; throws what a submitted plan met. */
  async read(buffer: DeviceBuffer): Promise<Uint8Array> {
    await this.synchronize()
    return this.#backend.read(buffer)
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    this.synchronizeSync()
    return this.#backend.readSync(buffer)
  }

  async synchronize(): Promise<void> {
    await this.#backend.synchronize()
    this.#throwFailure()
  }

  synchronizeSync(): void {
    this.#backend.synchronizeSync()
    this.#throwFailure()
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = null
    if (failure) throw failure
  }
}

const lanes = new WeakMap<Backend, Lane>()

export function laneOf(backend: Backend): Lane {
  let lane = lanes.get(backend)
  if (!lane) lanes.set(backend, (lane = new Lane(backend)))
  return lane
}
