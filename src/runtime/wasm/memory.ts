/**
 * Linear memory handed out in blocks: one WebAssembly.Memory that grows on demand, and a list of free blocks, sorted by address, from
 * which the smallest that fits is cut. Neighbours that are free become one block again.
 */
import { OutOfMemoryError } from '../../common/errors.ts'
import { checkMemory } from '../../common/memory.ts'
import { reservedBytes } from '../../render/wasm.ts'

export const pageBytes = 65536
export const maximumMemoryBytes = 2 ** 32
const alignment = 64
/** Growing by a fraction of what there is keeps the number of growths small; untouched pages cost nothing. */
const growthShare = 8

interface Block {
  address: number
  bytes: number
}

export class LinearMemory {
  readonly memory: WebAssembly.Memory
  private readonly maximumBytes: number
  private readonly free: Block[] = []
  private cachedBytes: Uint8Array
  private used = 0

  constructor(maximumBytes: number) {
    this.maximumBytes = Math.floor(Math.min(maximumBytes, maximumMemoryBytes) / pageBytes) * pageBytes
    this.memory = new WebAssembly.Memory({ initial: reservedBytes / pageBytes, maximum: this.maximumBytes / pageBytes })
    this.cachedBytes = new Uint8Array(this.memory.buffer)
  }

  /** Bytes in blocks that are handed out, padding included. */
  get usedBytes(): number {
    return this.used
  }

  /** All of the memory, as it is now: growing makes another array. */
  get bytes(): Uint8Array {
    if (this.cachedBytes.buffer !== this.memory.buffer) this.cachedBytes = new Uint8Array(this.memory.buffer)
    return this.cachedBytes
  }

  /** Address of a block of at least `bytes`, aligned to 64 bytes. Throws OutOfMemoryError. */
  allocate(bytes: number): number {
    const wanted = paddedBytes(bytes)
    let best = this.bestFit(wanted)
    if (best < 0) {
      this.grow(wanted)
      best = this.bestFit(wanted)
    }
    const block = this.free[best]!
    const { address } = block
    block.address += wanted
    block.bytes -= wanted
    if (block.bytes === 0) this.free.splice(best, 1)
    this.used += wanted
    return address
  }

  /** Gives back a block of `bytes` from `allocate`. */
  release(address: number, bytes: number): void {
    const released = paddedBytes(bytes)
    this.used -= released
    this.insert(address, released)
  }

  private bestFit(bytes: number): number {
    let best = -1
    let bestBytes = Infinity
    for (let i = 0; i < this.free.length; i++) {
      const size = this.free[i]!.bytes
      if (size < bytes || size >= bestBytes) continue
      best = i
      bestBytes = size
      if (size === bytes) break
    }
    return best
  }

  private insert(address: number, bytes: number): void {
    let low = 0
    let high = this.free.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.free[middle]!.address < address) low = middle + 1
      else high = middle
    }
    const before = this.free[low - 1]
    const after = this.free[low]
    const joinsBefore = before !== undefined && before.address + before.bytes === address
    const joinsAfter = after !== undefined && address + bytes === after.address
    if (joinsBefore) {
      before.bytes += bytes
      if (!joinsAfter) return
      before.bytes += after.bytes
      this.free.splice(low, 1)
    } else if (joinsAfter) {
      after.address = address
      after.bytes += bytes
    } else this.free.splice(low, 0, { address, bytes })
  }

  private grow(wanted: number): void {
    const size = this.memory.buffer.byteLength
    const last = this.free[this.free.length - 1]
    const atEnd = last && last.address + last.bytes === size ? last.bytes : 0
    checkMemory(wanted - atEnd, 'a tensor, or what a program keeps between its kernels,')
    const needed = Math.ceil((wanted - atEnd) / pageBytes)
    const allowed = (this.maximumBytes - size) / pageBytes
    const generous = Math.min(Math.max(needed, Math.ceil(size / growthShare / pageBytes)), allowed)
    for (const pages of needed <= allowed ? [generous, needed] : []) {
      try {
        this.memory.grow(pages)
        this.insert(size, pages * pageBytes)
        return
      } catch (e) {
        if (!(e instanceof RangeError)) throw e
      }
    }
    throw new OutOfMemoryError(
      `the wasm device cannot allocate ${wanted} bytes: ${this.used} bytes are in use, in a memory of ${size} bytes that may grow to ${this.maximumBytes}. ` +
        'Use smaller batches, drop references to tensors that are no longer needed, or use another device',
    )
  }
}

function paddedBytes(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / alignment)) * alignment
}

/** One block that is replaced by a larger one when more is needed; its contents are then lost. */
export class Region {
  private readonly memory: LinearMemory
  private block: Block | null = null

  constructor(memory: LinearMemory) {
    this.memory = memory
  }

  get bytes(): number {
    return this.block?.bytes ?? 0
  }

  get address(): number {
    return this.block?.address ?? 0
  }

  reserve(bytes: number): void {
    if (bytes <= this.bytes) return
    this.release()
    this.block = { address: this.memory.allocate(bytes), bytes }
  }

  release(): void {
    if (this.block) this.memory.release(this.block.address, this.block.bytes)
    this.block = null
  }
}
