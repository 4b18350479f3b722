/** Device memory for inputs, used again by later runs: fresh memory is zeroed and mapped page by page, which takes longer than copying. */
import type { DeviceBuffer } from '../graph/storage.ts'
import type { Backend } from '../runtime/backend.ts'

/** Buffers that wait for a run; a server with more runs at once makes new ones. */
const MOST_SPARE = 8

type Memory = Pick<Backend, 'allocate' | 'write'>

export class InputBuffers {
  readonly #backend: Memory
  #spare: DeviceBuffer[] = []

  constructor(backend: Memory) {
    this.#backend = backend
  }

  /** A buffer with these bytes. */
  upload(data: Uint8Array): DeviceBuffer {
    const place = this.#spare.findIndex((b) => b.bytes === data.length)
    const buffer = place < 0 ? this.#backend.allocate(data.length) : this.#spare.splice(place, 1)[0]!
    this.#backend.write(buffer, data)
    return buffer
  }

  /** Takes back buffers of a run that has ended. Those that wait longest go first. */
  giveBack(buffers: readonly DeviceBuffer[]): void {
    this.#spare.push(...buffers.filter((b) => b.bytes > 0))
    if (this.#spare.length > MOST_SPARE) this.#spare = this.#spare.slice(-MOST_SPARE)
  }
}
