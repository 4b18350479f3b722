/** Values for the conformance suites: what is special about each dtype, and numbers from a seed. */
import { allocateHost, isFloat, setElement, type DType, type HostArray } from '../../../src/common/dtype.ts'
import { SmallRandom } from '../../../src/common/random.ts'
import { numel, type Shape } from '../../../src/common/shape.ts'

const around = [0, 1, 2, 3, 5, 7, 8, 31, 40, 100]
const fractions = [0.5, 1.5, 2.5, 0.1, 1e-3, 1e-7, 0.75, 12.625]
const largest: Partial<Record<DType, number>> = {
  float16: 65504,
  bfloat16: 3.3895313892515355e38,
  float32: 3.4028234663852886e38,
  float64: Number.MAX_VALUE,
}
const ranges: Partial<Record<DType, readonly [bigint, bigint]>> = {
  uint8: [0n, 255n],
  int8: [-128n, 127n],
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
}

/** Zero, small and extreme numbers of both signs; for floats also fractions, subnormals, infinities and NaN. */
export function specials(dtype: DType): (number | bigint)[] {
  if (dtype === 'bool') return [0, 1]
  if (isFloat(dtype)) {
    const positive = [...around, ...fractions, 1e4, dtype === 'float64' ? 1e-310 : 6e-8, largest[dtype]!, Infinity]
    return [...positive, ...positive.map((x) => -x), NaN]
  }
  const [least, most] = ranges[dtype]!
  const small = around.flatMap((x) => (least < 0n ? [BigInt(x), BigInt(-x)] : [BigInt(x)]))
  const wide = dtype === 'int64' ? [2n ** 53n + 1n, -(2n ** 40n) - 7n, 3037000500n] : []
  return [...new Set([...small, least, least + 1n, most, most - 1n, ...wide])]
}

export function hostOf(dtype: DType, shape: Shape, values: readonly (number | bigint)[]): HostArray {
  const data = allocateHost(dtype, numel(shape))
  for (let i = 0; i < data.length; i++) {
    const v = values[i % values.length]!
    if (typeof v === 'bigint' && dtype === 'int64') data[i] = v as never
    else setElement(dtype, data, i, Number(v))
  }
  return { dtype, shape, data }
}

/** Numbers from a seed in an interval: integers for integer dtypes, every quarter or finer for floats. */
export function sampled(
  dtype: DType,
  shape: Shape,
  seed: number,
  [low, high]: readonly [number, number] = [-2, 2],
): HostArray {
  const random = new SmallRandom(seed, 3)
  const whole = !isFloat(dtype)
  const least = dtype === 'uint8' || dtype === 'bool' ? 0 : low
  const values = Array.from({ length: numel(shape) }, () =>
    whole ? random.integer(Math.ceil(least), Math.floor(high)) : random.uniform(low, high),
  )
  return hostOf(dtype, shape, values.length > 0 ? values : [0])
}

/** All pairs of two lists, as two lists of one length. */
export function pairs<A, B>(a: readonly A[], b: readonly B[]): [A[], B[]] {
  const left = a.flatMap((x) => b.map(() => x))
  const right = a.flatMap(() => [...b])
  return [left, right]
}
