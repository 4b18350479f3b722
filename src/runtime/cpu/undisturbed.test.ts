import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { describe, expect, test } from 'vitest'
import { CpuBackend } from './backend.ts'

const tasks = '/proc/self/task'

/** The processors that each thread of this process may use. */
function allowed(): Map<string, string> {
  const maskOf = (thread: string): string => {
    try {
      return /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync(`${tasks}/${thread}/status`, 'utf8'))?.[1] ?? ''
    } catch {
      // It has ended.
      return ''
    }
  }
  return new Map(readdirSync(tasks).map((thread) => [thread, maskOf(thread)]))
}

/** Threads of `before` that may use others now. */
function moved(before: ReadonlyMap<string, string>): string[] {
  const now = allowed()
  return [...before].flatMap(([thread, mask]) => (now.has(thread) && now.get(thread) !== mask ? [thread] : []))
}

describe.runIf(existsSync(tasks) && availableParallelism() > 1)('undisturbed', () => {
  const backend = new CpuBackend()

  test('threads of the engine leave a processor while the body runs', () => {
    const before = allowed()
    const during = backend.undisturbed(() => moved(before))
    expect(during.length).toBeGreaterThan(0)
    expect(during.length).toBeLessThan(before.size)
    expect(moved(before)).toEqual([])
  })

  test('they return where the body fails', () => {
    const before = allowed()
    const fail = (): never => {
      throw new RangeError('no plan')
    }
    expect(() => backend.undisturbed(fail)).toThrow('no plan')
    expect(moved(before)).toEqual([])
    expect(moved(before)).toEqual([])
  })
})
