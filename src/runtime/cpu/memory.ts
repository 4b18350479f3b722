/**
 * Memory of the CPU backend: ArrayBuffers, which V8 counts and frees. They are aligned for vectors by taking a little more, and their
 * addresses are kept as numbers.
 */
import koffi from 'koffi'
import { allocateBytes } from '../../common/memory.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import { collectYoung } from '../young-collection.ts'

const ALIGNMENT = 64
/**
 * Bytes of a buffer before which memory that nobody has any more is given back. V8 would collect for it as well, from half of its 32 MB of young
 * buffers on, but gives memory back behind the collection, when this buffer has been made of other memory.
 */
const HUGE_BYTES = 16 << 20

export interface CpuBuffer extends DeviceBuffer {
  /** The memory itself, without what alignment added; of shared memory a copy. */
  readonly view: Uint8Array
  readonly address: number
  /** Ticket of the last run that was given this buffer. */
  lastTicket: number
}

/** A class and not an object literal, which V8 may allocate in its old generation: then the memory would wait for a thorough collection. */
class OwnBuffer implements CpuBuffer {
  readonly bytes: number
  readonly view: Uint8Array
  readonly address: number
  lastTicket = 0
  readonly lease: Lease

  constructor(view: Uint8Array, address: number, lease: Lease) {
    this.bytes = view.length
    this.view = view
    this.address = address
    this.lease = lease
  }
}

/**
 * What lives as long as a buffer and tells of its end. The registry watches this and not the buffer, because what it watches outlives V8's
 * quick collections of young objects: the memory is free as soon as nobody has it, only the count of it waits for a thorough collection.
 */
interface Lease {
  readonly bytes: number
}

let liveBytes = 0
let peakBytes = 0
let allBytes = 0
let collectedBytes = 0
const registry = new FinalizationRegistry<number>((bytes) => {
  liveBytes -= bytes
})

/** Bytes that buffers hold now (as far as the collector has told) and held at most. */
export function memoryUse(): { liveBytes: number; peakBytes: number } {
  return { liveBytes, peakBytes }
}

/** Bytes of all buffers that were ever made, and how many they were when memory of dropped ones was given back. */
export function allocatedBytes(): { all: number; collected: number } {
  return { all: allBytes, collected: collectedBytes }
}

/** Gives back memory that nobody has any more, of buffers that were made since the last times; `kept`: bytes of the last ones, which are in use. */
export function collectBuffers(kept = 0): void {
  collectedBytes = allBytes - kept
  collectYoung()
}

/**
 * Recorded nodes up to which a collection moves next to nothing. Those of a step that is about to be submitted are thousands: moved here, and again
 * behind the submission, V8 takes them for old, and what they refer to with them, such as 33 MB of logits in each step of a recogniser. Then it collects
 * thoroughly every few steps, in four threads: 50 ms of their processors' time.
 */
export const FEW_NODES = 128

/**
 * Memory with anything in it: setting a result's memory to zero, on one thread, before it is written takes as long as a small product. Throws
 * OutOfMemoryError.
 */
export function allocateBuffer(bytes: number, nodes = 0): CpuBuffer {
  if (bytes >= HUGE_BYTES && nodes <= FEW_NODES) collectBuffers()
  const memory = allocateBytes(bytes + ALIGNMENT, 'a tensor', (size) => Buffer.allocUnsafeSlow(size).buffer)
  const start = Number(koffi.address(memory))
  const offset = (ALIGNMENT - (start % ALIGNMENT)) % ALIGNMENT
  const lease: Lease = { bytes }
  allBytes += bytes
  liveBytes += bytes
  peakBytes = Math.max(peakBytes, liveBytes)
  registry.register(lease, bytes)
  return new OwnBuffer(new Uint8Array(memory, offset, bytes), start + offset, lease)
}

/** Numbers that native code writes, zero before: their address does not change. */
export function allocateNumbers(count: number): { values: Float64Array; address: number } {
  const memory = new ArrayBuffer(Math.max(8, count * 8))
  return { values: new Float64Array(memory, 0, count), address: Number(koffi.address(memory)) }
}

/** 64-bit words that native code reads and writes: their address does not change. */
export function allocateWords(count: number): { words: BigInt64Array; address: number } {
  // An ArrayBuffer of its own, since V8 may move the elements of small typed arrays.
  const memory = new ArrayBuffer(Math.max(8, count * 8))
  return { words: new BigInt64Array(memory, 0, count), address: Number(koffi.address(memory)) }
}
