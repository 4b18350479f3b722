/**
 * Builds FlatBuffers from the back to the front, with the alignment and the shared vtables of the C++ library, so that equal content built
 * in the same order gives equal bytes. Source: the format's documentation ("FlatBuffers internals").
 */
import { ArgumentError } from '../../../common/errors.ts'

/** Where something that was built lies, counted from the end of the buffer. */
export type FlatOffset = number

/** One field of a table that is to be written; the size says how it is aligned. */
export type FlatField =
  | { readonly slot: number; readonly kind: 'offset'; readonly value: FlatOffset }
  | { readonly slot: number; readonly kind: 'byte' | 'int' | 'float' | 'double'; readonly value: number }
  | { readonly slot: number; readonly kind: 'long'; readonly value: number | bigint }

const sizes = { byte: 1, int: 4, float: 4, offset: 4, double: 8, long: 8 } as const
const MAX_BYTES = 2 ** 31 - 1

export class FlatBuilder {
  private buffer = new Uint8Array(1024)
  private view = new DataView(this.buffer.buffer)
  /** Bytes that are written. */
  private size = 0
  private largestAlignment = 1
  private emptyText: FlatOffset | undefined
  private readonly vtables: FlatOffset[] = []

  // ---- what a buffer is made of -----------------------------------------------------------------------------------------------

  string(text: string): FlatOffset {
    const bytes = new TextEncoder().encode(text)
    this.align(4, bytes.byteLength + 1)
    this.push(1)
    this.raw(bytes)
    return this.endVector(bytes.byteLength)
  }

  /** A string that a table refers to: all that are empty are one, as generated C++ code makes them. */
  text(text: string): FlatOffset {
    return text === '' ? (this.emptyText ??= this.string(text)) : this.string(text)
  }

  bytes(bytes: Uint8Array): FlatOffset {
    this.align(4, bytes.byteLength)
    this.raw(bytes)
    return this.endVector(bytes.byteLength)
  }

  bools(values: readonly boolean[]): FlatOffset {
    return this.bytes(Uint8Array.from(values, Number))
  }

  ints(values: readonly number[]): FlatOffset {
    return this.vector(values, 4, (at, value) => this.view.setInt32(at, value, true))
  }

  floats(values: readonly number[]): FlatOffset {
    return this.vector(values, 4, (at, value) => this.view.setFloat32(at, value, true))
  }

  doubles(values: readonly number[]): FlatOffset {
    return this.vector(values, 8, (at, value) => this.view.setFloat64(at, value, true))
  }

  longs(values: readonly (number | bigint)[]): FlatOffset {
    return this.vector(values, 8, (at, value) => this.view.setBigInt64(at, BigInt(value), true))
  }

  offsets(values: readonly FlatOffset[]): FlatOffset {
    return this.vector(values, 4, (at, value) => this.refer(at, value))
  }

  strings(values: readonly string[]): FlatOffset {
    return this.offsets(values.map((value) => this.string(value)))
  }

  /**
   * A table. Fields whose value is 0 are the default and left out; a field of offset -1 is absent. As generated C++ code does, large fields
   * are written before small ones, and those of one size from the last to the first.
   */
  table(fields: readonly FlatField[]): FlatOffset {
    const start = this.size
    const present = fields.filter(({ kind, value }) => (kind === 'offset' ? value !== -1 : Number(value) !== 0))
    const slots: { slot: number; end: number }[] = []
    for (const size of [8, 4, 1]) {
      for (const field of present.filter(({ kind }) => sizes[kind] === size).toSorted((a, b) => b.slot - a.slot)) {
        this.align(size)
        this.write(field)
        slots.push({ slot: field.slot, end: this.size })
      }
    }
    return this.endTable(start, slots)
  }

  /** The finished bytes. */
  finish(root: FlatOffset): Uint8Array {
    this.align(this.largestAlignment, 4)
    const at = this.push(4)
    this.refer(at, root)
    return this.buffer.slice(this.buffer.byteLength - this.size)
  }

  // ---- how it is laid out -----------------------------------------------------------------------------------------------------

  private endTable(start: FlatOffset, slots: readonly { slot: number; end: number }[]): FlatOffset {
    this.align(4)
    this.push(4)
    const table = this.size
    const count = Math.max(0, ...slots.map(({ slot }) => slot + 1))
    const vtable = new DataView(new ArrayBuffer(4 + 2 * count))
    vtable.setUint16(0, vtable.byteLength, true)
    vtable.setUint16(2, table - start, true)
    for (const { slot, end } of slots) vtable.setUint16(4 + 2 * slot, table - end, true)
    const bytes = new Uint8Array(vtable.buffer)
    const known = this.vtables.find((offset) => this.equals(offset, bytes))
    if (known === undefined) {
      this.align(2)
      this.raw(bytes)
      this.vtables.push(this.size)
    }
    // The buffer may have grown: the place is counted from its end.
    this.view.setInt32(this.buffer.byteLength - table, (known ?? this.size) - table, true)
    return table
  }

  private equals(offset: FlatOffset, bytes: Uint8Array): boolean {
    const at = this.buffer.byteLength - offset
    return this.view.getUint16(at, true) === bytes.byteLength && bytes.every((byte, i) => this.buffer[at + i] === byte)
  }

  private write(field: FlatField): void {
    const at = this.push(sizes[field.kind])
    switch (field.kind) {
      case 'byte':
        return this.view.setUint8(at, field.value)
      case 'int':
        return this.view.setInt32(at, field.value, true)
      case 'float':
        return this.view.setFloat32(at, field.value, true)
      case 'double':
        return this.view.setFloat64(at, field.value, true)
      case 'long':
        return this.view.setBigInt64(at, BigInt(field.value), true)
      case 'offset':
        return this.refer(at, field.value)
      default:
        field satisfies never
    }
  }

  private vector<T>(values: readonly T[], size: number, write: (at: number, value: T) => void): FlatOffset {
    this.align(4, values.length * size)
    this.align(size, values.length * size)
    for (const value of values.toReversed()) write(this.push(size), value)
    return this.endVector(values.length)
  }

  private endVector(length: number): FlatOffset {
    this.align(4)
    const at = this.push(4)
    this.view.setUint32(at, length, true)
    return this.size
  }

  /** An offset, relative to its own place. */
  private refer(at: number, target: FlatOffset): void {
    this.view.setUint32(at, this.buffer.byteLength - at - target, true)
  }

  /** Zeros, so that after `more` bytes the buffer's size is a multiple of `alignment`. */
  private align(alignment: number, more = 0): void {
    this.largestAlignment = Math.max(this.largestAlignment, alignment)
    const rest = (this.size + more) % alignment
    if (rest !== 0) this.push(alignment - rest)
  }

  private raw(bytes: Uint8Array): void {
    const at = this.push(bytes.byteLength)
    this.buffer.set(bytes, at)
  }

  /** Makes room for zeros at the front; gives their place. */
  private push(bytes: number): number {
    const needed = this.size + bytes
    if (needed > MAX_BYTES) throw new ArgumentError('flatbuffer: more than 2 GiB in one part; the format holds no more')
    if (needed > this.buffer.byteLength) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.buffer.byteLength))
      larger.set(this.buffer.subarray(this.buffer.byteLength - this.size), larger.byteLength - this.size)
      this.buffer = larger
      this.view = new DataView(larger.buffer)
    }
    this.size = needed
    return this.buffer.byteLength - this.size
  }
}
