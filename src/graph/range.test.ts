import { expect, test } from 'vitest'
import { binary, constant, gather, iota, param, reshape, scatter } from './build.ts'
import { rangeOf } from './range.ts'

test('ranges follow from constants and counts through look-ups, and are unknown for what memory holds', () => {
  const index = param(0, 'int32', [6])
  expect(rangeOf(index)).toBeNull()
  const numbers = binary('add', iota([6], 0, 'int32'), constant(1, 'int32', [6]))
  expect(rangeOf(numbers)).toEqual({ low: 1, high: 6 })
  const standIns = scatter(constant(0, 'int32', [100]), index, numbers, 0, 'set')
  expect(rangeOf(standIns)).toEqual({ low: 0, high: 6 })
  expect(rangeOf(reshape(gather(standIns, index, 0), [2, 3]))).toEqual({ low: 0, high: 6 })
  expect(rangeOf(scatter(constant(0, 'int32', [100]), index, numbers, 0, 'add'))).toBeNull()
  expect(rangeOf(gather(standIns, gather(numbers, index, 0), 0))).toEqual({ low: 0, high: 6 })
  expect(rangeOf(binary('add', numbers, numbers))).toEqual({ low: 2, high: 12 })
  const large = constant(2 ** 31 - 1, 'int32', [6])
  expect(rangeOf(binary('add', large, numbers))).toBeNull()
})
