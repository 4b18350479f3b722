/** Depthwise convolutions by tiles of rows: as by definition, for images of every height and width around those of tiles. */
import { describe, expect, test } from 'vitest'
import { add, max, mul } from '../../src/codegen/builder.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import type { Epilogue } from '../../src/codegen/contract/problem.ts'
import { contiguousStrides } from '../../src/common/shape.ts'
import { capabilities, compute, expectResult, lower } from '../support/contract-expect.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'

const widths: readonly Capabilities[] = [
  capabilities,
  { ...capabilities, vectorBytes: 64 },
  { ...capabilities, vectorBytes: 16, vectorRegisters: 14 },
]

function depthwise(given: Partial<ConvolutionCase> = {}): ContractCase {
  return convolution({
    batch: 2,
    groups: 3,
    inChannels: 1,
    outChannels: 1,
    size: [7, 30],
    kernel: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    padding: [1, 1],
    ...given,
  })
}

const isTiled = (c: ContractCase, of: Capabilities): boolean =>
  lower(c, { capabilities: of }).steps.some((s) => s.kernel.title.startsWith('depthwise'))

function expectTiled(c: ContractCase, widths_ = widths): void {
  for (const of of widths_) {
    expect(isTiled(c, of)).toBe(true)
    expectResult(c, { capabilities: of })
  }
}

describe('depthwise convolutions by tiles of rows', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 11, 40])('of %i rows', (height) => {
    expectTiled(depthwise({ size: [height, 30] }))
    expectTiled(depthwise({ size: [height, 30], kernel: [5, 5], padding: [2, 2] }))
  })

  test.each([16, 17, 31, 32, 33, 48, 63, 65])('of rows of %i results', (width) => {
    expectTiled(depthwise({ size: [5, width] }))
    expectTiled(depthwise({ size: [9, 2 * width], stride: [2, 2] }))
  })

  test('of every step and distance of taps, with padding or without', () => {
    expectTiled(depthwise({ stride: [2, 1] }))
    expectTiled(depthwise({ stride: [1, 2], size: [7, 60] }))
    expectTiled(depthwise({ stride: [3, 3], size: [20, 70], kernel: [5, 5], padding: [0, 0] }))
    expectTiled(depthwise({ stride: [2, 2], size: [20, 70], kernel: [2, 4], padding: [0, 3] }))
    expectTiled(depthwise({ dilation: [2, 3], padding: [2, 3] }))
    expectTiled(depthwise({ stride: [2, 1], dilation: [3, 1], size: [20, 30] }))
    expectTiled(depthwise({ kernel: [7, 7], padding: [3, 3] }))
    expectTiled(depthwise({ kernel: [1, 3], padding: [0, 1] }))
    expectTiled(depthwise({ kernel: [3, 1], padding: [5, 0] }))
  })

  test('of images in bands, one channel or many, and of three axes', () => {
    expectTiled(depthwise({ size: [70, 300], batch: 1, groups: 2 }))
    expectTiled(depthwise({ size: [70, 300], stride: [2, 2], batch: 1, groups: 2, kernel: [5, 5], padding: [2, 2] }))
    expectTiled(depthwise({ groups: 70, size: [4, 20] }))
  })

  test('of the input gradient with stride 1, whose window is turned around', () => {
    expectTiled(gradientOf(depthwise(), 0))
    expectTiled(gradientOf(depthwise({ dilation: [2, 2], padding: [1, 2], size: [9, 40] }), 0))
  })

  test('with an epilogue whose operands lie as they like', () => {
    const c = depthwise({ size: [6, 37] })
    const operands = [contiguousStrides(c.out), [0, 1, 0, 0]].map((strides) => ({
      dtype: 'float32' as const,
      strides,
      offset: 0,
    }))
    const epilogue: Epilogue = {
      title: '+add+mul+max',
      key: 'add mul max',
      operands,
      scalars: [],
      build: (_, sum, [x, y]) => [max(add(mul(sum, y!), x!), 0)],
    }
    const [beside, scale] = [c.out.reduce((n, d) => n * d, 1), c.out[1]!].map((n) =>
      Float32Array.from({ length: n }, (_, i) => (i % 7) - 3),
    ) as [Float32Array, Float32Array]
    const perChannel = c.out[2]! * c.out[3]!
    for (const of of widths) {
      const { found, sum } = compute(c, { capabilities: of, epilogue, operands: [beside, scale] })
      const channel = (i: number): number => Math.floor(i / perChannel) % c.out[1]!
      expect(found).toEqual(Array.from(sum, (x, i) => Math.max(x * scale[channel(i)]! + beside[i]!, 0)))
    }
  })

  test('not of rows shorter than a vector', () => {
    expect(isTiled(depthwise({ size: [7, 7] }), capabilities)).toBe(false)
  })
})
