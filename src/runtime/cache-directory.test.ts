import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StorageError } from '../common/errors.ts'
import { cacheDirectoryPath, ensureCacheDirectory, privacyProblem } from './cache-directory.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-cache-'))
})
afterEach(() => rmSync(root, { recursive: true }))

describe('cacheDirectoryPath', () => {
  test('prefers LONGZHOU_CACHE_DIR, then XDG_CACHE_HOME, then the home directory', () => {
    const variables = { LONGZHOU_CACHE_DIR: '/a/b', XDG_CACHE_HOME: '/x', HOME: '/home/u' }
    expect(cacheDirectoryPath(variables)).toBe('/a/b')
    expect(cacheDirectoryPath({ ...variables, LONGZHOU_CACHE_DIR: '' })).toBe('/x/longzhou')
    expect(cacheDirectoryPath({ XDG_CACHE_HOME: 'relative', HOME: '/home/u' })).toBe('/home/u/.cache/longzhou')
    expect(cacheDirectoryPath({})).toBe(join(homedir(), '.cache', 'longzhou'))
  })

  test('a relative LONGZHOU_CACHE_DIR is taken from the working directory', () => {
    expect(cacheDirectoryPath({ LONGZHOU_CACHE_DIR: 'kernels' })).toBe(join(process.cwd(), 'kernels'))
  })
})

describe('ensureCacheDirectory', () => {
  test('creates a private directory, parents included, and accepts it again', () => {
    const path = join(root, 'a', 'b')
    expect(ensureCacheDirectory(path)).toBe(path)
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(ensureCacheDirectory(path)).toBe(path)
  })

  test('refuses a directory that others may write', () => {
    const path = join(root, 'shared')
    mkdirSync(path)
    chmodSync(path, 0o777)
    expect(() => ensureCacheDirectory(path)).toThrow(StorageError)
    expect(() => ensureCacheDirectory(path)).toThrow(/0777.*chmod 700/)
  })

  test('refuses a file in its place', () => {
    const path = join(root, 'file')
    writeFileSync(path, '')
    expect(() => ensureCacheDirectory(path)).toThrow(StorageError)
    expect(() => ensureCacheDirectory(join(path, 'below'))).toThrow(/LONGZHOU_CACHE_DIR/)
  })

  test('names a foreign owner', () => {
    const mine = process.getuid?.() ?? 0
    expect(privacyProblem('/cache', { uid: mine + 1, mode: 0o40700 })?.what).toMatch(/belongs to user/)
    expect(privacyProblem('/cache', { uid: mine, mode: 0o40755 })).toBeUndefined()
  })
})
