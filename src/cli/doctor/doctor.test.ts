import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pc from 'picocolors'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readEnvironment } from '../../common/env.ts'
import { compilerCandidates, LAST_COMPILE_ERROR } from '../../runtime/compiler.ts'
import { detectCpuFeatures } from '../../runtime/cpu-features.ts'
import { examine } from '../commands/doctor.ts'
import { checkDevices } from './devices.ts'
import { checkCpu, checkFonts, checkMemory, checkNode } from './machine.ts'
import { formatReport } from './report.ts'
import { checkCache, checkCompiler, checkLastCompileError, environmentFinding } from './toolchain.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-doctor-test-'))
  vi.stubEnv('LONGZHOU_CACHE_DIR', join(root, 'cache'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

test('this machine: every finding that is not fine says what to do, and all of it is JSON', async () => {
  const report = await examine()
  expect(report.findings.map((finding) => finding.name)).toEqual([
    'node',
    'cpu',
    'memory',
    'compiler',
    'cache',
    'devices',
    'roofline',
    'workers',
    'fonts',
  ])
  for (const { status, fix } of report.findings) expect(fix === undefined).toBe(status === 'ok')
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({ ok: true, version: report.version })
  expect(formatReport(report, pc.createColors(false))).toMatch(/✓ Node +\d+\.\d+\.\d+, /)
})

describe('compiler', () => {
  test.runIf(compilerCandidates().length > 0)('the one that works is named with what it targets', async () => {
    const finding = await checkCompiler()
    expect(finding).toMatchObject({ status: 'ok', details: { failure: undefined } })
    expect(finding.summary).toMatch(/^(gcc|clang) \d+\.\d+/)
  })

  test('none at all', async () => {
    const finding = await checkCompiler({ PATH: root })
    expect(finding).toMatchObject({ status: 'warning', summary: expect.stringMatching(/^none: .*wasm/) })
    expect(finding.fix).toMatch(/install a C compiler/)
  })

  test('one that answers but does not compile: the reason is shown and kept for the next visit', async () => {
    const path = join(root, 'cc')
    writeFileSync(
      path,
      '#!/bin/sh\ncase "$*" in *-E*) echo "#define __GNUC__ 9";; *) echo "ld: error: no libc" >&2; exit 1;; esac\n',
    )
    chmodSync(path, 0o755)
    const finding = await checkCompiler({ PATH: root, CC: path })
    expect(finding).toMatchObject({ status: 'warning', fix: 'correct or unset CC' })
    expect(finding.notes?.[0]).toMatch(/ld: error: no libc/)
    const [last] = checkLastCompileError()
    expect(last?.summary).toMatch(/failed at \d{4}-.*ld: error: no libc/)
    expect(last?.fix).toContain(join(root, 'cache', LAST_COMPILE_ERROR))
  })
})

describe('cache directory', () => {
  const check = () => checkCache({ LONGZHOU_CACHE_DIR: join(root, 'cache') })

  test('is not created by looking at it', () => {
    expect(check()).toMatchObject({ status: 'ok', details: { exists: false, writable: true } })
    expect(check().details).toMatchObject({ exists: false })
  })

  test('its size', () => {
    mkdirSync(join(root, 'cache', 'sub'), { recursive: true, mode: 0o700 })
    writeFileSync(join(root, 'cache', 'sub', 'kernel.so'), 'x'.repeat(2048))
    expect(check()).toMatchObject({ status: 'ok', summary: expect.stringMatching(/1 files, 2 KiB$/) })
    expect(check().details).toMatchObject({ private: true, mode: '0700', files: 1, bytes: 2048 })
  })

  test.each([
    [0o755, /not private \(mode 0755\)/, /chmod 700/],
    [0o777, /may be written by others/, /chmod 700/],
    [0o1777, /may be written by others/, /LONGZHOU_CACHE_DIR/],
  ])('mode %o', (mode, summary, fix) => {
    mkdirSync(join(root, 'cache'))
    chmodSync(join(root, 'cache'), mode)
    expect(check()).toMatchObject({
      status: 'warning',
      summary: expect.stringMatching(summary),
      fix: expect.stringMatching(fix),
    })
  })

  test('a file in its place', () => {
    writeFileSync(join(root, 'cache'), '')
    expect(check()).toMatchObject({ status: 'warning', summary: expect.stringMatching(/not a directory/) })
  })
})

test('an old Node, a processor without AVX2 and missing fonts each come with a fix', () => {
  expect(checkNode('18.20.1')).toMatchObject({ status: 'problem', fix: 'install Node 20 or newer' })
  const cpu = detectCpuFeatures(() => undefined, 2, 'x64')
  expect(checkCpu(cpu)).toMatchObject({ status: 'warning', fix: expect.stringMatching(/AVX2/) })
  const absent = (): string => {
    throw new Error('not found')
  }
  expect(checkFonts(absent)).toMatchObject({ status: 'warning', fix: expect.stringMatching(/npm ci/) })
  expect(checkMemory(1024 ** 3, 0)).toMatchObject({ status: 'warning', fix: expect.stringMatching(/2 GiB/) })
})

test('devices with and without a compiler', () => {
  expect(checkDevices(true).details).toMatchObject({ devices: { cpu: { availability: 'native' } } })
  const without = checkDevices(false)
  expect(without).toMatchObject({ status: 'ok', summary: expect.stringMatching(/cpu \(runs on wasm, no compiler\)/) })
  expect(without.notes?.[0]).toMatch(/webgpu.*gpu/)
})

test('a variable with a bad value is a problem', () => {
  expect(environmentFinding(() => readEnvironment({ LONGZHOU_NUM_THREADS: 'many' }))).toEqual([
    expect.objectContaining({ status: 'problem', summary: expect.stringMatching(/LONGZHOU_NUM_THREADS is 'many'/) }),
  ])
  expect(environmentFinding(() => readEnvironment({}))).toEqual([])
})
