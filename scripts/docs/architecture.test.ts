/** What docs/architecture.md says is what the program does. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { architecture } from './architecture.ts'

test('docs/architecture.md is up to date; `npm run docs` writes it', async () => {
  const written = readFileSync(new URL('../../docs/architecture.md', import.meta.url), 'utf8')

  expect(written).toBe(await architecture())
})
