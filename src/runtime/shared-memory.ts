/** What a backend offers whose memory all threads of the process can read: one copy of weights for all of them. */
import type { DeviceBuffer } from '../graph/storage.ts'

/**
 * Memory that is written before others find it, and never after. Each buffer that is handed out is one reference, which ends with
 * `release`, with the buffer's collection, or with the thread; the memory goes with the last one.
 */
export interface SharedMemory {
  /** Number of the calling thread, which no other one of the process has or had. */
  readonly thread: number
  /** A buffer that holds these bytes: memory that is there already, or a copy. Null for none. */
  place(bytes: Uint8Array): DeviceBuffer | null
  /** As `place`, for what a buffer holds; null where it is still being written. */
  share(buffer: DeviceBuffer): DeviceBuffer | null
  /** A name of the contents of a shared buffer, equal in all threads, that nothing else in the process has or had. Null for others. */
  nameOf(buffer: DeviceBuffer): string | null
  /** What was published under a key. */
  find(key: string, bytes: number): DeviceBuffer | null
  /** Zeroed memory to be written and then published. Throws OutOfMemoryError. */
  allocate(bytes: number): DeviceBuffer
  /** Lets other threads find what `allocate` gave, which nobody writes from now on. Returns the buffer to use: somebody may have been faster. */
  publish(key: string, buffer: DeviceBuffer): DeviceBuffer
  /** Ends the reference of a buffer from here before its collection; nothing may use it any more. Others are left alone. */
  release(buffer: DeviceBuffer): void
  /** What all threads of the process hold together. */
  usage(): { readonly buffers: number; readonly bytes: number }
}
