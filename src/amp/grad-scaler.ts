/**
 * GradScaler (paddle.amp.GradScaler): multiplies the loss so that small gradients survive float16, and skips steps whose gradients are
 * not finite. Everything happens inside the graph: scale, counters and the verdict are tensors, so no step waits for the device. It
 * works with every dtype and device; Paddle's own switches itself off on CPUs and outside float16.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, AutogradError } from '../common/errors.ts'
import { binary, broadcastTo, cast, constant, reduce, reshape, unary, where } from '../graph/build.ts'
import { withGrad, type Node } from '../graph/node.ts'
import { converted } from '../nn/move.ts'
import type { ParameterGradient } from '../nn/clip.ts'
import type { Optimizer } from '../optimizer/optimizer.ts'
import { filledTensor } from '../optimizer/state.ts'
import { getDevice } from '../tensor/device.ts'
import { submit } from '../tensor/realize.ts'
import { keepForNextWrite } from '../tensor/session.ts'
import { Tensor } from '../tensor/tensor.ts'

export interface GradScalerOptions {
  /** False makes every method do what it would do without a scaler. Default true. */
  readonly enable?: boolean
  /** Default 65536. */
  readonly initLossScaling?: number
  /** Factor after `incrEveryNSteps` finite steps. Default 2. */
  readonly incrRatio?: number
  /** Factor after `decrEveryNNanOrInf` steps that are not finite. Default 0.5. */
  readonly decrRatio?: number
  /** Default 2000. */
  readonly incrEveryNSteps?: number
  /** Default 1. */
  readonly decrEveryNNanOrInf?: number
  /** False keeps the scale as it is. Default true. */
  readonly useDynamicLossScaling?: boolean
}

/** Paddle's keys. Counters and scale are tensors: they are known on the device only. */
export type GradScalerState = Readonly<Record<string, number | boolean | Tensor | HostArray>>

/** How far an optimizer is between two calls of `update`. */
interface Progress {
  readonly foundInf: Tensor<'bool'>
  stepped: boolean
}

const number = (value: number, like: Node): Node => constant(value, like.dtype, like.shape)

export class GradScaler {
  readonly #enable: boolean
  readonly #dynamic: boolean
  #initLossScaling: number
  #incrRatio: number
  #decrRatio: number
  #incrEveryNSteps: number
  #decrEveryNNanOrInf: number
  readonly #scale: Tensor
  readonly #incrCount: Tensor
  readonly #decrCount: Tensor
  /** Optimizers whose gradients are unscaled; cleared by `update`. */
  readonly #progress = new Map<Optimizer, Progress>()

  constructor(options: GradScalerOptions = {}) {
    const { enable = true, useDynamicLossScaling = true } = options
    this.#enable = enable
    this.#dynamic = enable && useDynamicLossScaling
    this.#initLossScaling = positive(options.initLossScaling ?? 65536, 'initLossScaling')
    this.#incrRatio = aboveOne(options.incrRatio ?? 2)
    this.#decrRatio = belowOne(options.decrRatio ?? 0.5)
    this.#incrEveryNSteps = count(options.incrEveryNSteps ?? 2000, 'incrEveryNSteps')
    this.#decrEveryNNanOrInf = count(options.decrEveryNNanOrInf ?? 1, 'decrEveryNNanOrInf')
    const device = getDevice()
    this.#scale = filledTensor([1], 'float32', this.#initLossScaling, device)
    this.#incrCount = filledTensor([1], 'int32', 0, device)
    this.#decrCount = filledTensor([1], 'int32', 0, device)
  }

  /** The loss (or losses) times the scale. The loss itself can still be read after the step. */
  scale(loss: Tensor): Tensor {
    if (!(loss instanceof Tensor)) throw new ArgumentError('GradScaler.scale: give the loss, a Tensor')
    keepForNextWrite(loss)
    if (!this.#enable) return loss
    const factor = broadcastTo(reshape(this.#scale.node, []), loss.node.shape)
    // float16 ends at 65504: a large scale needs float32.
    const wide = loss.dtype === 'float64' ? 'float64' : 'float32'
    return new Tensor(binary('mul', cast(loss.node, wide), cast(factor, wide)))
  }

  /**
   * Divides the gradients of the optimizer's parameters by the scale, to clip or look at them before `step`. Gradients of low-precision
   * parameters become float32, so that small ones survive. Throws AutogradError when called twice before `update`.
   */
  unscale_(optimizer: Optimizer): void {
    if (!this.#enable) return
    const before = this.#progress.get(optimizer)
    if (before)
      throw new AutogradError(
        before.stepped
          ? 'GradScaler.unscale_: called after step(); call update() first'
          : 'GradScaler.unscale_: called twice for one optimizer; call update() between',
      )
    const pairs = optimizer.parametersWithGradients()
    withGrad(false, () => {
      const foundInf = new Tensor<'bool'>(anyNotFinite(pairs.map(([, g]) => g.node)))
      const inverse = unary('reciprocal', reshape(this.#scale.node, []))
      for (const [p, g] of pairs) {
        const wide = cast(g.node, g.dtype === 'float64' ? 'float64' : 'float32')
        const factor = broadcastTo(cast(inverse, wide.dtype), wide.shape)
        p.grad = new Tensor(binary('mul', wide, factor), g.name)
      }
      this.#progress.set(optimizer, { foundInf, stepped: false })
    })
  }

  /** Unscales where that was not done, and steps where all gradients are finite. Throws AutogradError when called twice before `update`. */
  step(optimizer: Optimizer): void {
    if (!this.#enable) return optimizer.step()
    if (this.#progress.get(optimizer)?.stepped)
      throw new AutogradError('GradScaler.step: called twice for one optimizer; call update() between')
    if (!this.#progress.has(optimizer)) this.unscale_(optimizer)
    const progress = this.#progress.get(optimizer)!
    keepForNextWrite(progress.foundInf)
    optimizer.step(progress.foundInf)
    progress.stepped = true
  }

  /** Changes the scale by what the steps since the last call found. */
  update(): void {
    if (!this.#enable) return
    const verdicts = [...this.#progress.values()].map(({ foundInf }) => foundInf.node)
    this.#progress.clear()
    if (!this.#dynamic || verdicts.length === 0) return
    const found = reshape(
      verdicts.reduce((a, b) => binary('or', a, b)),
      [1],
    )
    withGrad(false, () => this.#recordUpdate(found))
    // A small plan of its own: appended to the next step it would give that one another structure.
    submit([])
  }

  #recordUpdate(found: Node): void {
    const scale = this.#scale.node
    const zero = number(0, this.#incrCount.node)
    const one = number(1, this.#incrCount.node)
    const bad = where(found, binary('add', this.#decrCount.node, one), zero)
    const good = where(found, zero, binary('add', this.#incrCount.node, one))
    const shrinks = binary('ge', bad, number(this.#decrEveryNNanOrInf, bad))
    const grows = binary('ge', good, number(this.#incrEveryNSteps, good))
    const grown = where(grows, binary('mul', scale, number(this.#incrRatio, scale)), scale)
    this.#scale.assign(new Tensor(where(shrinks, binary('mul', scale, number(this.#decrRatio, scale)), grown)))
    this.#decrCount.assign(new Tensor(where(shrinks, zero, bad)))
    this.#incrCount.assign(new Tensor(where(grows, zero, good)))
  }

  /** `step` and `update`: what a training loop needs after `scaled.backward()`. Gradients stay; call `clearGrad()`. */
  minimize(optimizer: Optimizer, scaledLoss: Tensor): ParameterGradient[] {
    keepForNextWrite(scaledLoss)
    const pairs = optimizer.parametersWithGradients()
    this.step(optimizer)
    this.update()
    return pairs
  }

  isEnable(): boolean {
    return this.#enable
  }

  isUseDynamicLossScaling(): boolean {
    return this.#dynamic
  }

  /** The scale now, float32 of shape [1], not read yet. */
  get lossScaling(): Tensor {
    return new Tensor(this.#scale.node)
  }

  getInitLossScaling(): number {
    return this.#initLossScaling
  }

  /** Starts over from another scale. */
  setInitLossScaling(value: number): void {
    this.#initLossScaling = positive(value, 'initLossScaling')
    this.#scale.assign(filledTensor([1], 'float32', value, this.#scale.place))
  }

  getIncrRatio(): number {
    return this.#incrRatio
  }

  setIncrRatio(value: number): void {
    this.#incrRatio = aboveOne(value)
  }

  getDecrRatio(): number {
    return this.#decrRatio
  }

  setDecrRatio(value: number): void {
    this.#decrRatio = belowOne(value)
  }

  getIncrEveryNSteps(): number {
    return this.#incrEveryNSteps
  }

  setIncrEveryNSteps(value: number): void {
    this.#incrEveryNSteps = count(value, 'incrEveryNSteps')
  }

  getDecrEveryNNanOrInf(): number {
    return this.#decrEveryNNanOrInf
  }

  setDecrEveryNNanOrInf(value: number): void {
    this.#decrEveryNNanOrInf = count(value, 'decrEveryNNanOrInf')
  }

  /** What must be saved to go on later; {} where the scaler is off. */
  stateDict(): GradScalerState {
    if (!this.#enable) return {}
    return {
      scale: this.#scale,
      incr_ratio: this.#incrRatio,
      decr_ratio: this.#decrRatio,
      incr_every_n_steps: this.#incrEveryNSteps,
      decr_every_n_nan_or_inf: this.#decrEveryNNanOrInf,
      incr_count: this.#incrCount,
      decr_count: this.#decrCount,
      use_dynamic_loss_scaling: this.#dynamic,
    }
  }

  /** Goes on from a saved state; scale and counters may be numbers, as Paddle saves the counters. Throws ArgumentError for a missing key. */
  setStateDict(state: GradScalerState): void {
    if (!this.#enable) return
    const numberOf = (key: string): number => {
      const value = state[key]
      if (typeof value === 'number') return value
      throw new ArgumentError(`GradScaler.setStateDict: expected a number under '${key}', got ${typeof value}`)
    }
    restore(this.#scale, state, 'scale')
    restore(this.#incrCount, state, 'incr_count')
    restore(this.#decrCount, state, 'decr_count')
    this.setIncrRatio(numberOf('incr_ratio'))
    this.setDecrRatio(numberOf('decr_ratio'))
    this.setIncrEveryNSteps(numberOf('incr_every_n_steps'))
    this.setDecrEveryNNanOrInf(numberOf('decr_every_n_nan_or_inf'))
  }

  /** As `setStateDict`, Paddle's `load_state_dict`. */
  loadStateDict(state: GradScalerState): void {
    this.setStateDict(state)
  }
}

/** One bool, rank 0: whether an element of any gradient is NaN or infinite. */
function anyNotFinite(gradients: readonly Node[]): Node {
  const verdicts = gradients
    .filter((g) => !g.shape.includes(0))
    .map((g) => {
      const largest = reduce(
        'reduceMax',
        unary('abs', g),
        g.shape.map((_, i) => i),
      )
      // The largest of a tensor with NaN is NaN, and NaN is not less than anything.
      return unary('not', binary('lt', largest, constant(Infinity, g.dtype)))
    })
  return verdicts.length === 0 ? constant(0, 'bool') : verdicts.reduce((a, b) => binary('or', a, b))
}

/** Puts a saved number or one-element tensor into a tensor of shape [1]. */
function restore(target: Tensor, state: GradScalerState, key: string): void {
  const value = state[key]
  if (typeof value === 'number') {
    target.assign(filledTensor([1], target.dtype, value, target.place))
    return
  }
  if (typeof value !== 'object') throw new ArgumentError(`GradScaler.setStateDict: '${key}' is missing`)
  const fitting = converted(value, target.dtype)
  target.setValue(fitting instanceof Tensor ? new Tensor(reshape(fitting.node, [1])) : { ...fitting, shape: [1] })
}

function positive(value: number, name: string): number {
  if (!(value > 0)) throw new ArgumentError(`GradScaler: ${name} must be positive, got ${value}`)
  return value
}

function aboveOne(value: number): number {
  if (!(value > 1)) throw new ArgumentError(`GradScaler: incrRatio must be above 1, got ${value}`)
  return value
}

function belowOne(value: number): number {
  if (!(value > 0 && value < 1)) throw new ArgumentError(`GradScaler: decrRatio must lie between 0 and 1, got ${value}`)
  return value
}

function count(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 1)
    throw new ArgumentError(`GradScaler: ${name} must be a positive integer, got ${value}`)
  return value
}
