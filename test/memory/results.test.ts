/** Results that a loop makes and drops: their memory comes back soon enough that the next ones are made of it. */
import { expect, test } from 'vitest'
import { matmul, randn, realize } from '../../src/tensor/index.ts'

/** Most bytes of array buffers in a loop that drops results, beyond what was there before, in results. */
async function mostAlive(columns: number, results: number): Promise<number> {
  const [x, y] = [randn([2048, 16]), randn([16, columns])]
  await realize([x, y])
  const bytes = 2048 * columns * 4
  await realize(matmul(x, y))
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let i = 0; i < results; i++) {
    await realize(matmul(x, y))
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  return most / bytes
}

test('results of 10 MB: two are alive beside the first, not as many as V8 would let wait', async () => {
  expect(await mostAlive(1280, 24)).toBeLessThan(2.5)
})

test('results of 25 MB: one at a time beside the first', async () => {
  expect(await mostAlive(3072, 16)).toBeLessThan(1.5)
})
