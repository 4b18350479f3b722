import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { editDistance } from './edit-distance.ts'
import { ArgumentError } from './errors.ts'

/** The definition, with the whole table. */
function byDefinition(a: readonly number[], b: readonly number[]): number {
  const table = a.map(() => [] as number[])
  const at = (i: number, j: number): number => {
    if (i === 0 || j === 0) return i + j
    const row = table[i - 1]!
    return (row[j] ??= Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)))
  }
  return at(a.length, b.length)
}

describe('editDistance', () => {
  test.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['flaw', 'lawn', 2],
    ['intention', 'execution', 5],
    ['壹佰圆整', '壹百元整', 2],
    ['abab', 'ab', 2],
  ])('%s -> %s', (a, b, expected) => {
    expect(editDistance(a, b)).toBe(expected)
    expect(editDistance(b, a)).toBe(expected)
  })

  test('a character outside the basic plane counts once', () => {
    expect(editDistance('𠮷野', '吉野')).toBe(1)
    expect(editDistance('👍', '')).toBe(1)
  })

  test('equals the definition on random token sequences', () => {
    const tokens = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 })
    fc.assert(
      fc.property(tokens, tokens, (a, b) => {
        expect(editDistance(a, b)).toBe(byDefinition(a, b))
      }),
    )
    expect(editDistance(Int32Array.of(1, 2, 3), [1, 3])).toBe(1)
  })

  test('a string against tokens is refused', () => {
    expect(() => editDistance<unknown>('ab', ['a', 'b'])).toThrow(ArgumentError)
  })
})
