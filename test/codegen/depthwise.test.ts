/** Depthwise convolutions by tiles of rows: as by definition, whatever the step, the distance of taps, and the rows' width beside a vector's. */
import { describe, expect, test } from 'vitest'
import { add, max, mul } from '../../src/codegen/builder.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import type { Epilogue } from '../../src/codegen/contract/problem.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { numel } from '../../src/common/shape.ts'
import { capabilities, compute, expectResult, lower } from '../support/contract-expect.ts'
import { ContractRunner } from '../support/contract-runner.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'

const wide = { ...capabilities, vectorBytes: 64 }
const narrow: Capabilities = { ...capabilities, vectorBytes: 16, vectorRegisters: 14 }
const widths: readonly Capabilities[] = [capabilities, wide, narrow]

const conv = (given: Partial<ConvolutionCase> = {}): ContractCase =>
  convolution({
    batch: 2,
    groups: 3,
    inChannels: 1,
    outChannels: 1,
    size: [11, 21],
    kernel: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    padding: [1, 1],
    ...given,
  })

const all = (given: Partial<ConvolutionCase>): ContractCase[] => {
  const forward = conv(given)
  return [forward, gradientOf(forward, 0), gradientOf(forward, 1)]
}

const structures = (c: ContractCase): string[] => lower(c).steps.map((s) => structureOf(s.kernel))

/** One kernel each, which computes what the definition says. */
function expectAll(given: Partial<ConvolutionCase>, of: Capabilities): void {
  for (const c of all(given)) {
    expect(lower(c, { capabilities: of }).steps.length).toBe(1)
    expectResult(c, { capabilities: of })
  }
}

describe('depthwise convolutions', () => {
  test.each(widths)('of rows of every width, and of any number of rows, with vectors of $vectorBytes bytes', (of) => {
    for (const width of [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 50]) expectAll({ size: [6, width] }, of)
    for (const height of [1, 2, 3, 4, 5, 7, 9]) expectAll({ size: [height, 20] }, of)
  })

  test.each(widths)(
    'with steps of two, whose gradients are even and odd results, in vectors of $vectorBytes bytes',
    (of) => {
      for (const width of [2, 7, 16, 31, 32, 33]) expectAll({ size: [7, width], stride: [2, 2] }, of)
      for (const height of [2, 5, 8])
        expectAll({ size: [height, 24], stride: [2, 2], kernel: [5, 5], padding: [2, 2] }, of)
      expectAll({ size: [9, 24], stride: [2, 1] }, of)
      expectAll({ size: [9, 24], stride: [1, 2] }, of)
    },
  )

  test('of every step and distance of taps', () => {
    expectAll({ kernel: [1, 1], padding: [0, 0], stride: [2, 2] }, wide)
    expectAll({ kernel: [2, 4], padding: [0, 3], stride: [2, 2], size: [12, 34] }, wide)
    expectAll({ dilation: [2, 3], padding: [2, 3], size: [13, 40] }, wide)
    expectAll({ dilation: [2, 2], padding: [2, 2], stride: [2, 2], size: [13, 40] }, wide)
    expectAll({ dilation: [1, 3], padding: [2, 2], stride: [3, 2], size: [14, 41] }, wide)
    const [forward, , weights] = all({ stride: [3, 3], size: [13, 40] }) as [ContractCase, ContractCase, ContractCase]
    for (const c of [forward, weights]) expectResult(c, { capabilities: wide })
  })

  test('along one axis', () => {
    expectAll({ size: [50], kernel: [3], stride: [1], dilation: [1], padding: [1] }, wide)
    expectAll({ size: [51], kernel: [5], stride: [2], dilation: [2], padding: [3] }, wide)
  })

  test('of images that are cut into bands, and of taps that do not fit the registers at once', () => {
    for (const of of [capabilities, wide]) {
      expectAll({ batch: 1, groups: 2, size: [45, 131] }, of)
      expectAll({ batch: 1, groups: 2, size: [77, 131], stride: [2, 2] }, of)
      expectAll({ kernel: [7, 7], padding: [3, 3], size: [12, 40] }, of)
    }
  })

  test('of bfloat16, and in layouts other than row by row', () => {
    for (const c of all({ size: [9, 20], stride: [2, 2] })) {
      expectResult(c, { dtype: 'bfloat16', outDType: 'float32', capabilities: wide })
      expectResult(c, { lhs: { order: [1, 0, 2, 3] }, capabilities: wide })
      expectResult(c, { lhs: { order: [0, 1, 3, 2] }, capabilities: wide })
      expectResult(c, { lhs: { flipped: [2], offset: 5 }, capabilities: wide })
    }
  })

  test('with an epilogue in the store', () => {
    const scaled: Epilogue = {
      title: '+relu',
      key: 'scaled, biased relu of channels',
      operands: [{ dtype: 'float32', strides: [0, 1, 0, 0], offset: 0 }],
      scalars: ['f32'],
      build: (_, sum, [bias], [factor]) => [max(add(mul(sum, factor!), bias!), 0)],
    }
    const bias = Float32Array.from([-3, 5, 40])
    for (const c of all({ stride: [2, 2] }).slice(0, 2)) {
      const { found, sum } = compute(c, { epilogue: scaled, operands: [bias], capabilities: wide })
      const perImage = numel(c.out) / c.out[0]!
      const channel = (i: number): number => Math.floor((i % perImage) / (perImage / 3))
      expect(found).toEqual(Array.from(sum, (x, i) => Math.max(x * 2 + bias[channel(i)]!, 0)))
    }
  })

  test.each(widths)('of low planes with constant weights, in vectors of $vectorBytes bytes', (of) => {
    const constant = { lhs: false, rhs: true }
    const planes: Partial<ConvolutionCase>[] = [
      {},
      { kernel: [5, 5], padding: [2, 2] },
      { kernel: [5, 3], padding: [2, 1], stride: [2, 1] },
      { kernel: [5, 5], padding: [2, 2], stride: [1, 2] },
      { kernel: [3, 3], padding: [2, 2], dilation: [2, 2] },
      { kernel: [5, 3], padding: [4, 1] },
    ]
    for (const plane of planes) {
      for (const height of [1, 2, 3, 4, 6]) {
        for (const width of [5, 16, 37]) {
          const c = conv({ ...plane, size: [height, width] })
          expectResult(c, { capabilities: of, constant })
        }
      }
    }
    // Widths and batches are no part of these kernels either.
    const structuresOf = (given: Partial<ConvolutionCase>): string[] =>
      lower(conv({ size: [2, 20], ...given }), { capabilities: of, constant }).steps.map((s) => structureOf(s.kernel))
    for (const given of [{ size: [2, 7] }, { size: [2, 300] }, { batch: 5 }])
      expect(structuresOf(given)).toEqual(structuresOf({}))
    expect(structuresOf({})).not.toEqual(structuresOf({ size: [20, 20] }))
  })

  test('kernels do not depend on sizes', () => {
    for (const given of [{}, { stride: [2, 2] }, { kernel: [5, 5], padding: [2, 2], stride: [2, 1] }])
      all({ ...given, size: [64, 48] }).forEach((c, i) => {
        for (const size of [
          [9, 7],
          [200, 300],
          [17, 500],
        ])
          expect(structures(all({ ...given, size })[i]!)).toEqual(structures(c))
      })
  })

  test('weights whose windows end before an infinite element do not count it', () => {
    const c = gradientOf(conv({ batch: 1, groups: 2, size: [3, 21], kernel: [1, 3], padding: [0, 0] }), 1)
    const [lhs, rhs, out] = [numel(c.lhs), numel(c.rhs), numel(c.out)].map((n) => new Float32Array(n).fill(1)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    // The last element of a row meets the last tap only.
    lhs[20] = Infinity
    new ContractRunner(lower(c, { capabilities: wide }), { lhs, rhs, out }).run()
    expect([...out]).toEqual([57, 57, Infinity, 57, 57, 57])
  })
})
