/**
 * Replacing a tensor's value by a computed one: what `add_`, `fill_`, `set` and the like do. The tensor gets a new node; whatever was
 * recorded before keeps the old one, so that nothing reads a value from the future.
 */
import { allocateHost, setElement } from '../common/dtype.ts'
import { AutogradError, DTypeError, ShapeError } from '../common/errors.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import { broadcastTo, cast as castNode } from '../graph/build.ts'
import { isGradEnabled } from '../graph/node.ts'
import { scalarNode, type Scalar } from './promotion.ts'
import type { Tensor } from './tensor.ts'

/** Throws AutogradError where autograd needs the value that would be replaced, as Paddle does. */
export function checkReplaceable(x: Tensor, op: string): void {
  if (x.isLeaf && !x.stopGradient && isGradEnabled())
    throw new AutogradError(
      `${op}: a leaf tensor that wants a gradient cannot be changed in place; use noGrad(() => ...) or work on a copy`,
    )
}

/**
 * Makes `value` the value of `x` and returns x. Variables are written in their memory (inside noGrad only); others get the node, with its
 * past, so that gradients flow through. Throws ShapeError where the shapes differ, DTypeError where the dtypes do.
 */
export function replaceValue<T extends Tensor>(x: T, value: Tensor, op: string): T {
  checkReplaceable(x, op)
  if (!sameShape(x.node.shape, value.node.shape))
    throw new ShapeError(
      `${op}: the result ${formatShape(value.shape)} does not fit into the tensor ${formatShape(x.shape)}`,
    )
  if (x.dtype !== value.dtype)
    throw new DTypeError(`${op}: the result is ${value.dtype}, the tensor ${x.dtype}; cast the tensor first`)
  if (x.isLeaf && !x.stopGradient) x.assign(value)
  else x.node = value.node
  return x
}

/** Every element replaced by one number, `Tensor.fill_`. */
export function fill_<T extends Tensor>(x: T, value: Scalar): T {
  checkReplaceable(x, 'fill_')
  const { dtype } = x
  if (x.node.op !== 'buffer') {
    x.node = broadcastTo(castNode(scalarNode(value, dtype), dtype), x.node.shape)
    return x
  }
  const data = allocateHost(dtype, x.size)
  if (data.length > 0) {
    if (typeof value === 'bigint' && dtype === 'int64') data[0] = value as never
    else setElement(dtype, data, 0, Number(value))
    data.fill(data[0] as never)
  }
  x.setValue({ dtype, shape: x.shape, data })
  return x
}

/** Makes x a tensor of another shape or dtype: `reshape_`, `cast_`. Variables cannot change theirs. */
export function reform<T extends Tensor>(x: T, value: Tensor, op: string): T {
  if (x.isLeaf && !x.stopGradient)
    throw new AutogradError(`${op}: a leaf tensor that wants a gradient keeps its shape and dtype; work on a copy`)
  x.node = value.node
  return x
}

/** Every element replaced by 0, `Tensor.zero_`. */
export function zero_<T extends Tensor>(x: T): T {
  return fill_(x, 0)
}
