/** Relatives of Adam: Adamax, NAdam, RAdam, as in paddle.optimizer. */
import { constant, reshape } from '../graph/build.ts'
import {
  abs,
  add,
  choose,
  complement,
  div,
  greater,
  max,
  movingAverage,
  mul,
  oneMinus,
  pow,
  sqrt,
  square,
  sub,
} from './arithmetic.ts'
import { betaHyper, type BetaHyper } from './adam.ts'
import { checkNotNegative } from './check.ts'
import { RuleOptimizer, type RuleOptimizerOptions } from './rule-optimizer.ts'
import type { Rule } from './rule.ts'

const adamax: Rule<BetaHyper, 'moment' | 'inf_norm', 'beta1_pow_acc', 'rate'> = {
  state: () => ({ moment: { initial: 0 }, inf_norm: { initial: 0 } }),
  counters: (hyper) => ({ beta1_pow_acc: { initial: hyper.beta1 } }),
  tick: ({ beta1_pow_acc: power }, hyper, lr) => ({
    counters: { beta1_pow_acc: mul(power, hyper.beta1) },
    numbers: { rate: div(reshape(lr, [1]), oneMinus(power)) },
  }),
  update({ param, grad, state, numbers, hyper }) {
    const moment = movingAverage(state.moment, grad, hyper.beta1)
    const infNorm = max(abs(grad), add(mul(state.inf_norm, hyper.beta2), hyper.epsilon))
    return { param: sub(param, div(mul(moment, numbers.rate), infNorm)), state: { moment, inf_norm: infNorm } }
  },
}

/** Adam with the running maximum of |g| in place of the mean of squares, `paddle.optimizer.Adamax` (Kingma and Ba 2015, section 7.1). */
export class Adamax extends RuleOptimizer<BetaHyper> {
  constructor(options: RuleOptimizerOptions<BetaHyper> & Partial<BetaHyper>) {
    super(options, betaHyper(options, 'Adamax'), adamax)
  }
}

export interface NAdamHyper extends BetaHyper {
  /** How fast the momentum grows to beta1. Default 0.004. */
  readonly momentumDecay: number
}

/** 0.96 of Dozat (2016): mu_t = beta1 * (1 - 0.5 * 0.96^(t * momentumDecay)). */
const NADAM_BASE = 0.96

const nadam: Rule<
  NAdamHyper,
  'moment1' | 'moment2',
  'momentum_decay_pow' | 'beta2_pow' | 'mu_product',
  'ofMoment' | 'ofGradient' | 'bias2'
> = {
  state: () => ({ moment1: { initial: 0 }, moment2: { initial: 0 } }),
  counters: () => ({ momentum_decay_pow: { initial: 1 }, beta2_pow: { initial: 1 }, mu_product: { initial: 1 } }),
  fullSizeCounters: true,
  tick(counters, { beta1, beta2, momentumDecay }, lr) {
    const decayPower = mul(counters.momentum_decay_pow, NADAM_BASE)
    const power2 = mul(counters.beta2_pow, beta2)
    const raised = pow(decayPower, momentumDecay)
    const mu = mul(oneMinus(mul(raised, 0.5)), beta1)
    const muNext = mul(oneMinus(mul(raised, 0.5 * NADAM_BASE ** momentumDecay)), beta1)
    const product = mul(counters.mu_product, mu)
    return {
      counters: { momentum_decay_pow: decayPower, beta2_pow: power2, mu_product: product },
      numbers: {
        ofMoment: mul(div(muNext, oneMinus(mul(product, muNext))), lr),
        ofGradient: mul(div(oneMinus(mu), oneMinus(product)), lr),
        bias2: oneMinus(power2),
      },
    }
  },
  update({ param, grad, state, numbers, hyper }) {
    const moment1 = movingAverage(state.moment1, grad, hyper.beta1)
    const moment2 = movingAverage(state.moment2, square(grad), hyper.beta2)
    const direction = add(mul(moment1, numbers.ofMoment), mul(grad, numbers.ofGradient))
    const size = add(sqrt(div(moment2, numbers.bias2)), hyper.epsilon)
    return { param: sub(param, div(direction, size)), state: { moment1, moment2 } }
  },
}

/** Adam with Nesterov momentum, `paddle.optimizer.NAdam` (Dozat 2016). Learning rate 0.002 by default. */
export class NAdam extends RuleOptimizer<NAdamHyper> {
  constructor(options: RuleOptimizerOptions<NAdamHyper> & Partial<NAdamHyper>) {
    const momentumDecay = checkNotNegative(options.momentumDecay ?? 0.004, 'NAdam: momentumDecay')
    const learningRate = options.learningRate ?? 0.002
    super({ ...options, learningRate }, { ...betaHyper(options, 'NAdam'), momentumDecay }, nadam)
  }
}

const radam: Rule<
  BetaHyper,
  'moment1' | 'moment2',
  'beta1_pow' | 'beta2_pow' | 'rho',
  'rate' | 'rectified' | 'rectification'
> = {
  state: () => ({ moment1: { initial: 0 }, moment2: { initial: 0 } }),
  counters: () => ({ beta1_pow: { initial: 1 }, beta2_pow: { initial: 1 }, rho: { initial: 1 } }),
  fullSizeCounters: true,
  tick(counters, { beta1, beta2 }, lr) {
    const power1 = mul(counters.beta1_pow, beta1)
    const power2 = mul(counters.beta2_pow, beta2)
    const bias2 = oneMinus(power2)
    // `rho` carries t * beta2^t / (1 - beta2^t), which needs no t: a counter would lose it in float32.
    const rho = div(add(mul(counters.rho, sub(constant(beta2, power2.dtype, [1]), power2)), power2), bias2)
    const limit = 2 / complement(beta2, rho.dtype) - 1
    const length = sub(constant(limit, rho.dtype, [1]), mul(rho, 2))
    const ratio = div(mul(mul(sub(length, 4), sub(length, 2)), limit), mul(length, (limit - 4) * (limit - 2)))
    return {
      counters: { beta1_pow: power1, beta2_pow: power2, rho },
      numbers: {
        rate: div(reshape(lr, [1]), oneMinus(power1)),
        rectified: greater(length, 5),
        rectification: mul(sqrt(ratio), sqrt(bias2)),
      },
    }
  },
  update({ param, grad, state, numbers, hyper }) {
    const moment1 = movingAverage(state.moment1, grad, hyper.beta1)
    const moment2 = movingAverage(state.moment2, square(grad), hyper.beta2)
    const mean = mul(moment1, numbers.rate)
    const adaptive = div(mul(mean, numbers.rectification), add(sqrt(moment2), hyper.epsilon))
    return { param: sub(param, choose(numbers.rectified, adaptive, mean, param)), state: { moment1, moment2 } }
  },
}

/** Adam that adapts only once the variance of its rate is tractable, `paddle.optimizer.RAdam` (Liu et al. 2020). */
export class RAdam extends RuleOptimizer<BetaHyper> {
  constructor(options: RuleOptimizerOptions<BetaHyper> & Partial<BetaHyper>) {
    super(options, betaHyper(options, 'RAdam'), radam)
  }
}
