/** Cases of the ops that address memory by data, and of loops. */
import { dtypes, isFloat, type DType, type HostArray } from '../../../src/common/dtype.ts'
import { numel, type Shape } from '../../../src/common/shape.ts'
import * as g from '../../../src/graph/build.ts'
import type { Node } from '../../../src/graph/node.ts'
import { takes, type OpCase } from './case.ts'
import { hostOf, sampled, specials } from './values.ts'

export function indexCases(): OpCase[] {
  const position = (dtype: 'int32' | 'int64', shape: Shape, size: number): HostArray =>
    sampled(dtype, shape, 51, [-size, size - 1])
  return dtypes.flatMap((dtype, d): OpCase[] => {
    const index = d % 2 === 0 ? 'int64' : 'int32'
    const values = (shape: Shape): HostArray => hostOf(dtype, shape, specials(dtype))
    const gathers: (readonly [Shape, Shape, number])[] = [
      [[5, 7], [3, 2], 1],
      [[17, 3], [33], 0],
      [[5], [], 0],
      [[5, 3], [0], 0],
      [[5, 0], [2], 0],
    ]
    const scatters: (readonly [Shape, Shape, number])[] = [
      [[5, 7], [9], 1],
      [[7, 33], [2, 5], 0],
      [[5], [], 0],
      [[5, 3], [0], 0],
      [[0], [0], 0],
    ]
    const modes = dtype === 'bool' ? (['set'] as const) : (['add', 'set'] as const)
    const sorts: (readonly [Shape, number])[] = [
      [[33], 0],
      [[3, 17], 1],
      [[17, 3], 0],
      [[1], 0],
      [[0, 3], 0],
      [[3, 0], 0],
    ]
    return [
      gathers.map(([x, i, axis]): OpCase => ({
        op: 'gather',
        name: `gather ${dtype}[${x.join()}] by ${index}[${i.join()}] along ${axis}`,
        inputs: [values(x), position(index, i, x[axis]!)],
        zeros: true,
        build: ([a, b]) => g.gather(a!, b!, axis),
      })),
      scatters.flatMap(([x, i, axis]) =>
        modes.map((mode): OpCase => {
          const updates = [...x.slice(0, axis), ...i, ...x.slice(axis + 1)]
          return {
            op: 'scatter',
            name: `scatter ${mode} ${dtype}[${x.join()}] by ${index}[${i.join()}] along ${axis}`,
            inputs: [
              sampled(dtype, x, 52, [-9, 9]),
              position(index, i, Math.max(1, x[axis]!)),
              sampled(dtype, updates, 53, [-9, 9]),
            ],
            cancels: true,
            build: ([a, b, c]) => g.scatter(a!, b!, c!, axis, mode),
          }
        }),
      ),
      sorts.flatMap(([x, axis]) =>
        [false, true].map((descending): OpCase => ({
          op: 'argsort',
          name: `argsort ${dtype}[${x.join()}] along ${axis}${descending ? ' descending' : ''}`,
          inputs: [hostOf(dtype, x, numel(x) === 33 ? specials(dtype) : [3, 1, 2, 1, 0, 3])],
          build: ([a]) => g.argsort(a!, axis, descending),
        })),
      ),
    ].flat()
  })
}

/** h = tanh-like recurrence over a sequence with a constant of the loop; the last carry and the stack are results. */
function recurrence(dtype: DType, length: number, reverse: boolean, result: 0 | 1): OpCase {
  const shape = [3]
  const rounded = (x: Node): Node => (isFloat(dtype) ? g.unary('tanh', x) : x)
  return {
    op: result === 0 ? 'scan' : 'output',
    name: `scan ${dtype} of ${length} steps${reverse ? ' backwards' : ''}, ${result === 0 ? 'last carry' : 'stack'}`,
    inputs: [
      sampled(dtype, shape, 61, [0, 3]),
      sampled(dtype, [length, 3], 62, [0, 3]),
      sampled(dtype, shape, 63, [0, 2]),
    ],
    cancels: true,
    build: ([start, steps, weight]) => {
      const h = g.param(0, dtype, shape)
      const x = g.param(1, dtype, shape)
      const w = g.param(2, dtype, shape)
      const next = rounded(g.binary('add', g.binary('mul', h, w), x))
      const body = { params: [h, x, w], outputs: [next, g.binary('add', next, x)] }
      return g.scan(body, [start!], [steps!], [weight!], length, reverse)[result]!
    },
  }
}

/** Nodes that only the gradient sees, before and inside other ops, shared and not. */
function handedOnCases(dtype: DType): OpCase[] {
  const input = hostOf(dtype, [5], [1, 2, 3, 4, 5])
  const row = (op: 'barrier' | 'custom', build: (x: Node) => Node): OpCase => ({
    op,
    name: `${op} ${dtype}`,
    inputs: [input],
    build: ([x]) => build(x!),
  })
  const square = (x: Node): Node => g.binary('mul', x, x)
  return [
    row('barrier', (x) => g.barrier(square(x), x)),
    row('barrier', (x) => g.binary('add', square(x), square(g.barrier(x, square(x))))),
    row('custom', (x) => g.custom([square(x), x], [x], () => [])[1]!),
    row('custom', (x) => square(g.custom([square(x)], [x], () => [])[0]!)),
  ]
}

export function controlCases(): OpCase[] {
  return [...takes('number').flatMap(handedOnCases), ...loopCases()]
}

function loopCases(): OpCase[] {
  return takes('number').flatMap((dtype) =>
    [1, 7].flatMap((length) =>
      ([0, 1] as const).flatMap((result) => [false, true].map((reverse) => recurrence(dtype, length, reverse, result))),
    ),
  )
}
