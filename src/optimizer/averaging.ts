/** ASGD and Rprop, as in paddle.optimizer. */
import { ArgumentError } from '../common/errors.ts'
import { binary, cast, constant, gather, reshape, scatter } from '../graph/build.ts'
import { add, choose, div, greater, less, max, min, mul, sign, sub } from './arithmetic.ts'
import { RuleOptimizer, type RuleOptimizerOptions } from './rule-optimizer.ts'
import type { Rule } from './rule.ts'

export interface ASGDHyper {
  /** Number of batches in an epoch: the last gradient of each is kept. Default 1. */
  readonly batchNum: number
}

const asgd: Rule<ASGDHyper, 'd' | 'y', 'm', 'index' | 'count'> = {
  state: (hyper) => ({ d: { initial: 0 }, y: { initial: 0, shape: (p) => [hyper.batchNum, ...p] } }),
  counters: () => ({ m: { initial: 0, dtype: 'int64' } }),
  tick({ m }, { batchNum }) {
    const next = add(m, 1)
    return {
      counters: { m: next },
      numbers: { index: binary('mod', m, constant(batchNum, 'int64', [1])), count: min(next, batchNum) },
    }
  },
  update({ param, grad, lr, state, numbers }) {
    const last = reshape(gather(state.y, numbers.index, 0), grad.shape)
    const sum = add(sub(state.d, last), grad)
    const y = scatter(state.y, numbers.index, reshape(grad, [1, ...grad.shape]), 0, 'set')
    return { param: sub(param, mul(div(sum, cast(numbers.count, grad.dtype)), lr)), state: { d: sum, y } }
  },
}

/** Descends along the average of the last gradient of each batch, `paddle.optimizer.ASGD` (Schmidt et al. 2017). */
export class ASGD extends RuleOptimizer<ASGDHyper> {
  constructor(options: RuleOptimizerOptions<ASGDHyper> & Partial<ASGDHyper>) {
    const { batchNum = 1 } = options
    if (!Number.isInteger(batchNum) || batchNum < 1)
      throw new ArgumentError(`ASGD: batchNum must be a positive integer, got ${batchNum}`)
    super(options, { batchNum }, asgd)
  }
}

export interface RpropHyper {
  /** Smallest and largest rate of an element. Default [1e-5, 50]. */
  readonly learningRateRange: readonly [number, number]
  /** Factors on the rate where the gradient changed its sign, and where it did not. Default [0.5, 1.2]. */
  readonly etas: readonly [number, number]
}

const rprop: Rule<RpropHyper, 'prevs' | 'learning_rates'> = {
  state: (_, lr) => ({ prevs: { initial: 0 }, learning_rates: { initial: lr } }),
  update({ param, grad, state, hyper: { etas, learningRateRange } }) {
    const agreement = mul(grad, state.prevs)
    const turned = less(agreement, 0)
    const factor = choose(greater(agreement, 0), etas[1], choose(turned, etas[0], 1, grad), grad)
    const rates = max(min(mul(state.learning_rates, factor), learningRateRange[1]), learningRateRange[0])
    const direction = choose(turned, 0, grad, grad)
    return { param: sub(param, mul(sign(direction), rates)), state: { prevs: direction, learning_rates: rates } }
  },
}

/**
 * Steps by the sign of the gradient with a rate for each element, for training on the whole data at once, `paddle.optimizer.Rprop`
 * (Riedmiller and Braun 1993). The learning rate is that of the first step.
 */
export class Rprop extends RuleOptimizer<RpropHyper> {
  constructor(options: Omit<RuleOptimizerOptions<RpropHyper>, 'weightDecay'> & Partial<RpropHyper>) {
    const { learningRateRange = [1e-5, 50], etas = [0.5, 1.2] } = options
    if (!(etas[0] > 0 && etas[0] < 1 && etas[1] > 1))
      throw new ArgumentError(`Rprop: etas must be [below 1, above 1], got [${etas.join(', ')}]`)
    if (!(learningRateRange[0] > 0 && learningRateRange[0] <= learningRateRange[1]))
      throw new ArgumentError(`Rprop: learningRateRange must rise from above 0, got [${learningRateRange.join(', ')}]`)
    super(options as RuleOptimizerOptions<RpropHyper>, { learningRateRange, etas }, rprop)
    const lr = this.getLr()
    if (!(lr >= learningRateRange[0] && lr <= learningRateRange[1]))
      throw new ArgumentError(
        `Rprop: the learning rate ${lr} lies outside learningRateRange [${learningRateRange.join(', ')}]`,
      )
  }
}
