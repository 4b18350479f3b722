/** Functions of layers in Paddle's words and in ours: the second table behind ask-paddle.test.ts. */
import { nn, type Tensor } from '../../src/index.ts'
import { f, i, type Draw, type Row, type Shape } from './paddle-functions.ts'

const F = nn.functional

/** A row of `n` spatial axes: x is [2, channels, ..] with sizes that vary with the case. */
const image =
  (channels: number, base: readonly number[]) =>
  (s: Shape): Shape => [2, channels, ...base.map((b, k) => b + s[k % s.length]!)]
const fixed =
  (...shape: number[]) =>
  (): Shape =>
    shape

/** Paddle's expression, ours, and the draws. */
const row = (
  name: string,
  python: string,
  ours: (x: Tensor, y: Tensor, z: Tensor) => Tensor | readonly Tensor[],
  draws: readonly Draw[],
  more: Partial<Row> = {},
): Row => ({ name, python, ours, draws, ...more })

const activation = (name: string, ours: (x: Tensor) => Tensor, call = `F.${name}(x)`, draw: Draw = f(-4, 4)): Row =>
  row(name === call ? name : call, call, ours, [draw])

const activations: readonly Row[] = [
  activation('relu', F.relu),
  activation('relu6', F.relu6, 'F.relu6(x)', f(-8, 8)),
  activation('sigmoid', F.sigmoid),
  activation('log_sigmoid', F.logSigmoid, 'F.log_sigmoid(x)', f(-60, 60)),
  activation('silu', F.silu),
  activation('mish', F.mish),
  activation('softsign', F.softsign),
  activation('tanhshrink', F.tanhshrink),
  activation('hardswish', F.hardswish),
  activation('gelu', (x) => F.gelu(x)),
  activation('gelu', (x) => F.gelu(x, true), 'F.gelu(x, approximate=True)'),
  activation('elu', (x) => F.elu(x, 0.7), 'F.elu(x, 0.7)'),
  activation('celu', (x) => F.celu(x, 0.7), 'F.celu(x, 0.7)'),
  activation('selu', (x) => F.selu(x)),
  activation('leaky_relu', (x) => F.leakyRelu(x, 0.2), 'F.leaky_relu(x, 0.2)'),
  activation('hardsigmoid', (x) => F.hardsigmoid(x)),
  activation('hardtanh', (x) => F.hardtanh(x, -1, 2), 'F.hardtanh(x, -1.0, 2.0)'),
  activation('hardshrink', (x) => F.hardshrink(x)),
  activation('softshrink', (x) => F.softshrink(x)),
  activation('thresholded_relu', (x) => F.thresholdedRelu(x, 0.5), 'F.thresholded_relu(x, 0.5)'),
  activation('softplus', (x) => F.softplus(x, 2, 5), 'F.softplus(x, 2, 5)'),
  activation('softmax', (x) => F.softmax(x, 0), 'F.softmax(x, 0)'),
  activation('log_softmax', (x) => F.logSoftmax(x, 1), 'F.log_softmax(x, 1)'),
  row('rrelu outside training', 'F.rrelu(x, 0.1, 0.3, training=False)', (x) => F.rrelu(x, 0.1, 0.3, false), [f()]),
  row('maxout', 'F.maxout(x, 2)', (x) => F.maxout(x, 2), [f(-2, 2, image(4, [1, 2]))]),
  row('glu', 'F.glu(x)', (x) => F.glu(x), [f(-2, 2, fixed(3, 6))]),
  row('swiglu', 'paddle.nn.functional.swiglu(x)', (x) => F.swiglu(x), [f(-2, 2, fixed(3, 6))]),
  row('prelu', 'F.prelu(x, y)', (x, y) => F.prelu(x, y), [f(-2, 2, image(3, [2, 2])), f(0.1, 0.5, fixed(3))]),
]

const convolutions: readonly Row[] = [
  row(
    'conv1d',
    'F.conv1d(x, y, z, stride=2, padding=[1, 2], dilation=2)',
    (x, y, z) => F.conv1d(x, y, z, { stride: 2, padding: [1, 2], dilation: 2 }),
    [f(-1, 1, image(3, [6])), f(-1, 1, fixed(4, 3, 3)), f(-1, 1, fixed(4))],
  ),
  row(
    'conv2d',
    'F.conv2d(x, y, z, stride=[2, 1], padding=[1, 2])',
    (x, y, z) => F.conv2d(x, y, z, { stride: [2, 1], padding: [1, 2] }),
    [f(-1, 1, image(3, [4, 3])), f(-1, 1, fixed(4, 3, 3, 2)), f(-1, 1, fixed(4))],
  ),
  row(
    'conv2d with four paddings and groups',
    'F.conv2d(x, y, z, padding=[1, 2, 0, 1], groups=2)',
    (x, y, z) => F.conv2d(x, y, z, { padding: [1, 2, 0, 1], groups: 2 }),
    [f(-1, 1, image(4, [3, 3])), f(-1, 1, fixed(6, 2, 3, 3)), f(-1, 1, fixed(6))],
  ),
  row(
    'conv2d with pairs',
    'F.conv2d(x, y, padding=[[0, 0], [0, 0], [1, 0], [2, 1]])',
    (x, y) =>
      F.conv2d(x, y, null, {
        padding: [
          [0, 0],
          [0, 0],
          [1, 0],
          [2, 1],
        ],
      }),
    [f(-1, 1, image(2, [3, 3])), f(-1, 1, fixed(3, 2, 3, 3))],
  ),
  row(
    'conv2d SAME',
    'F.conv2d(x, y, stride=2, padding="SAME")',
    (x, y) => F.conv2d(x, y, null, { stride: 2, padding: 'SAME' }),
    [f(-1, 1, image(2, [3, 4])), f(-1, 1, fixed(3, 2, 3, 2))],
  ),
  row('conv2d VALID', 'F.conv2d(x, y, padding="VALID")', (x, y) => F.conv2d(x, y, null, { padding: 'VALID' }), [
    f(-1, 1, image(2, [3, 4])),
    f(-1, 1, fixed(3, 2, 3, 2)),
  ]),
  row(
    'conv2d NHWC',
    'F.conv2d(x, y, z, padding=1, data_format="NHWC")',
    (x, y, z) => F.conv2d(x, y, z, { padding: 1, dataFormat: 'NHWC' }),
    [f(-1, 1, (s) => [2, 3 + s[0]!, 4, 3]), f(-1, 1, fixed(4, 3, 3, 3)), f(-1, 1, fixed(4))],
  ),
  row(
    'conv2d depthwise',
    'F.conv2d(x, y, padding=1, groups=3)',
    (x, y) => F.conv2d(x, y, null, { padding: 1, groups: 3 }),
    [f(-1, 1, image(3, [3, 3])), f(-1, 1, fixed(6, 1, 3, 3))],
  ),
  row('conv3d', 'F.conv3d(x, y, z, stride=2, padding=1)', (x, y, z) => F.conv3d(x, y, z, { stride: 2, padding: 1 }), [
    f(-1, 1, image(2, [2, 2, 2])),
    f(-1, 1, fixed(3, 2, 2, 3, 2)),
    f(-1, 1, fixed(3)),
  ]),
  row(
    'conv1d_transpose',
    'F.conv1d_transpose(x, y, z, stride=2, padding=1, output_padding=1)',
    (x, y, z) => F.conv1dTranspose(x, y, z, { stride: 2, padding: 1, outputPadding: 1 }),
    [f(-1, 1, image(3, [3])), f(-1, 1, fixed(3, 4, 3)), f(-1, 1, fixed(4))],
  ),
  row(
    'conv2d_transpose',
    'F.conv2d_transpose(x, y, z, stride=[2, 3], padding=[1, 0], dilation=[2, 1])',
    (x, y, z) => F.conv2dTranspose(x, y, z, { stride: [2, 3], padding: [1, 0], dilation: [2, 1] }),
    [f(-1, 1, image(3, [1, 2])), f(-1, 1, fixed(3, 2, 3, 3)), f(-1, 1, fixed(2))],
  ),
  row(
    'conv2d_transpose with groups',
    'F.conv2d_transpose(x, y, stride=2, groups=2)',
    (x, y) => F.conv2dTranspose(x, y, null, { stride: 2, groups: 2 }),
    [f(-1, 1, image(4, [1, 2])), f(-1, 1, fixed(4, 3, 2, 3))],
  ),
  row(
    'conv2d_transpose of a size',
    'F.conv2d_transpose(x, y, stride=3, output_size=[8, 9])',
    (x, y) => F.conv2dTranspose(x, y, null, { stride: 3, outputSize: [8, 9] }),
    [f(-1, 1, fixed(1, 2, 3, 3)), f(-1, 1, fixed(2, 3, 2, 3))],
  ),
  row(
    'conv3d_transpose',
    'F.conv3d_transpose(x, y, z, stride=2, padding=1)',
    (x, y, z) => F.conv3dTranspose(x, y, z, { stride: 2, padding: 1 }),
    [f(-1, 1, image(2, [1, 1, 1])), f(-1, 1, fixed(2, 3, 3, 2, 3)), f(-1, 1, fixed(3))],
  ),
  row('linear', 'F.linear(x, y, z)', (x, y, z) => F.linear(x, y, z), [
    f(-1, 1, (s) => [...s, 4]),
    f(-1, 1, fixed(4, 5)),
    f(-1, 1, fixed(5)),
  ]),
  row('bilinear', 'F.bilinear(x, y, z)', (x, y, z) => F.bilinear(x, y, z), [
    f(-1, 1, fixed(3, 4)),
    f(-1, 1, fixed(3, 2)),
    f(-1, 1, fixed(5, 4, 2)),
  ]),
  row('embedding', 'F.embedding(x, y, padding_idx=-1)', (x, y) => F.embedding(x, y, { paddingIdx: -1 }), [
    i(0, 4),
    f(-1, 1, fixed(5, 3)),
  ]),
]

const pools: readonly Row[] = [
  row('max_pool1d', 'F.max_pool1d(x, 3, 2, 1)', (x) => F.maxPool1d(x, 3, { stride: 2, padding: 1 }), [
    f(-2, 2, image(2, [5])),
  ]),
  row(
    'max_pool2d',
    'F.max_pool2d(x, [3, 2], [2, 1], [1, 0])',
    (x) => F.maxPool2d(x, [3, 2], { stride: [2, 1], padding: [1, 0] }),
    [f(-2, 2, image(2, [4, 4]))],
  ),
  row(
    'max_pool2d with mask',
    'F.max_pool2d(x, 3, 2, 1, return_mask=True)',
    (x) => F.maxPool2d(x, 3, { stride: 2, padding: 1, returnMask: true }),
    [f(-2, 2, image(2, [4, 4]))],
  ),
  row(
    'max_pool2d ceil',
    'F.max_pool2d(x, 2, 2, ceil_mode=True)',
    (x) => F.maxPool2d(x, 2, { stride: 2, ceilMode: true }),
    [f(-2, 2, image(2, [4, 4]))],
  ),
  row(
    'max_pool2d NHWC',
    'F.max_pool2d(x, 2, 2, data_format="NHWC")',
    (x) => F.maxPool2d(x, 2, { stride: 2, dataFormat: 'NHWC' }),
    [f(-2, 2, (s) => [2, 4 + s[0]!, 5, 3])],
  ),
  row('max_pool3d', 'F.max_pool3d(x, 2, 2)', (x) => F.maxPool3d(x, 2, { stride: 2 }), [f(-2, 2, image(2, [2, 2, 2]))]),
  row('avg_pool1d', 'F.avg_pool1d(x, 3, 2, 1)', (x) => F.avgPool1d(x, 3, { stride: 2, padding: 1 }), [
    f(-2, 2, image(2, [5])),
  ]),
  row(
    'avg_pool2d',
    'F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)',
    (x) => F.avgPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true }),
    [f(-2, 2, image(2, [4, 4]))],
  ),
  row(
    'avg_pool2d inclusive',
    'F.avg_pool2d(x, 3, 2, 1, exclusive=False)',
    (x) => F.avgPool2d(x, 3, { stride: 2, padding: 1, exclusive: false }),
    [f(-2, 2, image(2, [4, 4]))],
  ),
  row(
    'avg_pool2d divisor',
    'F.avg_pool2d(x, 2, 1, divisor_override=3)',
    (x) => F.avgPool2d(x, 2, { stride: 1, divisorOverride: 3 }),
    [f(-2, 2, image(2, [3, 3]))],
  ),
  row('avg_pool3d', 'F.avg_pool3d(x, 2, 2)', (x) => F.avgPool3d(x, 2, { stride: 2 }), [f(-2, 2, image(2, [2, 2, 2]))]),
  row('lp_pool2d', 'F.lp_pool2d(x, 3.0, 2, 2)', (x) => F.lpPool2d(x, 3, 2, { stride: 2 }), [
    f(0.1, 2, image(2, [3, 3])),
  ]),
  row('lp_pool1d', 'F.lp_pool1d(x, 2.0, 2, 2)', (x) => F.lpPool1d(x, 2, 2, { stride: 2 }), [f(0.1, 2, image(2, [3]))]),
  row('adaptive_avg_pool1d', 'F.adaptive_avg_pool1d(x, 3)', (x) => F.adaptiveAvgPool1d(x, 3), [
    f(-2, 2, image(2, [3])),
  ]),
  row('adaptive_avg_pool2d', 'F.adaptive_avg_pool2d(x, [3, 2])', (x) => F.adaptiveAvgPool2d(x, [3, 2]), [
    f(-2, 2, image(2, [3, 3])),
  ]),
  row(
    'adaptive_avg_pool2d of one axis',
    'F.adaptive_avg_pool2d(x, [None, 2])',
    (x) => F.adaptiveAvgPool2d(x, [null, 2]),
    [f(-2, 2, image(2, [3, 3]))],
  ),
  row('adaptive_avg_pool3d', 'F.adaptive_avg_pool3d(x, 2)', (x) => F.adaptiveAvgPool3d(x, 2), [
    f(-2, 2, image(2, [1, 1, 1])),
  ]),
  row('adaptive_max_pool1d', 'F.adaptive_max_pool1d(x, 3)', (x) => F.adaptiveMaxPool1d(x, 3), [
    f(-2, 2, image(2, [3])),
  ]),
  row(
    'adaptive_max_pool2d',
    'F.adaptive_max_pool2d(x, [3, 2], return_mask=True)',
    (x) => F.adaptiveMaxPool2d(x, [3, 2], { returnMask: true }),
    [f(-2, 2, image(2, [3, 3]))],
  ),
  row('adaptive_max_pool3d', 'F.adaptive_max_pool3d(x, 2)', (x) => F.adaptiveMaxPool3d(x, 2), [
    f(-2, 2, image(2, [1, 1, 1])),
  ]),
  row(
    'max_unpool2d',
    'F.max_unpool2d(*F.max_pool2d(x, 2, 2, return_mask=True), kernel_size=2, stride=2)',
    (x) => F.maxUnpool2d(...F.maxPool2d(x, 2, { stride: 2, returnMask: true }), 2, { stride: 2 }),
    [f(-2, 2, fixed(2, 3, 4, 6))],
  ),
]

const norms: readonly Row[] = [
  row(
    'batch_norm while training',
    'F.batch_norm(x, paddle.zeros([3]), paddle.ones([3]), y, z, training=True)',
    (x, y, z) => trained(x, y, z),
    [f(-2, 2, image(3, [2, 2])), f(0.5, 1.5, fixed(3)), f(-1, 1, fixed(3))],
    { tolerance: 2e-5 },
  ),
  row(
    'layer_norm',
    'F.layer_norm(x, x.shape[1:], y, z)',
    (x, y, z) => F.layerNorm(x, x.shape.slice(1), { weight: y, bias: z }),
    [f(-2, 2, fixed(3, 2, 4)), f(0.5, 1.5, fixed(8)), f(-1, 1, fixed(8))],
    { tolerance: 2e-5 },
  ),
  row(
    'group_norm',
    'F.group_norm(x, 2, 1e-5, y, z)',
    (x, y, z) => F.groupNorm(x, 2, { weight: y, bias: z }),
    [f(-2, 2, image(4, [2, 2])), f(0.5, 1.5, fixed(4)), f(-1, 1, fixed(4))],
    { tolerance: 2e-5 },
  ),
  row(
    'group_norm NHWC',
    'F.group_norm(x, 2, 1e-5, y, z, data_format="NHWC")',
    (x, y, z) => F.groupNorm(x, 2, { weight: y, bias: z, dataFormat: 'NHWC' }),
    [f(-2, 2, (s) => [2, 2 + s[0]!, 3, 4]), f(0.5, 1.5, fixed(4)), f(-1, 1, fixed(4))],
    { tolerance: 2e-5 },
  ),
  row(
    'instance_norm',
    'F.instance_norm(x, weight=y, bias=z)',
    (x, y, z) => F.instanceNorm(x, { weight: y, bias: z }),
    [f(-2, 2, image(3, [2, 2])), f(0.5, 1.5, fixed(3)), f(-1, 1, fixed(3))],
    { tolerance: 2e-5 },
  ),
  row(
    'local_response_norm',
    'F.local_response_norm(x, 3, alpha=0.1)',
    (x) => F.localResponseNorm(x, 3, { alpha: 0.1 }),
    [f(-2, 2, image(5, [1, 1]))],
  ),
  row('normalize', 'F.normalize(x, p=2, axis=0)', (x) => F.normalize(x, { axis: 0 }), [f()]),
  row('normalize by p = 3', 'F.normalize(x, p=3.0, axis=1)', (x) => F.normalize(x, { p: 3 }), [f()]),
  row('cosine_similarity', 'F.cosine_similarity(x, y, axis=1)', (x, y) => F.cosineSimilarity(x, y, 1), [f(), f()]),
  row('pairwise_distance', 'F.pairwise_distance(x, y, p=3.0)', (x, y) => F.pairwiseDistance(x, y, { p: 3 }), [
    f(-2, 2, fixed(4, 3)),
    f(-2, 2, fixed(4, 3)),
  ]),
]

function trained(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const norm = new nn.BatchNorm2D(3)
  return F.batchNorm(x, norm._mean, norm._variance, { weight, bias, training: true })
}

const resizing: readonly Row[] = [
  ...(['nearest', 'bilinear', 'bicubic', 'area'] as const).flatMap((mode): Row[] => [
    row(
      `interpolate ${mode} to a size`,
      `F.interpolate(x, size=[7, 3], mode="${mode}")`,
      (x) => F.interpolate(x, { size: [7, 3], mode }),
      [f(-2, 2, image(2, [2, 3]))],
    ),
    ...(mode === 'area'
      ? []
      : [
          row(
            `interpolate ${mode} by factors`,
            `F.interpolate(x, scale_factor=[2, 1.5], mode="${mode}")`,
            (x) => F.interpolate(x, { scaleFactor: [2, 1.5], mode }),
            [f(-2, 2, image(2, [2, 3]))],
          ),
        ]),
  ]),
  ...(['bilinear', 'bicubic'] as const).map((mode) =>
    row(
      `interpolate ${mode} with aligned corners`,
      `F.interpolate(x, size=[5, 6], mode="${mode}", align_corners=True)`,
      (x) => F.interpolate(x, { size: [5, 6], mode, alignCorners: true }),
      [f(-2, 2, image(2, [2, 3]))],
    ),
  ),
  row(
    'interpolate bilinear in mode 1',
    'F.interpolate(x, size=[5, 6], mode="bilinear", align_mode=1)',
    (x) => F.interpolate(x, { size: [5, 6], mode: 'bilinear', alignMode: 1 }),
    [f(-2, 2, image(2, [2, 3]))],
  ),
  row(
    'interpolate linear',
    'F.interpolate(x, size=[9], mode="linear", data_format="NCW")',
    (x) => F.interpolate(x, { size: 9, mode: 'linear' }),
    [f(-2, 2, image(2, [2]))],
  ),
  row(
    'interpolate trilinear',
    'F.interpolate(x, size=[3, 4, 5], mode="trilinear", data_format="NCDHW")',
    (x) => F.interpolate(x, { size: [3, 4, 5], mode: 'trilinear' }),
    [f(-2, 2, image(1, [1, 1, 1]))],
  ),
  row(
    'interpolate NHWC',
    'F.interpolate(x, size=[5, 4], mode="bilinear", data_format="NHWC")',
    (x) => F.interpolate(x, { size: [5, 4], mode: 'bilinear', dataFormat: 'NHWC' }),
    [f(-2, 2, (s) => [1, 1 + s[0]!, 3, 2])],
  ),
  row(
    'interpolate to one element',
    'F.interpolate(x, size=[1, 1], mode="bilinear")',
    (x) => F.interpolate(x, { size: 1, mode: 'bilinear' }),
    [f(-2, 2, image(2, [2, 3]))],
  ),
  ...(['constant', 'reflect', 'replicate', 'circular'] as const).map((mode) =>
    row(`pad ${mode}`, `F.pad(x, [1, 2, 2, 1], mode="${mode}")`, (x) => F.pad(x, [1, 2, 2, 1], { mode }), [
      f(-2, 2, image(2, [1, 1])),
    ]),
  ),
  row(
    'pad 1 axis',
    'F.pad(x, [1, 2], mode="replicate", data_format="NCL")',
    (x) => F.pad(x, [1, 2], { mode: 'replicate' }),
    [f(-2, 2, image(2, [1]))],
  ),
  row(
    'pad 3 axes',
    'F.pad(x, [1, 0, 0, 1, 1, 1], mode="reflect", data_format="NCDHW")',
    (x) => F.pad(x, [1, 0, 0, 1, 1, 1], { mode: 'reflect' }),
    [f(-2, 2, image(1, [1, 1, 1]))],
  ),
  row('pad all axes', 'F.pad(x, [1, 0, 0, 2], value=0.5)', (x) => F.pad(x, [1, 0, 0, 2], { value: 0.5 }), [f()], {
    rank: 2,
  }),
  row('zeropad2d', 'F.zeropad2d(x, [1, 2, 0, 1])', (x) => F.zeropad2d(x, [1, 2, 0, 1]), [f(-2, 2, image(2, [1, 1]))]),
  row('pixel_shuffle', 'F.pixel_shuffle(x, 2)', (x) => F.pixelShuffle(x, 2), [f(-2, 2, image(8, [1, 1]))]),
  row('pixel_shuffle NHWC', 'F.pixel_shuffle(x, 2, "NHWC")', (x) => F.pixelShuffle(x, 2, 'NHWC'), [
    f(-2, 2, fixed(2, 3, 2, 8)),
  ]),
  row('pixel_unshuffle', 'F.pixel_unshuffle(x, 2)', (x) => F.pixelUnshuffle(x, 2), [f(-2, 2, fixed(2, 3, 4, 6))]),
  row('pixel_unshuffle NHWC', 'F.pixel_unshuffle(x, 2, "NHWC")', (x) => F.pixelUnshuffle(x, 2, 'NHWC'), [
    f(-2, 2, fixed(2, 4, 6, 3)),
  ]),
  row('channel_shuffle', 'F.channel_shuffle(x, 3)', (x) => F.channelShuffle(x, 3), [f(-2, 2, image(6, [1, 1]))]),
  row('channel_shuffle NHWC', 'F.channel_shuffle(x, 3, "NHWC")', (x) => F.channelShuffle(x, 3, 'NHWC'), [
    f(-2, 2, fixed(2, 2, 3, 6)),
  ]),
  row('temporal_shift', 'F.temporal_shift(x, 3, 0.3)', (x) => F.temporalShift(x, 3, 0.3), [
    f(-2, 2, fixed(6, 5, 2, 2)),
  ]),
  row(
    'unfold',
    'F.unfold(x, [2, 3], [2, 1], [1, 0, 2, 1], [1, 2])',
    (x) => F.unfold(x, [2, 3], { strides: [2, 1], paddings: [1, 0, 2, 1], dilations: [1, 2] }),
    [f(-2, 2, image(2, [4, 4]))],
  ),
  row(
    'fold',
    'F.fold(x, [5, 6], [2, 3], strides=[2, 1], paddings=[1, 0])',
    (x) => F.fold(x, [5, 6], [2, 3], { strides: [2, 1], paddings: [1, 0] }),
    [f(-2, 2, fixed(2, 12, 12))],
  ),
  ...(['bilinear', 'nearest'] as const).flatMap((mode) =>
    (['zeros', 'border', 'reflection'] as const).flatMap((paddingMode) =>
      [true, false].map((alignCorners) =>
        row(
          `grid_sample ${mode} ${paddingMode} ${alignCorners}`,
          `F.grid_sample(x, y, mode="${mode}", padding_mode="${paddingMode}", align_corners=${alignCorners ? 'True' : 'False'})`,
          (x, y) => F.gridSample(x, y, { mode, paddingMode, alignCorners }),
          [f(-2, 2, image(2, [1, 2])), f(-1.4, 1.4, fixed(2, 3, 4, 2))],
          { tolerance: 1e-4 },
        ),
      ),
    ),
  ),
  row(
    'grid_sample of a volume',
    'F.grid_sample(x, y)',
    (x, y) => F.gridSample(x, y),
    [f(-2, 2, image(2, [1, 1, 2])), f(-1.2, 1.2, fixed(2, 2, 3, 2, 3))],
    { tolerance: 1e-4 },
  ),
  row('affine_grid', 'F.affine_grid(x, [2, 3, 4, 5])', (x) => F.affineGrid(x, [2, 3, 4, 5]), [
    f(-1, 1, fixed(2, 2, 3)),
  ]),
  row(
    'affine_grid of edges',
    'F.affine_grid(x, [2, 3, 4, 5], align_corners=False)',
    (x) => F.affineGrid(x, [2, 3, 4, 5], false),
    [f(-1, 1, fixed(2, 2, 3))],
  ),
  row('affine_grid of volumes', 'F.affine_grid(x, [2, 3, 2, 4, 5])', (x) => F.affineGrid(x, [2, 3, 2, 4, 5]), [
    f(-1, 1, fixed(2, 3, 4)),
  ]),
  row(
    'gather_tree',
    'F.gather_tree(x, y)',
    (x, y) => F.gatherTree(x, y),
    [i(0, 9, fixed(4, 2, 3)), i(0, 2, fixed(4, 2, 3))],
    { gradient: false },
  ),
]

/** Labels of 1 and -1 from any numbers. */
const signs = (y: Tensor): Tensor => y.greaterThan(0).astype('float32').multiply(2).subtract(1)
const signsInPaddle = '((y > 0).astype("float32") * 2 - 1)'
const many = fixed(6, 5)

const losses: readonly Row[] = [
  ...(['mean', 'sum', 'none'] as const).flatMap((reduction): Row[] => [
    row(
      `cross_entropy ${reduction} with weights`,
      `F.cross_entropy(x, y, weight=z.detach(), reduction="${reduction}")`,
      (x, y, z) => F.crossEntropy(x, y, { weight: z.detach(), reduction }),
      [f(-2, 2, many), i(0, 4, fixed(6)), f(0.5, 2, fixed(5))],
    ),
    row(
      `cross_entropy ${reduction} ignoring 2`,
      `F.cross_entropy(x, y, ignore_index=2, reduction="${reduction}")`,
      (x, y) => F.crossEntropy(x, y, { ignoreIndex: 2, reduction }),
      [f(-2, 2, many), i(0, 4, fixed(6))],
    ),
    row(
      `cross_entropy ${reduction} of soft labels with weights`,
      `F.cross_entropy(x, F.softmax(y), weight=z.detach(), soft_label=True, reduction="${reduction}")`,
      (x, y, z) => F.crossEntropy(x, F.softmax(y), { softLabel: true, weight: z.detach(), reduction }),
      [f(-2, 2, many), f(-2, 2, many), f(0.5, 2, fixed(5))],
      { gradient: false },
    ),
    row(
      `cross_entropy ${reduction} smoothed with weights`,
      `F.cross_entropy(x, y, weight=z.detach(), label_smoothing=0.2, reduction="${reduction}")`,
      (x, y, z) => F.crossEntropy(x, y, { labelSmoothing: 0.2, weight: z.detach(), reduction }),
      [f(-2, 2, many), i(0, 4, fixed(6)), f(0.5, 2, fixed(5))],
      { gradient: false },
    ),
    row(
      `nll_loss ${reduction}`,
      `F.nll_loss(F.log_softmax(x), y, weight=z.detach(), ignore_index=1, reduction="${reduction}")`,
      (x, y, z) => F.nllLoss(F.logSoftmax(x), y, { weight: z.detach(), ignoreIndex: 1, reduction }),
      [f(-2, 2, many), i(0, 4, fixed(6)), f(0.5, 2, fixed(5))],
    ),
  ]),
  row('nll_loss of images', 'F.nll_loss(F.log_softmax(x, 1), y)', (x, y) => F.nllLoss(F.logSoftmax(x, 1), y), [
    f(-2, 2, fixed(2, 4, 3, 2)),
    i(0, 3, fixed(2, 3, 2)),
  ]),
  row(
    'cross_entropy of images with thin labels',
    'F.cross_entropy(x, y, axis=1, reduction="none")',
    (x, y) => F.crossEntropy(x, y, { axis: 1, reduction: 'none' }),
    [f(-2, 2, fixed(2, 4, 3, 2)), i(0, 3, fixed(2, 1, 3, 2))],
  ),
  row(
    'softmax_with_cross_entropy',
    'F.softmax_with_cross_entropy(x, y, return_softmax=True)',
    (x, y) => F.softmaxWithCrossEntropy(x, y, { returnSoftmax: true }),
    [f(-2, 2, many), i(0, 4, fixed(6, 1))],
  ),
  row('mse_loss', 'F.mse_loss(x, y)', (x, y) => F.mseLoss(x, y), [f(), f()]),
  row('l1_loss', 'F.l1_loss(x, y, reduction="sum")', (x, y) => F.l1Loss(x, y, { reduction: 'sum' }), [f(), f()]),
  row('smooth_l1_loss', 'F.smooth_l1_loss(x, y, delta=0.7)', (x, y) => F.smoothL1Loss(x, y, { delta: 0.7 }), [
    f(),
    f(),
  ]),
  row('square_error_cost', 'F.square_error_cost(x, y)', (x, y) => F.squareErrorCost(x, y), [f(), f()]),
  row(
    'binary_cross_entropy',
    'F.binary_cross_entropy(x, y.detach(), weight=z.detach())',
    (x, y, z) => F.binaryCrossEntropy(x, y.detach(), { weight: z.detach() }),
    [f(0.05, 0.95, many), f(0, 1, many), f(0.5, 2, many)],
  ),
  row(
    'binary_cross_entropy_with_logits',
    'F.binary_cross_entropy_with_logits(x, y.detach(), pos_weight=z.detach())',
    (x, y, z) => F.binaryCrossEntropyWithLogits(x, y.detach(), { posWeight: z.detach() }),
    [f(-3, 3, many), f(0, 1, many), f(0.5, 2, fixed(5))],
  ),
  row(
    'kl_div',
    'F.kl_div(F.log_softmax(x), F.softmax(y).detach())',
    (x, y) => F.klDiv(F.logSoftmax(x), F.softmax(y).detach()),
    [f(), f()],
  ),
  row(
    'kl_div of logarithms',
    'F.kl_div(F.log_softmax(x), F.log_softmax(y).detach(), reduction="sum", log_target=True)',
    (x, y) => F.klDiv(F.logSoftmax(x), F.logSoftmax(y).detach(), { reduction: 'sum', logTarget: true }),
    [f(), f()],
  ),
  row('log_loss', 'F.log_loss(x, y.detach())', (x, y) => F.logLoss(x, y.detach()), [
    f(0.05, 0.95, fixed(6, 1)),
    f(0, 1, fixed(6, 1)),
  ]),
  row(
    'margin_ranking_loss',
    `F.margin_ranking_loss(x, z, ${signsInPaddle}, margin=0.3)`,
    (x, y, z) => F.marginRankingLoss(x, z, signs(y), { margin: 0.3 }),
    [f(), f(), f()],
  ),
  row(
    'hinge_embedding_loss',
    `F.hinge_embedding_loss(x, ${signsInPaddle}, margin=1.2)`,
    (x, y) => F.hingeEmbeddingLoss(x, signs(y), { margin: 1.2 }),
    [f(), f()],
  ),
  row(
    'cosine_embedding_loss',
    `F.cosine_embedding_loss(x, z, ${signsInPaddle}, margin=0.1)`,
    (x, y, z) => F.cosineEmbeddingLoss(x, z, signs(y), { margin: 0.1 }),
    [f(-2, 2, many), f(-1, 1, fixed(6)), f(-2, 2, many)],
  ),
  row(
    'triplet_margin_loss',
    'F.triplet_margin_loss(x, y, z, p=3, swap=True)',
    (x, y, z) => F.tripletMarginLoss(x, y, z, { p: 3, swap: true }),
    [f(-2, 2, many), f(-2, 2, many), f(-2, 2, many)],
  ),
  row(
    'triplet_margin_with_distance_loss',
    'F.triplet_margin_with_distance_loss(x, y, z)',
    (x, y, z) => F.tripletMarginWithDistanceLoss(x, y, z),
    [f(-2, 2, many), f(-2, 2, many), f(-2, 2, many)],
  ),
  row('soft_margin_loss', `F.soft_margin_loss(x, ${signsInPaddle})`, (x, y) => F.softMarginLoss(x, signs(y)), [
    f(),
    f(),
  ]),
  row(
    'multi_label_soft_margin_loss',
    'F.multi_label_soft_margin_loss(x, (y > 0).astype("float32"), z.detach())',
    (x, y, z) => F.multiLabelSoftMarginLoss(x, y.greaterThan(0).astype('float32'), { weight: z.detach() }),
    [f(-2, 2, many), f(-2, 2, many), f(0.5, 2, fixed(5))],
  ),
  row(
    'multi_margin_loss',
    'F.multi_margin_loss(x, y, p=2, margin=0.8)',
    (x, y) => F.multiMarginLoss(x, y, { p: 2, margin: 0.8 }),
    [f(-2, 2, many), i(0, 4, fixed(6))],
  ),
  row(
    'multi_margin_loss with weights',
    'F.multi_margin_loss(x, y, p=2, weight=z.detach())',
    (x, y, z) => F.multiMarginLoss(x, y, { p: 2, weight: z.detach() }),
    [f(-2, 2, many), i(0, 4, fixed(6)), f(0.5, 2, fixed(5))],
  ),
  row(
    'poisson_nll_loss',
    'F.poisson_nll_loss(x, y.detach(), full=True)',
    (x, y) => F.poissonNllLoss(x, y.detach(), { full: true }),
    [f(), f(0, 5)],
  ),
  row(
    'poisson_nll_loss of rates',
    'F.poisson_nll_loss(x, y.detach(), log_input=False, reduction="none")',
    (x, y) => F.poissonNllLoss(x, y.detach(), { logInput: false, reduction: 'none' }),
    [f(0.1, 3), f(0, 5)],
  ),
  row(
    'gaussian_nll_loss',
    'F.gaussian_nll_loss(x, y, z.detach(), full=True)',
    (x, y, z) => F.gaussianNllLoss(x, y, z.detach(), { full: true }),
    [f(), f(), f(0.2, 2)],
  ),
  row(
    'sigmoid_focal_loss',
    'F.sigmoid_focal_loss(x, (y > 0).astype("float32"), gamma=1.5, alpha=0.3, reduction="mean")',
    (x, y) => F.sigmoidFocalLoss(x, y.greaterThan(0).astype('float32'), { gamma: 1.5, alpha: 0.3, reduction: 'mean' }),
    [f(), f()],
  ),
  row('dice_loss', 'F.dice_loss(F.softmax(x), y)', (x, y) => F.diceLoss(F.softmax(x), y), [
    f(-2, 2, fixed(3, 4, 5)),
    i(0, 4, fixed(3, 4, 1)),
  ]),
  row(
    'npair_loss',
    'F.npair_loss(x, y, z.detach().astype("int64").astype("float32").flatten())',
    (x, y, z) => F.npairLoss(x, y, z.detach().astype('int64').astype('float32')),
    [f(-1, 1, fixed(6, 4)), f(-1, 1, fixed(6, 4)), f(0, 2.99, fixed(6))],
  ),
  row('label_smooth', 'F.label_smooth(x, epsilon=0.2)', (x) => F.labelSmooth(x, { epsilon: 0.2 }), [f()]),
  row('sequence_mask', 'F.sequence_mask(x, 5, "float32")', (x) => F.sequenceMask(x, 5, 'float32'), [i(0, 5)], {
    gradient: false,
  }),
]

export const layerRows: readonly Row[] = [...activations, ...convolutions, ...pools, ...norms, ...resizing, ...losses]
