import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))
const program = join(here, 'simple-cnn.ts')
const start = (path: string) => run(process.execPath, ['--import', 'tsx', path], { cwd: join(here, '..') })

test('one step of the simple CNN, run as a program', async () => {
  const { stdout, stderr } = await start(program)
  const loss = Number(stdout)
  expect(loss).toBeGreaterThan(1)
  expect(loss).toBeLessThan(8)
  expect(stderr).toBe('')
})

test('with 32 * 14 * 14 the error names the layer, shows the shapes, and says which size fits', async () => {
  const directory = await mkdtemp(join(here, '.slip-'))
  try {
    const slip = join(directory, 'slip.ts')
    const text = (await readFile(program, 'utf8'))
      .replace('32 * 15 * 15', '32 * 14 * 14')
      .replace("'../src", "'../../src")
    await writeFile(slip, text)
    const failure = await start(slip).then(
      () => '',
      (error: { stderr: string }) => error.stderr,
    )
    expect(failure).toContain('ShapeError: SimpleCNN.fc: linear: [4, 7200] x [6272, 10]')
    expect(failure).toContain('a weight of shape [7200, 10] fits')
  } finally {
    await rm(directory, { recursive: true })
  }
})
