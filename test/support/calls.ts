/** A valid call of every public function of tensors: what the hostile suite starts from when it spoils one argument after the other. */
import * as lz from '../../src/index.ts'
import { toTensor, type DType, type Tensor } from '../../src/index.ts'
import { numel } from '../../src/common/shape.ts'

export type Arguments = readonly unknown[]
export type Call = readonly [name: string, args: () => Arguments]

/** Small numbers of both signs (0 and positive for unsigned dtypes), none of them twice in a row. */
export function sample(shape: readonly number[], dtype: DType = 'float32'): Tensor {
  const lowest = dtype === 'uint8' || dtype === 'bool' ? 0 : -3
  const values = Array.from(
    { length: numel(shape) },
    (_, i) => lowest + ((i * 5) % 7) / (dtype.includes('float') ? 2 : 1),
  )
  return toTensor(values, dtype === 'bool' ? 'int64' : dtype)
    .astype(dtype)
    .reshape([...shape])
}

const ints = (...values: number[]): Tensor => toTensor(values)
const mask = (): Tensor => toTensor([true, false, true])
const x = (): Tensor => sample([2, 3])
const positive = (): Tensor => sample([2, 3]).abs().add(0.5)
const square = (): Tensor => sample([3, 3]).add(lz.eye(3).multiply(9))
const definite = (): Tensor => lz.eye(3).multiply(4).add(0.5)
const whole = (): Tensor => sample([2, 3], 'int64')

/** One call for several functions. */
export const alike = (names: string, args: () => Arguments): Call[] =>
  names.split(' ').map((name): Call => [name, args])

export const calls: readonly Call[] = [
  ...alike(
    'abs neg sign sgn signbit floor ceil trunc frac square exp expm1 log log1p log2 log10 sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf sigmoid stanh rad2deg deg2rad nanToNum',
    () => [x()],
  ),
  ...alike('lgamma gammaln digamma erfinv sinc frexp isnan isinf isposinf isneginf isfinite isEmpty logicalNot', () => [
    x(),
  ]),
  ...alike(
    'clone numel zerosLike onesLike emptyLike t rank shape isTensor isFloatingPoint isInteger nonzero unique uniqueConsecutive',
    () => [x()],
  ),
  ...alike('bitwiseNot bitwiseInvert', () => [whole()]),
  ...alike('round', () => [x(), 1]),
  ...alike('logit', () => [positive(), 0.1]),
  ...alike('increment', () => [x(), 2]),
  ...alike('polygamma', () => [positive(), 1]),
  ...alike('multigammaln', () => [positive().add(1), 2]),
  ...alike('scale', () => [x(), 2, 1]),
  ...alike('clip', () => [x(), -1, 1]),
  ...alike(
    'add subtract multiply divide floorDivide mod remainder floorMod pow maximum minimum fmax fmin atan2 hypot copysign heaviside logaddexp',
    () => [x(), positive()],
  ),
  ...alike(
    'equal notEqual lessThan lessEqual greaterThan greaterEqual logicalAnd logicalOr logicalXor isclose allclose equalAll isin',
    () => [x(), x()],
  ),
  ...alike('bitwiseAnd bitwiseOr bitwiseXor bitwiseLeftShift bitwiseRightShift gcd lcm', () => [
    whole(),
    sample([3], 'int64'),
  ]),
  ...alike('ldexp', () => [x(), whole()]),
  ...alike('lerp', () => [x(), x(), 0.5]),
  ...alike('where', () => [mask(), x(), x()]),
  ...alike('multiplex', () => [[x(), x()], ints(1, 0)]),
  ...alike(
    'sum nansum mean nanmean prod max min amax amin logsumexp all any countNonzero variance var std nanmedian median',
    () => [x(), 1],
  ),
  ...alike('reduceAs', () => [x(), sample([1, 3])]),
  ...alike('cumsum cumprod cummax cummin logcumsumexp', () => [x(), 1]),
  ...alike('trace diagonal', () => [x(), 0, 0, 1]),
  ...alike('tril triu diag diagflat', () => [x(), 1]),
  ...alike('diagEmbed', () => [x(), 0, -2, -1]),
  ...alike('diagonalScatter', () => [x(), sample([2]), 0, 0, 1]),
  ...alike('argmax argmin argsort sort mode', () => [x(), 1]),
  ...alike('topk', () => [x(), 2]),
  ...alike('kthvalue', () => [x(), 2, 1]),
  ...alike('quantile nanquantile', () => [x(), 0.3, 1]),
  ...alike('searchsorted', () => [ints(1, 3, 5), ints(0, 4)]),
  ...alike('bucketize', () => [ints(0, 4), ints(1, 3, 5)]),
  ...alike('histogram histogramBinEdges', () => [x(), 4, 0, 0]),
  ...alike('bincount', () => [ints(0, 2, 2), null, 1]),
  ...alike('cov corrcoef', () => [x()]),
  ...alike('diff', () => [x(), 1, -1]),
  ...alike('trapezoid cumulativeTrapezoid', () => [x()]),
  ...alike('cast astype', () => [x(), 'int64']),
  ...alike('reshape view', () => [x(), [3, 2]]),
  ...alike('viewAs reshapeAs', () => [x(), sample([3, 2])]),
  ...alike('flatten', () => [x(), 0, 1]),
  ...alike('unflatten', () => [sample([6]), 0, [2, 3]]),
  ...alike('squeeze', () => [sample([2, 1]), 1]),
  ...alike('unsqueeze', () => [x(), 1]),
  ...alike('transpose', () => [x(), [1, 0]]),
  ...alike('matrixTranspose', () => [x()]),
  ...alike('swapaxes moveaxis', () => [x(), 0, 1]),
  ...alike('expand broadcastTo', () => [x(), [2, 2, 3]]),
  ...alike('expandAs', () => [sample([3]), x()]),
  ...alike('broadcastTensors', () => [[x(), sample([3])]]),
  ...alike('broadcastShape', () => [[2, 1], [3]]),
  ...alike('tile', () => [x(), [2, 1]]),
  ...alike('concat stack', () => [[x(), x()], 0]),
  ...alike('vstack hstack dstack rowStack columnStack blockDiag', () => [[x(), x()]]),
  ...alike('split', () => [x(), [1, 2], 1]),
  ...alike('tensorSplit', () => [x(), 2, 1]),
  ...alike('chunk', () => [x(), 2, 1]),
  ...alike('hsplit', () => [x(), 3]),
  ...alike('vsplit', () => [x(), 2]),
  ...alike('dsplit', () => [sample([1, 2, 4]), 2]),
  ...alike('unbind unstack', () => [x(), 1]),
  ...alike('flip reverse', () => [x(), [0, 1]]),
  ...alike('roll', () => [x(), 1, 1]),
  ...alike('rot90', () => [x(), 1, [0, 1]]),
  ...alike('repeatInterleave', () => [x(), [1, 2, 0], 1]),
  ...alike('atleast1d atleast2d atleast3d', () => [x()]),
  ...alike('matmul', () => [x(), sample([3, 2])]),
  ...alike('mm', () => [x(), sample([3, 2])]),
  ...alike('bmm', () => [sample([2, 2, 3]), sample([2, 3, 1])]),
  ...alike('mv', () => [x(), sample([3])]),
  ...alike('dot vecdot', () => [sample([3]), sample([3])]),
  ...alike('inner outer kron dist cdist', () => [x(), x()]),
  ...alike('pdist', () => [sample([3, 2]), 3]),
  ...alike('tensordot', () => [x(), sample([3, 2]), 1]),
  ...alike('addmm', () => [sample([2, 2]), x(), sample([3, 2])]),
  ...alike('baddbmm', () => [sample([2, 2, 1]), sample([2, 2, 3]), sample([2, 3, 1])]),
  ...alike('multiDot', () => [[x(), sample([3, 2]), sample([2, 2])]]),
  ...alike('cross', () => [x(), x(), 1]),
  ...alike('einsum', () => ['ij,kj->ik', x(), x()]),
  ...alike('vectorNorm', () => [x(), 2, 1]),
  ...alike('matrixNorm', () => [x(), 1, [0, 1]]),
  ...alike('norm', () => [x(), 3, 1]),
  ...alike('renorm', () => [x(), 2, 0, 1]),
  ...alike('cholesky', () => [definite()]),
  ...alike('choleskySolve', () => [sample([3, 2]), lz.eye(3)]),
  ...alike('triangularSolve solve', () => [square(), sample([3, 2])]),
  ...alike('inverse inv det slogdet', () => [square()]),
  ...alike('matrixPower', () => [square(), 3]),
  ...alike('gather indexSelect', () => [x(), ints(1, 0), 0]),
  ...alike('gatherNd', () => [x(), ints(1, 2)]),
  ...alike('takeAlongAxis', () => [x(), toTensor([[2], [0]]), 1]),
  ...alike('indexSample', () => [x(), toTensor([[2], [0]])]),
  ...alike('take', () => [x(), ints(1, 5)]),
  ...alike('scatter', () => [x(), ints(1), sample([1, 3])]),
  ...alike('scatterNdAdd', () => [x(), toTensor([[1]]), sample([1, 3])]),
  ...alike('scatterNd', () => [toTensor([[1]]), sample([1, 3]), [2, 3]]),
  ...alike('indexAdd', () => [x(), ints(1), 0, sample([1, 3])]),
  ...alike('indexFill', () => [x(), ints(1), 0, 9]),
  ...alike('indexPut', () => [x(), [ints(1), ints(2)], sample([1])]),
  ...alike('maskedFill', () => [x(), mask(), 9]),
  ...alike('maskedScatter', () => [x(), mask(), sample([4])]),
  ...alike('maskedSelect', () => [x(), mask()]),
  ...alike('putAlongAxis', () => [x(), toTensor([[2], [0]]), 9, 1]),
  ...alike('getItem', () => [x(), 1, '::2']),
  ...alike('setItem', () => [x(), [1, '::2'], 9]),
  ...alike('slice', () => [x(), [1], [0], [2]]),
  ...alike('stridedSlice', () => [x(), [1], [0], [3], [2]]),
  ...alike('crop', () => [x(), [1, 2], [0, 1]]),
  ...alike('selectScatter', () => [x(), sample([3]), 0, 1]),
  ...alike('sliceScatter', () => [x(), sample([2, 1]), [1], [0], [1]]),
  ...alike('unfold', () => [x(), 1, 2, 1]),
  ...alike('zeros ones', () => [[2, 3], 'float32']),
  ...alike('empty', () => [[2, 0], 'float32']),
  ...alike('full', () => [[2, 3], 7]),
  ...alike('fullLike', () => [x(), 7]),
  ...alike('arange', () => [0, 5, 1]),
  ...alike('linspace', () => [0, 1, 3]),
  ...alike('logspace', () => [0, 1, 3]),
  ...alike('eye', () => [2, 3]),
  ...alike('trilIndices triuIndices', () => [2, 3, 0]),
  ...alike('meshgrid', () => [sample([2]), sample([3])]),
  ...alike('assign', () => [x()]),
  ...alike('toTensor', () => [[1, 2]]),
  ...alike('oneHot', () => [ints(1, 0), 3]),
  ...alike('vander', () => [sample([3]), 2]),
  ...alike('cartesianProd', () => [[sample([2]), sample([3])]]),
  ...alike('combinations', () => [sample([3]), 2]),
  ...alike('rand randn standardNormal', () => [[2, 3]]),
  ...alike('uniform', () => [[2, 3], 'float32', 0, 1]),
  ...alike('gaussian', () => [[2, 3], 0, 1]),
  ...alike('randLike randnLike', () => [x()]),
  ...alike('normal logNormal', () => [0, 1, [2]]),
  ...alike('randint', () => [0, 5, [2]]),
  ...alike('randintLike', () => [x(), 0, 5]),
  ...alike('randperm', () => [5]),
  ...alike('bernoulli poisson', () => [lz.full([2, 3], 0.5)]),
  ...alike('multinomial', () => [lz.full([3], 0.5), 2]),
]
