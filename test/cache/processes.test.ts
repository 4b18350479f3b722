/** Several processes that share one cache of compiled code, started together while it is empty, each find or make what they need. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compilerCandidates } from '../../src/runtime/compiler.ts'
import { ROOT } from '../support/scratch.ts'

const run = promisify(execFile)

let cache: string
beforeAll(() => void (cache = mkdtempSync(join(tmpdir(), 'longzhou-processes-'))))
afterAll(() => rmSync(cache, { recursive: true }))

interface Training {
  readonly losses: readonly number[]
  readonly made: number
  readonly recalled: number
}

async function train(): Promise<Training> {
  const words = ['--import', import.meta.resolve('tsx'), join(ROOT, 'test/cache/train-once.ts')]
  const env = { ...process.env, LONGZHOU_DEVICE: 'cpu', LONGZHOU_CACHE_DIR: cache }
  const { stdout, stderr } = await run(process.execPath, words, { cwd: ROOT, env })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Training
}

const files = (): string[] => readdirSync(cache, { recursive: true, encoding: 'utf8' }).sort()

test.runIf(compilerCandidates().length > 0)('three processes started together on an empty cache', async () => {
  const [first, second, third] = await Promise.all([train(), train(), train()])
  const { losses } = first

  expect(losses).toHaveLength(3)
  expect(losses.every(Number.isFinite)).toBe(true)
  expect(second.losses).toEqual(losses)
  expect(third.losses).toEqual(losses)
  expect(files().filter((f) => /\.(tmp|c|o)$/.test(f))).toEqual([])
  const compiled = files().filter((f) => f.endsWith('.so'))
  expect(compiled.length).toBeGreaterThan(1)

  // A fourth one compiles nothing, and plans no training step.
  const fourth = await train()
  expect(fourth.losses).toEqual(losses)
  expect(fourth.recalled).toBe(1)
  expect(fourth.made).toBeLessThan(Math.max(first.made, second.made, third.made))
  expect(files().filter((f) => f.endsWith('.so'))).toEqual(compiled)

  // Damaged plans are planned anew, and replaced; so are those whose kernels are gone.
  const [plan] = files().filter((f) => f.endsWith('.plan')) as [string]
  // It names shared objects, and was written while others still compiled the same kernels: once more, when all are there.
  rmSync(join(cache, plan))
  expect(await train()).toMatchObject({ losses, recalled: 0 })
  const whole = readFileSync(join(cache, plan), 'utf8')
  writeFileSync(join(cache, plan), whole.replace('add', 'sub').slice(0, -10))
  expect(await train()).toMatchObject({ losses, recalled: 0 })
  expect(readFileSync(join(cache, plan), 'utf8')).toBe(whole)
  for (const file of compiled.filter((f) => !f.includes('runtime'))) rmSync(join(cache, file))
  expect(await train()).toMatchObject({ losses, recalled: 0 })
  expect(await train()).toMatchObject({ losses, recalled: 1 })
})
