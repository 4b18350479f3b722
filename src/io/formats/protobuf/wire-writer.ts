/**
 * Writing the wire format of protocol buffers. What is small goes into one growing buffer; large values stay where they are until
 * `finish`, which copies each once. Lengths of messages are put in front of them when they are known, by moving the small bytes only.
 */

/** Values from this size on are not copied before the end. */
const LARGE = 1024

const encoder = new TextEncoder()

interface Insert {
  /** Where in the small bytes it stands. */
  at: number
  readonly bytes: Uint8Array
}

export class WireWriter {
  #small = new Uint8Array(256)
  #view = new DataView(this.#small.buffer)
  #length = 0
  readonly #inserts: Insert[] = []
  #insertedBytes = 0

  /** Of an int32, int64, enum or bool; negative ones take ten bytes, as protobuf has it. */
  varint(field: number, value: number | bigint | boolean): void {
    this.#tag(field, 0)
    const number = Number(value)
    if (number >= 0 && Number.isSafeInteger(number)) this.#unsigned(number)
    else this.#bigVarint(BigInt.asUintN(64, BigInt(value)))
  }

  float(field: number, value: number): void {
    this.#tag(field, 5)
    const at = this.#grow(4)
    this.#view.setFloat32(at, value, true)
  }

  double(field: number, value: number): void {
    this.#tag(field, 1)
    const at = this.#grow(8)
    this.#view.setFloat64(at, value, true)
  }

  string(field: number, value: string): void {
    this.bytes(field, encoder.encode(value))
  }

  /** Large ones are not copied before `finish`: do not change them until then. */
  bytes(field: number, value: Uint8Array): void {
    this.#tag(field, 2)
    this.#unsigned(value.length)
    if (value.length < LARGE) {
      const at = this.#grow(value.length)
      this.#small.set(value, at)
    } else {
      this.#inserts.push({ at: this.#length, bytes: value })
      this.#insertedBytes += value.length
    }
  }

  /** Packed varints. */
  packed(field: number, values: Iterable<number | bigint>): void {
    this.#delimited(field, () => {
      for (const value of values) this.#bigVarint(BigInt.asUintN(64, BigInt(value)))
    })
  }

  /** Packed floats or doubles, by the array's type. */
  packedFloats(field: number, values: Float32Array | Float64Array): void {
    this.bytes(field, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }

  /** A message that `write` writes. */
  message(field: number, write: (writer: this) => void): void {
    this.#delimited(field, () => {
      write(this)
    })
  }

  /** Bytes so far. */
  get byteLength(): number {
    return this.#length + this.#insertedBytes
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.byteLength)
    let from = 0
    let to = 0
    for (const { at, bytes } of this.#inserts) {
      out.set(this.#small.subarray(from, at), to)
      out.set(bytes, to + at - from)
      to += at - from + bytes.length
      from = at
    }
    out.set(this.#small.subarray(from, this.#length), to)
    return out
  }

  #delimited(field: number, write: () => void): void {
    this.#tag(field, 2)
    const start = this.#length
    const firstInsert = this.#inserts.length
    const before = this.byteLength
    write()
    const size = this.byteLength - before
    const end = this.#length
    this.#unsigned(size)
    const width = this.#length - end
    const prefix = this.#small.slice(end, this.#length)
    this.#small.copyWithin(start + width, start, end)
    this.#small.set(prefix, start)
    for (let i = firstInsert; i < this.#inserts.length; i++) this.#inserts[i]!.at += width
  }

  #tag(field: number, wireType: number): void {
    this.#unsigned(field * 8 + wireType)
  }

  #unsigned(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#byte((rest % 128) | 0x80)
      rest = Math.floor(rest / 128)
    }
    this.#byte(rest)
  }

  #bigVarint(value: bigint): void {
    let rest = value
    while (rest >= 0x80n) {
      this.#byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.#byte(Number(rest))
  }

  #byte(value: number): void {
    const at = this.#grow(1)
    this.#small[at] = value
  }

  /** Room for `count` bytes more; returns where they begin. */
  #grow(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#small.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#small.length))
      grown.set(this.#small)
      this.#small = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }
}
