import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runSubprocess, runSubprocessSync } from './subprocess.ts'

const variants = [
  ['blocking', async (...all: Parameters<typeof runSubprocessSync>) => runSubprocessSync(...all)],
  ['asynchronous', runSubprocess],
] as const

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-subprocess-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const isAlive = (pid: number): boolean => {
  // A killed process that nobody has reaped yet still answers signals: its state tells.
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe.each(variants)('%s', (_name, run) => {
  test('passes input, collects both outputs and the status', async () => {
    const result = await run('sh', ['-c', 'cat; echo wrong >&2; exit 3'], { input: '你好', timeoutMs: 10_000 })
    expect(result).toEqual({ status: 3, signal: null, stdout: '你好', stderr: 'wrong\n', timedOut: false })
  })

  test('a program that is not there is a start error, not an exception', async () => {
    const result = await run(join(root, 'absent'), [], { timeoutMs: 10_000 })
    expect(result.status).toBeNull()
    expect(result.startError?.message).toMatch(/ENOENT/)
  })

  test('a program that does not read its input is no error', async () => {
    const result = await run('true', [], { input: 'x'.repeat(1 << 20), timeoutMs: 10_000 })
    expect(result.status).toBe(0)
    expect(result.startError).toBeUndefined()
  })

  test.runIf(existsSync('/proc/self/stat'))(
    'a program that hangs ends after the timeout, children included',
    async () => {
      const pidFile = join(root, 'pid')
      const started = performance.now()
      const result = await run('sh', ['-c', `sleep 60 & echo $! > '${pidFile}'; wait`], { timeoutMs: 400 })
      expect(result.timedOut).toBe(true)
      expect(performance.now() - started).toBeLessThan(20_000)
      const child = Number(readFileSync(pidFile, 'utf8'))
      for (let tries = 0; tries < 100 && isAlive(child); tries++) await sleep(20)
      expect(isAlive(child)).toBe(false)
    },
  )
})
