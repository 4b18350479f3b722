import { describe, expect, test } from 'vitest'
import { OutOfMemoryError } from '../../common/errors.ts'
import { SmallRandom } from '../../common/random.ts'
import { LinearMemory, Region } from './memory.ts'

const MiB = 2 ** 20

describe('linear memory', () => {
  test('blocks are aligned, apart, and leave the first page alone', () => {
    const memory = new LinearMemory(MiB)
    const [a, b, c] = [memory.allocate(0), memory.allocate(65), memory.allocate(64)]
    for (const address of [a, b, c]) expect(address % 64).toBe(0)
    expect(a).toBeGreaterThanOrEqual(65536)
    expect(b).toBeGreaterThanOrEqual(a + 64)
    expect(c).toBeGreaterThanOrEqual(b + 128)
    expect(memory.usedBytes).toBe(64 + 128 + 64)
  })

  test('free neighbours become one block, which is used before the memory grows', () => {
    const memory = new LinearMemory(MiB)
    const blocks = [0, 1, 2, 3].map(() => memory.allocate(1024))
    const size = memory.bytes.length
    for (const i of [0, 2, 1]) memory.release(blocks[i]!, 1024)
    expect(memory.allocate(3 * 1024)).toBe(blocks[0])
    expect(memory.bytes.length).toBe(size)
  })

  test('contents survive growth', () => {
    const memory = new LinearMemory(64 * MiB)
    const address = memory.allocate(16)
    memory.bytes.set([1, 2, 3], address)
    memory.allocate(32 * MiB)
    expect([...memory.bytes.subarray(address, address + 4)]).toEqual([1, 2, 3, 0])
  })

  test('more than there is gives an error that says how much was wanted and how much is in use', () => {
    const memory = new LinearMemory(2 * MiB)
    const address = memory.allocate(MiB)
    expect(() => memory.allocate(MiB)).toThrow(OutOfMemoryError)
    expect(() => memory.allocate(MiB)).toThrow(
      /cannot allocate 1048576 bytes: 1048576 bytes are in use.*grow to 2097152/,
    )
    memory.release(address, MiB)
    memory.allocate(MiB)
  })

  test('any order of allocating and freeing keeps blocks apart and loses nothing', () => {
    const memory = new LinearMemory(16 * MiB)
    const random = new SmallRandom(7, 0)
    const live: { address: number; bytes: number }[] = []
    for (let i = 0; i < 3000; i++) {
      if (live.length > 40 || (live.length > 0 && random.chance(0.45))) {
        const [block] = live.splice(random.integer(0, live.length - 1), 1)
        memory.release(block!.address, block!.bytes)
      } else {
        const bytes = random.integer(0, 20000)
        live.push({ address: memory.allocate(bytes), bytes })
      }
      const sorted = [...live].sort((a, b) => a.address - b.address)
      const overlaps = sorted.slice(1).some((b, n) => b.address < sorted[n]!.address + Math.max(sorted[n]!.bytes, 64))
      expect(overlaps).toBe(false)
    }
    const size = memory.bytes.length
    for (const block of live) memory.release(block.address, block.bytes)
    expect(memory.usedBytes).toBe(0)
    memory.allocate(size - 65536)
    expect(memory.bytes.length).toBe(size)
  })

  test('a region keeps its place until more is wanted', () => {
    const memory = new LinearMemory(MiB)
    const region = new Region(memory)
    region.reserve(1000)
    const { address } = region
    region.reserve(10)
    expect(region.address).toBe(address)
    region.reserve(5000)
    expect(region.bytes).toBe(5000)
    region.release()
    expect(memory.usedBytes).toBe(0)
  })
})
