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
  readonly widen?: (source: DataView, offset: number) => number | bigint
}

const elementTypes = new Map<string, ElementType>([
  ['b1', { dtype: 'bool', size: 1 }],
  ['u1', { dtype: 'uint8', size: 1 }],
  ['i1', { dtype: 'int8', size: 1 }],
  ['i2', { dtype: 'int32', size: 2, widen: (view, at) => view.getInt16(at, true) }],
  ['u2', { dtype: 'int32', size: 2, widen: (view, at) => view.getUint16(at, true) }],
  ['i4', { dtype: 'int32', size: 4 }],
  ['u4', { dtype: 'int64', size: 4, widen: (view, at) => BigInt(view.getUint32(at, true)) }],
  ['i8', { dtype: 'int64', size: 8 }],
  ['u8', { dtype: 'int64', size: 8, widen: (view, at) => checkedUint64(view.getBigUint64(at, true)) }],
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
  const count = checkedCount(shape)
  const expected = count * type.size
  if (data.byteLength !== expected) {
    const state = data.byteLength < expected ? 'truncated' : 'followed by foreign bytes'
    throw new FormatError(
      `the data is ${state}: shape [${shape.join(', ')}] of '${descr}' takes ${expected} bytes, there are ${data.byteLength}`,
    )
  }
  const little = descr[0] === '>' && type.size > 1 ? byteSwapped(data, type.size) : data
  const array = type.widen ? widened(type, shape, little, count) : fromBytes(type.dtype, shape, little)
  return fortran && shape.length > 1 ? fromFortranOrder(array) : array
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
