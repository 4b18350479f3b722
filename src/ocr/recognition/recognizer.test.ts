import { expect, test } from 'vitest'
import { seed } from '../../tensor/index.ts'
import { TextRecognizer } from './recognizer.ts'

const small = { channels: [4, 4, 4, 4, 4, 4], hidden: 4 } as const
const line = { pixels: Uint8Array.from({ length: 32 * 64 }, (_, i) => (i * 37) % 256), width: 64, height: 32 }

test('another dictionary keeps what is known of the characters that both have', async () => {
  seed(1)
  const base = TextRecognizer.create([...'abcd'], small)
  const other = base.withDictionary([...'dxb'])
  expect(other.dictionary.characters).toEqual([...'dxb'])
  const [before] = await base.read([line], { logits: true })
  const [after] = await other.read([line], { logits: true })
  const column = (logits: Float32Array, classes: number, c: number): number[] =>
    Array.from(logits).filter((_, i) => i % classes === c)
  // Blank, d and b.
  for (const [here, there] of [
    [0, 0],
    [1, 4],
    [3, 2],
  ] as const) {
    const [a, b] = [column(after!.logits!, 4, here), column(before!.logits!, 5, there)]
    expect(a).toHaveLength(15)
    a.forEach((v, i) => expect(v).toBeCloseTo(b[i]!, 5))
  }
  expect(base.dictionary.characters).toEqual([...'abcd'])
})
