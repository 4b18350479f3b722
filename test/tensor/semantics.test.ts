/** dtypes, promotion and rounding as real PaddlePaddle recorded them (fixtures/ops/semantics.json). */
import { beforeAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { DTypeError, toTensor, type Tensor } from '../../src/index.ts'
import { dtypeOf, recordedJson, revive } from '../support/recorded.ts'

const int = (...values: number[]): Tensor => toTensor(values)
const float = (...values: number[]): Tensor => toTensor(values, 'float32')

/** Each recorded expression in our words. */
const expressions: Readonly<Record<string, () => Tensor>> = {
  'to_tensor(1)': () => toTensor(1),
  'to_tensor(1.5)': () => toTensor(1.5),
  'to_tensor([1,2])': () => toTensor([1, 2]),
  'to_tensor(True)': () => toTensor(true),
  'to_tensor(np.float64)': () => toTensor(Float64Array.of(1.5)),
  'int64 + float scalar': () => int(1, 2).add(0.5),
  'int64 / int64': () => int(1, 3).divide(int(2, 2)),
  'int64 // int64 neg': () => int(-7, 7).floorDivide(int(2, -2)),
  'int64 % int64 neg': () => int(-7, 7).mod(int(2, -2)),
  'float32 + int64 tensor': () => float(1).add(int(1)),
  'int32 + int64': () => toTensor([1], 'int32').add(int(1)),
  'float32 mean': () => float(1, 2).mean(),
  'int64 mean': () => int(1, 2).mean(),
  'int64 sum': () => int(1, 2).sum(),
  'bool sum': () => toTensor([true, true]).sum(),
  'argmax dtype': () => float(1, 2).argmax(),
  'shape op dtype': () => lz.shape(float(1, 2)),
  'int64 matmul': () => toTensor([[1, 2]]).matmul(toTensor([[1], [2]])),
  'round half': () => float(0.5, 1.5, 2.5, -0.5).round(),
  'max of nan': () => float(1, NaN).max(),
  'arange int': () => lz.arange(3),
  'arange float': () => lz.arange(0, 1, 0.25),
  'int pow': () => int(2).pow(3),
  'float ** int tensor': () => float(2).pow(int(3)),
}

describe('recorded semantics', () => {
  beforeAll(() => lz.setDevice('reference'))

  const recorded = recordedJson('ops/semantics.json') as Record<string, string | [string, unknown]>

  it('has every recorded expression', () => {
    expect(Object.keys(expressions).sort()).toEqual(Object.keys(recorded).sort())
  })

  const refused = Object.keys(recorded).filter((name) => typeof recorded[name] === 'string')

  it.each(refused)('%s is refused', (name) => {
    expect(() => expressions[name]!()).toThrow(DTypeError)
  })

  it.each(Object.keys(recorded).filter((name) => !refused.includes(name)))('%s', async (name) => {
    const [dtype, value] = recorded[name] as [string, unknown]
    const result = expressions[name]!()
    expect(result.dtype).toBe(dtypeOf(dtype))
    const got = await result.array()
    expect(result.dtype === 'bool' ? Number(got) : got).toEqual(revive(value))
  })
})

describe('numbers and tensors', () => {
  beforeAll(() => lz.setDevice('reference'))

  it('a fraction turns integers into the default floating dtype, a bool with an integer becomes int64', () => {
    expect(int(1).multiply(0.5).dtype).toBe('float32')
    expect(toTensor([true]).add(1).dtype).toBe('int64')
    expect(toTensor([1], 'int32').add(1).dtype).toBe('int32')
    expect(toTensor([1], 'float64').add(0.5).dtype).toBe('float64')
    expect(lz.subtract(1.5, int(1)).dtype).toBe('float32')
  })

  it('floating dtypes promote among each other', () => {
    const of = (dtype: 'float16' | 'bfloat16' | 'float32' | 'float64'): Tensor => lz.ones([1], dtype)
    expect(of('float16').add(of('bfloat16')).dtype).toBe('float32')
    expect(of('float16').add(of('float32')).dtype).toBe('float32')
    expect(of('float32').add(of('float64')).dtype).toBe('float64')
    expect(of('float16').add(of('float16')).dtype).toBe('float16')
  })

  it('follows the default dtype', () => {
    lz.setDefaultDtype('float64')
    try {
      expect(toTensor(1.5).dtype).toBe('float64')
      expect(lz.zeros([1]).dtype).toBe('float64')
    } finally {
      lz.setDefaultDtype('float32')
    }
    expect(() => lz.setDefaultDtype('int32')).toThrow(DTypeError)
  })

  it('keeps the dtypes of sums, means and comparisons', () => {
    expect(toTensor([1, 2], 'int32').sum().dtype).toBe('int64')
    expect(toTensor([1, 2], 'float16').sum().dtype).toBe('float16')
    expect(toTensor([1, 2], 'int32').sum(null, { dtype: 'float64' }).dtype).toBe('float64')
    expect(int(1).equal(1).dtype).toBe('bool')
    expect(int(1).exp().dtype).toBe('float32')
  })

  it('int64 numbers beyond 2^53 survive', async () => {
    const big = 2n ** 60n + 1n
    const t = toTensor([big])
    expect(await t.add(1n).data()).toEqual(BigInt64Array.of(big + 1n))
    expect(await lz.full([1], big, 'int64').data()).toEqual(BigInt64Array.of(big))
  })
})
