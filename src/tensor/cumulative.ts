/** Running sums, products and extrema along an axis, and differences, as in paddle.tensor.math. */
import { isFloat, type DType } from '../common/dtype.ts'
import { ArgumentError, DTypeError } from '../common/errors.ts'
import { normalizeAxis } from '../common/shape.ts'
import {
  binary,
  cast as castNode,
  constant,
  cumulate,
  iota,
  param,
  permute,
  reshape,
  scan,
  sliceAxis,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { concatNodes } from './manipulation.ts'
import { logaddexpNodes } from './math.ts'
import { checkTensor, constantLike, floatNode } from './promotion.ts'
import { Tensor } from './tensor.ts'

export interface CumulativeOptions {
  /** The dtype to which elements are cast first. */
  readonly dtype?: DType
}

/** The node to run over and its axis; without an axis the flat tensor. */
function along(x: Tensor, axis: number | null | undefined, op: string, dtype?: DType): { node: Node; axis: number } {
  checkTensor(x, op)
  let node = dtype === undefined ? x.node : castNode(x.node, dtype)
  if (node.dtype === 'bool') node = castNode(node, 'int64')
  if (axis === undefined || axis === null || x.ndim === 0) {
    if (x.ndim === 0 && typeof axis === 'number') normalizeAxis(axis, 1, op)
    return { node: reshape(node, [x.size]), axis: 0 }
  }
  return { node, axis: normalizeAxis(axis, x.ndim, op) }
}

/** Rank 0 stays rank 0 where an axis was given. */
const restore = (x: Tensor, axis: number | null | undefined, node: Node): Tensor =>
  new Tensor(x.ndim === 0 && typeof axis === 'number' ? reshape(node, []) : node)

/** Running sum along an axis, or over the flat tensor; bool and int32 give int64, `paddle.cumsum`. */
export function cumsum(x: Tensor, axis?: number | null, options: CumulativeOptions = {}): Tensor {
  checkTensor(x, 'cumsum')
  const { node, axis: a } = along(x, axis, 'cumsum', options.dtype ?? (x.dtype === 'int32' ? 'int64' : undefined))
  return restore(x, axis, cumulate('sum', node, a))
}

/** Running product along an axis, or over the flat tensor, `paddle.cumprod`. */
export function cumprod(x: Tensor, dim?: number | null, options: CumulativeOptions = {}): Tensor {
  const { node, axis: a } = along(x, dim, 'cumprod', options.dtype)
  return restore(x, dim, cumulate('prod', node, a))
}

function runningExtremum(
  kind: 'max' | 'min',
  x: Tensor,
  axis: number | null | undefined,
  dtype: DType,
): [Tensor, Tensor] {
  const op = `cum${kind}`
  if (dtype !== 'int64' && dtype !== 'int32') throw new DTypeError(`${op}: positions are int64 or int32, not ${dtype}`)
  const { node, axis: a } = along(x, axis, op)
  const values = cumulate(kind, node, a)
  // Of equal elements the last one counts; NaN is an extremum.
  const attains = binary('eq', node, values)
  const here = isFloat(node.dtype) ? binary('or', attains, binary('ne', node, node)) : attains
  const position = iota(node.shape, a, dtype)
  const positions = cumulate('max', where(here, position, constantLike(position, 0)), a)
  return [restore(x, axis, values), restore(x, axis, positions)]
}

/** Running maximum and the position at which it was attained last, `paddle.cummax`. */
export function cummax(x: Tensor, axis?: number | null, options: CumulativeOptions = {}): [Tensor, Tensor] {
  return runningExtremum('max', x, axis, options.dtype ?? 'int64')
}

/** Running minimum and the position at which it was attained last, `paddle.cummin`. */
export function cummin(x: Tensor, axis?: number | null, options: CumulativeOptions = {}): [Tensor, Tensor] {
  return runningExtremum('min', x, axis, options.dtype ?? 'int64')
}

/** log of the running sum of exponentials, without overflow or underflow: a loop over the axis, `paddle.logcumsumexp`. */
export function logcumsumexp(x: Tensor, axis?: number | null, options: CumulativeOptions = {}): Tensor {
  const { node, axis: a } = along(new Tensor(floatNode(x, 'logcumsumexp')), axis, 'logcumsumexp', options.dtype)
  const others = node.shape.map((_, i) => i).filter((i) => i !== a)
  const length = node.shape[a]!
  if (length === 0) return restore(x, axis, node)
  const steps = permute(node, [a, ...others])
  const shape = steps.shape.slice(1)
  const carry = param(0, node.dtype, shape)
  const element = param(1, node.dtype, shape)
  const next = logaddexpNodes(carry, element)
  const start = constant(-Infinity, node.dtype, shape)
  const [, stacked] = scan({ params: [carry, element], outputs: [next, next] }, [start], [steps], [], length)
  const back = node.shape.map((_, i) => (i === a ? 0 : others.indexOf(i) + 1))
  return restore(x, axis, permute(stacked!, back))
}

export interface DiffOptions {
  /** Values put before the first along the axis. */
  readonly prepend?: Tensor
  readonly append?: Tensor
}

/** The n-th difference of neighbours along an axis, `paddle.diff`. Differences of bools are `not equal`. */
export function diff(x: Tensor, n = 1, axis = -1, options: DiffOptions = {}): Tensor {
  checkTensor(x, 'diff')
  if (!Number.isInteger(n) || n < 0) throw new ArgumentError(`diff: n must be a non-negative integer, got ${n}`)
  const a = normalizeAxis(axis, x.ndim, 'diff')
  const pieces = [options.prepend?.node, x.node, options.append?.node].filter((p) => p !== undefined)
  let node = concatNodes(pieces, a)
  for (let i = 0; i < n && node.shape[a]! > 0; i++) {
    const size = node.shape[a]!
    const after = sliceAxis(node, a, 1, size)
    const before = sliceAxis(node, a, 0, size - 1)
    node = binary(node.dtype === 'bool' ? 'ne' : 'sub', after, before)
  }
  return new Tensor(node)
}

/** Areas under the curve between neighbours: dx, or the differences of x, times the mean of two ordinates. */
function slabs(
  y: Tensor,
  x: Tensor | null | undefined,
  dx: number,
  axis: number,
  op: string,
): { node: Node; axis: number } {
  const node = floatNode(y, op)
  const a = normalizeAxis(axis, y.ndim, op)
  const size = node.shape[a]!
  const later = sliceAxis(node, a, Math.min(1, size), size)
  const total = binary('add', later, sliceAxis(node, a, 0, Math.max(size - 1, 0)))
  if (!x) return { node: binary('mul', total, constantLike(total, dx / 2)), axis: a }
  const place = x.ndim === 1 ? node.shape.map((_, i) => (i === a ? size : 1)) : x.shape
  const widths = diff(new Tensor(reshape(castNode(x.node, node.dtype), place)), 1, a)
  const product = new Tensor(total).multiply(widths).multiply(0.5)
  return { node: product.node, axis: a }
}

export interface TrapezoidOptions {
  /** Abscissae; else they are `dx` apart. */
  readonly x?: Tensor | null
  readonly dx?: number
  readonly axis?: number
}

/** Integral along an axis by the trapezoidal rule, `paddle.trapezoid`. */
export function trapezoid(y: Tensor, options: TrapezoidOptions = {}): Tensor {
  const { node, axis } = slabs(y, options.x, options.dx ?? 1, options.axis ?? -1, 'trapezoid')
  return new Tensor(node).sum(axis)
}

/** Running integral along an axis by the trapezoidal rule, `paddle.cumulative_trapezoid`. */
export function cumulativeTrapezoid(y: Tensor, options: TrapezoidOptions = {}): Tensor {
  const { node, axis } = slabs(y, options.x, options.dx ?? 1, options.axis ?? -1, 'cumulativeTrapezoid')
  return new Tensor(cumulate('sum', node, axis))
}
