import { expect, test } from 'vitest'
import { ShortRuns } from './short-runs.ts'

test('short runs are done here until they have kept the event loop waiting, and again after its turn', async () => {
  const runs = new ShortRuns()
  expect(runs.mayRun(Infinity)).toBe(false)
  expect(runs.mayRun(100)).toBe(false)
  let done = 0
  while (runs.mayRun(0.5)) {
    runs.note(3)
    done++
  }
  expect(done).toBeGreaterThan(1)
  expect(done).toBeLessThan(10)
  await Promise.resolve()
  expect(runs.mayRun(0.5)).toBe(false)
  await new Promise((resolve) => setTimeout(resolve, 1))
  expect(runs.mayRun(0.5)).toBe(true)
})
