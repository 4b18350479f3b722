/** Linear maps and look-ups, as in paddle.nn.functional.common. */
import type { DType } from '../../common/dtype.ts'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, normalizeAxis, sameShape } from '../../common/shape.ts'
import { binary, cast, contract, gather, gatherElements, iota, reduce, unary, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { underPolicy } from '../../tensor/autocast.ts'
import { contractible } from '../../tensor/linalg.ts'
import { vectorNorm } from '../../tensor/norm.ts'
import {
  checkFloat,
  checkInteger,
  checkTensor,
  constantLike,
  elementwise,
  operandNodes,
} from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator, type OperatorNote } from '../../tensor/tracer.ts'
import { runLoop } from '../../tensor/loop.ts'

/**
 * x W + b, `paddle.nn.functional.linear`: x [.., in], weight [in, out] (not transposed), bias [out] or a scalar; gives [.., out].
 * Throws ShapeError that says which input size fits.
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  const [a, w] = contractible('linear', x, weight)
  const last = x.ndim - 1
  const inner = x.shape[last]
  if (weight.ndim !== 2 || inner !== weight.shape[0]) {
    const flat = x.ndim === 2 ? formatShape(x.shape) : `${formatShape(x.shape)} (last axis ${inner ?? 'missing'})`
    throw new ShapeError(
      `linear: ${flat} x ${formatShape(weight.shape)}: the input has ${inner ?? 'no'} features, the weight takes ${weight.shape[0]}; ` +
        `a weight of shape [${inner ?? 1}, ${weight.shape[1] ?? 'out'}] fits (inFeatures = ${inner ?? 1})`,
    )
  }
  const letters = x.shape.map((_, i) => i)
  const out = [...letters.slice(0, -1), last + 1]
  const shape = [...x.shape.slice(0, -1), weight.shape[1]!]
  const product = asOperator(
    'matmul',
    new Tensor(contract(a, w, { lhs: letters, rhs: [last, last + 1], out }, shape)),
    () => ({ inputs: { x, y: weight }, attributes: { transpose_x: false, transpose_y: false } }),
  )
  if (!bias) return product
  // The bias belongs to the op: under autoCast it is low where the product is.
  const [shift] = underPolicy('linear', [bias.node])
  return elementwise('add', 'add', product, shift === bias.node ? bias : new Tensor(shift!))
}

/**
 * x1 W x2 + b for each of the outputs, `paddle.nn.functional.bilinear`: x1 [N, in1], x2 [N, in2], weight [out, in1, in2], bias [1, out]; gives
 * [N, out].
 */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  const [a, w] = contractible('bilinear', x1, weight)
  const [b] = contractible('bilinear', x2, weight)
  const [out, in1, in2] = weight.shape
  if (weight.ndim !== 3 || !sameShape(x1.shape, [x2.shape[0]!, in1!]) || !sameShape(x2.shape, [x1.shape[0]!, in2!]))
    throw new ShapeError(
      `bilinear: ${formatShape(x1.shape)} and ${formatShape(x2.shape)} do not fit the weight ${formatShape(weight.shape)}, which takes [N, ${in1}] and [N, ${in2}]`,
    )
  const n = x1.shape[0]!
  const half = contract(a, w, { lhs: [0, 1], rhs: [2, 1, 3], out: [0, 2, 3] }, [n, out!, in2!])
  const product = new Tensor(contract(half, b, { lhs: [0, 2, 3], rhs: [0, 3], out: [0, 2] }, [n, out!]))
  return bias ? elementwise('add', 'add', product, bias) : product
}

export interface EmbeddingOptions {
  /** Rows of this index are 0 and get no gradient; negative ones count from the end. */
  readonly paddingIdx?: number | null
  /** Accepted as in Paddle; gradients are dense. Default false. */
  readonly sparse?: boolean
}

/** The index of the padding row, counted from the front; -1 for none. */
export function paddingRow(paddingIdx: number | null | undefined, rows: number, op: string): number {
  if (paddingIdx === null || paddingIdx === undefined) return -1
  if (!Number.isInteger(paddingIdx) || paddingIdx < -rows || paddingIdx >= rows)
    throw new ArgumentError(`${op}: paddingIdx must lie within [-${rows}, ${rows}), got ${paddingIdx}`)
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx
}

/** Rows of a weight [n, d] by integers of any shape: [.., d], `paddle.nn.functional.embedding`. An index outside [0, n) is an IndexOutOfRangeError when it runs. */
export function embedding(x: Tensor, weight: Tensor, options: EmbeddingOptions = {}): Tensor {
  checkInteger(x, 'embedding')
  checkFloat(weight, 'embedding', 'weight')
  if (weight.ndim !== 2) throw new ShapeError(`embedding: the weight must be [n, d], got ${formatShape(weight.shape)}`)
  const rows = weight.shape[0]!
  const padding = paddingRow(options.paddingIdx, rows, 'embedding')
  const index = cast(x.node, x.dtype === 'int64' ? 'int64' : 'int32')
  // Negative numbers, which a look-up would count from the end, are sent out of range.
  const negative = binary('lt', index, constantLike(index, 0))
  const taken = gather(weight.node, where(negative, constantLike(index, rows), index), 0)
  const note = (): OperatorNote => ({
    inputs: { x, weight },
    attributes: { padding_idx: padding, sparse: false },
  })
  if (padding < 0) return asOperator('embedding', new Tensor(taken), note)
  const isPadding = spread(binary('eq', index, constantLike(index, padding)), taken.shape, [x.ndim])
  return asOperator('embedding', new Tensor(where(isPadding, constantLike(taken, 0), taken)), note)
}

/** (1 - epsilon) * label + epsilon * prior (uniform by default), `paddle.nn.functional.label_smooth`. */
export function labelSmooth(
  label: Tensor,
  options: { readonly priorDist?: Tensor | null; readonly epsilon?: number } = {},
): Tensor {
  checkFloat(label, 'labelSmooth', 'label')
  const { priorDist, epsilon = 0.1 } = options
  if (!(epsilon >= 0 && epsilon <= 1))
    throw new ArgumentError(`labelSmooth: epsilon must lie in [0, 1], got ${epsilon}`)
  const kept = new Tensor(binary('mul', label.node, constantLike(label.node, 1 - epsilon)))
  if (priorDist) return elementwise('add', 'add', kept, elementwise('mul', 'multiply', priorDist, epsilon))
  const classes = label.shape[label.ndim - 1] ?? 1
  return new Tensor(binary('add', kept.node, constantLike(kept.node, epsilon / classes)))
}

/**
 * 1 at the first x[i] of `maxlen` positions, else 0: x of any shape gives [.., maxlen], `paddle.nn.functional.sequence_mask`. Without `maxlen`
 * the largest of x counts, which must be read first: a promise.
 */
export function sequenceMask(x: Tensor, maxlen: number, dtype?: DType): Tensor
export function sequenceMask(x: Tensor, maxlen?: null, dtype?: DType): Promise<Tensor>
export function sequenceMask(x: Tensor, maxlen?: number | null, dtype: DType = 'int64'): Tensor | Promise<Tensor> {
  checkTensor(x, 'sequenceMask')
  if (maxlen === null || maxlen === undefined)
    return x
      .max()
      .item()
      .then((longest) => sequenceMask(x, longest, dtype))
  if (!Number.isInteger(maxlen) || maxlen < 1)
    throw new ArgumentError(`sequenceMask: maxlen must be a positive integer, got ${maxlen}`)
  const shape = [...x.shape, maxlen]
  const lengths = spread(cast(x.node, 'int64'), shape, [x.ndim])
  return new Tensor(cast(binary('lt', iota(shape, x.ndim, 'int64'), lengths), dtype))
}

/** The cosine of the angle between x1 and x2 along an axis, with broadcasting, `paddle.nn.functional.cosine_similarity`. */
export function cosineSimilarity(x1: Tensor, x2: Tensor, axis = 1, eps = 1e-8): Tensor {
  checkFloat(x1, 'cosineSimilarity', 'x1')
  checkFloat(x2, 'cosineSimilarity', 'x2')
  const [a, b] = operandNodes('cosineSimilarity', x1, x2)
  const along = normalizeAxis(axis, a.shape.length, 'cosineSimilarity')
  const dot = (u: Node, v: Node): Node => reduce('reduceSum', binary('mul', u, v), [along])
  const squares = binary('mul', dot(a, a), dot(b, b))
  const lengths = unary('sqrt', binary('max', squares, constantLike(squares, eps * eps)))
  return new Tensor(binary('div', dot(a, b), lengths))
}

export interface PairwiseDistanceOptions {
  /** Default 2. */
  readonly p?: number
  /** Added to the difference. Default 1e-6. */
  readonly epsilon?: number
  readonly keepdim?: boolean
}

/** The p-norm of x - y along the last axis, `paddle.nn.functional.pairwise_distance`. */
export function pairwiseDistance(x: Tensor, y: Tensor, options: PairwiseDistanceOptions = {}): Tensor {
  const { p = 2, epsilon = 1e-6, keepdim = false } = options
  const difference = elementwise('sub', 'subtract', x, y).node
  const moved = new Tensor(binary('add', difference, constantLike(difference, epsilon)))
  return vectorNorm(moved, p, -1, { keepdim })
}

/** Beam search's back pointers followed from the last step: ids and parents [time, batch, beam], `paddle.nn.functional.gather_tree`. */
export function gatherTree(ids: Tensor, parents: Tensor): Tensor {
  checkInteger(ids, 'gatherTree', 'ids')
  checkTensor(parents, 'gatherTree')
  if (ids.ndim !== 3 || !sameShape(ids.shape, parents.shape) || ids.dtype !== parents.dtype)
    throw new ShapeError(
      `gatherTree: ids and parents must be [time, batch, beam] of one dtype, got ${ids.dtype}${formatShape(ids.shape)} and ${parents.dtype}${formatShape(parents.shape)}`,
    )
  const [, batch, beam] = ids.shape as [number, number, number]
  const { outputs } = runLoop(
    ([at], [id, parent]) => ({
      states: [cast(gatherElements(parent!, at!, 1), 'int64')],
      outputs: [gatherElements(id!, at!, 1)],
    }),
    [iota([batch, beam], 1, 'int64')],
    [ids.node, parents.node],
    { reverse: true },
  )
  return new Tensor(outputs[0]!)
}
