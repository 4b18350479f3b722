/** Convolutions whose windows are read where they lie: as by definition, for rows of every width around that of a vector, and only where they gain. */
import { describe, expect, test } from 'vitest'
import { add, max, mul } from '../../src/codegen/builder.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import type { Epilogue } from '../../src/codegen/contract/problem.ts'
import { numel } from '../../src/common/shape.ts'
import { capabilities, compute, expectResult, lower, matmul } from '../support/contract-expect.ts'
import { ContractRunner } from '../support/contract-runner.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'

const widths: readonly Capabilities[] = [
  capabilities,
  { ...capabilities, vectorBytes: 64 },
  { ...capabilities, vectorBytes: 16, vectorRegisters: 14 },
]

function conv(given: Partial<ConvolutionCase> = {}): ContractCase {
  return convolution({
    batch: 3,
    groups: 1,
    inChannels: 3,
    outChannels: 10,
    size: [7, 30],
    kernel: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    padding: [1, 1],
    ...given,
  })
}

const isUnpacked = (c: ContractCase, of: Capabilities = capabilities): boolean =>
  lower(c, { capabilities: of }).steps.some((s) => s.kernel.title.startsWith('unpacked'))

/** Both directions by definition, with vectors of every width. */
function expectBoth(given: Partial<ConvolutionCase>): void {
  for (const of of widths) {
    const forward = conv(given)
    for (const c of [forward, gradientOf(forward, 1)]) {
      expect(isUnpacked(c, of)).toBe(true)
      expectResult(c, { capabilities: of })
    }
  }
}

describe('convolutions without packing', () => {
  test.each([4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 50])('of rows of %i results', (width) => {
    expectBoth({ size: [3, width + 2], padding: [1, 0] })
  })

  test('of every step and distance of taps', () => {
    expectBoth({ stride: [2, 2], size: [9, 45] })
    expectBoth({ stride: [1, 3], dilation: [2, 1], size: [9, 60] })
    expectBoth({ stride: [2, 2], dilation: [1, 3], kernel: [2, 4], size: [9, 60] })
    expectBoth({ dilation: [2, 2], padding: [2, 2] })
    expectBoth({ kernel: [7, 7], inChannels: 1, padding: [3, 3], stride: [2, 2], size: [20, 40] })
    expectBoth({ kernel: [1, 1], padding: [0, 0] })
    expectBoth({ kernel: [1, 1], padding: [0, 0], stride: [2, 2] })
    expectBoth({ kernel: [3, 1], padding: [1, 0] })
  })

  test('of two filters or many, one image or many, with groups, along one axis or three', () => {
    expectBoth({ outChannels: 2, batch: 1 })
    expectBoth({ outChannels: 65 })
    expectBoth({ batch: 40, size: [2, 20] })
    expectBoth({ groups: 3, inChannels: 2, outChannels: 4 })
    const along = (n: number) => ({
      size: [...new Array<number>(n - 1).fill(3), 20],
      kernel: new Array<number>(n).fill(2),
      stride: new Array<number>(n).fill(1),
      dilation: new Array<number>(n).fill(1),
      padding: new Array<number>(n).fill(1),
    })
    expectBoth({ ...along(1), batch: 2 })
    expectBoth({ ...along(3), batch: 2 })
  })

  test('of the input gradient with stride 1, whose window is turned around', () => {
    const c = gradientOf(conv({ outChannels: 5, inChannels: 4 }), 0)
    expect(isUnpacked(c)).toBe(true)
    for (const of of widths) expectResult(c, { capabilities: of })
  })

  test('of the input gradient where padding is so wide that no window meets an element: nothing is summed', () => {
    const forward = conv({
      batch: 1,
      inChannels: 2,
      outChannels: 1,
      size: [1, 8],
      kernel: [1, 2],
      stride: [2, 1],
      padding: [3, 0],
    })
    for (const of of widths) expectResult(gradientOf(forward, 0), { capabilities: of })
  })

  test('with an epilogue in the store', () => {
    const scaled: Epilogue = {
      title: '+relu',
      key: 'scaled, biased relu',
      operands: [{ dtype: 'float32', strides: [0, 1, 0, 0], offset: 0 }],
      scalars: ['f32'],
      build: (_, sum, [bias], [factor]) => [max(add(mul(sum, factor!), bias!), 0)],
    }
    const c = conv()
    const bias = Float32Array.from({ length: 10 }, (_, i) => i - 3)
    for (const of of widths) {
      const { found, sum } = compute(c, { epilogue: scaled, operands: [bias], capabilities: of })
      const perImage = numel(c.out) / c.out[0]!
      const filter = (i: number): number => Math.floor((i % perImage) / (perImage / 10))
      expect(found).toEqual(Array.from(sum, (x, i) => Math.max(x * 2 + bias[filter(i)]!, 0)))
    }
  })

  test('a gradient counts what is infinite once: the end of a row is not added again as nothing times infinity', () => {
    const c = gradientOf(
      conv({ size: [1, 21], kernel: [1, 1], padding: [0, 0], inChannels: 1, outChannels: 1, batch: 1 }),
      1,
    )
    const lowered = lower(c)
    const [lhs, rhs, out] = [new Float32Array(21).fill(1), new Float32Array(21).fill(1), new Float32Array(1)]
    lhs[14] = Infinity
    new ContractRunner(lowered, { lhs, rhs, out }).run()
    expect(out[0]).toBe(Infinity)
  })

  test('only where they gain', () => {
    expect(isUnpacked(conv({ inChannels: 300, size: [8, 40] }))).toBe(false)
    const many = conv({ inChannels: 64, outChannels: 64, stride: [2, 2], size: [8, 40] })
    expect(isUnpacked(many, { ...capabilities, vectorBytes: 64 })).toBe(true)
    expect(isUnpacked(many, { ...capabilities, vectorBytes: 32 })).toBe(false)
    const fewFilters = conv({ inChannels: 64, outChannels: 3, size: [8, 40] })
    expect(isUnpacked(fewFilters, { ...capabilities, vectorBytes: 32 })).toBe(true)
    expect(isUnpacked(conv({ inChannels: 30, size: [6, 6] }))).toBe(false)
    expect(isUnpacked(conv({ inChannels: 64, kernel: [1, 1], padding: [0, 0] }))).toBe(false)
    expect(isUnpacked(gradientOf(conv({ inChannels: 30 }), 1))).toBe(false)
    expect(isUnpacked(matmul(30, 40, 8))).toBe(false)
  })
})
