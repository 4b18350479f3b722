/**
 * Gradients of what an iteration found. The result itself is computed outside autograd; a second formula, which equals it as a function of the
 * input near where it stands, carries the derivatives. The value is never touched by the rounding of that formula.
 */
import { binary, detach, where } from '../graph/build.ts'
import { constantLike } from './promotion.ts'
import { Tensor } from './tensor.ts'

/** `value` with the derivatives of `model`. Where the model has no value (a singular matrix), neither has the derivative. */
export function withGradientOf(value: Tensor, model: Tensor): Tensor {
  const zero = binary('sub', model.node, detach(model.node))
  const defined = where(binary('eq', zero, zero), zero, constantLike(zero, 0))
  return new Tensor(binary('add', detach(value.node), defined))
}

/** Zero, with the gradient of x. */
export function deviation(x: Tensor): Tensor {
  return new Tensor(binary('sub', x.node, detach(x.node)))
}
