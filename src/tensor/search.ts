/** Where things are: argmax, sort, top-k, where, ... as in paddle.tensor.search. */
import type { DType } from '../common/dtype.ts'
import { ArgumentError, DTypeError } from '../common/errors.ts'
import { normalizeAxis } from '../common/shape.ts'
import {
  argsort as argsortNode,
  cast as castNode,
  gatherElements,
  reduce,
  reduceKeep,
  reshape,
  sliceAxis,
  where as whereNode,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { nonzero } from './data-dependent.ts'
import { broadcastNodes, checkOperand, checkTensor, promoted, type Operand } from './promotion.ts'
import { Tensor } from './tensor.ts'
import { noteOperator } from './tracer.ts'

export interface ArgOptions {
  readonly keepdim?: boolean
  /** int64 (default) or int32. */
  readonly dtype?: DType
}

function extremePosition(
  op: 'argmax' | 'argmin',
  x: Tensor,
  axis: number | null | undefined,
  options: ArgOptions,
): Tensor {
  checkTensor(x, op)
  if (x.dtype === 'bool') throw new DTypeError(`${op}: x is bool; cast it to a number first`)
  const { keepdim = false, dtype = 'int64' } = options
  if (dtype !== 'int64' && dtype !== 'int32') throw new DTypeError(`${op}: positions are int64 or int32, not ${dtype}`)
  let out: Node
  if (axis === undefined || axis === null) {
    out = reduce(op, reshape(x.node, [x.size]), [0])
    if (keepdim)
      out = reshape(
        out,
        x.shape.map(() => 1),
      )
  } else {
    const a = normalizeAxis(axis, x.ndim, op)
    out = keepdim ? reduceKeep(op, x.node, [a]) : reduce(op, x.node, [a])
  }
  return new Tensor(castNode(out, dtype))
}

/** Position of the first largest element along an axis (default: of the flat tensor), `paddle.argmax`. */
export function argmax(x: Tensor, axis?: number | null, options: ArgOptions = {}): Tensor {
  return extremePosition('argmax', x, axis, options)
}

/** Position of the first smallest element along an axis (default: of the flat tensor), `paddle.argmin`. */
export function argmin(x: Tensor, axis?: number | null, options: ArgOptions = {}): Tensor {
  return extremePosition('argmin', x, axis, options)
}

export interface SortOptions {
  /** Largest first. Default false. */
  readonly descending?: boolean
  /** Sorting is always stable; the option is Paddle's. */
  readonly stable?: boolean
}

/** The axis to sort, and x with at least one axis. */
function sortable(x: Tensor, axis: number, op: string): { node: Node; axis: number } {
  checkTensor(x, op)
  const node = x.ndim === 0 ? reshape(x.node, [1]) : x.node
  return { node, axis: normalizeAxis(axis, node.shape.length, op) }
}

/** Positions that sort an axis, int64; NaN counts as largest, `paddle.argsort`. */
export function argsort(x: Tensor, axis = -1, options: SortOptions = {}): Tensor {
  const { node, axis: a } = sortable(x, axis, 'argsort')
  return new Tensor(reshape(argsortNode(node, a, options.descending ?? false), x.shape))
}

/** The elements of an axis in order, `paddle.sort`. */
export function sort(x: Tensor, axis = -1, options: SortOptions = {}): Tensor {
  const { node, axis: a } = sortable(x, axis, 'sort')
  const order = argsortNode(node, a, options.descending ?? false)
  return new Tensor(reshape(gatherElements(node, order, a), x.shape))
}

export interface TopkOptions {
  /** Default: the last axis. */
  readonly axis?: number
  /** False: the smallest. Default true. */
  readonly largest?: boolean
  /** The result is always sorted; the option is Paddle's. */
  readonly sorted?: boolean
}

/** The k largest elements of an axis, in order, and their positions, `paddle.topk`. Throws ArgumentError for k beyond the axis. */
export function topk(x: Tensor, k: number, options: TopkOptions = {}): [Tensor, Tensor] {
  const { node, axis } = sortable(x, options.axis ?? -1, 'topk')
  const size = node.shape[axis]!
  if (!Number.isInteger(k) || k < 1 || k > size)
    throw new ArgumentError(`topk: k must lie between 1 and the ${size} elements of axis ${axis}, got ${k}`)
  const order = sliceAxis(argsortNode(node, axis, options.largest ?? true), axis, 0, k)
  const shape = x.ndim === 0 ? [] : order.shape
  const values = new Tensor(reshape(gatherElements(node, order, axis), shape))
  const indices = new Tensor(reshape(order, shape))
  noteOperator(
    'topk',
    () => ({ out: values, indices }),
    () => ({ inputs: { x }, attributes: { k, axis, largest: options.largest ?? true, sorted: true } }),
  )
  return [values, indices]
}

/** x where the condition holds, y elsewhere, with broadcasting, `paddle.where`. */
export function where(condition: Tensor, x: Operand, y: Operand): Tensor
/** The positions where the condition holds, a vector for each axis, as `nonzero(condition, true)`. */
export function where(condition: Tensor): Promise<Tensor[]>
export function where(condition: Tensor, x?: Operand, y?: Operand): Tensor | Promise<Tensor[]> {
  checkTensor(condition, 'where')
  if (x === undefined && y === undefined) return nonzero(condition, true)
  if (condition.dtype !== 'bool')
    throw new DTypeError(`where: the condition must be bool, got ${condition.dtype}; compare it with 0 first`)
  checkOperand(x, 'where')
  checkOperand(y, 'where')
  const [a, b] = promoted('where', x as Operand, y as Operand)
  const [c, p, q] = broadcastNodes('where', [condition.node, a, b])
  return new Tensor(whereNode(c!, p!, q!))
}
