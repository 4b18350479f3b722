/**
 * The .npy format of NumPy (versions 1.0, 2.0 and 3.0): one array with a header that is a Python dictionary literal.
 * Source: NumPy Enhancement Proposal 1 and `numpy.lib.format`. Reads C and Fortran order, both byte orders, and widens the
 * integers that have no dtype here; writes version 1.0, little-endian, C order.
 */
import { sizeOf } from '../common/dtype.ts'
import type { DType, HostArray } from '../common/dtype.ts'
import { FormatError } from '../common/errors.ts'
import { contiguousStrides, numel } from '../common/shape.ts'
import { bytesOf, fromBytes } from './host-array.ts'

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
const MAX_HEADER = 1 << 20

export interface NpyReadOptions {
  /** What `uint16` elements are: numbers (widened to int32, the default) or the bits of bfloat16, as Paddle saves them. */
  readonly uint16?: 'int32' | 'bfloat16'
}

/** How elements of a NumPy type are read: their dtype here, and how each is widened where there is none of that size. */
interface ElementType {
  readonly dtype: DType
  readonly size: number
  readonly widen?: (source: DataView, offset: number) => number | bigint
}

const elementTypes: Record<string, ElementType> = {
  b1: { dtype: 'bool', size: 1 },
  u1: { dtype: 'uint8', size: 1 },
  i1: { dtype: 'int8', size: 1 },
  i2: { dtype: 'int32', size: 2, widen: (view, at) => view.getInt16(at, true) },
  u2: { dtype: 'int32', size: 2, widen: (view, at) => view.getUint16(at, true) },
  i4: { dtype: 'int32', size: 4 },
  u4: { dtype: 'int64', size: 4, widen: (view, at) => BigInt(view.getUint32(at, true)) },
  i8: { dtype: 'int64', size: 8 },
  u8: { dtype: 'int64', size: 8, widen: (view, at) => checkedUint64(view.getBigUint64(at, true)) },
  f2: { dtype: 'float16', size: 2 },
  f4: { dtype: 'float32', size: 4 },
  f8: { dtype: 'float64', size: 8 },
}

const bfloat16Bits: ElementType = { dtype: 'bfloat16', size: 2 }

/** What is written: bfloat16 goes out as `u2` bits, which NumPy can hold and Paddle reads back. */
const descriptions: Record<DType, string> = {
  bool: '|b1',
  uint8: '|u1',
  int8: '|i1',
  int32: '<i4',
  int64: '<i8',
  float16: '<f2',
  bfloat16: '<u2',
  float32: '<f4',
  float64: '<f8',
}

function checkedUint64(value: bigint): bigint {
  if (value > 0x7fffffffffffffffn) {
    throw new FormatError(`npy: uint64 value ${value} does not fit int64; save the array as int64 or float64`)
  }
  return value
}

/**
 * Reads one .npy file. Elements that need no conversion are viewed in place where they are aligned.
 * Throws FormatError on anything that is not a whole .npy file of numbers.
 */
export function parseNpy(bytes: Uint8Array, options: NpyReadOptions = {}): HostArray {
  const { header, dataStart } = readHeader(bytes)
  const { descr, fortran, shape } = parseHeader(header)
  const byteOrder = descr[0]!
  const name = descr.slice(1)
  const type = name === 'u2' && options.uint16 === 'bfloat16' ? bfloat16Bits : elementTypes[name]
  if (type === undefined || !'<>|='.includes(byteOrder)) {
    throw new FormatError(
      `npy: elements of type '${descr}' are not supported; convert the array to bool, an integer or a float type`,
    )
  }
  const count = checkedCount(shape)
  const expected = count * type.size
  const data = bytes.subarray(dataStart)
  if (data.byteLength !== expected) {
    const state = data.byteLength < expected ? 'truncated' : 'followed by foreign bytes'
    throw new FormatError(
      `npy: the data is ${state}: shape [${shape.join(', ')}] of '${descr}' takes ${expected} bytes, there are ${data.byteLength}`,
    )
  }
  const little = byteOrder === '>' && type.size > 1 ? byteSwapped(data, type.size) : data
  const array = type.widen ? widened(type, shape, little, count) : fromBytes(type.dtype, shape, little)
  return fortran && shape.length > 1 ? fromFortranOrder(array) : array
}

/** The bytes of a .npy file, version 1.0. */
export function serializeNpy(array: HostArray): Uint8Array {
  const comma = array.shape.length === 1 ? ',' : ''
  const dictionary = `{'descr': '${descriptions[array.dtype]}', 'fortran_order': False, 'shape': (${array.shape.join(', ')}${comma}), }`
  const headerLength = Math.ceil((MAGIC.length + 4 + dictionary.length + 1) / 64) * 64 - MAGIC.length - 4
  const header = `${dictionary.padEnd(headerLength - 1)}\n`
  const out = new Uint8Array(MAGIC.length + 4 + headerLength + array.data.byteLength)
  out.set(MAGIC)
  out.set([1, 0, headerLength & 0xff, headerLength >>> 8], MAGIC.length)
  out.set(new TextEncoder().encode(header), MAGIC.length + 4)
  out.set(bytesOf(array), MAGIC.length + 4 + headerLength)
  return out
}

function readHeader(bytes: Uint8Array): { header: string; dataStart: number } {
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError("npy: not a .npy file (it does not begin with '\\x93NUMPY')")
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 12) throw new FormatError(`npy: truncated in the header: ${bytes.byteLength} bytes`)
  const major = bytes[6]!
  if (major < 1 || major > 3)
    throw new FormatError(`npy: version ${major}.${bytes[7]} is unknown (1.0, 2.0 and 3.0 are)`)
  const start = major === 1 ? 10 : 12
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > MAX_HEADER || start + length > bytes.byteLength) {
    throw new FormatError(`npy: truncated or corrupt: a header of ${length} bytes in a file of ${bytes.byteLength}`)
  }
  const text = new TextDecoder(major === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, start + length))
  return { header: text, dataStart: start + length }
}

function parseHeader(header: string): { descr: string; fortran: boolean; shape: number[] } {
  const foreign = (what: string) =>
    new FormatError(`npy: the header has no usable ${what}: ${JSON.stringify(header.trim().slice(0, 200))}`)
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1]
  if (!descr) throw foreign("'descr' (structured types are not supported)")
  const fortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1]
  if (!fortran) throw foreign("'fortran_order'")
  const tuple = /'shape':\s*\(([\s\d,L]*)\)/.exec(header)?.[1]
  if (tuple === undefined) throw foreign("'shape'")
  const fields = tuple.split(',').map((field) => field.trim())
  if (fields.at(-1) === '') fields.pop()
  const shape = fields.map((field) => {
    if (!/^\d+L?$/.test(field)) throw foreign("'shape'")
    return Number.parseInt(field, 10)
  })
  if (shape.length > 32) throw foreign(`'shape' (rank ${shape.length}, at most 32)`)
  return { descr, fortran: fortran === 'True', shape }
}

function checkedCount(shape: readonly number[]): number {
  const count = numel(shape)
  if (!shape.every(Number.isSafeInteger) || !Number.isSafeInteger(count * 8)) {
    throw new FormatError(`npy: shape [${shape.join(', ')}] has more elements than can be addressed`)
  }
  return count
}

function byteSwapped(bytes: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(bytes.byteLength)
  for (let i = 0; i < bytes.byteLength; i += size) {
    for (let k = 0; k < size; k++) out[i + k] = bytes[i + size - 1 - k]!
  }
  return out
}

function widened(type: ElementType, shape: readonly number[], bytes: Uint8Array, count: number): HostArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const array = fromBytes(type.dtype, shape, new Uint8Array(count * sizeOf(type.dtype)))
  const target = array.data as { [index: number]: number | bigint }
  for (let i = 0; i < count; i++) target[i] = type.widen!(view, i * type.size)
  return array
}

function fromFortranOrder(array: HostArray): HostArray {
  const { dtype, shape } = array
  const out = fromBytes(dtype, shape, new Uint8Array(array.data.byteLength))
  const strides = contiguousStrides(shape)
  const index = Array.from(shape, () => 0)
  const source = array.data as Float64Array
  const target = out.data as Float64Array
  let offset = 0
  for (let i = 0; i < source.length; i++) {
    target[offset] = source[i]!
    for (let axis = 0; axis < shape.length; axis++) {
      index[axis]!++
      offset += strides[axis]!
      if (index[axis]! < shape[axis]!) break
      offset -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return out
}
