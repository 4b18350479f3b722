import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { makeScratch, ROOT } from '../support/scratch.ts'

let outDir: string
let scratch: string
beforeAll(() => {
  scratch = makeScratch('build')
  outDir = join(scratch, 'dist')
  build()
})

/** In a process of its own, and again if it hangs: on two busy cores the bundler's native threads were seen to do so, once in many builds. */
function build(tries = 2): void {
  try {
    execFileSync(process.execPath, ['--import', 'tsx', join(ROOT, 'scripts/build.ts'), outDir], { timeout: 80_000 })
  } catch (error) {
    if (tries === 1 || !(error instanceof Error && 'code' in error && error.code === 'ETIMEDOUT')) throw error
    build(tries - 1)
  }
}
afterAll(() => rmSync(scratch, { recursive: true }))

test('the built command runs without TypeScript tools', () => {
  const run = (...argv: string[]) =>
    execFileSync(process.execPath, [join(outDir, 'cli/main.js'), ...argv], { encoding: 'utf8' })
  expect(run('--version')).toBe(`${manifest.version}\n`)
  expect(run('doctor', '--help')).toMatch(/longzhou doctor/)
  expect(JSON.parse(run('doctor', '--json'))).toMatchObject({ version: manifest.version })
})

test('a command line that cannot be understood ends with 2', () => {
  const ended = spawnSync(process.execPath, [join(outDir, 'cli/main.js'), 'dctor'], { encoding: 'utf8' })
  expect(ended).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/unknown command 'dctor'/) })
})

test('tests are not shipped', () => {
  const files = readdirSync(outDir, { recursive: true, encoding: 'utf8' })
  expect(files.length).toBeGreaterThan(10)
  expect(files.filter((file) => file.includes('.test.'))).toEqual([])
})
