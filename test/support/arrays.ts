/** HostArrays for tests: small ones with known content, and their values as numbers. */
import { allocateHost, getElement, setElement } from '../../src/common/dtype.ts'
import type { DType, HostArray } from '../../src/common/dtype.ts'
import { numel } from '../../src/common/shape.ts'

/** Elements (i mod 7) - 2, as the dtype holds them. */
export function sampleArray(dtype: DType, shape: readonly number[]): HostArray {
  const data = allocateHost(dtype, numel(shape))
  for (let i = 0; i < data.length; i++) setElement(dtype, data, i, (i % 7) - 2)
  return { dtype, shape, data }
}

export function valuesOf(array: HostArray): number[] {
  return Array.from({ length: array.data.length }, (_, i) => getElement(array.dtype, array.data, i))
}
