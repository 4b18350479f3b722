/** Memory looks after itself: a training loop that never disposes of anything holds no more after 2,000 steps than after 200. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { ROOT } from '../support/scratch.ts'

const run = promisify(execFile)

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** Medians of windows of 300 steps, from step 200 on: a collection or a compilation by V8 in between moves single samples. */
function windows(samples: readonly number[]): number[] {
  const after = samples.slice(20)
  return Array.from({ length: 6 }, (_, i) => median(after.slice(i * 30, (i + 1) * 30)))
}

interface Samples {
  readonly resident: readonly number[]
  readonly old: readonly number[]
  readonly loss: number
}

let samples: Promise<Samples> | null = null

/** The loop runs once for all tests. */
function trained(): Promise<Samples> {
  const script = join(ROOT, 'test/memory/training-loop.ts')
  samples ??= run(process.execPath, ['--import', import.meta.resolve('tsx'), script, '2000'], { cwd: ROOT }).then(
    ({ stdout }) => JSON.parse(stdout) as Samples,
  )
  return samples
}

test('2,000 training steps: resident memory stays within 5 % of what it was after the first 200', async () => {
  const { resident, loss } = await trained()
  expect(resident).toHaveLength(200)
  expect(Number.isFinite(loss)).toBe(true)
  const [first, ...later] = windows(resident)
  expect(Math.max(...later) / first!, [first, ...later].join(', ')).toBeLessThan(1.05)
})

/**
 * What V8 allocates in its old generation keeps the graph of every step, 45 KB here, or its results until a thorough collection
 * (`makeLiteralsYoung`). What a step does leave behind is 1.1 to 1.6 KB: promises, and a word for each piece of memory.
 */
test('the graph of a training step dies young', async () => {
  const { old } = await trained()
  const after = old.slice(20)
  const grown = after.reduce((sum, bytes, i) => sum + Math.max(0, bytes - (after[i - 1] ?? bytes)), 0)
  expect(grown / 1800).toBeLessThan(3000)
})
