/**
 * ONNX's pools in full: windows with gaps, over any number of axes, as many as ONNX counts where sizes are rounded up, of bytes too. What Paddle's
 * pools give as well is written with these.
 */
import { isFloat } from '../../../../common/dtype.ts'
import { ShapeError } from '../../../../common/errors.ts'
import { formatShape, numel } from '../../../../common/shape.ts'
import { binary, cast, constant, iota, reduce, reshape, scatter, unary, window } from '../../../../graph/build.ts'
import type { Node } from '../../../../graph/node.ts'
import { resolvePadding, spatialAxes, spreadVector, type Pads } from '../../../../nn/functional/geometry.ts'
import { padConstant } from '../../../../nn/functional/pad.ts'
import { maskOf, maximumOver } from '../../../../nn/functional/pooling.ts'
import { plus, times } from '../../../../nn/functional/sampling.ts'
import { constantLike } from '../../../../tensor/promotion.ts'
import { fromHost, Tensor } from '../../../../tensor/tensor.ts'
import {
  bool,
  float,
  int,
  ints,
  text,
  variable,
  type Operator,
  type OperatorCall,
  type OperatorResults,
} from '../operator.ts'
import { positionsRoundedUp } from '../positions.ts'
import { paddingOf } from './convolution.ts'

interface Windows {
  /** [N, C, position, tap, position, tap, ..]. */
  readonly node: Node
  readonly axes: readonly number[]
  readonly tapAxes: readonly number[]
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly pads: Pads
  readonly sizes: readonly number[]
  readonly counts: readonly number[]
}

function windowsOf(call: OperatorCall, x: Node, fill: number): Windows {
  const [kernel, strides, dilations] = [call.numbers('kernel_size'), call.numbers('strides'), call.numbers('dilations')]
  const axes = spatialAxes(x.shape.length - 2, true)
  const sizes = axes.map((a) => x.shape[a]!)
  if (kernel.length !== axes.length)
    throw new ShapeError(`${call.type}: a kernel ${formatShape(kernel)} for an input ${formatShape(x.shape)}`)
  const pads = resolvePadding(paddingOf(call), sizes, kernel, strides, true, call.type)
  const reach = kernel.map((k, i) => (k - 1) * dilations[i]! + 1)
  const counts = sizes.map((d, i) => {
    const [low, high, stride] = [pads.low[i]!, pads.high[i]!, strides[i]!]
    if (call.bool('ceil_mode')) return positionsRoundedUp(d, low, high, reach[i]!, stride)
    return Math.floor((d + low + high - reach[i]!) / stride) + 1
  })
  if (counts.some((k) => k < 1))
    throw new ShapeError(
      `${call.type}: windows over ${formatShape(reach)} elements do not fit into ${formatShape(sizes)}`,
    )
  const high = sizes.map((d, i) => Math.max((counts[i]! - 1) * strides[i]! + reach[i]! - d - pads.low[i]!, 0))
  let node = padConstant(x, { low: [0, 0, ...pads.low], high: [0, 0, ...high] }, fill)
  for (const i of axes.map((_, k) => k).reverse()) node = window(node, axes[i]!, kernel[i]!, strides[i]!, dilations[i]!)
  const tapAxes = axes.map((a, i) => a + i + 1)
  return { node, axes, tapAxes, kernel, strides, dilations, pads, sizes, counts }
}

/** Bytes are compared as numbers of float32, which holds them all. */
const compared = (x: Tensor): Node => (isFloat(x.dtype) ? x.node : cast(x.node, 'float32'))

function maxPool(call: OperatorCall): OperatorResults {
  const x = call.tensor('x')
  const w = windowsOf(call, compared(x), -Infinity)
  const out = new Tensor(cast(maximumOver(w.node, w.tapAxes), x.dtype))
  return { out, mask: new Tensor(maskIn(call, x, w)) }
}

/** Where maxima stand in the whole of x, laid out flat; with a `storage_order` of 1 the first spatial axis lies innermost. */
function maskIn(call: OperatorCall, x: Tensor, w: Windows): Node {
  const inPlane = maskOf(w.node, w.tapAxes, w.axes, w.sizes, (i, position, tap) => {
    const first = plus(times(position, w.strides[i]!), -w.pads.low[i]!)
    return binary('add', first, times(tap, w.dilations[i]!))
  })
  const flat = cast(inPlane, 'int64')
  const { shape } = flat
  const plane = binary('add', times(iota(shape, 0, 'int64'), x.shape[1]!), iota(shape, 1, 'int64'))
  const at = call.number('storage_order') === 1 ? turned(flat, w.sizes) : flat
  return binary('add', times(plane, numel(w.sizes)), at)
}

/** Offsets of which the last axis lies innermost as offsets of which the first one does. */
function turned(flat: Node, sizes: readonly number[]): Node {
  return sizes
    .map((size, i) => {
      const coordinate = binary('floordiv', flat, constantLike(flat, numel(sizes.slice(i + 1))))
      return times(binary('mod', coordinate, constantLike(flat, size)), numel(sizes.slice(0, i)))
    })
    .reduce((a, b) => binary('add', a, b))
}

/** Elements of each window along an axis that count: those of x, and of its padding where `padded`. */
function countsOf(w: Windows, i: number, padded: boolean): Float32Array<ArrayBuffer> {
  const [low, high] = padded ? [w.pads.low[i]!, w.pads.high[i]!] : [0, 0]
  return Float32Array.from({ length: w.counts[i]! }, (_, p) => {
    const first = p * w.strides[i]! - w.pads.low[i]!
    const taps = Array.from({ length: w.kernel[i]! }, (__, t) => first + t * w.dilations[i]!)
    return taps.filter((at) => at >= -low && at < w.sizes[i]! + high).length
  })
}

function averagePool(call: OperatorCall): Tensor {
  const x = call.tensor('x').node
  const w = windowsOf(call, x, 0)
  let out = reduce('reduceSum', w.node, w.tapAxes)
  w.axes.forEach((axis, i) => {
    const counts = fromHost({ dtype: 'float32', shape: [w.counts[i]!], data: countsOf(w, i, !call.bool('exclusive')) })
    out = binary('div', out, spreadVector(cast(counts.node, x.dtype), axis, out.shape))
  })
  return new Tensor(out)
}

/** (sum of |x|^p)^(1/p) over each window. */
function lpPool(call: OperatorCall): Tensor {
  const p = call.number('p')
  const size = unary('abs', call.tensor('x').node)
  const w = windowsOf(call, binary('pow', size, constantLike(size, p)), 0)
  const sum = reduce('reduceSum', w.node, w.tapAxes)
  return new Tensor(binary('pow', sum, constantLike(sum, 1 / p)))
}

/** Maxima at the places where `onnx.MaxPool` found them, zeros elsewhere; an output that is larger than the windows reach has more zeros behind. */
function maxUnpool(call: OperatorCall): Tensor {
  const [x, indices] = [call.tensor('x'), call.tensor('indices')]
  const [kernel, strides, paddings] = [call.numbers('kernel_size'), call.numbers('strides'), call.numbers('paddings')]
  const sizes = kernel.map((k, i) => (x.shape[i + 2]! - 1) * strides[i]! + k - paddings[2 * i]! - paddings[2 * i + 1]!)
  const reached = [...x.shape.slice(0, 2), ...sizes]
  const shape = call.numbers('output_shape')
  const count = numel(x.shape)
  const places = reshape(cast(indices.node, 'int64'), [count])
  const flat = scatter(constant(0, x.dtype, [numel(reached)]), places, reshape(x.node, [count]), 0, 'set')
  const out = reshape(flat, reached)
  if (shape.length === 0) return new Tensor(out)
  const high = shape.map((d, i) => d - (reached[i] ?? d))
  if (shape.length !== reached.length || high.some((h) => h < 0))
    throw new ShapeError(
      `${call.type}: windows reach ${formatShape(reached)}, which ${formatShape(shape)} does not hold`,
    )
  return new Tensor(padConstant(out, { low: high.map(() => 0), high }, 0))
}

const geometry = {
  kernel_size: ints(),
  strides: ints(),
  dilations: ints(),
  // Low and high of every axis.
  paddings: ints(),
  padding_algorithm: text('EXPLICIT'),
  ceil_mode: bool(false),
}

export const onnxPools = {
  'onnx.AveragePool': {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { ...geometry, exclusive: bool(true) },
    run: averagePool,
  },
  'onnx.LpPool': { inputs: ['x'], outputs: ['out'], attributes: { ...geometry, p: float(2) }, run: lpPool },
  'onnx.MaxPool': {
    inputs: ['x'],
    outputs: ['out', 'mask?'],
    attributes: { ...geometry, storage_order: int(0) },
    run: maxPool,
  },
  'onnx.MaxUnpool': {
    inputs: ['x', 'indices'],
    outputs: ['out'],
    attributes: { kernel_size: ints(), strides: ints(), paddings: ints(), output_shape: variable(ints([])) },
    run: maxUnpool,
  },
} satisfies Record<string, Operator>
