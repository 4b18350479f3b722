/**
 * The `Optimizer` section: optimizer, learning-rate schedule, regulariser and gradient clipping, each one row of a table. Names are
 * those of PaddleOCR's configurations (`Cosine`, `L2`), options those of the classes.
 */
import { z } from 'zod'
import { ClipGradByGlobalNorm, ClipGradByNorm, ClipGradByValue, type GradientClip } from '../../nn/clip.ts'
import {
  Adadelta,
  Adagrad,
  Adam,
  Adamax,
  AdamW,
  Lamb,
  Lion,
  lr,
  Momentum,
  NAdam,
  RAdam,
  RMSProp,
  SGD,
  type Optimizer,
  type OptimizerOptions,
} from '../../optimizer/index.ts'
import { L1Decay, L2Decay, type Regularizer } from '../../optimizer/regularizer.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { count, fraction, nonNegative, positive } from './fields.ts'

const warmup = {
  /** Steps in which the rate rises from warmupStart to learningRate. */
  warmupSteps: count(0).default(0),
  warmupStart: nonNegative().default(0),
}
const schedule = <N extends string, S extends z.core.$ZodLooseShape>(name: N, shape: S) =>
  z.strictObject({ name: z.literal(name), learningRate: positive(), ...warmup, ...shape })

export const lrSchema = z.discriminatedUnion('name', [
  schedule('Const', {}),
  schedule('Cosine', { minLearningRate: nonNegative().default(0), tMax: count().optional() }),
  schedule('Linear', { endLearningRate: nonNegative().default(0), power: positive().default(1) }),
  schedule('Step', { stepSize: count(), gamma: fraction().default(0.1) }),
  schedule('MultiStep', { milestones: z.array(count()).min(1), gamma: fraction().default(0.1) }),
  schedule('Exponential', { gamma: fraction() }),
])
export type LrConfig = z.output<typeof lrSchema>

type ScheduleTable = {
  readonly [N in LrConfig['name']]: (c: Extract<LrConfig, { name: N }>, steps: number) => number | lr.LRScheduler
}

/** Schedules by name; `steps` are those after the warm-up. */
const SCHEDULES: ScheduleTable = {
  Const: (c) => c.learningRate,
  Cosine: ({ learningRate, tMax, minLearningRate: etaMin }, steps) =>
    new lr.CosineAnnealingDecay({ learningRate, tMax: tMax ?? steps, etaMin }),
  Linear: ({ learningRate, power, endLearningRate: endLr }, decaySteps) =>
    new lr.PolynomialDecay({ learningRate, power, endLr, decaySteps }),
  Step: ({ learningRate, stepSize, gamma }) => new lr.StepDecay({ learningRate, stepSize, gamma }),
  MultiStep: ({ learningRate, milestones, gamma }) => new lr.MultiStepDecay({ learningRate, milestones, gamma }),
  Exponential: ({ learningRate, gamma }) => new lr.ExponentialDecay({ learningRate, gamma }),
}

/** The schedule of a run of `steps` steps. */
export function makeSchedule(config: LrConfig, steps: number): number | lr.LRScheduler {
  const { learningRate, warmupSteps, warmupStart } = config
  const make = SCHEDULES[config.name] as (c: LrConfig, steps: number) => number | lr.LRScheduler
  const after = make(config, Math.max(1, steps - warmupSteps))
  if (warmupSteps === 0) return after
  return new lr.LinearWarmup({ learningRate: after, warmupSteps, startLr: warmupStart, endLr: learningRate })
}

const regularizerSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('L1'), factor: nonNegative() }),
  z.strictObject({ name: z.literal('L2'), factor: nonNegative() }),
])

const clipSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('GlobalNorm'), clipNorm: positive() }),
  z.strictObject({ name: z.literal('Norm'), clipNorm: positive() }),
  z.strictObject({ name: z.literal('Value'), max: positive(), min: z.number().optional() }),
])

function makeRegularizer({ name, factor }: z.output<typeof regularizerSchema>): Regularizer {
  return name === 'L1' ? new L1Decay(factor) : new L2Decay(factor)
}

function makeClip(config: z.output<typeof clipSchema>): GradientClip {
  switch (config.name) {
    case 'GlobalNorm':
      return new ClipGradByGlobalNorm(config.clipNorm)
    case 'Norm':
      return new ClipGradByNorm(config.clipNorm)
    case 'Value':
      return new ClipGradByValue(config.max, config.min)
  }
}

const common = { lr: lrSchema, gradClip: clipSchema.optional() }
const coupled = { ...common, regularizer: regularizerSchema.optional() }
const epsilon = positive().optional()
const betas = { beta1: fraction().optional(), beta2: fraction().optional() }
const moments = { ...betas, epsilon }
const flag = z.boolean().optional()

const optimizer = <N extends string, S extends z.core.$ZodLooseShape>(name: N, shape: S) =>
  z.strictObject({ name: z.literal(name), ...shape })

export const optimizerSchema = z.discriminatedUnion('name', [
  optimizer('SGD', coupled),
  optimizer('Momentum', { ...coupled, momentum: fraction().optional(), useNesterov: flag }),
  optimizer('Adagrad', { ...coupled, epsilon, initialAccumulatorValue: nonNegative().optional() }),
  optimizer('Adadelta', { ...coupled, epsilon, rho: fraction().optional() }),
  optimizer('RMSProp', {
    ...coupled,
    epsilon,
    rho: fraction().optional(),
    momentum: nonNegative().optional(),
    centered: flag,
  }),
  optimizer('Adam', { ...coupled, ...moments, amsgrad: flag }),
  optimizer('Adamax', { ...coupled, ...moments }),
  optimizer('NAdam', { ...coupled, ...moments, momentumDecay: nonNegative().optional() }),
  optimizer('RAdam', { ...coupled, ...moments }),
  // These decay the weights themselves, so there is no regulariser.
  optimizer('AdamW', { ...common, ...moments, amsgrad: flag, weightDecay: nonNegative().optional() }),
  optimizer('Lamb', { ...common, ...moments, lambWeightDecay: nonNegative().optional(), alwaysAdapt: flag }),
  optimizer('Lion', { ...common, ...betas, weightDecay: nonNegative().optional() }),
])
export type OptimizerConfig = z.output<typeof optimizerSchema>

const OPTIMIZERS: Readonly<Record<OptimizerConfig['name'], new (options: OptimizerOptions) => Optimizer>> = {
  SGD,
  Momentum,
  Adagrad,
  Adadelta,
  RMSProp,
  Adam,
  Adamax,
  NAdam,
  RAdam,
  AdamW,
  Lamb,
  Lion,
}

/** The optimizer of a run of `steps` steps. */
export function makeOptimizer(config: OptimizerConfig, parameters: readonly Tensor[], steps: number): Optimizer {
  const { name, lr: schedule, gradClip, ...own } = config
  const { regularizer, ...options } = own as typeof own & { regularizer?: z.output<typeof regularizerSchema> }
  return new OPTIMIZERS[name]({
    parameters,
    learningRate: makeSchedule(schedule, steps),
    ...(gradClip && { gradClip: makeClip(gradClip) }),
    ...(regularizer && { weightDecay: makeRegularizer(regularizer) }),
    ...options,
  })
}
