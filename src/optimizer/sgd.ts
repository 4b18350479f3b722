/** Gradient descent, plain and with momentum, as in paddle.optimizer.SGD and Momentum. */
import { add, mul, sub } from './arithmetic.ts'
import { RuleOptimizer, type RuleOptimizerOptions } from './rule-optimizer.ts'
import type { Rule } from './rule.ts'

const sgd: Rule<object, never> = {
  state: () => ({}),
  update: ({ param, grad, lr }) => ({ param: sub(param, mul(grad, lr)), state: {} }),
}

/**
 * p -= lr * g, `paddle.optimizer.SGD`. Learning rate 0.001 by default.
 * @example const sgd = new optimizer.SGD({ learningRate: 0.1, parameters: model.parameters() })
 */
export class SGD extends RuleOptimizer<object> {
  constructor(options: RuleOptimizerOptions) {
    super(options, {}, sgd)
  }
}

export interface MomentumHyper {
  /** Default 0.9. */
  readonly momentum: number
  /** Looks ahead by one step (Nesterov). Default false. */
  readonly useNesterov: boolean
  /** Factor on the gradient. Default 1. */
  readonly rescaleGrad: number
}

const momentum: Rule<MomentumHyper, 'velocity'> = {
  state: () => ({ velocity: { initial: 0 } }),
  update({ param, grad, lr, state, hyper }) {
    const g = mul(grad, hyper.rescaleGrad)
    const velocity = add(mul(state.velocity, hyper.momentum), g)
    const direction = hyper.useNesterov ? add(g, mul(velocity, hyper.momentum)) : velocity
    return { param: sub(param, mul(direction, lr)), state: { velocity } }
  },
}

/** v = momentum * v + g; p -= lr * v, with Nesterov p -= lr * (g + momentum * v), `paddle.optimizer.Momentum`. */
export class Momentum extends RuleOptimizer<MomentumHyper> {
  constructor(options: RuleOptimizerOptions<MomentumHyper> & Partial<MomentumHyper>) {
    const { momentum: factor = 0.9, useNesterov = false, rescaleGrad = 1 } = options
    super(options, { momentum: factor, useNesterov, rescaleGrad }, momentum)
  }
}
