import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mulHigh32 } from './uint32.ts'

test('mulHigh32 is the upper half of the exact product', () => {
  const uint32 = fc.integer({ min: 0, max: 0xffffffff })
  fc.assert(
    fc.property(uint32, uint32, (a, b) => {
      expect(mulHigh32(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n))
    }),
  )
  expect(mulHigh32(0xffffffff, 0xffffffff)).toBe(0xfffffffe)
})
