/** The loop of a run that is counted in steps: take a batch, train on it, follow the schedule. */
import { LongzhouError } from '../common/errors.ts'
import type { Optimizer } from '../optimizer/index.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** What is known after a step. */
export interface StepState<B> {
  /** Steps done, counted from the run's beginning. */
  readonly step: number
  readonly loss: number
  /** The rate of this step. */
  readonly learningRate: number
  readonly batch: B
}

export interface StepLoopOptions<B> {
  /** Steps of the whole run, and those that were done before. Default of `start`: 0. */
  readonly steps: number
  readonly start?: number
  readonly batches: Iterable<B> | AsyncIterable<B>
  /** Its schedule, where it has one, is stepped after each step. */
  readonly optimizer: Optimizer
  /** Records a step on a batch, submits it, and gives the loss. */
  trainStep(batch: B): Tensor
  /** Called after each step; false ends the loop. */
  onStep?(state: StepState<B>): unknown
}

/** Gives the steps done, fewer than `steps` where the loop was ended or the batches were. Throws LongzhouError where the loss is no number. */
export async function runSteps<B>(options: StepLoopOptions<B>): Promise<number> {
  const { steps, start = 0, batches, optimizer } = options
  let step = start
  if (step >= steps) return step
  for await (const batch of batches) {
    const loss = options.trainStep(batch)
    const learningRate = optimizer.getLr()
    optimizer.lrScheduler?.step()
    const value = await loss.item()
    step++
    if (!Number.isFinite(value)) {
      throw new LongzhouError(
        `the loss is ${value} at step ${step}: a smaller learning rate, a warm-up or gradient clipping usually helps; checkpoints from before are intact`,
      )
    }
    if ((await options.onStep?.({ step, loss: value, learningRate, batch })) === false || step >= steps) break
  }
  return step
}
