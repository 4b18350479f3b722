/** Operators that only ONNX has: shapes, indices, and remainders. Their names are ONNX's behind `onnx.`. */
import { FormatError } from '../../../../common/errors.ts'
import { slice } from '../../../../graph/build.ts'
import { broadcastShapes, normalizeAxis, numel } from '../../../../common/shape.ts'
import { padAxes, type PadMode } from '../../../../nn/functional/pad.ts'
import { putAlongAxis } from '../../../../tensor/along-axis.ts'
import { arange } from '../../../../tensor/creation.ts'
import { avgPool3d } from '../../../../nn/functional/pooling.ts'
import { abs, neg } from '../../../../tensor/elementary.ts'
import { gather, gatherNd, scatter } from '../../../../tensor/indexing.ts'
import { concat, stack } from '../../../../tensor/manipulation.ts'
import { add, divide, multiply, pow, remainder, scale } from '../../../../tensor/math.ts'
import { equal, lessThan } from '../../../../tensor/comparison.ts'
import { where } from '../../../../tensor/search.ts'
import { cast, expand, reshape, transpose, unsqueeze } from '../../../../tensor/shaping.ts'
import { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, ints, text, variable, type Operator, type OperatorCall } from '../operator.ts'

/** The remainder with the sign of the dividend, as C's fmod. */
function fmod(call: OperatorCall): Tensor {
  const [x, y] = [call.tensor('x'), call.tensor('y')]
  if (x.dtype === 'uint8') return remainder(x, y)
  const size = remainder(abs(x), abs(y))
  return where(lessThanZero(x), neg(size), size)
}

/** Slices of an axis at positions of any shape, which stand in place of the axis. */
function gathered(call: OperatorCall): Tensor {
  const [x, index] = [call.tensor('x'), call.tensor('index')]
  const axis = normalizeAxis(call.number('axis'), x.ndim, call.type)
  const picked = gather(x, reshape(index, [index.size]), axis)
  return reshape(picked, [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)])
}

/** `gather_nd` of each entry of the leading axes by itself: their own positions are put before the given ones. */
function gatheredInBatch(call: OperatorCall): Tensor {
  const [x, index] = [call.tensor('x'), call.tensor('index')]
  const batch = call.number('batch_dims')
  const places = index.shape.slice(0, -1)
  const own = Array.from({ length: batch }, (_, axis) => {
    const along = places.map((d, i) => (i === axis ? d : 1))
    return expand(reshape(arange(0, places[axis]!, 1, 'int64'), along), places)
  })
  const given = cast(index, 'int64')
  const rest = Array.from({ length: index.shape.at(-1)! }, (_, k) =>
    reshape(gather(given, arange(k, k + 1, 1, 'int64'), index.ndim - 1), places),
  )
  return gatherNd(x, stack([...own, ...rest], places.length))
}

/** x with slices replaced, or joined with others: of repeated positions the last one stays. */
function scattered(call: OperatorCall): Tensor {
  const [x, index, updates] = [call.tensor('x'), call.tensor('index'), call.tensor('updates')]
  const depth = index.shape.at(-1)!
  const sizes = x.shape.slice(0, depth)
  const count = numel(index.shape.slice(0, -1))
  const rows = reshape(cast(index, 'int64'), [count, depth])
  let flat: Tensor | null = null
  sizes.forEach((size, k) => {
    const column = reshape(gather(rows, arange(k, k + 1, 1, 'int64'), 1), [count])
    const fromFront = where(lessThanZero(column), add(column, size), column)
    flat = flat ? add(multiply(flat, size), fromFront) : fromFront
  })
  const slice = x.shape.slice(depth)
  const table = reshape(x, [numel(sizes), ...slice])
  const at = flat ?? reshape(arange(0, count, 1, 'int64'), [count])
  const pieces = reshape(updates, [count, ...slice])
  const reduce = known(reductions, call.text('reduce'), call.type)
  if (reduce === 'assign') return reshape(scatter(table, at, pieces), x.shape)
  const along = expand(
    reshape(
      at,
      pieces.shape.map((_, i) => (i === 0 ? count : 1)),
    ),
    pieces.shape,
  )
  return reshape(putAlongAxis(table, along, pieces, 0, { reduce, includeSelf: true, broadcast: false }), x.shape)
}

const lessThanZero = (x: Tensor): Tensor => lessThan(x, 0)

/** The position of 1 on a new axis, between two values. */
function oneHot(call: OperatorCall): Tensor {
  const [index, values] = [call.tensor('index'), call.tensor('values')]
  const depth = call.number('depth')
  const rank = index.ndim + 1
  const axis = normalizeAxis(call.number('axis'), rank, call.type)
  const wide = cast(index, 'int64')
  const fromFront = where(lessThanZero(wide), add(wide, depth), wide)
  const along = Array.from({ length: rank }, (_, i) => (i === axis ? depth : 1))
  const hits = equal(unsqueeze(fromFront, axis), reshape(arange(0, depth, 1, 'int64'), along))
  const value = (i: number): Tensor => reshape(gather(reshape(values, [2]), arange(i, i + 1, 1, 'int64')), [])
  return where(hits, expand(value(1), hits.shape), expand(value(0), hits.shape))
}

function expanded(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  return expand(x, broadcastShapes(x.shape, call.numbers('shape'), call.type))
}

/** Blocks of channels become blocks of space: [N, C, H, W] to [N, C / b^2, H b, W b]. */
function depthToSpace(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const b = call.number('blocksize')
  const [n, c, h, w] = planes(call, x)
  const apart = reshape(x, [n, b, b, c / (b * b), h, w])
  return reshape(transpose(apart, [0, 3, 4, 1, 5, 2]), [n, c / (b * b), h * b, w * b])
}

function spaceToDepth(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const b = call.number('blocksize')
  const [n, c, h, w] = planes(call, x)
  const apart = reshape(x, [n, c, h / b, b, w / b, b])
  return reshape(transpose(apart, [0, 3, 5, 1, 2, 4]), [n, c * b * b, h / b, w / b])
}

function planes(call: OperatorCall, x: Tensor): [n: number, c: number, h: number, w: number] {
  if (x.ndim !== 4) throw new FormatError(`operator '${call.type}' takes [N, C, H, W], got [${x.shape.join(', ')}]`)
  return x.shape as [number, number, number, number]
}

function padded(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const pads = call.numbers('paddings')
  if (pads.length !== 2 * x.ndim)
    throw new FormatError(`operator '${call.type}': ${pads.length} paddings for ${x.ndim} axes`)
  const side = (s: number): number[] => pads.filter((_, i) => i % 2 === s)
  const mode = call.text('mode')
  const modes: Readonly<Record<string, PadMode>> = { reflect: 'reflect', replicate: 'replicate', circular: 'circular' }
  return new Tensor(padAxes(x.node, { low: side(0), high: side(1) }, known(modes, mode, call.type), 0, call.type))
}

/** x / (bias + alpha / size * sum of squares of neighbouring channels) ^ beta. */
function localResponse(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const size = call.number('size')
  const before = Math.floor((size - 1) / 2)
  const [n, c] = x.shape as [number, number]
  const rest = numel(x.shape.slice(2))
  const squares = reshape(multiply(x, x), [n, 1, c, rest, 1])
  const mean = avgPool3d(padChannels(squares, before, size - 1 - before), [size, 1, 1], { stride: 1 })
  const base = scale(reshape(mean, x.shape), call.number('alpha'), { bias: call.number('bias') })
  return divide(x, pow(base, call.number('beta')))
}

/** Zeros before and behind axis 2 of five. */
function padChannels(x: Tensor, low: number, high: number): Tensor {
  const pads = { low: [0, 0, low, 0, 0], high: [0, 0, high, 0, 0] }
  return new Tensor(padAxes(x.node, pads, 'constant', 0, 'onnx.LRN'))
}

/**
 * x with elements replaced, or joined with others, at positions along an axis. The index may be smaller than x on the other axes: what lies
 * behind it stays as it is.
 */
function scatterElements(call: OperatorCall): Tensor {
  const reduce = known(reductions, call.text('reduce'), call.type)
  const [arr, indices, values] = [call.tensor('arr'), call.tensor('indices'), call.tensor('values')]
  const axis = normalizeAxis(call.number('axis'), arr.ndim, call.type)
  const ends = indices.shape.map((d, i) => (i === axis ? arr.shape[i]! : d))
  const part = (to: readonly number[], from = to.map(() => 0)): Tensor => new Tensor(slice(arr.node, from, to))
  let out = putAlongAxis(part(ends), indices, values, axis, { reduce, includeSelf: true, broadcast: false })
  ends.forEach((end, i) => {
    if (end === arr.shape[i]) return
    // Earlier axes are whole by now, later ones still cut.
    const to = ends.map((e, k) => (k <= i ? arr.shape[k]! : e))
    const rest = part(
      to,
      to.map((_, k) => (k === i ? end : 0)),
    )
    out = concat([out, rest], i)
  })
  return out
}

const reductions = { assign: 'assign', add: 'add', multiply: 'multiply', amax: 'amax', amin: 'amin' } as const

function known<T>(table: Readonly<Record<string, T>>, name: string, type: string): T {
  const entry = Object.hasOwn(table, name) ? table[name] : undefined
  if (entry === undefined)
    throw new FormatError(`operator '${type}': '${name}' is unknown; known: ${Object.keys(table).join(', ')}`)
  return entry
}

export const onnxShaping = {
  'onnx.DepthToSpace': { inputs: ['x'], outputs: ['out'], attributes: { blocksize: int() }, run: depthToSpace },
  'onnx.Expand': { inputs: ['x'], outputs: ['out'], attributes: { shape: variable(ints()) }, run: expanded },
  'onnx.Gather': { inputs: ['x', 'index'], outputs: ['out'], attributes: { axis: int(0) }, run: gathered },
  'onnx.GatherND': {
    inputs: ['x', 'index'],
    outputs: ['out'],
    attributes: { batch_dims: int(0) },
    run: gatheredInBatch,
  },
  'onnx.LRN': {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { size: int(), alpha: float(1e-4), beta: float(0.75), bias: float(1) },
    run: localResponse,
  },
  'onnx.Mod': { inputs: ['x', 'y'], outputs: ['out'], attributes: { fmod: bool(true) }, run: fmod },
  'onnx.OneHot': {
    inputs: ['index', 'values'],
    outputs: ['out'],
    attributes: { depth: int(), axis: int(-1) },
    run: oneHot,
  },
  'onnx.Pad': {
    inputs: ['x'],
    outputs: ['out'],
    // Low and high of every axis, the first axis first.
    attributes: { paddings: ints(), mode: text('reflect') },
    run: padded,
  },
  'onnx.ReshapeLike': {
    inputs: ['x', 'like'],
    outputs: ['out'],
    attributes: {},
    run: (call) => reshape(call.tensor('x'), call.tensor('like').shape),
  },
  'onnx.ScatterElements': {
    inputs: ['arr', 'indices', 'values'],
    outputs: ['out'],
    attributes: { axis: int(0), reduce: text('assign') },
    run: scatterElements,
  },
  'onnx.ScatterND': {
    inputs: ['x', 'index', 'updates'],
    outputs: ['out'],
    attributes: { reduce: text('assign') },
    run: scattered,
  },
  'onnx.SpaceToDepth': { inputs: ['x'], outputs: ['out'], attributes: { blocksize: int() }, run: spaceToDepth },
} satisfies Record<string, Operator>
