/** Crafted pickles are refused by name, at the byte where it stands, and nothing in them is executed. */
import { existsSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { FormatError } from '../../src/common/errors.ts'
import { RefusedPickleError } from '../../src/io/formats/pickle/errors.ts'
import { readPickle } from '../../src/io/formats/pickle/read.ts'
import { allowedBytes } from '../fuzz/harness.ts'
import { hostilePickles, MARKER, type HostilePickle } from '../support/hostile-pickles.ts'

const cases = hostilePickles()

function refusal({ bytes }: HostilePickle): unknown {
  try {
    readPickle(bytes)
  } catch (error) {
    return error
  }
  return undefined
}

test('there are more than 200, and all differ', () => {
  expect(cases.length).toBeGreaterThan(250)
  expect(new Set(cases.map(({ bytes }) => Buffer.from(bytes.subarray(0, 1 << 16)).toString('latin1'))).size).toBe(
    cases.length,
  )
})

/** What is alive or waits for the collector. */
function allocated(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return heap + external
}

test.each(cases.map((c) => [c.name, c] as const))('%s', (_, hostile) => {
  const before = allocated()
  const error = refusal(hostile)
  expect(allocated() - before).toBeLessThan(allowedBytes(hostile.bytes.byteLength))
  expect(error).toBeInstanceOf(FormatError)
  expect((error as FormatError).message).toContain(hostile.says)
  expect(error instanceof RefusedPickleError).toBe(hostile.refused)
  if (hostile.at === undefined) expect((error as FormatError).message).toMatch(/byte \d+/)
  else expect(error).toMatchObject({ position: hostile.at })
  expect(existsSync(MARKER)).toBe(false)
})
