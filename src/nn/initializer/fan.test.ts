import { describe, expect, test } from 'vitest'
import { ArgumentError } from '../../common/errors.ts'
import { calculateGain, computeFans, type Nonlinearity } from './fan.ts'

describe('computeFans', () => {
  test.each([
    [[], 1, 1],
    [[6], 6, 6],
    [[5, 7], 5, 7],
    [[8, 3, 3, 3], 27, 72],
    [[4, 2, 5], 10, 20],
  ])('of shape [%s]', (shape, fanIn, fanOut) => {
    expect(computeFans(shape)).toEqual({ fanIn, fanOut })
  })
})

describe('calculateGain', () => {
  test('values of the Paddle documentation', () => {
    expect(calculateGain('tanh')).toBe(5 / 3)
    expect(calculateGain('leaky_relu', 1)).toBe(1)
    expect(calculateGain('leaky_relu')).toBe(Math.sqrt(2 / (1 + 0.01 ** 2)))
    expect(calculateGain('relu')).toBe(Math.SQRT2)
    expect([calculateGain('selu'), calculateGain('conv2d_transpose')]).toEqual([0.75, 1])
  })

  test('an unknown name is refused with the known ones', () => {
    expect(() => calculateGain('swish' as Nonlinearity)).toThrow(ArgumentError)
    expect(() => calculateGain('swish' as Nonlinearity)).toThrow(/relu, leaky_relu/)
  })
})
