/** Norms and distances, as in paddle.linalg. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, normalizeAxes, normalizeAxis, type Shape } from '../common/shape.ts'
import {
  binary,
  gather,
  cast as castNode,
  constant,
  reduce,
  reduceKeep,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import type { Node } from '../graph/node.ts'
import { triuIndices } from './diagonal.ts'
import { broadcastNodes, checkTensor, constantLike, floatNode } from './promotion.ts'
import { rootOrZero } from './root.ts'
import { moveaxis } from './shaping.ts'
import { svdvals } from './svd.ts'
import { Tensor } from './tensor.ts'

/** Which norm: a power, the Frobenius norm, or the nuclear one (of matrices only). */
export type MatrixOrder = 'fro' | 'nuc' | number

export interface NormOptions {
  /** Keeps the folded axes with size 1. Default false. */
  readonly keepdim?: boolean
}

/** The p-norm of axes, without them. */
function normNode(x: Node, p: number, axes: readonly number[]): Node {
  const size = unary('abs', x)
  if (p === Infinity || p === -Infinity) return reduce(p > 0 ? 'reduceMax' : 'reduceMin', size, axes)
  if (p === 0) return reduce('reduceSum', castNode(binary('ne', x, constantLike(x, 0)), x.dtype), axes)
  if (p === 1) return reduce('reduceSum', size, axes)
  if (p === 2) return rootOrZero(reduce('reduceSum', binary('mul', x, x), axes))
  // A power below 1 has an infinite slope at 0, where the norm's gradient is taken as 0.
  const isZero = binary('eq', x, constantLike(x, 0))
  const powers = binary('pow', where(isZero, constantLike(x, 1), size), constantLike(x, p))
  const total = reduce('reduceSum', where(isZero, constantLike(x, p < 0 ? Infinity : 0), powers), axes)
  const none = binary('eq', total, constantLike(total, 0))
  const root = binary('pow', where(none, constantLike(total, 1), total), constantLike(total, 1 / p))
  return where(none, constantLike(total, p < 0 ? Infinity : 0), root)
}

const keepShape = (shape: Shape, axes: readonly number[]): number[] => shape.map((d, i) => (axes.includes(i) ? 1 : d))

/** The p-norm of axes (default: of all elements), `paddle.linalg.vector_norm`. */
export function vectorNorm(
  x: Tensor,
  p = 2,
  axis?: number | readonly number[] | null,
  options: NormOptions = {},
): Tensor {
  const node = floatNode(x, 'vectorNorm')
  const axes = normalizeAxes(axis ?? undefined, x.ndim, 'vectorNorm')
  const out = normNode(node, p, axes)
  return new Tensor(options.keepdim ? reshape(out, keepShape(x.shape, axes)) : out)
}

/**
 * A norm of matrices in two axes, `paddle.linalg.matrix_norm`: `fro`, the largest (negative: least) sum of a column (1, -1) or of a row
 * (Infinity, -Infinity), the largest or least singular value (2, -2), or the sum of all of them (`nuc`).
 */
export function matrixNorm(
  x: Tensor,
  p: MatrixOrder = 'fro',
  axis: readonly [number, number] = [-2, -1],
  options: NormOptions = {},
): Tensor {
  const node = floatNode(x, 'matrixNorm')
  if (x.ndim < 2) throw new ShapeError(`matrixNorm: needs at least two axes, got ${formatShape(x.shape)}`)
  const row = normalizeAxis(axis[0], x.ndim, 'matrixNorm')
  const column = normalizeAxis(axis[1], x.ndim, 'matrixNorm')
  if (row === column) throw new ArgumentError('matrixNorm: the two axes are the same')
  const axes = [row, column].sort((a, b) => a - b)
  let out: Node
  if (p === 'fro') out = normNode(node, 2, axes)
  else if (p === 1 || p === -1 || p === Infinity || p === -Infinity) {
    // Largest (smallest) sum over columns for 1, over rows for infinity.
    const [inner, outer] = Math.abs(p) === 1 ? [row, column] : [column, row]
    const sums = reduceKeep('reduceSum', unary('abs', node), [inner])
    out = reshape(
      reduceKeep(p > 0 ? 'reduceMax' : 'reduceMin', sums, [outer]),
      x.shape.filter((_, i) => !axes.includes(i)),
    )
  } else if (p === 'nuc' || p === 2 || p === -2) {
    const values = svdvals(moveaxis(new Tensor(node), [row, column], [-2, -1]))
    out = reduce(p === 'nuc' ? 'reduceSum' : p > 0 ? 'reduceMax' : 'reduceMin', values.node, [values.ndim - 1])
  } else
    throw new ArgumentError(`matrixNorm: p must be 'fro', 'nuc', 1, -1, 2, -2, Infinity or -Infinity, got ${String(p)}`)
  return new Tensor(options.keepdim ? reshape(out, keepShape(x.shape, axes)) : out)
}

/**
 * The norm of a tensor, `paddle.linalg.norm`: without an axis of all elements, with one axis a vector norm, with two a matrix norm
 * (for p = `fro`, the default, the root of the sum of squares in all cases).
 */
export function norm(
  x: Tensor,
  p: MatrixOrder = 'fro',
  axis?: number | readonly number[] | null,
  options: NormOptions = {},
): Tensor {
  const isVector = typeof axis === 'number' || axis === undefined || axis === null || axis.length === 1
  if (p === 'nuc' && isVector) throw new ArgumentError("norm: 'nuc' is a norm of matrices; name two axes")
  if (p !== 'nuc' && (p === 'fro' || isVector)) return vectorNorm(x, p === 'fro' ? 2 : p, axis, options)
  if (isVector || axis.length !== 2)
    throw new ArgumentError(`norm: takes one or two axes, got [${isVector ? axis : axis.join(', ')}]`)
  return matrixNorm(x, p, [axis[0]!, axis[1]!], options)
}

/** The p-norm of x - y (broadcast), a number, `paddle.dist`. */
export function dist(x: Tensor, y: Tensor, p = 2): Tensor {
  checkTensor(x, 'dist')
  const [a, b] = broadcastNodes('dist', [floatNode(x, 'dist'), floatNode(y, 'dist')])
  return vectorNorm(new Tensor(binary('sub', a!, b!)), p)
}

/** The p-norm distance of each row of x [.., n, d] to each row of y [.., m, d], [.., n, m], `paddle.cdist`. */
export function cdist(x: Tensor, y: Tensor, p = 2): Tensor {
  const a = floatNode(x, 'cdist')
  const b = floatNode(y, 'cdist')
  if (x.ndim < 2 || y.ndim < 2 || x.shape[x.ndim - 1] !== y.shape[y.ndim - 1])
    throw new ShapeError(`cdist: needs rows of one length, got ${formatShape(x.shape)} and ${formatShape(y.shape)}`)
  const rows = reshape(a, [...a.shape.slice(0, -1), 1, a.shape[a.shape.length - 1]!])
  const columns = reshape(b, [...b.shape.slice(0, -2), 1, ...b.shape.slice(-2)])
  const [left, right] = broadcastNodes('cdist', [rows, columns])
  const difference = binary('sub', left!, right!)
  return new Tensor(normNode(difference, p, [difference.shape.length - 1]))
}

/** The p-norm distances of the pairs of rows of x [n, d], those of each row to the rows after it, [n (n - 1) / 2], `paddle.pdist`. */
export function pdist(x: Tensor, p = 2): Tensor {
  const node = floatNode(x, 'pdist')
  if (x.ndim !== 2) throw new ShapeError(`pdist: needs rows [n, d], got ${formatShape(x.shape)}`)
  const pairs = triuIndices(x.shape[0]!, x.shape[0]!, 1).node
  const side = (k: number): Node => gather(node, reshape(sliceAxis(pairs, 0, k, k + 1), [pairs.shape[1]!]), 0)
  return new Tensor(normNode(binary('sub', side(0), side(1)), p, [1]))
}

/** x with the slices along an axis scaled down where their p-norm exceeds `maxNorm`, `paddle.renorm`. */
export function renorm(x: Tensor, p: number, axis: number, maxNorm: number): Tensor {
  const node = floatNode(x, 'renorm')
  const a = normalizeAxis(axis, x.ndim, 'renorm')
  const others = x.shape.map((_, i) => i).filter((i) => i !== a)
  const lengths = normNode(node, p, others)
  const limit = constant(maxNorm, node.dtype, lengths.shape)
  const exceeds = binary('gt', lengths, limit)
  const factor = binary('div', limit, binary('add', lengths, constantLike(lengths, 1e-7)))
  const factors = where(exceeds, factor, constantLike(lengths, 1))
  return new Tensor(binary('mul', node, spread(factors, node.shape, others)))
}
