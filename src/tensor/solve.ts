/**
 * Linear systems of small matrices: Cholesky, triangular solves, Gauss-Jordan elimination with partial pivoting. Each is a `scan` over the
 * columns, batched, differentiable to any order, and runs where everything else runs. For a matrix that has no answer the result is NaN: what
 * is only recorded cannot throw.
 */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, sameShape, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  contract,
  iota,
  param,
  permute,
  reduce,
  reshape,
  scan,
  sliceAxis,
  unary,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { eye } from './creation.ts'
import { tril, triu } from './diagonal.ts'
import { matmul } from './linalg.ts'
import { concatNodes } from './manipulation.ts'
import {
  BATCH,
  COLUMN,
  exchangeRows,
  matrices,
  outerProduct,
  pickColumn,
  pickElement,
  pickRow,
  ROW,
  spreadOver,
  squares,
  units,
} from './matrices.ts'
import { checkFloat, checkTensor, constantLike } from './promotion.ts'
import { expandAs, swapaxes } from './shaping.ts'
import { Tensor } from './tensor.ts'

/**
 * The lower triangular L with L L^T = x (upper: U with U^T U = x) of symmetric positive definite matrices, `paddle.linalg.cholesky`.
 * NaN where x is not positive definite. Only the lower triangle is read.
 */
export function cholesky(x: Tensor, upper = false): Tensor {
  const { node, batch, n } = squares(x, 'cholesky')
  const { dtype } = node
  const b = node.shape[0]!
  const unit = units(n, dtype)
  const below = castNode(binary('ge', iota([n, n], 1, 'int32'), iota([n, n], 0, 'int32')), dtype)
  const done = param(0, dtype, [b, n, n])
  const column = param(1, dtype, [b, n])
  const e = param(2, dtype, [n])
  const mask = param(3, dtype, [n])
  // Column j of what is left: a_j - L L[j]^T, below the diagonal, divided by the root of its diagonal element.
  const row = pickRow(done, e)
  const product = contract(done, row, { lhs: [BATCH, ROW, COLUMN], rhs: [BATCH, COLUMN], out: [BATCH, ROW] }, [b, n])
  const rest = binary('sub', column, product)
  const pivot = unary('sqrt', pickElement(rest, e))
  const scaled = binary('div', rest, spreadOver(pivot, [b, 1], [b, n]))
  const kept = where(
    spreadOver(binary('gt', mask, constantLike(mask, 0)), [1, n], [b, n]),
    scaled,
    constantLike(scaled, 0),
  )
  const next = binary('add', done, outerProduct(kept, e))
  const body = { params: [done, column, e, mask], outputs: [next] }
  const [lower] = scan(body, [constant(0, dtype, [b, n, n])], [permute(node, [2, 0, 1]), unit, below], [], n)
  const out = new Tensor(reshape(lower!, [...batch, n, n]))
  return upper ? swapaxes(out, -2, -1) : out
}

export interface TriangularSolveOptions {
  /** x is upper triangular (default) or lower. */
  readonly upper?: boolean
  /** Solves with x transposed. */
  readonly transpose?: boolean
  /** The diagonal counts as ones. */
  readonly unitriangular?: boolean
}

/** The z with x z = y for triangular x [.., n, n] and y [.., n, m], `paddle.linalg.triangular_solve`. */
export function triangularSolve(x: Tensor, y: Tensor, options: TriangularSolveOptions = {}): Tensor {
  const { upper = true, transpose = false, unitriangular = false } = options
  const triangle = upper ? triu(x) : tril(x)
  const oriented = transpose ? swapaxes(triangle, -2, -1) : triangle
  const { node, right, batch, n } = system(oriented, y, 'triangularSolve')
  const { dtype } = node
  const [b, m] = [node.shape[0]!, right.shape[2]!]
  const solved = param(0, dtype, [b, n, m])
  const row = param(1, dtype, [b, n])
  const target = param(2, dtype, [b, m])
  const e = param(3, dtype, [n])
  const known = contract(row, solved, { lhs: [BATCH, ROW], rhs: [BATCH, ROW, COLUMN], out: [BATCH, COLUMN] }, [b, m])
  const rest = binary('sub', target, known)
  const value = unitriangular ? rest : binary('div', rest, spreadOver(pickElement(row, e), [b, 1], [b, m]))
  const placed = contract(e, value, { lhs: [ROW], rhs: [BATCH, COLUMN], out: [BATCH, ROW, COLUMN] }, [b, n, m])
  const body = { params: [solved, row, target, e], outputs: [binary('add', solved, placed)] }
  const sequences = [permute(node, [1, 0, 2]), permute(right, [1, 0, 2]), units(n, dtype)]
  const backwards = upper !== transpose
  const [z] = scan(body, [constant(0, dtype, [b, n, m])], sequences, [], n, backwards)
  return new Tensor(reshape(z!, [...batch, n, m]))
}

/** Matrices x [.., n, n] and right sides y [.., n, m], their batch axes broadcast, as [b, n, n] and [b, n, m]. */
function system(x: Tensor, y: Tensor, op: string): { node: Node; right: Node; batch: Shape; n: number } {
  const { n } = squares(x, op)
  checkFloat(y, op, 'y')
  if (y.ndim < 2 || y.shape[y.ndim - 2] !== n)
    throw new ShapeError(`${op}: matrices of ${n} rows do not fit the right side ${formatShape(y.shape)}`)
  const batch = broadcastShapes(x.shape.slice(0, -2), y.shape.slice(0, -2), op)
  const flat = (t: Tensor): Node => matrices(new Tensor(broadcastTo(t.node, [...batch, ...t.shape.slice(-2)])), op).node
  return { node: flat(x), right: flat(y), batch, n }
}

/** The z with a z = x, given the Cholesky factor y of a, `paddle.linalg.cholesky_solve`. */
export function choleskySolve(x: Tensor, y: Tensor, upper = false): Tensor {
  const half = triangularSolve(y, x, { upper, transpose: upper })
  return triangularSolve(y, half, { upper, transpose: !upper })
}

interface Elimination {
  /** What the right columns became: the solution. */
  readonly right: Node
  /** [n, b] */
  readonly pivots: Node
  /** [n, b]: -1 where rows were exchanged. */
  readonly signs: Node
}

/** Gauss-Jordan elimination of [b, n, n] with right columns [b, n, m], the largest element of each column as the pivot. */
function eliminate(matrix: Node, right: Node): Elimination {
  const { dtype } = matrix
  const [b, n, m] = [matrix.shape[0]!, matrix.shape[1]!, right.shape[2]!]
  const width = n + m
  if (n === 0) return { right, pivots: constant(1, dtype, [0, b]), signs: constant(1, dtype, [0, b]) }
  const whole = concatNodes([matrix, right], 2)
  const unit = units(n, dtype)
  const wideUnit = castNode(binary('eq', iota([n, width], 0, 'int32'), iota([n, width], 1, 'int32')), dtype)
  const current = param(0, dtype, [b, n, width])
  const e = param(1, dtype, [n])
  const wide = param(2, dtype, [width])
  const open = param(3, dtype, [n])
  const over = (node: Node, place: Shape): Node => spreadOver(node, place, [b, n, width])
  // The pivot: of the rows not used yet the one with the largest element in this column.
  const size = unary('abs', pickColumn(current, wide))
  const isOpen = spreadOver(binary('gt', open, constantLike(open, 0)), [1, n], [b, n])
  const best = reduce('argmax', where(isOpen, size, constantLike(size, -1)), [1])
  const { swapped, chosen, from } = exchangeRows(current, best, e)
  const isHere = spreadOver(binary('gt', e, constantLike(e, 0)), [1, n], [b, n])
  const pivot = pickElement(chosen, wide)
  const safe = where(binary('eq', pivot, constantLike(pivot, 0)), constantLike(pivot, 1), pivot)
  const row = binary('div', chosen, spreadOver(safe, [b, 1], [b, width]))
  const column = pickColumn(swapped, wide)
  const cleared = binary('sub', swapped, outerProduct(column, row))
  const next = where(over(isHere, [b, n, 1]), over(row, [b, 1, width]), cleared)
  const stays = castNode(reduce('reduceMax', castNode(binary('and', from, isHere), 'int32'), [1]), 'bool')
  const sign = where(stays, constantLike(pivot, 1), constantLike(pivot, -1))
  const unused = castNode(binary('ge', iota([n, n], 1, 'int32'), iota([n, n], 0, 'int32')), dtype)
  const body = { params: [current, e, wide, open], outputs: [next, pivot, sign] }
  const [reduced, pivots, signs] = scan(body, [whole], [unit, wideUnit, unused], [], n)
  return { right: sliceAxis(reduced!, 2, n, width), pivots: pivots!, signs: signs! }
}

/**
 * The z with x z = y, `paddle.linalg.solve`, for x [.., n, n] and y [.., n, m], or one vector [n], or [.., n] with the batch axes of x. NaN where
 * x is singular.
 */
export function solve(x: Tensor, y: Tensor): Tensor {
  checkTensor(y, 'solve')
  squares(x, 'solve')
  const isVector = y.ndim === 1 || sameShape(y.shape, x.shape.slice(0, -1))
  const columns = isVector ? new Tensor(reshape(y.node, [...y.shape, 1])) : y
  const { node, right: given, batch, n } = system(x, columns, 'solve')
  const { right, pivots } = eliminate(node, given)
  const shape = isVector ? [...batch, n] : [...batch, n, right.shape[2]!]
  if (n === 0) return new Tensor(reshape(right, shape))
  const smallest = reduce('reduceMin', unary('abs', pivots), [0])
  const singular = binary('eq', smallest, constantLike(smallest, 0))
  const out = where(spreadOver(singular, [right.shape[0]!, 1, 1], right.shape), constantLike(right, NaN), right)
  return new Tensor(reshape(out, shape))
}

/** The inverses of square matrices, `paddle.linalg.inv`. NaN where there is none. */
export function inverse(x: Tensor): Tensor {
  const { n } = squares(x, 'inverse')
  return solve(x, expandAs(eye(n, n, x.dtype), x))
}

/** As `inverse`, `paddle.linalg.inv`. */
export function inv(x: Tensor): Tensor {
  return inverse(x)
}

function pivotsOf(x: Tensor, op: string): { pivots: Node; sign: Node; batch: Shape } {
  const { node, batch, n } = squares(x, op)
  const { pivots, signs } = eliminate(node, constant(0, node.dtype, [node.shape[0]!, n, 0]))
  return { pivots, sign: reduce('reduceProd', signs, [0]), batch }
}

/** The determinants of square matrices, `paddle.linalg.det`. */
export function det(x: Tensor): Tensor {
  const { pivots, sign, batch } = pivotsOf(x, 'det')
  return new Tensor(reshape(binary('mul', reduce('reduceProd', pivots, [0]), sign), batch))
}

/** Signs and logarithms of the absolute values of the determinants, stacked on a new first axis, `paddle.linalg.slogdet`. */
export function slogdet(x: Tensor): Tensor {
  const { pivots, sign, batch } = pivotsOf(x, 'slogdet')
  const signs = binary('mul', sign, reduce('reduceProd', unary('sign', pivots), [0]))
  const logs = reduce('reduceSum', unary('log', unary('abs', pivots)), [0])
  const shape = [1, ...batch]
  return new Tensor(concatNodes([reshape(signs, shape), reshape(logs, shape)], 0))
}

/** The n-th power of square matrices; negative powers of the inverse, `paddle.linalg.matrix_power`. */
export function matrixPower(x: Tensor, n: number): Tensor {
  if (!Number.isInteger(n)) throw new ArgumentError(`matrixPower: n must be an integer, got ${n}`)
  const { node } = squares(x, 'matrixPower')
  if (n < 0) return matrixPower(inverse(x), -n)
  if (n === 0) return new Tensor(broadcastTo(eye(node.shape[1]!, undefined, x.dtype).node, x.node.shape))
  let [base, out, left]: [Tensor, Tensor | null, number] = [x, null, n]
  while (left > 0) {
    if (left % 2 === 1) out = out ? matmul(out, base) : base
    left = Math.floor(left / 2)
    if (left > 0) base = matmul(base, base)
  }
  return out!
}
