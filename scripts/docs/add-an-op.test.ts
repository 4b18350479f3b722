/** The places that docs/add-an-op.md names are there, with the lines that it shows. */
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
const text = read('docs/add-an-op.md')

/** A line that is nothing but a path in backquotes, and the indented block behind it. */
const steps = [...text.matchAll(/^`([\w./-]+)`\n\n((?: {4}.*\n)+)/gm)].map((m) => ({ path: m[1]!, lines: m[2]! }))
const squeezed = (code: string): string => code.replaceAll(/\s+/g, ' ').trim()

test.each(steps)('$path holds what the document shows', ({ path, lines }) => {
  expect(squeezed(read(path))).toContain(squeezed(lines))
})

test('every step shows its place, and every path exists', () => {
  const paths = [...text.matchAll(/`((?:src|test|scripts)\/[\w./-]+)`/g)].map((m) => m[1]!)

  expect(steps.length).toBeGreaterThanOrEqual(10)
  expect(paths.filter((p) => !existsSync(new URL(p, root)))).toEqual([])
})
