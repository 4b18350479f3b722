/** What samples images at points that are computed: regions of ONNX's RoiAlign, and convolutions whose taps are moved. */
import { ShapeError } from '../../../../common/errors.ts'
import { formatShape } from '../../../../common/shape.ts'
import {
  binary,
  cast,
  constant,
  iota,
  permute,
  reduce,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../../../../graph/build.ts'
import { spread } from '../../../../graph/gradient.ts'
import type { Node } from '../../../../graph/node.ts'
import { clamped, linearTerms, plus, times } from '../../../../nn/functional/sampling.ts'
import { einsum } from '../../../../tensor/einsum.ts'
import { constantLike } from '../../../../tensor/promotion.ts'
import { Tensor } from '../../../../tensor/tensor.ts'
import { hostNumbers } from '../host-values.ts'
import { bool, float, int, ints, text, type Operator, type OperatorCall } from '../operator.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const at = (i: Node, v: number): Node => constantLike(i, v)

/** Points along one axis of regions: [region, bin, point], and how many there are in a bin of each region. */
interface Points {
  readonly coordinates: Node
  /** Whether the point is one of its bin: regions may have fewer than others. */
  readonly counts: Node
  /** Whether the point lies inside the image, or less than one element outside. */
  readonly inside: Node
  readonly perBin: Node
}

function pointsOf(call: OperatorCall, first: Node, end: Node, bins: number, size: number): Points {
  const ratio = call.number('sampling_ratio')
  const placed = (edge: Node): Node => plus(times(edge, call.number('spatial_scale')), call.bool('aligned') ? -0.5 : 0)
  const start = placed(first)
  const span = sub(placed(end), start)
  const bin = times(call.bool('aligned') ? span : binary('max', span, at(span, 1)), 1 / bins)
  const perBin = ratio > 0 ? at(bin, ratio) : unary('ceil', bin)
  // Regions have as many points as the largest one; what is too many does not count.
  const most = ratio > 0 ? ratio : Math.max(...hostNumbers(new Tensor(reduce('reduceMax', perBin, [0]))), 1)
  const shape = [first.shape[0]!, bins, most]
  const wide = (x: Node): Node => spread(x, shape, [1, 2])
  const k = iota(shape, 2, first.dtype)
  const inBin = binary('div', mul(plus(k, 0.5), wide(bin)), wide(perBin))
  const position = add(add(wide(start), mul(iota(shape, 1, first.dtype), wide(bin))), inBin)
  return {
    coordinates: clamped(position, 0, size - 1),
    counts: binary('lt', k, wide(perBin)),
    inside: binary('and', binary('ge', position, at(position, -1)), binary('le', position, at(position, size))),
    perBin,
  }
}

/** Averages, or maxima, of points in the bins of regions: x [N, C, H, W] and boxes [R, 4] as (x1, y1, x2, y2) give [R, C, H', W']. */
function roiAlign(call: OperatorCall): Tensor {
  const [x, boxes, image] = [call.tensor('x'), call.tensor('boxes'), call.tensor('image')]
  const [height, width] = [call.number('output_height'), call.number('output_width')]
  if (x.ndim !== 4 || boxes.ndim !== 2 || boxes.shape[1] !== 4)
    throw new ShapeError(
      `${call.type}: needs x [N, C, H, W] and boxes [R, 4], got ${formatShape(x.shape)} and ${formatShape(boxes.shape)}`,
    )
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const r = boxes.shape[0]!
  if (r === 0) return new Tensor(constant(0, x.dtype, [0, c, height, width]))
  const column = (k: number): Node => reshape(sliceAxis(cast(boxes.node, x.dtype), 1, k, k + 1), [r])
  const y = pointsOf(call, column(1), column(3), height, h)
  const across = pointsOf(call, column(0), column(2), width, w)
  const grid = [...y.coordinates.shape, ...across.coordinates.shape.slice(1)]
  const along = (axis: Node, isRow: boolean): Node => spread(axis, grid, isRow ? [3, 4] : [1, 2])
  const both = (name: 'counts' | 'inside'): Node => binary('and', along(y[name], true), along(across[name], false))
  const count = grid.reduce((a, b) => a * b, 1)
  const flat = (node: Node): Node => reshape(node, [count])
  const images = {
    rows: reshape(permute(x.node, [0, 2, 3, 1]), [n * h * w, c]),
    sizes: [h, w],
    image: flat(spread(cast(image.node, 'int64'), grid, [1, 2, 3, 4])),
  }
  const terms = linearTerms(images, [flat(along(y.coordinates, true)), flat(along(across.coordinates, false))])
  const isMax = call.text('mode') === 'max'
  // ONNX takes the maximum of the weighted neighbours, and not of their sums.
  const value = terms.reduce((a, b) => binary(isMax ? 'max' : 'add', a, b))
  const wide = [...grid, c]
  const masked = (given: Node, mask: Node, otherwise: number): Node =>
    where(spread(mask, wide, [5]), given, at(given, otherwise))
  const inside = masked(reshape(value, wide), both('inside'), 0)
  let out: Node
  if (isMax) {
    const most = reduce('reduceMax', masked(inside, both('counts'), -Infinity), [2, 4])
    out = where(binary('eq', most, at(most, -Infinity)), at(most, 0), most)
  } else {
    const sum = reduce('reduceSum', masked(inside, both('counts'), 0), [2, 4])
    const points = mul(y.perBin, across.perBin)
    out = binary('div', sum, spread(binary('max', points, at(points, 1)), sum.shape, [1, 2, 3]))
  }
  return new Tensor(permute(out, [0, 3, 1, 2]))
}

/**
 * A convolution whose taps are moved by `offset` [N, 2 * groups * kh * kw, H', W'], rows before columns, and weighted by `mask`,
 * `paddle.vision.ops.deform_conv2d` (Dai et al. 2017; Zhu et al. 2019).
 */
function deformableConv(call: OperatorCall): Tensor {
  const [x, offset, filter] = [call.tensor('x'), call.tensor('offset'), call.tensor('filter')]
  const mask = call.optional('mask')
  const [strides, dilations, given] = [call.numbers('strides'), call.numbers('dilations'), call.numbers('paddings')]
  const low = given.length === 4 ? [given[0]!, given[2]!] : given
  const [own, groups] = [call.number('deformable_groups'), call.number('groups')]
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const [outs, inner, kh, kw] = filter.shape as [number, number, number, number]
  const [taps, oh, ow] = [kh * kw, offset.shape[2]!, offset.shape[3]!]
  if (x.ndim !== 4 || offset.ndim !== 4 || offset.shape[1] !== 2 * own * taps || inner * groups !== c)
    throw new ShapeError(
      `${call.type}: x ${formatShape(x.shape)}, offset ${formatShape(offset.shape)} and filter ${formatShape(filter.shape)} do not fit`,
    )
  const points = [n * own, kh, kw, oh, ow]
  const count = n * own * taps * oh * ow
  const moved = reshape(offset.node, [n * own, taps, 2, oh, ow])
  const coordinates = [0, 1].map((i) => {
    const place = times(iota(points, 3 + i, x.dtype), strides[i]!)
    const tap = plus(times(iota(points, 1 + i, x.dtype), dilations[i]!), -low[i]!)
    const shift = reshape(sliceAxis(moved, 2, i, i + 1), points)
    return reshape(add(add(place, tap), shift), [count])
  })
  const rows = permute(reshape(x.node, [n * own, c / own, h, w]), [0, 2, 3, 1])
  const images = {
    rows: reshape(rows, [n * own * h * w, c / own]),
    sizes: [h, w],
    image: reshape(iota(points, 0, 'int64'), [count]),
  }
  const sampled = reshape(linearTerms(images, coordinates).reduce(add), [n, own, taps, oh * ow, c / own])
  const weighted = mask
    ? mul(sampled, spread(reshape(mask.node, [n, own, taps, oh * ow, 1]), sampled.shape, [4]))
    : sampled
  const columns = reshape(permute(weighted, [0, 1, 4, 2, 3]), [n, groups, inner, taps, oh * ow])
  const filters = reshape(filter.node, [groups, outs / groups, inner, taps])
  const out = einsum('ngikl,goik->ngol', new Tensor(columns), new Tensor(filters))
  return new Tensor(reshape(out.node, [n, outs, oh, ow]))
}

export const sampledOperators = {
  deformable_conv: {
    inputs: ['x', 'offset', 'filter', 'mask?'],
    outputs: ['out'],
    attributes: {
      strides: ints([1, 1]),
      paddings: ints([0, 0]),
      dilations: ints([1, 1]),
      deformable_groups: int(1),
      groups: int(1),
      im2col_step: int(64),
    },
    run: deformableConv,
  },
  'onnx.RoiAlign': {
    inputs: ['x', 'boxes', 'image'],
    outputs: ['out'],
    attributes: {
      mode: text('avg'),
      output_height: int(1),
      output_width: int(1),
      // Points on each axis of a bin; 0: as many as a bin has elements.
      sampling_ratio: int(0),
      spatial_scale: float(1),
      aligned: bool(true),
    },
    run: roiAlign,
  },
} satisfies Record<string, Operator>
