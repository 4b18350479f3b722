/** Normalisation, softmax, dropout. */
import { allocateHost, setElement } from '../../../../../common/dtype.ts'
import { numel } from '../../../../../common/shape.ts'
import { fromFront, isNumber } from '../../../program/inference/known.ts'
import type { NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type RuleTable } from '../rule.ts'

const batchNormalization: Convert = (n) => {
  if (n.int('training_mode', 0) !== 0) n.refuse('training_mode')
  if ([1, 2, 3, 4].some((k) => n.wants(k))) n.refuse('statistics of training as results')
  const inputs = {
    x: n.operand(0),
    mean: n.buffer(3),
    variance: n.buffer(4),
    scale: n.operand(1),
    bias: n.operand(2),
  }
  const attributes = {
    is_test: true,
    momentum: n.float('momentum', 0.9),
    epsilon: n.float('epsilon', 1e-5),
    data_format: 'NCHW',
    use_global_stats: false,
    trainable_statistics: false,
  }
  n.give('batch_norm_', inputs, attributes)
}

/** Scale and bias as vectors: ONNX has them in the shape of the axes. */
function asVector(n: NodeCall, i: number): string | null {
  if (!n.has(i)) return null
  const { shape } = n.known(i)
  return shape?.length === 1 ? n.operand(i) : n.emit('reshape', { x: n.operand(i) }, { shape: [-1] })
}

/** 1 over the root of the mean of the squares, plus epsilon. */
function inverseRoot(n: NodeCall, x: string, axis: number[]): string {
  const mean = n.emit('mean', { x: n.emit('square', { x }) }, { axis, keepdim: true })
  const attributes = { scale: 1, bias: n.float('epsilon', 1e-5), bias_after_scale: true }
  return n.emit('rsqrt', { x: n.emit('scale', { x: mean }, attributes) })
}

const layerNormalization: Convert = (n) => {
  const given = n.int('axis', -1)
  const from = given < 0 ? fromFront(given, n.rank()) : given
  const epsilon = n.float('epsilon', 1e-5)
  const x = n.operand(0)
  n.give('layer_norm', { x, scale: asVector(n, 1), bias: asVector(n, 2) }, { epsilon, begin_norm_axis: from })
  if (!n.wants(1) && !n.wants(2)) return
  const axis = Array.from({ length: n.rank() - from }, (_, i) => from + i)
  const mean = n.emit('mean', { x }, { axis, keepdim: true })
  n.bind(1, mean)
  n.bind(2, inverseRoot(n, n.emit('subtract', { x, y: mean }), axis))
}

/** x over the root of the mean of its squares, times a scale. */
const rmsNormalization: Convert = (n) => {
  const rank = n.rank()
  const from = fromFront(n.int('axis', -1), rank)
  const axis = Array.from({ length: rank - from }, (_, i) => from + i)
  const x = n.operand(0)
  const normal = n.emit('multiply', { x, y: inverseRoot(n, x, axis) })
  n.give('multiply', { x: normal, y: n.operand(1) })
}

const instanceNormalization: Convert = (n) => {
  const inputs = { x: n.operand(0), scale: n.operand(1), bias: n.operand(2) }
  n.give('instance_norm', inputs, { epsilon: n.float('epsilon', 1e-5) })
}

/** Scale and bias of version 18 are one a group; since 21 they are one a channel. */
const groupNormalization: Convert = (n) => {
  const groups = n.int('num_groups') ?? n.refuse('a number of groups that is not told')
  const spread = (i: number): string => {
    const array = n.constant(i)
    const channels = n.known(0).shape?.[1]
    if (n.opset >= 21) return n.operand(i)
    if (!isNumber(channels)) return n.refuse('a number of channels that is not known')
    const each = channels / groups
    if (array && numel(array.shape) !== groups) return n.refuse('a scale that is not one a group')
    const tall = n.emit('reshape', { x: n.operand(i) }, { shape: [groups, 1] })
    return n.emit('reshape', { x: n.emit('expand', { x: tall }, { shape: [groups, each] }) }, { shape: [channels] })
  }
  const attributes = { epsilon: n.float('epsilon', 1e-5), groups, data_format: 'NCHW' }
  n.give('group_norm', { x: n.operand(0), scale: spread(1), bias: spread(2) }, attributes)
}

/** An axis of a value, whole. */
type Along = (n: NodeCall, x: string, axis: number) => string

const along =
  (convert: Along): Convert =>
  (n) =>
    n.bind(0, convert(n, n.operand(0), n.int('axis', -1)))

/** Before version 13 all axes from the given one on were one. */
const alongRest =
  (convert: Along): Convert =>
  (n) => {
    const axis = n.int('axis', 1)
    const x = n.operand(0)
    const rank = axis === -1 ? null : n.rank()
    const at = rank === null ? -1 : fromFront(axis, rank)
    if (rank === null || at === rank - 1) return n.bind(0, convert(n, x, -1))
    const flat = n.emit('flatten', { x }, { start_axis: at, stop_axis: rank - 1 })
    const out = convert(n, flat, -1)
    const shape = n.known(0).shape!
    const unknown = shape.flatMap((d, i) => (isNumber(d) ? [] : [i]))
    // Sizes before the axis are copied by 0; of the others one may be what is left.
    const sizes = shape.map((d, i) => (i < at ? 0 : isNumber(d) ? d : -1))
    if (unknown.filter((i) => i >= at).length <= 1) return n.give('reshape', { x: out }, { shape: sizes })
    n.give('onnx.ReshapeLike', { x: out, like: x })
  }

const softmax =
  (type: string): Along =>
  (n, x, axis) =>
    n.emit(type, { x }, { axis })

/** 1 at the first of the greatest elements, 0 elsewhere. */
const hardmax: Along = (n, x, axis) => {
  const depth = n.knownSize(x, axis)
  const index = n.emit('argmax', { x }, { axis, keepdims: false, flatten: false, dtype: 'int64' })
  const data = allocateHost(n.dtype(), 2)
  setElement(n.dtype(), data, 1, 1)
  const values = n.make({ dtype: n.dtype(), shape: [2], data }, 'off_on')
  return n.emit('onnx.OneHot', { index, values }, { depth, axis })
}

const byVersion = (convert: Along) => ({ 1: alongRest(convert), 13: along(convert) })

const dropout: Convert = (n) => {
  const training = n.fixed(2, 'training mode')
  if (training?.[0]) n.refuse('training_mode')
  const p = n.has(1) ? (n.numbers(1)?.[0] ?? 0.5) : n.float('ratio', 0.5)
  const attributes = { p, is_test: true, mode: 'upscale_in_train', seed: 0, fix_seed: false }
  n.give('dropout', { x: n.operand(0) }, attributes)
  // In inference nothing is dropped.
  if (n.wants(1)) n.give('full_like', { x: n.operand(0) }, { value: true, dtype: 'bool' }, 'out', 1)
}

const lrn: Convert = (n) => {
  const attributes = {
    size: n.int('size') ?? n.refuse('a size that is not told'),
    alpha: n.float('alpha', 1e-4),
    beta: n.float('beta', 0.75),
    bias: n.float('bias', 1),
  }
  n.give('onnx.LRN', { x: n.operand(0) }, attributes)
}

const meanVariance: Convert = (n) => {
  const axis = n.ints('axes', [0, 2, 3])
  const x = n.operand(0)
  const centred = n.emit('subtract', { x, y: n.emit('mean', { x }, { axis, keepdim: true }) })
  const variance = n.emit('mean', { x: n.emit('square', { x: centred }) }, { axis, keepdim: true })
  const deviation = n.emit(
    'scale',
    { x: n.emit('sqrt', { x: variance }) },
    { scale: 1, bias: 1e-9, bias_after_scale: true },
  )
  n.give('divide', { x: centred, y: deviation })
}

export const normalizationRules: RuleTable = {
  BatchNormalization: always(batchNormalization, 'of inference'),
  Dropout: always(dropout, 'of inference'),
  GroupNormalization: always(groupNormalization),
  Hardmax: versions(byVersion(hardmax), 'axes of known size'),
  InstanceNormalization: always(instanceNormalization),
  LRN: always(lrn),
  LayerNormalization: always(layerNormalization),
  LogSoftmax: versions(byVersion(softmax('log_softmax'))),
  MeanVarianceNormalization: always(meanVariance),
  RMSNormalization: always(rmsNormalization),
  Softmax: versions(byVersion(softmax('softmax'))),
}
