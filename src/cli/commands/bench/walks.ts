/**
 * Walks over sizes: a known training step at fifty widths or lengths, each for the first time. Kernels are keyed by structure, so a new
 * size is planned and compiles nothing. Plans that an earlier walk left on disk are not looked for.
 */
import { compilerCalls } from '../../../runtime/compiler.ts'
import { full, randint, randn, realize, seed } from '../../../tensor/index.ts'
import { observePlans } from '../../../tensor/profile.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { round, type WalkRun } from './measure.ts'
import { trainingStep, WORKLOADS } from './workloads.ts'

interface Walk {
  readonly name: string
  readonly workload: string
  /** What the walk starts from: planned, compiled and run twice before. */
  readonly start: number
  readonly sizes: readonly number[]
  readonly input: (size: number) => Tensor
  readonly target: () => Tensor
}

/** Small batches: planning does not depend on them. */
const BATCH = 2
const steps = (count: number, first: number, by: number): number[] =>
  Array.from({ length: count }, (_, i) => first + by * i)

/** Odd sizes among them: nothing is a multiple of the lanes of a vector. */
export const WALKS: readonly Walk[] = [
  {
    name: 'crnn_widths',
    workload: 'crnn_b16',
    start: 320,
    sizes: steps(50, 95, 9),
    input: (width) => randn([BATCH, 1, 32, width]),
    target: () => randint(1, 6625, [BATCH, 10]),
  },
  {
    name: 'ernie_nano_lengths',
    workload: 'ernie_nano_b16_s128',
    start: 128,
    sizes: steps(50, 13, 5),
    input: (length) => randint(40_000, null, [BATCH, length]),
    target: () => full([BATCH], 1, 'int64'),
  },
]

/** Takes a walk on the current device, `count` sizes of it at most, and tells each size when it is known. */
export async function runWalk(walk: Walk, tell: (run: WalkRun) => void, count = Infinity): Promise<void> {
  seed(0)
  const training = WORKLOADS.find((w) => w.name === walk.workload)!.make()
  const step = await trainingStep(training)
  const at = async (size: number): Promise<{ input: Tensor; target: Tensor }> => {
    const data = { input: walk.input(size), target: walk.target() }
    // In memory, as a loader's batches are: drawing them is no part of the step.
    await realize([data.input, data.target])
    return data
  }
  const known = await at(walk.start)
  for (let i = 0; i < 2; i++) await step(known)
  for (const size of walk.sizes.slice(0, count)) {
    const data = await at(size)
    const before = compilerCalls()
    let [planMs, plans] = [0, 0]
    const end = observePlans(({ ms }) => {
      planMs += ms
      plans++
    })
    const first = await step(data)
    end()
    const compiles = compilerCalls() - before
    const again = await step(data)
    const [firstMs, againMs] = [round(first.ms), round(again.ms)]
    tell({ walk: walk.name, size, plan_ms: round(planMs), plans, compiles, first_ms: firstMs, again_ms: againMs })
  }
}
