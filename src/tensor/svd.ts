/**
 * The singular value decomposition by one-sided Jacobi rotations. Derivatives follow the right vectors as eigenvectors of x^T x (eigen.ts); the
 * left ones and the values are then x V.
 */
import { ArgumentError } from '../common/errors.ts'
import { binary, constant, reduce, reshape, sliceAxis, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { eye, zeros } from './creation.ts'
import { diagonal } from './diagonal.ts'
import { inOrder, trackedRotation } from './eigen.ts'
import { orthogonalColumns, triangularize } from './householder.ts'
import { deviation, withGradientOf } from './implicit.ts'
import { oneSidedJacobi } from './jacobi.ts'
import { matmul } from './linalg.ts'
import { concat } from './manipulation.ts'
import { divide, subtract } from './math.ts'
import { matrices } from './matrices.ts'
import { checkOptional, constantLike } from './promotion.ts'
import { qr } from './qr.ts'
import { randn } from './random.ts'
import { rootOrZero } from './root.ts'
import { swapaxes, unsqueeze } from './shaping.ts'
import { Tensor } from './tensor.ts'

/** U [.., m, columns], S [.., n] and V [.., n, n] of matrices that are no wider than high, outside autograd. */
function tallSvd(x: Tensor, columns: number): [Tensor, Tensor, Tensor] {
  const { node, batch, m, n } = matrices(x, 'svd')
  const found = oneSidedJacobi(node)
  const squares = reduce('reduceSum', binary('mul', found.product, found.product), [1])
  const [lengths, product, vectors] = inOrder(rootOrZero(squares), [found.product, found.vectors], true)
  // Orthogonal columns, scaled, are Q R with a diagonal R; Q completes those that are 0.
  const { triangle, ...reflections } = triangularize(product!)
  const q = orthogonalColumns(reflections, columns)
  const heads = diagonal(new Tensor(triangle), 0, 1, 2).node
  const zero = constantLike(heads, 0)
  const signs = where(binary('lt', heads, zero), constantLike(heads, -1), constantLike(heads, 1))
  const b = node.shape[0]!
  const ones = constant(1, node.dtype, [b, columns - n])
  const all = concat([new Tensor(signs), new Tensor(ones)], 1)
  const u = new Tensor(q).multiply(unsqueeze(all, 1))
  const shaped = (n: Node, ...last: number[]): Tensor => new Tensor(reshape(n, [...batch, ...last]))
  return [shaped(u.node, m, columns), shaped(lengths, n), shaped(vectors!, n, n)]
}

/** The derivatives of a tall decomposition: of U's first n columns, S and V. */
function withGradients(x: Tensor, [u, s, v]: [Tensor, Tensor, Tensor]): [Tensor, Tensor, Tensor] {
  const n = s.shape[s.ndim - 1]!
  const gram = matmul(swapaxes(x, -2, -1), x)
  const change = matmul(matmul(swapaxes(v, -2, -1), deviation(gram)), v)
  const { rotation } = trackedRotation(s.multiply(s), change)
  const right = matmul(v, rotation)
  const product = matmul(x, right)
  const lengths = new Tensor(rootOrZero(product.multiply(product).sum(-2).node))
  const isZero = lengths.equal(0)
  const left = divide(product, unsqueeze(isZero.where(1, lengths), -2))
  const rest = new Tensor(sliceAxis(u.node, u.ndim - 1, n, u.shape[u.ndim - 1]!))
  return [withGradientOf(u, concat([left, rest], -1)), withGradientOf(s, lengths), withGradientOf(v, right)]
}

/**
 * x [.., m, n] as U diag(S) Vh with orthonormal columns in U [.., m, k], orthonormal rows in Vh [.., k, n] and S [.., k] descending, k = min(m, n),
 * `paddle.linalg.svd`; with `fullMatrices` U is [.., m, m] and Vh [.., n, n]. Each pair of vectors has an arbitrary sign. Gradients of the
 * vectors need singular values that differ and are not 0; vectors beyond the k-th have none.
 */
export function svd(x: Tensor, fullMatrices = false): [Tensor, Tensor, Tensor] {
  const { batch, m, n } = matrices(x, 'svd')
  if (m < n) {
    const [v, s, uh] = svd(swapaxes(x, -2, -1), fullMatrices)
    return [swapaxes(uh, -2, -1), s, swapaxes(v, -2, -1)]
  }
  const columns = fullMatrices ? m : n
  if (n === 0 || x.size === 0) {
    const u = eye(m, columns, x.dtype).expand([...batch, m, columns])
    return [u, zeros([...batch, n], x.dtype), eye(n, n, x.dtype).expand([...batch, n, n])]
  }
  const found = tallSvd(x.detach(), columns)
  const [u, s, v] = x.stopGradient ? found : withGradients(x, found)
  return [u, s, swapaxes(v, -2, -1)]
}

/** The singular values of matrices, descending, [.., min(m, n)], `paddle.linalg.svdvals`. */
export function svdvals(x: Tensor): Tensor {
  return svd(x)[1]
}

/** Each power iteration is recorded; so many are far beyond those that still sharpen anything. */
const MAX_ITERATIONS = 1000

export interface LowRankOptions {
  /** Rank of the approximation. Default min(6, m, n). */
  readonly q?: number
  /** Power iterations, which sharpen it, 0 to 1000. Default 2. */
  readonly niter?: number
}

/**
 * About the first q singular values and vectors, U [.., m, q], S [.., q], V [.., n, q], by a random projection (Halko, Martinsson & Tropp, SIAM
 * Review 53, 2011, algorithms 4.4 and 5.1), `paddle.linalg.svd_lowrank`; of x - M where `M` is given. V is not transposed.
 */
export function svdLowrank(
  x: Tensor,
  options: LowRankOptions & { readonly M?: Tensor | null } = {},
): [Tensor, Tensor, Tensor] {
  const { m, n } = matrices(x, 'svdLowrank')
  const { q = Math.min(6, m, n), niter = 2, M } = options
  if (!Number.isInteger(q) || q < 0 || q > Math.min(m, n))
    throw new ArgumentError(`svdLowrank: q must be an integer from 0 to min(m, n) = ${Math.min(m, n)}, got ${q}`)
  if (!Number.isInteger(niter) || niter < 0 || niter > MAX_ITERATIONS)
    throw new ArgumentError(`svdLowrank: niter must be an integer from 0 to ${MAX_ITERATIONS}, got ${niter}`)
  checkOptional(M, 'svdLowrank')
  const a = M ? subtract(x, M) : x
  const at = swapaxes(a, -2, -1)
  let basis = qr(matmul(a, randn([n, q], x.dtype)))[0]
  for (let i = 0; i < niter; i++) basis = qr(matmul(a, qr(matmul(at, basis))[0]))[0]
  const [u, s, vh] = svd(matmul(swapaxes(basis, -2, -1), a))
  return [matmul(basis, u), s, swapaxes(vh, -2, -1)]
}

/** As `svdLowrank` of x less the mean of its rows (`center`, default true): principal components, `paddle.linalg.pca_lowrank`. */
export function pcaLowrank(
  x: Tensor,
  options: LowRankOptions & { readonly center?: boolean } = {},
): [Tensor, Tensor, Tensor] {
  const { center = true, ...rest } = options
  const { m, n } = matrices(x, 'pcaLowrank')
  return svdLowrank(center ? subtract(x, x.mean(-2, { keepdim: true })) : x, { q: Math.min(6, m, n), ...rest })
}
