/**
 * What an ONNX file holds, as plain objects: the messages of onnx.proto3 (github.com/onnx/onnx) that models of tensors use. Numbers of
 * tensors stay in the bytes of the file until they are asked for (tensor-data.ts).
 */
import type { DType } from '../../../common/dtype.ts'

/** `TensorProto.DataType`: names by number. */
export const DATA_TYPES: Readonly<Record<number, string>> = {
  0: 'undefined',
  1: 'float',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'double',
  12: 'uint32',
  13: 'uint64',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
}

const numbers: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
}
const dtypeOfNumber = new Map(Object.entries(numbers).map(([dtype, n]) => [n, dtype as DType]))

/** Number of a dtype in ONNX. */
export function dataTypeOf(dtype: DType): number {
  return numbers[dtype]
}

/** The dtype that a number of ONNX stands for; undefined for those that tensors here do not have. */
export function dtypeOfDataType(dataType: number): DType | undefined {
  return dtypeOfNumber.get(dataType)
}

/** Where the bytes of a tensor lie when they are not in the file: `location` relative to the model's directory. */
export interface ExternalData {
  readonly location: string
  readonly offset: number
  /** Undefined: up to the end of the file. */
  readonly length: number | undefined
}

/** Numbers of a tensor as they stand in the file. */
export type TensorContent =
  | { readonly kind: 'raw'; readonly bytes: Uint8Array }
  | { readonly kind: 'floats'; readonly values: Float32Array }
  | { readonly kind: 'doubles'; readonly values: Float64Array }
  | { readonly kind: 'int32s'; readonly values: Int32Array }
  | { readonly kind: 'int64s'; readonly values: BigInt64Array }
  | { readonly kind: 'external'; readonly at: ExternalData }
  | { readonly kind: 'none' }

export interface OnnxTensor {
  readonly name: string
  readonly dims: readonly number[]
  readonly dataType: number
  readonly content: TensorContent
}

export type OnnxAttributeValue =
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'int'; readonly value: number | bigint }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: OnnxTensor }
  | { readonly kind: 'graph'; readonly value: OnnxGraph }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'ints'; readonly value: readonly (number | bigint)[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  /** In a function: the value of an attribute of the call, by its name. */
  | { readonly kind: 'reference'; readonly value: string }
  | { readonly kind: 'other'; readonly value: string }

export interface OnnxNode {
  readonly opType: string
  /** '' is the standard operators'. */
  readonly domain: string
  /** Which of the functions of one name, where there are several. */
  readonly overload?: string
  readonly name: string
  /** '' for an operand that is absent. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: ReadonlyMap<string, OnnxAttributeValue>
}

/** One axis: a size, the name of a size, or nothing known (''). */
export type OnnxDim = number | string

export interface OnnxValueInfo {
  readonly name: string
  /** 0 where the value is no tensor, or its type is not told. */
  readonly dataType: number
  /** Null where not even the rank is told. */
  readonly shape: readonly OnnxDim[] | null
}

/** Names of the axes of any size as a program has them; nothing where none has one. */
export function axisNamesOf({ shape }: OnnxValueInfo): { readonly axisNames?: readonly (string | null)[] } {
  const axisNames = (shape ?? []).map((d) => (typeof d === 'string' && d !== '' ? d : null))
  return axisNames.some((n) => n !== null) ? { axisNames } : {}
}

export interface OnnxGraph {
  readonly name: string
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxTensor[]
  /** Names of initializers in a sparse form, which are refused. */
  readonly sparseInitializers: number
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
  readonly valueInfos: readonly OnnxValueInfo[]
}

/** An operator that a model defines by nodes. */
export interface OnnxFunction {
  readonly name: string
  readonly domain: string
  readonly overload: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly nodes: readonly OnnxNode[]
  /** Versions of the operator sets that its nodes are of. */
  readonly opsets: ReadonlyMap<string, number>
  /** Attributes that a call may leave out. */
  readonly defaults: ReadonlyMap<string, OnnxAttributeValue>
}

export interface OnnxModel {
  readonly irVersion: number
  /** Version of the operator set by domain; '' is the standard one. */
  readonly opsets: ReadonlyMap<string, number>
  readonly producerName: string
  readonly producerVersion: string
  readonly graph: OnnxGraph
  readonly functions: readonly OnnxFunction[]
  readonly metadata: Readonly<Record<string, string>>
}
