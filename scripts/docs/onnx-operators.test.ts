/** docs/onnx-operators.md says what the tables of rules hold. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { onnxOperatorsText } from './onnx-operators.ts'

describe('the page of ONNX operators', () => {
  it('is up to date in docs/onnx-operators.md; `npm run docs` writes it', async () => {
    const written = readFileSync(new URL('../../docs/onnx-operators.md', import.meta.url), 'utf8')
    expect(written).toBe(await onnxOperatorsText())
  })
})
