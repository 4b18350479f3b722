/** A valid call of every function of `linalg` that is not also at the top level, as in calls.ts. Decompositions are slow on the oracle: small. */
import * as lz from '../../src/index.ts'
import { toTensor, type Tensor } from '../../src/index.ts'
import { alike, sample, type Call } from './calls.ts'

/** Of full rank, with singular values apart, so that each device finds the same vectors up to rounding. */
const tall = (): Tensor => toTensor([[3, 1], [-1, 0.5], [0.25, 2]]) // prettier-ignore
const square = (): Tensor => toTensor([[4, 1], [-1, 2.5]]) // prettier-ignore
const symmetric = (): Tensor => toTensor([[3, 0.5], [0.5, -1]]) // prettier-ignore
const right = (): Tensor => sample([2, 1])
/** What `lu` gave: L and U in one, and the exchanges. */
const factors = (): Tensor => toTensor([[4, 1], [0.25, 2.25]]) // prettier-ignore
const pivots = (): Tensor => toTensor([2, 2], { dtype: 'int32' })
const factorsOfReflections = (): Tensor => toTensor([1.2, 0.4])

export const linalgCalls: readonly Call[] = [
  ...alike('qr svd svdvals', () => [tall()]),
  ...alike('qr', () => [tall(), 'complete']),
  ...alike('svd', () => [tall(), true]),
  ...alike('lu', () => [square(), { getInfos: true }]),
  ...alike('luUnpack', () => [factors(), pivots()]),
  ...alike('luSolve', () => [right(), factors(), pivots(), 'N']),
  ...alike('eigh eigvalsh', () => [symmetric(), 'L']),
  ...alike('pinv', () => [tall(), { rcond: 1e-6 }]),
  ...alike('pinv', () => [symmetric(), { hermitian: true, rcond: toTensor(1e-6) }]),
  ...alike('lstsq', () => [tall(), sample([3, 1]), { driver: 'gels' }]),
  ...alike('lstsq', () => [tall(), sample([3, 1]), { rcond: 1e-6, driver: 'gelsd' }]),
  ...alike('matrixRank', () => [tall(), { atol: 0.1, rtol: toTensor(0.01) }]),
  ...alike('matrixRank', () => [symmetric(), { tol: toTensor(0.1), hermitian: true }]),
  ...alike('cond', () => [tall()]),
  ...alike('cond', () => [square(), 'nuc']),
  ...alike('cond', () => [square(), 1]),
  ...alike('matrixExp', () => [square()]),
  ...alike('choleskyInverse', () => [lz.eye(2).add(square().tril(-1))]),
  ...alike('householderProduct', () => [tall(), factorsOfReflections()]),
  ...alike('ormqr', () => [tall(), factorsOfReflections(), sample([3, 2])]),
  ...alike('ormqr', () => [tall(), factorsOfReflections(), sample([2, 3]), { left: false, transpose: true }]),
  ...alike('svdLowrank', () => [tall(), { q: 2, niter: 1, M: sample([3, 2]) }]),
  ...alike('pcaLowrank', () => [tall(), { q: 2, niter: 1 }]),
]
