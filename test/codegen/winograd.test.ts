/** Convolutions in Winograd's form: the same results as by definition, within 1e-4 of the largest one, and only where it may be used. */
import { describe, expect, test } from 'vitest'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { add, max } from '../../src/codegen/builder.ts'
import { lowerContract } from '../../src/codegen/contract/lower.ts'
import type { ContractProblem, Epilogue, LoweredContract, StridedView } from '../../src/codegen/contract/problem.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { fromBfloat16Bits, toBfloat16Bits } from '../../src/common/dtype.ts'
import { contiguousStrides, numel } from '../../src/common/shape.ts'
import { ContractRunner } from '../support/contract-runner.ts'
import {
  convolution,
  gradientOf,
  naiveContract,
  type ContractCase,
  type ConvolutionCase,
} from '../support/naive-contract.ts'

const capabilities: Capabilities = {
  vectorBytes: 32,
  threads: 2,
  cacheBytes: [32 << 10, 512 << 10, 4 << 20],
  blocking: true,
}

const TOLERANCE = 1e-4

interface Sizes {
  readonly batch: number
  readonly inChannels: number
  readonly outChannels: number
  readonly size: readonly [number, number]
  readonly padding?: number
  readonly stride?: number
  readonly kernel?: number
}

function conv(s: Sizes): ContractCase {
  const { padding = 1, stride = 1, kernel = 3 } = s
  const pair = (n: number): [number, number] => [n, n]
  const c: ConvolutionCase = {
    ...s,
    groups: 1,
    kernel: pair(kernel),
    stride: pair(stride),
    dilation: pair(1),
    padding: pair(padding),
  }
  return convolution(c)
}

function dense(shape: readonly number[]): StridedView {
  return { shape, strides: contiguousStrides(shape), offset: 0 }
}

/** The same shape with its last axis outermost in memory. */
function turned(shape: readonly number[]): StridedView {
  const rest = contiguousStrides(shape.slice(0, -1))
  return { shape, strides: [...rest, numel(shape.slice(0, -1))], offset: 0 }
}

function random(length: number, seed: number): Float32Array {
  let state = seed | 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  })
}

function problemOf(c: ContractCase, given: Partial<ContractProblem> = {}): ContractProblem {
  const [lhs, rhs, out] = [c.lhs, c.rhs, c.out].map(dense) as [StridedView, StridedView, StridedView]
  return { spec: c.spec, dtype: 'float32', lhs, rhs, out, capabilities, ...given }
}

const isWinograd = (l: LoweredContract): boolean => l.steps.some((s) => s.kernel.title.startsWith('winograd'))

function run(problem: ContractProblem, operands: readonly Float32Array[] = []): Float32Array {
  const out = new Float32Array(numel(problem.out.shape)).fill(Number.NaN)
  const [lhs, rhs] = [random(numel(problem.lhs.shape), 5), random(numel(problem.rhs.shape), 7)]
  new ContractRunner(lowerContract(problem), { lhs, rhs, out, operands }).run()
  return out
}

/** Largest difference over the largest element. */
function distance(found: Float32Array, wanted: ArrayLike<number>): number {
  let [difference, largest] = [0, 0]
  found.forEach((x, i) => {
    const d = Math.abs(x - wanted[i]!)
    if (!(d <= difference)) difference = d
    largest = Math.max(largest, Math.abs(wanted[i]!))
  })
  return difference / largest
}

function byDefinition(problem: ContractProblem): Float64Array {
  const [lhs, rhs] = [random(numel(problem.lhs.shape), 5), random(numel(problem.rhs.shape), 7)]
  return naiveContract(
    problem.spec,
    { view: problem.lhs, data: (i) => lhs[i]! },
    { view: problem.rhs, data: (i) => rhs[i]! },
    problem.out.shape,
  )
}

function expectClose(problem: ContractProblem): void {
  expect(isWinograd(lowerContract(problem))).toBe(true)
  expect(distance(run(problem), byDefinition(problem))).toBeLessThan(TOLERANCE)
}

const odd = conv({ batch: 2, inChannels: 33, outChannels: 35, size: [17, 14] })
const whole = conv({ batch: 8, inChannels: 32, outChannels: 40, size: [8, 8] })
const direct: Capabilities = { ...capabilities, winograd: false }
/** Of two parts, of 6 and 5 images, where caches are small. */
const many = conv({ batch: 11, inChannels: 32, outChannels: 33, size: [29, 30] })
const smallCaches: Capabilities = { ...capabilities, cacheBytes: [16 << 10, 28 << 10, 1 << 20] }
const wide = conv({ batch: 1, inChannels: 32, outChannels: 32, size: [23, 26], padding: 2 })

describe.each([
  ['sizes that are no multiples of anything', odd],
  ['whole tiles', whole],
  ['more padding than the window needs', wide],
])('%s', (_, c) => {
  test('output', () => expectClose(problemOf(c)))
  test('gradient of the input', () => expectClose(problemOf(gradientOf(c, 0))))
  test('gradient of the weights', () => expectClose(problemOf(gradientOf(c, 1))))
  test('gradient of the weights of the gradient of the input', () =>
    expectClose(problemOf(gradientOf(gradientOf(c, 0), 1))))
})

test.each([16, 64])('vectors of %i bytes', (vectorBytes) => {
  const other = { ...capabilities, vectorBytes }
  for (const c of [odd, gradientOf(odd, 0), gradientOf(odd, 1)]) expectClose(problemOf(c, { capabilities: other }))
})

test('operands whose axes lie in another order', () => {
  for (const c of [odd, gradientOf(odd, 1)]) expectClose(problemOf(c, { lhs: turned(c.lhs), rhs: turned(c.rhs) }))
})

test.each([
  ['', odd, capabilities],
  [', part by part', many, smallCaches],
])('an epilogue reads its operands where the result is written%s', (_, c, given) => {
  const [, filters, height] = c.out as [number, number, number]
  const relu: Epilogue = {
    title: '+bias+residual+relu',
    key: 'test winograd epilogue',
    operands: [
      { dtype: 'float32', strides: [0, 1, 0, 0], offset: 0 },
      { dtype: 'float32', strides: contiguousStrides(c.out), offset: 0 },
    ],
    scalars: [],
    build: (_k, sum, [bias, residual]) => [max(add(add(sum, bias!), residual!), 0)],
  }
  const [bias, residual] = [random(filters, 3), random(numel(c.out), 9)]
  const plain = run(problemOf(c, { capabilities: given }))
  const area = height * c.out[3]!
  const wanted = plain.map((x, i) => Math.max(0, x + bias[Math.floor(i / area) % filters]! + residual[i]!))

  expect(distance(run(problemOf(c, { capabilities: given, epilogue: relu }), [bias, residual]), wanted)).toBeLessThan(
    1e-6,
  )
})

describe('weights that never change', () => {
  const constant = { lhs: false, rhs: true }
  const known = (c: ContractCase, vectorBytes: number, given: Partial<ContractProblem> = {}): ContractProblem =>
    problemOf(c, { constant, capabilities: { ...capabilities, vectorBytes }, ...given })
  const sized = (height: number, width: number, batch = 1): ContractCase =>
    conv({ batch, inChannels: 33, outChannels: 50, size: [height, width] })

  test.each([
    ['16 tiles of 4x4', sized(14, 15)],
    ['16 tiles of 2x2', sized(7, 7)],
    ['tiles of 2x2 of several images, the last ones not whole', sized(5, 5, 3)],
  ])('%s', (_, c) => {
    for (const vectorBytes of [16, 32, 64]) expectClose(known(c, vectorBytes))
  })

  test('tiles are as large as there are enough of', () => {
    const patches = (c: ContractCase): number =>
      lowerContract(known(c, 64)).steps.find((s) => s.kernel.title.startsWith('input panels'))!.bytes
    const dense = (c: ContractCase): number => numel(c.lhs)

    expect(patches(sized(14, 14)) / dense(sized(14, 14))).toBeLessThan(patches(sized(7, 7)) / dense(sized(7, 7)))
  })

  test.each([
    ['fewer tiles', known(sized(4, 7), 64)],
    [
      'a machine whose tiles multiply them',
      known(sized(7, 7), 64, { capabilities: { ...capabilities, bfloat16: 'tiles' } }),
    ],
  ])('%s are left to the direct product', (_, problem) => {
    expect(isWinograd(lowerContract(problem))).toBe(false)
  })
})

test('filters are shared among threads where tiles are too few for them', () => {
  const c = conv({ batch: 32, inChannels: 32, outChannels: 50, size: [4, 4] })
  const of = (threads: number): ContractProblem => problemOf(c, { capabilities: { ...capabilities, threads } })
  const tasks = (threads: number): number => lowerContract(of(threads)).steps.at(-1)!.extent

  expect([1, 2, 5].map(tasks)).toEqual([2, 2, 4])
  for (const threads of [2, 5, 9]) expect(run(of(threads))).toEqual(run(of(1)))
})

describe('layers of ResNet-18 against the direct product', () => {
  const layers = [
    conv({ batch: 8, inChannels: 64, outChannels: 64, size: [32, 32] }),
    conv({ batch: 8, inChannels: 256, outChannels: 256, size: [8, 8] }),
    conv({ batch: 32, inChannels: 512, outChannels: 512, size: [4, 4] }),
  ]

  test.each(layers.flatMap((c) => [c, gradientOf(c, 0), gradientOf(c, 1)]))('%#', (c) => {
    const [fast, slow] = [problemOf(c), problemOf(c, { capabilities: direct })]

    expect([fast, slow].map((p) => isWinograd(lowerContract(p)))).toEqual([true, false])
    expect(distance(run(fast), run(slow))).toBeLessThan(TOLERANCE)
  })
})

test.each([undefined, 'pairs'] as const)('bfloat16, computed in float32 (instructions: %s)', (bfloat16) => {
  const low = { ...capabilities, ...(bfloat16 && { bfloat16 }) }
  const bits = (values: Float32Array): Uint16Array => Uint16Array.from(values, toBfloat16Bits)
  for (const c of [odd, gradientOf(odd, 0), gradientOf(odd, 1)]) {
    const problem = problemOf(c, { dtype: 'bfloat16', capabilities: low })
    const lowered = lowerContract(problem)
    const [lhs, rhs] = [bits(random(numel(c.lhs), 5)), bits(random(numel(c.rhs), 7))]
    const out = new Uint16Array(numel(c.out))
    new ContractRunner(lowered, { lhs, rhs, out }).run()
    const value = (of: Uint16Array) => ({
      view: dense(of === lhs ? c.lhs : c.rhs),
      data: (i: number) => fromBfloat16Bits(of[i]!),
    })
    const wanted = naiveContract(c.spec, value(lhs), value(rhs), c.out)

    expect(isWinograd(lowered)).toBe(true)
    // A result is rounded once, to eight bits.
    expect(distance(Float32Array.from(out, fromBfloat16Bits), wanted)).toBeLessThan(2 ** -8)
  }
})

describe('where it is not used', () => {
  test.each([
    ['the switch is off', problemOf(whole, { capabilities: { ...capabilities, winograd: false } })],
    ['stride 2', problemOf(conv({ batch: 8, inChannels: 64, outChannels: 64, size: [16, 16], stride: 2 }))],
    ['windows of 5', problemOf(conv({ batch: 8, inChannels: 64, outChannels: 64, size: [16, 16], kernel: 5 }))],
    ['three channels', problemOf(conv({ batch: 8, inChannels: 3, outChannels: 64, size: [16, 16] }))],
    ['few tiles', problemOf(conv({ batch: 1, inChannels: 512, outChannels: 512, size: [4, 4] }))],
    ['results of 2x2', problemOf(conv({ batch: 64, inChannels: 64, outChannels: 64, size: [2, 2] }))],
    ['float64', problemOf(whole, { dtype: 'float64' })],
    [
      'bfloat16 that tiles multiply',
      problemOf(whole, { dtype: 'bfloat16', capabilities: { ...capabilities, bfloat16: 'tiles' } }),
    ],
  ])('%s', (_, problem) => {
    expect(isWinograd(lowerContract(problem))).toBe(false)
  })
})

describe('images that go through the steps in parts', () => {
  const parts = (problem: ContractProblem): number =>
    lowerContract(problem).steps.filter((s) => s.kernel.title.startsWith('input panels')).length

  test.each([
    ['output', many],
    ['gradient of the input', gradientOf(many, 0)],
    ['gradient of the weights', gradientOf(many, 1)],
  ])('%s', (_, c) => {
    const problem = problemOf(c, { capabilities: smallCaches })

    expect(parts(problem)).toBe(2)
    expect(distance(run(problem), run(problemOf(c, { capabilities: direct })))).toBeLessThan(TOLERANCE)
  })

  test('are smaller in low precision, which saves memory', () => {
    expect(parts(problemOf(gradientOf(many, 1), { capabilities: smallCaches, dtype: 'bfloat16' }))).toBe(3)
  })

  test('are the same for any number of threads', () => {
    const c = gradientOf(many, 1)
    const of = (threads: number): Float32Array => run(problemOf(c, { capabilities: { ...smallCaches, threads } }))

    expect(of(5)).toEqual(of(1))
  })

  test('need no more temporaries, and smaller ones', () => {
    const largeCaches = { ...capabilities, cacheBytes: [32 << 10, 1 << 30, 1 << 30] as const }
    const [cut, whole] = [smallCaches, largeCaches].map((given) =>
      lowerContract(problemOf(gradientOf(many, 1), { capabilities: given })).temporaries.map((t) => t.bytes),
    ) as [number[], number[]]
    const total = (bytes: readonly number[]): number => bytes.reduce((n, b) => n + b, 0)

    expect(cut.length).toBe(whole.length)
    expect(total(cut)).toBeLessThan(0.7 * total(whole))
  })
})

describe('steps that are one', () => {
  const titles = (c: ContractCase, given: Partial<ContractProblem> = {}): string[] =>
    lowerContract(problemOf(c, given)).steps.map((s) => s.kernel.title.split(' ').slice(0, 2).join(' '))

  test('where the points of all channels of some tiles fit a cache', () => {
    expect(titles(whole)).toEqual(['weight panels', 'lay out', 'winograd convolution'])
  })

  const oneByOne = ['weight panels', 'lay out', 'input panels', 'winograd convolution', 'results of']

  test('and one by one where they do not', () => {
    const deep = conv({ batch: 8, inChannels: 1024, outChannels: 32, size: [8, 8] })

    expect(titles(deep)).toEqual(oneByOne)
  })

  test('or where a network that never changes has so few tiles that all fit', () => {
    expect(titles(whole, { constant: { lhs: false, rhs: true } })).toEqual(oneByOne)
  })
})

test('sizes do not change its kernels', () => {
  // Their order, each once: sizes decide how many parts the images are cut into.
  const kernels = (c: ContractCase): string[] => [
    ...new Set(lowerContract(problemOf(c)).steps.map((s) => structureOf(s.kernel))),
  ]
  const other = conv({ batch: 7, inChannels: 33, outChannels: 35, size: [30, 41] })

  for (const part of [(c: ContractCase) => c, (c: ContractCase) => gradientOf(c, 0)])
    expect(kernels(part(other))).toEqual(kernels(part(odd)))
})
