import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { buildPackage } from '../../scripts/build.ts'
import { makeScratch, ROOT } from '../support/scratch.ts'

let outDir: string
let scratch: string
beforeAll(async () => {
  scratch = makeScratch('build')
  outDir = join(scratch, 'dist')
  await buildPackage(ROOT, outDir)
})
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
