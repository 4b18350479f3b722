/** Sorting elements into bins: searchsorted, bucketize, histogram, bincount, as in paddle.tensor.search and linalg. */
import { isFloat } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  iota,
  reduce,
  reshape,
  scatter,
  unary,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { checkInteger, checkTensor, constantLike, floatNode } from './promotion.ts'
import { isNaNNode } from './statistics.ts'
import { Tensor } from './tensor.ts'

export interface SearchSortedOptions {
  /** Positions as int32 instead of int64. */
  readonly outInt32?: boolean
  /** Behind equal elements instead of before them. */
  readonly right?: boolean
}

/**
 * Where `values` would be inserted in the last axis of a sorted sequence to keep it sorted, `paddle.searchsorted`: one sequence for all
 * (rank 1), or one for each row of values. A binary search, all values at once.
 */
export function searchsorted(sortedSequence: Tensor, values: Tensor, options: SearchSortedOptions = {}): Tensor {
  checkTensor(sortedSequence, 'searchsorted')
  checkTensor(values, 'searchsorted')
  if (sortedSequence.dtype !== values.dtype)
    throw new DTypeError(`searchsorted: the sequence is ${sortedSequence.dtype}, the values ${values.dtype}; cast one`)
  const s = sortedSequence.node
  const v = values.node
  const lead = s.shape.slice(0, -1)
  const n = s.shape[s.shape.length - 1] ?? 0
  if (s.shape.length === 0 || (lead.length > 0 && formatShape(lead) !== formatShape(v.shape.slice(0, -1))))
    throw new ShapeError(
      `searchsorted: the sequence ${formatShape(s.shape)} must be a vector, or have the leading axes of the values ${formatShape(v.shape)}`,
    )
  const flat = reshape(s, [s.shape.reduce((a, b) => a * b, 1)])
  const of = (k: number): Node => constant(k, 'int64', v.shape)
  // Offset of each value's own row in the flat sequence.
  let row = of(0)
  let stride = n
  for (let i = lead.length - 1; i >= 0; i--) {
    row = binary('add', row, binary('mul', iota(v.shape, i, 'int64'), of(stride)))
    stride *= lead[i]!
  }
  let low = of(0)
  let high = of(n)
  for (let steps = n === 0 ? 0 : Math.floor(Math.log2(n)) + 1; steps > 0; steps--) {
    const middle = binary('floordiv', binary('add', low, high), of(2))
    const safe = binary('min', middle, of(n - 1))
    const element = new Tensor(flat).gather(new Tensor(reshape(binary('add', row, safe), [values.size]))).node
    const candidate = reshape(element, v.shape)
    let goesRight = binary(options.right ? 'le' : 'lt', candidate, v)
    if (isFloat(v.dtype)) {
      // NaN counts as largest, as in sorting.
      const beyond = options.right ? isNaNNode(v) : binary('and', isNaNNode(v), unary('not', isNaNNode(candidate)))
      goesRight = binary('or', goesRight, beyond)
    }
    const open = binary('lt', low, high)
    goesRight = binary('and', goesRight, open)
    high = where(binary('and', open, unary('not', goesRight)), middle, high)
    low = where(goesRight, binary('add', middle, of(1)), low)
  }
  return new Tensor(castNode(low, options.outInt32 ? 'int32' : 'int64'))
}

/** The bucket of each element among sorted borders, `paddle.bucketize`. */
export function bucketize(x: Tensor, sortedSequence: Tensor, options: SearchSortedOptions = {}): Tensor {
  checkTensor(sortedSequence, 'bucketize')
  if (sortedSequence.ndim !== 1)
    throw new ShapeError(`bucketize: the borders must be a vector, got ${formatShape(sortedSequence.shape)}`)
  return searchsorted(sortedSequence, x, options)
}

export interface HistogramOptions {
  readonly weight?: Tensor | null
  /** Densities instead of counts: they integrate to 1. */
  readonly density?: boolean
}

/** Lower and upper border of a histogram as nodes of rank 0: the data's own where both are given as 0. */
function histogramRange(x: Node, min: number, max: number): [Node, Node] {
  if (!(min <= max) || !Number.isFinite(max - min))
    throw new ArgumentError(`histogram: the range must be finite and not empty, got min ${min} and max ${max}`)
  const { dtype } = x
  if (min !== 0 || max !== 0 || x.shape[0] === 0) {
    const flat = min === max ? 1 : 0
    return [constant(min - flat, dtype), constant(max + flat, dtype)]
  }
  const low = reduce('reduceMin', x, [0])
  const high = reduce('reduceMax', x, [0])
  const one = constant(1, dtype)
  const equal = binary('eq', low, high)
  return [where(equal, binary('sub', low, one), low), where(equal, binary('add', high, one), high)]
}

/** Number of elements in each of `bins` equal intervals of [min, max] (of the data's range where both are 0), int64, `paddle.histogram`. */
export function histogram(input: Tensor, bins = 100, min = 0, max = 0, options: HistogramOptions = {}): Tensor {
  if (!Number.isInteger(bins) || bins < 1)
    throw new ArgumentError(`histogram: bins must be a positive integer, got ${bins}`)
  const x = reshape(floatNode(input, 'histogram'), [input.size])
  const { dtype } = x
  const [low, high] = histogramRange(x, min, max)
  const spread = (n: Node): Node => broadcastTo(n, x.shape)
  const width = binary('sub', high, low)
  const scaled = binary('mul', binary('div', binary('sub', x, spread(low)), spread(width)), constantLike(x, bins))
  const inside = binary('and', binary('ge', x, spread(low)), binary('le', x, spread(high)))
  const safe = where(inside, scaled, constantLike(x, 0))
  const index = binary('min', castNode(safe, 'int64'), constant(bins - 1, 'int64', x.shape))
  const weightType = options.weight || options.density ? dtype : 'int64'
  const weights = options.weight
    ? castNode(reshape(options.weight.node, x.shape), weightType)
    : constant(1, weightType, x.shape)
  const counted = where(inside, weights, constantLike(weights, 0))
  const counts = scatter(constant(0, weightType, [bins]), index, counted, 0, 'add')
  if (!options.density) return new Tensor(counts)
  const area = binary('div', binary('mul', reduce('reduceSum', counts, [0]), width), constant(bins, dtype))
  return new Tensor(binary('div', counts, broadcastTo(area, [bins])))
}

/** The bins + 1 borders that `histogram` uses, `paddle.histogram_bin_edges`. */
export function histogramBinEdges(input: Tensor, bins = 100, min = 0, max = 0): Tensor {
  const x = reshape(floatNode(input, 'histogramBinEdges'), [input.size])
  const [low, high] = histogramRange(x, min, max)
  const shape = [bins + 1]
  const step = binary('div', binary('sub', high, low), constant(bins, x.dtype))
  const rising = binary('mul', iota(shape, 0, x.dtype), broadcastTo(step, shape))
  return new Tensor(binary('add', broadcastTo(low, shape), rising))
}

/**
 * How often each non-negative integer occurs, `paddle.bincount`: a promise, since the largest one decides the length. Weights are summed
 * instead of counted. Throws ArgumentError for a negative element.
 */
export async function bincount(x: Tensor, weights?: Tensor | null, minlength = 0): Promise<Tensor> {
  checkInteger(x, 'bincount')
  if (x.ndim !== 1) throw new ShapeError(`bincount: needs a vector, got ${formatShape(x.shape)}`)
  if (!Number.isInteger(minlength) || minlength < 0)
    throw new ArgumentError(`bincount: minlength must be a non-negative integer, got ${minlength}`)
  let length = minlength
  for (const v of await x.data()) {
    if (v < 0) throw new ArgumentError(`bincount: elements must not be negative, got ${v}`)
    length = Math.max(length, Number(v) + 1)
  }
  const dtype = weights ? weights.dtype : 'int64'
  const each = weights ? weights.node : constant(1, 'int64', x.node.shape)
  return new Tensor(scatter(constant(0, dtype, [length]), castNode(x.node, 'int64'), each, 0, 'add'))
}
