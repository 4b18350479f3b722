/** The LU decomposition with partial pivoting, column by column, and what is solved with it. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  constant,
  iota,
  permute,
  reduce,
  reshape,
  sliceAxis,
  unary,
  where,
} from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import type { Node } from '../graph/node.ts'
import { eye } from './creation.ts'
import { tril, triu } from './diagonal.ts'
import { beyond, unitRows } from './householder.ts'
import { matmul } from './linalg.ts'
import { runLoop } from './loop.ts'
import { add } from './math.ts'
import { exchangeRows, matrices, outerProduct, pickColumn, pickElement, spreadOver, squares } from './matrices.ts'
import { checkInteger, constantLike } from './promotion.ts'
import { swapaxes } from './shaping.ts'
import { triangularSolve } from './solve.ts'
import { Tensor } from './tensor.ts'

export interface LuOptions {
  /** Exchanges rows, so that the largest element of a column divides it. Default true. */
  readonly pivot?: boolean
  /** Also gives where it failed. Default false. */
  readonly getInfos?: boolean
}

/**
 * L and U of x [.., m, n] in one matrix (the ones on the diagonal of L are left out) and the pivots, int32 [.., min(m, n)], counted from 1: in
 * step i, row i was exchanged with row pivots[i], `paddle.linalg.lu`. With `getInfos` also int32 [..]: 0, or the first i with U[i, i] = 0.
 */
export function lu(x: Tensor, options: LuOptions & { readonly getInfos: true }): [Tensor, Tensor, Tensor]
export function lu(x: Tensor, options?: LuOptions): [Tensor, Tensor]
export function lu(x: Tensor, options: LuOptions = {}): Tensor[] {
  const { pivot: exchanges = true, getInfos = false } = options
  const { node, batch, m, n } = matrices(x, 'lu')
  const { dtype } = node
  const [b, k] = [node.shape[0]!, Math.min(m, n)]
  const { states, outputs } = runLoop(
    ([current], [column, row, below, right]) => {
      const rows = broadcastTo(binary('gt', binary('add', row!, below!), constantLike(row!, 0)), [b, m])
      const size = unary('abs', pickColumn(current!, column!))
      const largest = reduce('argmax', where(rows, size, constantLike(size, -1)), [1])
      const here = reduce('argmax', broadcastTo(cast(row!, 'int32'), [b, m]), [1])
      const best = exchanges ? largest : here
      const { swapped, chosen } = exchangeRows(current!, best, row!)
      const divisor = pickElement(chosen, column!)
      const isZero = binary('eq', divisor, constantLike(divisor, 0))
      const safe = where(isZero, constantLike(divisor, 1), divisor)
      const under = binary('mul', pickColumn(swapped, column!), broadcastTo(below!, [b, m]))
      const factors = binary('div', under, spreadOver(safe, [b, 1], [b, m]))
      const cleared = outerProduct(factors, binary('mul', chosen, broadcastTo(right!, [b, n])))
      const stored = outerProduct(binary('sub', factors, under), column!)
      return { states: [binary('add', binary('sub', swapped, cleared), stored)], outputs: [best, isZero] }
    },
    [node],
    [unitRows(k, n, dtype), unitRows(k, m, dtype), beyond(k, m, dtype), beyond(k, n, dtype)],
  )
  const factors = new Tensor(reshape(states[0]!, x.shape))
  const counted = binary('add', cast(outputs[0]!, 'int32'), constant(1, 'int32', [k, b]))
  const pivots = new Tensor(reshape(permute(counted, [1, 0]), [...batch, k]))
  return getInfos ? [factors, pivots, new Tensor(reshape(firstOf(outputs[1]!), batch))] : [factors, pivots]
}

/** The first step, from 1, in which a flag of [k, b] is set; 0 for none. */
function firstOf(flags: Node): Node {
  const [k, b] = flags.shape as [number, number]
  if (k === 0) return constant(0, 'int32', [b])
  const step = binary('add', iota([k, b], 0, 'int32'), constant(1, 'int32', [k, b]))
  const first = reduce('reduceMin', where(flags, step, constant(k + 1, 'int32', [k, b])), [0])
  return where(binary('gt', first, constant(k, 'int32', [b])), constant(0, 'int32', [b]), first)
}

/** The permutation that exchanges made: P [.., m, m] with x = P L U. */
function permutationOf(pivots: Tensor, m: number, dtype: Node['dtype']): Tensor {
  const k = pivots.shape[pivots.ndim - 1] ?? 0
  const batch = pivots.shape.slice(0, -1)
  const b = batch.reduce((s, d) => s * d, 1)
  const partners = cast(permute(reshape(pivots.node, [b, k]), [1, 0]), 'int32')
  const position = iota([b, m], 1, 'int32')
  const { states } = runLoop(
    ([order], [partner, step]) => {
      const there = spread(binary('sub', partner!, constantLike(partner!, 1)), [b, m], [1])
      const here = broadcastTo(reshape(step!, [1, 1]), [b, m])
      const isThere = binary('eq', position, there)
      const isHere = binary('eq', position, here)
      const at = (flags: Node): Node =>
        spread(reduce('reduceSum', where(flags, order!, constantLike(order!, 0)), [1]), [b, m], [1])
      return { states: [where(isHere, at(isThere), where(isThere, at(isHere), order!))], outputs: [] }
    },
    [position],
    [partners, iota([k], 0, 'int32')],
  )
  // Row i of L U is row order[i] of x.
  const matches = binary('eq', iota([b, m, m], 1, 'int32'), spread(states[0]!, [b, m, m], [1]))
  return new Tensor(reshape(cast(matches, dtype), [...batch, m, m]))
}

const leading = (x: Tensor, rows: number, columns: number): Tensor =>
  new Tensor(sliceAxis(sliceAxis(x.node, x.ndim - 2, 0, rows), x.ndim - 1, 0, columns))

/** P [.., m, m], L [.., m, k] and U [.., k, n] with P L U = x from what `lu` gave, k = min(m, n), `paddle.linalg.lu_unpack`. */
export function luUnpack(x: Tensor, pivots: Tensor): [Tensor, Tensor, Tensor] {
  const { batch, m, n } = matrices(x, 'luUnpack')
  checkInteger(pivots, 'luUnpack', 'pivots')
  const k = Math.min(m, n)
  if (!sameShape(pivots.shape, [...batch, k]))
    throw new ShapeError(
      `luUnpack: pivots for ${formatShape(x.shape)} must be ${formatShape([...batch, k])}, got ${formatShape(pivots.shape)}`,
    )
  const lower = add(tril(leading(x, m, k), -1), eye(m, k, x.dtype))
  return [permutationOf(pivots, m, x.dtype), lower, triu(leading(x, k, n))]
}

/** The z with A z = b (`'N'`) or A^T z = b (`'T'`) for b [.., n, m], given what `lu` gave of A, `paddle.linalg.lu_solve`. */
export function luSolve(b: Tensor, factors: Tensor, pivots: Tensor, trans: 'N' | 'T' | 'C' = 'N'): Tensor {
  if (trans !== 'N' && trans !== 'T' && trans !== 'C')
    throw new ArgumentError(`luSolve: trans must be 'N', 'T' or 'C', got '${String(trans)}'`)
  squares(factors, 'luSolve')
  const [permutation, lower, upper] = luUnpack(factors, pivots)
  const unit = { upper: false, unitriangular: true }
  if (trans === 'N') {
    const half = triangularSolve(lower, matmul(swapaxes(permutation, -2, -1), b), unit)
    return triangularSolve(upper, half)
  }
  const half = triangularSolve(upper, b, { transpose: true })
  return matmul(permutation, triangularSolve(lower, half, { ...unit, transpose: true }))
}
