/** What follows from singular values: pseudo-inverse, least squares, rank, condition; and the exponential of matrices. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import { binary, cast, detach, iota, reduce, reshape, unary, where as whereNode } from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import { eye, zeros } from './creation.ts'
import { eigh } from './eigen.ts'
import { deviation } from './implicit.ts'
import { epsilonOf } from './jacobi.ts'
import { matmul } from './linalg.ts'
import { runLoop } from './loop.ts'
import { add, divide, maximum, multiply, subtract } from './math.ts'
import { matrices, squares } from './matrices.ts'
import { matrixNorm } from './norm.ts'
import { constantLike, type Operand } from './promotion.ts'
import { qr } from './qr.ts'
import { where } from './search.ts'
import { swapaxes, unsqueeze } from './shaping.ts'
import { choleskySolve, inverse, triangularSolve } from './solve.ts'
import { svd, svdvals } from './svd.ts'
import { Tensor } from './tensor.ts'

const turned = (x: Tensor): Tensor => swapaxes(x, -2, -1)

/** The inverses of symmetric positive definite matrices, given their Cholesky factors x, `paddle.linalg.cholesky_inverse`. */
export function choleskyInverse(x: Tensor, upper = false): Tensor {
  const { n } = squares(x, 'choleskyInverse')
  return choleskySolve(eye(n, n, x.dtype), x, upper)
}

export interface PinvOptions {
  /** Singular values up to this share of the largest one count as 0. Default 1e-15. */
  readonly rcond?: Operand
  /** x is symmetric. Default false. */
  readonly hermitian?: boolean
}

/** V diag(1 / s) U^T over the singular values above a share of the largest. */
function pseudoInverse(x: Tensor, rcond: Operand, hermitian: boolean): Tensor {
  const [u, s, vh] = hermitian ? symmetricFactors(x) : svd(x)
  if (s.shape.at(-1) === 0) return zeros(turned(x).shape, x.dtype)
  const sizes = s.abs()
  const kept = sizes.greaterThan(multiply(sizes.max(-1, { keepdim: true }), rcond))
  const inverses = where(kept, divide(1, where(kept, s, 1)), 0)
  return matmul(multiply(turned(vh), unsqueeze(inverses, -2)), turned(u))
}

function symmetricFactors(x: Tensor): [Tensor, Tensor, Tensor] {
  const [values, vectors] = eigh(x)
  return [vectors, values, turned(vectors)]
}

/** The derivative of the pseudo-inverse p of x along a change of x (Golub & Pereyra, SIAM J. Numer. Anal. 10, 1973), of constant rank. */
function pinvSlope(x: Tensor, p: Tensor, change: Tensor): Tensor {
  const [m, n] = x.shape.slice(-2) as [number, number]
  const [pt, back] = [turned(p), turned(change)]
  const inside = matmul(matmul(p, change), p)
  const left = matmul(matmul(matmul(p, pt), back), subtract(eye(m, m, x.dtype), matmul(x, p)))
  const right = matmul(matmul(subtract(eye(n, n, x.dtype), matmul(p, x)), back), matmul(pt, p))
  return subtract(add(left, right), inside)
}

/**
 * The Moore-Penrose inverse [.., n, m] of x [.., m, n], `paddle.linalg.pinv`. First and second gradients are those of matrices whose rank does
 * not change.
 */
export function pinv(x: Tensor, options: PinvOptions = {}): Tensor {
  const { rcond = 1e-15, hermitian = false } = options
  if (hermitian) squares(x, 'pinv')
  matrices(x, 'pinv')
  const fixed = x.detach()
  const value = pseudoInverse(fixed, rcond, hermitian)
  if (x.stopGradient) return value
  // The trapezoidal rule from the point along the change, which is 0: exact to second order.
  const change = deviation(x)
  const first = pinvSlope(fixed, value, change)
  const second = pinvSlope(x, add(value, first), change)
  return add(value, multiply(add(first, second), 0.5))
}

export type LstsqDriver = 'gels' | 'gelsy' | 'gelsd' | 'gelss'

export interface LstsqOptions {
  /** Singular values up to this share of the largest one count as 0. Default: the precision of the dtype times max(m, n). */
  readonly rcond?: number | null
  /** `'gels'`: x has full rank; the others give the shortest of all solutions. Default `'gelsy'`. */
  readonly driver?: LstsqDriver | null
}

/**
 * The z [.., n, k] with the least |x z - y| for x [.., m, n] and y [.., m, k], `paddle.linalg.lstsq`: [solution, residuals, rank, singular
 * values]. Residuals, [.., k], are sums of squares where m > n, else empty; as in Paddle, the rank is empty for `'gels'`, and there are
 * singular values for `'gelsd'` and `'gelss'` only. Residuals of matrices without full rank are given too: which they are is only known later.
 */
export function lstsq(x: Tensor, y: Tensor, options: LstsqOptions = {}): [Tensor, Tensor, Tensor, Tensor] {
  const { batch, m, n } = matrices(x, 'lstsq')
  const right = matrices(y, 'lstsq')
  if (right.m !== m || !sameShape(right.batch, batch) || x.dtype !== y.dtype)
    throw new ShapeError(
      `lstsq: x and y must have as many rows and one dtype, got ${x.dtype}${formatShape(x.shape)} and ${y.dtype}${formatShape(y.shape)}`,
    )
  const driver = options.driver ?? 'gelsy'
  if (!['gels', 'gelsy', 'gelsd', 'gelss'].includes(driver))
    throw new ArgumentError(`lstsq: driver must be 'gels', 'gelsy', 'gelsd' or 'gelss', got '${String(driver)}'`)
  const rcond = options.rcond ?? epsilonOf(x.dtype) * Math.max(m, n)
  const empty = (dtype: 'int64' | typeof x.dtype): Tensor => zeros([0], dtype)
  const solution = driver === 'gels' ? fullRankSolution(x, y, m, n) : matmul(pinv(x, { rcond }), y)
  const error = subtract(matmul(x, solution), y)
  const residuals = m > n ? multiply(error, error).sum(-2) : empty(x.dtype)
  if (driver === 'gels') return [solution, residuals, empty('int64'), empty(x.dtype)]
  const values = svdvals(x)
  const rank = countAbove(values, x, 0, rcond).astype('int32')
  return [solution, residuals, rank, driver === 'gelsy' ? empty(x.dtype) : values]
}

/** The solution for matrices of full rank; of a wide one the shortest. */
function fullRankSolution(x: Tensor, y: Tensor, m: number, n: number): Tensor {
  if (m >= n) {
    const [q, r] = qr(x)
    return triangularSolve(r, matmul(turned(q), y))
  }
  const [q, r] = qr(turned(x))
  return matmul(q, triangularSolve(r, y, { transpose: true }))
}

export interface MatrixRankOptions {
  /** What a singular value must exceed; takes the place of `rtol` and `atol`. */
  readonly tol?: Operand | null
  /** x is symmetric. Default false. */
  readonly hermitian?: boolean
  /** The least that a singular value must exceed. */
  readonly atol?: Operand | null
  /** The share of the largest one that it must exceed. Default: the precision of the dtype times max(m, n), where no tolerance is given. */
  readonly rtol?: Operand | null
}

/** How many of the singular values [.., k] of x exceed both limits. */
function countAbove(values: Tensor, x: Tensor, atol: Operand, rtol: Operand): Tensor {
  if (values.shape.at(-1) === 0) return zeros(x.shape.slice(0, -2), 'int64')
  const raise = (limit: Operand): Operand => (limit instanceof Tensor && limit.ndim > 0 ? unsqueeze(limit, -1) : limit)
  const limit = maximum(multiply(values.max(-1, { keepdim: true }), raise(rtol)), raise(atol))
  return values.greaterThan(limit).astype('int64').sum(-1)
}

/** The number of singular values that count, int64 [..], `paddle.linalg.matrix_rank`. */
export function matrixRank(x: Tensor, options: MatrixRankOptions = {}): Tensor {
  const { hermitian = false, tol, atol, rtol } = options
  const { m, n } = hermitian ? squares(x, 'matrixRank') : matrices(x, 'matrixRank')
  const fixed = x.detach()
  const values = hermitian ? eigh(fixed)[0].abs() : svdvals(fixed)
  const isGiven = (value: Operand | null | undefined): value is Operand => value !== null && value !== undefined
  if (isGiven(tol)) return countAbove(values, x, tol, 0)
  const share = isGiven(rtol) ? rtol : isGiven(atol) ? 0 : epsilonOf(x.dtype) * Math.max(m, n)
  return countAbove(values, x, atol ?? 0, share)
}

/**
 * The condition number of matrices, [..], `paddle.linalg.cond`: the largest singular value over the least (p null or 2; -2 the other way), or
 * the norm p of a matrix times that of its inverse (`'fro'`, `'nuc'`, 1, -1, Infinity, -Infinity).
 */
export function cond(x: Tensor, p: 'fro' | 'nuc' | number | null = null): Tensor {
  matrices(x, 'cond')
  if (p === null || p === 2 || p === -2) {
    const values = svdvals(x)
    const [largest, least] = [values.max(-1), values.min(-1)]
    return p === -2 ? divide(least, largest) : divide(largest, least)
  }
  squares(x, 'cond')
  return multiply(matrixNorm(x, p), matrixNorm(inverse(x), p))
}

/** Terms of the exponential's series: at norm 1 the first one left out is 1 / 19!, below the precision of float64. */
const TERMS = 18
/** Matrices of norms up to 2^24 are halved until it is 1. */
const HALVINGS = 24

/** The exponential of square matrices, I + x + x x / 2 + .., `paddle.linalg.matrix_exp`: the series of x / 2^s, squared s times. */
export function matrixExp(x: Tensor): Tensor {
  const { node, n } = squares(x, 'matrixExp')
  if (x.size === 0) return x.clone()
  const sums = reduce('reduceSum', unary('abs', detach(node)), [1])
  const size = reduce('reduceMax', sums, [1])
  const doublings = binary(
    'mul',
    unary('log', binary('max', size, constantLike(size, 1))),
    constantLike(size, 1 / Math.LN2),
  )
  const halvings = binary('min', unary('ceil', doublings), constantLike(size, HALVINGS))
  const factor = binary('pow', constantLike(halvings, 0.5), halvings)
  const scaled = new Tensor(binary('mul', node, spread(factor, node.shape, [1, 2])))
  const unit = eye(n, n, x.dtype)
  let sum = add(unit, multiply(scaled, 1 / TERMS))
  for (let k = TERMS - 1; k > 0; k--) sum = add(unit, multiply(matmul(scaled, sum), 1 / k))
  const { states } = runLoop(
    ([power], [step]) => {
      const goesOn = binary('lt', spread(step!, halvings.shape, [0]), halvings)
      const squared = matmul(new Tensor(power!), new Tensor(power!)).node
      return { states: [whereNode(spread(goesOn, node.shape, [1, 2]), squared, power!)], outputs: [] }
    },
    [sum.node],
    [cast(iota([HALVINGS], 0, 'int32'), node.dtype)],
  )
  return new Tensor(reshape(states[0]!, x.shape))
}
