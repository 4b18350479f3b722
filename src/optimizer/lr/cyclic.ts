/** Schedules that rise before they fall, meant to be stepped after each batch: one cycle, or many. */
import { ArgumentError } from '../../common/errors.ts'
import { LRScheduler, checkChoice, checkPositiveInteger, type SchedulerOptions } from './scheduler.ts'

export interface OneCycleLROptions extends SchedulerOptions {
  readonly maxLearningRate: number
  readonly totalSteps: number
  /** The start is maxLearningRate / divideFactor; default 25. */
  readonly divideFactor?: number
  /** Default 0.0001. */
  readonly endLearningRate?: number
  /** Share of totalSteps in which the rate rises; default 0.3. */
  readonly phasePct?: number
  /** Default 'cos'. */
  readonly annealStrategy?: 'cos' | 'linear'
  /** Fall back to the start as long as it rose, then to the end; default false: fall to the end at once. */
  readonly threePhase?: boolean
}

interface Phase {
  readonly start: number
  readonly end: number
  readonly from: number
  readonly to: number
}

/** Up to maxLearningRate and down to endLearningRate (Smith & Topin, "Super-convergence", 2018). */
export class OneCycleLR extends LRScheduler {
  readonly totalSteps: number
  private readonly phases: readonly Phase[]
  private readonly anneal: (from: number, to: number, share: number) => number

  constructor(options: OneCycleLROptions) {
    const { maxLearningRate, divideFactor = 25, endLearningRate = 0.0001, phasePct = 0.3 } = options
    const initial = maxLearningRate / divideFactor
    super({ ...options, learningRate: initial })
    const total = checkPositiveInteger(options.totalSteps, 'OneCycleLR: totalSteps')
    const limit = options.threePhase ? 0.5 : 1
    if (!(phasePct >= 0 && phasePct <= limit) || (options.threePhase && phasePct === limit)) {
      throw new ArgumentError(
        `OneCycleLR: phasePct must lie between 0 and 1, and below 0.5 with threePhase, got ${phasePct}`,
      )
    }
    if (!(endLearningRate >= 0)) {
      throw new ArgumentError(`OneCycleLR: endLearningRate must not be negative, got ${endLearningRate}`)
    }
    const peak = phasePct * total - 1
    const back = 2 * phasePct * total - 2
    const last = total - 1
    this.totalSteps = total
    this.phases = options.threePhase
      ? [
          { start: 0, end: peak, from: initial, to: maxLearningRate },
          { start: peak, end: back, from: maxLearningRate, to: initial },
          { start: back, end: last, from: initial, to: endLearningRate },
        ]
      : [
          { start: 0, end: peak, from: initial, to: maxLearningRate },
          { start: peak, end: last, from: maxLearningRate, to: endLearningRate },
        ]
    this.anneal = anneals[checkChoice(options.annealStrategy ?? 'cos', ['cos', 'linear'], 'OneCycleLR: annealStrategy')]
  }

  getLr(): number {
    const step = this.lastEpoch
    if (step > this.totalSteps) {
      throw new ArgumentError(
        `OneCycleLR: step ${step} is beyond totalSteps ${this.totalSteps}; call step() after each batch, not after each epoch, ` +
          'and count all batches of the training in totalSteps',
      )
    }
    const phase = this.phases.find(({ end }) => step <= end) ?? this.phases.at(-1)!
    const length = phase.end - phase.start
    return this.anneal(phase.from, phase.to, length === 0 ? 1 : (step - phase.start) / length)
  }
}

const anneals = {
  cos: (from: number, to: number, share: number) => to + ((from - to) / 2) * (Math.cos(Math.PI * share) + 1),
  linear: (from: number, to: number, share: number) => (to - from) * share + from,
} as const

export type CyclicMode = 'triangular' | 'triangular2' | 'exp_range'

export interface CyclicLROptions extends SchedulerOptions {
  readonly baseLearningRate: number
  readonly maxLearningRate: number
  readonly stepSizeUp: number
  /** Default stepSizeUp. */
  readonly stepSizeDown?: number
  /** How the amplitude shrinks: not, by half each cycle, or by expGamma each step; default 'triangular'. */
  readonly mode?: CyclicMode
  /** Default 1. */
  readonly expGamma?: number
  /** Replaces `mode`: factor of the amplitude, of the cycle (from 1) or of the step. */
  readonly scaleFn?: (x: number) => number
  /** What scaleFn is given; default 'cycle'. */
  readonly scaleMode?: 'cycle' | 'iterations'
}

/** Triangles between baseLearningRate and maxLearningRate (Smith, "Cyclical learning rates", 2017). */
export class CyclicLR extends LRScheduler {
  readonly maxLr: number
  private readonly cycleSize: number
  private readonly upShare: number
  private readonly scale: (cycle: number, step: number) => number

  constructor(options: CyclicLROptions) {
    super({ ...options, learningRate: options.baseLearningRate })
    const up = checkPositiveInteger(options.stepSizeUp, 'CyclicLR: stepSizeUp')
    const down = checkPositiveInteger(options.stepSizeDown ?? up, 'CyclicLR: stepSizeDown')
    if (!(options.maxLearningRate >= 0)) {
      throw new ArgumentError(`CyclicLR: maxLearningRate must not be negative, got ${options.maxLearningRate}`)
    }
    this.maxLr = options.maxLearningRate
    this.cycleSize = up + down
    this.upShare = up / this.cycleSize
    this.scale = scaleOf(options)
  }

  getLr(): number {
    const cycle = 1 + Math.floor(this.lastEpoch / this.cycleSize)
    const share = 1 + this.lastEpoch / this.cycleSize - cycle
    const height = share <= this.upShare ? share / this.upShare : (1 - share) / (1 - this.upShare)
    return this.baseLr + (this.maxLr - this.baseLr) * height * this.scale(cycle, this.lastEpoch)
  }
}

function scaleOf(options: CyclicLROptions): (cycle: number, step: number) => number {
  const { scaleFn, expGamma = 1 } = options
  if (scaleFn !== undefined) {
    const scaleMode = checkChoice(options.scaleMode ?? 'cycle', ['cycle', 'iterations'], 'CyclicLR: scaleMode')
    return scaleMode === 'cycle' ? (cycle) => scaleFn(cycle) : (_, step) => scaleFn(step)
  }
  const mode = checkChoice(options.mode ?? 'triangular', ['triangular', 'triangular2', 'exp_range'], 'CyclicLR: mode')
  switch (mode) {
    case 'triangular':
      return () => 1
    case 'triangular2':
      return (cycle) => 1 / 2 ** (cycle - 1)
    case 'exp_range':
      return (_, step) => expGamma ** step
    default:
      return mode satisfies never
  }
}
