/**
 * FlatBuffers, as far as Paddle Lite's files use them: tables with a vtable each, vectors, strings, little-endian scalars.
 * Source: the format's documentation ("FlatBuffers internals"). Every offset is checked against the buffer, and what is read is charged
 * to a budget, because offsets may lead to one place many times.
 */
import { FormatError } from '../../../common/errors.ts'
import type { Budget } from '../budget.ts'

/** A buffer that is read; positions are absolute. */
export class FlatReader {
  readonly bytes: Uint8Array
  private readonly view: DataView
  private readonly what: string
  private readonly budget: Budget

  /** `what` begins the messages of errors. */
  constructor(bytes: Uint8Array, what: string, budget: Budget) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.what = what
    this.budget = budget
  }

  corrupt(why: string, position: number): FormatError {
    return new FormatError(`${this.what}: corrupt: ${why} (at byte ${position})`)
  }

  charge(bytes: number, position: number): void {
    this.budget.charge(bytes, position)
  }

  private check(position: number, length: number): number {
    if (position < 0 || length > this.bytes.byteLength - position)
      throw this.corrupt(`${length} bytes are needed, the part has ${this.bytes.byteLength}`, position)
    return position
  }

  u8(at: number): number {
    return this.view.getUint8(this.check(at, 1))
  }

  u16(at: number): number {
    return this.view.getUint16(this.check(at, 2), true)
  }

  i32(at: number): number {
    return this.view.getInt32(this.check(at, 4), true)
  }

  u32(at: number): number {
    return this.view.getUint32(this.check(at, 4), true)
  }

  /** A bigint only beyond 2^53. */
  i64(at: number): number | bigint {
    const value = this.view.getBigInt64(this.check(at, 8), true)
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : value
  }

  f32(at: number): number {
    return this.view.getFloat32(this.check(at, 4), true)
  }

  f64(at: number): number {
    return this.view.getFloat64(this.check(at, 8), true)
  }

  slice(at: number, length: number): Uint8Array {
    this.check(at, length)
    return this.bytes.subarray(at, at + length)
  }

  root(): FlatTable {
    return this.table(0)
  }

  /** The table to which the offset at a position leads. */
  table(at: number): FlatTable {
    return new FlatTable(this, at + this.u32(at))
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** What a table costs while it is read: the reader's object and what is made of it. */
const TABLE_COST = 160
const ELEMENT_COST = 24
const STRING_COST = 40

/** One table; fields go by the number of their slot, and are undefined where the file leaves them out. */
export class FlatTable {
  readonly at: number
  private readonly reader: FlatReader
  private readonly vtable: number
  private readonly slots: number

  constructor(reader: FlatReader, at: number) {
    this.reader = reader
    this.at = at
    this.vtable = at - reader.i32(at)
    const bytes = reader.u16(this.vtable)
    if (bytes < 4 || bytes % 2 !== 0) throw reader.corrupt(`a vtable of ${bytes} bytes`, this.vtable)
    reader.slice(this.vtable, bytes)
    this.slots = (bytes - 4) / 2
    reader.charge(TABLE_COST, at)
  }

  /** Where a field lies. */
  private field(slot: number): number | undefined {
    const offset = slot < this.slots ? this.reader.u16(this.vtable + 4 + 2 * slot) : 0
    return offset === 0 ? undefined : this.at + offset
  }

  int(slot: number, otherwise = 0): number {
    const at = this.field(slot)
    return at === undefined ? otherwise : this.reader.i32(at)
  }

  byte(slot: number): number {
    const at = this.field(slot)
    return at === undefined ? 0 : this.reader.u8(at)
  }

  bool(slot: number): boolean {
    return this.byte(slot) !== 0
  }

  long(slot: number): number | bigint {
    const at = this.field(slot)
    return at === undefined ? 0 : this.reader.i64(at)
  }

  float(slot: number): number {
    const at = this.field(slot)
    return at === undefined ? 0 : this.reader.f32(at)
  }

  double(slot: number): number {
    const at = this.field(slot)
    return at === undefined ? 0 : this.reader.f64(at)
  }

  /** '' where it is left out. */
  string(slot: number): string {
    const at = this.field(slot)
    return at === undefined ? '' : this.text(at)
  }

  table(slot: number): FlatTable | undefined {
    const at = this.field(slot)
    return at === undefined ? undefined : this.reader.table(at)
  }

  /** Bytes of a vector of bytes, without a copy. */
  bytes(slot: number): Uint8Array {
    const vector = this.vector(slot, 1)
    return this.reader.slice(vector.at, vector.length)
  }

  ints(slot: number): number[] {
    return this.elements(slot, 4, (at) => this.reader.i32(at))
  }

  floats(slot: number): number[] {
    return this.elements(slot, 4, (at) => this.reader.f32(at))
  }

  doubles(slot: number): number[] {
    return this.elements(slot, 8, (at) => this.reader.f64(at))
  }

  longs(slot: number): (number | bigint)[] {
    return this.elements(slot, 8, (at) => this.reader.i64(at))
  }

  bools(slot: number): boolean[] {
    return this.elements(slot, 1, (at) => this.reader.u8(at) !== 0)
  }

  strings(slot: number): string[] {
    return this.elements(slot, 4, (at) => this.text(at))
  }

  tables(slot: number): FlatTable[] {
    return this.elements(slot, 4, (at) => this.reader.table(at))
  }

  private vector(slot: number, size: number): { at: number; length: number } {
    const field = this.field(slot)
    if (field === undefined) return { at: 0, length: 0 }
    const start = field + this.reader.u32(field)
    const length = this.reader.u32(start)
    this.reader.slice(start + 4, length * size)
    return { at: start + 4, length }
  }

  private elements<T>(slot: number, size: number, read: (at: number) => T): T[] {
    const { at, length } = this.vector(slot, size)
    this.reader.charge(ELEMENT_COST * length, at)
    return Array.from({ length }, (_, i) => read(at + i * size))
  }

  private text(field: number): string {
    const start = field + this.reader.u32(field)
    const bytes = this.reader.slice(start + 4, this.reader.u32(start))
    this.reader.charge(STRING_COST + 2 * bytes.byteLength, start)
    try {
      return utf8.decode(bytes)
    } catch {
      throw this.reader.corrupt('text that is not UTF-8', start)
    }
  }
}
