/**
 * The reference workloads: small, middling and large training steps on fixed random input, with the settings of bench/peers/. A step is
 * forward, loss, backward, optimizer step, clearGrad and the loss read back.
 */
import { autoCast } from '../../../amp/index.ts'
import * as nn from '../../../nn/index.ts'
import { Adam, AdamW, Momentum, type Optimizer } from '../../../optimizer/index.ts'
import { peakMemory } from '../../../runtime/peak-memory.ts'
import { full, randint, randn, realize, seed } from '../../../tensor/index.ts'
import { observePlans } from '../../../tensor/profile.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { CRNN, EncoderClassifier, ResNet18, SeedCNN } from './networks.ts'
import { median, round, type WorkloadRun } from './measure.ts'

/** What one workload trains, made anew by each call of `make`. */
interface Training {
  readonly model: nn.Layer & ((x: Tensor) => Tensor)
  readonly input: Tensor
  readonly target: Tensor
  readonly loss: (output: Tensor, target: Tensor) => Tensor
  readonly optimizer: (parameters: nn.Parameter[]) => Optimizer
}

export interface Workload {
  readonly name: string
  readonly description: string
  /** Whether its layers can be computed again in the backward pass. */
  readonly canRecompute?: boolean
  readonly make: (settings?: Pick<StepSettings, 'recomputes'>) => Training
}

/** How a workload is trained. */
export interface StepSettings {
  /** Forward and loss in bfloat16 mixed precision. Default false. */
  readonly bfloat16?: boolean
  /** Layers are computed again in the backward pass instead of kept; for workloads that can. Default false. */
  readonly recomputes?: boolean
}

const { crossEntropy, ctcLoss } = nn.functional
const adam = (parameters: nn.Parameter[]): Optimizer => new Adam({ learningRate: 1e-3, parameters })

/** CTC over logits [T, N, classes] where every line has the whole width and all of its labels. */
function lineLoss(logits: Tensor, labels: Tensor): Tensor {
  const [steps, batch] = logits.shape as [number, number, number]
  const lengths = (length: number): Tensor => full([batch], length, 'int64')
  return ctcLoss(logits, labels.astype('int32'), lengths(steps), lengths(labels.shape[1]!))
}

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'seed_cnn_b64',
    description: 'one convolution and one linear layer, batch 64 of 32x32, Adam',
    make: () => ({
      model: new SeedCNN(),
      input: randn([64, 3, 32, 32]),
      target: randint(10, null, [64]),
      loss: crossEntropy,
      optimizer: adam,
    }),
  },
  {
    name: 'resnet18_cifar_b32',
    description: 'ResNet-18 for CIFAR, batch 32, Momentum 0.9, L2 decay 5e-4',
    make: () => ({
      model: new ResNet18(),
      input: randn([32, 3, 32, 32]),
      target: randint(10, null, [32]),
      loss: crossEntropy,
      optimizer: (parameters) => new Momentum({ learningRate: 0.1, momentum: 0.9, weightDecay: 5e-4, parameters }),
    }),
  },
  {
    name: 'crnn_b16',
    description: 'CRNN over 6,625 classes, batch 16 of 32x320, CTC, Adam',
    make: () => ({
      model: new CRNN(),
      input: randn([16, 1, 32, 320]),
      target: randint(1, 6625, [16, 10]),
      loss: lineLoss,
      optimizer: adam,
    }),
  },
  {
    name: 'ernie_nano_b16_s128',
    description: 'four encoder layers of width 312 over 40,000 tokens, batch 16 of 128 tokens, AdamW',
    canRecompute: true,
    make: ({ recomputes = false } = {}) => ({
      model: new EncoderClassifier({ layers: 4, hidden: 312, heads: 12, feedForward: 1248, recomputes }),
      input: randint(40_000, null, [16, 128]),
      target: randint(2, null, [16]),
      loss: crossEntropy,
      optimizer: (parameters) => new AdamW({ learningRate: 5e-5, weightDecay: 0.01, parameters }),
    }),
  },
]

export interface RunOptions extends StepSettings {
  /** Timed steps, after the first and one to warm up. */
  readonly steps: number
}

/** One training step: its loss, its time, and the time until it was recorded and submitted. */
interface Step {
  readonly loss: number
  readonly ms: number
  readonly jsMs: number
}

/** Makes a model's parameters, and gives what takes one step, by default on its own data. */
export async function trainingStep(
  training: Training,
  bfloat16 = false,
): Promise<(data?: Pick<Training, 'input' | 'target'>) => Promise<Step>> {
  const { model, input, target, loss: criterion, optimizer: makeOptimizer } = training
  model.train()
  const optimizer = makeOptimizer(model.parameters())
  await realize([input, target, ...model.parameters()])
  return async (data = training) => {
    const started = performance.now()
    const loss = autoCast({ enable: bfloat16, dtype: 'bfloat16' }, () =>
      criterion(model(data.input).astype('float32'), data.target),
    )
    loss.backward()
    optimizer.step()
    optimizer.clearGrad()
    const reading = loss.item()
    const submitted = performance.now()
    return { loss: await reading, ms: performance.now() - started, jsMs: submitted - started }
  }
}

/** A step of a workload on the current device, always from the same parameters and on the same data. */
export function prepareWorkload(workload: Workload, settings: StepSettings = {}): Promise<() => Promise<Step>> {
  seed(0)
  return trainingStep(workload.make(settings), settings.bfloat16)
}

/** Runs a workload on the current device in this process, which should do nothing else: the peak of memory is the process's. */
export async function runWorkload(workload: Workload, options: RunOptions): Promise<WorkloadRun> {
  const { steps, bfloat16 = false, recomputes = false } = options
  const step = await prepareWorkload(workload, options)
  let arenaBytes = 0
  const end = observePlans(({ plan }) => (arenaBytes = Math.max(arenaBytes, plan.arenaBytes)))
  const first = await step()
  end()
  let last = await step()
  const times: number[] = []
  const jsTimes: number[] = []
  for (let i = 0; i < steps; i++) {
    last = await step()
    times.push(last.ms)
    jsTimes.push(last.jsMs)
  }
  return {
    peer: ['longzhou', ...(bfloat16 ? ['bf16'] : []), ...(recomputes ? ['recompute'] : [])].join('+'),
    workload: workload.name,
    ms_median: round(median(times)),
    ms_min: round(Math.min(...times)),
    first_s: round(first.ms / 1000, 3),
    loss: round(last.loss, 4),
    peak_mb: round(peakMemory(), 1),
    js_ms: round(median(jsTimes)),
    arena_mb: round(arenaBytes / 2 ** 20, 1),
  }
}
