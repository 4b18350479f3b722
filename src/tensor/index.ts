/** Everything public of the tensor layer. */
import './methods.ts'

export * from './autograd.ts'
export {
  allclose,
  equal,
  equalAll,
  greaterEqual,
  greaterThan,
  isclose,
  isEmpty,
  isfinite,
  isin,
  isinf,
  isnan,
  isneginf,
  isposinf,
  lessEqual,
  lessThan,
  notEqual,
  type ClosenessOptions,
} from './comparison.ts'
export {
  arange,
  assign,
  clone,
  diag,
  diagEmbed,
  diagflat,
  diagonal,
  empty,
  emptyLike,
  eye,
  full,
  fullLike,
  linspace,
  logspace,
  meshgrid,
  numel,
  oneHot,
  ones,
  onesLike,
  toTensor,
  tril,
  trilIndices,
  triu,
  triuIndices,
  vander,
  zeros,
  zerosLike,
  type TensorData,
  type ToTensorOptions,
  type TypedArray,
} from './creation.ts'
export { devices, getDevice, isCompiledWithCuda, registerDevice, setDevice } from './device.ts'
export { gather, indexSelect, takeAlongAxis } from './indexing.ts'
export * from './linalg.ts'
export * from './logic.ts'
export * from './manipulation.ts'
export * from './math.ts'
export { getDefaultDtype, setDefaultDtype, type Operand, type Scalar } from './promotion.ts'
export {
  all,
  amax,
  amin,
  any,
  countNonzero,
  logsumexp,
  max,
  mean,
  min,
  nanmean,
  nansum,
  prod,
  std,
  sum,
  variance,
  type ReduceOptions,
  type SumOptions,
  type VarianceOptions,
} from './reduction.ts'
export * from './search.ts'
export { Tensor, type GradientHook, type NestedArray } from './tensor.ts'
