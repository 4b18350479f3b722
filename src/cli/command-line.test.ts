import { expect, test } from 'vitest'
import { commandLine } from './command-line.ts'

test('words that a shell would take apart are quoted', () => {
  expect(commandLine(['train', 'a b.yml', '-o', 'Global.outputDir=输出', "it's", '{x: 1}'])).toBe(
    `npm run longzhou -- train 'a b.yml' -o Global.outputDir=输出 'it'\\''s' '{x: 1}'`,
  )
})
