/** A valid call of every function of `nn.functional`, as in calls.ts. */
import * as lz from '../../src/index.ts'
import { nn, toTensor, type Tensor } from '../../src/index.ts'
import { alike, sample, type Call } from './calls.ts'

const { functional } = nn

const x = (): Tensor => sample([2, 3])
const line = (): Tensor => sample([2, 2, 5])
const image = (): Tensor => sample([1, 2, 4, 3])
const volume = (): Tensor => sample([1, 2, 3, 2, 3])
const classes = (): Tensor => toTensor([2, 0])
const signs = (): Tensor => toTensor([1, -1], { dtype: 'float32' })
const shares = (): Tensor => lz.full([2, 3], 0.25)
const cosines = (): Tensor => x().multiply(0.3)
const positive = (): Tensor => x().abs().add(0.5)
const indicesOf = (x: Tensor): Tensor => functional.maxPool2d(x.unsqueeze(0), 2, { returnMask: true })[1]
const lengths = (): Tensor => toTensor([3, 2])

export const functionalCalls: readonly Call[] = [
  ...alike(
    'relu relu6 sigmoid logSigmoid tanh silu swish mish softsign tanhshrink hardswish gelu elu celu selu leakyRelu',
    () => [x()],
  ),
  ...alike('hardsigmoid softplus hardtanh', () => [x(), 0.5, 2]),
  ...alike('hardshrink softshrink', () => [x(), 0.5]),
  ...alike('thresholdedRelu', () => [x(), 1, 0]),
  ...alike('prelu', () => [line(), sample([2])]),
  ...alike('maxout', () => [image(), 2, 1]),
  ...alike('glu', () => [sample([2, 4]), -1]),
  ...alike('swiglu', () => [x(), x()]),
  ...alike('softmax logSoftmax', () => [x(), 1]),
  ...alike('rrelu', () => [x(), 0.1, 0.3]),
  ...alike('gumbelSoftmax', () => [x(), { temperature: 0.5, axis: 1 }]),
  ...alike('linear', () => [x(), sample([3, 2]), sample([2])]),
  ...alike('bilinear', () => [x(), sample([2, 2]), sample([4, 3, 2]), sample([1, 4])]),
  ...alike('embedding', () => [classes(), x(), { paddingIdx: 1 }]),
  ...alike('labelSmooth', () => [shares(), { priorDist: lz.full([1, 3], 0.3), epsilon: 0.1 }]),
  ...alike('sequenceMask', () => [classes(), 3]),
  ...alike('cosineSimilarity', () => [x(), positive(), 1, 1e-6]),
  ...alike('pairwiseDistance', () => [x(), positive(), { p: 2, epsilon: 1e-6 }]),
  ...alike('gatherTree', () => [toTensor([[[2, 2]], [[3, 4]]]), toTensor([[[0, 0]], [[1, 0]]])]),
  ...alike('oneHot', () => [classes(), 3]),
  ...alike('diagEmbed', () => [x(), 0, -2, -1]),
  ...alike('scaledDotProductAttention', () => [
    sample([1, 2, 1, 3]),
    sample([1, 3, 1, 3]),
    sample([1, 3, 1, 3]),
    { attnMask: sample([2, 3]), scale: 0.5, dropoutP: 0 },
  ]),
  ...alike('conv1d', () => [line(), sample([4, 1, 3]), sample([4]), { stride: 1, padding: 1, dilation: 1, groups: 2 }]),
  ...alike('conv2d', () => [
    image(),
    sample([3, 2, 2, 2]),
    sample([3]),
    { stride: [2, 1], padding: [1, 0], dilation: 1 },
  ]),
  ...alike('conv3d', () => [volume(), sample([2, 2, 2, 1, 2]), sample([2]), { stride: 1, padding: 'SAME' }]),
  ...alike('conv1dTranspose', () => [
    line(),
    sample([2, 3, 3]),
    sample([3]),
    { stride: 2, padding: 1, outputPadding: 1 },
  ]),
  ...alike('conv2dTranspose', () => [image(), sample([2, 1, 2, 2]), sample([2]), { stride: 2, groups: 2 }]),
  ...alike('conv3dTranspose', () => [volume(), sample([2, 2, 1, 2, 1]), sample([2]), { dilation: 1, padding: 0 }]),
  ...alike('maxPool1d avgPool1d', () => [line(), 2, { stride: 1, padding: 1 }]),
  ...alike('maxPool2d avgPool2d', () => [image(), [2, 2], { stride: [2, 1], padding: 0 }]),
  ...alike('maxPool3d avgPool3d', () => [volume(), 2, { stride: 1, padding: 0 }]),
  ...alike('lpPool1d', () => [line(), 2, 2, { stride: 1 }]),
  ...alike('lpPool2d', () => [image(), 2, [2, 2], { stride: 2 }]),
  ...alike('adaptiveAvgPool1d adaptiveMaxPool1d', () => [line(), 2]),
  ...alike('adaptiveAvgPool2d adaptiveMaxPool2d', () => [image(), [2, 3]]),
  ...alike('adaptiveAvgPool3d adaptiveMaxPool3d', () => [volume(), 2]),
  ...alike('maxUnpool1d', () => [sample([1, 2, 2]), toTensor([[[0, 3], [1, 2]]]), 2, { stride: 2, padding: 0 }]), // prettier-ignore
  ...alike('maxUnpool2d', () => [sample([1, 2, 2, 1]), indicesOf(sample([2, 4, 3])), 2, { outputSize: [4, 3] }]),
  ...alike('maxUnpool3d', () => [sample([1, 1, 1, 1, 2]), toTensor([0, 3]).reshape([1, 1, 1, 1, 2]), 2]),
  ...alike('pixelShuffle', () => [sample([1, 4, 2, 2]), 2]),
  ...alike('pixelUnshuffle', () => [sample([1, 1, 4, 2]), 2]),
  ...alike('channelShuffle', () => [sample([1, 4, 2, 2]), 2]),
  ...alike('temporalShift', () => [sample([2, 4, 2, 2]), 2, 0.25]),
  ...alike('unfold', () => [image(), [2, 2], { strides: 1, paddings: 1, dilations: 1 }]),
  ...alike('fold', () => [sample([1, 8, 6]), [4, 3], [2, 2], { strides: 1, paddings: 0, dilations: 1 }]),
  ...alike('interpolate upsample', () => [image(), { size: [3, 5], mode: 'bilinear', alignMode: 0 }]),
  ...alike('affineGrid', () => [sample([1, 2, 3]), [1, 2, 3, 2]]),
  ...alike('gridSample', () => [image(), sample([1, 2, 2, 2]), { mode: 'bilinear', paddingMode: 'zeros' }]),
  ...alike('pad', () => [image(), [1, 0, 0, 2], { mode: 'constant', value: 1.5 }]),
  ...alike('zeropad2d', () => [image(), [1, 0, 0, 2]]),
  ...alike('dropout', () => [x(), 0.5, { axis: 1, mode: 'upscale_in_train' }]),
  ...alike('dropout1d', () => [line(), 0.5]),
  ...alike('dropout2d', () => [image(), 0.5]),
  ...alike('dropout3d', () => [volume(), 0.5]),
  ...alike('alphaDropout featureAlphaDropout', () => [image(), 0.5]),
  ...alike('batchNorm', () => [
    image(),
    sample([2]),
    sample([2]).abs().add(1),
    { weight: sample([2]), bias: sample([2]), momentum: 0.9, epsilon: 1e-5, training: true },
  ]),
  ...alike('layerNorm', () => [image(), [4, 3], { weight: sample([4, 3]), bias: sample([4, 3]), epsilon: 1e-5 }]),
  ...alike('rmsNorm', () => [x(), 3, { weight: sample([3]), epsilon: 1e-5 }]),
  ...alike('groupNorm', () => [sample([1, 4, 3]), 2, { weight: sample([4]), bias: sample([4]), epsilon: 1e-5 }]),
  ...alike('instanceNorm', () => [image(), { weight: sample([2]), bias: sample([2]) }]),
  ...alike('localResponseNorm', () => [image(), 3, { alpha: 1e-4, beta: 0.75, k: 1 }]),
  ...alike('normalize', () => [x(), { p: 2, axis: 1, epsilon: 1e-12 }]),
  ...alike('spectralNorm', () => [x(), sample([2]), sample([3]), { dim: 0, powerIters: 1, epsilon: 1e-12 }]),
  ...alike('crossEntropy', () => [
    x(),
    classes(),
    { weight: lz.ones([3]), ignoreIndex: 1, axis: 1, labelSmoothing: 0.1, reduction: 'mean' },
  ]),
  ...alike('softmaxWithCrossEntropy', () => [x(), classes().unsqueeze(1), { axis: 1, ignoreIndex: 1 }]),
  ...alike('nllLoss', () => [x(), classes(), { weight: lz.ones([3]), ignoreIndex: 1, reduction: 'sum' }]),
  ...alike('ctcLoss', () => [sample([4, 2, 3]), toTensor([[1, 2], [2, 0]]), lengths(), toTensor([2, 1]), { blank: 0 }]), // prettier-ignore
  ...alike('rnntLoss', () => [
    sample([2, 3, 2, 3]),
    toTensor([[1], [2]]),
    lengths(),
    toTensor([1, 1]),
    { blank: 0, fastemitLambda: 0 },
  ]),
  ...alike('mseLoss l1Loss', () => [x(), positive(), { reduction: 'mean' }]),
  ...alike('squareErrorCost', () => [x(), positive()]),
  ...alike('smoothL1Loss huberLoss', () => [x(), positive(), { delta: 1 }]),
  ...alike('binaryCrossEntropy', () => [shares(), shares(), { weight: lz.ones([3]) }]),
  ...alike('binaryCrossEntropyWithLogits', () => [x(), shares(), { weight: lz.ones([3]), posWeight: lz.ones([3]) }]),
  ...alike('klDiv', () => [x(), shares(), { reduction: 'batchmean' }]),
  ...alike('logLoss', () => [shares(), shares(), 1e-4]),
  ...alike('poissonNllLoss', () => [x(), positive(), { epsilon: 1e-8 }]),
  ...alike('gaussianNllLoss', () => [x(), positive(), positive(), { epsilon: 1e-6 }]),
  ...alike('softMarginLoss', () => [sample([2]), signs(), { reduction: 'none' }]),
  ...alike('marginRankingLoss', () => [sample([2]), sample([2]), signs(), { margin: 0.5 }]),
  ...alike('hingeEmbeddingLoss', () => [sample([2]), signs(), { margin: 1 }]),
  ...alike('cosineEmbeddingLoss', () => [x(), positive(), toTensor([1, -1]), { margin: 0 }]),
  ...alike('tripletMarginLoss', () => [x(), positive(), x(), { margin: 1, p: 2, epsilon: 1e-6 }]),
  ...alike('tripletMarginWithDistanceLoss', () => [x(), positive(), x(), { margin: 1 }]),
  ...alike('multiLabelSoftMarginLoss', () => [x(), shares(), { weight: lz.ones([3]) }]),
  ...alike('multiMarginLoss', () => [x(), classes(), { p: 1, margin: 1 }]),
  ...alike('sigmoidFocalLoss', () => [x(), shares(), { normalizer: toTensor([2.5]), alpha: 0.25, gamma: 2 }]),
  ...alike('diceLoss', () => [shares(), toTensor([[2], [0]]), 1e-5]),
  ...alike('npairLoss', () => [x(), positive(), classes(), 0.002]),
  ...alike('multiLabelMarginLoss', () => [x(), toTensor([[1, -1, 0], [2, 0, -1]]), { reduction: 'mean' }]), // prettier-ignore
  ...alike('hsigmoidLoss', () => [x(), classes(), 4, sample([3, 3]), { bias: sample([3, 1]) }]),
  ...alike('hsigmoidLoss', () => [
    x(),
    classes(),
    4,
    sample([3, 3]),
    { pathTable: toTensor([[0, 1], [2, -1]]), pathCode: toTensor([[1, 0], [1, 0]]) }, // prettier-ignore
  ]),
  ...alike('adaptiveLogSoftmaxWithLoss', () => [
    x(),
    classes(),
    sample([3, 3]),
    [[sample([3, 2]), sample([2, 2])]],
    [2, 4],
    sample([3]),
  ]),
  // Without margin1: it multiplies an angle, and 2^31 times that is noise to a cosine.
  ...alike('marginCrossEntropy', () => [
    cosines(),
    classes(),
    { margin2: 0.3, margin3: 0.1, scale: 8, returnSoftmax: true, reduction: 'mean' },
  ]),
  ...alike('classCenterSample', () => [classes(), 5, 3]),
]
