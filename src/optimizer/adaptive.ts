/** Optimizers that divide by a running size of the gradient: Adagrad, Adadelta, RMSProp, as in paddle.optimizer. */
import { add, div, movingAverage, mul, sqrt, square, sub } from './arithmetic.ts'
import { checkNotNegative, checkUnit } from './check.ts'
import { RuleOptimizer, type RuleOptimizerOptions } from './rule-optimizer.ts'
import type { Rule } from './rule.ts'

export interface AdagradHyper {
  /** Default 1e-6. */
  readonly epsilon: number
  /** What the sums of squares start from. Default 0. */
  readonly initialAccumulatorValue: number
}

const adagrad: Rule<AdagradHyper, 'moment'> = {
  state: (hyper) => ({ moment: { initial: hyper.initialAccumulatorValue } }),
  update({ param, grad, lr, state, hyper }) {
    const moment = add(state.moment, square(grad))
    const step = div(mul(grad, lr), add(sqrt(moment), hyper.epsilon))
    return { param: sub(param, step), state: { moment } }
  },
}

/** s += g^2; p -= lr * g / (sqrt(s) + epsilon), `paddle.optimizer.Adagrad` (Duchi et al. 2011). */
export class Adagrad extends RuleOptimizer<AdagradHyper> {
  constructor(options: RuleOptimizerOptions<AdagradHyper> & Partial<AdagradHyper>) {
    const { epsilon = 1e-6, initialAccumulatorValue = 0 } = options
    checkNotNegative(initialAccumulatorValue, 'Adagrad: initialAccumulatorValue')
    super(options, { epsilon, initialAccumulatorValue }, adagrad)
  }
}

export interface AdadeltaHyper {
  /** Default 1e-6. */
  readonly epsilon: number
  /** Decay of the averages. Default 0.95. */
  readonly rho: number
}

const adadelta: Rule<AdadeltaHyper, '_avg_squared_grad' | '_avg_squared_update'> = {
  state: () => ({ _avg_squared_grad: { initial: 0 }, _avg_squared_update: { initial: 0 } }),
  update({ param, grad, lr, state, hyper: { rho, epsilon } }) {
    const squaredGrad = movingAverage(state._avg_squared_grad, square(grad), rho)
    const ratio = div(add(state._avg_squared_update, epsilon), add(squaredGrad, epsilon))
    const update = mul(sqrt(ratio), grad)
    const squaredUpdate = movingAverage(state._avg_squared_update, square(update), rho)
    return {
      param: sub(param, mul(update, lr)),
      state: { _avg_squared_grad: squaredGrad, _avg_squared_update: squaredUpdate },
    }
  },
}

/** p -= lr * g * sqrt((E[u^2] + epsilon) / (E[g^2] + epsilon)), `paddle.optimizer.Adadelta` (Zeiler 2012). */
export class Adadelta extends RuleOptimizer<AdadeltaHyper> {
  constructor(options: RuleOptimizerOptions<AdadeltaHyper> & Partial<AdadeltaHyper>) {
    const { epsilon = 1e-6, rho = 0.95 } = options
    super(options, { epsilon, rho }, adadelta)
  }
}

export interface RMSPropHyper {
  /** Decay of the averages. Default 0.95. */
  readonly rho: number
  /** Added inside the root. Default 1e-6. */
  readonly epsilon: number
  /** Default 0. */
  readonly momentum: number
  /** Subtracts the squared mean of the gradient: divides by its standard deviation. Default false. */
  readonly centered: boolean
}

const rmsprop: Rule<RMSPropHyper, 'momentum' | 'mean_square' | 'mean_grad'> = {
  state: () => ({ momentum: { initial: 0 }, mean_square: { initial: 0 }, mean_grad: { initial: 0 } }),
  update({ param, grad, lr, state, hyper }) {
    const meanSquare = movingAverage(state.mean_square, square(grad), hyper.rho)
    const meanGrad = hyper.centered ? movingAverage(state.mean_grad, grad, hyper.rho) : null
    const size = meanGrad ? sub(meanSquare, square(meanGrad)) : meanSquare
    const step = div(mul(grad, lr), sqrt(add(size, hyper.epsilon)))
    const momentum = add(mul(state.momentum, hyper.momentum), step)
    const averages = { momentum, mean_square: meanSquare }
    return { param: sub(param, momentum), state: meanGrad ? { ...averages, mean_grad: meanGrad } : averages }
  },
}

/** p -= v, v = momentum * v + lr * g / sqrt(E[g^2] + epsilon), `paddle.optimizer.RMSProp` (Hinton's lecture 6). */
export class RMSProp extends RuleOptimizer<RMSPropHyper> {
  constructor(options: RuleOptimizerOptions<RMSPropHyper> & Partial<RMSPropHyper>) {
    const { rho = 0.95, epsilon = 1e-6, momentum = 0, centered = false } = options
    checkUnit(rho, 'RMSProp: rho')
    checkNotNegative(epsilon, 'RMSProp: epsilon')
    super(options, { rho, epsilon, momentum: checkNotNegative(momentum, 'RMSProp: momentum'), centered }, rmsprop)
  }
}
