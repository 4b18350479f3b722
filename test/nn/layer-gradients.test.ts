/** First and second gradients of the functions of layers, by finite differences in float64. */
import { beforeAll, describe, it } from 'vitest'
import { nn, ones, setDevice, toTensor, zeros, type Tensor } from '../../src/index.ts'
import { gradcheck, type Argument, type Differentiable, type GradcheckOptions } from '../gradcheck.ts'

const F = nn.functional
type Row = readonly [string, Differentiable, readonly Argument[], GradcheckOptions?]

const x: Argument = { shape: [2, 3] }
const image: Argument = { shape: [1, 2, 4, 4], range: [-1, 1] }
const labels = (): Tensor => toTensor([2, 0])
const signs = (): Tensor =>
  toTensor(
    [
      [1, -1, 1],
      [-1, 1, 1],
    ],
    'float64',
  )
const half = (): Tensor =>
  toTensor(
    [
      [0.2, 0.7, 0.4],
      [1, 0, 0.5],
    ],
    'float64',
  )

/** Batch normalisation of two channels by the statistics of the batch. */
const trained = (a: Tensor, options: nn.functional.BatchNormOptions): Tensor =>
  F.batchNorm(a, zeros([2], 'float64'), ones([2], 'float64'), { ...options, training: true })

const activations: Row[] = [
  ['relu', (a) => F.relu(a!), [x]],
  ['gelu', (a) => F.gelu(a!), [x]],
  ['gelu by tanh', (a) => F.gelu(a!, true), [x]],
  ['silu', (a) => F.silu(a!), [x]],
  ['mish', (a) => F.mish(a!), [x]],
  ['softplus', (a) => F.softplus(a!, 2), [x]],
  ['logSigmoid', (a) => F.logSigmoid(a!), [x]],
  ['elu', (a) => F.elu(a!, 0.7), [x]],
  ['selu', (a) => F.selu(a!), [x]],
  ['celu', (a) => F.celu(a!, 0.7), [x]],
  ['hardswish', (a) => F.hardswish(a!), [x]],
  ['softsign', (a) => F.softsign(a!), [x]],
  ['prelu', (a, w) => F.prelu(a!, w!), [x, { shape: [3], range: [0.1, 0.5] }]],
  ['softmax', (a) => F.softmax(a!), [x]],
  ['logSoftmax', (a) => F.logSoftmax(a!, 0), [x]],
  ['swiglu', (a) => F.swiglu(a!), [{ shape: [2, 4] }]],
]

const maps: Row[] = [
  ['linear', (a, w, b) => F.linear(a!, w!, b!), [x, { shape: [3, 2] }, { shape: [2] }]],
  ['bilinear', (a, b, w) => F.bilinear(a!, b!, w!), [x, { shape: [2, 2] }, { shape: [2, 3, 2] }]],
  ['embedding', (w) => F.embedding(labels(), w!, { paddingIdx: 0 }), [{ shape: [4, 2] }]],
  [
    'conv2d',
    (a, w, b) => F.conv2d(a!, w!, b!, { stride: 2, padding: 1 }),
    [image, { shape: [2, 2, 3, 2] }, { shape: [2] }],
  ],
  [
    'conv2d in groups',
    (a, w) => F.conv2d(a!, w!, null, { groups: 2, dilation: 2, padding: 2 }),
    [image, { shape: [4, 1, 2, 2] }],
  ],
  [
    'conv2dTranspose',
    (a, w) => F.conv2dTranspose(a!, w!, null, { stride: 2, padding: 1 }),
    [{ shape: [1, 2, 2, 3] }, { shape: [2, 2, 3, 2] }],
  ],
  ['maxPool2d', (a) => F.maxPool2d(a!, 3, { stride: 1, padding: 1 }), [image]],
  ['maxPool2d apart', (a) => F.maxPool2d(a!, 2), [image]],
  ['avgPool2d', (a) => F.avgPool2d(a!, 3, { stride: 2, padding: 1 }), [image]],
  ['lpPool2d', (a) => F.lpPool2d(a!, 2, 2), [{ ...image, range: [0.2, 1] }]],
  ['adaptiveAvgPool2d', (a) => F.adaptiveAvgPool2d(a!, 3), [image]],
  ['adaptiveMaxPool2d', (a) => F.adaptiveMaxPool2d(a!, 3), [image]],
]

const norms: Row[] = [
  ['layerNorm', (a, w, b) => F.layerNorm(a!, 3, { weight: w!, bias: b! }), [x, { shape: [3] }, { shape: [3] }]],
  ['rmsNorm', (a, w) => F.rmsNorm(a!, 3, { weight: w! }), [x, { shape: [3] }]],
  [
    'batchNorm',
    (a, w, b) => trained(a!, { weight: w!, bias: b! }),
    [{ shape: [3, 2, 2] }, { shape: [2] }, { shape: [2] }],
  ],
  ['batchNorm, channels last', (a) => trained(a!, { dataFormat: 'NLC' }), [{ shape: [2, 2, 2] }]],
  ['groupNorm', (a) => F.groupNorm(a!, 2), [{ shape: [2, 4, 2] }]],
  ['instanceNorm', (a) => F.instanceNorm(a!), [{ shape: [2, 2, 3] }]],
  ['localResponseNorm', (a) => F.localResponseNorm(a!, 3, { alpha: 0.5 }), [{ shape: [1, 4, 2] }]],
  ['normalize', (a) => F.normalize(a!), [x]],
  ['cosineSimilarity', (a, b) => F.cosineSimilarity(a!, b!), [x, x]],
  ['pairwiseDistance', (a, b) => F.pairwiseDistance(a!, b!, { p: 3 }), [x, { shape: [2, 3], range: [3, 5] }]],
]

const rearrangements: Row[] = [
  ['interpolate bilinear', (a) => F.interpolate(a!, { size: [5, 3], mode: 'bilinear' }), [image]],
  ['interpolate bicubic', (a) => F.interpolate(a!, { size: [3, 6], mode: 'bicubic' }), [image]],
  ['interpolate nearest', (a) => F.interpolate(a!, { size: [8, 6] }), [image]],
  ['pad reflect', (a) => F.pad(a!, [1, 2, 1, 0], { mode: 'reflect' }), [image]],
  ['pad circular', (a) => F.pad(a!, [1, 2, 1, 0], { mode: 'circular' }), [image]],
  ['pixelShuffle', (a) => F.pixelShuffle(a!, 2), [{ shape: [1, 4, 2, 2] }]],
  ['unfold', (a) => F.unfold(a!, 2, { paddings: 1 }), [image]],
  ['fold', (a) => F.fold(a!, [3, 3], 2), [{ shape: [1, 4, 4] }]],
  ['temporalShift', (a) => F.temporalShift(a!, 2), [{ shape: [2, 4, 1, 2] }]],
  [
    'gridSample',
    (a, g) => F.gridSample(a!, g!),
    [image, { shape: [1, 2, 2, 2], values: [-0.52, 0.31, 0.2, -0.8, 0.71, 0.1, -0.1, -0.3] }],
  ],
  ['affineGrid', (t) => F.affineGrid(t!, [1, 1, 2, 3]), [{ shape: [1, 2, 3] }]],
]

const losses: Row[] = [
  ['crossEntropy', (a) => F.crossEntropy(a!, labels(), { ignoreIndex: 0 }), [x]],
  ['crossEntropy smoothed', (a) => F.crossEntropy(a!, labels(), { labelSmoothing: 0.1 }), [x]],
  ['crossEntropy of soft labels', (a, y) => F.crossEntropy(a!, F.softmax(y!), { softLabel: true }), [x, x]],
  ['nllLoss', (a) => F.nllLoss(F.logSoftmax(a!), labels()), [x]],
  ['mseLoss', (a, b) => F.mseLoss(a!, b!), [x, x]],
  ['smoothL1Loss', (a, b) => F.smoothL1Loss(a!, b!), [x, x]],
  ['binaryCrossEntropy', (a) => F.binaryCrossEntropy(a!, half()), [{ shape: [2, 3], range: [0.1, 0.9] }]],
  ['binaryCrossEntropyWithLogits', (a) => F.binaryCrossEntropyWithLogits(a!, half()), [x]],
  ['klDiv', (a) => F.klDiv(F.logSoftmax(a!), half()), [x]],
  ['poissonNllLoss', (a) => F.poissonNllLoss(a!, half(), { full: true }), [x]],
  ['gaussianNllLoss', (a, v) => F.gaussianNllLoss(a!, half(), v!), [x, { shape: [2, 3], range: [0.5, 2] }]],
  ['softMarginLoss', (a) => F.softMarginLoss(a!, signs()), [x]],
  ['multiMarginLoss', (a) => F.multiMarginLoss(a!, labels(), { p: 2 }), [x]],
  ['cosineEmbeddingLoss', (a, b) => F.cosineEmbeddingLoss(a!, b!, toTensor([1, -1])), [x, x]],
  [
    'tripletMarginLoss',
    (a, p, n) => F.tripletMarginLoss(a!, p!, n!),
    [x, { shape: [2, 3], range: [2, 4] }, { shape: [2, 3], range: [-4, -2] }],
  ],
  ['sigmoidFocalLoss', (a) => F.sigmoidFocalLoss(a!, half(), { gamma: 1.5 }), [x]],
  ['diceLoss', (a) => F.diceLoss(F.softmax(a!), labels().unsqueeze(-1)), [x]],
  ['npairLoss', (a, p) => F.npairLoss(a!, p!, labels()), [x, x]],
]

describe.each([
  ['activations', activations],
  ['maps and pools', maps],
  ['normalisations', norms],
  ['rearrangements', rearrangements],
  ['losses', losses],
])('gradients of %s', (_, rows) => {
  beforeAll(() => setDevice('reference'))

  it.each(rows.map((row) => [row[0], row] as const))('%s', async (__, [___, f, args, options]) => {
    await gradcheck(f, args, options)
  })
})
