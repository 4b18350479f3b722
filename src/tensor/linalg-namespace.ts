/** `linalg`: linear algebra under the names of `paddle.linalg`. */
export { diagonal } from './diagonal.ts'
export { eigh, eigvalsh, type Triangle } from './eigen.ts'
export { householderProduct, ormqr } from './householder.ts'
export { cross, matmul, multiDot, vecdot } from './linalg.ts'
export { lu, luSolve, luUnpack, type LuOptions } from './lu.ts'
export {
  choleskyInverse,
  cond,
  lstsq,
  matrixExp,
  matrixRank,
  pinv,
  type LstsqDriver,
  type LstsqOptions,
  type MatrixRankOptions,
  type PinvOptions,
} from './matrix-functions.ts'
export { matrixNorm, norm, vectorNorm } from './norm.ts'
export { qr } from './qr.ts'
export { matrixTranspose } from './shaping.ts'
export { cholesky, choleskySolve, det, inv, matrixPower, slogdet, solve, triangularSolve } from './solve.ts'
export { corrcoef, cov } from './statistics.ts'
export { pcaLowrank, svd, svdLowrank, svdvals, type LowRankOptions } from './svd.ts'
