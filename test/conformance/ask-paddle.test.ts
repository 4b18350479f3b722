/**
 * Tensor functions against PaddlePaddle itself, where it is installed (scripts/setup-paddle.sh): random shapes and values, results and
 * gradients. The seed is fixed; LONGZHOU_PADDLE_CASES asks for more shapes of each function, LONGZHOU_PADDLE_SEED for others.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { DType } from '../../src/common/dtype.ts'
import { numel } from '../../src/common/shape.ts'
import * as lz from '../../src/index.ts'
import { grad, Tensor, toTensor } from '../../src/index.ts'
import { numbers } from '../gradcheck.ts'
import { askPaddle, paddlePython } from '../support/paddle.ts'

type Shape = readonly number[]

/** How an argument is drawn: its dtype, range and shape, the latter from the shape of the case. */
interface Draw {
  readonly dtype?: DType
  readonly range?: readonly [number, number]
  readonly shape?: (shape: Shape) => Shape
}

interface Row {
  readonly name: string
  /** Python over x, y, z and n, the shape of the case. */
  readonly python: string
  readonly ours: (x: Tensor, y: Tensor, z: Tensor) => Tensor | readonly Tensor[]
  readonly draws: readonly Draw[]
  /** Shapes of the cases: by rank, or a function of a number generator. */
  readonly rank?: number
  readonly tolerance?: number
  /** Gradients are compared too. Default true; Paddle lacks some. */
  readonly gradient?: boolean
}

const f = (low = -2, high = 2, shape?: (s: Shape) => Shape): Draw => ({
  range: [low, high],
  ...(shape ? { shape } : {}),
})
const i = (low: number, high: number, shape?: (s: Shape) => Shape): Draw => ({
  dtype: 'int64',
  range: [low, high],
  ...(shape ? { shape } : {}),
})
const lastOnly = (s: Shape): Shape => s.slice(-1)
const swapped = (s: Shape): Shape => [...s.slice(0, -2), s[s.length - 1]!, s[s.length - 2]!]

const unary = (name: string, ours: (x: Tensor) => Tensor, draw: Draw = f(), python = `paddle.${name}(x)`): Row => ({
  name,
  python,
  ours,
  draws: [draw],
})
const binary = (name: string, ours: (x: Tensor, y: Tensor) => Tensor, x: Draw = f(), y: Draw = f()): Row => ({
  name,
  python: `paddle.${name}(x, y)`,
  ours,
  draws: [x, { ...y, shape: y.shape ?? lastOnly }],
})

const rows: readonly Row[] = [
  unary('abs', lz.abs),
  unary('acos', lz.acos, f(-0.9, 0.9)),
  unary('acosh', lz.acosh, f(1.1, 4)),
  unary('asin', lz.asin, f(-0.9, 0.9)),
  unary('asinh', lz.asinh),
  unary('atan', lz.atan),
  unary('atanh', lz.atanh, f(-0.9, 0.9)),
  unary('ceil', lz.ceil),
  unary('cos', lz.cos),
  unary('cosh', lz.cosh),
  unary('deg2rad', lz.deg2rad, f(-180, 180)),
  unary('digamma', lz.digamma, f(0.2, 8)),
  unary('erf', lz.erf),
  unary('erfinv', lz.erfinv, f(-0.95, 0.95)),
  unary('exp', lz.exp),
  unary('expm1', lz.expm1),
  unary('floor', lz.floor),
  unary('frac', lz.frac),
  unary('lgamma', lz.lgamma, f(0.2, 8)),
  unary('log', lz.log, f(0.1, 4)),
  unary('log10', lz.log10, f(0.1, 4)),
  unary('log1p', lz.log1p, f(-0.8, 4)),
  unary('log2', lz.log2, f(0.1, 4)),
  unary('logit', (x) => lz.logit(x, 0.1), f(0.01, 0.99), 'paddle.logit(x, 0.1)'),
  unary('nan_to_num', lz.nanToNum),
  unary('neg', lz.neg),
  unary('rad2deg', lz.rad2deg),
  unary('reciprocal', lz.reciprocal, f(0.2, 3)),
  unary('round', lz.round),
  unary('rsqrt', lz.rsqrt, f(0.2, 3)),
  unary('scale', (x) => lz.scale(x, 2, { bias: 3, biasAfterScale: false }), f(), 'paddle.scale(x, 2.0, 3.0, False)'),
  unary('sigmoid', lz.sigmoid, f(-9, 9), 'paddle.nn.functional.sigmoid(x)'),
  unary('sign', lz.sign),
  unary('sin', lz.sin),
  unary('sinc', lz.sinc, f(0.3, 2)),
  unary('sinh', lz.sinh),
  unary('sqrt', lz.sqrt, f(0.1, 4)),
  unary('square', lz.square),
  unary('stanh', lz.stanh),
  unary('tan', lz.tan, f(-1.2, 1.2)),
  unary('tanh', lz.tanh),
  unary('trunc', lz.trunc),
  unary('polygamma', (x) => lz.polygamma(x, 2), f(0.5, 5), 'paddle.polygamma(x, 2)'),
  unary('clip', (x) => lz.clip(x, -0.5, 0.8), f(), 'paddle.clip(x, -0.5, 0.8)'),
  unary('pow 2', (x) => lz.pow(x, 2), f(), 'x ** 2'),
  unary('pow -1.5', (x) => lz.pow(x, -1.5), f(0.3, 3), 'x ** -1.5'),
  unary('isfinite', lz.isfinite),
  unary('integer exp', lz.exp, i(-3, 3), 'paddle.exp(x)'),
  unary('integer division', (x) => x.divide(2), i(-9, 9), 'x / 2'),
  unary('integer floor division', (x) => x.floorDivide(2), i(-9, 9), 'x // 2'),
  unary('cast', (x) => x.astype('int32'), f(-5, 5), "x.astype('int32')"),

  binary('add', lz.add),
  binary('atan2', lz.atan2, f(), f(0.5, 2)),
  binary('copysign', lz.copysign),
  binary('divide', lz.divide, f(), f(0.5, 2)),
  binary('equal', lz.equal, i(0, 3), i(0, 3)),
  binary('floor_divide', lz.floorDivide, i(-9, 9), i(1, 5)),
  binary('fmax', lz.fmax),
  binary('fmin', lz.fmin),
  binary('gcd', lz.gcd, i(-30, 30), i(-30, 30)),
  binary('greater_equal', lz.greaterEqual, i(0, 3), i(0, 3)),
  binary('greater_than', lz.greaterThan),
  binary('heaviside', lz.heaviside),
  binary('hypot', lz.hypot),
  binary('lcm', lz.lcm, i(-12, 12), i(-12, 12)),
  binary('less_equal', lz.lessEqual, i(0, 3), i(0, 3)),
  binary('less_than', lz.lessThan),
  binary('logaddexp', lz.logaddexp),
  binary('logical_and', lz.logicalAnd, i(0, 2), i(0, 2)),
  binary('logical_xor', lz.logicalXor, i(0, 2), i(0, 2)),
  binary('bitwise_and', lz.bitwiseAnd, i(-9, 9), i(-9, 9)),
  binary('bitwise_or', lz.bitwiseOr, i(-9, 9), i(-9, 9)),
  binary('bitwise_xor', lz.bitwiseXor, i(-9, 9), i(-9, 9)),
  binary('bitwise_left_shift', lz.bitwiseLeftShift, i(0, 9), i(0, 4)),
  binary('bitwise_right_shift', lz.bitwiseRightShift, i(-99, 99), i(0, 4)),
  binary('maximum', lz.maximum),
  binary('minimum', lz.minimum),
  binary('mod', lz.mod, f(), f(0.5, 2)),
  { ...binary('mod', lz.mod, i(-9, 9), i(1, 5)), name: 'integer mod' },
  binary('multiply', lz.multiply),
  binary('not_equal', lz.notEqual, i(0, 3), i(0, 3)),
  binary('pow', lz.pow, f(0.3, 2), f()),
  binary('subtract', lz.subtract),
  { name: 'lerp', python: 'paddle.lerp(x, y, 0.3)', ours: (x, y) => lz.lerp(x, y, 0.3), draws: [f(), f()] },
  {
    name: 'where',
    python: 'paddle.where(x > 0, x, y)',
    ours: (x, y) => lz.where(x.greaterThan(0), x, y),
    draws: [f(), f()],
  },
  { name: 'isclose', python: 'paddle.isclose(x, x + 1e-6)', ours: (x) => lz.isclose(x, x.add(1e-6)), draws: [f()] },
  { name: 'dist', python: 'paddle.dist(x, y, 3)', ours: (x, y) => lz.dist(x, y, 3), draws: [f(), f()] },

  ...(['sum', 'mean', 'prod', 'max', 'min', 'amax', 'amin', 'logsumexp'] as const).flatMap((name): Row[] => [
    { name, python: `paddle.${name}(x)`, ours: (x) => lz[name](x), draws: [f()] },
    {
      name: `${name} of an axis`,
      python: `paddle.${name}(x, axis=-1, keepdim=True)`,
      ours: (x) => lz[name](x, -1, { keepdim: true }),
      draws: [f()],
    },
  ]),
  {
    name: 'std',
    python: 'paddle.std(x, 0)',
    ours: (x) => lz.std(x, 0),
    draws: [f(-2, 2, (s) => [s[0]! + 1, ...s.slice(1)])],
  },
  {
    name: 'var',
    python: 'paddle.var(x, -1, unbiased=False)',
    ours: (x) => lz.variance(x, -1, { unbiased: false }),
    draws: [f()],
  },
  { name: 'nansum', python: 'paddle.nansum(x, 0)', ours: (x) => lz.nansum(x, 0), draws: [f()] },
  { name: 'nanmean', python: 'paddle.nanmean(x, 0)', ours: (x) => lz.nanmean(x, 0), draws: [f()] },
  { name: 'all', python: 'paddle.all(x > 0, -1)', ours: (x) => lz.all(x.greaterThan(0), -1), draws: [f()] },
  { name: 'any', python: 'paddle.any(x > 0, 0)', ours: (x) => lz.any(x.greaterThan(0), 0), draws: [f()] },
  { name: 'count_nonzero', python: 'paddle.count_nonzero(x, 0)', ours: (x) => lz.countNonzero(x, 0), draws: [i(0, 2)] },
  { name: 'integer sum', python: 'paddle.sum(x, 0)', ours: (x) => lz.sum(x, 0), draws: [i(-9, 9)] },
  { name: 'cumsum', python: 'paddle.cumsum(x, 0)', ours: (x) => lz.cumsum(x, 0), draws: [f()] },
  { name: 'cumsum of all', python: 'paddle.cumsum(x)', ours: (x) => lz.cumsum(x), draws: [f()] },
  { name: 'cumprod', python: 'paddle.cumprod(x, -1)', ours: (x) => lz.cumprod(x, -1), draws: [f()] },
  { name: 'cummax', python: 'paddle.cummax(x, -1)', ours: (x) => lz.cummax(x, -1), draws: [i(0, 4)] },
  { name: 'cummin', python: 'paddle.cummin(x, 0)', ours: (x) => lz.cummin(x, 0), draws: [f()] },
  { name: 'logcumsumexp', python: 'paddle.logcumsumexp(x, -1)', ours: (x) => lz.logcumsumexp(x, -1), draws: [f()] },
  { name: 'diff', python: 'paddle.diff(x, axis=0)', ours: (x) => lz.diff(x, 1, 0), draws: [f()] },
  { name: 'trapezoid', python: 'paddle.trapezoid(x)', ours: (x) => lz.trapezoid(x), draws: [f()] },
  { name: 'median', python: 'paddle.median(x, 0)', ours: (x) => lz.median(x, 0), draws: [f()] },
  { name: 'median of all', python: 'paddle.median(x)', ours: (x) => lz.median(x), draws: [f()] },
  {
    name: 'lower median',
    python: "paddle.median(x, -1, mode='min')",
    ours: (x) => lz.median(x, -1, { mode: 'min' }),
    draws: [f()],
  },
  { name: 'nanmedian', python: 'paddle.nanmedian(x, -1)', ours: (x) => lz.nanmedian(x, -1), draws: [f()] },
  {
    name: 'quantile',
    python: 'paddle.quantile(x, [0.3, 0.8], 0)',
    ours: (x) => lz.quantile(x, [0.3, 0.8], 0),
    draws: [{ ...f(), dtype: 'float64' }],
  },
  { name: 'kthvalue', python: 'paddle.kthvalue(x, 1)', ours: (x) => lz.kthvalue(x, 1), draws: [f()] },
  { name: 'mode', python: 'paddle.mode(x)', ours: (x) => lz.mode(x), draws: [i(0, 3)], gradient: false },
  { name: 'histogram', python: 'paddle.histogram(x, 5, -1, 1)', ours: (x) => lz.histogram(x, 5, -1, 1), draws: [f()] },
  {
    name: 'cov',
    python: 'paddle.linalg.cov(x)',
    ours: (x) => lz.cov(x),
    draws: [f(-2, 2, (s) => [s[0]!, s[1]! + 1])],
    rank: 2,
  },
  {
    name: 'corrcoef',
    python: 'paddle.linalg.corrcoef(x)',
    ours: (x) => lz.corrcoef(x),
    draws: [f(-2, 2, (s) => [s[0]! + 1, s[1]! + 2])],
    rank: 2,
  },

  {
    name: 'reshape',
    python: 'paddle.reshape(x, [-1, n[0]])',
    ours: (x) => lz.reshape(x, [-1, x.shape[0]!]),
    draws: [f()],
  },
  { name: 'flatten', python: 'paddle.flatten(x, 1)', ours: (x) => lz.flatten(x, 1), draws: [f()] },
  {
    name: 'transpose',
    python: 'paddle.transpose(x, [2, 0, 1])',
    ours: (x) => lz.transpose(x, [2, 0, 1]),
    draws: [f()],
    rank: 3,
  },
  {
    name: 'moveaxis',
    python: 'paddle.moveaxis(x, [0, 1], [-1, 0])',
    ours: (x) => lz.moveaxis(x, [0, 1], [-1, 0]),
    draws: [f()],
    rank: 3,
  },
  { name: 'squeeze', python: 'paddle.squeeze(x)', ours: (x) => lz.squeeze(x), draws: [f()] },
  { name: 'unsqueeze', python: 'paddle.unsqueeze(x, [0, -1])', ours: (x) => lz.unsqueeze(x, [0, -1]), draws: [f()] },
  { name: 'tile', python: 'paddle.tile(x, [2, 1, 3])', ours: (x) => lz.tile(x, [2, 1, 3]), draws: [f()] },
  {
    name: 'expand',
    python: 'paddle.expand(x, [3, -1, -1])',
    ours: (x) => lz.expand(x, [3, -1, -1]),
    draws: [f()],
    rank: 2,
  },
  { name: 'concat', python: 'paddle.concat([x, y], -1)', ours: (x, y) => lz.concat([x, y], -1), draws: [f(), f()] },
  { name: 'stack', python: 'paddle.stack([x, y], 1)', ours: (x, y) => lz.stack([x, y], 1), draws: [f(), f()] },
  {
    name: 'tensor_split',
    python: 'paddle.tensor_split(x, 2)',
    ours: (x) => lz.tensorSplit(x, 2),
    draws: [f(-2, 2, (s) => [s[0]! + 1, ...s.slice(1)])],
  },
  { name: 'flip', python: 'paddle.flip(x, [0, -1])', ours: (x) => lz.flip(x, [0, -1]), draws: [f()], rank: 2 },
  {
    name: 'roll',
    python: 'paddle.roll(x, [2, -1], [0, 1])',
    ours: (x) => lz.roll(x, [2, -1], [0, 1]),
    draws: [f()],
    rank: 2,
  },
  { name: 'rot90', python: 'paddle.rot90(x, 1, [0, 1])', ours: (x) => lz.rot90(x, 1, [0, 1]), draws: [f()], rank: 3 },
  {
    name: 'repeat_interleave',
    python: 'paddle.repeat_interleave(x, 2, 0)',
    ours: (x) => lz.repeatInterleave(x, 2, 0),
    draws: [f()],
  },
  { name: 'unfold', python: 'paddle.unfold(x, -1, 1, 2)', ours: (x) => lz.unfold(x, -1, 1, 2), draws: [f()] },
  { name: 'tril', python: 'paddle.tril(x, 1)', ours: (x) => lz.tril(x, 1), draws: [f()], rank: 3 },
  { name: 'triu', python: 'paddle.triu(x, -1)', ours: (x) => lz.triu(x, -1), draws: [f()], rank: 2 },
  { name: 'diag', python: 'paddle.diag(x, 1)', ours: (x) => lz.diag(x, 1), draws: [f()], rank: 1 },
  {
    name: 'diag of a matrix',
    python: 'paddle.diag(x, -1)',
    ours: (x) => lz.diag(x, -1),
    draws: [f(-2, 2, (s) => [s[0]! + 1, s[1]!])],
    rank: 2,
  },
  {
    name: 'diagonal',
    python: 'paddle.diagonal(x, 1, 1, 0)',
    ours: (x) => lz.diagonal(x, 1, 1, 0),
    draws: [f(-2, 2, (s) => [s[0]! + 1, ...s.slice(1)])],
    rank: 3,
  },
  {
    name: 'diag_embed',
    python: 'paddle.diag_embed(x, 1, 0, 2)',
    ours: (x) => lz.diagEmbed(x, 1, 0, 2),
    draws: [f()],
    rank: 2,
  },
  { name: 'trace', python: 'paddle.trace(x, 0, 0, 1)', ours: (x) => lz.trace(x, 0, 0, 1), draws: [f()], rank: 3 },
  { name: 'vander', python: 'paddle.vander(x, 3)', ours: (x) => lz.vander(x, 3), draws: [f()], rank: 1 },
  { name: 'meshgrid', python: 'paddle.meshgrid(x, y)', ours: (x, y) => lz.meshgrid(x, y), draws: [f(), f()], rank: 1 },
  {
    name: 'crop',
    python: 'paddle.crop(x, [1, -1], [0, 0])',
    ours: (x) => lz.crop(x, [1, -1], [0, 0]),
    draws: [f()],
    rank: 2,
  },
  {
    name: 'strided_slice',
    python: 'paddle.strided_slice(x, [0], [-1], [-9], [-2])',
    ours: (x) => lz.stridedSlice(x, [0], [-1], [-9], [-2]),
    draws: [f()],
  },
  {
    name: 'negative slice',
    python: 'x[::-1, ..., ::2]',
    ours: (x) => lz.getItem(x, '::-1', '...', '::2'),
    draws: [f()],
  },
  { name: 'index by tensor', python: 'x[y]', ours: (x, y) => lz.getItem(x, y), draws: [f(), i(0, 1, () => [2, 2])] },
  {
    name: 'two index tensors',
    python: 'x[y, y]',
    ours: (x, y) => lz.getItem(x, y, y),
    draws: [f(), i(0, 1, () => [3])],
  },

  {
    name: 'gather',
    python: 'paddle.gather(x, y, 1)',
    ours: (x, y) => lz.gather(x, y, 1),
    draws: [f(), i(0, 1, () => [3])],
  },
  {
    name: 'gather_nd',
    python: 'paddle.gather_nd(x, y)',
    ours: (x, y) => lz.gatherNd(x, y),
    draws: [f(), i(0, 1, () => [3, 2])],
  },
  {
    name: 'index_select',
    python: 'paddle.index_select(x, y, 0)',
    ours: (x, y) => lz.indexSelect(x, y, 0),
    draws: [f(), i(0, 1, () => [3])],
  },
  {
    name: 'index_sample',
    python: 'paddle.index_sample(x, y)',
    ours: (x, y) => lz.indexSample(x, y),
    draws: [f(), i(0, 1, (s) => [s[0]!, 3])],
    rank: 2,
  },
  {
    name: 'index_add',
    python: 'paddle.index_add(x, y, 0, z)',
    ours: (x, y, z) => lz.indexAdd(x, y, 0, z),
    draws: [f(), i(0, 1, () => [2]), f(-2, 2, (s) => [2, ...s.slice(1)])],
  },
  {
    name: 'index_fill',
    python: 'paddle.index_fill(x, y, 0, 1.5)',
    ours: (x, y) => lz.indexFill(x, y, 0, 1.5),
    draws: [f(), i(0, 1, () => [1])],
  },
  {
    name: 'take_along_axis',
    python: 'paddle.take_along_axis(x, y, 0)',
    ours: (x, y) => lz.takeAlongAxis(x, y, 0),
    draws: [f(), i(0, 1, (s) => [2, ...s.slice(1)])],
  },
  {
    name: 'put_along_axis',
    python: "paddle.put_along_axis(x, y, 2.5, 0, 'add')",
    ours: (x, y) => lz.putAlongAxis(x, y, 2.5, 0, { reduce: 'add' }),
    draws: [f(), i(0, 1, (s) => [2, ...s.slice(1)])],
  },
  {
    name: 'put_along_axis by product',
    python: "paddle.put_along_axis(x, y, 2.5, 0, 'mul')",
    ours: (x, y) => lz.putAlongAxis(x, y, 2.5, 0, { reduce: 'mul' }),
    draws: [f(), i(0, 1, (s) => [1, ...s.slice(1)])],
  },
  {
    name: 'scatter',
    python: 'paddle.scatter(x, y, z, overwrite=False)',
    ours: (x, y, z) => lz.scatter(x, y, z, false),
    draws: [f(), i(0, 1, () => [3]), f(-2, 2, (s) => [3, ...s.slice(1)])],
    gradient: false,
  },
  {
    name: 'scatter_nd_add',
    python: 'paddle.scatter_nd_add(x, y, z)',
    ours: (x, y, z) => lz.scatterNdAdd(x, y, z),
    draws: [f(), i(0, 1, () => [3, 1]), f(-2, 2, (s) => [3, ...s.slice(1)])],
  },
  {
    name: 'masked_fill',
    python: 'paddle.masked_fill(x, y > 0, 3.0)',
    ours: (x, y) => lz.maskedFill(x, y.greaterThan(0), 3),
    draws: [f(), f()],
  },
  {
    name: 'masked_scatter',
    python: 'paddle.masked_scatter(x, y > 0, z)',
    ours: (x, y, z) => lz.maskedScatter(x, y.greaterThan(0), z),
    draws: [f(), f(), f()],
  },
  {
    name: 'take',
    python: "paddle.take(x, y, mode='wrap')",
    ours: (x, y) => lz.take(x, y, 'wrap'),
    draws: [f(), i(-9, 9, () => [4])],
  },
  {
    name: 'sort',
    python: 'paddle.sort(x, 0, descending=True)',
    ours: (x) => lz.sort(x, 0, { descending: true }),
    draws: [f()],
  },
  { name: 'argsort', python: 'paddle.argsort(x, -1)', ours: (x) => lz.argsort(x, -1), draws: [f()] },
  {
    name: 'topk',
    python: 'paddle.topk(x, 1, 0, largest=False)',
    ours: (x) => lz.topk(x, 1, { axis: 0, largest: false }),
    draws: [f()],
  },
  {
    name: 'argmax',
    python: 'paddle.argmax(x, 0, keepdim=True)',
    ours: (x) => lz.argmax(x, 0, { keepdim: true }),
    draws: [i(0, 3)],
  },
  {
    name: 'argmin',
    python: "paddle.argmin(x, dtype='int32')",
    ours: (x) => lz.argmin(x, null, { dtype: 'int32' }),
    draws: [f()],
  },
  {
    name: 'searchsorted',
    python: 'paddle.searchsorted(paddle.sort(x, -1), y)',
    ours: (x, y) => lz.searchsorted(lz.sort(x, -1), y),
    draws: [f(), f()],
    gradient: false,
  },
  {
    name: 'bucketize',
    python: 'paddle.bucketize(y, paddle.sort(x), right=True)',
    ours: (x, y) => lz.bucketize(y, lz.sort(x), { right: true }),
    draws: [i(0, 4), i(0, 4, () => [5])],
    rank: 1,
  },
  { name: 'isin', python: 'paddle.isin(x, y)', ours: (x, y) => lz.isin(x, y), draws: [i(0, 5), i(0, 5, () => [3])] },
  {
    name: 'renorm',
    python: 'paddle.renorm(x, 2.0, 0, 1.0)',
    ours: (x) => lz.renorm(x, 2, 0, 1),
    draws: [f()],
    rank: 3,
  },
  { name: 'frexp', python: 'paddle.frexp(x)', ours: (x) => lz.frexp(x), draws: [f(-100, 100)], gradient: false },

  { name: 'matmul', python: 'paddle.matmul(x, y)', ours: (x, y) => lz.matmul(x, y), draws: [f(), f(-2, 2, swapped)] },
  {
    name: 'matmul with a vector',
    python: 'paddle.matmul(x, y)',
    ours: (x, y) => lz.matmul(x, y),
    draws: [f(), f(-2, 2, lastOnly)],
  },
  {
    name: 'matmul, second transposed',
    python: 'paddle.matmul(x, y, False, True)',
    ours: (x, y) => lz.matmul(x, y, { transposeY: true }),
    draws: [f(), f(-2, 2, (s) => s.slice(-2))],
  },
  { name: 'bmm', python: 'paddle.bmm(x, y)', ours: (x, y) => lz.bmm(x, y), draws: [f(), f(-2, 2, swapped)], rank: 3 },
  { name: 'mv', python: 'paddle.mv(x, y)', ours: (x, y) => lz.mv(x, y), draws: [f(), f(-2, 2, lastOnly)], rank: 2 },
  { name: 'dot', python: 'paddle.dot(x, y)', ours: (x, y) => lz.dot(x, y), draws: [f(), f()], rank: 2 },
  {
    name: 'inner',
    python: 'paddle.inner(x, y)',
    ours: (x, y) => lz.inner(x, y),
    draws: [f(), f(-2, 2, (s) => [2, s[s.length - 1]!])],
  },
  { name: 'outer', python: 'paddle.outer(x, y)', ours: (x, y) => lz.outer(x, y), draws: [f(), f(-2, 2, lastOnly)] },
  { name: 'kron', python: 'paddle.kron(x, y)', ours: (x, y) => lz.kron(x, y), draws: [f(), f(-2, 2, lastOnly)] },
  {
    name: 'cross',
    python: 'paddle.cross(x, y, -1)',
    ours: (x, y) => lz.cross(x, y, -1),
    draws: [f(-2, 2, (s) => [...s, 3]), f(-2, 2, (s) => [...s, 3])],
  },
  {
    name: 'tensordot',
    python: 'paddle.tensordot(x, y, 1)',
    ours: (x, y) => lz.tensordot(x, y, 1),
    draws: [f(), f(-2, 2, (s) => [s[s.length - 1]!, 2])],
  },
  {
    name: 'multi_dot',
    python: 'paddle.linalg.multi_dot([x, y, x])',
    ours: (x, y) => lz.multiDot([x, y, x]),
    draws: [f(), f(-2, 2, swapped)],
    rank: 2,
  },
  {
    name: 'addmm',
    python: 'paddle.addmm(z, x, y, 0.5, 2.0)',
    ours: (x, y, z) => lz.addmm(z, x, y, { beta: 0.5, alpha: 2 }),
    draws: [f(), f(-2, 2, swapped), f(-2, 2, (s) => [s[0]!, s[0]!])],
    rank: 2,
  },
  {
    name: 'einsum',
    python: "paddle.einsum('...ij,kj->...ki', x, y)",
    ours: (x, y) => lz.einsum('...ij,kj->...ki', x, y),
    draws: [f(), f(-2, 2, (s) => [2, s[s.length - 1]!])],
  },
  { name: 'norm', python: 'paddle.norm(x)', ours: (x) => lz.norm(x), draws: [f()] },
  { name: 'norm 1', python: 'paddle.norm(x, 1, 0)', ours: (x) => lz.norm(x, 1, 0), draws: [f()] },
  { name: 'norm of two axes', python: 'paddle.norm(x, -1, [0, 1])', ours: (x) => lz.norm(x, -1, [0, 1]), draws: [f()] },
  { name: 'norm inf', python: "paddle.norm(x, float('inf'), -1)", ours: (x) => lz.norm(x, Infinity, -1), draws: [f()] },
  {
    name: 'vector_norm',
    python: 'paddle.linalg.vector_norm(x, 3.0, 0)',
    ours: (x) => lz.vectorNorm(x, 3, 0),
    draws: [f()],
  },
  { name: 'matrix_norm', python: 'paddle.linalg.matrix_norm(x, 1)', ours: (x) => lz.matrixNorm(x, 1), draws: [f()] },
  {
    name: 'cdist',
    python: 'paddle.cdist(x, y)',
    ours: (x, y) => lz.cdist(x, y),
    draws: [f(), f(3, 5)],
    tolerance: 1e-4,
  },
  {
    name: 'inverse',
    python: 'paddle.inverse(paddle.matmul(x, x, False, True) + paddle.eye(n[0]))',
    ours: (x) => lz.inverse(x.matmul(x, { transposeY: true }).add(lz.eye(x.shape[0]!))),
    draws: [f()],
    rank: 2,
    tolerance: 1e-3,
  },
  {
    name: 'solve',
    python: 'paddle.linalg.solve(paddle.matmul(x, x, False, True) + paddle.eye(n[0]), x)',
    ours: (x) => lz.solve(x.matmul(x, { transposeY: true }).add(lz.eye(x.shape[0]!)), x),
    draws: [f()],
    rank: 2,
    tolerance: 1e-3,
  },
  {
    name: 'cholesky',
    python: 'paddle.linalg.cholesky(paddle.matmul(x, x, False, True) + paddle.eye(n[0]))',
    ours: (x) => lz.cholesky(x.matmul(x, { transposeY: true }).add(lz.eye(x.shape[0]!))),
    draws: [f()],
    rank: 2,
    tolerance: 1e-3,
  },
  {
    name: 'det',
    python: 'paddle.linalg.det(paddle.matmul(x, x, False, True) + paddle.eye(n[0]))',
    ours: (x) => lz.det(x.matmul(x, { transposeY: true }).add(lz.eye(x.shape[0]!))),
    draws: [f()],
    rank: 2,
    tolerance: 1e-3,
  },
  {
    name: 'matrix_power',
    python: 'paddle.linalg.matrix_power(paddle.matmul(x, x, False, True), 3)',
    ours: (x) => lz.matrixPower(x.matmul(x, { transposeY: true }), 3),
    draws: [f()],
    rank: 2,
    tolerance: 1e-4,
  },
  {
    name: 'triangular_solve',
    python: 'paddle.linalg.triangular_solve(x + 3 * paddle.eye(n[0]), y, upper=False)',
    ours: (x, y) => lz.triangularSolve(x.add(lz.eye(x.shape[0]!).multiply(3)), y, { upper: false }),
    draws: [f(-2, 2, (s) => [s[0]!, s[0]!]), f()],
    rank: 2,
    tolerance: 1e-3,
  },
]

const python = paddlePython()
const casesPerRow = Number(process.env['LONGZHOU_PADDLE_CASES'] ?? 10)
const firstSeed = Number(process.env['LONGZHOU_PADDLE_SEED'] ?? 1)

interface HostValue {
  readonly dtype: DType
  readonly shape: Shape
  readonly data: readonly (number | string)[]
}

interface Question {
  readonly python: string
  readonly shape: Shape
  readonly inputs: readonly HostValue[]
  readonly gradient: boolean
}

type Answer =
  | { readonly outputs: readonly HostValue[]; readonly gradients: readonly (HostValue | null)[] }
  | { readonly error: string }

/** One random case of a row. */
function questionOf(row: Row, seed: number): Question {
  const [first = 0, ...rest] = numbers(seed, 5)
  const rank = row.rank ?? 2 + Math.floor(first * 2)
  const shape = rest.slice(0, rank).map((u) => 2 + Math.floor(u * 3))
  const inputs = row.draws.map((draw, k): HostValue => {
    const dtype = draw.dtype ?? 'float32'
    const own = draw.shape ? draw.shape(shape) : shape
    const [low, high] = draw.range ?? [-2, 2]
    const data = numbers(seed * 7 + k + 1, numel(own)).map((u) => {
      const value = low + u * (high - low)
      return dtype === 'int64'
        ? Math.min(Math.floor(low + u * (high - low + 1)), high)
        : dtype === 'float32'
          ? Math.fround(value)
          : value
    })
    return { dtype, shape: own, data }
  })
  return { python: row.python, shape, inputs, gradient: row.gradient ?? true }
}

const program = `
import json, sys, math, numpy as np, paddle
def out(t):
    a = t.numpy()
    return {'dtype': str(t.dtype).replace('paddle.', ''), 'shape': list(t.shape),
            'data': [v if not isinstance(v, float) or math.isfinite(v) else repr(v) for v in a.astype('float64').reshape(-1).tolist()]}
answers = []
for q in json.load(sys.stdin):
    try:
        ts = [paddle.to_tensor(np.array(i['data'], i['dtype']).reshape(i['shape'])) for i in q['inputs']]
        floats = [t for t in ts if 'float' in str(t.dtype)]
        for t in floats: t.stop_gradient = not q['gradient']
        x, y, z = (ts + [None] * 3)[:3]
        r = eval(q['python'], {'paddle': paddle, 'x': x, 'y': y, 'z': z, 'n': q['shape']})
        r = list(r) if isinstance(r, (list, tuple)) else [r]
        answer = {'outputs': [out(t) for t in r], 'gradients': []}
        roots = [t for t in r if 'float' in str(t.dtype) and not t.stop_gradient]
        if q['gradient'] and roots:
            g = paddle.grad(roots, floats, allow_unused=True)
            answer['gradients'] = [None if t is None else out(t) for t in g]
        answers.append(answer)
    except Exception as e:
        answers.append({'error': type(e).__name__ + ': ' + str(e)[-300:]})
print(json.dumps(answers))
`

const revived = (data: readonly (number | string)[]): number[] =>
  data.map((v) =>
    typeof v === 'number' ? v : v === 'nan' ? NaN : v === 'inf' ? Infinity : v === '-inf' ? -Infinity : Number(v),
  )

/** Throws where two values differ by more than the tolerance, relative to the largest element. */
async function same(what: string, got: Tensor, expected: HostValue, tolerance: number): Promise<void> {
  expect([got.dtype, got.shape], what).toEqual([expected.dtype, [...expected.shape]])
  const a = await got.astype('float64').data()
  const b = revived(expected.data)
  const scale = Math.max(1, ...b.filter(Number.isFinite).map(Math.abs))
  for (let k = 0; k < b.length; k++) {
    const equal = Object.is(Number(a[k]), b[k]!) || Math.abs(Number(a[k]) - b[k]!) <= tolerance * scale
    expect(equal, `${what}, element ${k}: ${a[k]}, Paddle has ${b[k]}`).toBe(true)
  }
}

describe.skipIf(!python)('tensor functions as PaddlePaddle computes them', () => {
  const asked = rows.flatMap((row, r) =>
    Array.from({ length: casesPerRow }, (_, k) => questionOf(row, firstSeed * 100003 + r * 101 + k)),
  )
  let answers: readonly Answer[] = []

  beforeAll(() => {
    lz.setDevice('reference')
    answers = askPaddle(python!, program, asked) as Answer[]
  }, 300_000)

  it.each(rows.map((row, r) => [row.name, r] as const))('%s', async (_, r) => {
    const row = rows[r]!
    for (let k = 0; k < casesPerRow; k++) {
      const question = asked[r * casesPerRow + k]!
      const answer = answers[r * casesPerRow + k]!
      const what = `${question.python} of ${question.inputs.map((v) => `[${v.shape.join(', ')}]`).join(' and ')}`
      if ('error' in answer) throw new Error(`${what}: Paddle says ${answer.error}`)
      const inputs = question.inputs.map((v) => toTensor(v.data as number[], v.dtype).reshape(v.shape))
      const floats = inputs.filter((t) => t.dtype !== 'int64')
      for (const t of floats) t.stopGradient = false
      const result = row.ours(inputs[0]!, inputs[1]!, inputs[2]!)
      const outputs: readonly Tensor[] = result instanceof Tensor ? [result] : result
      expect(outputs.length).toBe(answer.outputs.length)
      const tolerance = row.tolerance ?? 1e-5
      for (const [j, o] of outputs.entries()) await same(`${what}: output ${j}`, o, answer.outputs[j]!, tolerance)
      if (answer.gradients.length === 0) continue
      const roots = outputs.filter((o) => !o.stopGradient)
      const ours = roots.length > 0 ? grad(roots, floats, { allowUnused: true }) : floats.map((t) => lz.zerosLike(t))
      for (const [j, g] of answer.gradients.entries())
        if (g) await same(`${what}: gradient ${j}`, ours[j]!, g, tolerance)
    }
  })
})
