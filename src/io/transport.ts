/**
 * How a batch gets from a worker to the loader: the numbers lie in shared memory, and a small tree says what they are. The loader copies them
 * out at once, so the memory can be used again, and what users get is theirs.
 */
import type { DType, HostArray } from '../common/dtype.ts'
import { bytesOf, fromBytes, isHostArray, isTypedArray } from './host-array.ts'
import { isPlainObject } from './tensor-bridge.ts'

const ALIGNMENT = 64
/** Shared memory grows in steps, so that batches of slightly different size share one piece. */
const GRANULE = 1 << 16

type Node =
  | readonly ['value', unknown]
  | readonly ['list', readonly Node[]]
  | readonly ['object', readonly (readonly [string, Node])[]]
  | readonly ['array', DType, readonly number[], number, number]
  | readonly ['typed', string, number, number]

/** A batch as it is posted. */
export interface Packed {
  readonly tree: Node
  readonly buffer: SharedArrayBuffer
}

type TypedArrayClass = new (buffer: ArrayBuffer) => ArrayBufferView

const typedArrays = new Map<string, TypedArrayClass>(
  [
    Uint8Array,
    Uint8ClampedArray,
    Int8Array,
    Uint16Array,
    Int16Array,
    Uint32Array,
    Int32Array,
    BigUint64Array,
    BigInt64Array,
    Float32Array,
    Float64Array,
  ].map((c) => [c.name, c]),
)

/** One piece of shared memory for the batches of one place in the queue; it grows to the largest. */
export class Slot {
  private buffer = new SharedArrayBuffer(0)

  /** At least `bytes` of memory; what it held before is lost when it has to grow. */
  reserve(bytes: number): SharedArrayBuffer {
    if (this.buffer.byteLength < bytes)
      this.buffer = new SharedArrayBuffer(Math.ceil((bytes * 1.1) / GRANULE) * GRANULE)
    return this.buffer
  }
}

/** Copies the arrays of `value` into the slot. What is no array, list or plain object is left to structured cloning. */
export function pack(value: unknown, slot: Slot): Packed {
  const pieces: { offset: number; bytes: Uint8Array }[] = []
  let total = 0
  const place = (bytes: Uint8Array): number => {
    const offset = total
    pieces.push({ offset, bytes })
    total += Math.ceil(bytes.byteLength / ALIGNMENT) * ALIGNMENT
    return offset
  }
  const tree = plan(value, place)
  const buffer = slot.reserve(total)
  for (const { offset, bytes } of pieces) new Uint8Array(buffer, offset, bytes.byteLength).set(bytes)
  return { tree, buffer }
}

function plan(value: unknown, place: (bytes: Uint8Array) => number): Node {
  if (isHostArray(value)) return ['array', value.dtype, [...value.shape], place(bytesOf(value)), value.data.byteLength]
  if (isTypedArray(value)) {
    const { buffer, byteOffset, byteLength } = value
    return ['typed', value.constructor.name, place(new Uint8Array(buffer, byteOffset, byteLength)), byteLength]
  }
  if (Array.isArray(value)) return ['list', value.map((item) => plan(item, place))]
  if (!isPlainObject(value)) return ['value', value]
  return ['object', Object.entries(value).map(([key, field]) => [key, plan(field, place)] as const)]
}

/** The batch again, in memory of its own. */
export function unpack({ tree, buffer }: Packed): unknown {
  switch (tree[0]) {
    case 'value':
      return tree[1]
    case 'list':
      return tree[1].map((node) => unpack({ tree: node, buffer }))
    case 'object':
      return Object.fromEntries(tree[1].map(([key, node]) => [key, unpack({ tree: node, buffer })]))
    case 'array': {
      const [, dtype, shape, offset, length] = tree
      return fromBytes(dtype, shape, copyOut(buffer, offset, length)) satisfies HostArray
    }
    case 'typed': {
      const [, name, offset, length] = tree
      const bytes = copyOut(buffer, offset, length)
      const typed = typedArrays.get(name)
      return typed === undefined ? Buffer.from(bytes.buffer) : new typed(bytes.buffer)
    }
    default:
      return tree satisfies never
  }
}

function copyOut(buffer: SharedArrayBuffer, offset: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint8Array(buffer, offset, length))
}
