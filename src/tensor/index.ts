/** Everything public of the tensor layer. */
export { indexSample, putAlongAxis, takeAlongAxis, type PutReduction, type PutAlongAxisOptions } from './along-axis.ts'
export * from './autograd.ts'
export * from './binning.ts'
export * from './brackets.ts'
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
  cartesianProd,
  clone,
  combinations,
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
  vander,
  zeros,
  zerosLike,
  type TensorData,
  type TypedArray,
  type ToTensorOptions,
} from './creation.ts'
export * from './cumulative.ts'
export * from './data-dependent.ts'
export { devices, getDevice, isCompiledWithCuda, registerDevice, setDevice, setNumThreads } from './device.ts'
export * from './diagonal.ts'
export { realize, synchronize } from './doors.ts'
export * from './einsum.ts'
export * from './elementary.ts'
export { Generator, defaultGenerator, type GeneratorState } from './generator.ts'
export { IndexSlice, type IndexItem } from './index-expression.ts'
export {
  gather,
  gatherNd,
  indexAdd,
  indexFill,
  indexSelect,
  maskedFill,
  maskedScatter,
  scatter,
  scatterNd,
  scatterNdAdd,
  take,
  unfold,
} from './indexing.ts'
export {
  addmm,
  baddbmm,
  blockDiag,
  bmm,
  cross,
  dot,
  inner,
  kron,
  matmul,
  mm,
  multiDot,
  mv,
  outer,
  tensordot,
  vecdot,
  type MatmulOptions,
} from './linalg.ts'
export * from './logic.ts'
export {
  chunk,
  columnStack,
  concat,
  dsplit,
  dstack,
  flip,
  hsplit,
  hstack,
  repeatInterleave,
  reverse,
  roll,
  rot90,
  rowStack,
  split,
  stack,
  tensorSplit,
  unbind,
  unstack,
  vsplit,
  vstack,
} from './manipulation.ts'
export {
  add,
  atan2,
  clip,
  copysign,
  divide,
  floorDivide,
  floorMod,
  fmax,
  fmin,
  heaviside,
  hypot,
  increment,
  ldexp,
  lerp,
  logaddexp,
  maximum,
  minimum,
  mod,
  multiplex,
  multiply,
  nanToNum,
  pow,
  remainder,
  scale,
  subtract,
  type ScaleOptions,
  type NanToNumOptions,
} from './math.ts'
export { tensorMethods, type TensorMethods } from './methods.ts'
export * from './norm.ts'
export { getDefaultDtype, setDefaultDtype, type Operand, type Scalar } from './promotion.ts'
export {
  bernoulli,
  gaussian,
  getRngState,
  logNormal,
  multinomial,
  normal,
  poisson,
  rand,
  randint,
  randintLike,
  randLike,
  randn,
  randnLike,
  randperm,
  seed,
  setRngState,
  standardNormal,
  uniform,
} from './random.ts'
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
  reduceAs,
  std,
  sum,
  trace,
  variance,
  variance as var,
  type ReduceOptions,
  type SumOptions,
  type VarianceOptions,
} from './reduction.ts'
export { recompute, recomputeSequential, type RecomputeOptions } from './recompute.ts'
export * from './search.ts'
export * from './shaping.ts'
export * from './solve.ts'
export * from './special.ts'
export {
  corrcoef,
  cov,
  kthvalue,
  median,
  mode,
  nanmedian,
  nanquantile,
  quantile,
  type MedianOptions,
  type Interpolation,
  type QuantileOptions,
  type CovarianceOptions,
} from './statistics.ts'
export { Tensor, type GradientHook, type NestedArray } from './tensor.ts'
