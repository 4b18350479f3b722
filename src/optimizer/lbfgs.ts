/**
 * LBFGS (paddle.optimizer.LBFGS): a quasi-Newton method for small, smooth problems. It decides by numbers (is the gradient small, is
 * this step good enough), so `step` is asynchronous: it waits for the device at each evaluation.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { numel } from '../common/shape.ts'
import { cast, constant, reduce, reshape, scalar, sliceAxis, unary } from '../graph/build.ts'
import { withGrad, type Node } from '../graph/node.ts'
import { concatNodes } from '../tensor/manipulation.ts'
import { submit } from '../tensor/realize.ts'
import { fromHost, Tensor } from '../tensor/tensor.ts'
import { abs, add, mul, sub, total } from './arithmetic.ts'
import { commit } from './commit.ts'
import { strongWolfe, type LinePoint } from './line-search.ts'
import type { LRState } from './lr/scheduler.ts'
import { Optimizer, type OptimizerState } from './optimizer.ts'
import { computeDtype, storedTensor } from './state.ts'

/** Clears gradients, computes the loss, calls `backward()` on it and returns it. */
export type Closure = () => Tensor | Promise<Tensor>

export interface LBFGSOptions {
  readonly parameters: readonly Tensor[]
  /** Length of the first trial step. Default 1. */
  readonly learningRate?: number
  /** Iterations of one `step`. Default 20. */
  readonly maxIter?: number
  /** Evaluations of the closure in one `step`. Default maxIter * 5 / 4. */
  readonly maxEval?: number
  /** Ends where no element of the gradient is larger. Default 1e-7. */
  readonly toleranceGrad?: number
  /** Ends where neither loss nor parameters change by more. Default 1e-9. */
  readonly toleranceChange?: number
  /** Number of past steps that shape the direction. Default 100. */
  readonly historySize?: number
  /** `'strong_wolfe'`, or none (default): a fixed step length. */
  readonly lineSearchFn?: 'strong_wolfe' | null
}

/** Loss and gradient at a point. */
interface Evaluation {
  readonly loss: number
  readonly gradient: Tensor
}

/** A past step s with the change y of the gradient along it, and 1 / (y . s). */
interface Correction {
  readonly s: Tensor
  readonly y: Tensor
  readonly rho: number
}

/** What the next `step` goes on from. */
interface Memory {
  direction: Tensor
  gradient: Tensor
  step: number
  hessianDiagonal: number
  readonly history: Correction[]
}

const dot = (a: Node, b: Node): Node => total(mul(a, b))
const largest = (x: Node): Node => reduce('reduceMax', abs(x), [0])
const number = (value: number, like: Node): Node => scalar(value, like.dtype)

/** Computes nodes in one plan and reads them as numbers. */
async function readNumbers(...nodes: Node[]): Promise<number[]> {
  submit(nodes)
  return Promise.all(nodes.map((n) => new Tensor(n).item()))
}

export class LBFGS extends Optimizer {
  readonly #options: Required<LBFGSOptions>
  #memory: Memory | null = null
  #iterations = 0
  #evaluations = 0

  constructor(options: LBFGSOptions) {
    super({ parameters: options.parameters, learningRate: options.learningRate ?? 1 }, {})
    const { maxIter = 20, lineSearchFn = null } = options
    if (lineSearchFn !== null && lineSearchFn !== 'strong_wolfe')
      throw new ArgumentError(`LBFGS: lineSearchFn must be 'strong_wolfe' or null, got '${String(lineSearchFn)}'`)
    this.#options = {
      parameters: options.parameters,
      learningRate: options.learningRate ?? 1,
      maxIter,
      maxEval: options.maxEval ?? Math.floor((maxIter * 5) / 4),
      toleranceGrad: options.toleranceGrad ?? 1e-7,
      toleranceChange: options.toleranceChange ?? 1e-9,
      historySize: options.historySize ?? 100,
      lineSearchFn,
    }
  }

  /** Without a closure there is nothing to evaluate: throws ArgumentError. */
  override step(): never
  /**
   * Up to `maxIter` iterations; the closure is called for each evaluation. Returns the loss before the first one.
   * @example await lbfgs.step(() => { lbfgs.clearGrad(); const loss = f(); loss.backward(); return loss })
   */
  override step(closure: Closure): Promise<Tensor>
  override step(closure?: Closure): Promise<Tensor> {
    if (typeof closure !== 'function')
      throw new ArgumentError(
        'LBFGS.step: give a function that clears gradients, computes the loss, calls backward() and returns it',
      )
    return this.#run(closure)
  }

  async #run(closure: Closure): Promise<Tensor> {
    const { maxIter, maxEval, toleranceChange, lineSearchFn } = this.#options
    const first = await closureLoss(closure)
    let evaluation = await this.#evaluation(first)
    let evaluations = 1
    this.#evaluations++
    if (await this.#isSmall(evaluation.gradient)) return first
    for (let n = 1; n <= maxIter; n++) {
      this.#iterations++
      const memory = await this.#nextDirection(evaluation.gradient)
      const { direction } = memory
      const [slope, sumOfGradient, reach] = await readNumbers(
        dot(evaluation.gradient.node, direction.node),
        total(abs(evaluation.gradient.node)),
        largest(direction.node),
      )
      const trial = this.#iterations === 1 ? Math.min(1, 1 / sumOfGradient!) * this.getLr() : this.getLr()
      memory.step = trial
      if (slope! > -toleranceChange) break
      const before = evaluation.loss
      const origin = this.#flatParameters()
      let used = 0
      if (lineSearchFn) {
        const start: LinePoint<Tensor> = { step: 0, value: before, slope: slope!, payload: evaluation.gradient }
        const probe = (step: number): Promise<LinePoint<Tensor>> => this.#probe(closure, origin, direction, step)
        const found = await strongWolfe(probe, start, trial, reach!)
        used = found.evaluations
        memory.step = found.point.step
        evaluation = { loss: found.point.value, gradient: found.point.payload }
        this.#moveTo(origin, direction, memory.step)
      } else {
        this.#moveTo(origin, direction, trial)
        if (n < maxIter) {
          evaluation = await this.#evaluation(await closureLoss(closure))
          used = 1
        }
      }
      evaluations += used
      this.#evaluations += used
      if (await this.#isSmall(evaluation.gradient)) break
      if (reach! * memory.step <= toleranceChange || Math.abs(evaluation.loss - before) < toleranceChange) break
      if (evaluations >= maxEval) break
    }
    return first
  }

  async #isSmall(gradient: Tensor): Promise<boolean> {
    const [size] = await readNumbers(largest(gradient.node))
    return size! <= this.#options.toleranceGrad
  }

  /** Loss and gradient after a call of the closure, computed now: the next move overwrites what they come from. */
  async #evaluation(loss: Tensor): Promise<Evaluation> {
    const gradient = new Tensor(
      withGrad(false, () =>
        this.#flat((p) => (p.grad ? cast(p.grad.node, this.#dtype) : constant(0, this.#dtype, p.node.shape))),
      ),
    )
    submit([loss.node, gradient.node])
    return { loss: await loss.item(), gradient }
  }

  get #dtype(): 'float32' | 'float64' {
    return this.parameterList.some((p) => computeDtype(p.dtype) === 'float64') ? 'float64' : 'float32'
  }

  /** One vector of something of all parameters. */
  #flat(part: (p: Tensor) => Node): Node {
    return concatNodes(
      this.parameterList.map((p) => reshape(part(p), [p.size])),
      0,
    )
  }

  /** A copy of the parameters as one vector. */
  #flatParameters(): Tensor {
    const copy = withGrad(false, () =>
      storedTensor(
        this.#flat((p) => cast(p.node, this.#dtype)),
        this.parameterList[0]!.place,
      ),
    )
    submit([])
    return copy
  }

  /** Puts the parameters at origin + step * direction. */
  #moveTo(origin: Tensor, direction: Tensor, step: number): void {
    withGrad(false, () => {
      const flat = add(origin.node, mul(direction.node, number(step, direction.node)))
      let offset = 0
      const writes = this.parameterList.map((tensor) => {
        const part = sliceAxis(flat, 0, offset, (offset += tensor.size))
        return { tensor, value: cast(reshape(part, tensor.node.shape), tensor.dtype) }
      })
      commit(writes)
    })
  }

  async #probe(closure: Closure, origin: Tensor, direction: Tensor, step: number): Promise<LinePoint<Tensor>> {
    this.#moveTo(origin, direction, step)
    const { loss, gradient } = await this.#evaluation(await closureLoss(closure))
    const [slope] = await readNumbers(dot(gradient.node, direction.node))
    return { step, value: loss, slope: slope!, payload: gradient }
  }

  /** Learns from the last step and turns the gradient into a direction (Nocedal and Wright 2006, algorithm 7.4). */
  async #nextDirection(gradient: Tensor): Promise<Memory> {
    const last = this.#memory
    if (!last) {
      const direction = new Tensor(unary('neg', gradient.node))
      this.#memory = { direction, gradient, step: 0, hessianDiagonal: 1, history: [] }
      return this.#memory
    }
    const y = sub(gradient.node, last.gradient.node)
    const s = mul(last.direction.node, number(last.step, gradient.node))
    submit([y, s])
    const [ys, yy] = await readNumbers(dot(y, s), dot(y, y))
    if (ys! > 1e-10) {
      if (last.history.length === this.#options.historySize) last.history.shift()
      last.history.push({ s: new Tensor(s), y: new Tensor(y), rho: 1 / ys! })
      last.hessianDiagonal = ys! / yy!
    }
    last.direction = new Tensor(twoLoops(gradient.node, last.history, last.hessianDiagonal))
    last.gradient = gradient
    submit([last.direction.node])
    return last
  }

  stateDict(): OptimizerState {
    const numbers: Record<string, number | LRState> = { func_evals: this.#evaluations, n_iter: this.#iterations }
    const m = this.#memory
    if (!m) return { state: numbers }
    const tensors: Record<string, Tensor> = { d: m.direction, prev_flat_grad: m.gradient }
    m.history.forEach(({ s, y }, i) => {
      tensors[`old_sk.${i}`] = s
      tensors[`old_yk.${i}`] = y
    })
    const ro = Object.fromEntries(m.history.map((h, i) => [String(i), h.rho]))
    return { state: { ...numbers, alpha: m.step, H_diag: m.hessianDiagonal, ro }, ...tensors }
  }

  setStateDict(state: OptimizerState): void {
    const numbers = state['state'] as LRState | undefined
    if (!numbers || typeof numbers['n_iter'] !== 'number')
      throw new ArgumentError("LBFGS.setStateDict: 'state' is missing; pass what stateDict() of an LBFGS returned")
    const size = this.parameterList.reduce((n, p) => n + p.size, 0)
    const vector = (key: string): Tensor => {
      const value = state[key] as Tensor | HostArray | undefined
      if (!value || numel(value.shape) !== size)
        throw new ArgumentError(
          `LBFGS.setStateDict: '${key}' must be a vector of the ${size} elements of all parameters`,
        )
      return value instanceof Tensor ? value : fromHost(value)
    }
    this.#iterations = numbers['n_iter']
    this.#evaluations = Number(numbers['func_evals'] ?? 0)
    this.#memory = null
    if (!state['d']) return
    const ro = (numbers['ro'] ?? {}) as Record<string, number>
    this.#memory = {
      direction: vector('d'),
      gradient: vector('prev_flat_grad'),
      step: Number(numbers['alpha']),
      hessianDiagonal: Number(numbers['H_diag']),
      history: Object.entries(ro).map(([i, rho]) => ({ s: vector(`old_sk.${i}`), y: vector(`old_yk.${i}`), rho })),
    }
  }
}

async function closureLoss(closure: Closure): Promise<Tensor> {
  const loss = await withGrad(true, closure)
  if (!(loss instanceof Tensor) || loss.size !== 1)
    throw new ArgumentError('LBFGS: the closure must return the loss, a tensor of one element')
  return loss
}

/**
 * -H g for the inverse Hessian H that the history approximates. One small plan for each past step: they all have the same structure, so
 * a growing history compiles nothing.
 */
function twoLoops(gradient: Node, history: readonly Correction[], diagonal: number): Node {
  let q = unary('neg', gradient)
  const weights: Node[] = []
  for (const { s, y, rho } of history.toReversed()) {
    const weight = mul(dot(s.node, q), number(rho, q))
    q = sub(q, mul(y.node, weight))
    submit([q, weight])
    weights.unshift(weight)
  }
  let r = mul(q, number(diagonal, q))
  history.forEach(({ s, y, rho }, i) => {
    const back = mul(dot(y.node, r), number(rho, r))
    r = add(r, mul(s.node, sub(weights[i]!, back)))
    submit([r])
  })
  return r
}
