/** Optimizers for large batches and models: Lamb (paddle.optimizer.Lamb) and Lion. */
import { binary, constant, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { add, div, greater, movingAverage, mul, oneMinus, sign, sqrt, square, sub, total } from './arithmetic.ts'
import { betaHyper, betaPowers, tickBetas, type BetaHyper, type BetaPowers } from './adam.ts'
import type { OptimizerOptions } from './optimizer.ts'
import { RuleOptimizer, type RuleOptimizerOptions } from './rule-optimizer.ts'
import type { Rule } from './rule.ts'

export interface LambHyper extends BetaHyper {
  /** Default 0.01. */
  readonly lambWeightDecay: number
  /** Parameters without weight decay, such as biases and norms. Default none. */
  readonly excludeFromWeightDecayFn: ((parameter: Tensor) => boolean) | null
  /** Adapts the rate of parameters without weight decay too. Default false. */
  readonly alwaysAdapt: boolean
}

/** |p| / |r| where both are positive, else 1. */
function trustRatio(param: Node, direction: Node): Node {
  const weights = sqrt(total(square(param)))
  const step = sqrt(total(square(direction)))
  const both = binary('and', greater(weights, 0), greater(step, 0))
  return where(both, div(weights, step), constant(1, param.dtype))
}

const lamb: Rule<LambHyper, 'moment1' | 'moment2', BetaPowers, 'bias1' | 'bias2'> = {
  state: () => ({ moment1: { initial: 0 }, moment2: { initial: 0 } }),
  counters: betaPowers,
  tick: tickBetas,
  update({ param, grad, lr, state, numbers, hyper, parameter }) {
    const moment1 = movingAverage(state.moment1, grad, hyper.beta1)
    const moment2 = movingAverage(state.moment2, square(grad), hyper.beta2)
    const adam = div(div(moment1, numbers.bias1), add(sqrt(div(moment2, numbers.bias2)), hyper.epsilon))
    const decay = hyper.excludeFromWeightDecayFn?.(parameter) ? 0 : hyper.lambWeightDecay
    const direction = decay === 0 ? adam : add(adam, mul(param, decay))
    const rate = decay === 0 && !hyper.alwaysAdapt ? lr : mul(trustRatio(param, direction), lr)
    return { param: sub(param, mul(direction, rate)), state: { moment1, moment2 } }
  },
}

export interface LambOptions extends Omit<RuleOptimizerOptions<LambHyper>, 'weightDecay'>, Partial<LambHyper> {}

/** Adam with a rate for each parameter tensor, p -= lr * |p| / |r| * r, `paddle.optimizer.Lamb` (You et al. 2020). epsilon 1e-6. */
export class Lamb extends RuleOptimizer<LambHyper> {
  constructor(options: LambOptions) {
    const { lambWeightDecay = 0.01, excludeFromWeightDecayFn = null, alwaysAdapt = false } = options
    const betas = betaHyper(options, 'Lamb', 1e-6)
    super(
      options as OptimizerOptions<LambHyper>,
      { ...betas, lambWeightDecay, excludeFromWeightDecayFn, alwaysAdapt },
      lamb,
    )
  }
}

export interface LionHyper {
  /** Weight of the momentum in the direction. Default 0.9. */
  readonly beta1: number
  /** Decay of the momentum. Default 0.99. */
  readonly beta2: number
}

const lion: Rule<LionHyper, 'moment'> = {
  state: () => ({ moment: { initial: 0 } }),
  decoupledDecay: true,
  update({ param, grad, lr, state, hyper, weightDecay }) {
    const direction = sign(movingAverage(state.moment, grad, hyper.beta1))
    const decayed = weightDecay === 0 ? param : mul(param, oneMinus(mul(lr, weightDecay)))
    return {
      param: sub(decayed, mul(direction, lr)),
      state: { moment: movingAverage(state.moment, grad, hyper.beta2) },
    }
  },
}

/**
 * The sign of a momentum as direction: p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weightDecay * p) (Chen et al. 2023, algorithm 2).
 * Paddle has no Lion. Learning rate 1e-4 by default, weight decay 0.
 */
export class Lion extends RuleOptimizer<LionHyper> {
  constructor(options: RuleOptimizerOptions<LionHyper> & Partial<LionHyper>) {
    const { beta1, beta2 } = betaHyper({ beta1: options.beta1 ?? 0.9, beta2: options.beta2 ?? 0.99 }, 'Lion')
    super({ ...options, learningRate: options.learningRate ?? 1e-4 }, { beta1, beta2 }, lion)
  }
}
