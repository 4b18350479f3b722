import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { buildSources } from '../support/build.ts'

const script = fileURLToPath(new URL('./unfinished-loop.ts', import.meta.url))

test('from TypeScript under tsx; a loader that was left does not keep the process alive', () => {
  const run = spawnSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8', timeout: 20_000 })
  expect([run.stdout, run.stderr, run.status]).toEqual(['[2,2]\n', '', 0])
}, 30_000)

test('from built JavaScript, without any loader', () => {
  const built = buildSources('dataloader-built', ['src', 'test/io'])
  const stdout = execFileSync(process.execPath, [join(built, 'test/io/unfinished-loop.js')], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  expect(stdout).toBe('[2,2]\n')
}, 30_000)
