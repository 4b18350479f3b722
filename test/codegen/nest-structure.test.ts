/** A nest whose structure is known takes over a kernel that was written for other sizes: it is the one that would be written, with the same arguments. */
import { expect, test } from 'vitest'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { generatePlan, type GeneratedPlan } from '../../src/codegen/generate.ts'
import { withFreshNests } from '../../src/codegen/nest-memo.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { numel } from '../../src/common/shape.ts'
import { setDevice } from '../../src/index.ts'
import { capture } from '../../src/schedule/capture.ts'
import { launchesOf } from '../../src/schedule/plan.ts'
import { fromHost, type Tensor } from '../../src/tensor/tensor.ts'
import { randomGraph, type RandomGraph } from '../support/random-graph.ts'

const capabilities: Capabilities = { vectorBytes: 32, threads: 2, cacheBytes: [32768, 524288, 4194304], blocking: true }

/** Leaves of a graph with every axis but those of one element longer by `more`. */
function leavesOf(graph: RandomGraph, more: number): Tensor[] {
  return graph.leaves.map((l) => {
    const shape = l.shape.map((d) => (d === 1 ? 1 : d + more))
    return fromHost({ dtype: 'float32', shape, data: new Float32Array(numel(shape)) })
  })
}

/** What is launched, each kernel by its structure. */
function launched({ plan, kernels }: GeneratedPlan): string[] {
  const plain = (_: string, v: unknown): unknown => (typeof v === 'bigint' ? `${v}n` : v)
  return launchesOf(plan).map((l) => JSON.stringify({ ...l, kernel: structureOf(kernels[l.kernel]!) }, plain))
}

test('nests of random graphs at several sizes', () => {
  setDevice('null')
  const kernels = new Set<string>()
  let launches = 0
  for (let seed = 0; seed < 150; seed++) {
    for (const more of [0, 1, 3, 20]) {
      const graph = randomGraph(seed, 6 + (seed % 3) * 6)
      const program = (): ReturnType<typeof capture> => capture(graph.build(leavesOf(graph, more)), [])
      const known = launched(generatePlan(program(), capabilities))
      const fresh = withFreshNests(() => launched(generatePlan(program(), capabilities)))
      expect(known, `${graph.describe()}, ${more} longer`).toEqual(fresh)
      launches += known.length
      for (const l of known) kernels.add((JSON.parse(l) as { kernel: string }).kernel)
    }
  }
  // Most kernels were there before.
  expect(launches).toBeGreaterThan(2 * kernels.size)
})
