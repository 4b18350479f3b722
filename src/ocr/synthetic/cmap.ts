/**
 * Which characters a font file can draw, read from its `cmap` table (OpenType 1.9, "cmap"; subtable formats 4 and 12) in a
 * plain TrueType or OpenType file or inside WOFF and WOFF2. A renderer draws an empty box for a character that a font lacks and
 * says nothing, so the lines' fonts are chosen by this table instead of by looking at ink.
 */
import { brotliDecompressSync, inflateSync } from 'node:zlib'
import { FormatError } from '../../common/errors.ts'

const TRUETYPE = 0x00010000
const OPENTYPE = 0x4f54544f // 'OTTO'
const WOFF = 0x774f4646
const WOFF2 = 0x774f4632
const CMAP = 0x636d6170
/** WOFF2 stores the commonest table tags as an index (WOFF2, section 4.1); the tables whose data may be transformed are these. */
const WOFF2_CMAP_INDEX = 0
const WOFF2_GLYF_INDEX = 10
const WOFF2_LOCA_INDEX = 11
const WOFF2_ARBITRARY_TAG = 63

/**
 * The code points to which a font file gives a glyph.
 *
 * @throws FormatError when the bytes are no font or hold no usable `cmap`
 */
export function readCodePoints(file: Buffer): Set<number> {
  try {
    return readUnicodeSubtable(findCmap(file))
  } catch (error) {
    if (error instanceof FormatError) throw error
    throw new FormatError('The font file is truncated or damaged: its cmap table could not be read.', { cause: error })
  }
}

function findCmap(file: Buffer): Buffer {
  const signature = file.readUInt32BE(0)
  if (signature === WOFF2) return findInWoff2(file)
  const woff = signature === WOFF
  if (!woff && signature !== TRUETYPE && signature !== OPENTYPE)
    throw new FormatError(
      `Not a font: it begins with 0x${signature.toString(16)}; expected TrueType, OpenType, WOFF or WOFF2.`,
    )
  const count = file.readUInt16BE(woff ? 12 : 4)
  const [first, size] = woff ? [44, 20] : [12, 16]
  for (let entry = first; entry < first + count * size; entry += size) {
    if (file.readUInt32BE(entry) !== CMAP) continue
    if (!woff) {
      const offset = file.readUInt32BE(entry + 8)
      return file.subarray(offset, offset + file.readUInt32BE(entry + 12))
    }
    const offset = file.readUInt32BE(entry + 4)
    const stored = file.readUInt32BE(entry + 8)
    const bytes = file.subarray(offset, offset + stored)
    return stored < file.readUInt32BE(entry + 12) ? inflateSync(bytes) : bytes
  }
  throw new FormatError('The font has no cmap table.')
}

/** WOFF2 lays all tables end to end in one Brotli stream, in the order of a directory of variable-length entries. */
function findInWoff2(file: Buffer): Buffer {
  const count = file.readUInt16BE(12)
  let position = 48
  const base128 = () => {
    let value = 0
    for (;;) {
      const byte = file.readUInt8(position++)
      value = value * 128 + (byte & 0x7f)
      if (byte < 0x80) return value
    }
  }
  let offset = 0
  let cmap: [start: number, end: number] | undefined
  for (let i = 0; i < count; i++) {
    const flags = file.readUInt8(position++)
    const tag = flags & 63
    const isCmap = tag === WOFF2_ARBITRARY_TAG ? file.readUInt32BE(position) === CMAP : tag === WOFF2_CMAP_INDEX
    if (tag === WOFF2_ARBITRARY_TAG) position += 4
    const original = base128()
    // For glyf and loca version 3 means "as it was", for every other table version 0 does.
    const plain = tag === WOFF2_GLYF_INDEX || tag === WOFF2_LOCA_INDEX ? 3 : 0
    const stored = flags >> 6 === plain ? original : base128()
    if (isCmap) cmap = [offset, offset + stored]
    offset += stored
  }
  if (!cmap) throw new FormatError('The font has no cmap table.')
  const compressed = file.subarray(position, position + file.readUInt32BE(20))
  return brotliDecompressSync(compressed).subarray(...cmap)
}

/** The widest Unicode subtable is read: format 12 reaches every plane, format 4 the first 65,536 characters. */
function readUnicodeSubtable(cmap: Buffer): Set<number> {
  let chosen: Buffer | undefined
  for (let i = 0; i < cmap.readUInt16BE(2); i++) {
    const platform = cmap.readUInt16BE(4 + i * 8)
    const encoding = cmap.readUInt16BE(6 + i * 8)
    if (platform !== 0 && !(platform === 3 && (encoding === 1 || encoding === 10))) continue
    const table = cmap.subarray(cmap.readUInt32BE(8 + i * 8))
    const format = table.readUInt16BE(0)
    if (format === 12 || (format === 4 && !chosen)) chosen = table
  }
  if (!chosen) throw new FormatError('The font has no Unicode cmap subtable of format 4 or 12.')
  return chosen.readUInt16BE(0) === 12 ? readFormat12(chosen) : readFormat4(chosen)
}

function readFormat12(table: Buffer): Set<number> {
  const points = new Set<number>()
  const groups = table.readUInt32BE(12)
  for (let i = 0; i < groups; i++) {
    const start = table.readUInt32BE(16 + i * 12)
    const end = table.readUInt32BE(20 + i * 12)
    const glyph = table.readUInt32BE(24 + i * 12)
    for (let point = start; point <= end; point++) if (glyph + point - start !== 0) points.add(point)
  }
  return points
}

function readFormat4(table: Buffer): Set<number> {
  const points = new Set<number>()
  const segments = table.readUInt16BE(6) / 2
  const starts = 16 + segments * 2
  for (let i = 0; i < segments; i++) {
    const end = table.readUInt16BE(14 + i * 2)
    const start = table.readUInt16BE(starts + i * 2)
    const delta = table.readUInt16BE(starts + (segments + i) * 2)
    const rangeAt = starts + (2 * segments + i) * 2
    const range = table.readUInt16BE(rangeAt)
    for (let point = start; point <= end && point < 0xffff; point++) {
      const listed = range === 0 ? point : table.readUInt16BE(rangeAt + range + (point - start) * 2)
      const glyph = listed === 0 && range !== 0 ? 0 : (listed + delta) & 0xffff
      if (glyph !== 0) points.add(point)
    }
  }
  return points
}
