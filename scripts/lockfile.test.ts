import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

interface Lockfile {
  readonly packages: Readonly<Record<string, { optionalDependencies?: Readonly<Record<string, string>> }>>
}

/** Optional packages that are named but not locked, as `who -> whom`. npm looks for them in each enclosing node_modules. */
function missingOptional({ packages }: Lockfile): string[] {
  const isLocked = (path: string, name: string): boolean => {
    for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
      if (Object.hasOwn(packages, `${at === '' ? '' : `${at}/`}node_modules/${name}`)) return true
      if (at === '') return false
    }
  }
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !isLocked(path, name))
      .map((name) => `${path} -> ${name}`),
  )
}

const lockfile = JSON.parse(
  readFileSync(join(dirname(fileURLToPath(import.meta.url)), '../package-lock.json'), 'utf8'),
) as Lockfile

// `npm ci` refuses such a file. It comes about where `npm install` could not find a package's binary for some platform: choose a
// version whose binaries are all there, then remove node_modules and package-lock.json and install again.
test('the lock file holds the optional binaries of every platform', () => {
  expect(missingOptional(lockfile)).toEqual([])
})

test('a missing binary is noticed, a nested and a hoisted one are found', () => {
  const optionalDependencies = { 'x-linux': '1.0.0', 'x-darwin': '1.0.0' }
  expect(
    missingOptional({
      packages: { 'node_modules/a/node_modules/x': { optionalDependencies }, 'node_modules/x-linux': {} },
    }),
  ).toEqual(['node_modules/a/node_modules/x -> x-darwin'])
  expect(
    missingOptional({
      packages: {
        'node_modules/a/node_modules/x': { optionalDependencies },
        'node_modules/a/node_modules/x-linux': {},
        'node_modules/x-darwin': {},
      },
    }),
  ).toEqual([])
})
