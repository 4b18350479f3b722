/**
 * Memory of the CPU backend: ArrayBuffers, which V8 counts and frees. They are aligned for vectors by taking a little more, and their
 * addresses are kept as numbers.
 */
import koffi from 'koffi'
import { allocateBytes } from '../../common/memory.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'

const ALIGNMENT = 64

export interface CpuBuffer extends DeviceBuffer {
  /** The memory itself, without what alignment added. */
  readonly view: Uint8Array
  readonly address: number
  /** Ticket of the last run that was given this buffer. */
  lastTicket: number
}

let liveBytes = 0
let peakBytes = 0
const registry = new FinalizationRegistry<number>((bytes) => {
  liveBytes -= bytes
})

/** Bytes that buffers hold now (as far as the collector has told) and held at most. */
export function memoryUse(): { liveBytes: number; peakBytes: number } {
  return { liveBytes, peakBytes }
}

/** Zeroed memory. Throws OutOfMemoryError. */
export function allocateBuffer(bytes: number): CpuBuffer {
  const memory = allocateBytes(bytes + ALIGNMENT, 'a tensor')
  const start = Number(koffi.address(memory))
  const offset = (ALIGNMENT - (start % ALIGNMENT)) % ALIGNMENT
  const buffer = { bytes, view: new Uint8Array(memory, offset, bytes), address: start + offset, lastTicket: 0 }
  liveBytes += bytes
  peakBytes = Math.max(peakBytes, liveBytes)
  registry.register(buffer, bytes)
  return buffer
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
