/**
 * The safetensors format: an 8-byte header length, a JSON header with dtype, shape and byte range of each tensor, then the data.
 * Source: the format's specification (huggingface/safetensors). Parsing gives views of the given bytes; `layoutSafetensors` plans a file
 * so that a writer can stream it (safetensors-file.ts). Nothing in a header is trusted: limits, bounds, gaps and overlaps are checked.
 */
import { sizeOf } from '../common/dtype.ts'
import type { DType, HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { numel } from '../common/shape.ts'
import { Budget } from './formats/budget.ts'
import { bytesOf, fromBytes } from './host-array.ts'

/** Limits that keep a foreign header from taking the memory. */
export const MAX_HEADER_BYTES = 100_000_000
export const MAX_TENSORS = 100_000
const MAX_RANK = 64
const METADATA = '__metadata__'

const names: Record<DType, string> = {
  bool: 'BOOL',
  uint8: 'U8',
  int8: 'I8',
  int32: 'I32',
  int64: 'I64',
  float16: 'F16',
  bfloat16: 'BF16',
  float32: 'F32',
  float64: 'F64',
}

const dtypeOf = new Map(Object.entries(names).map(([dtype, name]) => [name, dtype as DType]))

export interface Safetensors {
  readonly tensors: Record<string, HostArray>
  /** The strings of `__metadata__`; empty when there are none. */
  readonly metadata: Record<string, string>
}

/** Where a tensor lies: `begin` and `end` count from the first byte of data. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface SafetensorsHeader {
  /** In the order in which the data lies. */
  readonly entries: readonly TensorEntry[]
  readonly metadata: Record<string, string>
}

/** The length of the JSON header from the first 8 bytes of a file of `fileBytes` bytes. */
export function readHeaderLength(prefix: Uint8Array, fileBytes: number): number {
  if (prefix.byteLength < 8) throw new FormatError(`safetensors: truncated: ${fileBytes} bytes, a file has at least 8`)
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new FormatError(
      `safetensors: a header of ${length} bytes (at most ${MAX_HEADER_BYTES}): not a safetensors file`,
    )
  }
  if (8 + Number(length) > fileBytes) {
    throw new FormatError(`safetensors: truncated: a header of ${length} bytes in a file of ${fileBytes}`)
  }
  return Number(length)
}

/** Parses and checks the JSON header of a file with `dataBytes` bytes of data. */
export function parseSafetensorsHeader(header: Uint8Array, dataBytes: number): SafetensorsHeader {
  checkHeaderCost(header, dataBytes)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header))
  } catch (cause) {
    throw new FormatError('safetensors: the header is not JSON: corrupt, or not a safetensors file', { cause })
  }
  if (!isRecord(json)) throw new FormatError('safetensors: the header is not a JSON object')
  const { [METADATA]: metadata = {}, ...tensors } = json
  const fields = Object.entries(tensors)
  if (fields.length > MAX_TENSORS) {
    throw new FormatError(`safetensors: ${fields.length} tensors, more than the limit of ${MAX_TENSORS}`)
  }
  const entries = fields
    .map(([name, value]) => parseEntry(name, value))
    .sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkCoverage(entries, dataBytes)
  return { entries, metadata: parseMetadata(metadata) }
}

/** Brackets and commas cost little in a file and much as objects: what JSON.parse would make is bounded before it runs. */
function checkHeaderCost(header: Uint8Array, dataBytes: number): void {
  const budget = new Budget(header.byteLength + dataBytes, 'safetensors')
  budget.charge(header.byteLength, 0)
  for (let at = 0; at < header.byteLength; at++) {
    const byte = header[at]
    if (byte === 0x7b || byte === 0x5b) budget.charge(64, at)
    else if (byte === 0x2c || byte === 0x3a) budget.charge(24, at)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseMetadata(value: unknown): Record<string, string> {
  if (!isRecord(value) || !Object.values(value).every((v) => typeof v === 'string')) {
    throw new FormatError(`safetensors: ${METADATA} must map strings to strings`)
  }
  return value as Record<string, string>
}

function parseEntry(name: string, value: unknown): TensorEntry {
  const corrupt = (what: string) => new FormatError(`safetensors: tensor '${name}' ${what}`)
  if (!isRecord(value)) throw corrupt('is not described by an object')
  const dtype = typeof value.dtype === 'string' ? dtypeOf.get(value.dtype) : undefined
  if (dtype === undefined) {
    throw corrupt(`has dtype ${JSON.stringify(value.dtype)}; supported: ${[...dtypeOf.keys()].join(', ')}`)
  }
  const { shape, data_offsets: offsets } = value
  if (!isSizes(shape) || shape.length > MAX_RANK) throw corrupt('has no usable shape')
  if (!isSizes(offsets) || offsets.length !== 2) throw corrupt('has no usable data_offsets')
  const [begin, end] = offsets as [number, number]
  const bytes = checkedBytes(shape, dtype)
  if (bytes === undefined) throw corrupt(`has shape [${shape.join(', ')}]: more bytes than can be addressed`)
  if (end - begin !== bytes) {
    throw corrupt(`takes ${bytes} bytes (${dtype}, [${shape.join(', ')}]), its data_offsets give ${end - begin}`)
  }
  return { name, dtype, shape, begin, end }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && v >= 0)
}

/** Bytes of a tensor, or undefined where any partial product leaves the safe integers. */
function checkedBytes(shape: readonly number[], dtype: DType): number | undefined {
  let bytes = sizeOf(dtype)
  for (const d of shape) {
    bytes *= d
    if (!Number.isSafeInteger(bytes)) return undefined
  }
  return bytes
}

/** The tensors must cover the data without gap or overlap. */
function checkCoverage(entries: readonly TensorEntry[], dataBytes: number): void {
  let at = 0
  for (const { name, begin, end } of entries) {
    if (end > dataBytes) {
      throw new FormatError(`safetensors: truncated: tensor '${name}' ends at ${end}, the data has ${dataBytes} bytes`)
    }
    if (begin !== at) {
      throw new FormatError(
        `safetensors: tensor '${name}' begins at ${begin}, the one before ends at ${at} (${begin < at ? 'overlap' : 'gap'})`,
      )
    }
    at = end
  }
  if (at !== dataBytes)
    throw new FormatError(`safetensors: ${dataBytes - at} bytes after the last tensor belong to none`)
}

/** Reads a whole file; the arrays are views of `bytes` (copies only where an element would be misaligned). */
export function parseSafetensors(bytes: Uint8Array): Safetensors {
  const headerLength = readHeaderLength(bytes.subarray(0, 8), bytes.byteLength)
  const data = bytes.subarray(8 + headerLength)
  const { entries, metadata } = parseSafetensorsHeader(bytes.subarray(8, 8 + headerLength), data.byteLength)
  const arrays = entries.map(
    ({ name, dtype, shape, begin, end }) => [name, fromBytes(dtype, shape, data.subarray(begin, end))] as const,
  )
  return { tensors: Object.fromEntries(arrays), metadata }
}

export interface SafetensorsLayout {
  /** Length prefix and JSON header, padded so that the data begins at a multiple of 8. */
  readonly head: Uint8Array
  /** The tensors in the order in which their bytes follow. */
  readonly tensors: readonly (readonly [name: string, array: HostArray])[]
  /** Size of the whole file. */
  readonly byteLength: number
}

/** Plans a file: large elements first (so that all stay aligned), then by name. Throws ArgumentError for what the format cannot hold. */
export function layoutSafetensors(
  tensors: Readonly<Record<string, HostArray>>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  const ordered = Object.entries(tensors).sort(
    ([a, x], [b, y]) => sizeOf(y.dtype) - sizeOf(x.dtype) || (a < b ? -1 : a > b ? 1 : 0),
  )
  if (ordered.length > MAX_TENSORS) {
    throw new ArgumentError(`safetensors: ${ordered.length} tensors; one file holds at most ${MAX_TENSORS}`)
  }
  const header: [string, unknown][] = []
  if (Object.keys(metadata).length > 0) header.push([METADATA, metadata])
  let at = 0
  for (const [name, array] of ordered) {
    checkTensor(name, array)
    const end = at + array.data.byteLength
    header.push([name, { dtype: names[array.dtype], shape: array.shape, data_offsets: [at, end] }])
    at = end
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const padded = Math.ceil(json.byteLength / 8) * 8
  if (padded > MAX_HEADER_BYTES) {
    throw new ArgumentError(`safetensors: a header of ${padded} bytes; at most ${MAX_HEADER_BYTES} are allowed`)
  }
  const head = new Uint8Array(8 + padded).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true)
  head.set(json, 8)
  return { head, tensors: ordered, byteLength: head.byteLength + at }
}

function checkTensor(name: string, array: HostArray): void {
  if (name === METADATA) throw new ArgumentError(`safetensors: no tensor can be named ${METADATA}`)
  if (array.data.length !== numel(array.shape)) {
    throw new ArgumentError(
      `safetensors: tensor '${name}' of shape [${array.shape.join(', ')}] has ${array.data.length} elements`,
    )
  }
}

/** The bytes of a file in memory; `writeSafetensors` streams to disk instead. */
export function serializeSafetensors(
  tensors: Readonly<Record<string, HostArray>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const layout = layoutSafetensors(tensors, metadata)
  const out = new Uint8Array(layout.byteLength)
  out.set(layout.head)
  let at = layout.head.byteLength
  for (const [, array] of layout.tensors) {
    out.set(bytesOf(array), at)
    at += array.data.byteLength
  }
  return out
}
