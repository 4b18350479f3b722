/** Optimizer, the base of all optimizers (paddle.optimizer.Optimizer): parameter groups, the learning rate, gradients. */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { constant } from '../graph/build.ts'
import type { GradientClip, ParameterGradient } from '../nn/clip.ts'
import { Parameter, type Regularizer } from '../nn/parameter.ts'
import { keepForNextWrite } from '../tensor/session.ts'
import { Tensor } from '../tensor/tensor.ts'
import { LRScheduler, type LRState } from './lr/scheduler.ts'

/** Parameters with settings of their own; what is left out is the optimizer's. `H`: the rule's own settings (beta1, momentum, ...). */
export type ParameterGroup<H = unknown> = {
  readonly params: readonly Tensor[]
  /** Factor on the optimizer's learning rate, as in Paddle. Default 1. */
  readonly learningRate?: number
  readonly weightDecay?: number | Regularizer | null
  readonly gradClip?: GradientClip | null
} & Partial<H>

export interface OptimizerOptions<H = unknown> {
  /** What `model.parameters()` returns, or groups of parameters. */
  readonly parameters: readonly Tensor[] | readonly ParameterGroup<H>[]
  /** A number, or a schedule that the program steps. Default 0.001 unless said otherwise. */
  readonly learningRate?: number | LRScheduler
  /** A number counts as L2Decay. A regularizer of the parameter's own (ParamAttr) replaces it. Default none. */
  readonly weightDecay?: number | Regularizer | null
  /** ClipGradByValue, ClipGradByNorm or ClipGradByGlobalNorm. Default none. */
  readonly gradClip?: GradientClip | null
}

/** Paddle's layout of `.pdopt` files: accumulators by name, `master_weights`, `LR_Scheduler`. */
export interface OptimizerState {
  readonly [key: string]: Tensor | HostArray | LRState | Readonly<Record<string, Tensor | HostArray>>
}

/** A group with nothing left out. */
export interface ResolvedGroup<H> {
  readonly params: readonly Tensor[]
  readonly learningRate: number
  readonly weightDecay: number | Regularizer | null
  readonly gradClip: GradientClip | null
  readonly hyper: H
}

export abstract class Optimizer<H extends object = object> {
  protected readonly groups: readonly ResolvedGroup<H>[]
  #learningRate: number | LRScheduler

  constructor(options: OptimizerOptions<H>, hyper: H) {
    const name = new.target.name
    this.#learningRate = checkLearningRate(options?.learningRate ?? 0.001, name)
    this.groups = resolveGroups(options, hyper, name)
  }

  /** All parameters, group after group. */
  get parameterList(): Tensor[] {
    return this.groups.flatMap((g) => g.params)
  }

  /**
   * Updates the parameters that have gradients, in place, and submits forward, backward and update as one plan; nothing is awaited.
   * `skip`, a bool tensor of one element: nothing changes where it is true, decided on the device (GradScaler).
   */
  abstract step(skip?: Tensor): void

  /** What must be saved to go on later. The tensors are the optimizer's own, not copies. */
  abstract stateDict(): OptimizerState

  /** Goes on from a saved state. Throws ArgumentError where an accumulator is missing, ShapeError where one has another shape. */
  abstract setStateDict(state: OptimizerState): void

  /**
   * Applies the gradients that `loss.backward()` left, as Paddle's `minimize`: the same as `step()`. The loss can still be read afterwards.
   * Returns the pairs of parameter and gradient.
   */
  minimize(loss: Tensor): ParameterGradient[] {
    keepForNextWrite(loss)
    const pairs = this.parametersWithGradients()
    this.step()
    return pairs
  }

  /** Forgets the gradients of all parameters; with `setToZero` they become zeros, and the next step counts them. Default false. */
  clearGrad(setToZero = false): void {
    for (const p of this.parameterList) {
      if (setToZero && p.grad) p.grad = new Tensor(constant(0, p.dtype, p.node.shape), p.grad.name)
      else p.clearGrad()
    }
  }

  /** As `clearGrad`. */
  clearGradients(): void {
    this.clearGrad()
  }

  /** The learning rate of the next step. */
  getLr(): number {
    return typeof this.#learningRate === 'number' ? this.#learningRate : this.#learningRate.lastLr
  }

  /** Changes a learning rate that is a number; nothing is compiled anew. Throws ArgumentError where a schedule is in charge. */
  setLr(value: number): void {
    if (typeof this.#learningRate !== 'number')
      throw new ArgumentError(
        `${this.constructor.name}.setLr: the learning rate follows ${this.#learningRate.constructor.name}; use setLrScheduler, or step the schedule`,
      )
    this.#learningRate = checkLearningRate(value, this.constructor.name)
  }

  /** Replaces the learning rate or its schedule. */
  setLrScheduler(scheduler: LRScheduler): void {
    this.#learningRate = scheduler
  }

  /** The schedule, or null where the learning rate is a number. */
  get lrScheduler(): LRScheduler | null {
    return typeof this.#learningRate === 'number' ? null : this.#learningRate
  }

  /** Trainable parameters that have a gradient. */
  parametersWithGradients(): ParameterGradient[] {
    return this.parameterList.flatMap((p): ParameterGradient[] => (p.grad && !p.stopGradient ? [[p, p.grad]] : []))
  }
}

function checkLearningRate<T extends number | LRScheduler>(value: T, name: string): T {
  if (value instanceof LRScheduler || (typeof value === 'number' && value >= 0)) return value
  throw new ArgumentError(`${name}: learningRate must be a number >= 0 or an LRScheduler, got ${String(value)}`)
}

function resolveGroups<H extends object>(options: OptimizerOptions<H>, hyper: H, name: string): ResolvedGroup<H>[] {
  const list = options?.parameters
  if (!Array.isArray(list))
    throw new ArgumentError(
      `${name}: give { parameters: model.parameters() }, an array of tensors or of parameter groups`,
    )
  const tensors = list.filter((entry) => entry instanceof Tensor) as Tensor[]
  if (tensors.length !== 0 && tensors.length !== list.length)
    throw new ArgumentError(
      `${name}: parameters mixes tensors and groups; put the tensors into a group { params: [...] }`,
    )
  const defaults = { weightDecay: options.weightDecay ?? null, gradClip: options.gradClip ?? null }
  const groups =
    tensors.length === list.length
      ? [{ params: tensors, learningRate: 1, ...defaults, hyper }]
      : (list as ParameterGroup<H>[]).map((group) => resolveGroup(group, defaults, hyper, name))
  checkParameters(
    groups.flatMap((g) => g.params),
    name,
  )
  return groups
}

function resolveGroup<H extends object>(
  group: ParameterGroup<H>,
  defaults: Pick<ResolvedGroup<H>, 'weightDecay' | 'gradClip'>,
  hyper: H,
  name: string,
): ResolvedGroup<H> {
  const { params, learningRate = 1, weightDecay, gradClip, ...own } = group
  if (!Array.isArray(params)) throw new ArgumentError(`${name}: a parameter group needs params, an array of tensors`)
  return {
    params,
    learningRate,
    weightDecay: weightDecay === undefined ? defaults.weightDecay : weightDecay,
    gradClip: gradClip === undefined ? defaults.gradClip : gradClip,
    hyper: { ...hyper, ...own },
  }
}

function checkParameters(params: readonly Tensor[], name: string): void {
  const seen = new Set<Tensor>()
  for (const p of params) {
    if (!(p instanceof Tensor)) throw new ArgumentError(`${name}: a parameter is not a Tensor but ${typeof p}`)
    if (!p.isLeaf)
      throw new ArgumentError(`${name}: ${p.name} is the result of an operation; only leaf tensors are trained`)
    if (seen.has(p)) throw new ArgumentError(`${name}: ${p.name} is given twice; each parameter belongs to one group`)
    seen.add(p)
  }
}

/** Factor on the learning rate that a ParamAttr gave. */
export function learningRateFactor(parameter: Tensor): number {
  return parameter instanceof Parameter ? parameter.optimizeAttr.learningRate : 1
}
