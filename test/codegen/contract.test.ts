import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batched, capabilities, compute, expectResult, lower, matmul } from '../support/contract-expect.ts'
import { convolution, gradientOf, type ContractCase, type ConvolutionCase } from '../support/naive-contract.ts'
import { ContractRunner } from '../support/contract-runner.ts'
import { lowerContract } from '../../src/codegen/contract/lower.ts'
import { contiguousStrides, numel } from '../../src/common/shape.ts'
import { add, max, mul } from '../../src/codegen/builder.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import type { Epilogue, LoweredContract } from '../../src/codegen/contract/problem.ts'

const size = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most })
const runs = { numRuns: 25 }

describe('matrix products', () => {
  test('of any size and layout', () => {
    const layout = fc.record({
      order: fc.constantFrom([0, 1], [1, 0]),
      flipped: fc.constantFrom([], [], [0], [1]),
      repeated: fc.constantFrom([], [], [0], [1]),
      offset: fc.nat(5),
    })
    fc.assert(
      fc.property(size(70), size(70), size(70), layout, layout, (m, n, k, lhs, rhs) =>
        expectResult(matmul(m, n, k), { lhs, rhs }),
      ),
      runs,
    )
  })

  test('with several blocks along every axis', () => {
    expectResult(matmul(130, 170, 700))
    expectResult(matmul(300, 30, 1100), { lhs: { order: [1, 0] } })
    expectResult(matmul(9, 500, 515), { rhs: { order: [1, 0] } })
  })

  test('batched, also with heads in the middle of the memory', () => {
    const orders = fc.constantFrom([0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2])
    fc.assert(
      fc.property(size(3), size(4), size(30), size(40), size(20), orders, orders, (b, h, m, n, k, lo, ro) =>
        expectResult(batched(b, h, m, n, k), { lhs: { order: lo }, rhs: { order: ro } }),
      ),
      runs,
    )
  })

  test('whose result is transposed, a vector, a number, or an outer product', () => {
    expectResult({
      name: 't',
      spec: { lhs: [0, 1], rhs: [1, 2], out: [2, 0] },
      lhs: [19, 33],
      rhs: [33, 41],
      out: [41, 19],
    })
    expectResult({ name: 'v', spec: { lhs: [0, 1], rhs: [1], out: [0] }, lhs: [19, 33], rhs: [33], out: [19] })
    expectResult({ name: 'v', spec: { lhs: [1], rhs: [1, 2], out: [2] }, lhs: [33], rhs: [33, 50], out: [50] })
    expectResult({ name: 'dot', spec: { lhs: [1], rhs: [1], out: [] }, lhs: [333], rhs: [333], out: [] })
    expectResult({ name: 'outer', spec: { lhs: [0], rhs: [1], out: [0, 1] }, lhs: [13], rhs: [37], out: [13, 37] })
    expectResult({
      name: 'diagonal',
      spec: { lhs: [0, 0, 1], rhs: [1, 2], out: [0, 2] },
      lhs: [7, 7, 9],
      rhs: [9, 8],
      out: [7, 8],
    })
    expectResult({
      name: 'product',
      spec: { lhs: [0, 1], rhs: [0, 1], out: [0, 1] },
      lhs: [7, 9],
      rhs: [7, 9],
      out: [7, 9],
    })
    expectResult({
      name: 'several',
      spec: { lhs: [0, 1, 2, 3], rhs: [3, 4, 2, 5], out: [0, 4, 1, 5] },
      lhs: [3, 4, 5, 6],
      rhs: [6, 7, 5, 2],
      out: [3, 7, 4, 2],
    })
  })

  test('with vectors of other widths', () => {
    for (const vectorBytes of [0, 16, 64]) {
      const other = { ...capabilities, vectorBytes }
      expectResult(matmul(37, 101, 70), { capabilities: other })
      expectResult(matmul(37, 20, 70), { capabilities: other, rhs: { order: [1, 0] } })
      expectResult(gradientOf(convolution(oneConvolution), 1), { capabilities: other })
    }
  })

  test('of few columns, whose rows are read where they lie', () => {
    fc.assert(
      fc.property(size(4), size(40), size(32), size(600), (b, m, n, k) =>
        expectResult(batched(b, 2, m, n, k), { lhs: { order: [0, 2, 1, 3] } }),
      ),
      { numRuns: 15 },
    )
  })

  test('of vectors and matrices, long and short', () => {
    fc.assert(
      fc.property(size(300), size(300), fc.boolean(), (n, k, turned) => {
        const order = turned ? [1, 0] : [0, 1]
        expectResult(
          { name: 'v', spec: { lhs: [0, 1], rhs: [1], out: [0] }, lhs: [n, k], rhs: [k], out: [n] },
          { lhs: { order } },
        )
        expectResult(
          { name: 'v', spec: { lhs: [1], rhs: [1, 2], out: [2] }, lhs: [k], rhs: [k, n], out: [n] },
          { rhs: { order } },
        )
      }),
      { numRuns: 15 },
    )
  })

  test('of one row and a large matrix, which are summed in parts', () => {
    const row = (n: number, k: number): ContractCase => ({
      name: 'row',
      spec: { lhs: [1], rhs: [1, 2], out: [2] },
      lhs: [k],
      rhs: [k, n],
      out: [n],
    })
    const column = (n: number, k: number): ContractCase => ({
      name: 'column',
      spec: { lhs: [1, 0], rhs: [1], out: [0] },
      lhs: [k, n],
      rhs: [k],
      out: [n],
    })
    for (const [n, k] of [
      [400, 700],
      [2049, 130],
      [9, 30_001],
    ] as const) {
      expect(lower(row(n, k)).steps.map((s) => s.kernel.title)).toEqual(['row of matmul', 'add parts of matmul'])
      expectResult(row(n, k))
      expectResult(column(n, k), { lhs: { offset: 3 }, rhs: { flipped: [0] } })
      expectResult(row(n, k), { capabilities: { ...capabilities, vectorBytes: 64 } })
    }
    expectResult(row(400, 700), { rhs: { order: [1, 0] } })
  })

  test('whose neighbours in memory are not numbers', () => {
    // The last vector of a row is loaded with what follows behind the row: columns that are not there must not show.
    const [m, n, k] = [11, 21, 30]
    const wide = 64
    const x = Float32Array.from({ length: m * k }, (_, i) => (i % 7) - 3)
    const y = Float32Array.from({ length: k * wide }, (_, i) => (i % wide < n ? (i % 5) - 2 : NaN))
    const problem = {
      ...matmul(m, n, k),
      lhs: { shape: [m, k], strides: [k, 1], offset: 0 },
      rhs: { shape: [k, n], strides: [wide, 1], offset: 0 },
      out: { shape: [m, n], strides: [n, 1], offset: 0 },
    }
    const lowered = lowerContract({ ...problem, dtype: 'float32', capabilities })
    const memory = { lhs: x, rhs: y.subarray(0, (k - 1) * wide + n), out: new Float32Array(m * n) }
    new ContractRunner(lowered, memory, 1).run()
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        const sum = Array.from({ length: k }, (_, p) => x[i * k + p]! * y[p * wide + j]!).reduce((s, v) => s + v)
        expect(memory.out[i * n + j]).toBe(sum)
      }
  })

  test('of operands that are kept from run to run, which launches of their own pack', () => {
    for (const sides of [['lhs'], ['rhs'], ['lhs', 'rhs']]) {
      const constant = { lhs: sides.includes('lhs'), rhs: sides.includes('rhs') }
      for (const order of [
        [0, 1],
        [1, 0],
      ]) {
        expectResult(matmul(16, 100, 300), { constant, rhs: { order } })
        expectResult(matmul(1, 130, 700), { constant, rhs: { order } })
      }
      expectResult(batched(2, 3, 5, 70, 40), { constant })
      const packs = lower(matmul(16, 100, 300), { constant }).steps.filter((s) => s.kernel.title.startsWith('pack'))
      expect(packs).toHaveLength(sides.length)
    }
  })

  test('with nothing to sum, and with nothing to compute', () => {
    expectResult(matmul(5, 30, 0))
    expect(lower(matmul(0, 3, 4)).steps).toEqual([])
  })

  test('in every dtype', () => {
    for (const dtype of ['float64', 'int32', 'int64', 'float16', 'bfloat16', 'int8', 'uint8'] as const)
      expectResult(matmul(5, 30, 7), { dtype })
    expectResult(matmul(30, 50, 400), { dtype: 'bfloat16', outDType: 'float32' })
    expectResult(matmul(30, 50, 400), { dtype: 'float16', outDType: 'float32' })
  })
})

describe('epilogues', () => {
  const epilogue = (shape: readonly number[]): Epilogue => ({
    title: '+bias+relu',
    key: 'scale, bias, residual, relu',
    operands: [
      { dtype: 'float32', strides: shape.map((_, i) => (i === shape.length - 1 ? 1 : 0)), offset: 0 },
      { dtype: 'float32', strides: contiguousStrides(shape), offset: 0 },
      { dtype: 'float32', strides: shape.map((_, i) => (i === 0 ? 3 : 0)), offset: 1 },
    ],
    scalars: ['f32'],
    build: (_, value, [bias, residual, row], [scale]) => [
      max(add(add(mul(value, scale!), bias!), add(residual!, row!)), 0),
    ],
  })

  function expectEpilogue(c: ContractCase): void {
    const operands = [numel(c.out), numel(c.out), 3 * numel(c.out) + 1].map((n, i) =>
      Float32Array.from({ length: n }, (_, j) => ((j * (i + 3)) % 11) - 5),
    )
    const e = epilogue(c.out)
    const { found, sum } = compute(c, { epilogue: e, operands })
    const last = c.out.at(-1)!
    const rest = numel(c.out.slice(1))
    const expected = [...sum].map((x, i) =>
      Math.max(0, 2 * x + operands[0]![i % last]! + operands[1]![i]! + operands[2]![Math.floor(i / rest) * 3 + 1]!),
    )
    expect(found).toEqual(expected)
  }

  test('of products and of convolutions', () => {
    expectEpilogue(matmul(37, 53, 29))
    expectEpilogue(matmul(16, 48, 900))
    expectEpilogue(batched(2, 3, 9, 27, 5))
    expectEpilogue(convolution(oneConvolution))
  })
})

describe('operands that never change', () => {
  const constants = [
    { lhs: false, rhs: true },
    { lhs: true, rhs: false },
  ]

  test('of products of any size and layout', () => {
    const order = fc.constantFrom([0, 1], [1, 0])
    const vectorBytes = fc.constantFrom(16, 32, 64)
    fc.assert(
      fc.property(
        size(150),
        size(150),
        size(400),
        order,
        order,
        fc.constantFrom(...constants),
        vectorBytes,
        (m, n, k, lhs, rhs, constant, bytes) =>
          expectResult(matmul(m, n, k), {
            constant,
            lhs: { order: lhs },
            rhs: { order: rhs },
            capabilities: { ...capabilities, vectorBytes: bytes },
          }),
      ),
      runs,
    )
  })

  test('of one row, of few columns, batched, with long sums', () => {
    for (const constant of constants) {
      for (const n of [9, 20, 50]) expectResult(matmul(5, n, 3), { constant, lhs: { order: [1, 0] } })
      expectResult(matmul(1, 200, 96), { constant, rhs: { order: [1, 0] } })
      expectResult(matmul(70, 1, 33), { constant })
      expectResult(batched(2, 3, 20, 70, 40), { constant, rhs: { order: [0, 2, 1, 3] } })
      expectResult(matmul(70, 60, 2500), { constant })
    }
  })

  test('of convolutions over small images', () => {
    for (const vectorBytes of [16, 64])
      for (const extent of [1, 2, 7, 14])
        for (const stride of [1, 2]) {
          const c = {
            ...oneConvolution,
            inChannels: 20,
            outChannels: 70,
            batch: 1,
            size: [extent, extent],
            stride: [stride, stride],
          }
          const options = { constant: { lhs: false, rhs: true }, capabilities: { ...capabilities, vectorBytes } }
          expectResult(convolution(c), options)
        }
  })
})

const oneConvolution: ConvolutionCase = {
  batch: 2,
  groups: 1,
  inChannels: 5,
  outChannels: 6,
  size: [9, 11],
  kernel: [3, 3],
  stride: [1, 1],
  dilation: [1, 1],
  padding: [1, 1],
}

describe('convolutions', () => {
  const axis = fc.record({
    size: fc.integer({ min: 1, max: 13 }),
    kernel: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 3 }),
    padding: fc.integer({ min: 0, max: 3 }),
  })
  const arbitrary = fc
    .record({
      batch: size(3),
      groups: fc.constantFrom(1, 1, 2, 3),
      inChannels: size(5),
      outChannels: size(6),
      axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
    })
    .map(({ axes, batch, groups, inChannels, outChannels }): ConvolutionCase => {
      // Windows must fit.
      const fitted = axes.map((a) => ({
        kernel: a.kernel,
        stride: a.stride,
        dilation: a.dilation,
        padding: a.padding,
        size: Math.max(a.size, a.dilation * (a.kernel - 1) + 1 - 2 * a.padding),
      }))
      const of = (key: keyof (typeof fitted)[number]): number[] => fitted.map((a) => a[key])
      return {
        batch,
        groups,
        inChannels,
        outChannels,
        size: of('size'),
        kernel: of('kernel'),
        stride: of('stride'),
        dilation: of('dilation'),
        padding: of('padding'),
      }
    })

  test('forward and both gradients, any rank, stride, dilation, padding and groups', () => {
    fc.assert(
      fc.property(arbitrary, (c) => {
        const forward = convolution(c)
        expectResult(forward)
        expectResult(gradientOf(forward, 0))
        expectResult(gradientOf(forward, 1))
      }),
      { numRuns: 20 },
    )
  })

  test('channels last', () => {
    const c = convolution(oneConvolution)
    expectResult(c, { lhs: { order: [0, 2, 3, 1] }, rhs: { order: [2, 3, 1, 0] } })
  })

  test('whose weight gradients have long sums', () => {
    expectResult(gradientOf(convolution({ ...oneConvolution, batch: 9, size: [23, 19] }), 1))
    expectResult(matmul(20, 30, 2500))
    expectResult(batched(2, 1, 20, 30, 2500))
  })

  test('depthwise of any size', () => {
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 1, max: 50 }), (c, width) => {
        const size = [...c.size.slice(0, -1), c.size.at(-1)! + width]
        const forward = convolution({ ...c, size, groups: 3, inChannels: 1, outChannels: 1 })
        expectResult(forward)
        expectResult(gradientOf(forward, 0))
        expectResult(gradientOf(forward, 1))
      }),
      { numRuns: 15 },
    )
  })

  test('of images of one element, which lie beside each other', () => {
    const c = {
      ...oneConvolution,
      batch: 37,
      inChannels: 1,
      outChannels: 1,
      groups: 1,
      size: [1],
      kernel: [1],
      dilation: [1],
      padding: [0],
    }
    for (const stride of [1, 2, 3]) {
      const forward = convolution({ ...c, stride: [stride] })
      expectResult(forward)
      expectResult(gradientOf(forward, 0))
      expectResult(gradientOf(forward, 1))
    }
  })

  test('depthwise', () => {
    const c = convolution({ ...oneConvolution, groups: 7, inChannels: 1, outChannels: 1, size: [10, 37] })
    expectResult(c)
    expectResult(gradientOf(c, 0))
    expectResult(gradientOf(c, 1))
  })

  test('second order: windows in the second operand', () => {
    const { spec, lhs, rhs, out } = convolution(oneConvolution)
    expectResult({ name: 'swapped', spec: { lhs: spec.rhs, rhs: spec.lhs, out: spec.out }, lhs: rhs, rhs: lhs, out })
  })
})

describe('structure', () => {
  const kernels = (l: LoweredContract): string => l.steps.map((s) => structureOf(s.kernel)).join(' ')

  test('does not depend on sizes', () => {
    expect(kernels(lower(matmul(200, 50, 40)))).toBe(kernels(lower(matmul(2048, 1000, 777))))
    expect(kernels(lower(batched(2, 3, 200, 50, 40)))).toBe(kernels(lower(batched(8, 12, 128, 128, 26))))
    const narrow = convolution(oneConvolution)
    const wide = convolution({ ...oneConvolution, batch: 16, size: [32, 320] })
    expect(kernels(lower(narrow))).toBe(kernels(lower(wide)))
    expect(kernels(lower(gradientOf(narrow, 0)))).toBe(kernels(lower(gradientOf(wide, 0))))
    expect(kernels(lower(gradientOf(narrow, 1)))).toBe(kernels(lower(gradientOf(wide, 1))))
    const depthwise = { ...oneConvolution, groups: 7, inChannels: 1, outChannels: 1 }
    for (const stride of [
      [1, 1],
      [2, 2],
    ]) {
      const [small, large] = [
        convolution({ ...depthwise, stride }),
        convolution({ ...depthwise, stride, batch: 16, size: [32, 320] }),
      ]
      expect(kernels(lower(small))).toBe(kernels(lower(large)))
      expect(kernels(lower(gradientOf(small, 0)))).toBe(kernels(lower(gradientOf(large, 0))))
      expect(kernels(lower(gradientOf(small, 1)))).toBe(kernels(lower(gradientOf(large, 1))))
    }
  })
})
