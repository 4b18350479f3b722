/** The values recorded from Paddle (test/fixtures), and how results are compared with them. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { getElement, type HostArray } from '../../src/common/dtype.ts'
import { parseNpz } from '../../src/io/npz.ts'
import type { Tensor } from '../../src/index.ts'

const folder = fileURLToPath(new URL('../fixtures/', import.meta.url))

/** A recorded JSON file, such as `ops/conv2d_basic`. */
export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as T
}

/** Recorded arrays, such as `ops/conv2d_basic`. */
export function readArrays(name: string): Record<string, HostArray> {
  return parseNpz(readFileSync(`${folder}${name}.npz`))
}

/** The arrays whose names begin with `prefix`, without it. */
export function withPrefix(arrays: Readonly<Record<string, HostArray>>, prefix: string): [string, HostArray][] {
  return Object.entries(arrays).flatMap(([name, a]) =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), a]] : [],
  )
}

/**
 * Expects a tensor to have the recorded shape and values: |got - expected| <= tolerance * max(|expected|, scale), where scale is the mean
 * size of the array's elements (float32 sums that cancel out are as wrong as their terms). Differences up to `least` always pass.
 */
export async function expectRecorded(
  got: Tensor,
  expected: HostArray,
  what: string,
  tolerance: number,
  least = 0,
): Promise<void> {
  expect(got.shape, `${what}: shape`).toEqual(expected.shape)
  const values = await got.data()
  const n = expected.data.length
  const at = (i: number): number => getElement(expected.dtype, expected.data, i)
  let scale = 0
  for (let i = 0; i < n; i++) if (Number.isFinite(at(i))) scale += Math.abs(at(i)) / n
  for (let i = 0; i < n; i++) {
    const g = getElement(got.dtype, values, i)
    const e = at(i)
    if (g === e || (Number.isNaN(g) && Number.isNaN(e))) continue
    const allowed = Math.max(tolerance * Math.max(Math.abs(e), scale), least)
    if (!(Math.abs(g - e) <= allowed))
      expect.fail(`${what}: element ${i} of [${expected.shape.join(', ')}] is ${g}, Paddle gave ${e}`)
  }
}
