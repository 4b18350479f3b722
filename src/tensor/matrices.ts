/** Matrices in the last two axes as one batch of them, and the products with unit vectors of which loops over columns consist. */
import { ShapeError } from '../common/errors.ts'
import { formatShape, type Shape } from '../common/shape.ts'
import { binary, broadcastTo, cast as castNode, contract, iota, reshape, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { checkFloat, constantLike } from './promotion.ts'
import type { Tensor } from './tensor.ts'

export interface Matrices {
  /** [b, m, n] */
  readonly node: Node
  /** The axes that became b. */
  readonly batch: Shape
  readonly m: number
  readonly n: number
}

/** The matrices of a tensor [.., m, n] of floats. */
export function matrices(x: Tensor, op: string): Matrices {
  checkFloat(x, op)
  if (x.ndim < 2) throw new ShapeError(`${op}: needs matrices in the last two axes, got ${formatShape(x.shape)}`)
  const batch = x.shape.slice(0, -2)
  const b = batch.reduce((s, d) => s * d, 1)
  const [m, n] = x.shape.slice(-2) as [number, number]
  return { node: reshape(x.node, [b, m, n]), batch, m, n }
}

/** As `matrices`, of square ones. */
export function squares(x: Tensor, op: string): Matrices {
  checkFloat(x, op)
  if (x.ndim < 2 || x.shape[x.ndim - 1] !== x.shape[x.ndim - 2])
    throw new ShapeError(`${op}: needs square matrices in the last two axes, got ${formatShape(x.shape)}`)
  return matrices(x, op)
}

/** Rows of the unit matrix: what picks the j-th row or column in step j. */
export const units = (n: number, dtype: Node['dtype']): Node =>
  castNode(binary('eq', iota([n, n], 0, 'int32'), iota([n, n], 1, 'int32')), dtype)

/** Letters of the axes in the contractions of these files. */
export const [BATCH, ROW, COLUMN] = [0, 1, 2]
/** matrix [b, n, m] . vector [n] -> [b, m] */
export const pickRow = (matrix: Node, unit: Node): Node =>
  contract(matrix, unit, { lhs: [BATCH, ROW, COLUMN], rhs: [ROW], out: [BATCH, COLUMN] }, [
    matrix.shape[0]!,
    matrix.shape[2]!,
  ])
/** matrix [b, n, m] . vector [m] -> [b, n] */
export const pickColumn = (matrix: Node, unit: Node): Node =>
  contract(matrix, unit, { lhs: [BATCH, ROW, COLUMN], rhs: [COLUMN], out: [BATCH, ROW] }, [
    matrix.shape[0]!,
    matrix.shape[1]!,
  ])
/** vectors [b, m] . vector [m] -> [b] */
export const pickElement = (vectors: Node, unit: Node): Node =>
  contract(vectors, unit, { lhs: [BATCH, ROW], rhs: [ROW], out: [BATCH] }, [vectors.shape[0]!])

/** vectors [b, n] x [b, m] or [m] -> [b, n, m] */
export function outerProduct(left: Node, right: Node): Node {
  const rhs = right.shape.length === 2 ? [BATCH, COLUMN] : [COLUMN]
  const shape = [left.shape[0]!, left.shape[1]!, right.shape[right.shape.length - 1]!]
  return contract(left, right, { lhs: [BATCH, ROW], rhs, out: [BATCH, ROW, COLUMN] }, shape)
}

/** A node of rank 1 or 2 repeated along new axes of a [b, n, m] or [b, n] shape, given its place. */
export const spreadOver = (node: Node, place: Shape, shape: Shape): Node => broadcastTo(reshape(node, place), shape)

export interface Exchange {
  /** [b, n, m] */
  readonly swapped: Node
  /** [b, m]: the row that came here. */
  readonly chosen: Node
  /** [b, n]: where it came from. */
  readonly from: Node
}

/** Matrices [b, n, m] with row `best` [b] (int64) and the row of a unit vector [n] exchanged. */
export function exchangeRows(x: Node, best: Node, unit: Node): Exchange {
  const [b, n, m] = x.shape as [number, number, number]
  const over = (node: Node, place: Shape): Node => spreadOver(node, place, x.shape)
  const from = binary('eq', spreadOver(best, [b, 1], [b, n]), iota([b, n], 1, 'int32'))
  const picks = { lhs: [BATCH, ROW, COLUMN], rhs: [BATCH, ROW], out: [BATCH, COLUMN] }
  const chosen = contract(x, castNode(from, x.dtype), picks, [b, m])
  const isHere = binary('gt', unit, constantLike(unit, 0))
  const replaced = where(over(from, [b, n, 1]), over(pickRow(x, unit), [b, 1, m]), x)
  return { swapped: where(over(isHere, [1, n, 1]), over(chosen, [b, 1, m]), replaced), chosen, from }
}
