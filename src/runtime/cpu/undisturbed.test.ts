import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CpuBackend } from './backend.ts'
import { Undisturbed } from './undisturbed.ts'

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

describe.runIf(existsSync(tasks) && availableParallelism() > 1)('threads of the engine', () => {
  const { native } = new CpuBackend()

  test('leave a processor and return', () => {
    const before = allowed()
    native.keepProcessor()
    const away = moved(before)
    native.keepProcessor()
    expect(away.length).toBeGreaterThan(0)
    expect(away.length).toBeLessThan(before.size)
    native.shareProcessor()
    expect(moved(before)).toEqual([])
    native.shareProcessor()
    expect(moved(before)).toEqual([])
  })
})

describe('when they keep off', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** Whether they are off now. */
  function watched(): { readonly undisturbed: Undisturbed; readonly isOff: () => boolean } {
    let off = false
    const native = { keepProcessor: () => void (off = true), shareProcessor: () => void (off = false) }
    return { undisturbed: new Undisturbed(native), isOff: () => off }
  }

  test('from a plan on, for some submissions', () => {
    const { undisturbed, isOff } = watched()
    undisturbed.submitted()
    expect(isOff()).toBe(false)
    undisturbed.begin()
    let submissions = 0
    for (; isOff(); submissions++) undisturbed.submitted()
    expect(submissions).toBeGreaterThan(10)
    undisturbed.submitted()
    expect(isOff()).toBe(false)
    undisturbed.begin()
    expect(isOff()).toBe(true)
  })

  test('no longer than somebody submits', () => {
    const { undisturbed, isOff } = watched()
    undisturbed.begin()
    for (let i = 0; i < 5; i++) {
      vi.advanceTimersByTime(800)
      undisturbed.submitted()
      expect(isOff()).toBe(true)
    }
    vi.advanceTimersByTime(1200)
    expect(isOff()).toBe(false)
    undisturbed.submitted()
    expect(isOff()).toBe(false)
  })
})
