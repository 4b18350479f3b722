/**
 * Householder reflections H = I - tau v v^T (Golub & Van Loan, Matrix Computations, section 5.1), v[j] = 1: of a matrix to triangular form, and
 * products of them with matrices. Signs are LAPACK's: a column that is 0 below the diagonal is left alone.
 */
import { formatShape, sameShape } from '../common/shape.ts'
import { ShapeError } from '../common/errors.ts'
import {
  binary,
  broadcastTo,
  cast,
  contract,
  iota,
  permute,
  reduce,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { runLoop } from './loop.ts'
import { BATCH, COLUMN, matrices, outerProduct, pickColumn, pickElement, ROW, spreadOver } from './matrices.ts'
import { checkFloat, constantLike } from './promotion.ts'
import { swapaxes } from './shaping.ts'
import { Tensor } from './tensor.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)

/** The first k unit vectors of length n, [k, n]. */
export const unitRows = (k: number, n: number, dtype: Node['dtype']): Node =>
  cast(binary('eq', iota([k, n], 0, 'int32'), iota([k, n], 1, 'int32')), dtype)

/** [k, n]: 1 where the column is greater than the row. */
export const beyond = (k: number, n: number, dtype: Node['dtype']): Node =>
  cast(binary('lt', iota([k, n], 0, 'int32'), iota([k, n], 1, 'int32')), dtype)

export interface Reflections {
  /** [k, b, m] */
  readonly vectors: Node
  /** [k, b] */
  readonly factors: Node
}

/** C [b, m, c] with the reflection of v [b, m] and tau [b] applied. */
function reflected(target: Node, v: Node, tau: Node): Node {
  const [b, , c] = target.shape as [number, number, number]
  const along = contract(v, target, { lhs: [BATCH, ROW], rhs: [BATCH, ROW, COLUMN], out: [BATCH, COLUMN] }, [b, c])
  return sub(target, outerProduct(v, mul(along, spreadOver(tau, [b, 1], [b, c]))))
}

/** The reflections that make [b, m, n] upper triangular, and what they made of it. */
export function triangularize(matrix: Node): Reflections & { readonly triangle: Node } {
  const { dtype } = matrix
  const [b, m, n] = matrix.shape as [number, number, number]
  const k = Math.min(m, n)
  const { states, outputs } = runLoop(
    ([r], [column, row, below]) => {
      const x = pickColumn(r!, column!)
      const head = pickElement(x, row!)
      const tail = mul(x, broadcastTo(below!, [b, m]))
      const rest = reduce('reduceSum', mul(tail, tail), [1])
      const zero = constantLike(head, 0)
      const isDone = binary('eq', rest, zero)
      const length = unary('sqrt', add(mul(head, head), rest))
      const end = where(binary('ge', head, zero), unary('neg', length), length)
      const one = constantLike(head, 1)
      const tau = where(isDone, zero, binary('div', sub(end, head), where(isDone, one, end)))
      const scale = where(isDone, one, sub(head, end))
      const v = add(broadcastTo(row!, [b, m]), binary('div', tail, spreadOver(scale, [b, 1], [b, m])))
      return { states: [reflected(r!, v, tau)], outputs: [v, tau] }
    },
    [matrix],
    [unitRows(k, n, dtype), unitRows(k, m, dtype), beyond(k, m, dtype)],
  )
  return { triangle: states[0]!, vectors: outputs[0]!, factors: outputs[1]! }
}

/** H1 H2 .. Hk C, or Hk .. H1 C (the transpose) for C [b, m, c]. */
export function applyReflections({ vectors, factors }: Reflections, target: Node, transposed: boolean): Node {
  const { states } = runLoop(
    ([c], [v, tau]) => ({ states: [reflected(c!, v!, tau!)], outputs: [] }),
    [target],
    [vectors, factors],
    { reverse: !transposed },
  )
  return states[0]!
}

/** The first `columns` columns of H1 .. Hk, [b, m, columns]. */
export function orthogonalColumns(reflections: Reflections, columns: number): Node {
  const [, b, m] = reflections.vectors.shape as [number, number, number]
  const { dtype } = reflections.vectors
  const start = broadcastTo(reshape(unitRows(m, columns, dtype), [1, m, columns]), [b, m, columns])
  return applyReflections(reflections, start, false)
}

/** Reflections as LAPACK packs them: v below the diagonal of x [.., m, k], tau [.., k]. */
function unpacked(x: Tensor, tau: Tensor, op: string): Reflections & { readonly m: number } {
  const { node, batch, m, n } = matrices(x, op)
  checkFloat(tau, op, 'tau')
  const k = tau.shape[tau.ndim - 1]
  if (k === undefined || k > n || n > m || !sameShape(tau.shape.slice(0, -1), batch) || tau.dtype !== x.dtype)
    throw new ShapeError(
      `${op}: x must be [.., m, n] with m >= n, tau [.., k] with k <= n and the same dtype, got ${x.dtype}${formatShape(x.shape)} and ${tau.dtype}${formatShape(tau.shape)}`,
    )
  const b = node.shape[0]!
  const columns = permute(node, [2, 0, 1])
  const used = sliceAxis(columns, 0, 0, k)
  const over = (n: Node): Node => broadcastTo(reshape(n, [k, 1, m]), [k, b, m])
  const vectors = add(mul(used, over(beyond(k, m, node.dtype))), over(unitRows(k, m, node.dtype)))
  return { vectors, factors: permute(reshape(tau.node, [b, k]), [1, 0]), m }
}

/** The first n columns of the product of reflections: x [.., m, n] holds them below its diagonal, tau [.., k], `paddle.linalg.householder_product`. */
export function householderProduct(x: Tensor, tau: Tensor): Tensor {
  const reflections = unpacked(x, tau, 'householderProduct')
  return new Tensor(reshape(orthogonalColumns(reflections, x.shape[x.ndim - 1]!), x.shape))
}

/**
 * Q y (default), Q^T y, y Q or y Q^T, where Q is the whole [m, m] product of the reflections in x and tau, `paddle.linalg.ormqr`.
 */
export function ormqr(
  x: Tensor,
  tau: Tensor,
  y: Tensor,
  options: { readonly left?: boolean; readonly transpose?: boolean } = {},
): Tensor {
  const { left = true, transpose = false } = options
  const { m, ...reflections } = unpacked(x, tau, 'ormqr')
  // y Q = (Q^T y^T)^T
  const target = left ? y : swapaxes(y, -2, -1)
  const { node, batch } = matrices(target, 'ormqr')
  if (node.shape[1] !== m || !sameShape(batch, x.shape.slice(0, -2)) || y.dtype !== x.dtype)
    throw new ShapeError(
      `ormqr: reflections of ${m} rows do not fit y, ${y.dtype}${formatShape(y.shape)}, from the ${left ? 'left' : 'right'}`,
    )
  const product = reshape(applyReflections(reflections, node, transpose === left), target.shape)
  return left ? new Tensor(product) : swapaxes(new Tensor(product), -2, -1)
}
