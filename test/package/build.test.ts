import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { makeScratch, ROOT } from '../support/scratch.ts'

// Where npm would put it.
const scratch = makeScratch('build')
const user = join(scratch, 'user')
const installed = join(user, 'node_modules/longzhou')
const outDir = join(installed, 'dist')
beforeAll(() => {
  mkdirSync(installed, { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'))
  execFileSync(process.execPath, ['--import', 'tsx', join(ROOT, 'scripts/build.ts'), outDir])
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

test('types are whole for who uses the package', () => {
  for (const scope of ['@types', 'undici-types'])
    symlinkSync(join(ROOT, 'node_modules', scope), join(user, 'node_modules', scope))
  writeFileSync(
    join(user, 'main.mts'),
    `import { nn, toTensor, type Tensor } from 'longzhou'
import { createPredictor } from 'longzhou/inference'
const y: Tensor = new nn.Linear(2, 3)(toTensor([[1, 2]])).add(1).exp()
// @ts-expect-error a method that is not there
y.frobnicate()
export const predictor = createPredictor({ model: 'model', threads: 2 })
`,
  )
  const compiler = join(ROOT, 'node_modules/typescript/lib/tsc.js')
  for (const resolution of [
    ['--module', 'nodenext'],
    ['--module', 'esnext', '--moduleResolution', 'bundler'],
  ]) {
    const argv = [
      compiler,
      '--ignoreConfig',
      '--strict',
      '--noEmit',
      '--target',
      'es2023',
      '--types',
      'node',
      ...resolution,
      'main.mts',
    ]
    const ended = spawnSync(process.execPath, argv, { cwd: user, encoding: 'utf8' })
    expect(ended).toMatchObject({ status: 0, stdout: '' })
  }
})
