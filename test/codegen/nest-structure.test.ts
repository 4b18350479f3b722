/** A nest whose structure is known takes over a kernel that was written for other sizes: it is the one that would be written, with the same arguments. */
import { expect, test } from 'vitest'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { generatePlan, type GeneratedPlan } from '../../src/codegen/generate.ts'
import { withFreshNests } from '../../src/codegen/nest-memo.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { numel } from '../../src/common/shape.ts'
import { setDevice } from '../../src/index.ts'
import { capture } from '../../src/schedule/capture.ts'
import { launchesOf } from '../../src/schedule/plan.ts'
import * as g from '../../src/graph/build.ts'
import type { Node } from '../../src/graph/node.ts'
import { fromHost, type Tensor } from '../../src/tensor/tensor.ts'
import { randomGraph, type RandomGraph } from '../support/random-graph.ts'

const capabilities: Capabilities = { vectorBytes: 32, threads: 2, cacheBytes: [32768, 524288, 4194304], blocking: true }

const zerosOf = (shape: readonly number[]): Tensor =>
  fromHost({ dtype: 'float32', shape: [...shape], data: new Float32Array(numel(shape)) })

/** Leaves of a graph with every axis but those of one element longer by `more`. */
function leavesOf(graph: RandomGraph, more: number): Tensor[] {
  return graph.leaves.map((l) => zerosOf(l.shape.map((d) => (d === 1 ? 1 : d + more))))
}

/** What is launched, each kernel by its structure. */
function launched({ plan, kernels }: GeneratedPlan): string[] {
  const plain = (_: string, v: unknown): unknown => (typeof v === 'bigint' ? `${v}n` : v)
  return launchesOf(plan).map((l) => JSON.stringify({ ...l, kernel: structureOf(kernels[l.kernel]!) }, plain))
}

/** Plans roots with the kernels of all nests before them, and without; gives what is launched. */
function expectSame(roots: () => readonly Node[], what: string): string[] {
  const known = launched(generatePlan(capture(roots(), []), capabilities))
  const fresh = withFreshNests(() => launched(generatePlan(capture(roots(), []), capabilities)))
  expect(known, what).toEqual(fresh)
  return known
}

test('nests of random graphs at several sizes', () => {
  setDevice('null')
  const kernels = new Set<string>()
  let launches = 0
  for (let seed = 0; seed < 150; seed++) {
    for (const more of [0, 1, 3, 20]) {
      const graph = randomGraph(seed, 6 + (seed % 3) * 6)
      const known = expectSame(() => graph.build(leavesOf(graph, more)), `seed ${seed}, ${more} longer`)
      launches += known.length
      for (const l of known) kernels.add((JSON.parse(l) as { kernel: string }).kernel)
    }
  }
  // Most kernels were there before.
  expect(launches).toBeGreaterThan(2 * kernels.size)
})

const rows = 30
const scaled = (x: Node, by: number): Node => g.binary('mul', x, g.constant(by, 'float32', x.shape))
const padded = (x: Node, to: number): Node => g.pad(x, [0, 0], [0, to - x.shape[1]!])
const leaf = (length: number): Node => zerosOf([rows, length]).node

/** Numbers that share an argument where they are equal, and have two where they are not. */
const coincidences: Record<string, (a: number, b: number) => Node> = {
  'loops of a sum and of what it is added to': (a, b) =>
    g.binary('add', g.expand(g.reduceKeep('reduceSum', leaf(a), [1]), [rows, b]), leaf(b)),
  'ends of two padded values': (a, b) => g.binary('add', padded(leaf(a), 40), padded(leaf(b), 40)),
  'numbers of a program': (a, b) => g.binary('add', scaled(leaf(9), a + 0.3), scaled(leaf(9), b + 0.3)),
}

test.each(Object.entries(coincidences))('%s', (_, program) => {
  setDevice('null')
  for (const [a, b] of [
    [15, 15],
    [15, 17],
    [17, 15],
    [17, 17],
  ] as const)
    expectSame(() => [program(a, b)], `${a}, ${b}`)
  for (const [a, b] of [
    [19, 21],
    [21, 21],
  ] as const)
    expectSame(() => [program(a, b)], `${a}, ${b}`)
})

/** Kinds of draws: masks of dropouts, and numbers; of keys and offsets that are one or two scalars of the run. */
const draws: Record<string, (shape: readonly number[], p: number) => Node> = {
  'a mask': (shape, p) => {
    const drawn = g.random(g.scalar(3, 'int64'), g.scalar(5, 'int64'), [...shape])
    return g.binary('ge', drawn, g.constant(p, 'float32', shape))
  },
  'a mask of two draws': (shape, p) => {
    const key = g.scalar(3, 'int64')
    const [first, second] = [5, 7].map((at) => g.random(key, g.scalar(at, 'int64'), [...shape])) as [Node, Node]
    const isDrawn = g.binary('ge', first, g.constant(p, 'float32', shape))
    return g.binary('and', isDrawn, g.binary('lt', second, g.constant(0.7, 'float32', shape)))
  },
  numbers: (shape, p) => {
    const drawn = g.random(g.scalar(3, 'int64'), g.scalar(5, 'int64'), [...shape])
    return g.binary('add', g.binary('mul', drawn, g.constant(p, 'float32', shape)), g.constant(0.7, 'float32', shape))
  },
}

test.each(Object.entries(draws))('draws: %s', (_, program) => {
  setDevice('null')
  const kernels = new Set<string>()
  for (const p of [0.1, 0.7, 0.3])
    for (const shape of [[7], [4, 5], [3, 700, 5], [2, 2]])
      for (const l of expectSame(() => [program(shape, p)], `[${shape.join(', ')}], ${p}`)) {
        expect(l).toContain('"kernel"')
        kernels.add((JSON.parse(l) as { kernel: string }).kernel)
      }
  // One for numbers that differ, one where they are equal and share an argument.
  expect(kernels.size).toBeLessThanOrEqual(2)
})
