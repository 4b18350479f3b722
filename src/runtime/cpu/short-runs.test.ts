import { expect, test } from 'vitest'
import { ShortRuns } from './short-runs.ts'

test('short runs are done here until they have kept the event loop waiting, and again after its turn', async () => {
  const runs = new ShortRuns()
  let done = 0
  while (runs.mostNs() > 0) {
    runs.note(900_000)
    done++
  }
  expect(done).toBeGreaterThan(1)
  expect(done).toBeLessThan(20)
  await Promise.resolve()
  expect(runs.mostNs()).toBe(0)
  await new Promise((resolve) => setTimeout(resolve, 1))
  expect(runs.mostNs()).toBeGreaterThan(0)
})
