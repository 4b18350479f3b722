import { describe, expect, test } from 'vitest'
import type { ArenaValue } from '../schedule/plan.ts'
import { arenaPeak, formatArena } from './arena-summary.ts'

const value = (what: string, bytes: number, first: number, last: number): ArenaValue => ({
  bytes,
  byteOffset: 0,
  first,
  last,
  what,
  maker: 'matmul',
  reader: 'add',
})

const values = [
  value('a float32[4]', 4e6, 0, 3),
  value('b float32[2]', 2e6, 1, 2),
  value('b float32[2]', 2e6, 2, 4),
  value('c float32[9]', 5e6, 4, 5),
]

describe('the peak of an arena', () => {
  test('is the step at which most must stay', () => {
    const peak = arenaPeak(values)
    expect(peak).toMatchObject({ step: 2, bytes: 8e6 })
    expect(peak.values.map((v) => v.what)).toEqual(['a float32[4]', 'b float32[2]', 'b float32[2]'])
    expect(arenaPeak([])).toEqual({ step: 0, bytes: 0, values: [] })
  })

  test('is printed with equal values in one line', () => {
    const text = formatArena(arenaPeak(values), 9e6)
    const lines = text.split('\n').map((l) => l.trim().split(/ {2,}/))
    expect(lines[1]).toEqual(['4.00', '1', '0-3', 'a float32[4]', 'matmul -> add'])
    expect(lines[2]).toEqual(['4.00', '2', '1-2', 'b float32[2]', 'matmul -> add'])
    expect(text).toMatch(/8\.00 MB at step 2; the arena takes 9\.00 MB$/)
  })
})
