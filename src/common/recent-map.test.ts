import { expect, test } from 'vitest'
import { RecentMap } from './recent-map.ts'

test('what was used longest ago is made again, the rest is kept', () => {
  const map = new RecentMap<string, number>(2)
  let made = 0
  const get = (key: string): number => map.getOrMake(key, () => ++made)
  expect([get('a'), get('b'), get('a'), get('c')]).toEqual([1, 2, 1, 3])
  expect([get('a'), get('b')]).toEqual([1, 4])
})

test('a value that could not be made is asked for again', () => {
  const map = new RecentMap<string, number>(1)
  map.getOrMake('kept', () => 1)
  expect(() =>
    map.getOrMake('a', () => {
      throw new Error('no')
    }),
  ).toThrow('no')
  expect(map.getOrMake('kept', () => 2)).toBe(1)
  expect(map.getOrMake('a', () => 3)).toBe(3)
})
