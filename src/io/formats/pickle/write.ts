/**
 * Writes pickles of protocols 2, 3 and 4 that Python's `pickle` reads: plain values, and arrays in NumPy's form (under the names that
 * NumPy 1 and 2 both know). Names and element types are memoized, values are not: a value that stands in two places is written twice.
 */
import { joinBytes } from '../../../common/bytes.ts'
import type { HostArray } from '../../../common/dtype.ts'
import { ArgumentError } from '../../../common/errors.ts'
import { bytesOf, isHostArray } from '../../host-array.ts'
import { numpyDescr } from '../../numpy-array.ts'
import { OPCODES as O } from './opcodes.ts'
import { PickleTuple, type PickleKey, type PickleValue } from './values.ts'

export interface PickleWriteOptions {
  /** 2 (read by Python 2 too; bytes become text, half as large again), 3 or 4 (arrays beyond 4 GiB). Default 4, as `paddle.save`. */
  readonly protocol?: 2 | 3 | 4
}

/** Entries between two SETITEMS or APPENDS, as in Python. */
const BATCH = 1000
const PART = 1 << 16
const MAX_DEPTH = 200
/** Characters of latin1 that are turned into UTF-8 at once: protocol 2 needs no second copy of a whole array. */
const SLICE = 1 << 20

/** The bytes of a pickle in parts; those of arrays are views. Throws ArgumentError for what the protocol cannot hold. */
export function* pickleParts(value: PickleValue, options: PickleWriteOptions = {}): Generator<Uint8Array> {
  const protocol = options.protocol ?? 4
  if (![2, 3, 4].includes(protocol)) throw new ArgumentError(`pickle: protocol ${protocol}; 2, 3 and 4 are written`)
  yield* new Pickler(protocol).write(value)
}

/** The bytes of a pickle, in memory. */
export function serializePickle(value: PickleValue, options: PickleWriteOptions = {}): Uint8Array {
  return joinBytes([...pickleParts(value, options)])
}

const encoder = new TextEncoder()

class Pickler {
  private readonly protocol: number
  private buffer = new Uint8Array(PART)
  private length = 0
  private readonly memo = new Map<string, number>()

  constructor(protocol: number) {
    this.protocol = protocol
  }

  *write(value: PickleValue): Generator<Uint8Array> {
    this.op(O.PROTO, this.protocol)
    yield* this.value(value, 0)
    this.op(O.STOP)
    yield this.flush()
  }

  private *value(value: PickleValue, depth: number): Generator<Uint8Array> {
    if (depth > MAX_DEPTH)
      throw new ArgumentError(`pickle: more than ${MAX_DEPTH} values inside each other; does a value contain itself?`)
    if (this.length > PART / 2) yield this.flush()
    if (value === null) this.op(O.NONE)
    else if (typeof value === 'boolean') this.op(value ? O.NEWTRUE : O.NEWFALSE)
    else if (typeof value === 'number') this.number(value)
    else if (typeof value === 'bigint') this.integer(value)
    else if (typeof value === 'string') this.text(value)
    else if (value instanceof Uint8Array) yield* this.bytes(value)
    else if (value instanceof PickleTuple) yield* this.tuple(value.items, depth)
    else if (value instanceof Map) yield* this.dict(value as ReadonlyMap<PickleKey, PickleValue>, depth)
    else if (Array.isArray(value)) yield* this.list(value as readonly PickleValue[], depth)
    else if (isHostArray(value)) yield* this.array(value)
    else throw new ArgumentError(`pickle: a value of type ${typeof value} cannot be written`)
  }

  private *tuple(items: readonly PickleValue[], depth: number): Generator<Uint8Array> {
    if (items.length === 0) return this.op(O.EMPTY_TUPLE)
    if (items.length > 3) this.op(O.MARK)
    for (const item of items) yield* this.value(item, depth + 1)
    this.op(items.length > 3 ? O.TUPLE : O.TUPLE1 + items.length - 1)
  }

  private *list(items: readonly PickleValue[], depth: number): Generator<Uint8Array> {
    this.op(O.EMPTY_LIST)
    for (let from = 0; from < items.length; from += BATCH) {
      this.op(O.MARK)
      for (const item of items.slice(from, from + BATCH)) yield* this.value(item, depth + 1)
      this.op(O.APPENDS)
    }
  }

  private *dict(entries: ReadonlyMap<PickleKey, PickleValue>, depth: number): Generator<Uint8Array> {
    this.op(O.EMPTY_DICT)
    let open = 0
    for (const [key, value] of entries) {
      if (open === 0) this.op(O.MARK)
      yield* this.value(key, depth + 1)
      yield* this.value(value, depth + 1)
      if (++open === BATCH) {
        this.op(O.SETITEMS)
        open = 0
      }
    }
    if (open > 0) this.op(O.SETITEMS)
  }

  /** `_reconstruct(ndarray, (0,), b'b')`, then BUILD with `(1, shape, dtype, False, bytes)`. */
  private *array(array: HostArray): Generator<Uint8Array> {
    this.global('numpy.core.multiarray', '_reconstruct')
    this.global('numpy', 'ndarray')
    this.integer(0n)
    this.op(O.TUPLE1)
    yield* this.bytes(Uint8Array.of(0x62))
    this.op(O.TUPLE3, O.REDUCE, O.MARK, O.BININT1, 1)
    yield* this.tuple(array.shape, 0)
    this.dtype(numpyDescr[array.dtype])
    this.op(O.NEWFALSE)
    yield* this.bytes(bytesOf(array))
    this.op(O.TUPLE, O.BUILD)
  }

  /** `dtype('f4', False, True)`, then BUILD with `(3, '<', None, None, None, -1, -1, 0)`. */
  private dtype(descr: string): void {
    this.once(`dtype ${descr}`, () => {
      this.global('numpy', 'dtype')
      this.text(descr.slice(1))
      this.op(O.NEWFALSE, O.NEWTRUE, O.TUPLE3, O.REDUCE, O.MARK, O.BININT1, 3)
      this.text(descr.slice(0, 1))
      this.op(O.NONE, O.NONE, O.NONE)
      this.integer(-1n)
      this.integer(-1n)
      this.integer(0n)
      this.op(O.TUPLE, O.BUILD)
    })
  }

  private *bytes(bytes: Uint8Array): Generator<Uint8Array> {
    if (this.protocol === 2) return yield* this.bytesAsText(bytes)
    const { byteLength } = bytes
    if (byteLength < 256) this.op(O.SHORT_BINBYTES, byteLength)
    else if (byteLength < 2 ** 32) this.op(O.BINBYTES, ...littleEndian(byteLength, 4))
    else if (this.protocol >= 4) this.op(O.BINBYTES8, ...littleEndian(byteLength, 8))
    else throw tooLong(byteLength, this.protocol)
    if (byteLength < 256) return this.raw(bytes)
    yield this.flush()
    yield bytes
  }

  /** Protocol 2 has no bytes: `_codecs.encode(text, 'latin1')`, and `bytes()` where there are none. */
  private *bytesAsText(bytes: Uint8Array): Generator<Uint8Array> {
    if (bytes.byteLength === 0) {
      this.global('__builtin__', 'bytes')
      return this.op(O.EMPTY_TUPLE, O.REDUCE)
    }
    let encoded = bytes.byteLength
    for (const byte of bytes) if (byte >= 0x80) encoded++
    if (encoded >= 2 ** 32) throw tooLong(bytes.byteLength, 2)
    this.global('_codecs', 'encode')
    this.op(O.BINUNICODE, ...littleEndian(encoded, 4))
    for (let from = 0; from < bytes.byteLength; from += SLICE) {
      yield this.flush()
      yield latin1AsUtf8(bytes.subarray(from, from + SLICE))
    }
    this.once('latin1', () => this.text('latin1'))
    this.op(O.TUPLE2, O.REDUCE)
  }

  private global(module: string, name: string): void {
    this.once(`${module}.${name}`, () => {
      if (this.protocol < 4) {
        this.op(O.GLOBAL)
        return this.raw(encoder.encode(`${module}\n${name}\n`))
      }
      this.text(module)
      this.text(name)
      this.op(O.STACK_GLOBAL)
    })
  }

  /** Writes what `key` names and memoizes it; the next time fetches it. */
  private once(key: string, write: () => void): void {
    const known = this.memo.get(key)
    if (known !== undefined) return this.op(O.BINGET, known)
    write()
    // The memo holds names and element types: never as many as a byte can count.
    const index = this.memo.size
    this.memo.set(key, index)
    this.op(O.BINPUT, index)
  }

  private number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return this.integer(BigInt(value))
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setFloat64(0, value, false)
    this.op(O.BINFLOAT, ...bytes)
  }

  private integer(value: bigint): void {
    if (value >= 0n && value < 256n) return this.op(O.BININT1, Number(value))
    if (value >= 0n && value < 65536n) return this.op(O.BININT2, ...littleEndian(Number(value), 2))
    if (value === BigInt.asIntN(32, value)) return this.op(O.BININT, ...littleEndian(Number(value), 4))
    const digits: number[] = []
    // As many bytes as two's complement takes, the sign included.
    for (let rest = value; ; rest >>= 8n) {
      digits.push(Number(BigInt.asUintN(8, rest)))
      if (BigInt.asIntN(8, rest) === rest) break
    }
    if (digits.length > 255) throw new ArgumentError(`pickle: an integer of ${digits.length} bytes is too large`)
    this.op(O.LONG1, digits.length, ...digits)
  }

  private text(text: string): void {
    const bytes = encoder.encode(text)
    if (this.protocol >= 4 && bytes.byteLength < 256) this.op(O.SHORT_BINUNICODE, bytes.byteLength)
    else if (bytes.byteLength < 2 ** 32) this.op(O.BINUNICODE, ...littleEndian(bytes.byteLength, 4))
    else throw tooLong(bytes.byteLength, this.protocol)
    this.raw(bytes)
  }

  private op(...bytes: readonly number[]): void {
    this.reserve(bytes.length)
    for (const byte of bytes) this.buffer[this.length++] = byte
  }

  private raw(bytes: Uint8Array): void {
    this.reserve(bytes.byteLength)
    this.buffer.set(bytes, this.length)
    this.length += bytes.byteLength
  }

  private reserve(more: number): void {
    if (this.length + more <= this.buffer.byteLength) return
    const larger = new Uint8Array(2 * (this.length + more))
    larger.set(this.buffer.subarray(0, this.length))
    this.buffer = larger
  }

  /** What is waiting; the buffer begins anew, because the part is still in use when this goes on. */
  private flush(): Uint8Array {
    const part = this.buffer.subarray(0, this.length)
    this.buffer = new Uint8Array(PART)
    this.length = 0
    return part
  }
}

function tooLong(bytes: number, protocol: number): ArgumentError {
  return new ArgumentError(
    `pickle: ${bytes} bytes in one piece; protocol ${protocol} holds less than 4 GiB, use protocol 4`,
  )
}

function littleEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff)
}

function latin1AsUtf8(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 * bytes.byteLength)
  let length = 0
  for (const byte of bytes) {
    if (byte < 0x80) out[length++] = byte
    else {
      out[length++] = 0xc0 | (byte >>> 6)
      out[length++] = 0x80 | (byte & 0x3f)
    }
  }
  return out.subarray(0, length)
}
