/** Products of few rows, whose second operand is not packed: as by definition, for every number of rows and columns. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { add, mul } from '../../src/codegen/builder.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import type { Epilogue } from '../../src/codegen/contract/problem.ts'
import {
  batched,
  capabilities,
  compute,
  expectResult,
  lower,
  matmul,
  type Options,
} from '../support/contract-expect.ts'
import type { ContractCase } from '../support/naive-contract.ts'

const widths: readonly Capabilities[] = [
  capabilities,
  { ...capabilities, vectorBytes: 64, bfloat16: 'tiles' },
  { ...capabilities, vectorBytes: 16, vectorRegisters: 14 },
]

const titles = (c: ContractCase, o: Options = {}): string[] => lower(c, o).steps.map((s) => s.kernel.title)
const isPacked = (c: ContractCase, o: Options = {}): boolean =>
  lower(c, o).steps.some((s) => s.scratchBytes > 4 * 24 * 16 * 3)

describe('products of few rows', () => {
  test.each(widths)('of any size, with vectors of $vectorBytes bytes', (of) => {
    const rows = fc.integer({ min: 2, max: 16 })
    fc.assert(
      fc.property(
        rows,
        fc.integer({ min: 4, max: 130 }),
        fc.integer({ min: 1, max: 90 }),
        fc.boolean(),
        (m, n, k, isTurned) =>
          expectResult(matmul(m, n, k), { capabilities: of, lhs: { order: isTurned ? [1, 0] : [0, 1], offset: 3 } }),
      ),
      { numRuns: 20 },
    )
  })

  test('are one kernel that packs nothing', () => {
    for (const m of [2, 3, 8, 16]) {
      expect(titles(matmul(m, 300, 400))).toEqual(['matmul'])
      expect(isPacked(matmul(m, 300, 400))).toBe(false)
      expectResult(matmul(m, 300, 400))
    }
    expect(isPacked(matmul(40, 300, 400))).toBe(true)
  })

  const cached = (of: Capabilities): Capabilities => ({ ...of, cacheBytes: [48 * 1024, 2 ** 20, 2 ** 24] })

  test.each(widths)('and of more, where the matrix stays near, with vectors of $vectorBytes bytes', (of) => {
    for (const [m, n, k] of [
      [32, 32, 32],
      [29, 30, 70],
    ] as const)
      expectResult(batched(2, 3, m, n, k), { capabilities: cached(of) })
  })

  test('not where too many columns were computed twice, the matrix is large, or rows are many', () => {
    const of = cached(widths[1]!)
    const sizes = [
      [32, 32, 32],
      [20, 33, 30],
      [20, 128, 128],
      [100, 32, 32],
    ] as const
    expect(sizes.map(([m, n, k]) => isPacked(batched(2, 3, m, n, k), { capabilities: of }))).toEqual([
      false,
      true,
      true,
      true,
    ])
  })

  test('with sums of several blocks', () => {
    for (const capabilities of widths) {
      expectResult(matmul(13, 70, 150), { capabilities })
      expectResult(matmul(3, 40, 65), { capabilities })
      expectResult(batched(2, 2, 9, 30, 200), { capabilities })
    }
  })

  test('in batches, with heads in the middle of the memory', () => {
    expectResult(batched(3, 2, 16, 16, 16))
    expectResult(batched(2, 3, 5, 26, 20), { lhs: { order: [0, 2, 1, 3] }, rhs: { order: [0, 2, 1, 3] } })
  })

  test('with an operand that repeats', () => {
    expectResult(matmul(7, 50, 30), { lhs: { repeated: [0] } })
    expectResult(matmul(7, 50, 30), { rhs: { repeated: [0] } })
  })

  test('with an epilogue in the store', () => {
    const epilogue: Epilogue = {
      title: '+bias',
      key: 'test place epilogue',
      operands: [{ dtype: 'float32', strides: [0, 1], offset: 0 }],
      scalars: ['f32'],
      build: (_, sum, [bias], [factor]) => [add(mul(sum, factor!), bias!)],
    }
    for (const [m, n] of [
      [5, 30],
      [16, 96],
    ] as const) {
      const bias = Float32Array.from({ length: n }, (_, i) => (i % 11) - 5)
      for (const of of widths) {
        const { found, sum } = compute(matmul(m, n, 20), { epilogue, operands: [bias], capabilities: of })
        expect(found.map((x) => x + 0)).toEqual(Array.from(sum, (x, i) => 2 * x + bias[i % n]!))
      }
    }
  })
})
