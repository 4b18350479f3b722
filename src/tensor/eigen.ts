/**
 * Eigenvalues and eigenvectors of symmetric matrices by Jacobi's rotations. Derivatives are those of Newton steps on the decomposition (Ogita &
 * Aishima, Japan J. Indust. Appl. Math. 35, 2018): quadratic convergence makes two of them exact beyond the second order.
 */
import { ArgumentError } from '../common/errors.ts'
import { argsort, binary, gatherElements, reshape, unary } from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import type { Node } from '../graph/node.ts'
import { eye } from './creation.ts'
import { diagEmbed, diagonal, tril, triu } from './diagonal.ts'
import { deviation, withGradientOf } from './implicit.ts'
import { epsilonOf, symmetricJacobi } from './jacobi.ts'
import { matmul } from './linalg.ts'
import { add, divide, multiply, subtract } from './math.ts'
import { squares } from './matrices.ts'
import { constantLike } from './promotion.ts'
import { where } from './search.ts'
import { swapaxes, unsqueeze } from './shaping.ts'
import { Tensor } from './tensor.ts'

export type Triangle = 'L' | 'U'

/** Values [b, n] and the columns of each of `matrices` [b, m, n] in the order of the values. */
export function inOrder(values: Node, matrices: readonly Node[], descending: boolean): [Node, ...Node[]] {
  const order = argsort(values, 1, descending)
  const columns = matrices.map((x) => gatherElements(x, spread(order, [x.shape[0]!, x.shape[1]!, x.shape[2]!], [1]), 2))
  return [gatherElements(values, order, 1), ...columns]
}

/**
 * The rotation T [.., n, n], 1 at the point, that keeps diag(values) + change diagonal as the change (zero, with a gradient) moves, and what
 * the diagonal becomes. Equal values get no rotation: theirs is not determined.
 */
export function trackedRotation(
  values: Tensor,
  change: Tensor,
): { readonly rotation: Tensor; readonly values: Tensor } {
  const n = values.shape[values.ndim - 1]!
  const unit = eye(n, n, values.dtype)
  const moved = add(diagEmbed(values), change)
  const largest = new Tensor(unary('abs', values.node)).max(-1, { keepdim: true })
  const row = unsqueeze(values, -2)
  const gap = subtract(row, unsqueeze(values, -1))
  const tolerance = unsqueeze(multiply(largest, n * epsilonOf(values.dtype)), -1)
  const apart = new Tensor(binary('gt', unary('abs', gap.node), tolerance.expandAs(gap).node))
  let rotation = new Tensor(unit.expandAs(change).node)
  const measured = (): { s: Tensor; r: Tensor; lambda: Tensor } => {
    const transposed = swapaxes(rotation, -2, -1)
    const s = matmul(matmul(transposed, moved), rotation)
    const r = subtract(unit, matmul(transposed, rotation))
    const lambda = divide(diagonal(s, 0, -2, -1), subtract(1, diagonal(r, 0, -2, -1)))
    return { s, r, lambda }
  }
  for (let step = 0; step < 2; step++) {
    const { s, r, lambda } = measured()
    const to = unsqueeze(lambda, -2)
    const spacing = where(apart, subtract(to, unsqueeze(lambda, -1)), 1)
    const turn = where(apart, divide(add(s, multiply(to, r)), spacing), multiply(r, 0.5))
    rotation = add(rotation, matmul(rotation, turn))
  }
  return { rotation, values: measured().lambda }
}

/** The symmetric matrix of which a triangle is given; its gradient goes to both triangles alike. */
function symmetric(x: Tensor, triangle: Triangle): Tensor {
  const fixed = x.detach()
  const half = triangle === 'L' ? tril(fixed) : triu(fixed)
  const rest = swapaxes(triangle === 'L' ? tril(fixed, -1) : triu(fixed, 1), -2, -1)
  const value = add(half, rest)
  return x.stopGradient ? value : withGradientOf(value, multiply(add(x, swapaxes(x, -2, -1)), 0.5))
}

/**
 * Eigenvalues [.., n] in ascending order and eigenvectors (columns of [.., n, n]) of symmetric matrices, `paddle.linalg.eigh`; only the
 * triangle `uplo` is read. The sign of an eigenvector is arbitrary. Vectors of equal eigenvalues have no gradient with respect to each other.
 */
export function eigh(x: Tensor, uplo: Triangle = 'L'): [Tensor, Tensor] {
  if (uplo !== 'L' && uplo !== 'U') throw new ArgumentError(`eigh: uplo must be 'L' or 'U', got '${String(uplo)}'`)
  squares(x, 'eigh')
  const whole = symmetric(x, uplo)
  const { node, batch, n } = squares(whole.detach(), 'eigh')
  if (x.size === 0) return [new Tensor(reshape(constantLike(node, 0), x.shape)).sum(-1), x.detach()]
  const found = symmetricJacobi(node)
  const [sorted, columns] = inOrder(found.values, [found.vectors], false)
  const values = new Tensor(reshape(sorted, [...batch, n]))
  const vectors = new Tensor(reshape(columns!, [...batch, n, n]))
  if (whole.stopGradient) return [values, vectors]
  const change = matmul(matmul(swapaxes(vectors, -2, -1), deviation(whole)), vectors)
  const tracked = trackedRotation(values, change)
  return [withGradientOf(values, tracked.values), withGradientOf(vectors, matmul(vectors, tracked.rotation))]
}

/** The eigenvalues of symmetric matrices in ascending order, [.., n], `paddle.linalg.eigvalsh`. */
export function eigvalsh(x: Tensor, uplo: Triangle = 'L'): Tensor {
  return eigh(x, uplo)[0]
}
