/**
 * The engine of all optimizers that are an update rule: it clips, adds weight decay, runs the rule in float32 or better, writes
 * parameters, master weights and accumulators in place, and submits the step. The learning rate is a number of the run, so a schedule
 * never changes the structure of a plan.
 */
import type { DType } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { cast, reshape, scalar } from '../graph/build.ts'
import { withGrad, type Node } from '../graph/node.ts'
import { Parameter } from '../nn/parameter.ts'
import { keepOtherGradients } from '../tensor/session.ts'
import { Tensor } from '../tensor/tensor.ts'
import { choose, withSharedFactors } from './arithmetic.ts'
import { commit, type Write } from './commit.ts'
import {
  learningRateFactor,
  Optimizer,
  type OptimizerOptions,
  type OptimizerState,
  type ResolvedGroup,
} from './optimizer.ts'
import { toRegularizer } from './regularizer.ts'
import type { AccumulatorSpecs, Nodes, Rule } from './rule.ts'
import { readState, writeState } from './state-dict.ts'
import { computeDtype, makeAccumulators, splitClocks, storedTensor, type Clock, type ParameterState } from './state.ts'

export interface RuleOptimizerOptions<H = unknown> extends OptimizerOptions<H> {
  /** Keeps float32 master weights of float16 and bfloat16 parameters. Default false. */
  readonly multiPrecision?: boolean
}

/** What all updates of one step share. */
interface Step {
  readonly skip: Node | null
  readonly writes: Write[]
  readonly rates: Map<string, Node>
  /** What `tick` made of each clock at each learning rate. */
  readonly ticks: Map<Clock, Map<Node, Nodes>>
}

const lowPrecision = (dtype: DType): boolean => dtype === 'float16' || dtype === 'bfloat16'

const nodesOf = (tensors: Readonly<Record<string, Tensor>>): Nodes =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.node]))

export abstract class RuleOptimizer<H extends object> extends Optimizer<H> {
  readonly #rule: Rule<H>
  readonly #states = new Map<Tensor, ParameterState>()
  /** Whether low-precision parameters get master weights. `amp.decorate` switches it on. */
  multiPrecision: boolean

  constructor(options: RuleOptimizerOptions<H>, hyper: H, rule: Rule<H>) {
    super(options, hyper)
    this.#rule = rule
    this.multiPrecision = options.multiPrecision ?? false
  }

  step(skip?: Tensor): void {
    if (skip && (skip.dtype !== 'bool' || skip.size !== 1))
      throw new ArgumentError(`${this.constructor.name}.step: skip must be one bool, got ${skip.toString()}`)
    withGrad(false, () => {
      const active = this.groups.map((group) => group.params.filter((p) => p.grad && !p.stopGradient))
      if (active.every((list) => list.length === 0)) return
      this.#prepare(active)
      const step: Step = {
        skip: skip ? reshape(skip.node, [1]) : null,
        writes: [],
        rates: new Map(),
        ticks: new Map(),
      }
      withSharedFactors(() => this.groups.forEach((group, i) => this.#updateGroup(group, active[i]!, i, step)))
      keepOtherGradients(new Set(active.flat()))
      commit(step.writes)
    })
  }

  /** States for parameters that have none, and clocks that only those hold that move together. */
  #prepare(active: readonly (readonly Tensor[])[]): void {
    active.forEach((params, i) => {
      const fresh = new Map<string, Clock>()
      for (const p of params) {
        const state = this.#states.get(p) ?? this.#makeState(p, this.groups[i]!, fresh)
        if (this.multiPrecision && lowPrecision(p.dtype))
          state.master ??= storedTensor(cast(p.node, 'float32'), p.place)
        this.#states.set(p, state)
      }
    })
    splitClocks(this.#states.values(), new Set(active.flat().map((p) => this.#states.get(p)!)))
  }

  #makeState(p: Tensor, group: ResolvedGroup<H>, clocks: Map<string, Clock>): ParameterState {
    const dtype = computeDtype(p.dtype)
    const key = `${dtype} ${p.place}`
    let clock = clocks.get(key)
    if (!clock) {
      clock = { counters: makeAccumulators(this.#rule.counters?.(group.hyper) ?? {}, [1], dtype, p.place) }
      clocks.set(key, clock)
    }
    return {
      accumulators: makeAccumulators(this.#rule.state(group.hyper, this.getLr()), p.shape, dtype, p.place),
      master: null,
      clock,
    }
  }

  #updateGroup(group: ResolvedGroup<H>, params: readonly Tensor[], index: number, step: Step): void {
    const pairs = params.map((p) => [p, p.grad!] as const)
    const clipped = group.gradClip ? group.gradClip.clip(pairs) : pairs
    for (const [p, g] of clipped) this.#updateParameter(group, index, p, g.node, step)
  }

  #updateParameter(group: ResolvedGroup<H>, index: number, p: Tensor, gradient: Node, step: Step): void {
    const state = this.#states.get(p)!
    const dtype = computeDtype(p.dtype)
    const target = state.master ?? p
    const param = cast(target.node, dtype)
    const decoupled = this.#rule.decoupledDecay === true && typeof group.weightDecay === 'number'
    const own = p instanceof Parameter ? p.regularizer : null
    const regularizer = own ?? (decoupled ? null : toRegularizer(group.weightDecay))
    let grad = cast(gradient, dtype)
    if (regularizer) grad = new Tensor(grad).add(regularizer.gradientOf(new Tensor(param))).node
    const before = nodesOf(state.accumulators)
    const lr = this.#rate(group, index, p, dtype, step)
    const after = this.#rule.update({
      param,
      grad,
      lr,
      state: before,
      numbers: this.#tick(state.clock, group, lr, step),
      hyper: group.hyper,
      weightDecay: decoupled ? (group.weightDecay as number) : 0,
      parameter: p,
    })
    const result = unlessSkipped(step.skip, param, after.param)
    step.writes.push({ tensor: target, value: cast(result, target.dtype) })
    if (state.master) step.writes.push({ tensor: p, value: cast(result, p.dtype) })
    for (const [name, value] of Object.entries(after.state)) {
      const kept = unlessSkipped(step.skip, before[name]!, value!)
      step.writes.push({ tensor: state.accumulators[name]!, value: kept })
    }
  }

  /** The learning rate of a parameter: one number of the run for all parameters of a group that have the same factor. */
  #rate(group: ResolvedGroup<H>, index: number, p: Tensor, dtype: DType, step: Step): Node {
    const factor = learningRateFactor(p)
    const key = `${index} ${factor} ${dtype}`
    let rate = step.rates.get(key)
    if (!rate) step.rates.set(key, (rate = scalar(this.getLr() * group.learningRate * factor, dtype)))
    return rate
  }

  /** Moves a clock on, once a step. */
  #tick(clock: Clock, group: ResolvedGroup<H>, lr: Node, step: Step): Nodes {
    if (!this.#rule.tick) return {}
    const known = step.ticks.get(clock)?.get(lr)
    if (known) return known
    const before = nodesOf(clock.counters)
    const { counters, numbers } = this.#rule.tick(before, group.hyper, lr)
    const rates = step.ticks.get(clock)
    if (rates) {
      rates.set(lr, numbers)
      return numbers
    }
    for (const [name, value] of Object.entries(counters))
      step.writes.push({ tensor: clock.counters[name]!, value: unlessSkipped(step.skip, before[name]!, value) })
    step.ticks.set(clock, new Map([[lr, numbers]]))
    return numbers
  }

  stateDict(): OptimizerState {
    return writeState(this.#states, this.#rule.fullSizeCounters === true, this.lrScheduler)
  }

  setStateDict(state: OptimizerState): void {
    const lists = this.groups.map((group) => ({
      params: group.params,
      accumulators: this.#rule.state(group.hyper, this.getLr()) as AccumulatorSpecs,
      counters: (this.#rule.counters?.(group.hyper) ?? {}) as AccumulatorSpecs,
    }))
    const restored = readState(state, lists, this.multiPrecision, this.constructor.name)
    this.#states.clear()
    for (const [p, s] of restored) this.#states.set(p, s)
    const schedule = state['LR_Scheduler']
    if (this.lrScheduler && schedule)
      this.lrScheduler.setStateDict(schedule as Parameters<typeof this.lrScheduler.setStateDict>[0])
  }
}

/** The new value, or the old one where the step is skipped. */
function unlessSkipped(skip: Node | null, before: Node, after: Node): Node {
  return skip ? choose(skip, before, after, after) : after
}
