/**
 * The wire format of protocol buffers (protobuf.dev/programming-guides/encoding): reading fields of a message one by one, without a schema.
 * Bytes, texts and messages are views of the input; numbers of a repeated field go into typed arrays, packed or not. Whatever the bytes
 * are, reading ends within them or throws FormatError.
 */
import { FormatError } from '../../../common/errors.ts'

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const START_GROUP = 3
const END_GROUP = 4
const FIXED32 = 5

// A byte order mark inside a message is text.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export type WireArray = Float32Array | Float64Array | Int32Array | BigInt64Array | BigUint64Array

/** The elements of a repeated number, however they are cut into runs. One packed run is allocated once, exactly. */
export class WireList<A extends WireArray> {
  readonly #make: (length: number) => A
  #array: A
  #length = 0

  /** @param make - Allocates an array of a length. */
  constructor(make: (length: number) => A) {
    this.#make = make
    this.#array = make(0)
  }

  /** Room for `count` elements more; returns the array and where they begin. */
  extend(count: number): { readonly array: A; readonly at: number } {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#array.length) {
      const grown = this.#make(at === 0 ? count : Math.max(this.#length, 2 * at))
      grown.set(this.#array as never)
      this.#array = grown
    }
    return { array: this.#array, at }
  }

  get elements(): A {
    return this.#array.subarray(0, this.#length) as A
  }
}

/** Reads one message: `while (reader.next()) switch (reader.field) { case 1: ... reader.string() ...; default: reader.skip() }`. */
export class WireReader {
  /** Number of the field whose value is read next. */
  field = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #wireType = 0
  /** The halves of the last varint. */
  #low = 0
  #high = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Goes to the next field; false at the end of the message. The value of the one before must have been read or skipped. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false
    this.#varint()
    this.field = (this.#low >>> 3) + this.#high * 2 ** 29
    this.#wireType = this.#low & 7
    if (this.field === 0 || this.field >= 2 ** 29) this.#fail(`a field with the number ${this.field}`)
    return true
  }

  uint32(): number {
    this.#expect(VARINT)
    this.#varint()
    return this.#low
  }

  /** Of an int32 or an enum. */
  int32(): number {
    return this.uint32() | 0
  }

  bool(): boolean {
    this.#expect(VARINT)
    this.#varint()
    return this.#low !== 0 || this.#high !== 0
  }

  /** A bigint only beyond 2^53. */
  int64(): number | bigint {
    this.#expect(VARINT)
    return this.#int64()
  }

  float(): number {
    this.#expect(FIXED32)
    return this.#view.getFloat32(this.#take(4), true)
  }

  double(): number {
    this.#expect(FIXED64)
    return this.#view.getFloat64(this.#take(8), true)
  }

  /** A view of the input. */
  bytes(): Uint8Array {
    this.#expect(BYTES)
    return this.#run()
  }

  string(): string {
    return decoder.decode(this.bytes())
  }

  /** A reader of the message that is the value. Callers bound the depth of messages that hold themselves. */
  message(): WireReader {
    return new WireReader(this.bytes())
  }

  floats(list: WireList<Float32Array>): void {
    this.#fixed(list, FIXED32, 4)
  }

  doubles(list: WireList<Float64Array>): void {
    this.#fixed(list, FIXED64, 8)
  }

  int32s(list: WireList<Int32Array>): void {
    this.#varints(list, (array, i) => {
      array[i] = this.#low
    })
  }

  int64s(list: WireList<BigInt64Array>): void {
    this.#varints(list, (array, i) => {
      array[i] = BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low))
    })
  }

  uint64s(list: WireList<BigUint64Array>): void {
    this.#varints(list, (array, i) => {
      array[i] = (BigInt(this.#high) << 32n) | BigInt(this.#low)
    })
  }

  /** Appends an int64, or a packed run of them. For short lists: large ones belong into typed arrays. */
  int64Numbers(list: (number | bigint)[]): void {
    if (this.#wireType !== BYTES) {
      list.push(this.int64())
      return
    }
    const end = this.#endOfRun()
    while (this.#at < end) list.push(this.#int64())
    if (this.#at > end) this.#fail('a packed run that ends inside a number')
  }

  /** Appends a float or a packed run of floats, as `int64Numbers` does. */
  floatNumbers(list: number[]): void {
    const floats = new WireList((length) => new Float32Array(length))
    this.floats(floats)
    for (const v of floats.elements) list.push(v)
  }

  doubleNumbers(list: number[]): void {
    const doubles = new WireList((length) => new Float64Array(length))
    this.doubles(doubles)
    for (const v of doubles.elements) list.push(v)
  }

  /** Passes over the value of a field that is unknown. */
  skip(): void {
    switch (this.#wireType) {
      case VARINT:
        this.#varint()
        break
      case FIXED64:
        this.#take(8)
        break
      case BYTES:
        this.#run()
        break
      case FIXED32:
        this.#take(4)
        break
      case START_GROUP:
        this.#skipGroup()
        break
      default:
        this.#fail(`wire type ${this.#wireType}`)
    }
  }

  #skipGroup(): void {
    let open = 1
    while (open > 0) {
      if (!this.next()) this.#fail('a group that does not end')
      if (this.#wireType === START_GROUP) open++
      else if (this.#wireType === END_GROUP) open--
      else this.skip()
    }
  }

  #int64(): number | bigint {
    this.#varint()
    const value = (this.#high | 0) * 2 ** 32 + this.#low
    if (Number.isSafeInteger(value)) return value
    return BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low))
  }

  #varint(): void {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) this.#fail('a number that does not end')
      const bits = byte & 0x7f
      if (shift < 32) low |= bits << shift
      if (shift === 28) high |= bits >>> 4
      else if (shift > 28) high |= bits << (shift - 32)
      if (byte < 0x80) {
        this.#low = low >>> 0
        this.#high = high >>> 0
        return
      }
    }
    this.#fail('a number of more than 64 bits')
  }

  #take(count: number): number {
    const at = this.#at
    if (count > this.#bytes.length - at) this.#fail(`a value of ${count} bytes, there are ${this.#bytes.length - at}`)
    this.#at += count
    return at
  }

  #run(): Uint8Array {
    const end = this.#endOfRun()
    const run = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return run
  }

  #endOfRun(): number {
    this.#varint()
    const length = this.#high * 2 ** 32 + this.#low
    const rest = this.#bytes.length - this.#at
    if (length > rest) this.#fail(`a value of ${length} bytes, there are ${rest}`)
    return this.#at + length
  }

  #fixed<A extends Float32Array | Float64Array>(list: WireList<A>, wireType: number, size: number): void {
    if (this.#wireType !== BYTES) this.#expect(wireType)
    const begin = this.#wireType === BYTES ? this.#run() : this.#bytes.subarray(this.#take(size), this.#at)
    if (begin.length % size !== 0) this.#fail(`a packed run of ${begin.length} bytes, elements have ${size}`)
    const { array, at } = list.extend(begin.length / size)
    new Uint8Array(array.buffer, array.byteOffset + at * size, begin.length).set(begin)
  }

  #varints<A extends WireArray>(list: WireList<A>, store: (array: A, i: number) => void): void {
    let end = this.#at
    let count = 1
    if (this.#wireType === BYTES) {
      end = this.#endOfRun()
      count = 0
      for (let i = this.#at; i < end; i++) if (this.#bytes[i]! < 0x80) count++
    } else this.#expect(VARINT)
    const { array, at } = list.extend(count)
    for (let i = 0; i < count; i++) {
      this.#varint()
      store(array, at + i)
    }
    if (this.#wireType === BYTES && this.#at !== end) this.#fail('a packed run that ends inside a number')
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType)
      this.#fail(`field ${this.field} with wire type ${this.#wireType} where ${wireType} is due`)
  }

  #fail(what: string): never {
    throw new FormatError(`protobuf: corrupt or truncated: ${what} (at byte ${this.#at} of a message)`)
  }
}
