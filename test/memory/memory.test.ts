/** Memory looks after itself: a training loop that never disposes of anything holds no more after 2,000 steps than after 200. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { ROOT } from '../support/scratch.ts'

const run = promisify(execFile)

interface Sample {
  readonly resident: number
  readonly heap: number
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** Medians of a quantity in windows of 300 steps, from step 200 on. */
function windows(samples: readonly Sample[], of: keyof Sample): number[] {
  const after = samples.slice(3).map((s) => s[of])
  return Array.from({ length: 6 }, (_, i) => median(after.slice(i * 6, (i + 1) * 6)))
}

test('2,000 training steps: resident memory stays within 5 % of what it was after the first 200', async () => {
  const script = join(ROOT, 'test/memory/training-loop.ts')
  const words = ['--expose-gc', '--import', import.meta.resolve('tsx'), script, '2000']
  const { stdout } = await run(process.execPath, words, { cwd: ROOT })
  const { samples, loss } = JSON.parse(stdout) as { samples: Sample[]; loss: number }
  expect(samples).toHaveLength(40)
  expect(Number.isFinite(loss)).toBe(true)
  for (const quantity of ['resident', 'heap'] as const) {
    const [first, ...later] = windows(samples, quantity)
    expect(Math.max(...later) / first!, `${quantity}: ${[first, ...later].join(', ')}`).toBeLessThan(1.05)
  }
})
