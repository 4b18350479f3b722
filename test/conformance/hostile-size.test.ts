/** Tensors beyond 2^31 elements, and beyond memory: recorded for nothing, answered where an answer needs no memory, refused before any is taken. */
import { describe, expect, it } from 'vitest'
import { withMemoryLimit } from '../../src/common/memory.ts'
import { IndexOutOfRangeError, LongzhouError, OutOfMemoryError, ShapeError } from '../../src/common/errors.ts'
import * as lz from '../../src/index.ts'
import { judged } from '../support/backends.ts'

const size = 11 * 2 ** 28
/** What the machine seems to have: the same on every machine that runs these tests. */
const memory = 2 ** 28

/** Errors of `body` under a small memory, and how much more the process holds after it. */
async function refused(body: () => unknown): Promise<{ error: unknown; grown: number }> {
  const before = process.memoryUsage().arrayBuffers
  const error: unknown = await withMemoryLimit(memory, async () => body()).then(
    () => null,
    (e: unknown) => e,
  )
  return { error, grown: process.memoryUsage().arrayBuffers - before }
}

describe.each(['reference', ...judged])('a tensor that is too large on %s', (device) => {
  it.each([
    ['read', () => lz.zeros([size]).data()],
    ['read at once', () => void lz.zeros([size, 3], 'int64').dataSync()],
    ['sorted', () => lz.sort(lz.zeros([size])).data()],
    [
      'an intermediate',
      () =>
        lz
          .cumsum(lz.zeros([2 ** 27]))
          .max()
          .item(),
    ],
    ['drawn on the host', () => lz.rand([size])],
    ['listed by positions', () => lz.nonzero(lz.ones([size]))],
    ['repeated into memory', () => lz.repeatInterleave(lz.ones([1]), [2 ** 33]).data()],
  ])('is refused before memory is taken: %s', async (_, body) => {
    lz.setDevice(device)
    const { error, grown } = await refused(body)

    expect(error).toBeInstanceOf(device === 'wasm' ? LongzhouError : OutOfMemoryError)
    expect((error as Error).message).toMatch(/GiB|MiB|2\^31/)
    expect(grown).toBeLessThan(2 ** 26)
  })

  it('can be recorded, reshaped and asked about for nothing, and on the cpu a part of it read', async () => {
    lz.setDevice(device)
    const x = lz
      .arange(0, size)
      .reshape([11, -1, 1])
      .expand([11, size / 11, 4])

    expect(x.size).toBe(4 * size)
    expect(lz.matmul(x.transpose([0, 2, 1]), x).shape).toEqual([11, 4, 4])
    const parts = [lz.arange(0, size).slice([0], [size - 2], [size]), x.get(10, -1, 0)]
    for (const part of parts) {
      const last = withMemoryLimit(memory, async () => (await part.data()).at(-1))
      // Kernels of the cpu read what they need; the oracle makes whole tensors, and wasm has addresses of 32 bits.
      if (device === 'cpu') expect(await last).toBe(BigInt(size - 1))
      else await expect(last).rejects.toBeInstanceOf(LongzhouError)
    }
  })

  it('does not stop what comes after it', async () => {
    lz.setDevice(device)
    await refused(() => lz.zeros([size]).data())

    expect(await lz.ones([3]).sum().item()).toBe(3)
  })

  it('is left alone by the flush of a long recording', async () => {
    lz.setDevice(device)
    const giants = Array.from({ length: 8 }, () => lz.zeros([size]).add(1))
    let x = lz.zeros([2])
    for (let i = 0; i < 25_000; i++) x = x.add(1)

    expect(await x.array()).toEqual([25_000, 25_000])
    expect(giants.every((g) => g.node.storage === null)).toBe(true)
  })

  it('an index is not taken modulo 2^32', async () => {
    lz.setDevice(device)
    for (const far of [2n ** 32n + 1n, 2n ** 31n, 1n - 2n ** 32n, -(2n ** 63n)]) {
      const at = lz.toTensor(new BigInt64Array([far]))
      await expect(lz.gather(lz.arange(0, 4), at).data()).rejects.toBeInstanceOf(IndexOutOfRangeError)
      await expect(lz.indexAdd(lz.arange(0, 4), at, 0, lz.ones([1])).data()).rejects.toBeInstanceOf(
        IndexOutOfRangeError,
      )
    }
  })
})

describe('shapes that no memory could hold', () => {
  it.each([
    ['elements that cannot be counted', () => lz.zeros([2 ** 40, 2 ** 40])],
    ['by broadcasting', () => lz.zeros([2 ** 40, 1]).add(lz.zeros([1, 2 ** 40]))],
    ['by an outer product', () => lz.outer(lz.zeros([2 ** 40]), lz.zeros([2 ** 40]))],
    ['by padding', () => lz.nn.functional.pad(lz.zeros([1, 1, 1]), [2 ** 53, 1])],
    ['a fraction', () => lz.expand(lz.zeros([1]), [1.5])],
    ['not a number', () => lz.ones([NaN])],
  ])('are refused at the call: %s', (_, body) => {
    expect(body).toThrow(ShapeError)
  })
})

describe('an extent that would be counted out one by one', () => {
  it('gives the lower and the upper triangle of a tall matrix without a walk over its rows', async () => {
    lz.setDevice('reference')

    expect(await lz.triuIndices(size, 3).array()).toEqual([
      [0, 0, 0, 1, 1, 2],
      [0, 1, 2, 1, 2, 2],
    ])
    expect(await lz.trilIndices(4, 3, -1).array()).toEqual([
      [1, 2, 2, 3, 3, 3],
      [0, 0, 1, 0, 1, 2],
    ])
  })

  it('lists combinations in order, with and without replacement', async () => {
    const x = lz.arange(0, 3)

    expect(await lz.combinations(x, 2).array()).toEqual([
      [0, 1],
      [0, 2],
      [1, 2],
    ])
    expect(await lz.combinations(x, 2, true).array()).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
      [2, 2],
    ])
    expect(lz.combinations(x, 4).shape).toEqual([0, 4])
  })

  it('keeps a triangle for a diagonal beyond 2^31', async () => {
    const x = lz.ones([2, 2])

    expect(await lz.tril(x, 2 ** 31).array()).toEqual([
      [1, 1],
      [1, 1],
    ])
    expect(await lz.triu(x, 2 ** 31).array()).toEqual([
      [0, 0],
      [0, 0],
    ])
  })
})
