/**
 * Matrix products and convolutions, each gradient by itself, through the public functions: what they reach here includes recording and
 * submitting, as PyTorch's times include its dispatch. bench/contract.ts times the bare kernels.
 */
import { functional } from '../../../nn/index.ts'
import { grad, matmul, randn, realize, seed } from '../../../tensor/index.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { round, type SweepRun } from './measure.ts'

export interface MatmulCase {
  readonly kind: 'matmul'
  readonly name: string
  readonly m: number
  readonly n: number
  readonly k: number
}

type Pair = readonly [number, number]

export interface ConvCase {
  readonly kind: 'conv'
  readonly name: string
  /** What is computed: the output, or the gradient of one operand from a given gradient of the output. */
  readonly part: 'output' | 'input' | 'weight'
  readonly input: readonly [number, number, number, number]
  readonly weight: readonly [number, number, number, number]
  readonly stride: Pair
  readonly padding: Pair
  readonly groups: number
}

export type SweepCase = MatmulCase | ConvCase

function product(m: number, n: number, k: number): MatmulCase {
  return { kind: 'matmul', name: `matmul ${m}x${n}x${k}`, m, n, k }
}

interface ConvSettings {
  readonly stride?: Pair
  readonly padding?: Pair
  readonly groups?: number
}

/** Output and both gradients of x [N, C, H, W] by outChannels kernels; padding keeps the size by default. */
function convolution(
  input: ConvCase['input'],
  outChannels: number,
  kernel: Pair,
  settings: ConvSettings = {},
): ConvCase[] {
  const { stride = [1, 1], groups = 1 } = settings
  const padding = settings.padding ?? [(kernel[0] - 1) >> 1, (kernel[1] - 1) >> 1]
  const weight = [outChannels, input[1] / groups, ...kernel] as const
  const grouped = groups === 1 ? '' : ` groups ${groups}`
  const title = `conv ${input.join('x')} to ${outChannels}, ${kernel.join('x')} stride ${stride.join('x')}${grouped}`
  return (['output', 'input', 'weight'] as const).map((part) => ({
    kind: 'conv',
    name: `${title}: ${part === 'output' ? part : `${part} gradient`}`,
    part,
    input,
    weight,
    stride,
    padding,
    groups,
  }))
}

/** The cases whose names hold a text; `all` names every one. */
export function sweepCases(pattern: string): SweepCase[] {
  return SWEEP.filter((c) => pattern === 'all' || c.name.includes(pattern))
}

const SWEEP: readonly SweepCase[] = [
  ...[256, 512, 1024, 2048].map((n) => product(n, n, n)),
  // The layers of ERNIE-nano, batch 16 of 128 tokens.
  product(2048, 312, 312),
  product(2048, 1248, 312),
  product(2048, 312, 1248),
  // Tall, wide, and CRNN's classifier.
  product(4096, 64, 256),
  product(64, 4096, 256),
  product(1264, 6625, 512),
  // ResNet-18 for CIFAR, batch 32.
  ...convolution([32, 3, 32, 32], 64, [3, 3]),
  ...convolution([32, 64, 32, 32], 64, [3, 3]),
  ...convolution([32, 64, 32, 32], 128, [3, 3], { stride: [2, 2] }),
  ...convolution([32, 64, 32, 32], 128, [1, 1], { stride: [2, 2] }),
  ...convolution([32, 128, 16, 16], 128, [3, 3]),
  ...convolution([32, 256, 8, 8], 256, [3, 3]),
  ...convolution([32, 512, 4, 4], 512, [3, 3]),
  // CRNN, batch 16 of 32x320.
  ...convolution([16, 64, 16, 160], 128, [3, 3]),
  ...convolution([16, 256, 8, 80], 256, [3, 3]),
  ...convolution([16, 512, 4, 80], 512, [3, 3]),
  ...convolution([16, 512, 2, 80], 512, [2, 2], { padding: [0, 0] }),
  // PP-OCR: pointwise and depthwise.
  ...convolution([8, 96, 24, 160], 96, [1, 1]),
  ...convolution([8, 64, 48, 160], 64, [3, 3], { groups: 64 }),
  ...convolution([8, 64, 48, 160], 64, [5, 5], { stride: [2, 1], groups: 64 }),
]

/** Rows or columns of a convolution's output. */
function outputSize({ input, weight, stride, padding }: ConvCase, axis: 0 | 1): number {
  return Math.floor((input[axis + 2]! + 2 * padding[axis] - weight[axis + 2]!) / stride[axis]) + 1
}

function outputShape(c: ConvCase): [number, number, number, number] {
  return [c.input[0], c.weight[0], outputSize(c, 0), outputSize(c, 1)]
}

/** Multiplications and additions of a case; both gradients of a convolution cost what its output costs. */
export function flopsOf(c: SweepCase): number {
  if (c.kind === 'matmul') return 2 * c.m * c.n * c.k
  const [batch, channels, height, width] = outputShape(c)
  return 2 * batch * channels * height * width * c.weight[1] * c.weight[2] * c.weight[3]
}

/** Operands of a case in memory, and what records it. */
async function prepare(c: SweepCase): Promise<() => Tensor> {
  if (c.kind === 'matmul') {
    const [a, b] = [randn([c.m, c.k]), randn([c.k, c.n])]
    await realize([a, b])
    return () => matmul(a, b)
  }
  const [x, weight, outputGradient] = [randn(c.input), randn(c.weight), randn(outputShape(c))]
  await realize([x, weight, outputGradient])
  const { stride, padding, groups } = c
  const output = (): Tensor => functional.conv2d(x, weight, null, { stride, padding, groups })
  if (c.part === 'output') return output
  const operand = c.part === 'input' ? x : weight
  operand.stopGradient = false
  return () => grad(output(), operand, { gradOutputs: [outputGradient] })[0]!
}

/** Best of several runs on the current device, after one that compiles; about `budgetMs` a case. */
export async function runSweepCase(c: SweepCase, budgetMs: number): Promise<SweepRun> {
  seed(0)
  const record = await prepare(c)
  await realize(record())
  let best = Infinity
  const end = performance.now() + budgetMs
  for (let runs = 0; runs < 3 || performance.now() < end; runs++) {
    const started = performance.now()
    await realize(record())
    best = Math.min(best, performance.now() - started)
  }
  return { peer: 'longzhou', case: c.name, ms_min: round(best, 4), gflops: round(flopsOf(c) / best / 1e6, 1) }
}
