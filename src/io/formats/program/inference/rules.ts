/** One rule an operator: what its results are, from what its operands are. Operators that are missing here have results of unknown shape. */
import { isFloat, type DType } from '../../../../common/dtype.ts'
import type { InferenceCall, Inferred } from './infer.ts'
import {
  arithmetic,
  broadcastDims,
  fromFront,
  isNumber,
  MAX_CONTENT,
  numbersOf,
  productOf,
  type Dim,
  type Known,
} from './known.ts'
import {
  concatenated,
  expanded,
  flattened,
  gathered,
  gatheredNd,
  padded,
  reshaped,
  shaped,
  sliced,
  splitted,
  squeezed,
  stacked,
  tiled,
  transposed,
  unsqueezed,
} from './layout.ts'
import { convolutionRules } from './spatial.ts'

export type InferenceRule = (call: InferenceCall) => Inferred

const same = (slot = 'x'): InferenceRule => {
  return (call) => {
    const { dtype, shape } = call.value(slot)
    return { dtype, shape }
  }
}

const passing: InferenceRule = (call) => call.value('x')

function binary(f?: (a: number, b: number) => number, dtype?: DType): InferenceRule {
  return (call) => {
    const [x, y] = [call.value('x'), call.value('y')]
    const shape = broadcastDims([x.shape, y.shape])
    const at = (k: Known, i: number): Dim => (k.content!.length === 1 ? k.content![0]! : (k.content![i] ?? ''))
    const n = Math.max(x.content?.length ?? 0, y.content?.length ?? 0)
    const content =
      f && x.content && y.content && shape && shape.length < 2
        ? Array.from(
            { length: n },
            (_, i) => neutral(call.type, at(x, i), at(y, i)) ?? arithmetic(at(x, i), at(y, i), f),
          )
        : undefined
    return { dtype: dtype ?? x.dtype, shape, content }
  }
}

/** Sizes that stay what they are: times one, plus nothing. */
function neutral(type: string, a: Dim, b: Dim): Dim | undefined {
  if (type === 'multiply') return a === 1 ? b : b === 1 ? a : undefined
  if (type === 'add') return a === 0 ? b : b === 0 ? a : undefined
  if (type === 'subtract' && b === 0) return a
  return type.endsWith('divide') && b === 1 ? a : undefined
}

const compare = (f?: (a: number, b: number) => boolean): InferenceRule =>
  binary(f && ((a, b) => (f(a, b) ? 1 : 0)), 'bool')

/** The shape without, or with 1 at, some axes. */
function reducedShape(call: InferenceCall, axes: readonly number[] | null, keep: boolean): Dim[] | null {
  const { shape } = call.value('x')
  if (!shape || !axes) return null
  const gone = new Set(axes.map((a) => fromFront(a, shape.length)))
  return keep ? shape.map((d, i) => (gone.has(i) ? 1 : d)) : shape.filter((_, i) => !gone.has(i))
}

function reduction(dtypeOf: (call: InferenceCall) => DType, keepName = 'keepdim'): InferenceRule {
  return (call) => {
    const { shape } = call.value('x')
    const given = numbersOf(call.dims('axis'))
    const all = call.bool('reduce_all') || given?.length === 0
    const axes = all ? (shape?.map((_, i) => i) ?? null) : given
    return { dtype: dtypeOf(call), shape: reducedShape(call, axes, call.bool(keepName)) }
  }
}

const ownType = (call: InferenceCall): DType => call.value('x').dtype
const summed = (call: InferenceCall): DType => {
  const dtype = call.dtype('dtype') ?? ownType(call)
  return dtype === 'bool' || (dtype === 'int32' && !call.dtype('dtype')) ? 'int64' : dtype
}

const position = (call: InferenceCall): Known => {
  const axes = call.bool('flatten') ? (call.value('x').shape?.map((_, i) => i) ?? null) : numbersOf(call.dims('axis'))
  return { dtype: call.dtype('dtype') ?? 'int64', shape: reducedShape(call, axes, call.bool('keepdims')) }
}

function multiplied(call: InferenceCall): Known {
  const [x, y] = [call.value('x'), call.value('y')]
  if (!x.shape || !y.shape) return shaped(call, null)
  const flipped = (shape: readonly Dim[], flip: boolean): Dim[] =>
    flip && shape.length > 1 ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : [...shape]
  const a = flipped(x.shape, call.bool('transpose_x'))
  const b = flipped(y.shape, call.bool('transpose_y'))
  const batch = broadcastDims([a.slice(0, -2), b.slice(0, -2)]) ?? []
  const rows = a.length > 1 ? [a.at(-2)!] : []
  const columns = b.length > 1 ? [b.at(-1)!] : []
  return shaped(call, [...batch, ...rows, ...columns])
}

function filled(call: InferenceCall): Known {
  const shape = call.dims('shape')
  const dtype = call.dtype('dtype') ?? 'float32'
  const value = call.number('value')
  const n = shape ? productOf(shape) : ''
  const isSmall =
    isNumber(n) && n <= MAX_CONTENT && (shape?.length ?? 2) < 2 && Number.isSafeInteger(value) && !isFloat(dtype)
  return { dtype, shape, content: isSmall ? new Array<Dim>(n).fill(value) : undefined }
}

function filledWithTensor(call: InferenceCall): Known {
  return { dtype: call.dtype('dtype') ?? call.value('value').dtype, shape: call.dims('shape') }
}

function counted(call: InferenceCall): Known {
  const at = (name: string): Dim => call.dims(name)?.[0] ?? ''
  const [start, end, step] = [at('start'), at('end'), at('step')]
  const dtype = call.dtype('dtype') ?? 'int64'
  const known = isNumber(start) && isNumber(end) && isNumber(step)
  const n = known ? Math.max(Math.ceil((end - start) / step), 0) : start === 0 && step === 1 ? end : ''
  const content =
    known && isNumber(n) && n <= MAX_CONTENT && !isFloat(dtype)
      ? Array.from({ length: n }, (_, i) => start + i * step)
      : undefined
  return { dtype, shape: [n], content }
}

function shapeOf(call: InferenceCall): Known {
  const { shape } = call.value('input')
  const dtype: DType = call.type === 'shape64' ? 'int64' : 'int32'
  return shape ? { dtype, shape: [shape.length], content: shape } : { dtype, shape: null }
}

function topped(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  const axis = shape ? fromFront(call.number('axis'), shape.length) : 0
  const [k = ''] = call.dims('k') ?? []
  const out = shape ? shape.map((d, i) => (i === axis ? k : d)) : null
  return { out: { dtype, shape: out }, indices: { dtype: 'int64', shape: out } }
}

/** Batch and time of the input, and one hidden state a direction. */
function recurrent(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  const [hidden, layers] = [call.number('hidden_size'), call.number('num_layers')]
  const directions = call.bool('is_bidirec') ? 2 : 1
  const state: Known = { dtype, shape: shape ? [layers * directions, shape[1] ?? '', hidden] : null }
  return {
    out: { dtype, shape: shape ? [shape[0] ?? '', shape[1] ?? '', hidden * directions] : null },
    state: Array.from({ length: call.results('state') }, () => state),
  }
}

function contracted(call: InferenceCall): Inferred {
  const [left = '', right] = call.text('equation').replaceAll(' ', '').split('->')
  const operands = call.list('x')
  if (right === undefined || left.includes('.') || operands.some((o) => !o.shape))
    return { dtype: operands[0]?.dtype ?? 'float32', shape: null }
  const sizes = new Map<string, Dim>()
  left.split(',').forEach((letters, i) => {
    ;[...letters].forEach((letter, axis) => {
      const d = operands[i]?.shape?.[axis] ?? ''
      if (!sizes.has(letter) || sizes.get(letter) === 1 || isNumber(d)) sizes.set(letter, d)
    })
  })
  return { dtype: operands[0]!.dtype, shape: [...right].map((l) => sizes.get(l) ?? '') }
}

/** Planes that grow by a factor, and channels that shrink by its square. */
function blockwise(call: InferenceCall, factor: number): Known {
  const { shape } = call.value('x')
  if (shape?.length !== 4) return shaped(call, null)
  const times = (d: Dim | undefined, f: number): Dim => arithmetic(d, f, (a, b) => Math.round(a * b))
  return shaped(call, [shape[0]!, times(shape[1], factor ** -2), times(shape[2], factor), times(shape[3], factor)])
}

function normalised(slots: readonly string[]): InferenceRule {
  return (call) => {
    const { dtype, shape } = call.value('x')
    return { [slots[0]!]: { dtype, shape } }
  }
}

const unary =
  'relu sigmoid tanh silu swish hardswish hardsigmoid leaky_relu gelu softmax log_softmax relu6 elu celu selu softplus softsign mish ' +
  'hardtanh hardshrink softshrink thresholded_relu logsigmoid tanh_shrink abs exp expm1 log log1p log2 log10 sqrt rsqrt square reciprocal ' +
  'sin cos tan asin acos atan sinh cosh asinh acosh atanh erf floor ceil round trunc sign pow scale clip prelu cumprod ' +
  'tril triu flip roll logit label_smooth scatter scatter_nd_add index_add instance_norm onnx.LRN onnx.ScatterND onnx.ReverseSequence bitwise_not'

const predicates = 'isnan_v2 isinf_v2 isfinite_v2 isnan isinf isfinite logical_not'

const floorOf = (a: number, b: number): number => (b === 0 ? 0 : Math.floor(a / b))

export const inferenceRules: Readonly<Record<string, InferenceRule>> = {
  ...Object.fromEntries(unary.split(' ').map((type) => [type, same()])),
  ...Object.fromEntries(
    predicates
      .split(' ')
      .map((type): [string, InferenceRule] => [type, (call) => ({ dtype: 'bool', shape: call.value('x').shape })]),
  ),
  ...convolutionRules,
  assign: passing,
  share_data_: passing,
  cast: (call) => ({ ...call.value('x'), dtype: call.dtype('dtype') ?? 'float32' }),
  add: binary((a, b) => a + b),
  subtract: binary((a, b) => a - b),
  multiply: binary((a, b) => a * b),
  // Of integers as C has it: towards zero.
  divide: binary((a, b) => (b === 0 ? 0 : Math.trunc(a / b))),
  floor_divide: binary(floorOf),
  'onnx.Mod': binary(),
  remainder: binary((a, b) => (b === 0 ? 0 : a - b * Math.floor(a / b))),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  elementwise_pow: binary((a, b) => a ** b),
  atan2: binary(),
  bitwise_and: binary(),
  bitwise_or: binary(),
  bitwise_xor: binary(),
  equal: compare((a, b) => a === b),
  not_equal: compare((a, b) => a !== b),
  less_than: compare((a, b) => a < b),
  less_equal: compare((a, b) => a <= b),
  greater_than: compare((a, b) => a > b),
  greater_equal: compare((a, b) => a >= b),
  logical_and: compare(),
  logical_or: compare(),
  logical_xor: compare(),
  where: (call) => {
    const [c, x, y] = [call.value('condition'), call.value('x'), call.value('y')]
    const shape = broadcastDims([c.shape, x.shape, y.shape])
    const content =
      shape?.length === 1 && c.content && x.content && y.content && c.content.length === x.content.length
        ? c.content.map((v, i) => (isNumber(v) ? ((v ? x : y).content![i] ?? '') : ''))
        : undefined
    return { dtype: x.dtype, shape, content }
  },
  matmul: multiplied,
  bmm: multiplied,
  einsum: contracted,
  reshape: reshaped,
  squeeze: squeezed,
  unsqueeze: unsqueezed,
  flatten: flattened,
  transpose: transposed,
  slice: sliced('input'),
  strided_slice: sliced('x'),
  concat: concatenated,
  stack: stacked,
  split: splitted,
  split_with_num: splitted,
  expand: expanded,
  tile: tiled,
  pad: padded,
  gather: gathered,
  'onnx.Gather': gathered,
  index_select: gathered,
  gather_nd: gatheredNd,
  take_along_axis: (call) => ({ dtype: call.value('arr').dtype, shape: call.value('indices').shape }),
  put_along_axis: same('arr'),
  'onnx.ScatterElements': same('arr'),
  'onnx.ReshapeLike': (call) => shaped(call, call.value('like').shape),
  'onnx.Expand': (call) => shaped(call, broadcastDims([call.value('x').shape, call.dims('shape')])),
  'onnx.Pad': padded,
  'onnx.GatherND': (call) => {
    const [x, index] = [call.value('x'), call.value('index')]
    const depth = index.shape?.at(-1)
    if (!x.shape || !index.shape || !isNumber(depth)) return shaped(call, null)
    return shaped(call, [...index.shape.slice(0, -1), ...x.shape.slice(depth + call.number('batch_dims'))])
  },
  'onnx.OneHot': (call) => {
    const { shape } = call.value('index')
    if (!shape) return shaped(call, null, 'values')
    const out = [...shape]
    out.splice(fromFront(call.number('axis'), shape.length + 1), 0, call.number('depth'))
    return shaped(call, out, 'values')
  },
  'onnx.DepthToSpace': (call) => blockwise(call, call.number('blocksize')),
  'onnx.SpaceToDepth': (call) => blockwise(call, 1 / call.number('blocksize')),
  embedding: (call) => {
    const [index, weight] = [call.value('x'), call.value('weight')]
    return { dtype: weight.dtype, shape: index.shape ? [...index.shape, weight.shape?.[1] ?? ''] : null }
  },
  one_hot: (call) => {
    const { shape } = call.value('x')
    return { dtype: 'float32', shape: shape ? [...shape, call.dims('num_classes')?.[0] ?? ''] : null }
  },
  sum: reduction(summed),
  mean: reduction(ownType),
  max: reduction(ownType),
  min: reduction(ownType),
  amax: reduction(ownType),
  amin: reduction(ownType),
  // Paddle counts int32 as int64.
  cumsum: (call) => {
    const { dtype, shape } = call.value('x')
    const flat: readonly Dim[] | null = shape && call.bool('flatten') ? [productOf(shape)] : shape
    return { dtype: dtype === 'int32' || dtype === 'bool' ? 'int64' : dtype, shape: flat }
  },
  det: (call) => shaped(call, call.value('x').shape?.slice(0, -2) ?? null),
  nll_loss: (call) => {
    const { dtype } = call.value('input')
    return { dtype, shape: call.text('reduction') === 'none' ? call.value('label').shape : [] }
  },
  prod: reduction(ownType),
  logsumexp: reduction(ownType),
  frobenius_norm: reduction(ownType),
  all: reduction(() => 'bool'),
  any: reduction(() => 'bool'),
  p_norm: (call) => ({
    dtype: ownType(call),
    shape: reducedShape(call, numbersOf(call.dims('axis')), call.bool('keepdim')),
  }),
  argmax: position,
  argmin: position,
  topk: topped,
  argsort: (call) => {
    const { dtype, shape } = call.value('x')
    return { out: { dtype, shape }, indices: { dtype: 'int64', shape } }
  },
  full: filled,
  full_int_array: (call) => {
    const content = call.dims('value')
    return { dtype: 'int64', shape: content ? [content.length] : null, content: content ?? undefined }
  },
  full_like: (call) => ({ dtype: call.dtype('dtype') ?? ownType(call), shape: call.value('x').shape }),
  full_with_tensor: filledWithTensor,
  arange: counted,
  shape: shapeOf,
  shape64: shapeOf,
  numel: (call) => {
    const { shape } = call.value('x')
    return { dtype: 'int64', shape: [], content: shape ? [productOf(shape)] : undefined }
  },
  dropout: normalised(['out']),
  batch_norm_: normalised(['out']),
  layer_norm: normalised(['out']),
  group_norm: (call) => {
    const { dtype, shape } = call.value('x')
    return { y: { dtype, shape }, out: { dtype, shape } }
  },
  instance_norm: (call) => {
    const { dtype, shape } = call.value('x')
    return { y: { dtype, shape }, out: { dtype, shape } }
  },
  rnn: recurrent,
  'onnx.rnn': recurrent,
  pixel_shuffle: (call) => {
    const { shape } = call.value('x')
    const r = call.number('upscale_factor')
    const times = (d: Dim | undefined): Dim => arithmetic(d, r, (a, b) => a * b)
    if (shape?.length !== 4 || call.text('data_format') === 'NHWC') return shaped(call, null)
    return shaped(call, [shape[0]!, arithmetic(shape[1], r, (a, b) => a / (b * b)), times(shape[2]), times(shape[3])])
  },
}
