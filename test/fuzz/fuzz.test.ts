/** 20,000 damaged files for each parser: a value or a FormatError, in time and within memory. `npm run fuzz` does a million and more. */
import { describe, expect, test } from 'vitest'
import { FormatError } from '../../src/common/errors.ts'
import type { RandomState } from '../../src/common/numpy-random.ts'
import { mutated } from '../support/mutate.ts'
import { BLOCK, blockRandom, fuzz, inputOf } from './harness.ts'
import { targets } from './targets.ts'

const RUNS = 20_000

describe.each(targets.map((target) => [target.name, target] as const))('%s', (name, target) => {
  test('good files are read', () => {
    for (const seed of target.seeds()) expect(target.parse(seed)).toBeDefined()
  })

  test('damaged files are read or refused', async () => {
    const report = await fuzz({ target: name, runs: RUNS, seed: 20240611 })
    expect(report.runs).toBe(RUNS)
    // Some damage hits only data; most is noticed.
    expect(report.refused).toBeGreaterThan(RUNS / 10)
    expect(report.refused).toBeLessThan(RUNS)
  })

  test('every beginning of a good file is read or refused', () => {
    const [seed] = target.seeds()
    for (let length = 0; length < Math.min(seed!.byteLength, 4096); length++) {
      try {
        target.parse(seed!.slice(0, length))
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
      }
    }
  })
})

test('an input is known by seed and number', () => {
  const seeds: readonly Uint8Array[] = [Uint8Array.of(1, 2, 3, 4), new Uint8Array(100)]
  const random: RandomState = blockRandom(7, 2)
  let last: Uint8Array = seeds[0]!
  for (let i = 0; i <= 5; i++) last = mutated(seeds[random.randint(0, 2)]!, random)
  expect(inputOf(seeds, 7, 2 * BLOCK + 5)).toEqual(last)
})

test('a target that is not there is named', async () => {
  await expect(fuzz({ target: 'nothing', runs: 1, seed: 1 })).rejects.toThrow('there are pickle')
})
