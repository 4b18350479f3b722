/** Results with windows that have a stride (input gradients, transposed convolutions): as by definition, whatever the classes of their elements are. */
import { describe, expect, test } from 'vitest'
import { add, max, mul } from '../../src/codegen/builder.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import type { Epilogue } from '../../src/codegen/contract/problem.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { numel } from '../../src/common/shape.ts'
import { capabilities, compute, expectResult, lower, type Options } from '../support/contract-expect.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'

const widths: readonly Capabilities[] = [
  capabilities,
  { ...capabilities, vectorBytes: 64 },
  { ...capabilities, vectorBytes: 16, vectorRegisters: 14 },
]

/** The input gradient of a convolution. */
function gradient(given: Partial<ConvolutionCase> = {}): ContractCase {
  const forward = convolution({
    batch: 3,
    groups: 1,
    inChannels: 10,
    outChannels: 6,
    size: [9, 34],
    kernel: [3, 3],
    stride: [2, 2],
    dilation: [1, 1],
    padding: [1, 1],
    ...given,
  })
  return gradientOf(forward, 0)
}

const titles = (c: ContractCase, o: Options = {}): string[] => lower(c, o).steps.map((s) => s.kernel.title)

/** At most a copy, packed weights, and one kernel for all classes; right with vectors of every width. */
function expectZipped(given: Partial<ConvolutionCase>): void {
  const c = gradient(given)
  for (const of of widths) {
    const own = titles(c, { capabilities: of })
    expect(own.filter((t) => t === 'convolution')).toHaveLength(1)
    expect(own.length).toBeLessThanOrEqual(3)
    expectResult(c, { capabilities: of })
  }
}

/** As above for results of one channel, which need no packed weights. */
function expectRow(given: Partial<ConvolutionCase>): void {
  const c = gradient({ inChannels: 1, ...given })
  for (const of of widths) {
    const own = titles(c, { capabilities: of })
    expect(own.filter((t) => t === 'convolution')).toHaveLength(1)
    expect(own.length).toBeLessThanOrEqual(2)
    expectResult(c, { capabilities: of })
  }
}

describe('classes of a result with a stride in one kernel', () => {
  test.each([3, 6, 7, 8, 14, 15, 16, 17, 31, 33, 35, 64, 66, 99])('rows of %i elements', (width) => {
    expectZipped({ size: [5, width] })
  })

  test('every stride, size of windows and padding', () => {
    expectZipped({ stride: [2, 1] })
    expectZipped({ stride: [1, 2], padding: [0, 1] })
    expectZipped({ stride: [3, 3], size: [13, 40] })
    expectZipped({ stride: [4, 4], size: [13, 70], kernel: [4, 4], padding: [0, 0] })
    expectZipped({ stride: [2, 4], size: [13, 41], kernel: [5, 7], padding: [2, 3] })
    expectZipped({ stride: [5, 5], size: [13, 41] })
    expectZipped({ kernel: [1, 1], padding: [0, 0] })
    expectZipped({ kernel: [2, 2], padding: [0, 0] })
    expectZipped({ kernel: [2, 2], padding: [0, 0], size: [9, 35] })
    expectZipped({ kernel: [5, 5], padding: [2, 2] })
    expectZipped({ kernel: [7, 3], padding: [3, 0] })
    expectZipped({ kernel: [3, 3], padding: [4, 4] })
    expectZipped({ stride: [2, 1], dilation: [1, 3], kernel: [3, 3] })
  })

  test('one row of positions: rows of the result are classes, as with a stride as long as the window', () => {
    const oneRow = { size: [2, 34], kernel: [2, 2], stride: [1, 1], padding: [0, 0] }
    expectZipped(oneRow)
    expectZipped({ ...oneRow, stride: [1, 2] })
    expectZipped({ size: [3, 34], stride: [1, 1], padding: [0, 1] })
    expectZipped({ size: [3, 34], stride: [2, 2], padding: [0, 1] })
    expectZipped({ size: [5, 34], stride: [4, 1], padding: [0, 1] })
    for (const of of widths)
      expectResult(gradient({ size: [1, 34], stride: [1, 1], padding: [1, 1] }), { capabilities: of })
    const c = gradient(oneRow)
    const flops = lower(c).steps.reduce((sum, step) => sum + step.flops, 0)
    expect(flops).toBeLessThan(1.2 * 2 * numel(c.out) * 6 * 2)
  })

  test('one windowed axis, groups, few and many channels', () => {
    expectZipped({ size: [41], kernel: [3], stride: [2], dilation: [1], padding: [1] })
    expectZipped({ groups: 3, inChannels: 3, outChannels: 4 })
    expectZipped({ inChannels: 2, outChannels: 1 })
    expectZipped({ inChannels: 33, outChannels: 70 })
  })

  test('sums of several blocks and tasks', () => {
    expectZipped({ batch: 2, inChannels: 21, outChannels: 300, size: [8, 14] })
    expectZipped({ batch: 2, inChannels: 9, outChannels: 600, kernel: [1, 1], padding: [0, 0] })
    expectZipped({ batch: 5, inChannels: 40, outChannels: 20, size: [30, 30] })
  })

  test('float16', () => {
    expectResult(gradient(), { dtype: 'float16', outDType: 'float32' })
  })

  test('a step between taps with a stride goes class by class', () => {
    const c = gradient({ dilation: [2, 2], padding: [2, 2] })
    expect(titles(c).filter((t) => t === 'convolution').length).toBeGreaterThan(1)
    expectResult(c)
  })

  test('sizes do not change the kernels', () => {
    const names = (given: Partial<ConvolutionCase>): string =>
      lower(gradient(given))
        .steps.map((s) => structureOf(s.kernel))
        .join()
    expect(names({ size: [40, 77], batch: 9 })).toBe(names({ size: [9, 34] }))
    expect(names({ kernel: [2, 2], padding: [0, 0], size: [20, 46] })).toBe(
      names({ kernel: [2, 2], padding: [0, 0], size: [10, 34] }),
    )
  })

  test.each([2, 3])('an epilogue in the store, stride %i', (stride) => {
    const c = gradient({ stride: [stride, stride], size: [9, 35] })
    const [, channels, height, width] = c.out as [number, number, number, number]
    const bias = Float32Array.from({ length: channels }, (_, i) => (i % 5) - 2)
    const residual = Float32Array.from({ length: numel(c.out) }, (_, i) => (i % 7) - 3)
    const epilogue: Epilogue = {
      title: '+bias+residual+relu',
      key: 'test zipped epilogue',
      operands: [
        { dtype: 'float32', strides: [0, 1, 0, 0], offset: 0 },
        { dtype: 'float32', strides: [channels * height * width, height * width, width, 1], offset: 0 },
      ],
      scalars: ['f32'],
      build: (_, value, operands, [scale]) => {
        const scaled = mul(value, scale!)
        return [max(add(add(scaled, operands[0]!), operands[1]!), 0)]
      },
    }
    for (const of of widths) {
      const { found, sum } = compute(c, { epilogue, operands: [bias, residual], capabilities: of })
      const plane = height * width
      const wanted = Array.from(sum, (x, i) =>
        Math.max(0, 2 * x + bias[Math.floor(i / plane) % channels]! + residual[i]!),
      )
      expect(found.map((x) => x + 0)).toEqual(wanted)
    }
  })
})

describe('results of one channel', () => {
  test.each([2, 3, 6, 7, 8, 14, 15, 16, 17, 31, 33, 35, 64, 66, 99, 530, 1037])('rows of %i elements', (width) => {
    expectRow({ size: [5, width], kernel: [2, 2], padding: [0, 0] })
    expectRow({ size: [5, width] })
  })

  test('every stride, size of windows and padding', () => {
    expectRow({ stride: [2, 1] })
    expectRow({ stride: [1, 2], padding: [0, 1] })
    expectRow({ stride: [3, 2], size: [13, 40] })
    expectRow({ stride: [4, 4], size: [13, 70], kernel: [4, 4], padding: [0, 0] })
    expectRow({ stride: [8, 4], size: [17, 70], kernel: [8, 4], padding: [0, 0] })
    expectRow({ stride: [2, 4], size: [13, 41], kernel: [5, 7], padding: [2, 3] })
    expectRow({ kernel: [1, 1], padding: [0, 0] })
    expectRow({ kernel: [4, 4], padding: [1, 1] })
    expectRow({ kernel: [7, 3], padding: [3, 0] })
    expectRow({ kernel: [3, 3], padding: [4, 4] })
    expectRow({ stride: [2, 1], dilation: [1, 3], kernel: [3, 3] })
  })

  test('one windowed axis, groups, few and many channels, one image', () => {
    expectRow({ size: [41], kernel: [3], stride: [2], dilation: [1], padding: [1] })
    expectRow({ groups: 3, outChannels: 6 })
    expectRow({ outChannels: 2 })
    expectRow({ outChannels: 40, batch: 1 })
  })

  test('classes that are not interleaved in vectors, and windows of many taps, go another way', () => {
    expectResult(gradient({ inChannels: 1, stride: [3, 3], size: [13, 40] }))
    expectResult(gradient({ inChannels: 1, kernel: [9, 9], size: [13, 40] }))
    expectResult(gradient({ inChannels: 1, outChannels: 1 }))
  })

  test('sizes do not change the kernels', () => {
    const names = (size: number[], batch: number): string =>
      lower(gradient({ inChannels: 1, size, batch }))
        .steps.map((s) => structureOf(s.kernel))
        .join()
    expect(names([40, 77], 9)).toBe(names([9, 34], 2))
    expect(names([40, 6], 9)).toBe(names([9, 34], 2))
  })
})
