/** `nn.functional`: what layers do, without their parameters. */
export {
  celu,
  elu,
  gelu,
  glu,
  hardshrink,
  hardsigmoid,
  hardswish,
  hardtanh,
  leakyRelu,
  logSigmoid,
  logSoftmax,
  maxout,
  mish,
  prelu,
  relu,
  relu6,
  selu,
  sigmoid,
  silu,
  softmax,
  softplus,
  softshrink,
  softsign,
  swiglu,
  swish,
  tanh,
  tanhshrink,
  thresholdedRelu,
} from './activation.ts'
export * from './adaptive-pooling.ts'
export {
  bilinear,
  cosineSimilarity,
  embedding,
  gatherTree,
  labelSmooth,
  linear,
  pairwiseDistance,
  sequenceMask,
  type EmbeddingOptions,
  type PairwiseDistanceOptions,
} from './common.ts'
export { oneHot } from '../../tensor/creation.ts'
export { diagEmbed } from '../../tensor/diagonal.ts'
export { scaledDotProductAttention, type AttentionOptions } from './attention.ts'
export * from './conv.ts'
export * from './dropout.ts'
export * from './grid.ts'
export * from './interpolate.ts'
export * from './loss/cross-entropy.ts'
export { ctcLoss, type CTCLossOptions } from './loss/ctc.ts'
export {
  adaptiveLogSoftmaxWithLoss,
  classCenterSample,
  hsigmoidLoss,
  marginCrossEntropy,
  type HsigmoidLossOptions,
  type MarginCrossEntropyOptions,
} from './loss/many-classes.ts'
export {
  cosineEmbeddingLoss,
  diceLoss,
  hingeEmbeddingLoss,
  marginRankingLoss,
  multiLabelMarginLoss,
  multiLabelSoftMarginLoss,
  multiMarginLoss,
  npairLoss,
  sigmoidFocalLoss,
  softMarginLoss,
  tripletMarginLoss,
  tripletMarginWithDistanceLoss,
  type DistanceFunction,
  type FocalLossOptions,
  type MarginLossOptions,
  type MultiMarginOptions,
  type TripletDistanceOptions,
  type TripletMarginOptions,
} from './loss/ranking.ts'
export type { Reduction, ReductionOptions } from './loss/reduction.ts'
export {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  gaussianNllLoss,
  huberLoss,
  klDiv,
  l1Loss,
  logLoss,
  mseLoss,
  poissonNllLoss,
  smoothL1Loss,
  squareErrorCost,
  type GaussianNllLossOptions,
  type KlDivOptions,
  type LogitsLossOptions,
  type PoissonNllLossOptions,
  type SmoothL1LossOptions,
  type WeightedLossOptions,
} from './loss/regression.ts'
export { rnntLoss, type RNNTLossOptions } from './loss/rnnt.ts'
export { pad, zeropad2d, type PadMode, type PadOptions } from './pad.ts'
export {
  avgPool1d,
  avgPool2d,
  avgPool3d,
  lpPool1d,
  lpPool2d,
  maxPool1d,
  maxPool2d,
  maxPool3d,
  type AvgPoolOptions,
  type MaxPoolOptions,
  type Pooled,
  type PoolOptions,
} from './pooling.ts'
export * from './norm.ts'
export * from './random-activation.ts'
export * from './vision.ts'
