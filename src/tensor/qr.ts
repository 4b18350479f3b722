/** The QR decomposition, found by Householder reflections; its derivatives are those of a Cholesky factor. */
import { ArgumentError } from '../common/errors.ts'
import { reshape, sliceAxis } from '../graph/build.ts'
import { zeros } from './creation.ts'
import { triu } from './diagonal.ts'
import { orthogonalColumns, triangularize } from './householder.ts'
import { withGradientOf } from './implicit.ts'
import { matmul } from './linalg.ts'
import { concat } from './manipulation.ts'
import { matrices } from './matrices.ts'
import { swapaxes } from './shaping.ts'
import { cholesky, triangularSolve } from './solve.ts'
import { Tensor } from './tensor.ts'

const part = (x: Tensor, axis: number, from: number, to: number): Tensor =>
  new Tensor(sliceAxis(x.node, axis < 0 ? x.ndim + axis : axis, from, to))

/**
 * Q and R of x [.., m, n] as functions of x, given their values for m >= n, [.., m, n] and [.., n, n]: with B = x R0^-1, which is near Q, B^T B
 * = C C^T gives R = C^T R0 and Q = B C^-T. Well-conditioned and exact to any order, since R0 is a constant.
 */
function tallModel(x: Tensor, r0: Tensor): [Tensor, Tensor] {
  const rows = triangularSolve(r0, swapaxes(x, -2, -1), { transpose: true })
  const factor = cholesky(matmul(rows, swapaxes(rows, -2, -1)))
  const q = swapaxes(triangularSolve(factor, rows, { upper: false }), -2, -1)
  return [q, matmul(swapaxes(factor, -2, -1), r0)]
}

/**
 * x [.., m, n] as Q R with orthonormal columns in Q and an upper triangular R, `paddle.linalg.qr`. With k = min(m, n), `'reduced'` gives Q
 * [.., m, k] and R [.., k, n], `'complete'` Q [.., m, m] and R [.., m, n], `'r'` only the reduced R. Signs are LAPACK's. Gradients need the
 * first k columns of x to be independent; the columns of a complete Q beyond the k-th have none.
 */
export function qr(x: Tensor, mode: 'r'): Tensor
export function qr(x: Tensor, mode?: 'reduced' | 'complete'): [Tensor, Tensor]
export function qr(x: Tensor, mode: 'reduced' | 'complete' | 'r' = 'reduced'): Tensor | [Tensor, Tensor] {
  if (mode !== 'reduced' && mode !== 'complete' && mode !== 'r')
    throw new ArgumentError(`qr: mode must be 'reduced', 'complete' or 'r', got '${String(mode)}'`)
  const { batch, m, n } = matrices(x, 'qr')
  const { node } = matrices(x.detach(), 'qr')
  const k = Math.min(m, n)
  const { triangle, ...reflections } = triangularize(node)
  const columns = mode === 'complete' ? m : k
  let q = new Tensor(reshape(orthogonalColumns(reflections, columns), [...batch, m, columns]))
  let r = triu(new Tensor(reshape(sliceAxis(triangle, 1, 0, columns), [...batch, columns, n])))
  if (!x.stopGradient && k > 0) {
    const lead = part(r, -2, 0, k)
    const [qLead, rLead] = tallModel(part(x, -1, 0, k), part(lead, -1, 0, k))
    const right = matmul(swapaxes(qLead, -2, -1), part(x, -1, k, n))
    const below = zeros([...batch, columns - k, n], x.dtype)
    q = withGradientOf(q, concat([qLead, part(q, -1, k, columns)], -1))
    r = withGradientOf(r, concat([concat([rLead, right], -1), below], -2))
  }
  return mode === 'r' ? r : [q, r]
}
