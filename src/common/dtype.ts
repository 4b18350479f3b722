/**
 * The dtypes of tensors: their names (Paddle's), sizes, and the typed arrays that hold them on the host.
 * float16 and bfloat16 have no portable typed array (Float16Array is absent before Node 24): their bits live in a Uint16Array.
 */
import { allocateBytes } from './memory.ts'

export type DType = 'bool' | 'uint8' | 'int8' | 'int32' | 'int64' | 'float16' | 'bfloat16' | 'float32' | 'float64'

export type FloatDType = 'float16' | 'bfloat16' | 'float32' | 'float64'

/** Typed array that holds the elements of a dtype on the host; `Uint16Array` carries the bits of float16 and bfloat16. */
export type HostData = Uint8Array | Int8Array | Uint16Array | Int32Array | BigInt64Array | Float32Array | Float64Array

/** The typed array of one dtype. */
export type HostDataOf<D extends DType> = D extends 'float32'
  ? Float32Array<ArrayBuffer>
  : D extends 'float64'
    ? Float64Array<ArrayBuffer>
    : D extends 'int64'
      ? BigInt64Array<ArrayBuffer>
      : D extends 'int32'
        ? Int32Array<ArrayBuffer>
        : HostData

export const dtypes: readonly DType[] = [
  'bool',
  'uint8',
  'int8',
  'int32',
  'int64',
  'float16',
  'bfloat16',
  'float32',
  'float64',
]

const bytes: Record<DType, number> = {
  bool: 1,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  float16: 2,
  bfloat16: 2,
  float32: 4,
  float64: 8,
}

/** Bytes of one element. */
export function sizeOf(dtype: DType): number {
  return bytes[dtype]
}

export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16'
}

export function isInteger(dtype: DType): boolean {
  return dtype === 'int64' || dtype === 'int32' || dtype === 'int8' || dtype === 'uint8'
}

export function isDType(name: string): name is DType {
  return (dtypes as readonly string[]).includes(name)
}

/** A zeroed typed array of `length` elements, backed by an ArrayBuffer of its own. Throws OutOfMemoryError. */
export function allocateHost<D extends DType>(dtype: D, length: number): HostDataOf<D> {
  return viewHost(dtype, allocateBytes(length * sizeOf(dtype), `an array of ${dtype}`)) as HostDataOf<D>
}

/** The typed array over a whole buffer, or over `length` elements from `byteOffset`. */
export function viewHost(dtype: DType, buffer: ArrayBufferLike, byteOffset = 0, length?: number): HostData {
  switch (dtype) {
    case 'bool':
    case 'uint8':
      return new Uint8Array(buffer, byteOffset, length)
    case 'int8':
      return new Int8Array(buffer, byteOffset, length)
    case 'int32':
      return new Int32Array(buffer, byteOffset, length)
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length)
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(buffer, byteOffset, length)
    case 'float32':
      return new Float32Array(buffer, byteOffset, length)
    case 'float64':
      return new Float64Array(buffer, byteOffset, length)
    default:
      return dtype satisfies never
  }
}

const arrayNames: Record<DType, string> = {
  bool: 'Uint8Array',
  uint8: 'Uint8Array',
  int8: 'Int8Array',
  int32: 'Int32Array',
  int64: 'BigInt64Array',
  float16: 'Uint16Array',
  bfloat16: 'Uint16Array',
  float32: 'Float32Array',
  float64: 'Float64Array',
}

/** Name of the typed array that holds elements of a dtype. */
export function hostArrayName(dtype: DType): string {
  return arrayNames[dtype]
}

/** Whether a value is the typed array that holds elements of a dtype; one of another realm (a worker's, a test's) too. */
export function isHostDataOf(dtype: DType, value: unknown): boolean {
  return ArrayBuffer.isView(value) && (value as HostData)[Symbol.toStringTag] === arrayNames[dtype]
}

const scratchF32 = new Float32Array(1)
const scratchU32 = new Uint32Array(scratchF32.buffer)

/** Bits of the bfloat16 nearest to `value` (round half to even; NaN stays NaN). */
export function toBfloat16Bits(value: number): number {
  scratchF32[0] = value
  const u = scratchU32[0]!
  if ((u & 0x7fffffff) > 0x7f800000) return ((u >>> 16) | 0x40) & 0xffff
  return ((u + 0x7fff + ((u >>> 16) & 1)) >>> 16) & 0xffff
}

export function fromBfloat16Bits(bits: number): number {
  scratchU32[0] = (bits << 16) >>> 0
  return scratchF32[0]!
}

/** Bits of the float16 nearest to `value` (IEEE 754 binary16, round half to even, subnormals kept). */
export function toFloat16Bits(value: number): number {
  scratchF32[0] = value
  const u = scratchU32[0]!
  const sign = (u >>> 16) & 0x8000
  const magnitude = u & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) {
    // Subnormal half: scale so that one unit is 2^-24, and let the float32 addition round half to even.
    scratchU32[0] = magnitude
    scratchF32[0] = scratchF32[0]! + 0.5
    return sign | (scratchU32[0]! - 0x3f000000)
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** Element `i` as a JS number (int64 beyond 2^53 loses digits; read the BigInt64Array itself where that matters). */
export function getElement(dtype: DType, data: HostData, i: number): number {
  if (dtype === 'bfloat16') return fromBfloat16Bits((data as Uint16Array)[i]!)
  if (dtype === 'float16') return fromFloat16Bits((data as Uint16Array)[i]!)
  return Number(data[i])
}

/**
 * Writes a JS number as Paddle's cast does on x86: truncation for integers, where numbers that an int32 or int64 cannot hold become the
 * smallest one and 8 bits are the low ones of an int32; `!= 0` for bool; rounding for low-precision floats.
 */
export function setElement(dtype: DType, data: HostData, i: number, value: number): void {
  switch (dtype) {
    case 'bool':
      data[i] = value !== 0 ? 1 : 0
      return
    case 'int64':
      ;(data as BigInt64Array)[i] = value >= -(2 ** 63) && value < 2 ** 63 ? BigInt(Math.trunc(value)) : -(2n ** 63n)
      return
    case 'int32':
    case 'int8':
    case 'uint8':
      data[i] = value >= -(2 ** 31) && value < 2 ** 31 ? Math.trunc(value) : -(2 ** 31)
      return
    case 'bfloat16':
      data[i] = toBfloat16Bits(value)
      return
    case 'float16':
      data[i] = toFloat16Bits(value)
      return
    default:
      ;(data as Float32Array)[i] = value
  }
}

/** A dense, row-major array on the host: what files, workers and users exchange with tensors. */
export interface HostArray {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: HostData
}
