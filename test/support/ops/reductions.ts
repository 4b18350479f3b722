/** Cases of the reductions, running ones too, and of the contractions. */
import { isInteger, type HostArray } from '../../../src/common/dtype.ts'
import type { Shape } from '../../../src/common/shape.ts'
import * as g from '../../../src/graph/build.ts'
import type { ContractSpec } from '../../../src/graph/node.ts'
import { opInfo, type CumulateKind, type OpName, type ReduceOp } from '../../../src/graph/ops.ts'
import { opsOf, takes, type OpCase } from './case.ts'
import { hostOf, pairs, sampled, specials } from './values.ts'

const reduceShapes: readonly (readonly [shape: Shape, axes: readonly number[]])[] = [
  [[33], [0]],
  [[17, 33], [1]],
  [[17, 33], [0]],
  [[3, 5, 17], [1]],
  [
    [3, 5, 17],
    [0, 2],
  ],
  [[5, 1, 3], [1]],
]

export function reduceCases(): OpCase[] {
  return opsOf<ReduceOp>('reduce').flatMap((op) => {
    if ((op as OpName) === 'cumulate') return []
    return takes(opInfo(op).takes).flatMap((dtype): OpCase[] => {
      const product = op === 'reduceProd'
      const [low, high] = product ? [0.75, 1.3] : [-9, 9]
      const made = (name: string, input: HostArray, axes: readonly number[]): OpCase => ({
        op,
        name: `${op} ${dtype} ${name}`,
        inputs: [input],
        cancels: true,
        build: ([x]) => g.reduce(op, x!, axes),
      })
      const special = specials(dtype)
      // Each special value meets each other one in a row.
      const [left, right] = pairs(special, special)
      const rows = left.flatMap((x, i) => [x, right[i]!])
      const cases = reduceShapes.map(([shape, axes]) =>
        made(`[${shape.join()}] over ${axes.join()}`, sampled(dtype, shape, 21, [low, high]), axes),
      )
      cases.push(made('of no rows', sampled(dtype, [0, 3], 1), [1]))
      if (!product || !isInteger(dtype))
        cases.push(made('of special pairs', hostOf(dtype, [left.length, 2], rows), [1]))
      if (product || op === 'reduceSum') cases.push(made('over nothing', sampled(dtype, [3, 0], 1), [1]))
      return cases
    })
  })
}

export function cumulateCases(): OpCase[] {
  const kinds: readonly CumulateKind[] = ['sum', 'prod', 'max', 'min']
  return kinds.flatMap((kind) =>
    takes('number').flatMap((dtype): OpCase[] => {
      const [low, high] = kind === 'prod' ? [0.75, 1.3] : [-9, 9]
      return (
        [
          [[33], 0],
          [[3, 17], 1],
          [[17, 3], 0],
          [[0, 3], 0],
          [[3, 0], 0],
          [[1], 0],
        ] as const
      ).map(([shape, axis]): OpCase => ({
        op: 'cumulate',
        name: `cumulate ${kind} ${dtype}[${shape.join()}] along ${axis}`,
        inputs: [sampled(dtype, shape, 31, [low, high])],
        cancels: true,
        build: ([x]) => g.cumulate(kind, x!, axis),
      }))
    }),
  )
}

interface Contraction {
  readonly name: string
  /** With every dtype; the others with two, since only the loads differ. */
  readonly always?: boolean
  readonly spec: ContractSpec
  readonly lhs: Shape
  readonly rhs: Shape
  readonly out: Shape
}

export const taps = (position: number, tap: number, stride = 1, padding = 0, dilation = 1) => ({
  position,
  tap,
  stride,
  dilation,
  padding,
})

const contractions: readonly Contraction[] = [
  {
    name: 'matmul',
    always: true,
    spec: { lhs: [0, 1], rhs: [1, 2], out: [0, 2] },
    lhs: [17, 33],
    rhs: [33, 3],
    out: [17, 3],
  },
  {
    name: 'batched, transposed',
    spec: { lhs: [5, 1, 0], rhs: [5, 2, 1], out: [5, 0, 2] },
    lhs: [3, 17, 5],
    rhs: [3, 7, 17],
    out: [3, 5, 7],
  },
  { name: 'dot', spec: { lhs: [0], rhs: [0], out: [] }, lhs: [33], rhs: [33], out: [] },
  { name: 'outer', spec: { lhs: [0], rhs: [1], out: [1, 0] }, lhs: [3], rhs: [17], out: [17, 3] },
  { name: 'scaling', spec: { lhs: [0], rhs: [], out: [0] }, lhs: [17], rhs: [], out: [17] },
  {
    name: 'over nothing',
    always: true,
    spec: { lhs: [0, 1], rhs: [1, 2], out: [0, 2] },
    lhs: [3, 0],
    rhs: [0, 5],
    out: [3, 5],
  },
  { name: 'of no rows', spec: { lhs: [0, 1], rhs: [1, 2], out: [0, 2] }, lhs: [0, 3], rhs: [3, 5], out: [0, 5] },
  { name: 'of one side', spec: { lhs: [0, 1], rhs: [2], out: [0, 2] }, lhs: [3, 5], rhs: [7], out: [3, 7] },
  {
    name: 'convolution',
    always: true,
    spec: { lhs: [0, 1, taps(3, 5, 2, 1), taps(4, 6, 1, 2, 2)], rhs: [2, 1, 5, 6], out: [0, 2, 3, 4] },
    lhs: [2, 3, 9, 7],
    rhs: [5, 3, 3, 3],
    out: [2, 5, 5, 7],
  },
  {
    name: 'depthwise convolution',
    spec: { lhs: [0, 1, taps(3, 5, 1, 1)], rhs: [1, 5], out: [0, 1, 3] },
    lhs: [2, 5, 17],
    rhs: [5, 3],
    out: [2, 5, 17],
  },
  {
    name: 'transposed convolution',
    spec: { lhs: [0, 2, 3], rhs: [2, 1, 5], out: [0, 1, taps(3, 5, 2, 1)] },
    lhs: [2, 3, 5],
    rhs: [3, 4, 3],
    out: [2, 4, 9],
  },
]

export function contractCases(): OpCase[] {
  return takes('number').flatMap((dtype) =>
    contractions
      .filter((c) => c.always || dtype === 'float32' || dtype === 'bfloat16')
      .map((c): OpCase => ({
        op: 'contract',
        name: `contract ${dtype} ${c.name}`,
        inputs: [sampled(dtype, c.lhs, 41, [-3, 3]), sampled(dtype, c.rhs, 42, [-3, 3])],
        cancels: true,
        build: ([a, b]) => g.contract(a!, b!, c.spec, c.out),
      })),
  )
}
