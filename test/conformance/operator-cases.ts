/** The expression of each recorded operator case in our API: Paddle's is in the case's JSON (`expr`). */
import { nn, type Tensor } from '../../src/index.ts'

const F = nn.functional

/** Inputs by name. */
export type Inputs = Readonly<Record<string, Tensor>>

type Run = (inputs: Inputs) => Tensor | readonly Tensor[]

const x1 =
  (f: (x: Tensor) => Tensor): Run =>
  ({ x }) =>
    f(x!)
const xw =
  (f: (x: Tensor, w: Tensor, b: Tensor | null) => Tensor): Run =>
  ({ x, w, b }) =>
    f(x!, w!, b ?? null)
const xy =
  (f: (x: Tensor, y: Tensor) => Tensor): Run =>
  ({ x, y }) =>
    f(x!, y!)

export const operatorCases: Readonly<Record<string, Run>> = {
  act_gelu_tanh: x1((x) => F.gelu(x, true)),
  act_hardsigmoid: x1((x) => F.hardsigmoid(x, 0.1666667, 0.5)),
  act_hardswish: x1((x) => F.hardswish(x)),
  act_leaky_relu: x1((x) => F.leakyRelu(x, 0.01)),
  act_log_sigmoid: x1((x) => F.logSigmoid(x)),
  act_mish: x1((x) => F.mish(x)),
  act_prelu: ({ x, w }) => F.prelu(x!, w!),
  act_relu6: x1((x) => F.relu6(x)),
  act_selu: x1((x) => F.selu(x)),
  act_silu: x1((x) => F.silu(x)),
  act_swish: x1((x) => F.swish(x)),
  act_tanh: x1((x) => F.tanh(x)),
  adaptive_avg_pool2d_1: x1((x) => F.adaptiveAvgPool2d(x, 1)),
  attention: ({ q, k, v, m }) => F.softmax(q!.multiply(0.5).matmul(k!, { transposeY: true }).add(m!)).matmul(v!),
  avg_pool2d_ceil: x1((x) => F.avgPool2d(x, 3, { stride: 2, ceilMode: true })),
  avg_pool2d_inclusive: x1((x) => F.avgPool2d(x, 3, { stride: 2, padding: 1, exclusive: false })),
  conv1d: xw((x, w, b) => F.conv1d(x, w, b, { stride: 2, padding: 1 })),
  conv2d_basic: xw((x, w, b) => F.conv2d(x, w, b)),
  conv2d_depthwise: xw((x, w) => F.conv2d(x, w, null, { groups: 5, padding: 2, stride: 2 })),
  conv2d_depthwise_mult: xw((x, w) => F.conv2d(x, w, null, { groups: 3, padding: 1 })),
  conv2d_dilated: xw((x, w) => F.conv2d(x, w, null, { dilation: 2, padding: 2 })),
  conv2d_same: xw((x, w) => F.conv2d(x, w, null, { stride: 2, padding: 'SAME' })),
  conv2d_transpose_pad_op: xw((x, w) =>
    F.conv2dTranspose(x, w, null, { stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
  ),
  conv3d: xw((x, w, b) => F.conv3d(x, w, b, { padding: 1 })),
  cross_entropy_4d: xy((x, y) => F.crossEntropy(x, y, { axis: 1 })),
  cross_entropy_label2d: xy((x, y) => F.crossEntropy(x, y, { reduction: 'none' })),
  cross_entropy_mean: xy((x, y) => F.crossEntropy(x, y, { reduction: 'mean' })),
  cross_entropy_none: xy((x, y) => F.crossEntropy(x, y, { reduction: 'none' })),
  cross_entropy_nosoftmax: xy((x, y) => F.crossEntropy(F.softmax(x), y, { useSoftmax: false })),
  cross_entropy_smooth: xy((x, y) => F.crossEntropy(x, y, { labelSmoothing: 0.1 })),
  cross_entropy_soft: xy((x, y) => F.crossEntropy(x, y, { softLabel: true })),
  cross_entropy_sum: xy((x, y) => F.crossEntropy(x, y, { reduction: 'sum' })),
  cross_entropy_weight: ({ x, y, w }) => F.crossEntropy(x!, y!, { weight: w! }),
  ctc_loss_none: ({ x, y, il, ll }) => F.ctcLoss(x!, y!, il!, ll!, { reduction: 'none' }),
  dropout_eval_modes: ({ x }) => [
    F.dropout(x!, 0.3, { training: false, mode: 'upscale_in_train' }),
    F.dropout(x!, 0.3, { training: false, mode: 'downscale_in_infer' }),
  ],
  layer_norm: ({ x, w, b }) => F.layerNorm(x!, x!.shape.slice(-1), { weight: w!, bias: b! }),
  layer_norm_2d: ({ x, w, b }) => F.layerNorm(x!, x!.shape.slice(-2), { weight: w!, bias: b!, epsilon: 1e-6 }),
  local_response_norm: x1((x) => F.localResponseNorm(x, 5)),
  linear: xw((x, w, b) => F.linear(x, w, b)),
  log_softmax: x1((x) => F.logSoftmax(x, -1)),
  max_pool2d: x1((x) => F.maxPool2d(x, 2, { stride: 2 })),
  max_pool2d_pad_ceil: x1((x) => F.maxPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true })),
  nll_loss: xy((x, y) => F.nllLoss(F.logSoftmax(x), y)),
  pad_constant: x1((x) => F.pad(x, [1, 2, 0, 3], { mode: 'constant', value: 0.5 })),
  pad_reflect: x1((x) => F.pad(x, [1, 2, 1, 1], { mode: 'reflect' })),
  bce: xy((x, y) => F.binaryCrossEntropy(F.sigmoid(x), y)),
  bce_logits: ({ x, y, p }) => F.binaryCrossEntropyWithLogits(x!, y!, { posWeight: p! }),
  embedding: ({ i, w }) => F.embedding(i!, w!, { paddingIdx: 0 }),
  kl_div: xy((x, y) => F.klDiv(F.logSoftmax(x), F.softmax(y), { reduction: 'batchmean' })),
  l1_loss: xy((x, y) => F.l1Loss(x, y)),
  margin_ranking: ({ x, y, t }) => F.marginRankingLoss(x!, y!, t!, { margin: 0.1 }),
  one_hot: ({ i }) => F.oneHot(i!, 7),
  sequence_mask_label_smooth: ({ l, x }) => [F.sequenceMask(l!, 6), F.labelSmooth(x!, { epsilon: 0.1 })],
  smooth_l1_loss: xy((x, y) => F.smoothL1Loss(x, y, { delta: 1 })),
  interp_bilinear_ac: x1((x) => F.interpolate(x, { size: [7, 8], mode: 'bilinear', alignCorners: true })),
  interp_bilinear_am1: x1((x) => F.interpolate(x, { size: [7, 8], mode: 'bilinear', alignMode: 1 })),
  pixel_shuffle: x1((x) => F.pixelShuffle(x, 2)),
  unfold: x1((x) => F.unfold(x, 3, { strides: 2, paddings: 1 })),
  softmax_axis1: x1((x) => F.softmax(x, 1)),
}
