/** Recorded values of Paddle (test/fixtures) as JSON and arrays, and comparison with them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getElement, type HostArray } from '../../src/common/dtype.ts'
import { parseNpz } from '../../src/io/npz.ts'
import { ROOT } from './scratch.ts'

/** The parsed JSON of a file below test/fixtures. */
export function fixtureJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(ROOT, 'test/fixtures', path), 'utf8')) as T
}

/** The arrays of an .npz file below test/fixtures. */
export function fixtureArrays(path: string): Record<string, HostArray> {
  return parseNpz(new Uint8Array(readFileSync(join(ROOT, 'test/fixtures', path))))
}

/** The largest |got - expected| / max(1, |expected|); NaN counts as equal to NaN. Infinity where the shapes differ. */
export function largestDifference(got: HostArray, expected: HostArray): number {
  if (got.shape.join() !== expected.shape.join()) return Infinity
  let worst = 0
  for (let i = 0; i < expected.data.length; i++) {
    const a = getElement(got.dtype, got.data, i)
    const b = getElement(expected.dtype, expected.data, i)
    if (Object.is(a, b) || a === b) continue
    const difference = Math.abs(a - b) / Math.max(1, Math.abs(b))
    worst = Number.isNaN(difference) ? Infinity : Math.max(worst, difference)
  }
  return worst
}
