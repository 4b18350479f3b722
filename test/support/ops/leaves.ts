/** Cases of the leaves and of the views, which move values of any dtype unchanged. */
import { dtypes } from '../../../src/common/dtype.ts'
import type { Shape } from '../../../src/common/shape.ts'
import * as g from '../../../src/graph/build.ts'
import type { Node } from '../../../src/graph/node.ts'
import type { OpName } from '../../../src/graph/ops.ts'
import { takes, type OpCase } from './case.ts'
import { hostOf, specials } from './values.ts'

export function leafCases(): OpCase[] {
  const constants = dtypes.flatMap((dtype) =>
    specials(dtype)
      .filter((_, i) => i % 3 === 0 || i > 20)
      .map((value): OpCase => ({
        op: 'constant',
        name: `constant ${dtype} ${value}`,
        inputs: [],
        zeros: true,
        build: () => g.constant(value, dtype, [3]),
      })),
  )
  const iotas = takes('number').flatMap((dtype) =>
    [0, 1].map((axis): OpCase => ({
      op: 'iota',
      name: `iota ${dtype} ${axis}`,
      inputs: [],
      build: () => g.iota([17, 3], axis, dtype),
    })),
  )
  const scalars = (['float32', 'float64', 'int32'] as const).map((dtype): OpCase => ({
    op: 'scalar',
    name: `scalar ${dtype}`,
    inputs: [],
    build: () => g.broadcastTo(g.scalar(7, dtype), [5]),
  }))
  const draws = (['float32', 'int32'] as const).flatMap((dtype) =>
    [[], [1], [33], [3, 0], [5, 7]].map((shape): OpCase => ({
      op: 'random',
      name: `random ${dtype}[${shape.join()}]`,
      inputs: [hostOf('int64', [], [-12345678901234n]), hostOf('int64', [], [2n ** 33n - 1n])],
      build: ([key, offset]) => g.random(key!, offset!, shape, dtype),
    })),
  )
  const buffers = dtypes.map((dtype): OpCase => ({
    op: 'buffer',
    name: `buffer ${dtype}`,
    inputs: [hostOf(dtype, [specials(dtype).length], specials(dtype))],
    zeros: true,
    build: ([x]) => g.detach(x!),
  }))
  return [...constants, ...iotas, ...scalars, ...draws, ...buffers]
}

type View = readonly [op: OpName, name: string, from: Shape, build: (x: Node) => Node]

const views: readonly View[] = [
  ['reshape', 'to more axes', [12], (x) => g.reshape(x, [2, 1, 3, 2])],
  ['reshape', 'of nothing', [3, 0], (x) => g.reshape(x, [0, 7])],
  ['reshape', 'to rank 0', [1, 1], (x) => g.reshape(x, [])],
  ['permute', 'of three axes', [3, 5, 17], (x) => g.permute(x, [2, 0, 1])],
  ['permute', 'of nothing', [3, 0, 2], (x) => g.permute(x, [1, 2, 0])],
  ['expand', 'of one axis', [3, 1], (x) => g.expand(x, [3, 33])],
  ['expand', 'to nothing', [1, 3], (x) => g.expand(x, [0, 3])],
  ['pad', 'on both sides', [3, 5], (x) => g.pad(x, [1, 0], [2, 3])],
  ['pad', 'around nothing', [3, 0], (x) => g.pad(x, [0, 2], [1, 1])],
  ['slice', 'with steps', [17, 5], (x) => g.slice(x, [1, 4], [16, 5], [3, 1])],
  ['slice', 'to nothing', [17], (x) => g.slice(x, [5], [5])],
  ['flip', 'of two axes', [3, 4, 5], (x) => g.flip(x, [0, 2])],
  ['window', 'with dilation', [2, 17], (x) => g.window(x, 1, 3, 2, 4)],
  ['detach', 'of a result', [17], (x) => g.detach(g.flip(x, [0]))],
]

export function viewCases(): OpCase[] {
  return dtypes.flatMap((dtype) =>
    views.map(([op, name, from, build]): OpCase => ({
      op,
      name: `${op} ${dtype} ${name}`,
      inputs: [hostOf(dtype, from, specials(dtype))],
      zeros: true,
      build: ([x]) => build(x!),
    })),
  )
}
