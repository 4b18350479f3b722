/** Adam and AdamW, as in paddle.optimizer. */
import type { Node } from '../graph/node.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { add, div, max, movingAverage, mul, oneMinus, sqrt, square, sub } from './arithmetic.ts'
import { checkNotNegative, checkUnit } from './check.ts'
import { RuleOptimizer, type RuleOptimizerOptions } from './rule-optimizer.ts'
import type { AccumulatorSpecs, Nodes, Rule, Tick, UpdateInput, UpdateResult } from './rule.ts'

/** Settings of Adam and its relatives. */
export interface BetaHyper {
  /** Decay of the mean of gradients. Default 0.9. */
  readonly beta1: number
  /** Decay of the mean of squared gradients. Default 0.999. */
  readonly beta2: number
  /** Default 1e-8. */
  readonly epsilon: number
}

/** The settings with nothing left out. Throws ArgumentError for betas outside [0, 1). */
export function betaHyper(options: Partial<BetaHyper>, name: string, epsilon = 1e-8): BetaHyper {
  return {
    beta1: checkUnit(options.beta1 ?? 0.9, `${name}: beta1`),
    beta2: checkUnit(options.beta2 ?? 0.999, `${name}: beta2`),
    epsilon: checkNotNegative(options.epsilon ?? epsilon, `${name}: epsilon`),
  }
}

export type BetaPowers = 'beta1_pow_acc' | 'beta2_pow_acc'

/** Powers of beta as they stand before the first step: Paddle starts at the first power and multiplies after each step. */
export function betaPowers(hyper: BetaHyper): AccumulatorSpecs<BetaPowers> {
  return { beta1_pow_acc: { initial: hyper.beta1 }, beta2_pow_acc: { initial: hyper.beta2 } }
}

/** The next powers; numbers: 1 - beta1^t and 1 - beta2^t. */
export function tickBetas(counters: Nodes<BetaPowers>, hyper: BetaHyper): Tick<BetaPowers, 'bias1' | 'bias2'> {
  const { beta1_pow_acc: power1, beta2_pow_acc: power2 } = counters
  return {
    counters: { beta1_pow_acc: mul(power1, hyper.beta1), beta2_pow_acc: mul(power2, hyper.beta2) },
    numbers: { bias1: oneMinus(power1), bias2: oneMinus(power2) },
  }
}

export interface AdamHyper extends BetaHyper {
  /** Divides by the largest mean of squares so far (Reddi et al. 2018). Default false. */
  readonly amsgrad: boolean
}

type AdamState = 'moment1' | 'moment2' | 'moment2_max'
type AdamNumbers = 'rate' | 'epsilon'

const adamState = (hyper: AdamHyper): AccumulatorSpecs<AdamState> => {
  const moments = { moment1: { initial: 0 }, moment2: { initial: 0 } }
  const specs = hyper.amsgrad ? { ...moments, moment2_max: { initial: 0 } } : moments
  return specs as AccumulatorSpecs<AdamState>
}

/** Numbers: the bias-corrected rate and epsilon. */
function adamTick(counters: Nodes<BetaPowers>, hyper: BetaHyper, lr: Node): Tick<BetaPowers, AdamNumbers> {
  const { counters: next, numbers } = tickBetas(counters, hyper)
  const root = sqrt(numbers.bias2)
  const rate = mul(div(root, numbers.bias1), lr)
  return { counters: next, numbers: { rate, epsilon: mul(root, hyper.epsilon) } }
}

/** One step of Adam from `param`, which AdamW has decayed before (Kingma and Ba 2015, section 2, the efficient order). */
function adamStep(
  param: Node,
  rate: Node,
  { grad, state, numbers, hyper }: UpdateInput<AdamHyper, AdamState, AdamNumbers>,
): UpdateResult<AdamState> {
  const moment1 = movingAverage(state.moment1, grad, hyper.beta1)
  const moment2 = movingAverage(state.moment2, square(grad), hyper.beta2)
  const largest = hyper.amsgrad ? max(state.moment2_max, moment2) : null
  const denominator = add(sqrt(largest ?? moment2), numbers.epsilon)
  const step = mul(div(moment1, denominator), rate)
  const moments = { moment1, moment2 }
  return { param: sub(param, step), state: largest ? { ...moments, moment2_max: largest } : moments }
}

const adam: Rule<AdamHyper, AdamState, BetaPowers, AdamNumbers> = {
  state: adamState,
  counters: betaPowers,
  tick: adamTick,
  update: (input) => adamStep(input.param, input.numbers.rate, input),
}

export interface AdamOptions extends RuleOptimizerOptions<AdamHyper>, Partial<AdamHyper> {}

/**
 * Adam, `paddle.optimizer.Adam` (Kingma and Ba 2015). Weight decay is added to the gradient; AdamW decouples it.
 * @example const adam = new optimizer.Adam({ learningRate: 1e-3, parameters: model.parameters() })
 */
export class Adam extends RuleOptimizer<AdamHyper> {
  constructor(options: AdamOptions) {
    super(options, { ...betaHyper(options, 'Adam'), amsgrad: options.amsgrad ?? false }, adam)
  }
}

export interface AdamWHyper extends AdamHyper {
  /** Factor on the learning rate of a parameter, for rates that fall with the depth. Default none. */
  readonly lrRatio: ((parameter: Tensor) => number) | null
  /** Whether weight decay covers the parameter of this name. Default: all. */
  readonly applyDecayParamFun: ((name: string) => boolean) | null
}

const adamw: Rule<AdamWHyper, AdamState, BetaPowers, AdamNumbers> = {
  state: adamState,
  counters: betaPowers,
  tick: adamTick,
  decoupledDecay: true,
  update(input) {
    const { param, hyper, parameter, weightDecay } = input
    const ratio = hyper.lrRatio?.(parameter) ?? 1
    const scaled = (rate: Node): Node => (ratio === 1 ? rate : mul(rate, ratio))
    const decays = weightDecay !== 0 && (hyper.applyDecayParamFun?.(parameter.name) ?? true)
    const start = decays ? mul(param, oneMinus(mul(scaled(input.lr), weightDecay))) : param
    return adamStep(start, scaled(input.numbers.rate), input)
  },
}

export interface AdamWOptions extends RuleOptimizerOptions<AdamWHyper>, Partial<AdamWHyper> {}

/** Adam with decoupled weight decay, p *= 1 - lr * weightDecay (default 0.01), `paddle.optimizer.AdamW` (Loshchilov and Hutter 2019). */
export class AdamW extends RuleOptimizer<AdamWHyper> {
  constructor(options: AdamWOptions) {
    const { amsgrad = false, lrRatio = null, applyDecayParamFun = null } = options
    const weightDecay = options.weightDecay === undefined ? 0.01 : options.weightDecay
    super({ ...options, weightDecay }, { ...betaHyper(options, 'AdamW'), amsgrad, lrRatio, applyDecayParamFun }, adamw)
  }
}
