import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { afterAll, expect, test } from 'vitest'
import { RandomState } from '../../src/common/numpy-random.ts'
import { loadCheckpoint, saveCheckpoint } from '../../src/io/checkpoint.ts'
import { buildSources } from '../support/build.ts'

const root = mkdtempSync(join(tmpdir(), 'checkpoint-kill-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/**
 * Lets a process save over `directory` again and again, and kills it some milliseconds after it has said that it is ready and that `saves` saves
 * are done. Gives the last round that it said was saved.
 */
async function saveAndKill(
  script: string,
  directory: string,
  first: number,
  saves: number,
  delay: number,
): Promise<number> {
  const child = spawn(process.execPath, [script, directory, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let lines: string[] = []
  let killing: NodeJS.Timeout | undefined
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += text.toString()
    lines = printed.trim().split('\n')
    if (lines.length > saves) killing ??= setTimeout(() => child.kill('SIGKILL'), delay)
  })
  await exited
  return lines.length > 1 ? Number(lines.at(-1)) : first - 1
}

test('20 processes killed while saving: there is always a whole checkpoint, never older than the last one reported', async () => {
  const script = join(buildSources('checkpoint-kill', ['src', 'test/io']), 'test/io/save-forever.js')
  const directory = join(root, 'best')
  const random = new RandomState(1)
  let next = 0
  for (let round = 0; round < 20; round++) {
    const reported = await saveAndKill(script, directory, next, round % 3, random.uniform(0, 25))
    const checkpoint = await loadCheckpoint(directory).catch((error: unknown) =>
      reported < 0 ? undefined : Promise.reject(error),
    )
    if (checkpoint === undefined) continue
    const { round: saved } = checkpoint.state as { round: number }
    expect(saved).toBeGreaterThanOrEqual(reported)
    expect(checkpoint.tensors.model!.weights!.data.every((v) => v === saved)).toBe(true)
    expect(checkpoint.tensors.optimizer!.moments!.data.every((v) => v === saved)).toBe(true)
    next = saved + 1
  }
  expect(next).toBeGreaterThanOrEqual(19)
  await saveCheckpoint(directory, { tensors: {}, state: 'last' })
  expect(readdirSync(root)).toEqual(['best'])
}, 60_000)
