/**
 * Arrays as NumPy describes them: element type, byte order, axis order, shape and bytes. What .npy files and pickles share. Both byte
 * orders and both axis orders are read, and integers that have no dtype here are widened.
 */
import { sizeOf } from '../common/dtype.ts'
import type { DType, HostArray } from '../common/dtype.ts'
import { FormatError } from '../common/errors.ts'
import { contiguousStrides, isAddressable, numel } from '../common/shape.ts'
import { fromBytes } from './host-array.ts'

/** NumPy's own limit on the number of axes, before its version 2. */
const MAX_RANK = 32

export interface NumpyReadOptions {
  /** What `uint16` elements are: numbers (widened to int32, the default) or the bits of bfloat16, as Paddle saves them. */
  readonly uint16?: 'int32' | 'bfloat16'
}

/** An array as NumPy describes it. */
export interface NumpyLayout {
  /** Byte order (`<`, `>`, `|` or `=`) and element type, such as `<f4`. */
  readonly descr: string
  /** Whether the first axis runs fastest. */
  readonly fortran: boolean
  readonly shape: readonly number[]
}

/** How elements of a NumPy type are read: their dtype here, and how each is widened where there is none of that size. */
interface ElementType {
  readonly dtype: DType
  readonly size: number
  readonly widen?: Widen
}

type Widen = (source: DataView, offset: number, littleEndian: boolean) => number | bigint

/** What makes stored elements differ from little-endian ones in row-major order. */
interface Arrangement {
  readonly swapped: boolean
  readonly permuted: boolean
}

const elementTypes = new Map<string, ElementType>([
  ['b1', { dtype: 'bool', size: 1 }],
  ['u1', { dtype: 'uint8', size: 1 }],
  ['i1', { dtype: 'int8', size: 1 }],
  ['i2', { dtype: 'int32', size: 2, widen: (view, at, little) => view.getInt16(at, little) }],
  ['u2', { dtype: 'int32', size: 2, widen: (view, at, little) => view.getUint16(at, little) }],
  ['i4', { dtype: 'int32', size: 4 }],
  ['u4', { dtype: 'int64', size: 4, widen: (view, at, little) => BigInt(view.getUint32(at, little)) }],
  ['i8', { dtype: 'int64', size: 8 }],
  ['u8', { dtype: 'int64', size: 8, widen: (view, at, little) => checkedUint64(view.getBigUint64(at, little)) }],
  ['f2', { dtype: 'float16', size: 2 }],
  ['f4', { dtype: 'float32', size: 4 }],
  ['f8', { dtype: 'float64', size: 8 }],
])

const bfloat16Bits: ElementType = { dtype: 'bfloat16', size: 2 }

/** What is written: bfloat16 goes out as `u2` bits, which NumPy can hold and Paddle reads back. */
export const numpyDescr: Record<DType, string> = {
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
    throw new FormatError(`uint64 value ${value} does not fit int64; save the array as int64 or float64`)
  }
  return value
}

/**
 * Makes an array of bytes. Elements that need no conversion are viewed in place where they are aligned.
 * Throws FormatError for element types without a dtype, and where shape and bytes disagree.
 */
export function arrayFromNumpy(layout: NumpyLayout, data: Uint8Array, options: NumpyReadOptions = {}): HostArray {
  const { descr, fortran, shape } = layout
  const type = elementType(descr, options)
  const expected = checkedCount(shape) * type.size
  if (data.byteLength !== expected) {
    const state = data.byteLength < expected ? 'truncated' : 'followed by foreign bytes'
    throw new FormatError(
      `the data is ${state}: shape [${shape.join(', ')}] of '${descr}' takes ${expected} bytes, there are ${data.byteLength}`,
    )
  }
  const swapped = descr[0] === '>' && type.size > 1
  const permuted = fortran && shape.length > 1
  if (type.widen) return widened(type.dtype, type.size, type.widen, shape, data, { swapped, permuted })
  if (!swapped && !permuted) return fromBytes(type.dtype, shape, data)
  return rearranged(type.dtype, shape, data, { swapped, permuted })
}

/** Bytes of one element as it is stored, and as it is kept here. Throws FormatError for types without a dtype. */
export function numpyElementSizes(descr: string, options: NumpyReadOptions = {}): { stored: number; kept: number } {
  const type = elementType(descr, options)
  return { stored: type.size, kept: sizeOf(type.dtype) }
}

function elementType(descr: string, options: NumpyReadOptions): ElementType {
  const name = descr.slice(1)
  const type = name === 'u2' && options.uint16 === 'bfloat16' ? bfloat16Bits : elementTypes.get(name)
  if (type === undefined || !'<>|='.includes(descr[0]!)) {
    throw new FormatError(
      `elements of type '${descr}' are not supported; convert the array to bool, an integer or a float type`,
    )
  }
  return type
}

function checkedCount(shape: readonly number[]): number {
  if (shape.length > MAX_RANK) throw new FormatError(`a shape of ${shape.length} axes; at most ${MAX_RANK} are allowed`)
  if (!isAddressable(shape)) {
    throw new FormatError(`shape [${shape.join(', ')}] has more elements than can be addressed`)
  }
  return numel(shape)
}

/** Everything in one pass: the array is the only copy. */
function widened(
  dtype: DType,
  size: number,
  widen: Widen,
  shape: readonly number[],
  bytes: Uint8Array,
  { swapped, permuted }: Arrangement,
): HostArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const array = fromBytes(dtype, shape, new Uint8Array((bytes.byteLength / size) * sizeOf(dtype)))
  const target = array.data as { [index: number]: number | bigint }
  const place = permuted ? fortranPlaces(shape) : rowMajorPlaces()
  for (let at = 0; at < bytes.byteLength; at += size) target[place()] = widen(view, at, !swapped)
  return array
}

function rearranged(
  dtype: DType,
  shape: readonly number[],
  bytes: Uint8Array,
  { swapped, permuted }: Arrangement,
): HostArray {
  const size = sizeOf(dtype)
  const out = new Uint8Array(bytes.byteLength)
  const place = permuted ? fortranPlaces(shape) : rowMajorPlaces()
  for (let at = 0; at < bytes.byteLength; at += size) {
    const to = place() * size
    for (let k = 0; k < size; k++) out[to + k] = bytes[at + (swapped ? size - 1 - k : k)]!
  }
  return fromBytes(dtype, shape, out)
}

function rowMajorPlaces(): () => number {
  let next = 0
  return () => next++
}

/** Where, in row-major order, the elements stand that come one after another when the first axis runs fastest. */
function fortranPlaces(shape: readonly number[]): () => number {
  const strides = contiguousStrides(shape)
  const index = Array.from(shape, () => 0)
  let offset = 0
  return () => {
    const place = offset
    for (let axis = 0; axis < shape.length; axis++) {
      index[axis]!++
      offset += strides[axis]!
      if (index[axis]! < shape[axis]!) break
      offset -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
    return place
  }
}
