/** Sampling at given points and the grids for it, as in paddle.nn.functional.vision: the parts of spatial transformers. */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, numel } from '../../common/shape.ts'
import { binary, cast, constant, contract, iota, permute, reshape, sliceAxis, unary, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { concatNodes } from '../../tensor/manipulation.ts'
import { checkFloat, constantLike } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { clamped, cubicRows, linearTerms, plus, rowsAt, times } from './sampling.ts'

const sub = (a: Node, b: Node): Node => binary('sub', a, b)

/** Coordinates in [-1, 1] along an axis of `size` points. */
function normalized(size: number, axis: number, shape: readonly number[], alignCorners: boolean, like: Node): Node {
  const i = iota(shape, axis, like.dtype)
  if (alignCorners) return size === 1 ? constantLike(i, -1) : plus(times(i, 2 / (size - 1)), -1)
  return plus(times(i, 2 / size), 1 / size - 1)
}

/**
 * The points that affine maps send a regular grid to: theta [N, 2, 3] and an output of [N, C, H, W] give [N, H, W, 2] as (x, y); [N, 3, 4] and
 * [N, C, D, H, W] give [N, D, H, W, 3]. `paddle.nn.functional.affine_grid`.
 */
export function affineGrid(theta: Tensor, outShape: readonly number[], alignCorners = true): Tensor {
  const op = 'affineGrid'
  checkFloat(theta, op, 'theta')
  const sizes = outShape.slice(2)
  const n = sizes.length
  if ((n !== 2 && n !== 3) || formatShape(theta.shape) !== formatShape([outShape[0]!, n, n + 1]))
    throw new ShapeError(
      `${op}: theta must be [N, 2, 3] for an output [N, C, H, W], or [N, 3, 4] for [N, C, D, H, W], got ${formatShape(theta.shape)} and ${formatShape(outShape)}`,
    )
  const shape = [...sizes, 1]
  // Coordinates in the order x, y(, z): the last axis first, and a one for the shift.
  const columns = sizes.map((_, k) => {
    const axis = n - 1 - k
    return normalized(sizes[axis]!, axis, shape, alignCorners, theta.node)
  })
  const base = concatNodes([...columns, constant(1, theta.dtype, shape)], n)
  const places = sizes.map((_, i) => i)
  const [sample, row, column] = [n, n + 1, n + 2]
  const spec = { lhs: [...places, column], rhs: [sample, row, column], out: [sample, ...places, row] }
  return new Tensor(contract(base, theta.node, spec, [outShape[0]!, ...sizes, n]))
}

export interface GridSampleOptions {
  /** Default `'bilinear'` (trilinear for volumes). `'bicubic'` is PyTorch's and ONNX's. */
  readonly mode?: 'bilinear' | 'nearest' | 'bicubic'
  /** What lies outside: zeros (default), the border, or the mirrored input. */
  readonly paddingMode?: 'zeros' | 'border' | 'reflection'
  /** Whether -1 and 1 are the centres of the corner elements (default) or their outer edges. */
  readonly alignCorners?: boolean
}

/** Mirrors coordinates into [low, high]. */
function reflected(x: Node, low: number, high: number): Node {
  const span = high - low
  if (span <= 0) return constantLike(x, 0)
  const distance = unary('abs', plus(x, -low))
  const turns = unary('floor', times(distance, 1 / span))
  const rest = sub(distance, times(turns, span))
  const isEven = binary('eq', binary('mod', turns, constantLike(turns, 2)), constantLike(turns, 0))
  return where(isEven, plus(rest, low), sub(constantLike(rest, high), rest))
}

/** Coordinates in elements along an axis of `size`. */
function unnormalized(x: Node, size: number, alignCorners: boolean): Node {
  return alignCorners ? times(plus(x, 1), (size - 1) / 2) : times(plus(times(plus(x, 1), size), -1), 0.5)
}

/** Coordinates brought inside as the padding mode says. */
function broughtInside(at: Node, size: number, alignCorners: boolean, paddingMode: string): Node {
  if (paddingMode === 'zeros') return at
  if (paddingMode === 'border') return clamped(at, 0, size - 1)
  const inside = alignCorners ? reflected(at, 0, size - 1) : reflected(at, -0.5, size - 0.5)
  return clamped(inside, 0, size - 1)
}

/**
 * Elements of x [N, C, H, W] at the points of a grid [N, H', W', 2], given as (x, y) in [-1, 1]: [N, C, H', W']; volumes [N, C, D, H, W] take
 * grids of (x, y, z). `paddle.nn.functional.grid_sample`.
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const op = 'gridSample'
  const { mode = 'bilinear', paddingMode = 'zeros', alignCorners = true } = options
  checkFloat(x, op)
  checkFloat(grid, op, 'grid')
  const n = x.ndim - 2
  if ((n !== 2 && n !== 3) || grid.ndim !== n + 2 || grid.shape[0] !== x.shape[0] || grid.shape[n + 1] !== n)
    throw new ShapeError(
      `${op}: needs x [N, C, H, W] with a grid [N, H', W', 2], or [N, C, D, H, W] with [N, D', H', W', 3], got ${formatShape(x.shape)} and ${formatShape(grid.shape)}`,
    )
  if (!['bilinear', 'nearest', 'bicubic'].includes(mode) || !['zeros', 'border', 'reflection'].includes(paddingMode))
    throw new ArgumentError(
      `${op}: mode must be bilinear, nearest or bicubic, paddingMode zeros, border or reflection, got '${mode}' and '${paddingMode}'`,
    )
  const sizes = x.shape.slice(2)
  const [batch, channels] = x.shape as [number, number]
  const outs = grid.shape.slice(1, -1)
  const count = batch * numel(outs)
  // Rows of channels, and for each axis (first to last) the coordinate of each point.
  const rows = reshape(permute(x.node, [0, ...sizes.map((_, i) => i + 2), 1]), [batch * numel(sizes), channels])
  const image = reshape(spread(iota([batch], 0, 'int64'), [batch, count / Math.max(batch, 1)], [1]), [count])
  const images = { rows, sizes, image }
  const inside = (c: Node, i: number): Node => broughtInside(c, sizes[i]!, alignCorners, paddingMode)
  const given = sizes.map((size, i) => {
    const column = reshape(sliceAxis(grid.node, n + 1, n - 1 - i, n - i), [count])
    return unnormalized(cast(column, x.dtype), size, alignCorners)
  })
  let out: Node
  if (mode === 'bicubic') out = cubicRows(images, given, inside)
  else if (mode === 'nearest')
    out = rowsAt(
      images,
      given.map((c, i) => unary('round', inside(c, i))),
    )
  else out = linearTerms(images, given.map(inside)).reduce((a, b) => binary('add', a, b))
  const apart = reshape(out, [batch, ...outs, channels])
  return new Tensor(permute(apart, [0, n + 1, ...outs.map((_, i) => i + 1)]))
}
