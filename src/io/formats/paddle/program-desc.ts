/**
 * Paddle's legacy program (`.pdmodel`, `__model__`, and the topology of Paddle Lite's `.nb`) as plain data: the messages of
 * `paddle/fluid/framework/framework.proto`, package `paddle.framework.proto`. Numbers of enums are the file's.
 */
import type { DType } from '../../../common/dtype.ts'

/** An integer of 64 bits: a bigint only beyond 2^53. */
export type Int64 = number | bigint

export interface ProgramDesc {
  /** The first one is the root. */
  readonly blocks: readonly BlockDesc[]
  /** major * 1e6 + minor * 1e3 + patch of the Paddle that wrote it; 0: unknown. */
  readonly version: Int64
  /** Versions of the operators' definitions, by operator. */
  readonly opVersions: ReadonlyMap<string, number>
}

export interface BlockDesc {
  readonly idx: number
  /** -1 for the root. */
  readonly parentIdx: number
  readonly vars: readonly VarDesc[]
  /** In the order in which they run. */
  readonly ops: readonly OpDesc[]
  /** -1: none. */
  readonly forwardBlockIdx: number
}

export interface VarDesc {
  readonly name: string
  readonly type: VarTypeDesc
  /** Parameters and buffers, `feed` and `fetch`. */
  readonly persistable: boolean
  readonly needCheckFeed: boolean
  readonly isParameter: boolean
  readonly stopGradient: boolean
}

export interface VarTypeDesc {
  /** One of `VAR_TYPE`. */
  readonly type: number
  /** Of a tensor, of selected rows, and of the elements of a tensor array. */
  readonly tensor?: TensorDesc
  readonly lodLevel: number
}

export interface TensorDesc {
  /** One of `VAR_TYPE`, a scalar type. */
  readonly dataType: number
  /** -1: any size. */
  readonly dims: readonly Int64[]
}

export interface OpDesc {
  readonly type: string
  readonly inputs: readonly SlotDesc[]
  readonly outputs: readonly SlotDesc[]
  readonly attributes: readonly AttributeDesc[]
  readonly isTarget: boolean
}

/** The variables in one slot of an operator. */
export interface SlotDesc {
  readonly name: string
  readonly variables: readonly string[]
}

/** Values by the type of an attribute. */
export interface AttributeValues {
  readonly int: number
  readonly float: number
  readonly string: string
  readonly ints: readonly number[]
  readonly floats: readonly number[]
  readonly strings: readonly string[]
  readonly boolean: boolean
  readonly booleans: readonly boolean[]
  /** Index of a block, as are the elements of `blocks`. */
  readonly block: number
  readonly long: Int64
  readonly blocks: readonly number[]
  readonly longs: readonly Int64[]
  readonly float64s: readonly number[]
  readonly var: string
  readonly vars: readonly string[]
  readonly float64: number
  readonly scalar: ScalarDesc
  readonly scalars: readonly ScalarDesc[]
}

export type AttributeTypeName = keyof AttributeValues

export type AttributeDesc = {
  readonly [T in AttributeTypeName]: { readonly name: string; readonly type: T; readonly value: AttributeValues[T] }
}[AttributeTypeName]

/** `complex` scalars have no use in a network's attributes; their two parts are kept. */
export type ScalarDesc =
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'long'; readonly value: Int64 }
  | { readonly type: 'float64'; readonly value: number }
  | { readonly type: 'complex'; readonly value: readonly [re: number, im: number] }

/** AttrType: the numbers of the attribute types, in the file's order. */
export const ATTRIBUTE_TYPES: readonly AttributeTypeName[] = [
  'int',
  'float',
  'string',
  'ints',
  'floats',
  'strings',
  'boolean',
  'booleans',
  'block',
  'long',
  'blocks',
  'longs',
  'float64s',
  'var',
  'vars',
  'float64',
  'scalar',
  'scalars',
]

/** VarType.Type: what variables hold, and the types of their elements. */
export const VAR_TYPE = {
  bool: 0,
  int16: 1,
  int32: 2,
  int64: 3,
  float16: 4,
  float32: 5,
  float64: 6,
  denseTensor: 7,
  selectedRows: 8,
  feedMinibatch: 9,
  fetchList: 10,
  stepScopes: 11,
  lodRankTable: 12,
  tensorArray: 13,
  placeList: 14,
  reader: 15,
  raw: 17,
  tuple: 18,
  sizeT: 19,
  uint8: 20,
  int8: 21,
  bfloat16: 22,
  complex64: 23,
  complex128: 24,
} as const

/** The number of a dtype among `VAR_TYPE`. */
export function varTypeOf(dtype: DType): number {
  return VAR_TYPE[dtype]
}

const dtypeOfNumber = new Map<number, DType>(
  (['bool', 'uint8', 'int8', 'int32', 'int64', 'float16', 'bfloat16', 'float32', 'float64'] as const).map((d) => [
    VAR_TYPE[d],
    d,
  ]),
)

/** The dtype of a number among `VAR_TYPE`; undefined for types that tensors here do not have. */
export function dtypeOfVarType(number: number): DType | undefined {
  return dtypeOfNumber.get(number)
}
