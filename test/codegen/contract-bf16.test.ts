/**
 * Products by pairs and by tiles of bfloat16, and of float32 by tiles in two and three parts, on machines that have them; the same problems by
 * multiply-adds of float32 are in contract.test.ts.
 */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectResult, batched, capabilities, lower, matmul, type Options } from '../support/contract-expect.ts'
import { ContractRunner } from '../support/contract-runner.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'
import { allocateHost, getElement, setElement, type HostData } from '../../src/common/dtype.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import type { Stmt } from '../../src/codegen/kernel.ts'
import { flatten } from '../../src/codegen/walk.ts'
import type { LoweredContract } from '../../src/codegen/contract/problem.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { nativeRuntime } from '../../src/runtime/cpu/native.ts'
import { defaultCompiler } from '../../src/runtime/compiler.ts'

const { features } = defaultCompiler()
const available = {
  pairs: features.has('avx512_bf16'),
  tiles: features.has('amx_tile') && features.has('amx_bf16') && nativeRuntime().allowTiles() === 1,
}
const size = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most })

describe.each([
  { name: 'pairs', bfloat16: 'pairs', dtype: 'bfloat16', productParts: 0, share: 1 },
  { name: 'tiles', bfloat16: 'tiles', dtype: 'bfloat16', productParts: 0, share: 1 },
  { name: 'tiles in two parts', bfloat16: 'tiles', dtype: 'float32', productParts: 2, share: 0.4 },
  { name: 'tiles in three parts', bfloat16: 'tiles', dtype: 'float32', productParts: 3, share: 1 },
] as const)('by $name', ({ bfloat16, dtype, productParts, share }) => {
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16, productParts }
  // Small products of float32 are not split.
  const [least, large] = dtype === 'bfloat16' ? [0, 0] : [96, 192]
  const expectSame = (c: ContractCase, o: Options = {}): void => expectResult(c, { dtype, capabilities: own, ...o })

  test.runIf(available[bfloat16])('matrix products of any size and layout', () => {
    const layout = fc.record({
      order: fc.constantFrom([0, 1], [1, 0]),
      flipped: fc.constantFrom([], [], [0], [1]),
      repeated: fc.constantFrom([], [], [0], [1]),
      offset: fc.nat(5),
    })
    fc.assert(
      fc.property(size(100), size(100), size(100), layout, layout, (m, n, k, lhs, rhs) =>
        expectSame(matmul(least + m, large + n, large + k), { lhs, rhs }),
      ),
      { numRuns: 40 * share },
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
      fc.property(size(2), size(3), size(30), size(40), size(70), orders, orders, (b, h, m, n, k, lo, ro) =>
        expectSame(batched(b, h, least + m, large + n, large + k), { lhs: { order: lo }, rhs: { order: ro } }),
      ),
      { numRuns: 25 * share },
    )
  })

  test.runIf(available[bfloat16])('NaN and infinity reach the sums that they belong to, and no others', () => {
    const [m, n, k] = dtype === 'bfloat16' ? [40, 50, 37] : [100, 250, 237]
    const lowered = lower(matmul(m, n, k), { dtype, capabilities: own })
    const [lhs, rhs, out] = [m * k, k * n, m * n].map((length) => allocateHost(dtype, length)) as [
      HostData,
      HostData,
      HostData,
    ]
    for (let i = 0; i < m * k; i++) setElement(dtype, lhs, i, 1)
    for (let i = 0; i < k * n; i++) setElement(dtype, rhs, i, 1)
    setElement(dtype, lhs, 3 * k + k - 1, NaN)
    setElement(dtype, lhs, 39 * k, Infinity)
    setElement(dtype, rhs, 20 * n + n - 1, -Infinity)
    new ContractRunner(lowered, { lhs, rhs, out }).run()
    const expected = (i: number): number => {
      const [row, column] = [Math.floor(i / n), i % n]
      if (row === 3) return NaN
      if (row === 39) return column === n - 1 ? NaN : Infinity
      return column === n - 1 ? -Infinity : k
    }
    const found = Array.from({ length: m * n }, (_, i) => getElement(dtype, out, i))
    expect(found).toEqual(found.map((_, i) => expected(i)))
  })

  test('kernels do not depend on sizes', () => {
    const structures = (c: ContractCase): string[] =>
      lower(c, { dtype, capabilities: own }).steps.map((s) => structureOf(s.kernel))
    const [few, many] = dtype === 'bfloat16' ? [20, 2048] : [100, 2048]
    expect(structures(matmul(few, 250, 240))).toEqual(structures(matmul(many, 1000, 777)))
    if (dtype === 'float32') return
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

describe('products of float32 with few rows, or a short sum, on a machine with tiles', () => {
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16: 'tiles' }
  const lowered = (c: ContractCase): LoweredContract => lower(c, { dtype: 'float32', capabilities: own })
  const structures = ({ steps }: LoweredContract): string[] => steps.map((s) => structureOf(s.kernel))
  const hasTiles = (c: ContractCase): boolean =>
    lowered(c).steps.some((s) => flatten(s.kernel.body).some((b) => b.kind === 'tiles'))

  test('are not split', () => {
    const sizes = [
      [64, 4096, 256],
      [1800, 199, 57],
      [1083, 51, 1919],
      [96, 250, 240],
      [2048, 312, 312],
    ] as const
    expect(sizes.map(([m, n, k]) => hasTiles(matmul(m, n, k)))).toEqual([false, false, false, true, true])
  })

  test('nor are those that skip positions', () => {
    const of = (stride: number): ContractCase =>
      convolution({
        batch: 4,
        groups: 1,
        inChannels: 256,
        outChannels: 512,
        size: [14, 14],
        kernel: [1, 1],
        stride: [stride, stride],
        dilation: [1, 1],
        padding: [0, 0],
      })
    expect([of(1), of(2), gradientOf(of(2), 1)].map(hasTiles)).toEqual([true, false, false])
  })

  test.each([
    { name: 'rows', few: matmul(64, 250, 240), many: matmul(200, 250, 240) },
    { name: 'summed elements', few: matmul(240, 250, 64), many: matmul(240, 250, 200) },
  ])('compile the kernels ahead that more $name would have, and these theirs', ({ few, many }) => {
    for (const [one, other] of [
      [few, many],
      [many, few],
    ] as const) {
      const ahead = (lowered(one).siblings ?? []).map(structureOf)
      expect(ahead).toEqual(expect.arrayContaining(structures(lowered(other))))
    }
  })
})

describe.each([
  { name: 'bfloat16', dtype: 'bfloat16', productParts: 0, runs: 15 },
  { name: 'float32 in two parts', dtype: 'float32', productParts: 2, runs: 6 },
  { name: 'float32 in three parts', dtype: 'float32', productParts: 3, runs: 15 },
] as const)('convolutions by tiles, in $name', ({ dtype, productParts, runs }) => {
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16: 'tiles', winograd: false, productParts }
  const isByTiles = (c: ContractCase): boolean =>
    lower(c, { dtype, capabilities: own }).steps.some((s) =>
      flatten(s.kernel.body).some((b) => b.kind === 'tiles' && b.window !== null),
    )

  test('are what weights that fill tiles have', () => {
    const of = (inChannels: number, outChannels: number, kernel: number): ContractCase =>
      convolution({
        batch: 1,
        groups: 1,
        inChannels,
        outChannels,
        size: [14, 14],
        kernel: [kernel, kernel],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
      })
    expect(
      [of(64, 64, 3), gradientOf(of(64, 64, 3), 0), of(8, 64, 3), of(64, 8, 3), of(64, 64, 1)].map(isByTiles),
    ).toEqual([true, true, false, false, false])
  })

  test.runIf(available.tiles)('any window, stride, dilation and padding, and input gradients', () => {
    const axis = fc.record({
      size: fc.integer({ min: 8, max: 18 }),
      kernel: fc.integer({ min: 2, max: 3 }),
      stride: fc.integer({ min: 1, max: 2 }),
      dilation: fc.integer({ min: 1, max: 2 }),
      padding: fc.integer({ min: 0, max: 1 }),
    })
    const channels = {
      batch: size(2),
      inChannels: fc.constantFrom(25, 32, 59, 64),
      outChannels: fc.constantFrom(27, 32, 60),
    }
    fc.assert(
      fc.property(fc.record({ ...channels, axes: fc.array(axis, { minLength: 2, maxLength: 2 }) }), (c) => {
        const of = (key: keyof (typeof c.axes)[number]): number[] => c.axes.map((a) => a[key])
        const forward = convolution({
          ...c,
          groups: 1,
          size: of('size'),
          kernel: of('kernel'),
          stride: of('stride'),
          dilation: of('dilation'),
          padding: of('padding'),
        })
        for (const one of [forward, gradientOf(forward, 0)]) {
          expectResult(one, { dtype, capabilities: own })
        }
      }),
      { numRuns: runs },
    )
  })
})

// Others of float32 are not split into parts.
describe.each(['pairs', 'tiles'] as const)('of bfloat16 by %s', (bfloat16) => {
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16 }
  const expectSame = (c: ContractCase): void => expectResult(c, { dtype: 'bfloat16', capabilities: own })

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
})

test.runIf(available.tiles)('sums of three parts are as exact as those of float32, of two to 16 bits', () => {
  const orders = [
    [0, 1],
    [1, 0],
  ]
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16: 'tiles' }
  for (const lhsOrder of orders)
    for (const rhsOrder of orders) {
      const [m, n, k] = [100, 200, 777]
      const c = matmul(m, n, k)
      const errors = ([3, 0, 2] as const).map((productParts) => {
        const layout = { lhs: { order: lhsOrder }, rhs: { order: rhsOrder } }
        const lowered = lower(c, { ...layout, capabilities: { ...own, productParts } })
        expect(lowered.steps.some((s) => s.kernel.body.some((b) => usesTiles(b)))).toBe(productParts > 0)
        const next = randomNumbers(7)
        const [lhs, rhs] = [Float32Array.from({ length: m * k }, next), Float32Array.from({ length: k * n }, next)]
        const out = new Float32Array(m * n)
        new ContractRunner(lowered, { lhs, rhs, out }).run()
        const at = (order: number[], r: number, c: number, [rows, columns]: [number, number]): number =>
          order[0] === 0 ? r * columns + c : c * rows + r
        let [square, of] = [0, 0]
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++) {
            let sum = 0
            for (let x = 0; x < k; x++) sum += lhs[at(lhsOrder, i, x, [m, k])]! * rhs[at(rhsOrder, x, j, [k, n])]!
            square += (out[i * n + j]! - sum) ** 2
            of += sum ** 2
          }
        return Math.sqrt(square / of)
      }) as [number, number, number]
      expect(errors[0]).toBeLessThan(1.5 * errors[1])
      expect(errors[0]).toBeLessThan(1e-6)
      expect(errors[2]).toBeLessThan(6e-6)
    }
})

test.runIf(available.tiles)('of two parts: numbers near the largest stay finite, and any NaN stays one', () => {
  const [m, n, k] = [40, 250, 237]
  const own: Capabilities = { ...capabilities, vectorBytes: 64, bfloat16: 'tiles', productParts: 2 }
  const lowered = lower(matmul(m, n, k), { capabilities: own })
  const [lhs, rhs, out] = [m * k, k * n, m * n].map((length) => new Float32Array(length)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const largest = (2 - 2 ** -23) * 2 ** 127
  lhs[0] = largest
  lhs[k] = -largest
  new Int32Array(lhs.buffer)[2 * k] = -1
  rhs.fill(2 ** -20, 0, n)
  new ContractRunner(lowered, { lhs, rhs, out }).run()
  for (let i = 0; i < n; i++) {
    expect(Math.abs(out[i]! / (largest * 2 ** -20) - 1)).toBeLessThan(0.01)
    expect(out[n + i]).toBe(-out[i]!)
    expect(out[2 * n + i]).toBeNaN()
    expect(out[4 * n + i]).toBe(0)
  }
})

function usesTiles(s: Stmt): boolean {
  if (s.kind === 'tiles') return true
  if (s.kind === 'for') return s.body.some(usesTiles)
  return s.kind === 'if' && [...s.then, ...s.else].some(usesTiles)
}

/** Between -1 and 1, with all 24 bits. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  }
}
