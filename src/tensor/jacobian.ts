/** Matrices of first and second derivatives, as paddle.autograd.jacobian and hessian: a row is a gradient of its own. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, numel, type Shape } from '../common/shape.ts'
import { binary, broadcastTo, cast, constant, iota, reshape } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { grad } from './autograd.ts'
import { stack } from './manipulation.ts'
import { Tensor } from './tensor.ts'

type Tensors = Tensor | readonly Tensor[]
type ForEach<X extends Tensors, T> = X extends Tensor ? T : T[]

/** `null`: none. 0: the first axis of ys and xs counts independent cases. */
export type BatchAxis = 0 | null

function checkBatchAxis(op: string, batchAxis: BatchAxis): void {
  if (batchAxis !== null && batchAxis !== 0)
    throw new ArgumentError(`${op}: batchAxis must be null or 0, got ${String(batchAxis)}`)
}

function checkBatch(op: string, ys: Tensor, xs: readonly Tensor[]): void {
  for (const x of xs) {
    if (ys.ndim > 0 && x.ndim > 0 && ys.shape[0] === x.shape[0]) continue
    throw new ShapeError(
      `${op}: with batchAxis 0, ys ${formatShape(ys.shape)} and xs ${formatShape(x.shape)} need first axes of one size`,
    )
  }
}

/** 1 at position `at` of the flattened axes behind the batch, 0 elsewhere. */
function oneAt(shape: Shape, batch: Shape, at: number, dtype: Node['dtype']): Node {
  const row = numel(shape.slice(batch.length))
  const places = iota([row], 0, 'int64')
  const one = cast(binary('eq', places, constant(at, 'int64', [row])), dtype)
  return broadcastTo(reshape(one, shape.slice(batch.length)), shape)
}

function jacobianOf(ys: Tensor, xs: readonly Tensor[], batchAxis: BatchAxis): Tensor[] {
  const batch = batchAxis === null ? [] : ys.shape.slice(0, 1)
  const outer = ys.shape.slice(batch.length)
  const rows = Array.from({ length: numel(outer) }, (_, i) =>
    grad([ys], xs, {
      gradOutputs: [new Tensor(oneAt(ys.shape, batch, i, ys.dtype))],
      createGraph: true,
      allowUnused: true,
    }),
  )
  return xs.map((x, k) => {
    const inner = x.shape.slice(batch.length)
    const shape = [...batch, ...outer, ...inner]
    if (rows.length === 0) return new Tensor(constant(0, x.dtype, shape))
    const stacked = stack(
      rows.map((r) => r[k]!),
      batch.length,
    )
    return new Tensor(reshape(stacked.node, shape))
  })
}

/**
 * Derivatives of every element of ys by every element of xs, as paddle.autograd.jacobian: shape [...ys, ...xs], or, with `batchAxis` 0,
 * [B, ...ys behind it, ...xs behind it], where elements of one case do not depend on those of others. Of several ys or xs: arrays of such
 * matrices, those of xs inside. They are recorded whole (Paddle's object computes rows when indexed), and can be differentiated. Zeros where ys
 * do not depend on xs. Throws ShapeError for batches that differ, AutogradError where ys want no gradient.
 * @example const J = autograd.jacobian(matmul(w, x), x)
 */
export function jacobian<Y extends Tensors, X extends Tensors>(
  ys: Y,
  xs: X,
  batchAxis: BatchAxis = null,
): ForEach<Y, ForEach<X, Tensor>> {
  checkBatchAxis('jacobian', batchAxis)
  const list: readonly Tensor[] = xs instanceof Tensor ? [xs] : (xs as readonly Tensor[])
  const one = (y: Tensor): Tensor | Tensor[] => {
    if (batchAxis === 0) checkBatch('jacobian', y, list)
    const matrices = jacobianOf(y, list, batchAxis)
    return xs instanceof Tensor ? matrices[0]! : matrices
  }
  const made = ys instanceof Tensor ? one(ys) : (ys as readonly Tensor[]).map(one)
  return made as ForEach<Y, ForEach<X, Tensor>>
}

/**
 * Second derivatives of one number by the elements of xs, as paddle.autograd.hessian: [...xs, ...xs], of several xs an array of arrays by
 * pairs. With `batchAxis` 0 of one number a case: [B, ...xs behind it, ...xs behind it]. Throws ShapeError where ys is more than one number.
 * @example const H = autograd.hessian(loss, x)
 */
export function hessian<X extends Tensors>(
  ys: Tensor,
  xs: X,
  batchAxis: BatchAxis = null,
): X extends Tensor ? Tensor : Tensor[][] {
  checkBatchAxis('hessian', batchAxis)
  const cases = batchAxis === null ? 1 : (ys.shape[0] ?? 1)
  if (ys.size !== cases)
    throw new ShapeError(
      `hessian: ys must be one number${batchAxis === 0 ? ' a case' : ''}, it has shape ${formatShape(ys.shape)}; sum it first`,
    )
  const list: readonly Tensor[] = xs instanceof Tensor ? [xs] : (xs as readonly Tensor[])
  const flat = new Tensor(reshape(ys.node, batchAxis === null ? [] : [cases]))
  const rows = jacobian(flat, list, batchAxis).map((j) =>
    j.stopGradient ? zeros(j, list, batchAxis) : jacobian(j, list, batchAxis),
  )
  return (xs instanceof Tensor ? rows[0]![0]! : rows) as X extends Tensor ? Tensor : Tensor[][]
}

/** Second derivatives of what is linear. */
function zeros(j: Tensor, xs: readonly Tensor[], batchAxis: BatchAxis): Tensor[] {
  const batch = batchAxis === null ? 0 : 1
  return xs.map((x) => new Tensor(constant(0, x.dtype, [...j.shape, ...x.shape.slice(batch)])))
}
