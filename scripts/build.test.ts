import { expect, test } from 'vitest'
import { missingEntries, sourceOf } from './build.ts'

test('a built file and its types come from the source of the same place', () => {
  expect(sourceOf('./dist/index.js')).toBe('src/index.ts')
  expect(sourceOf('./dist/ocr/index.d.ts')).toBe('src/ocr/index.ts')
  expect(sourceOf('dist/cli/main.js')).toBe('src/cli/main.ts')
})

test('an export without a file is named', () => {
  const entries = {
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './ocr': { types: './dist/ocr/index.d.ts', default: './dist/ocr/index.js' },
    },
    bin: { longzhou: 'dist/cli/main.js' },
  }
  const present = new Set(['./dist/index.js', './dist/index.d.ts', 'dist/cli/main.js', './dist/ocr/index.js'])
  expect(missingEntries(entries, (path) => present.has(path))).toEqual([
    'types of export ./ocr: ./dist/ocr/index.d.ts does not exist',
  ])
})
