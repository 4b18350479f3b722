import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CompileError } from '../common/errors.ts'
import {
  compileSharedObject,
  compileSharedObjectSync,
  compilerCandidates,
  type Compiler,
  findCompiler,
  LAST_COMPILE_ERROR,
  probeCompiler,
} from './compiler.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-compiler-'))
  vi.stubEnv('LONGZHOU_CACHE_DIR', join(root, 'cache'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

/** An executable shell script that stands in for a compiler. */
function fakeProgram(name: string, body: string): string {
  const path = join(root, name)
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}

const fakeCompiler = (path: string): Compiler => ({
  name: 'fake',
  path,
  leadingArguments: [],
  family: 'unknown',
  version: '1',
  target: 'x64',
  machineFlags: [],
  features: new Set(),
})

describe('finding a compiler', () => {
  test('looks through PATH in the order cc, gcc, clang', () => {
    fakeProgram('clang', 'true')
    fakeProgram('gcc', 'true')
    expect(compilerCandidates({ PATH: root }).map((candidate) => candidate.name)).toEqual(['gcc', 'clang'])
    expect(compilerCandidates({ PATH: '' })).toEqual([])
  })

  test('CC excludes the others and may carry arguments', () => {
    fakeProgram('gcc', 'true')
    fakeProgram('wrap', 'true')
    expect(compilerCandidates({ PATH: root, CC: 'wrap gcc -m64' })).toEqual([
      { name: '$CC', path: join(root, 'wrap'), leadingArguments: ['gcc', '-m64'] },
    ])
  })

  test('without any compiler one sentence says what to install', () => {
    expect(() => findCompiler({ PATH: root })).toThrow(CompileError)
    expect(() => findCompiler({ PATH: root })).toThrow(/no C compiler found.*apt-get install gcc/)
    expect(() => findCompiler({ PATH: root, CC: 'icc' })).toThrow(/CC is 'icc'/)
  })

  test('a compiler that fails is passed over for the next one', () => {
    fakeProgram('cc', 'echo "cc: fatal error: broken installation" >&2; exit 1')
    expect(() => findCompiler({ PATH: root })).toThrow(/does not work: cc: fatal error: broken installation/)
    fakeProgram('gcc', 'echo "#define __GNUC__ 13"; echo "#define __AVX2__ 1"; echo "#define __x86_64__ 1"')
    const compiler = findCompiler({ PATH: root })
    expect(compiler).toMatchObject({ name: 'gcc', family: 'gcc', version: '13.?.?', target: 'x64' })
    expect([...compiler.features]).toEqual(['avx2'])
  })

  test('a compiler without -march=native is asked for -mcpu=native, then for neither', () => {
    const macros = 'echo "#define __clang__ 1"; echo "#define __ARM_NEON 1"; echo "#define __aarch64__ 1"'
    const path = fakeProgram('clang', `case "$*" in *-march=native*) exit 1;; esac; ${macros}`)
    const compiler = probeCompiler({ name: 'clang', path, leadingArguments: [] })
    expect(compiler).toMatchObject({ family: 'clang', target: 'arm64', machineFlags: ['-mcpu=native'] })
    expect(compiler.features.has('neon')).toBe(true)
  })

  test('a compiler that hangs is ended', () => {
    const path = fakeProgram('cc', 'sleep 60')
    expect(() => probeCompiler({ name: 'cc', path, leadingArguments: [] }, 200)).toThrow(/did not finish within 0.2 s/)
  })
})

const hasCompiler = compilerCandidates().length > 0

const variants = [
  ['blocking', async (...all: Parameters<typeof compileSharedObjectSync>) => compileSharedObjectSync(...all)],
  ['asynchronous', compileSharedObject],
] as const

describe.each(variants)('compiling, %s', (_name, compile) => {
  test.runIf(hasCompiler)('a shared object that can be loaded', async () => {
    const output = join(root, 'probe.so')
    const source = 'double root(double); double sqrt(double); double root(double x) { return sqrt(x) + BIAS; }'
    await compile(source, output, ['-O2', '-DBIAS=1.0', '-lm'])
    expect(koffi.load(output).func('double root(double)')(9)).toBe(4)
    expect(readdirSync(root).filter((file) => file.endsWith('.tmp'))).toEqual([])
  })

  test.runIf(hasCompiler)('wrong source gives the first error, keeps the messages and leaves no file', async () => {
    const output = join(root, 'wrong.so')
    const error = await compile('int f(void) { return undeclared; }', output, []).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(CompileError)
    expect((error as Error).message).toMatch(/error:.*undeclared/)
    const kept = readFileSync(join(root, 'cache', LAST_COMPILE_ERROR), 'utf8')
    expect(kept).toMatch(/-shared -fPIC/)
    expect(kept).toMatch(/undeclared/)
    expect((error as Error).message).toContain(join(root, 'cache', LAST_COMPILE_ERROR))
    expect(readdirSync(root).filter((file) => file.includes('.so'))).toEqual([])
  })

  test('a compiler that hangs half-way leaves no file and says so', async () => {
    const path = fakeProgram('slow', 'sleep 60')
    const options = { compiler: fakeCompiler(path), timeoutMs: 200 }
    await expect(compile('int x;', join(root, 'slow.so'), [], options)).rejects.toThrow(/did not finish within 0.2 s/)
    expect(existsSync(join(root, 'slow.so'))).toBe(false)
  })

  test('an unwritable cache directory does not hide the error', async () => {
    writeFileSync(join(root, 'cache'), 'a file in the way')
    const compiler = fakeCompiler(fakeProgram('bad', 'echo "bad: error: no" >&2; exit 1'))
    await expect(compile('int x;', join(root, 'x.so'), [], { compiler })).rejects.toThrow(/failed: bad: error: no$/)
  })

  test('a compiler that vanished is a CompileError', async () => {
    const options = { compiler: fakeCompiler(join(root, 'gone')) }
    await expect(compile('int x;', join(root, 'x.so'), [], options)).rejects.toThrow(/could not be started.*ENOENT/)
  })
})

test.runIf(hasCompiler)('several compilations of one file at once end with one whole file', async () => {
  const output = join(root, 'same.so')
  await Promise.all([1, 2, 3].map(() => compileSharedObject('int one(void) { return 1; }', output, [])))
  expect(koffi.load(output).func('int one()')()).toBe(1)
})
