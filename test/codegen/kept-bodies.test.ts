/** The body of a loop that was lowered before, for another length, direction or layer, is launched as if it were lowered anew. */
import { expect, test } from 'vitest'
import { withFreshBodies } from '../../src/codegen/body-memo.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { generatePlan, type GeneratedPlan } from '../../src/codegen/generate.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { nn, randn, realize, seed, setDevice, type Tensor } from '../../src/index.ts'
import { capture, type Capture } from '../../src/schedule/capture.ts'

const capabilities: Capabilities = { vectorBytes: 32, threads: 2, cacheBytes: [32768, 524288, 4194304], blocking: true }

/** All of a plan, kernels by structure, and the kernels that are compiled ahead. */
function whole({ plan, kernels, siblings, constants, prologue }: GeneratedPlan): string {
  const plain = (_: string, v: unknown): unknown => (typeof v === 'bigint' ? `${v}n` : v)
  const titled = kernels.map((k) => [k.title, structureOf(k)])
  return JSON.stringify([plan, titled, siblings.map(structureOf), constants, prologue], plain)
}

/** A recurrence with its gradients, as one program. */
async function program(layer: Recurrence, input: number, batch: number, length: number): Promise<Capture> {
  const x = randn([batch, length, input])
  await realize([x])
  const [y] = layer(x)
  y.square().mean().backward()
  const gradients = layer.parameters().map((p) => p.grad!.node)
  for (const p of layer.parameters()) p.clearGrad()
  return capture([y.node, ...gradients], [])
}

type Recurrence = nn.Layer & ((x: Tensor) => [Tensor, unknown])

const recurrences = { LSTM: nn.LSTM, GRU: nn.GRU, SimpleRNN: nn.SimpleRNN }

test.each(['LSTM', 'GRU', 'SimpleRNN'] as const)('%s', async (kind) => {
  setDevice('null')
  seed(0)
  const layer = new recurrences[kind](6, 10, { numLayers: 2, direction: 'bidirect' }) as unknown as Recurrence
  await realize(layer.parameters())
  const plans = new Set<string>()
  for (const [batch, length] of [
    [3, 7],
    [3, 12],
    [4, 12],
    [3, 1],
    [3, 30],
  ] as const) {
    const captured = await program(layer, 6, batch, length)
    for (const constant of [undefined, new Set(captured.leaves.keys())]) {
      const plan = (): string => whole(generatePlan(captured, capabilities, constant, true))
      const known = plan()
      expect(known === withFreshBodies(plan), `batch ${batch}, length ${length}`).toBe(true)
      plans.add(known)
    }
  }
  expect(plans.size).toBe(10)
})
