/** HostArrays at the edges of io: making them from bytes and typed arrays, and looking at one as bytes or row by row. */
import { isDType, sizeOf, viewHost } from '../common/dtype.ts'
import type { DType, HostArray, HostData } from '../common/dtype.ts'
import { ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError } from '../common/errors.ts'
import { formatShape, numel } from '../common/shape.ts'

const dtypeOfClass = new Map<unknown, DType>([
  [Uint8Array, 'uint8'],
  [Int8Array, 'int8'],
  [Int32Array, 'int32'],
  [BigInt64Array, 'int64'],
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
])

/** Whether a value is `{dtype, shape, data}` with a dtype of ours. */
export function isHostArray(value: unknown): value is HostArray {
  if (typeof value !== 'object' || value === null) return false
  const { dtype, shape, data } = value as Partial<Record<'dtype' | 'shape' | 'data', unknown>>
  return typeof dtype === 'string' && isDType(dtype) && Array.isArray(shape) && isTypedArray(data)
}

export function isTypedArray(value: unknown): value is HostData {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
}

/** A one-dimensional HostArray over a typed array. Throws DTypeError for classes that name no dtype (Uint16Array holds float16 or bfloat16). */
export function fromTypedArray(data: ArrayBufferView): HostArray {
  const dtype = dtypeOfClass.get(data.constructor)
  if (dtype === undefined) {
    throw new DTypeError(
      `a ${data.constructor.name} has no dtype of its own; give {dtype, shape, data} instead (typed arrays with one: ` +
        `${Array.from(dtypeOfClass.keys(), (c) => (c as { name: string }).name).join(', ')})`,
    )
  }
  const typed = data as HostData
  return { dtype, shape: [typed.length], data: typed }
}

/** A HostArray whose shape and data were checked against each other. */
export function hostArray(dtype: DType, shape: readonly number[], data: HostData): HostArray {
  if (data.length !== numel(shape)) {
    throw new ShapeError(`shape ${formatShape(shape)} holds ${numel(shape)} elements, the data ${data.length}`)
  }
  if (data.constructor !== viewHost(dtype, new ArrayBuffer(0)).constructor) {
    throw new DTypeError(`a ${data.constructor.name} cannot hold ${dtype}`)
  }
  return { dtype, shape, data }
}

/** The bytes of an array, without a copy. */
export function bytesOf(array: HostArray): Uint8Array {
  const { buffer, byteOffset, byteLength } = array.data
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** An array over `bytes` (little-endian): a view where the address is a multiple of the element size, else a copy. */
export function fromBytes(dtype: DType, shape: readonly number[], bytes: Uint8Array): HostArray {
  const size = sizeOf(dtype)
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return { dtype, shape, data: viewHost(dtype, aligned.buffer, aligned.byteOffset, aligned.byteLength / size) }
}

/** Row `index` along the first axis, without a copy. */
export function rowOf(array: HostArray, index: number): HostArray {
  const [rows, ...shape] = array.shape
  if (rows === undefined) throw new ShapeError('a rank-0 array has no rows')
  if (!Number.isInteger(index) || index < 0 || index >= rows) {
    throw new IndexOutOfRangeError(`row ${index} of an array of shape ${formatShape(array.shape)}`)
  }
  const size = numel(shape)
  return { dtype: array.dtype, shape, data: array.data.subarray(index * size, (index + 1) * size) }
}

/** `np.stack(arrays, axis=0)`. Throws ShapeError or DTypeError that names the first array that differs. */
export function stackArrays(arrays: readonly HostArray[]): HostArray {
  const first = arrays[0]
  if (first === undefined) throw new ArgumentError('stack: there is no array to stack')
  const { dtype, shape } = first
  const rowBytes = first.data.byteLength
  const out = new Uint8Array(rowBytes * arrays.length)
  arrays.forEach((array, i) => {
    if (formatShape(array.shape) !== formatShape(shape)) {
      throw new ShapeError(
        `stack: sample ${i} of the batch has shape ${formatShape(array.shape)}, sample 0 ${formatShape(shape)}; ` +
          'give equal shapes, or a collateFn that pads',
      )
    }
    if (array.dtype !== dtype) {
      throw new DTypeError(`stack: sample ${i} of the batch is ${array.dtype}, sample 0 ${dtype}; cast one of them`)
    }
    out.set(bytesOf(array), i * rowBytes)
  })
  return fromBytes(dtype, [arrays.length, ...shape], out)
}

const shared = new WeakMap<HostArray, HostArray>()

/** The same array in shared memory (copied there the first time): sending it to a thread then copies nothing. */
export function shareArray(array: HostArray): HostArray {
  if (array.data.buffer instanceof SharedArrayBuffer) return array
  let copy = shared.get(array)
  if (copy === undefined) {
    const data = viewHost(array.dtype, new SharedArrayBuffer(array.data.length * sizeOf(array.dtype)))
    copy = { dtype: array.dtype, shape: array.shape, data }
    bytesOf(copy).set(bytesOf(array))
    shared.set(array, copy)
  }
  return copy
}
