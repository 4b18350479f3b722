/**
 * Paddle's legacy operators (ProgramDesc) as rows of the operator table: the names of their slots and attributes. Those that a program says in
 * another way (axes of elementwise operators, reductions over everything, constants) are in legacy-special-reader.ts and -writer.ts.
 */
import { binary, operator, same, settable, unary, type LegacyOperator } from './legacy-operator.ts'
import type { AttributeDesc } from './program-desc.ts'

const axis: AttributeDesc = { name: 'axis', type: 'int', value: -1 }
const older = { isRead: true } as const
const xShape = { unused: ['XShape'] } as const

const convolutionAttributes = same('strides', 'paddings', 'padding_algorithm', 'dilations', 'groups', 'data_format')
const transposedAttributes = { ...convolutionAttributes, ...same('output_padding', 'output_size') }
const poolAttributes = {
  kernel_size: 'ksize',
  ...same(
    'strides',
    'paddings',
    'ceil_mode',
    'exclusive',
    'data_format',
    'pooling_type',
    'global_pooling',
    'adaptive',
    'padding_algorithm',
  ),
}
const pool = (row: string): LegacyOperator => unary(row, poolAttributes)
const poolWithIndex = (row: string): LegacyOperator =>
  operator(row, 'x:X', 'out:Out mask:Mask', {
    kernel_size: 'ksize',
    ...same('strides', 'paddings', 'global_pooling', 'adaptive', 'ceil_mode'),
  })
const interpolation = (row: string): LegacyOperator =>
  unary(row, {
    out_size: { tensor: 'OutSize' },
    size_tensor: { list: 'SizeTensor' },
    scale_tensor: { tensor: 'Scale' },
    data_format: 'data_layout',
    ...same('out_d', 'out_h', 'out_w', 'scale', 'interp_method', 'align_corners', 'align_mode'),
  })
const convolution = (row: string, input = 'input'): LegacyOperator =>
  operator(row, `${input}:Input filter:Filter`, 'out:Output', convolutionAttributes)
const transposed = (row: string): LegacyOperator =>
  operator(row, 'x:Input filter:Filter', 'out:Output', transposedAttributes)

const vision: Readonly<Record<string, LegacyOperator>> = {
  conv2d: convolution('conv2d'),
  depthwise_conv2d: convolution('depthwise_conv2d'),
  conv3d: convolution('conv3d', 'x'),
  conv2d_transpose: transposed('conv2d_transpose'),
  depthwise_conv2d_transpose: transposed('depthwise_conv2d_transpose'),
  conv3d_transpose: transposed('conv3d_transpose'),
  pool2d: pool('pool2d'),
  pool3d: pool('pool3d'),
  max_pool2d_with_index: poolWithIndex('max_pool2d_with_index'),
  max_pool3d_with_index: poolWithIndex('max_pool3d_with_index'),
  nearest_interp_v2: interpolation('nearest_interp'),
  bilinear_interp_v2: interpolation('bilinear_interp'),
  bicubic_interp_v2: interpolation('bicubic_interp'),
  linear_interp_v2: interpolation('linear_interp'),
  trilinear_interp_v2: interpolation('trilinear_interp'),
  grid_sampler: operator('grid_sample', 'x:X grid:Grid', 'out:Output', same('mode', 'padding_mode', 'align_corners')),
  affine_grid: operator('affine_grid', 'input:Theta', 'out:Output', {
    output_shape: settable('output_shape', 'OutputShape'),
    align_corners: 'align_corners',
  }),
  pixel_shuffle: unary('pixel_shuffle', same('upscale_factor', 'data_format')),
  pixel_unshuffle: unary('pixel_unshuffle', same('downscale_factor', 'data_format')),
  channel_shuffle: unary('channel_shuffle', same('groups', 'data_format')),
  shuffle_channel: unary('channel_shuffle', { groups: 'group' }, older),
  unfold: operator('unfold', 'x:X', 'out:Y', same('kernel_sizes', 'strides', 'paddings', 'dilations')),
  fold: operator('fold', 'x:X', 'out:Y', same('output_sizes', 'kernel_sizes', 'strides', 'paddings', 'dilations')),
  pad3d: unary('pad3d', {
    paddings: settable('paddings', 'Paddings'),
    pad_value: 'value',
    ...same('mode', 'data_format'),
  }),
  pad: unary('pad', same('paddings', 'pad_value')),
}

const batchNorm = operator(
  'batch_norm_',
  'x:X mean:Mean variance:Variance scale:Scale bias:Bias',
  'out:Y',
  { data_format: 'data_layout', ...same('is_test', 'momentum', 'epsilon', 'use_global_stats', 'trainable_statistics') },
  { unused: ['SavedMean', 'SavedVariance'] },
)

const normalization: Readonly<Record<string, LegacyOperator>> = {
  batch_norm: batchNorm,
  sync_batch_norm: { ...batchNorm, ...older },
  layer_norm: operator('layer_norm', 'x:X scale:Scale bias:Bias', 'out:Y', same('epsilon', 'begin_norm_axis'), {
    unused: ['Mean', 'Variance'],
  }),
  group_norm: operator(
    'group_norm',
    'x:X scale:Scale bias:Bias',
    'out:Y',
    { data_format: 'data_layout', ...same('epsilon', 'groups') },
    { unused: ['Mean', 'Variance'] },
  ),
  instance_norm: operator('instance_norm', 'x:X scale:Scale bias:Bias', 'out:Y', same('epsilon'), {
    unused: ['SavedMean', 'SavedVariance'],
  }),
  dropout: operator(
    'dropout',
    'x:X seed_tensor:Seed',
    'out:Out',
    { p: 'dropout_prob', mode: 'dropout_implementation', ...same('is_test', 'seed', 'fix_seed') },
    { unused: ['Mask'] },
  ),
}

const activation: Readonly<Record<string, LegacyOperator>> = {
  ...Object.fromEntries(
    ['relu', 'sigmoid', 'tanh', 'silu', 'logsigmoid', 'softsign', 'tanh_shrink'].map((n) => [n, unary(n)]),
  ),
  relu6: unary('relu6', {}, { constants: [{ name: 'threshold', type: 'float', value: 6 }] }),
  // Paddle 2.5 and later leave it out, Paddle Lite wants it.
  swish: unary('swish', {}, { constants: [{ name: 'beta', type: 'float', value: 1 }] }),
  mish: unary('mish', { lambda: 'threshold' }),
  hard_swish: unary(
    'hardswish',
    {},
    {
      constants: [
        { name: 'threshold', type: 'float', value: 6 },
        { name: 'scale', type: 'float', value: 6 },
        { name: 'offset', type: 'float', value: 3 },
      ],
    },
  ),
  hard_sigmoid: unary('hardsigmoid', same('slope', 'offset')),
  brelu: unary('hardtanh', same('t_min', 't_max')),
  hard_shrink: unary('hardshrink', same('threshold')),
  softshrink: unary('softshrink', { threshold: 'lambda' }),
  thresholded_relu: unary('thresholded_relu', same('threshold')),
  leaky_relu: unary('leaky_relu', { negative_slope: 'alpha' }),
  elu: unary('elu', same('alpha')),
  celu: unary('celu', same('alpha')),
  selu: unary('selu', same('scale', 'alpha')),
  gelu: unary('gelu', same('approximate')),
  softplus: unary('softplus', same('beta', 'threshold')),
  stanh: unary('stanh', same('scale_a', 'scale_b')),
  maxout: unary('maxout', same('groups', 'axis')),
  prelu: operator('prelu', 'x:X alpha:Alpha', 'out:Out', same('mode', 'data_format')),
  softmax: unary('softmax', same('axis')),
  log_softmax: unary('log_softmax', same('axis')),
}

const functions = [
  'abs', 'acos', 'acosh', 'asin', 'asinh', 'atan', 'atanh', 'ceil', 'cos', 'cosh', 'erf', 'erfinv', 'exp', 'expm1', 'floor', 'lgamma',
  'log', 'log10', 'log1p', 'log2', 'reciprocal', 'rsqrt', 'sign', 'sin', 'sinh', 'sqrt', 'square', 'tan', 'trunc', 'logical_not',
  'bitwise_not', 'assign',
] // prettier-ignore
const pairwise = [
  'logical_and',
  'logical_or',
  'logical_xor',
  'bitwise_and',
  'bitwise_or',
  'bitwise_xor',
  'bmm',
  'dot',
  'atan2',
]
/** Paddle Lite reads it of every comparison. */
const onCpu = { name: 'force_cpu', type: 'boolean', value: false } as const
const comparisons = ['equal', 'not_equal', 'less_than', 'less_equal', 'greater_than', 'greater_equal']
const elementwise: Readonly<Record<string, string>> = {
  add: 'add',
  sub: 'subtract',
  mul: 'multiply',
  div: 'divide',
  pow: 'elementwise_pow',
  max: 'maximum',
  min: 'minimum',
  mod: 'remainder',
  floordiv: 'floor_divide',
  fmax: 'fmax',
  fmin: 'fmin',
}

const arithmetic: Readonly<Record<string, LegacyOperator>> = {
  ...Object.fromEntries(functions.map((n) => [n, unary(n)])),
  ...Object.fromEntries(pairwise.map((n) => [n, binary(n)])),
  ...Object.fromEntries(comparisons.map((n) => [n, binary(n, [axis, onCpu])])),
  ...Object.fromEntries(Object.entries(elementwise).map(([n, row]) => [`elementwise_${n}`, binary(row, [axis])])),
  ...Object.fromEntries(['isnan', 'isinf', 'isfinite'].map((n) => [`${n}_v2`, unary(n)])),
  round: unary('round', same('decimals')),
  where: operator('where', 'condition:Condition x:X y:Y', 'out:Out'),
  sum: operator('add_n', 'inputs:X', 'out:Out'),
  lerp: operator('lerp', 'x:X y:Y weight:Weight', 'out:Out'),
  scale: unary('scale', { scale: settable('scale', 'ScaleTensor'), ...same('bias', 'bias_after_scale') }),
  pow: unary('pow', { y: 'factor' }),
  increment: unary('increment', { value: 'step' }),
  clip: unary('clip', { min: settable('min', 'Min'), max: settable('max', 'Max') }),
  cast: unary('cast', { dtype: 'out_dtype' }),
  matmul_v2: operator('matmul', 'x:X y:Y', 'out:Out', { transpose_x: 'trans_x', transpose_y: 'trans_y' }),
  mv: operator('mv', 'x:X vec:Vec', 'out:Out'),
  addmm: operator('addmm', 'input:Input x:X y:Y', 'out:Out', { alpha: 'Alpha', beta: 'Beta' }),
  einsum: operator('einsum', 'x:Operands', 'out:Out', same('equation')),
}

const manipulation: Readonly<Record<string, LegacyOperator>> = {
  shape: operator('shape', 'input:Input', 'out:Out'),
  size: operator('numel', 'x:Input', 'out:Out'),
  reshape2: unary('reshape', { shape: settable('shape', 'Shape', 'ShapeTensor') }, xShape),
  reshape: unary('reshape', { shape: settable('shape', 'Shape', 'ShapeTensor') }, older),
  transpose2: unary('transpose', { perm: 'axis' }, xShape),
  transpose: unary('transpose', { perm: 'axis' }, older),
  squeeze2: unary('squeeze', { axis: settable('axes', 'AxesTensor', 'AxesTensorList') }, xShape),
  squeeze: unary('squeeze', { axis: 'axes' }, older),
  unsqueeze2: unary('unsqueeze', { axis: settable('axes', 'AxesTensor', 'AxesTensorList') }, xShape),
  unsqueeze: unary('unsqueeze', { axis: 'axes' }, older),
  flatten_contiguous_range: unary('flatten', same('start_axis', 'stop_axis'), xShape),
  concat: unary('concat', { axis: settable('axis', 'AxisTensor') }),
  stack: operator('stack', 'x:X', 'out:Y', same('axis')),
  unstack: operator('unstack', 'x:X', 'out:Y', same('axis', 'num')),
  unbind: operator('unbind', 'input:X', 'out:Out', same('axis')),
  meshgrid: operator('meshgrid', 'inputs:X', 'out:Out'),
  broadcast_tensors: operator('broadcast_tensors', 'input:X', 'out:Out'),
  slice: operator('slice', 'input:Input', 'out:Out', {
    starts: settable('starts', 'StartsTensor', 'StartsTensorList'),
    ends: settable('ends', 'EndsTensor', 'EndsTensorList'),
    ...same('axes', 'infer_flags', 'decrease_axis'),
  }),
  strided_slice: operator('strided_slice', 'x:Input', 'out:Out', {
    starts: settable('starts', 'StartsTensor', 'StartsTensorList'),
    ends: settable('ends', 'EndsTensor', 'EndsTensorList'),
    strides: settable('strides', 'StridesTensor', 'StridesTensorList'),
    axes: 'axes',
  }),
  expand_v2: unary('expand', { shape: settable('shape', 'Shape', 'expand_shapes_tensor') }),
  expand_as_v2: operator('expand_as', 'x:X y:Y', 'out:Out', same('target_shape')),
  tile: unary('tile', { repeat_times: settable('repeat_times', 'RepeatTimes', 'repeat_times_tensor') }),
  expand: unary('tile', { repeat_times: settable('expand_times', 'ExpandTimes', 'expand_times_tensor') }, older),
  flip: unary('flip', same('axis')),
  roll: unary('roll', {
    shifts: settable('shifts', 'ShiftsTensor', undefined, 'longs'),
    axis: { name: 'axis', type: 'longs' },
  }),
  repeat_interleave: unary('repeat_interleave', { repeats: 'Repeats', axis: 'dim' }),
}

const indexing: Readonly<Record<string, LegacyOperator>> = {
  lookup_table_v2: operator('embedding', 'x:Ids weight:W', 'out:Out', {
    padding_idx: { name: 'padding_idx', type: 'long' },
    sparse: 'is_sparse',
  }),
  gather: operator('gather', 'x:X index:Index', 'out:Out', { axis: settable('axis', 'Axis') }),
  gather_nd: operator('gather_nd', 'x:X index:Index', 'out:Out'),
  index_select: operator('index_select', 'x:X index:Index', 'out:Out', { axis: 'dim' }),
  index_sample: operator('index_sample', 'x:X index:Index', 'out:Out'),
  take_along_axis: operator('take_along_axis', 'arr:Input indices:Index', 'out:Result', { axis: 'Axis' }),
  put_along_axis: operator('put_along_axis', 'arr:Input indices:Index values:Value', 'out:Result', {
    axis: 'Axis',
    reduce: 'Reduce',
  }),
  scatter: operator('scatter', 'x:X index:Ids updates:Updates', 'out:Out', same('overwrite')),
  scatter_nd_add: operator('scatter_nd_add', 'x:X index:Index updates:Updates', 'out:Out'),
  one_hot_v2: unary(
    'one_hot',
    { num_classes: settable('depth', 'depth_tensor') },
    {
      constants: [
        { name: 'dtype', type: 'int', value: 5 },
        { name: 'allow_out_of_range', type: 'boolean', value: false },
      ],
    },
  ),
}

const reduction: Readonly<Record<string, LegacyOperator>> = {
  mean: unary('mean_all'),
  logsumexp: unary('logsumexp', same('axis', 'keepdim', 'reduce_all')),
  arg_max: unary('argmax', { axis: { name: 'axis', type: 'long' }, ...same('keepdims', 'flatten', 'dtype') }),
  arg_min: unary('argmin', { axis: { name: 'axis', type: 'long' }, ...same('keepdims', 'flatten', 'dtype') }),
  argsort: operator('argsort', 'x:X', 'out:Out indices:Indices', same('axis', 'descending')),
  top_k_v2: operator('topk', 'x:X', 'out:Out indices:Indices', {
    k: settable('k', 'K'),
    ...same('axis', 'largest', 'sorted'),
  }),
  top_k: operator('topk', 'x:X', 'out:Out indices:Indices', { k: settable('k', 'K') }, older),
  cumsum: unary('cumsum', same('axis', 'flatten', 'exclusive', 'reverse')),
  cumprod: unary('cumprod', same('dim', 'exclusive', 'reverse')),
  p_norm: unary('p_norm', same('porder', 'axis', 'epsilon', 'keepdim', 'asvector')),
  frobenius_norm: unary('frobenius_norm', { axis: 'dim', keepdim: 'keep_dim', reduce_all: 'reduce_all' }),
}

const creation: Readonly<Record<string, LegacyOperator>> = {
  fill_any_like: unary('full_like', same('value', 'dtype')),
  fill_constant_batch_size_like: operator('full_batch_size_like', 'input:Input', 'out:Out', {
    shape: 'shape',
    ...same('value', 'dtype', 'input_dim_idx', 'output_dim_idx'),
  }),
  eye: operator('eye', '', 'out:Out', {
    num_rows: { name: 'num_rows', type: 'long' },
    num_columns: { name: 'num_columns', type: 'long' },
    dtype: 'dtype',
  }),
  sequence_mask: operator('sequence_mask', 'x:X', 'out:Y', {
    max_len: settable('maxlen', 'MaxLenTensor'),
    out_dtype: 'out_dtype',
  }),
}

const loss: Readonly<Record<string, LegacyOperator>> = {
  bce_loss: operator('bce_loss', 'input:X label:Label', 'out:Out'),
  softmax_with_cross_entropy: operator(
    'cross_entropy_with_softmax',
    'input:Logits label:Label',
    'softmax:Softmax loss:Loss',
    same('soft_label', 'use_softmax', 'numeric_stable_mode', 'ignore_index', 'axis'),
  ),
  huber_loss: operator('huber_loss', 'input:X label:Y', 'out:Out residual:Residual', same('delta')),
  kldiv_loss: operator('kldiv_loss', 'x:X label:Target', 'out:Loss', same('reduction')),
  label_smooth: operator('label_smooth', 'label:X prior_dist:PriorDist', 'out:Out', same('epsilon')),
  nll_loss: operator(
    'nll_loss',
    'input:X label:Label weight:Weight',
    'out:Out',
    { ignore_index: { name: 'ignore_index', type: 'long' }, reduction: 'reduction' },
    { unused: ['Total_weight'] },
  ),
  sigmoid_cross_entropy_with_logits: operator(
    'sigmoid_cross_entropy_with_logits',
    'x:X label:Label pos_weight:pos_weight',
    'out:Out',
    same('normalize', 'ignore_index'),
  ),
  log_loss: operator('log_loss', 'input:Predicted label:Labels', 'out:Loss', same('epsilon')),
  warpctc: operator(
    'warpctc',
    'logits:Logits label:Label logits_length:LogitsLength labels_length:LabelLength',
    'loss:Loss',
    same('blank', 'norm_by_times'),
    { unused: ['WarpCTCGrad'] },
  ),
  rnn: operator(
    'rnn',
    'x:Input pre_state:PreState weight_list:WeightList sequence_length:SequenceLength',
    'out:Out state:State',
    same('dropout_prob', 'is_bidirec', 'input_size', 'hidden_size', 'num_layers', 'mode', 'seed', 'is_test'),
    { unused: ['DropoutState', 'Reserve'] },
  ),
}

export const legacyOperators: Readonly<Record<string, LegacyOperator>> = {
  ...vision,
  ...normalization,
  ...activation,
  ...arithmetic,
  ...manipulation,
  ...indexing,
  ...reduction,
  ...creation,
  ...loss,
}

const written = new Map(
  Object.entries(legacyOperators).flatMap(([type, o]) => (o.isRead ? [] : [[o.row, { type, ...o }] as const])),
)

/** The legacy operator that a row is written as; undefined where there is none, or where writing takes more. */
export function legacyFor(row: string): (LegacyOperator & { readonly type: string }) | undefined {
  return written.get(row)
}
