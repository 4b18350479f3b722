/** Fused however the compiler likes, a random graph gives the reference's numbers on every backend. */
import { describe, expect, it } from 'vitest'
import { submit } from '../../src/tensor/realize.ts'
import { setDevice } from '../../src/tensor/device.ts'
import { Tensor } from '../../src/tensor/tensor.ts'
import { firstDifference, judged } from '../support/backends.ts'
import { leafTensors, randomGraph, type RandomGraph } from '../support/random-graph.ts'

async function values(
  graph: RandomGraph,
  device: string,
): Promise<{ shape: readonly number[]; data: ArrayLike<number | bigint> }[]> {
  setDevice(device)
  const roots = graph.build(leafTensors(graph))
  submit(roots)
  return Promise.all(roots.map(async (r) => ({ shape: r.shape, data: await new Tensor(r).data() })))
}

describe.each(judged)('random graphs on %s', (device) => {
  it.each([8, 14, 24])('of about %i ops', async (size) => {
    for (let seed = 0; seed < 25; seed++) {
      const graph = randomGraph(seed + size * 1000, size)
      const expected = await values(graph, 'reference')
      const got = await values(graph, device)
      got.forEach((g, i) => {
        const at = firstDifference(expected[i]!.data, g.data, 1e-4)
        expect(at, `${graph.describe()}; root ${i}: ${expected[i]!.data[at]} expected, ${g.data[at]} got`).toBe(-1)
      })
    }
  })
})
