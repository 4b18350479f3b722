/** The registry of memory that threads share. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { InternalError } from '../../common/errors.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import { compilerCandidates } from '../compiler.ts'
import { CpuBackend } from './backend.ts'
import type { CpuSharedMemory } from './shared-memory.ts'

const hasCompiler = compilerCandidates().length > 0
let root: string
let cpu: CpuBackend
let shared: CpuSharedMemory

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-shared-'))
  vi.stubEnv('LONGZHOU_CACHE_DIR', root)
  if (!hasCompiler) return
  cpu = new CpuBackend()
  ;({ shared } = cpu)
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

function bufferOf(...bytes: number[]): DeviceBuffer {
  const buffer = cpu.allocate(bytes.length)
  cpu.write(buffer, Uint8Array.from(bytes))
  return buffer
}

const nothing = { buffers: 0, bytes: 0 }

describe.runIf(hasCompiler)('shared memory', () => {
  test('holds equal contents once, as long as somebody has them', async () => {
    const [a, b] = [shared.share(bufferOf(1, 2, 3))!, shared.share(bufferOf(1, 2, 3))!]
    expect(shared.nameOf(a)).toBe(shared.nameOf(b))
    expect((a as { address?: number }).address! % 64).toBe(0)
    expect(shared.usage()).toEqual({ buffers: 1, bytes: 3 })
    const others = [shared.share(bufferOf(1, 2, 4))!, shared.share(bufferOf(1, 2, 3, 0))!, shared.share(bufferOf(3))!]
    expect(new Set([a, ...others].map((x) => shared.nameOf(x))).size).toBe(4)
    expect(shared.usage()).toEqual({ buffers: 4, bytes: 11 })
    shared.release(a)
    shared.release(a)
    expect([...(await cpu.read(b))]).toEqual([1, 2, 3])
    for (const x of [b, ...others]) shared.release(x)
    expect(shared.usage()).toEqual(nothing)
    // What comes again has another name: what was computed from the first is gone with it.
    const again = shared.share(bufferOf(1, 2, 3))!
    expect(shared.nameOf(again)).not.toBe(shared.nameOf(b))
    shared.release(again)
  })

  test('tells apart contents of many sizes', () => {
    const sizes = [1, 7, 8, 31, 32, 33, 63, 64, 65, 1000]
    const buffers = sizes.flatMap((n) =>
      [0, n - 1].map((at) => {
        const bytes = new Array<number>(n).fill(0)
        bytes[at] = 1
        return shared.share(bufferOf(...bytes))!
      }),
    )
    // The first and the last byte of one byte are the same.
    expect(new Set(buffers.map((x) => shared.nameOf(x))).size).toBe(2 * sizes.length - 1)
    expect(shared.usage().buffers).toBe(2 * sizes.length - 1)
    for (const x of buffers) shared.release(x)
    expect(shared.usage()).toEqual(nothing)
  })

  test('finds what was published by key and size, and keeps the first of two', () => {
    expect(shared.find('packed', 4)).toBe(null)
    const own = shared.allocate(4)
    expect(shared.find('packed', 4)).toBe(null)
    expect(shared.publish('packed', own)).toBe(own)
    const found = shared.find('packed', 4)!
    expect(shared.nameOf(found)).toBe(shared.nameOf(own))
    expect(shared.find('packed', 8)).toBe(null)
    expect(shared.find('packed2', 4)).toBe(null)
    const late = shared.publish('packed', shared.allocate(4))
    expect(shared.nameOf(late)).toBe(shared.nameOf(own))
    expect(shared.usage()).toEqual({ buffers: 1, bytes: 4 })
    for (const x of [own, found, late]) shared.release(x)
    expect(shared.usage()).toEqual(nothing)
  })

  test('is not written any more, and nothing is shared that cannot be', () => {
    const x = shared.share(bufferOf(1, 2))!
    expect(shared.share(x)).toBe(x)
    expect(() => cpu.write(x, Uint8Array.of(9))).toThrow(InternalError)
    expect(shared.share(cpu.allocate(0))).toBe(null)
    const own = bufferOf(5)
    expect(shared.nameOf(own)).toBe(null)
    shared.release(own)
    expect(shared.publish('own', own)).toBe(own)
    shared.release(x)
    expect(shared.usage()).toEqual(nothing)
  })

  test('goes with buffers that nobody has any more, while more of it is asked for', async () => {
    const bytes = 1 << 22
    let most = 0
    for (let i = 0; i < 100; i++) {
      const source = cpu.allocate(bytes)
      cpu.write(source, Uint8Array.of(i))
      expect(shared.share(source)).not.toBe(null)
      most = Math.max(most, shared.usage().bytes)
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    expect(most).toBeGreaterThanOrEqual(bytes)
    expect(most).toBeLessThan(60 * bytes)
  })
})
