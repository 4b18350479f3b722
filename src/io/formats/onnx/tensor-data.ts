/** Tensors of ONNX files as arrays: a view of the file where its bytes are the numbers, and a copy where they have to be converted. */
import { allocateHost, sizeOf, type DType, type HostArray } from '../../../common/dtype.ts'
import { FormatError, UnsupportedError } from '../../../common/errors.ts'
import { formatShape, numel } from '../../../common/shape.ts'
import { bytesOf, fromBytes } from '../../host-array.ts'
import { DATA_TYPES, dataTypeOf, dtypeOfDataType, type OnnxTensor } from './model.ts'

/** The bytes of an external tensor, which were read before. */
export type ExternalBytes = (tensor: OnnxTensor) => Uint8Array

const noExternal: ExternalBytes = (tensor) => {
  throw new FormatError(`ONNX: tensor '${tensor.name}' lies in another file; read the model by its path`)
}

/** The array that a tensor is. Throws FormatError where dtype, shape and bytes do not fit each other. */
export function tensorArray(tensor: OnnxTensor, externalBytes: ExternalBytes = noExternal): HostArray {
  const dtype = tensorDType(tensor)
  const { content, dims } = tensor
  const count = numel(dims)
  switch (content.kind) {
    case 'raw':
      return fromRaw(tensor, dtype, content.bytes)
    case 'external':
      return fromRaw(tensor, dtype, externalBytes(tensor))
    case 'none':
      if (count > 0) throw new FormatError(`ONNX: tensor '${tensor.name}' of shape ${formatShape(dims)} has no data`)
      return { dtype, shape: dims, data: allocateHost(dtype, 0) }
    default:
      return fromList(tensor, dtype, content)
  }
}

/** The dtype of a tensor. Throws FormatError for one that tensors here do not have. */
export function tensorDType(tensor: OnnxTensor): DType {
  const dtype = dtypeOfDataType(tensor.dataType)
  if (dtype) return dtype
  const name = DATA_TYPES[tensor.dataType] ?? `data type ${tensor.dataType}`
  throw new UnsupportedError(`ONNX: tensor '${tensor.name}' is of ${name}, which is not supported`)
}

function fromRaw(tensor: OnnxTensor, dtype: DType, bytes: Uint8Array): HostArray {
  const wanted = numel(tensor.dims) * sizeOf(dtype)
  if (bytes.byteLength !== wanted)
    throw new FormatError(
      `ONNX: tensor '${tensor.name}' of shape ${formatShape(tensor.dims)} takes ${wanted} bytes, the file has ${bytes.byteLength}`,
    )
  return fromBytes(dtype, tensor.dims, bytes)
}

/** Which list holds which dtype (onnx.proto: TensorProto). */
const lists: Readonly<Record<'floats' | 'doubles' | 'int32s' | 'int64s', readonly DType[]>> = {
  floats: ['float32'],
  doubles: ['float64'],
  int32s: ['int32', 'int8', 'uint8', 'bool', 'float16', 'bfloat16'],
  int64s: ['int64'],
}

function fromList(
  tensor: OnnxTensor,
  dtype: DType,
  content: Exclude<OnnxTensor['content'], { kind: 'raw' | 'external' | 'none' }>,
): HostArray {
  const { values, kind } = content
  const { name, dims } = tensor
  if (!lists[kind].includes(dtype)) throw new FormatError(`ONNX: the ${kind} of tensor '${name}' cannot be ${dtype}`)
  if (values.length !== numel(dims))
    throw new FormatError(`ONNX: tensor '${name}' of shape ${formatShape(dims)} has ${values.length} elements`)
  if (kind !== 'int32s' || dtype === 'int32') return { dtype, shape: dims, data: values }
  // Bits of 16-bit floats, and small integers, stand in int32s: the typed array keeps their low bits.
  const data = allocateHost(dtype, values.length)
  ;(data as Uint16Array).set(dtype === 'bool' ? Int32Array.from(values, (v) => (v === 0 ? 0 : 1)) : values)
  return { dtype, shape: dims, data }
}

/** A tensor whose bytes are those of the array. */
export function tensorOf(name: string, array: HostArray): OnnxTensor {
  return {
    name,
    dims: array.shape,
    dataType: dataTypeOf(array.dtype),
    content: { kind: 'raw', bytes: bytesOf(array) },
  }
}
