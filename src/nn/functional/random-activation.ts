/** Activations that draw random numbers. The draws are counter-based: part of the recorded graph. */
import { ArgumentError } from '../../common/errors.ts'
import { normalizeAxis } from '../../common/shape.ts'
import { binary, cast, detach, iota, reduce, unary, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { constantLike, floatNode } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { softmaxNode } from '../../graph/softmax.ts'
import { uniformLike } from './draws.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const at = constantLike

/**
 * x where positive, else a * x with a drawn for each element from [lower, upper); outside training their mean. `paddle.nn.functional.rrelu`.
 */
export function rrelu(x: Tensor, lower = 1 / 8, upper = 1 / 3, training = true): Tensor {
  if (!(lower >= 0 && upper <= 1 && lower <= upper))
    throw new ArgumentError(`rrelu: needs 0 <= lower <= upper <= 1, got ${lower} and ${upper}`)
  const n = floatNode(x, 'rrelu')
  const slope = training
    ? add(mul(cast(uniformLike(n), n.dtype), at(n, upper - lower)), at(n, lower))
    : at(n, (lower + upper) / 2)
  return new Tensor(where(binary('gt', n, at(n, 0)), n, mul(n, slope)))
}

export interface GumbelSoftmaxOptions {
  /** Default 1. */
  readonly temperature?: number
  /** Returns one-hot vectors; gradients are those of the soft ones. Default false. */
  readonly hard?: boolean
  /** Default -1. */
  readonly axis?: number
}

/** Samples of a categorical distribution that gradients can pass (Jang et al. 2016), `paddle.nn.functional.gumbel_softmax`. */
export function gumbelSoftmax(x: Tensor, options: GumbelSoftmaxOptions = {}): Tensor {
  const { temperature = 1, hard = false, axis = -1 } = options
  if (!(temperature > 0)) throw new ArgumentError(`gumbelSoftmax: temperature must be positive, got ${temperature}`)
  const n = floatNode(x, 'gumbel_softmax')
  const a = normalizeAxis(axis, x.ndim, 'gumbelSoftmax')
  // A draw of 0 would make an infinite noise.
  const uniform = uniformLike(n)
  const draws = binary('max', uniform, at(uniform, 2 ** -25))
  const noise = unary('neg', unary('log', unary('neg', unary('log', draws))))
  const soft = softmaxNode(mul(add(n, cast(noise, n.dtype)), at(n, 1 / temperature)), a)
  if (!hard) return new Tensor(soft)
  const chosen = spread(reduce('argmax', soft, [a]), soft.shape, [a])
  const oneHot = cast(binary('eq', iota(soft.shape, a, 'int32'), chosen), soft.dtype)
  // The value is exactly one-hot, the gradient that of `soft`.
  return new Tensor(add(oneHot, binary('sub', soft, detach(soft))))
}
