/** Shared memory of the CPU backend: the registry in shared-memory.c.ts, and buffers that hold references to what is in it. */
import { threadId } from 'node:worker_threads'
import koffi from 'koffi'
import { OutOfMemoryError } from '../../common/errors.ts'
import { checkMemory } from '../../common/memory.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { SharedMemory } from '../shared-memory.ts'
import type { CpuBuffer } from './memory.ts'
import type { NativeRuntime } from './native.ts'

/** One reference to shared memory. It is alive as long as the buffer, or a run that was given it. */
export class SharedBuffer implements CpuBuffer {
  readonly bytes: number
  readonly address: number
  lastTicket = 0
  readonly lease: { readonly bytes: number }

  constructor(address: number, bytes: number) {
    this.bytes = bytes
    this.address = address
    this.lease = { bytes }
  }

  /** The memory itself, for those who hold the buffer as long as they look. */
  inPlace(): Uint8Array {
    return new Uint8Array(koffi.view(this.address, this.bytes))
  }

  /** A copy: the memory may go while somebody still looks at what was read from it. */
  get view(): Uint8Array {
    return this.inPlace().slice()
  }
}

/** A part of a file, and the checksum that `NativeRuntime.checksum` gives of what it should hold. */
export interface FilePart {
  readonly path: string
  readonly offset: number
  readonly bytes: number
  readonly checksum: number
}

export class CpuSharedMemory implements SharedMemory {
  readonly thread = threadId
  readonly #native: NativeRuntime
  readonly #hasFinished: (ticket: number) => boolean
  /** Lets go of memory whose buffer nobody has any more. */
  readonly #registry: FinalizationRegistry<{ readonly address: number; readonly bytes: number }>

  constructor(native: NativeRuntime, hasFinished: (ticket: number) => boolean) {
    this.#native = native
    this.#hasFinished = hasFinished
    this.#registry = new FinalizationRegistry(({ address, bytes }) => {
      native.sharedRelease(address)
      native.weigh(-bytes)
    })
  }

  place(bytes: Uint8Array): DeviceBuffer | null {
    const { buffer, byteOffset, length } = bytes
    return length === 0 ? null : this.#copy(Number(koffi.address(buffer)) + byteOffset, length)
  }

  share(buffer: DeviceBuffer): DeviceBuffer | null {
    if (buffer instanceof SharedBuffer) return buffer
    const source = buffer as CpuBuffer
    return source.bytes === 0 || !this.#hasFinished(source.lastTicket) ? null : this.#copy(source.address, source.bytes)
  }

  #copy(address: number, bytes: number): SharedBuffer {
    checkMemory(bytes, 'the weights of a model')
    return this.#own(this.#native.sharedCopy(address, bytes), bytes)
  }

  nameOf(buffer: DeviceBuffer): string | null {
    return buffer instanceof SharedBuffer ? `w${this.#native.sharedSerial(buffer.address)}` : null
  }

  find(key: string, bytes: number): DeviceBuffer | null {
    const address = this.#native.sharedFind(key, bytes)
    return address === 0 ? null : this.#own(address, bytes)
  }

  allocate(bytes: number): DeviceBuffer {
    checkMemory(bytes, 'the packed weights of a model')
    return this.#own(this.#native.sharedAllocate(bytes), bytes)
  }

  /** What was published under a key, else a part of a file with this checksum, published under it. Null where the file does not have it. */
  async load(key: string, { path, offset, bytes, checksum }: FilePart): Promise<DeviceBuffer | null> {
    const known = this.find(key, bytes)
    if (known) return known
    checkMemory(bytes, 'the weights of a model')
    const own = this.#own(this.#native.sharedReserve(bytes), bytes)
    if ((await this.#native.readFile(path, offset, own.address, bytes)) === checksum) return this.publish(key, own)
    this.release(own)
    return null
  }

  /** Lets `load` find a buffer of here under a key of its contents, besides what it is found by already. */
  alias(buffer: SharedBuffer, key: string): void {
    this.#native.sharedAlias(buffer.address, key)
  }

  publish(key: string, buffer: DeviceBuffer): DeviceBuffer {
    if (!(buffer instanceof SharedBuffer)) return buffer
    const address = this.#native.sharedPublish(buffer.address, key)
    if (address === buffer.address) return buffer
    // Its reference has been given back.
    this.#forget(buffer)
    return this.#own(address, buffer.bytes)
  }

  release(buffer: DeviceBuffer): void {
    if (buffer instanceof SharedBuffer && this.#forget(buffer)) this.#native.sharedRelease(buffer.address)
  }

  usage(): { buffers: number; bytes: number } {
    return { buffers: this.#native.sharedCount(), bytes: this.#native.sharedBytes() }
  }

  #own(address: number, bytes: number): SharedBuffer {
    if (address === 0)
      throw new OutOfMemoryError(`the weights of a model need ${bytes} bytes, which the system refuses`)
    const buffer = new SharedBuffer(address, bytes)
    this.#registry.register(buffer.lease, { address, bytes }, buffer.lease)
    this.#native.weigh(bytes)
    return buffer
  }

  /** Whether the buffer still was to be let go of when nobody has it any more. */
  #forget(buffer: SharedBuffer): boolean {
    const isOwn = this.#registry.unregister(buffer.lease)
    if (isOwn) this.#native.weigh(-buffer.bytes)
    return isOwn
  }
}
