/** Linear maps and look-ups, as in paddle.nn.functional.common. */
import { ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { contract } from '../../graph/build.ts'
import { underPolicy } from '../../tensor/autocast.ts'
import { contractible } from '../../tensor/linalg.ts'
import { elementwise } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'

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
  const product = contract(a, w, { lhs: letters, rhs: [last, last + 1], out }, shape)
  if (!bias) return new Tensor(product)
  // One op for mixed precision, as Paddle's: the bias is cast like the other operands.
  const [b] = underPolicy('linear', [bias.node] as const)
  return elementwise('add', 'add', new Tensor(product), new Tensor(b))
}
