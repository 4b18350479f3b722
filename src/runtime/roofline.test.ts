import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { compilerCandidates } from './compiler.ts'
import { CpuBackend } from './cpu/backend.ts'
import { machineRoofline } from './cpu/roofline.ts'
import { detectCpuFeatures } from './cpu-features.ts'
import { parseRoofline, roofOf, type Roofline } from './roofline.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-roofline-'))
  vi.stubEnv('LONGZHOU_CACHE_DIR', join(root, 'cache'))
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const roofline: Roofline = {
  machine: { model: 'x', architecture: 'x64', cores: 4, vectorBytes: 32 },
  measured: '2026-01-01T00:00:00.000Z',
  speeds: [
    { threads: 1, gflops: { 16: 50, 32: 100 }, memory: { read: 12, write: 8, triad: 10 } },
    { threads: 4, gflops: { 16: 150, 32: 300 }, memory: { read: 24, write: 16, triad: 20 } },
  ],
}

test('the roof over some threads lies between that of one core and that of all', () => {
  expect([1, 2, 3, 4, 8].map((t) => roofOf(roofline, t))).toEqual([
    { gflops: 100, gbs: 10 },
    { gflops: 200, gbs: 20 },
    { gflops: 300, gbs: 20 },
    { gflops: 300, gbs: 20 },
    { gflops: 300, gbs: 20 },
  ])
})

describe('a text that holds no roofline', () => {
  const [one] = roofline.speeds
  const changed = (speeds: unknown): string => JSON.stringify({ ...roofline, speeds })
  test.each([
    '',
    '{',
    'null',
    '[]',
    '{}',
    changed([]),
    changed([{ ...one, gflops: {} }]),
    changed([{ ...one, memory: {} }]),
  ])('%s', (text) => expect(parseRoofline(text)).toBeNull())
  test('unlike one that does', () => expect(parseRoofline(JSON.stringify(roofline))).toEqual(roofline))
})

test.runIf(compilerCandidates().length > 0)('this machine is measured once', async () => {
  const cpu = new CpuBackend()
  cpu.setNumThreads(2)
  expect(cpu.roof()).toBeNull()
  const measured = await machineRoofline(cpu)
  const { model, vectorBytes } = detectCpuFeatures()
  expect(measured.machine).toMatchObject({ model, vectorBytes })
  expect(Object.keys(measured.speeds[0]!.gflops)).toContain('16')
  expect(measured.speeds.every((s) => s.memory.triad > 0)).toBe(true)
  expect(cpu.capabilities.threads).toBe(2)
  expect(await machineRoofline(cpu)).toEqual(measured)
  expect(cpu.roof()).toEqual(roofOf(measured, 2))
  const other = { ...measured, machine: { ...measured.machine, model: 'another' } }
  writeFileSync(join(root, 'cache', 'roofline.json'), JSON.stringify(other))
  vi.resetModules()
  const fresh = await import('./roofline.ts')
  expect(fresh.readRoofline()).toBeNull()
})
