/** Fine-tuning a recogniser on labelled lines: shuffled epochs in batches of similar width, cosine schedule, held-out checks. */
import { SmallRandom } from '../../common/random.ts'
import { ArgumentError } from '../../common/errors.ts'
import { runSteps } from '../../hapi/step-loop.ts'
import { ClipGradByGlobalNorm } from '../../nn/clip.ts'
import { AdamW, lr } from '../../optimizer/index.ts'
import { batchByWidth, type LineBatch, type TextLine } from './lines.ts'
import type { TextRecognizer } from './recognizer.ts'
import { evaluate, trainStep } from './training.ts'

export interface FineTuneOptions {
  readonly steps: number
  /** Lines in a step. Default 16. */
  readonly batchSize?: number
  /** Peak of the cosine schedule, after a warm-up over a tenth of the steps. Default 5e-4. */
  readonly learningRate?: number
  readonly seed?: number
  /** Lines on which the error rate is followed, and how often: default 5 times a run. */
  readonly evaluateOn?: readonly TextLine[]
  readonly evaluations?: number
  readonly onStep?: (state: { readonly step: number; readonly loss: number; readonly learningRate: number }) => void
}

export interface FineTuneResult {
  readonly losses: readonly number[]
  readonly errorRates: readonly { readonly step: number; readonly rate: number }[]
}

/** Trains in place. Lines whose characters the dictionary lacks must be left out before. */
export async function fineTune(
  recognizer: TextRecognizer,
  lines: readonly TextLine[],
  options: FineTuneOptions,
): Promise<FineTuneResult> {
  const { steps, batchSize = 16, learningRate = 5e-4, seed = 0, evaluateOn = [], evaluations = 5, onStep } = options
  if (lines.length === 0) throw new ArgumentError('fineTune: there are no lines to tune on')
  const warmupSteps = Math.max(1, Math.round(steps / 10))
  const schedule = new lr.LinearWarmup({
    learningRate: new lr.CosineAnnealingDecay({ learningRate, tMax: Math.max(1, steps - warmupSteps) }),
    warmupSteps,
    startLr: learningRate / 20,
    endLr: learningRate,
  })
  const optimizer = new AdamW({
    parameters: recognizer.network.parameters(),
    learningRate: schedule,
    weightDecay: 1e-4,
    gradClip: new ClipGradByGlobalNorm(5),
  })
  const losses: number[] = []
  const errorRates: { step: number; rate: number }[] = []
  const check = async (step: number): Promise<void> => {
    if (evaluateOn.length > 0)
      errorRates.push({ step, rate: (await evaluate(recognizer, evaluateOn)).characterErrorRate })
  }
  await check(0)
  const every = Math.max(1, Math.floor(steps / evaluations))
  await runSteps({
    steps,
    batches: epochs(lines, batchSize, seed, recognizer),
    optimizer,
    trainStep: (batch) => trainStep(recognizer, optimizer, batch),
    async onStep({ step, loss, learningRate: rate }) {
      losses.push(loss)
      onStep?.({ step, loss, learningRate: rate })
      if (step % every === 0 || step === steps) await check(step)
    },
  })
  return { losses, errorRates }
}

/** Batches without end: each epoch shuffles, sorts groups of batches by width, and shuffles the batches of a group. */
function* epochs(
  lines: readonly TextLine[],
  batchSize: number,
  seed: number,
  recognizer: TextRecognizer,
): Generator<LineBatch> {
  for (let epoch = 0; ; epoch++) {
    const random = new SmallRandom(seed, epoch)
    const order = random.shuffled(lines)
    for (let i = 0; i < order.length; i += batchSize * 8) {
      yield* random.shuffled(batchByWidth(order.slice(i, i + batchSize * 8), batchSize, recognizer.dictionary))
    }
  }
}
