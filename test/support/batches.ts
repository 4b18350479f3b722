/** What the tests of DataLoader do with batches. */
import type { HostArray } from '../../src/common/dtype.ts'
import { valuesOf } from './arrays.ts'

export async function collect<T>(batches: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const batch of batches) all.push(batch)
  return all
}

/** The values of field `field` of each batch. */
export function fieldOf(batches: readonly unknown[], field: number): number[][] {
  return batches.map((batch) => valuesOf((batch as HostArray[])[field]!))
}

/** Field 1 of samples `[x, label]`. */
export function labelsOf(batches: readonly unknown[]): number[][] {
  return fieldOf(batches, 1)
}

/** What a state is after a checkpoint. */
export function throughJson<T>(state: T): T {
  return JSON.parse(JSON.stringify(state)) as T
}
