/** First and second gradients of the differentiable functions, by finite differences. */
import { beforeAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { toTensor, type Tensor } from '../../src/index.ts'
import { gradcheck, type Argument, type Differentiable, type GradcheckOptions } from '../gradcheck.ts'

interface Case {
  readonly name: string
  readonly f: Differentiable
  readonly args: readonly Argument[]
  readonly options?: GradcheckOptions
}

type Row = readonly [string, Differentiable, readonly Argument[], GradcheckOptions?]

const cases = (rows: readonly Row[]): Case[] =>
  rows.map(([name, f, args, options]) => ({ name, f, args, ...(options ? { options } : {}) }))

const x: Argument = { shape: [2, 3] }
const positive: Argument = { shape: [2, 3], range: [0.3, 3] }
const unit: Argument = { shape: [2, 3], range: [-0.85, 0.85] }
const row: Argument = { shape: [3] }
const square: Argument = { shape: [3, 3], range: [0.2, 1.4] }
const index = (values: number[]): Tensor => toTensor(values)

const unary: Row[] = [
  ['abs', lz.abs, [x]],
  ['neg', lz.neg, [x]],
  ['exp', lz.exp, [x]],
  ['expm1', lz.expm1, [x]],
  ['log', lz.log, [positive]],
  ['log1p', lz.log1p, [unit]],
  ['log2', lz.log2, [positive]],
  ['log10', lz.log10, [positive]],
  ['sqrt', lz.sqrt, [positive]],
  ['rsqrt', lz.rsqrt, [positive]],
  ['reciprocal', lz.reciprocal, [positive]],
  ['square', lz.square, [x]],
  ['sin', lz.sin, [x]],
  ['cos', lz.cos, [x]],
  ['tan', lz.tan, [unit]],
  ['asin', lz.asin, [unit]],
  ['acos', lz.acos, [unit]],
  ['atan', lz.atan, [x]],
  ['sinh', lz.sinh, [x]],
  ['cosh', lz.cosh, [x]],
  ['tanh', lz.tanh, [x]],
  ['asinh', lz.asinh, [x]],
  ['acosh', lz.acosh, [{ shape: [2, 3], range: [1.3, 4] }]],
  ['atanh', lz.atanh, [unit]],
  ['erf', lz.erf, [x]],
  ['erfinv', lz.erfinv, [unit]],
  ['sigmoid', lz.sigmoid, [x]],
  ['logit', (a) => lz.logit(a), [{ shape: [2, 3], range: [0.1, 0.9] }]],
  ['stanh', (a) => lz.stanh(a), [x]],
  ['lgamma', lz.lgamma, [{ shape: [6], values: [0.3, 0.7, 2.5, 11, -0.4, -2.3] }]],
  ['digamma', lz.digamma, [{ shape: [6], values: [0.3, 0.7, 2.5, 11, -0.4, -2.3] }]],
  ['sinc', lz.sinc, [x]],
  ['rad2deg', lz.rad2deg, [x]],
  ['frac', lz.frac, [x]],
  ['clip', (a) => lz.clip(a, -1, 1), [x]],
  ['nanToNum', (a) => lz.nanToNum(a), [x]],
  ['pow 2', (a) => lz.pow(a, 2), [x]],
  ['pow 3', (a) => lz.pow(a, 3), [x]],
  ['pow 4', (a) => lz.pow(a, 4), [x]],
  ['pow 1.5', (a) => lz.pow(a, 1.5), [positive]],
  ['pow -1', (a) => lz.pow(a, -1), [positive]],
  ['scale', (a) => lz.scale(a, 2.5, { bias: 0.5, biasAfterScale: false }), [x]],
]

const binary: Row[] = [
  ['add', lz.add, [x, row]],
  ['subtract', lz.subtract, [row, x]],
  ['multiply', lz.multiply, [x, { shape: [2, 1] }]],
  ['divide', lz.divide, [x, { shape: [3], range: [0.5, 2] }]],
  ['pow', lz.pow, [positive, row]],
  ['maximum', lz.maximum, [x, row]],
  ['minimum', lz.minimum, [x, row]],
  ['fmax', lz.fmax, [x, row]],
  ['fmin', lz.fmin, [x, row]],
  ['atan2', lz.atan2, [x, positive]],
  ['hypot', lz.hypot, [x, row]],
  ['hypot of equal sides', (a) => lz.hypot(a, 1), [{ shape: [2], values: [1, -1] }]],
  ['copysign', (a, b) => lz.copysign(a, b), [x, row]],
  ['logaddexp', lz.logaddexp, [x, row]],
  ['logaddexp of equals', (a) => lz.logaddexp(a, 0.5), [{ shape: [1], values: [0.5] }]],
  ['lerp', lz.lerp, [x, x, row]],
  ['mod', (a) => lz.mod(a, 0.7), [{ shape: [3], values: [0.3, 1.1, -0.5] }]],
  ['where', (a, b) => lz.where(toTensor([true, false, true]), a, b), [x, row]],
]

const reductions: Row[] = [
  ['sum', (a) => lz.sum(a, 1), [x]],
  ['mean', (a) => lz.mean(a), [x]],
  ['prod', (a) => lz.prod(a, 1), [x]],
  ['prod with a zero', (a) => lz.prod(a, 0), [{ shape: [3], values: [2, 0, -1.5] }]],
  ['prod with two zeros', (a) => lz.prod(a), [{ shape: [2, 2], values: [2, 0, -1.5, 0] }]],
  ['max', (a) => lz.max(a, 1), [x]],
  ['min', (a) => lz.min(a, 0, { keepdim: true }), [x]],
  ['amax', (a) => lz.amax(a, 1), [x]],
  ['amin', (a) => lz.amin(a), [x]],
  ['var', (a) => lz.variance(a, 1), [x]],
  ['std', (a) => lz.std(a, [0, 1], { unbiased: false }), [x]],
  ['logsumexp', (a) => lz.logsumexp(a, 1), [x]],
  ['nansum', (a) => lz.nansum(a, 0), [x]],
  ['nanmean', (a) => lz.nanmean(a, 0), [x]],
  ['trace', (a) => lz.trace(a), [square]],
  ['norm', (a) => lz.norm(a), [x]],
  ['norm 3', (a) => lz.norm(a, 3, 1), [x]],
  ['norm 0.5', (a) => lz.norm(a, 0.5, 1), [positive]],
  ['matrixNorm 1', (a) => lz.matrixNorm(a, 1), [x]],
  ['dist', (a, b) => lz.dist(a, b), [x, x]],
  ['cdist', (a, b) => lz.cdist(a, b), [x, { shape: [2, 3], range: [3, 4] }]],
  ['renorm', (a) => lz.renorm(a, 2, 0, 1), [x]],
  ['median', (a) => lz.median(a, 1), [x]],
  ['quantile', (a) => lz.quantile(a, [0.2, 0.7], 1), [x]],
  ['kthvalue', (a) => lz.kthvalue(a, 2, 1), [x]],
  ['cov', (a) => lz.cov(a), [x]],
  ['corrcoef', (a) => lz.corrcoef(a), [x]],
  ['cumsum', (a) => lz.cumsum(a, 1), [x]],
  ['cumprod', (a) => lz.cumprod(a, 1), [x]],
  ['cumprod with zeros', (a) => lz.cumprod(a, 0), [{ shape: [5], values: [2, -1.5, 0, 3, 0.5] }]],
  ['cumprod with two zeros', (a) => lz.cumprod(a, 0), [{ shape: [5], values: [2, 0, 3, 0, 0.5] }]],
  ['cummax', (a) => lz.cummax(a, 1), [x]],
  ['cummin', (a) => lz.cummin(a, 0), [x]],
  ['logcumsumexp', (a) => lz.logcumsumexp(a, 1), [x]],
  ['diff', (a) => lz.diff(a, 2), [x]],
  ['trapezoid', (a, b) => lz.trapezoid(a, { x: b }), [x, row]],
]

const arrangement: Row[] = [
  ['reshape', (a) => lz.reshape(a, [3, -1]), [x]],
  ['transpose', (a) => lz.transpose(a, [1, 0]), [x]],
  ['expand', (a) => lz.expand(a, [2, 2, 3]), [x]],
  ['tile', (a) => lz.tile(a, [2, 3]), [x]],
  ['concat', (a, b) => lz.concat([a, b, a], 1), [x, { shape: [2, 1] }]],
  ['stack', (a, b) => lz.stack([a, b], 1), [x, x]],
  ['split', (a) => lz.split(a, [1, -1], 1), [x]],
  ['unbind', (a) => lz.unbind(a, 1), [x]],
  ['flip', (a) => lz.flip(a, [0, 1]), [x]],
  ['roll', (a) => lz.roll(a, [1, -1], [0, 1]), [x]],
  ['rot90', (a) => lz.rot90(a, 3), [x]],
  ['repeatInterleave', (a) => lz.repeatInterleave(a, [2, 0, 1], 1), [x]],
  ['tril', (a) => lz.tril(a), [x]],
  ['diag', (a) => lz.diag(a, 1, 0.5), [row]],
  ['diagonal', (a) => lz.diagonal(a, -1), [square]],
  ['diagonalScatter', (a, b) => lz.diagonalScatter(a, b, 1), [x, { shape: [2] }]],
  ['gather', (a) => lz.gather(a, index([1, 1, 0]), 0), [x]],
  [
    'gatherNd',
    (a) =>
      lz.gatherNd(
        a,
        toTensor([
          [1, 2],
          [0, -1],
          [1, 2],
        ]),
      ),
    [x],
  ],
  [
    'takeAlongAxis',
    (a) =>
      lz.takeAlongAxis(
        a,
        toTensor([
          [2, -1],
          [0, 0],
        ]),
        1,
      ),
    [x],
  ],
  ['putAlongAxis', (a, b) => lz.putAlongAxis(a, toTensor([[2], [0]]), b, 1), [x, { shape: [2, 1] }]],
  [
    'putAlongAxis add',
    (a, b) =>
      lz.putAlongAxis(
        a,
        toTensor([
          [2, 2],
          [0, 1],
        ]),
        b,
        1,
        { reduce: 'add' },
      ),
    [x, { shape: [2, 2] }],
  ],
  [
    'putAlongAxis mul',
    (a, b) =>
      lz.putAlongAxis(
        a,
        toTensor([
          [2, 2],
          [0, 1],
        ]),
        b,
        1,
        { reduce: 'mul' },
      ),
    [x, { shape: [2, 2] }],
  ],
  ['scatter', (a, b) => lz.scatter(a, index([1, 0]), b), [{ shape: [3, 2] }, { shape: [2, 2] }]],
  ['scatter and sum', (a, b) => lz.scatter(a, index([1, 1]), b, false), [{ shape: [3, 2] }, { shape: [2, 2] }]],
  ['scatterNdAdd', (a, b) => lz.scatterNdAdd(a, toTensor([[1], [1]]), b), [x, { shape: [2, 3] }]],
  ['indexAdd', (a, b) => lz.indexAdd(a, index([2, 0]), 1, b), [x, { shape: [2, 2] }]],
  ['indexFill', (a) => lz.indexFill(a, index([1]), 1, 3), [x]],
  ['indexPut', (a, b) => lz.indexPut(a, [index([0, 1]), index([2, 2])], b), [x, { shape: [2] }]],
  ['getItem', (a) => lz.getItem(a, '::-1', [0, 2]), [x]],
  ['setItem', (a, b) => lz.setItem(a, ['...', '::2'], b), [x, { shape: [2] }]],
  ['setItem by mask', (a, b) => lz.setItem(a, toTensor([true, false]), b), [x, row]],
  ['maskedFill', (a) => lz.maskedFill(a, toTensor([true, false, true]), 2), [x]],
  [
    'maskedScatter',
    (a, b) =>
      lz.maskedScatter(
        a,
        toTensor([
          [true, false, true],
          [true, false, false],
        ]),
        b,
      ),
    [x, { shape: [4] }],
  ],
  ['sort', (a) => lz.sort(a, 1, { descending: true }), [x]],
  ['topk', (a) => lz.topk(a, 2), [x]],
  ['unfold', (a) => lz.unfold(a, 1, 2, 1), [x]],
  ['amax of repeated windows', (a) => lz.amax(lz.unfold(a, 1, 2, 1), -1), [x]],
]

const products: Row[] = [
  ['matmul', (a, b) => lz.matmul(a, b), [x, { shape: [3, 2] }]],
  ['matmul in batches', (a, b) => lz.matmul(a, b), [{ shape: [2, 1, 2, 3] }, { shape: [3, 3, 2] }]],
  ['matmul of vectors', (a, b) => lz.matmul(a, b), [row, row]],
  [
    'matmul transposed',
    (a, b) => lz.matmul(a, b, { transposeX: true, transposeY: true }),
    [{ shape: [3, 2] }, { shape: [2, 3] }],
  ],
  ['bmm', lz.bmm, [{ shape: [2, 2, 3] }, { shape: [2, 3, 1] }]],
  ['mv', lz.mv, [x, row]],
  ['dot', lz.dot, [x, x]],
  ['inner', lz.inner, [x, { shape: [2, 3] }]],
  ['outer', lz.outer, [row, { shape: [2] }]],
  ['kron', lz.kron, [{ shape: [2, 1] }, { shape: [1, 2] }]],
  ['cross', (a, b) => lz.cross(a, b), [x, x]],
  ['vecdot', (a, b) => lz.vecdot(a, b), [x, row]],
  ['tensordot', (a, b) => lz.tensordot(a, b, [[1], [0]]), [x, { shape: [3, 2] }]],
  ['multiDot', (a, b, c) => lz.multiDot([a, b, c]), [x, { shape: [3, 2] }, { shape: [2, 2] }]],
  ['addmm', (a, b, c) => lz.addmm(a, b, c, { beta: 0.5, alpha: 2 }), [{ shape: [2, 2] }, x, { shape: [3, 2] }]],
  ['einsum', (a, b) => lz.einsum('bij,kj->bik', a, b), [{ shape: [2, 2, 3] }, x]],
  ['einsum of three', (a, b, c) => lz.einsum('ij,jk,kl->il', a, b, c), [x, { shape: [3, 2] }, { shape: [2, 2] }]],
  ['einsum of a diagonal', (a) => lz.einsum('ii->i', a), [square]],
  [
    'cholesky',
    (a) => lz.cholesky(a.matmul(a, { transposeY: true }).add(lz.eye(3, 3, 'float64'))),
    [square],
    { tolerance: 1e-5 },
  ],
  ['triangularSolve', (a, b) => lz.triangularSolve(a, b), [square, { shape: [3, 2] }], { tolerance: 1e-5 }],
  ['solve', (a, b) => lz.solve(a.add(lz.eye(3, 3, 'float64')), b), [square, { shape: [3, 2] }], { tolerance: 1e-5 }],
  ['inverse', (a) => lz.inverse(a.add(lz.eye(3, 3, 'float64'))), [square], { tolerance: 1e-5 }],
  ['det', lz.det, [square]],
  ['slogdet', (a) => lz.slogdet(a.add(lz.eye(3, 3, 'float64'))), [square]],
]

beforeAll(() => lz.setDevice('reference'))

describe.each([
  ['elementwise functions of one tensor', unary],
  ['elementwise functions of several', binary],
  ['reductions', reductions],
  ['arrangement and indexing', arrangement],
  ['products', products],
] as const)('gradients of %s', (_, rows) => {
  it.each(cases(rows))('$name', async ({ f, args, options }) => {
    expect.hasAssertions()
    await gradcheck(f, args, options)
  })
})

describe('gradients where the slope is a matter of convention', () => {
  const gradientAt = async (f: (t: Tensor) => Tensor, values: number[]): Promise<unknown> => {
    const t = toTensor(values, { dtype: 'float64', stopGradient: false })
    return lz.grad(f(t).sum(), [t])[0]!.array()
  }

  it('max gives every maximum the whole gradient, amax an even share', async () => {
    expect(await gradientAt((t) => t.max(), [1, 3, 3])).toEqual([0, 1, 1])
    expect(await gradientAt((t) => t.amax(), [1, 3, 3])).toEqual([0, 0.5, 0.5])
    expect(await gradientAt((t) => t.amin(), [2, 2, 3])).toEqual([0.5, 0.5, 0])
  })

  it('maximum gives the second operand the gradient of a tie', async () => {
    expect(await gradientAt((t) => lz.maximum(t, toTensor([2, 2], 'float64')), [2, 3])).toEqual([0, 1])
  })

  it('a norm has gradient 0 at 0', async () => {
    expect(await gradientAt((t) => t.norm(), [0, 0])).toEqual([0, 0])
    expect(await gradientAt((t) => t.norm(3), [0, 0])).toEqual([0, 0])
  })

  it('square roots of 0 keep their infinite slope', async () => {
    expect(await gradientAt((t) => t.sqrt(), [0])).toEqual([Infinity])
  })
})
