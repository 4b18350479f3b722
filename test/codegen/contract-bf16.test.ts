/** Products of bfloat16 by pairs and by tiles, on machines that have them; the same problems in float32 are in contract.test.ts. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectResult, batched, capabilities, lower, matmul, type Options } from '../support/contract-expect.ts'
import { ContractRunner } from '../support/contract-runner.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'
import { allocateHost, getElement, setElement, type HostData } from '../../src/common/dtype.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { nativeRuntime } from '../../src/runtime/cpu/native.ts'
import { defaultCompiler } from '../../src/runtime/compiler.ts'

const { features } = defaultCompiler()
const available = {
  pairs: features.has('avx512_bf16'),
  tiles: features.has('amx_tile') && features.has('amx_bf16') && nativeRuntime().allowTiles() === 1,
}
const size = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most })

describe.each(['pairs', 'tiles'] as const)('by %s', (bfloat16) => {
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16 }
  const expectSame = (c: ContractCase, o: Options = {}): void =>
    expectResult(c, { dtype: 'bfloat16', capabilities: own, ...o })

  test.runIf(available[bfloat16])('matrix products of any size and layout', () => {
    const layout = fc.record({
      order: fc.constantFrom([0, 1], [1, 0]),
      flipped: fc.constantFrom([], [], [0], [1]),
      repeated: fc.constantFrom([], [], [0], [1]),
      offset: fc.nat(5),
    })
    fc.assert(
      fc.property(size(100), size(100), size(100), layout, layout, (m, n, k, lhs, rhs) =>
        expectSame(matmul(m, n, k), { lhs, rhs }),
      ),
      { numRuns: 40 },
    )
  })

  test.runIf(available[bfloat16])('with several blocks along every axis, and long sums', () => {
    expectSame(matmul(130, 170, 1500))
    expectSame(matmul(300, 30, 1101), { lhs: { order: [1, 0] } })
    expectSame(matmul(9, 500, 1515), { rhs: { order: [1, 0] } })
    expectSame(matmul(20, 30, 2500))
    expectSame(matmul(20, 30, 2500), { outDType: 'float32' })
    expectSame(matmul(5, 30, 0))
  })

  test.runIf(available[bfloat16])('batched, also with heads in the middle of the memory', () => {
    const orders = fc.constantFrom([0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2])
    fc.assert(
      fc.property(size(3), size(4), size(40), size(40), size(70), orders, orders, (b, h, m, n, k, lo, ro) =>
        expectSame(batched(b, h, m, n, k), { lhs: { order: lo }, rhs: { order: ro } }),
      ),
      { numRuns: 25 },
    )
  })

  test.runIf(available[bfloat16])('NaN and infinity reach the sums that they belong to, and no others', () => {
    const [m, n, k] = [40, 50, 37]
    const lowered = lower(matmul(m, n, k), { dtype: 'bfloat16', capabilities: own })
    const [lhs, rhs, out] = [m * k, k * n, m * n].map((length) => allocateHost('bfloat16', length)) as [
      HostData,
      HostData,
      HostData,
    ]
    for (let i = 0; i < m * k; i++) setElement('bfloat16', lhs, i, 1)
    for (let i = 0; i < k * n; i++) setElement('bfloat16', rhs, i, 1)
    setElement('bfloat16', lhs, 3 * k + 36, NaN)
    setElement('bfloat16', lhs, 39 * k, Infinity)
    setElement('bfloat16', rhs, 20 * n + 49, -Infinity)
    new ContractRunner(lowered, { lhs, rhs, out }).run()
    const expected = (i: number): number => {
      const [row, column] = [Math.floor(i / n), i % n]
      if (row === 3) return NaN
      if (row === 39) return column === 49 ? NaN : Infinity
      return column === 49 ? -Infinity : k
    }
    const found = Array.from({ length: m * n }, (_, i) => getElement('bfloat16', out, i))
    expect(found).toEqual(found.map((_, i) => expected(i)))
  })

  test.runIf(available[bfloat16])('convolutions and both gradients', () => {
    const axis = fc.record({
      size: fc.integer({ min: 4, max: 40 }),
      kernel: fc.integer({ min: 1, max: 3 }),
      stride: fc.integer({ min: 1, max: 2 }),
      padding: fc.integer({ min: 0, max: 1 }),
    })
    const channels = { batch: size(2), inChannels: size(5), outChannels: size(6), groups: fc.constantFrom(1, 1, 2) }
    fc.assert(
      fc.property(fc.record({ ...channels, axes: fc.array(axis, { minLength: 2, maxLength: 2 }) }), (c) => {
        const of = (key: keyof (typeof c.axes)[number]): number[] => c.axes.map((a) => a[key])
        const forward = convolution({
          ...c,
          size: of('size'),
          kernel: of('kernel'),
          stride: of('stride'),
          padding: of('padding'),
          dilation: [1, 1],
        })
        expectSame(forward)
        expectSame(gradientOf(forward, 0))
        expectSame(gradientOf(forward, 1))
      }),
      { numRuns: 15 },
    )
  })

  test('kernels do not depend on sizes', () => {
    const structures = (c: ContractCase): string[] =>
      lower(c, { dtype: 'bfloat16', capabilities: own }).steps.map((s) => structureOf(s.kernel))
    expect(structures(matmul(20, 50, 40))).toEqual(structures(matmul(2048, 1000, 777)))
    const convolutionOf = (batch: number, extent: number[]): ContractCase => {
      const window = { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] }
      const c: ConvolutionCase = { batch, groups: 1, inChannels: 5, outChannels: 6, size: extent, ...window }
      return convolution(c)
    }
    const [small, large] = [convolutionOf(2, [9, 11]), convolutionOf(16, [32, 320])]
    expect(structures(small)).toEqual(structures(large))
    expect(structures(gradientOf(small, 0))).toEqual(structures(gradientOf(large, 0)))
    expect(structures(gradientOf(small, 1))).toEqual(structures(gradientOf(large, 1)))
  })
})
