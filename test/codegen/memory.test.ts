/** What a training step keeps in memory: counted in the arena of its plan, which nothing runs. */
import { beforeEach, describe, expect, test } from 'vitest'
import { arenaOf } from '../../src/cli/commands/bench/arena.ts'
import { EncoderClassifier } from '../../src/cli/commands/bench/networks.ts'
import { WORKLOADS, type StepSettings, type Workload } from '../../src/cli/commands/bench/workloads.ts'
import { nn, optimizer, randint, randn, setDevice } from '../../src/index.ts'

const batch = 8
const length = 64
const hidden = 96

const encoder = (vocabulary: number): Workload => ({
  name: 'encoder',
  description: 'four encoder layers, as ERNIE-nano in small',
  canRecompute: true,
  make: ({ recomputes = false } = {}) => ({
    model: new EncoderClassifier({ layers: 4, hidden, heads: 4, feedForward: 4 * hidden, vocabulary, recomputes }),
    input: randint(vocabulary, null, [batch, length]),
    target: randint(2, null, [batch]),
    loss: nn.functional.crossEntropy,
    optimizer: (parameters) => new optimizer.AdamW({ learningRate: 1e-3, parameters }),
  }),
})

const layers = 10
const wide = 512
const chain: Workload = {
  name: 'chain',
  description: 'linear layers and ReLU',
  make: () => ({
    model: new nn.Sequential<readonly nn.Layer[]>(
      ...Array.from({ length: layers }, () => [new nn.Linear(32, 32), new nn.ReLU()]).flat(),
    ),
    input: randn([wide, 32]),
    target: randn([wide, 32]),
    loss: nn.functional.mseLoss,
    optimizer: (parameters) => new optimizer.AdamW({ learningRate: 1e-3, parameters }),
  }),
}

beforeEach(() => setDevice('null'))

describe('a training step', () => {
  test('gives back gradients as soon as their parameters are updated, and lists what stays', async () => {
    const { plan, peak } = await arenaOf(chain, {})
    const activation = 4 * wide * 32
    // Activations of all layers, and what a few kernels on the way back hand on; not the gradients of all layers for their biases.
    expect(plan.arenaBytes).toBeGreaterThan((layers - 1) * activation)
    expect(plan.arenaBytes).toBeLessThan((layers + 4) * activation)

    const activations = peak.values.filter((v) => v.bytes === activation)
    expect(activations.length).toBeGreaterThanOrEqual(layers - 1)
    expect(activations[0]!.what).toMatch(/float32\[512, 32\]$/)
    expect(peak.bytes).toBeLessThanOrEqual(plan.arenaBytes)
    // Values that are alive together do not overlap.
    const byPlace = peak.values.toSorted((a, b) => a.byteOffset - b.byteOffset)
    for (const [i, v] of byPlace.entries())
      if (i > 0) expect(v.byteOffset).toBeGreaterThanOrEqual(byPlace[i - 1]!.byteOffset + byPlace[i - 1]!.bytes)
  })

  // Of the gradient of the larger table only the rows that are named are in memory.
  test.each([50, 4096])(
    'of an encoder over %i words takes less than half where layers are computed again, and in bfloat16 without instructions for it less than 0.6',
    async (words) => {
      const bytesOf = async (settings: StepSettings): Promise<number> =>
        (await arenaOf(encoder(words), settings)).plan.arenaBytes
      const kept = await bytesOf({})
      const [again, low] = [await bytesOf({ recomputes: true }), await bytesOf({ bfloat16: true })]
      expect(again).toBeLessThan(0.5 * kept)
      expect(low).toBeLessThan(0.6 * kept)
    },
  )
  test('of a text reader in bfloat16 takes less than 0.6: normalisations, recurrences and the loss keep nothing wide but states', async () => {
    const reader = WORKLOADS.find((w) => w.name === 'crnn_b16')!
    const [kept, low] = [await arenaOf(reader, {}), await arenaOf(reader, { bfloat16: true })]
    expect(low.plan.arenaBytes).toBeLessThan(0.6 * kept.plan.arenaBytes)
    const wide = low.peak.values.filter((v) => v.what.includes('float32') && v.bytes > 2 ** 20)
    for (const v of wide) expect(v.what).toMatch(/^result \d of scan float32\[79, 16, 256\]$/)
  })
})
