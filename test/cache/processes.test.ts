/** Several processes that share one cache of compiled code, started together while it is empty, each find or make what they need. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
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

async function train(): Promise<number[]> {
  const words = ['--import', import.meta.resolve('tsx'), join(ROOT, 'test/cache/train-once.ts')]
  const env = { ...process.env, LONGZHOU_DEVICE: 'cpu', LONGZHOU_CACHE_DIR: cache }
  const { stdout, stderr } = await run(process.execPath, words, { cwd: ROOT, env })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as number[]
}

const files = (): string[] => readdirSync(cache, { recursive: true, encoding: 'utf8' }).sort()

test.runIf(compilerCandidates().length > 0)('three processes started together on an empty cache', async () => {
  const losses = await Promise.all([train(), train(), train()])

  expect(losses[0]).toHaveLength(3)
  expect(losses[0]!.every(Number.isFinite)).toBe(true)
  expect(losses[1]).toEqual(losses[0])
  expect(losses[2]).toEqual(losses[0])
  expect(files().filter((f) => /\.(tmp|c|o)$/.test(f))).toEqual([])
  const compiled = files().filter((f) => f.endsWith('.so'))
  expect(compiled.length).toBeGreaterThan(1)

  // A fourth one compiles nothing.
  expect(await train()).toEqual(losses[0])
  expect(files().filter((f) => f.endsWith('.so'))).toEqual(compiled)
})
