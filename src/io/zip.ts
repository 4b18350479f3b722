/**
 * The part of the ZIP container that .npz files use: stored and deflated members, with the 64-bit sizes that NumPy writes.
 * Source: PKWARE APPNOTE 6.3. Member data is checked against its CRC-32; sizes are checked before anything is allocated.
 */
import { joinBytes } from '../common/bytes.ts'
import { deflateSync, inflateSync } from 'fflate'
import { crc32 } from '../common/crc32.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const END64 = 0x06064b50
const END64_LOCATOR = 0x07064b50
const STORED = 0
const DEFLATED = 8
/** Deflate cannot make more than 1032 bytes of one: what claims more is a bomb or broken. */
const MAX_RATIO = 1032
const UTF8_NAMES = 0x800
/** 1980-01-01, the earliest date of the format: equal content gives equal files. */
const DOS_DATE = 0x21

interface Entry {
  readonly name: string
  readonly method: number
  readonly crc: number
  readonly packed: number
  readonly size: number
  readonly offset: number
}

/** Reads little-endian fields and turns every read outside the file into a FormatError. */
class Reader {
  readonly bytes: Uint8Array
  private readonly view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  private check(offset: number, length: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > this.bytes.byteLength) {
      throw new FormatError(`zip: truncated or corrupt: ${length} bytes at ${offset} of ${this.bytes.byteLength}`)
    }
  }

  u16(offset: number): number {
    this.check(offset, 2)
    return this.view.getUint16(offset, true)
  }

  u32(offset: number): number {
    this.check(offset, 4)
    return this.view.getUint32(offset, true)
  }

  u64(offset: number): number {
    this.check(offset, 8)
    const value = this.view.getBigUint64(offset, true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError(`zip: corrupt: a size of ${value} bytes`)
    return Number(value)
  }

  slice(offset: number, length: number): Uint8Array {
    this.check(offset, length)
    return this.bytes.subarray(offset, offset + length)
  }
}

export interface UnzipOptions {
  /** Bytes that the members may take together, unpacked. Default 3 times the file and 48 MiB: an archive of zeros can be 1000 times itself. */
  readonly maxBytes?: number
}

/**
 * The members of an archive by name, in its order; stored ones are views of it.
 * Throws FormatError on damage, encryption and unknown methods, and where the archive unpacks to more than is allowed.
 */
export function unzip(bytes: Uint8Array, options: UnzipOptions = {}): Map<string, Uint8Array> {
  const reader = new Reader(bytes)
  const maxBytes = options.maxBytes ?? 3 * bytes.byteLength + (48 << 20)
  const members = new Map<string, Uint8Array>()
  let unpacked = 0
  for (const entry of readDirectory(reader)) {
    checkClaim(entry)
    unpacked += entry.size
    if (unpacked > maxBytes)
      throw new FormatError(
        `zip: the members unpack to ${unpacked} bytes and more, ${maxBytes} are allowed; if the archive is trusted, raise maxBytes`,
      )
    if (members.has(entry.name)) throw new FormatError(`zip: two members are named '${entry.name}'`)
    members.set(entry.name, readMember(reader, entry))
  }
  return members
}

/** An archive of `members`; each is deflated when `compress` is set. */
export function zip(members: ReadonlyMap<string, Uint8Array>, compress = false): Uint8Array {
  const method = compress ? DEFLATED : STORED
  const encoder = new TextEncoder()
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offset = 0
  for (const [name, content] of members) {
    const encoded = encoder.encode(name)
    const data = compress ? deflateSync(content) : content
    // version, flags, method, time, date, crc, packed size, size, length of name, length of extra
    const common = [u16(20), u16(UTF8_NAMES), u16(method), u16(0), u16(DOS_DATE), u32(crc32(content))].flat()
    common.push(...u32(data.byteLength), ...u32(content.byteLength), ...u16(encoded.byteLength), ...u16(0))
    const local = Uint8Array.from([...u32(LOCAL), ...common])
    directory.push(
      Uint8Array.from([
        ...u32(CENTRAL),
        ...u16(20),
        ...common,
        ...u16(0),
        ...u16(0),
        ...u16(0),
        ...u32(0),
        ...u32(offset),
      ]),
      encoded,
    )
    parts.push(local, encoded, data)
    offset += local.byteLength + encoded.byteLength + data.byteLength
  }
  const directorySize = directory.reduce((sum, part) => sum + part.byteLength, 0)
  if (offset + directorySize > 0xffffffff || members.size > 0xfffe) {
    throw new ArgumentError(
      'zip: more than 4 GiB or 65534 members; split the arrays over several files, or use safetensors',
    )
  }
  const counts = [...u16(0), ...u16(0), ...u16(members.size), ...u16(members.size)]
  const end = Uint8Array.from([...u32(END), ...counts, ...u32(directorySize), ...u32(offset), ...u16(0)])
  return joinBytes([...parts, ...directory, end])
}

function u16(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff]
}

function u32(value: number): number[] {
  return [...u16(value), ...u16(value >>> 16)]
}

function readDirectory(reader: Reader): Entry[] {
  const end = findEnd(reader)
  let count = reader.u16(end + 10)
  let size = reader.u32(end + 12)
  let offset = reader.u32(end + 16)
  if ((count === 0xffff || size === 0xffffffff || offset === 0xffffffff) && end >= 20) {
    if (reader.u32(end - 20) !== END64_LOCATOR) throw new FormatError('zip: the 64-bit directory is missing')
    const end64 = reader.u64(end - 12)
    if (reader.u32(end64) !== END64) throw new FormatError('zip: the 64-bit directory is corrupt')
    count = reader.u64(end64 + 32)
    size = reader.u64(end64 + 40)
    offset = reader.u64(end64 + 48)
  }
  const directory = new Reader(reader.slice(offset, size))
  const entries: Entry[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const { entry, next } = readEntry(directory, at)
    entries.push(entry)
    at = next
  }
  return entries
}

function findEnd(reader: Reader): number {
  const last = reader.bytes.byteLength - 22
  for (let at = last; at >= Math.max(0, last - 0xffff); at--) {
    if (reader.u32(at) === END) return at
  }
  throw new FormatError('zip: not a ZIP archive, or truncated (no end of central directory)')
}

function readEntry(directory: Reader, at: number): { entry: Entry; next: number } {
  if (directory.u32(at) !== CENTRAL) throw new FormatError(`zip: the directory is corrupt at ${at}`)
  const flags = directory.u16(at + 8)
  const nameLength = directory.u16(at + 28)
  const extraLength = directory.u16(at + 30)
  const next = at + 46 + nameLength + extraLength + directory.u16(at + 32)
  const name = new TextDecoder(flags & UTF8_NAMES ? 'utf-8' : 'latin1').decode(directory.slice(at + 46, nameLength))
  if (flags & 1) throw new FormatError(`zip: member '${name}' is encrypted`)
  const sizes = { size: directory.u32(at + 24), packed: directory.u32(at + 20), offset: directory.u32(at + 42) }
  readExtra64(new Reader(directory.slice(at + 46 + nameLength, extraLength)), sizes)
  return { entry: { name, method: directory.u16(at + 10), crc: directory.u32(at + 16), ...sizes }, next }
}

/** The 64-bit extra field (id 1) holds, in this order, those of the three numbers that are all ones in the directory. */
function readExtra64(extra: Reader, sizes: Record<'size' | 'packed' | 'offset', number>): void {
  let at = 0
  while (at + 4 <= extra.bytes.byteLength) {
    const id = extra.u16(at)
    const length = extra.u16(at + 2)
    if (id === 1) {
      let field = at + 4
      for (const key of ['size', 'packed', 'offset'] as const) {
        if (sizes[key] !== 0xffffffff) continue
        sizes[key] = extra.u64(field)
        field += 8
      }
      return
    }
    at += 4 + length
  }
}

function readMember(reader: Reader, entry: Entry): Uint8Array {
  const { name, offset, packed, size, method } = entry
  if (reader.u32(offset) !== LOCAL)
    throw new FormatError(`zip: member '${name}' does not begin where the directory says`)
  const data = reader.slice(offset + 30 + reader.u16(offset + 26) + reader.u16(offset + 28), packed)
  const content = method === DEFLATED ? inflate(data, entry) : data
  if (method !== STORED && method !== DEFLATED) {
    throw new FormatError(
      `zip: member '${name}' is compressed by method ${method}; only stored and deflated are supported`,
    )
  }
  if (content.byteLength !== size) {
    throw new FormatError(`zip: member '${name}' has ${content.byteLength} bytes, the directory says ${size}`)
  }
  if (crc32(content) !== entry.crc) throw new FormatError(`zip: member '${name}' is corrupt (CRC-32 differs)`)
  return content
}

function checkClaim({ name, size, packed }: Entry): void {
  if (size > packed * MAX_RATIO + 64) {
    throw new FormatError(`zip: member '${name}' claims ${size} bytes out of ${packed}: corrupt`)
  }
}

function inflate(data: Uint8Array, { name, size }: Entry): Uint8Array {
  try {
    return inflateSync(data, { out: new Uint8Array(size) })
  } catch (cause) {
    throw new FormatError(`zip: member '${name}' cannot be inflated: corrupt or truncated`, { cause })
  }
}
