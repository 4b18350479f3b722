/**
 * Random tensors, as in paddle.tensor.random. They are drawn at once, on the host, by Paddle's own generator, so that `seed(s)` gives the
 * numbers of `paddle.seed(s)`. Draws inside a recorded graph (dropout) are counter-based instead: `drawKey` gives them their place.
 */
import { allocateHost, isFloat, isInteger, setElement, type DType, type HostData } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { checkShape, formatShape, numel, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  cumulate,
  detach,
  iota,
  param,
  permute,
  reduce,
  reshape,
  scalar,
  scan,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { exp } from './elementary.ts'
import { defaultGenerator, type FloatArray, type Generator, type GeneratorState } from './generator.ts'
import { checkReplaceable } from './inplace.ts'
import { add, multiply } from './math.ts'
import { checkFloat, checkTensor, constantLike, getDefaultDtype, type Operand } from './promotion.ts'
import { fromHost, Tensor } from './tensor.ts'
import { madeAnew } from './tracer.ts'

/** Starts the default generator's sequence, and gives the generator, as `paddle.seed`. */
export function seed(seed: number): Generator {
  return defaultGenerator().manualSeed(seed)
}

/** The default generator's state: what a checkpoint keeps, `paddle.get_rng_state`. */
export function getRngState(): GeneratorState {
  return defaultGenerator().getState()
}

/** Continues where `getRngState` was called, `paddle.set_rng_state`. */
export function setRngState(state: GeneratorState): void {
  defaultGenerator().setState(state)
}

/**
 * Key and first counter for a random node of `elements` elements (both int64 of rank 0, numbers of the run): every call gets counters of its
 * own, which `seed` and the generator's state determine.
 */
export function drawKey(elements: number): { key: Node; offset: Node } {
  const [key, offset] = madeAnew(() => {
    const draw = defaultGenerator().incrementOffset(Math.ceil(elements / 4))
    return [scalar(draw.key, 'int64'), scalar(draw.offset, 'int64')] as const
  })
  return { key, offset }
}

type Fill = (out: FloatArray) => unknown

/** A tensor of values drawn on the host. */
function hostDrawn(shape: Shape, dtype: DType, draw: () => HostData): Tensor {
  const [node] = madeAnew(() => [fromHost({ dtype, shape, data: draw() }).node] as const)
  return new Tensor(node)
}

/** Draws in float64 for float64, else in float32, as Paddle's CPU kernels. */
function drawn(op: string, shape: Shape, dtype: DType, fill: Fill): Tensor {
  if (!isFloat(dtype)) throw new DTypeError(`${op}: ${dtype} is not a floating dtype`)
  checkShape(shape, op)
  const n = numel(shape)
  return hostDrawn(shape, dtype, () => {
    const values = dtype === 'float64' ? allocateHost('float64', n) : allocateHost('float32', n)
    fill(values)
    if (dtype === 'float64' || dtype === 'float32') return values
    const data = allocateHost(dtype, n)
    for (let i = 0; i < n; i++) setElement(dtype, data, i, values[i]!)
    return data
  })
}

/** Uniform in [min, max), `paddle.uniform`. Default [-1, 1) in float32. */
export function uniform(shape: Shape, dtype: DType = getDefaultDtype(), min = -1, max = 1): Tensor {
  return drawn('uniform', shape, dtype, (out) => defaultGenerator().uniform(out, min, max))
}

/** Uniform in [0, 1), `paddle.rand`. */
export function rand(shape: Shape, dtype: DType = getDefaultDtype()): Tensor {
  return uniform(shape, dtype, 0, 1)
}

/** As `rand`, in the shape of x and its dtype unless another is given, `paddle.rand_like`. */
export function randLike(x: Tensor, dtype?: DType): Tensor {
  checkTensor(x, 'randLike')
  return rand(x.shape, dtype ?? x.dtype)
}

/** Normal with mean and standard deviation, `paddle.tensor.random.gaussian`. */
export function gaussian(shape: Shape, mean = 0, std = 1, dtype: DType = getDefaultDtype()): Tensor {
  return drawn('gaussian', shape, dtype, (out) => defaultGenerator().normal(out, mean, std))
}

/** Standard normal, `paddle.standard_normal`. */
export function standardNormal(shape: Shape, dtype?: DType): Tensor {
  return gaussian(shape, 0, 1, dtype)
}

/** As `standardNormal`, `paddle.randn`. */
export function randn(shape: Shape, dtype?: DType): Tensor {
  return gaussian(shape, 0, 1, dtype)
}

/** As `randn`, in the shape of x and its dtype unless another is given, `paddle.randn_like`. */
export function randnLike(x: Tensor, dtype?: DType): Tensor {
  checkTensor(x, 'randnLike')
  return randn(x.shape, dtype ?? x.dtype)
}

/** Normal with a mean and a deviation that may be tensors (their shape is the result's); for two numbers `shape` is, `paddle.normal`. */
export function normal(mean: Operand = 0, std: Operand = 1, shape: Shape = [1]): Tensor {
  const like = mean instanceof Tensor ? mean : std instanceof Tensor ? std : null
  if (!like) return gaussian(shape, Number(mean), Number(std))
  return add(multiply(gaussian(like.shape, 0, 1, like.dtype), std), mean)
}

/** e to a normal variable, `paddle.log_normal`. */
export function logNormal(mean: Operand = 1, std: Operand = 2, shape: Shape = [1]): Tensor {
  return exp(normal(mean, std, shape))
}

/** Integers in [low, high), or [0, low) with one bound, `paddle.randint`. Default shape [1], int64. */
export function randint(low = 0, high?: number | null, shape: Shape = [1], dtype: DType = 'int64'): Tensor {
  const [from, to] = high === undefined || high === null ? [0, low] : [low, high]
  if (!isInteger(dtype) && !isFloat(dtype)) throw new DTypeError(`randint: ${dtype} is not a number`)
  checkShape(shape, 'randint')
  const n = numel(shape)
  if (dtype === 'int32')
    return hostDrawn(shape, dtype, () => defaultGenerator().randint(allocateHost('int32', n), from, to))
  const drawn = hostDrawn(shape, 'int64', () => defaultGenerator().randint(allocateHost('int64', n), from, to))
  return dtype === 'int64' ? drawn : new Tensor(castNode(drawn.node, dtype))
}

/** As `randint`, in the shape of x and its dtype unless another is given, `paddle.randint_like`. */
export function randintLike(x: Tensor, low = 0, high?: number | null, dtype?: DType): Tensor {
  checkTensor(x, 'randintLike')
  return randint(low, high, x.shape, dtype ?? x.dtype)
}

/** 0 ... n - 1 in random order, `paddle.randperm`. */
export function randperm(n: number, dtype: DType = 'int64'): Tensor {
  if (dtype === 'int32') return hostDrawn([n], dtype, () => defaultGenerator().randperm(n))
  const wide = hostDrawn([n], 'int64', () => BigInt64Array.from(defaultGenerator().randperm(n), BigInt))
  return dtype === 'int64' ? wide : new Tensor(castNode(wide.node, dtype))
}

/** 1 with the probability that each element of x gives, else 0, `paddle.bernoulli`. */
export function bernoulli(x: Tensor): Tensor {
  checkFloat(x, 'bernoulli')
  const draws = drawn('bernoulli', x.shape, x.dtype === 'float64' ? 'float64' : 'float32', (out) =>
    defaultGenerator().uniform(out),
  )
  const isOne = binary('lt', draws.node, castNode(x.node, draws.dtype))
  return new Tensor(castNode(isOne, x.dtype))
}

/**
 * Poisson samples with the mean that each element of x gives, `paddle.poisson`. How much is drawn depends on the means, so x is read at once:
 * this needs a device that can block.
 */
export function poisson(x: Tensor): Tensor {
  checkFloat(x, 'poisson')
  const means = new Tensor(castNode(x.node, 'float64')).dataSync() as Float64Array
  return drawn('poisson', x.shape, x.dtype, (out) => defaultGenerator().poisson(out, means))
}

/**
 * Categories drawn from rows of weights (not necessarily normalised): [rows, numSamples] or [numSamples], int64, `paddle.multinomial`.
 * Without replacement a drawn category leaves its row.
 */
export function multinomial(x: Tensor, numSamples = 1, replacement = false): Tensor {
  checkFloat(x, 'multinomial')
  if (x.ndim !== 1 && x.ndim !== 2)
    throw new ShapeError(`multinomial: needs rows of weights, got ${formatShape(x.shape)}`)
  const categories = x.shape[x.ndim - 1]!
  const rows = x.ndim === 2 ? x.shape[0]! : 1
  if (!Number.isInteger(numSamples) || numSamples < 1 || (!replacement && numSamples > categories))
    throw new ArgumentError(
      `multinomial: cannot draw ${numSamples} samples of ${categories} categories${replacement ? '' : ' without replacement'}`,
    )
  const dtype = x.dtype === 'float64' ? 'float64' : 'float32'
  const draws = drawn('multinomial', [rows, numSamples], dtype, (out) => defaultGenerator().uniform(out))
  const shape = [rows, categories]
  const weights = reshape(castNode(detach(x.node), dtype), shape)
  const start = cumulate('sum', weights, 1)
  const total = broadcastTo(reshape(reduce('reduceMax', start, [1]), [rows, 1]), shape)

  // One sample of each row a step. Carried: the running sums of what is left, and which categories those are.
  const sums = param(0, dtype, shape)
  const left = param(1, 'bool', shape)
  const draw = param(2, dtype, [rows])
  const position = iota(shape, 1, 'int64')
  const over = (column: Node): Node => broadcastTo(reshape(column, [rows, 1]), shape)
  const below = binary('lt', sums, over(draw))
  const count = reduce('reduceSum', castNode(below, 'int64'), [1])
  // Rounding must not let a category through that has no weight: the nearest one before it is taken, or the first there is.
  const allowed = binary('and', left, binary('le', position, over(count)))
  const fallback = reduce('reduceMax', where(allowed, position, constantLike(position, -1)), [1])
  const first = castNode(reduce('argmax', castNode(left, 'int32'), [1]), 'int64')
  const chosen = where(binary('lt', fallback, constantLike(fallback, 0)), first, fallback)
  const isChosen = binary('eq', position, over(chosen))
  let [nextSums, nextLeft] = [sums, left]
  if (!replacement) {
    const isBefore = binary('eq', position, over(binary('sub', chosen, constant(1, 'int64', [rows]))))
    const pick = (mask: Node): Node => reduce('reduceSum', where(mask, sums, constantLike(sums, 0)), [1])
    const probability = over(binary('sub', pick(isChosen), pick(isBefore)))
    const behind = binary('ge', position, over(chosen))
    const lowered = binary('sub', sums, where(behind, probability, constantLike(sums, 0)))
    nextSums = binary('div', lowered, binary('sub', constantLike(sums, 1), probability))
    nextLeft = binary('and', left, binary('ne', position, over(chosen)))
  }
  const body = { params: [sums, left, draw], outputs: [nextSums, nextLeft, chosen] }
  const carries = [binary('div', start, total), binary('gt', weights, constantLike(weights, 0))]
  const [, , samples] = scan(body, carries, [permute(draws.node, [1, 0])], [], numSamples)
  const out = permute(samples!, [1, 0])
  return new Tensor(x.ndim === 2 ? out : reshape(out, [numSamples]))
}

// ---- in place -----------------------------------------------------------------------------------------------------------

function redraw<T extends Tensor>(x: T, op: string, fill: Fill): T {
  checkReplaceable(x, op)
  const value = drawn(op, x.shape, x.dtype, fill)
  if (x.isLeaf && !x.stopGradient) x.assign(value)
  else x.node = value.node
  return x
}

/** Every element redrawn uniformly from [min, max), `Tensor.uniform_`. */
export function uniform_<T extends Tensor>(x: T, min = -1, max = 1): T {
  return redraw(x, 'uniform_', (out) => defaultGenerator().uniform(out, min, max))
}

/** Every element redrawn from a normal distribution, `Tensor.normal_`. */
export function normal_<T extends Tensor>(x: T, mean = 0, std = 1): T {
  return redraw(x, 'normal_', (out) => defaultGenerator().normal(out, mean, std))
}

/** Every element redrawn from an exponential distribution of rate lam, `Tensor.exponential_`. */
export function exponential_<T extends Tensor>(x: T, lam = 1): T {
  return redraw(x, 'exponential_', (out) => defaultGenerator().exponential(out, lam))
}

/** Every element redrawn as 1 with probability p, else 0, `Tensor.bernoulli_`. */
export function bernoulli_<T extends Tensor>(x: T, p = 0.5): T {
  return redraw(x, 'bernoulli_', (out) => defaultGenerator().bernoulli(out, p))
}
