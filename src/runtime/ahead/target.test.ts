import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { ArgumentError, CompileError } from '../../common/errors.ts'
import { compilerFor, targetNamed, type TargetName } from './target.ts'

const scratch = mkdtempSync(join(tmpdir(), 'longzhou-target-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A target of another architecture than this machine's. */
const foreign = arch() === 'arm64' ? 'x86-64-v3' : 'aarch64'

describe('targets', () => {
  it('know vectors and flags of machines that are not this one', () => {
    expect(targetNamed('x86-64-v3')).toMatchObject({ architecture: 'x64', machineFlags: ['-march=x86-64-v3'] })
    expect(targetNamed('x86-64-v4').capabilities).toMatchObject({ vectorBytes: 64, threads: 4 })
    expect(targetNamed('aarch64', 2).capabilities).toMatchObject({ vectorBytes: 16, threads: 2 })
    expect(targetNamed('aarch64').capabilities.bfloat16).toBeUndefined()
    expect(() => targetNamed('sparc' as TargetName)).toThrow(ArgumentError)
    expect(() => targetNamed('aarch64', 0)).toThrow('threads')
  })

  it('say what to install where their compiler is missing', () => {
    vi.stubEnv('PATH', scratch)
    try {
      expect(() => compilerFor(targetNamed(foreign))).toThrow(CompileError)
      expect(() => compilerFor(targetNamed(foreign))).toThrow(/apt-get install gcc-.*--cc.*--emit c/)
      expect(() => compilerFor(targetNamed(foreign), 'zig cc')).toThrow("'zig cc' is not on PATH; correct --cc")
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('refuse a compiler for another machine', () => {
    const path = join(scratch, 'wrong-cc')
    writeFileSync(path, '#!/bin/sh\necho "#define __GNUC__ 12"; echo "#define __i386__ 1"\n')
    chmodSync(path, 0o755)
    expect(() => compilerFor(targetNamed('aarch64'), path)).toThrow(/compiles for unknown, the target aarch64 is arm64/)
  })
})
