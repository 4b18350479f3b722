/**
 * Matrix products and convolutions, each gradient by itself, through the public functions: what they reach here includes recording and
 * submitting, as PyTorch's times include its dispatch. bench/contract.ts times the bare kernels.
 */
import { z } from 'zod'
import { functional } from '../../../nn/index.ts'
import { grad, matmul, randn, realize, seed } from '../../../tensor/index.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { UsageError } from '../../errors.ts'
import { round, type SweepRun } from './measure.ts'
import { flopsOf, outputShape, type SweepCase } from './sweep-cases.ts'

const size = z.number().int().min(1).max(1e6)
const pair = z.tuple([size, size])
const shape = z.tuple([size, size, size, size])
const part = z.enum(['output', 'input', 'weight'])
const caseForm = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('matmul'), name: z.string(), batch: size, m: size, n: size, k: size }),
  z.object({
    kind: z.literal('conv'),
    name: z.string(),
    part,
    input: shape,
    weight: shape,
    stride: pair,
    padding: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
    groups: size,
    transposed: z.boolean(),
  }),
])

/** Cases as JSON, which the comparison hands to a process of its own. Throws UsageError. */
export function parseCases(text: string): SweepCase[] {
  try {
    return z.array(caseForm).parse(JSON.parse(text))
  } catch (error) {
    throw new UsageError(`--sweep - expects a JSON list of cases on standard input: ${(error as Error).message}`)
  }
}

/** Operands of a case in memory, and what records it. */
async function prepare(c: SweepCase): Promise<() => Tensor> {
  if (c.kind === 'matmul') {
    const batch = c.batch === 1 ? [] : [c.batch]
    const [a, b] = [randn([...batch, c.m, c.k]), randn([...batch, c.k, c.n])]
    await realize([a, b])
    return () => matmul(a, b)
  }
  const [x, weight, outputGradient] = [randn(c.input), randn(c.weight), randn(outputShape(c))]
  await realize([x, weight, outputGradient])
  const { stride, padding, groups } = c
  const convolve = c.transposed ? functional.conv2dTranspose : functional.conv2d
  const output = (): Tensor => convolve(x, weight, null, { stride, padding, groups })
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
