/** The backends that the conformance suites judge against the reference. */
import { devices } from '../../src/tensor/device.ts'

export const judged: readonly string[] = devices().filter((d) => d !== 'reference' && d !== 'null')

/** Index of the first element that differs beyond `tolerance` (relative, with 1 as the least scale), or -1. NaN equals NaN. */
export function firstDifference(
  a: ArrayLike<number | bigint>,
  b: ArrayLike<number | bigint>,
  tolerance: number,
): number {
  for (let i = 0; i < a.length; i++) {
    const x = Number(a[i])
    const y = Number(b[i])
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue
    if (!(Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(x)))) return i
  }
  return a.length === b.length ? -1 : Math.min(a.length, b.length)
}
