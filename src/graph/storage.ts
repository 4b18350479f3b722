/**
 * A storage is a piece of device memory with a version. Leaf nodes name (storage, version): an in-place write makes the next
 * version, so a node recorded before the write can tell that what it reads is gone.
 */
import type { DType } from '../common/dtype.ts'
import { sizeOf } from '../common/dtype.ts'
import type { Node } from './node.ts'

/** Memory as a backend hands it out; what is inside is the backend's own business. */
export interface DeviceBuffer {
  readonly bytes: number
}

let nextStorageId = 1

export class Storage {
  readonly id: number = nextStorageId++
  /** Name of the backend that owns the memory. */
  readonly device: string
  readonly dtype: DType
  /** Number of elements. */
  readonly size: number
  buffer: DeviceBuffer
  /** The version that the memory holds, or will hold when the plans already submitted have run. */
  version = 0
  /** Writes recorded and not yet submitted: values of version + 1, version + 2, ... */
  pending: Node[] = []

  /** Doors that are reading the memory: while there are any, an overwrite goes to new memory. */
  readers = 0

  /** Whether it stands for an input of a recording, which has no value before the recording runs. */
  isPlace = false

  constructor(device: string, dtype: DType, size: number, buffer: DeviceBuffer) {
    this.device = device
    this.dtype = dtype
    this.size = size
    this.buffer = buffer
  }

  get bytes(): number {
    return this.size * sizeOf(this.dtype)
  }

  /** The version that a reader recorded now would see. */
  get latest(): number {
    return this.version + this.pending.length
  }
}
