/** Cases of every differentiable op, in float64, away from kinks: what finite differences can judge. */
import type { HostArray } from '../../../src/common/dtype.ts'
import type { Shape } from '../../../src/common/shape.ts'
import * as g from '../../../src/graph/build.ts'
import { attentionNode, type AttentionForm } from '../../../src/graph/attention.ts'
import { differentiate } from '../../../src/graph/gradient.ts'
import { recordingMark, type ContractAxis, type Node } from '../../../src/graph/node.ts'
import { opInfo, type BinaryOp, type CumulateKind, type OpName, type UnaryOp } from '../../../src/graph/ops.ts'
import { recomputed } from '../../../src/graph/recompute.ts'
import { opsOf } from './case.ts'
import { taps } from './reductions.ts'
import { hostOf, sampled } from './values.ts'

export interface GradientCase {
  readonly op: OpName
  readonly name: string
  /** The floating ones are the variables. */
  readonly inputs: readonly HostArray[]
  build(inputs: readonly Node[]): Node
}

type Row = readonly [op: OpName, name: string, inputs: readonly HostArray[], build: (...x: readonly Node[]) => Node]

let seed = 100
const values = (shape: Shape, range: readonly [number, number] = [-2, 2]): HostArray =>
  sampled('float64', shape, seed++, range)
const given = (shape: Shape, ...numbers: number[]): HostArray => hostOf('float64', shape, numbers)
const index = (shape: Shape, ...numbers: number[]): HostArray => hostOf('int64', shape, numbers)

// ---- elementwise --------------------------------------------------------------------------------------------------------

const unaryRows = opsOf<UnaryOp>('unary')
  .filter((op) => opInfo(op).differentiable)
  .map((op): Row => [op, 'of one tensor', [values([5], opInfo(op).domain ?? [0.3, 2])], (x) => g.unary(op, x!)])

const anywhere = [-2, 2] as const
/** Where the operands come from: away from poles, and from where the remainder jumps. */
const binaryRanges: Partial<Record<BinaryOp, readonly (readonly [number, number])[]>> = {
  div: [anywhere, [0.5, 2]],
  pow: [[0.3, 2], anywhere],
  mod: [
    [5.1, 5.9],
    [2.1, 2.4],
  ],
}

const binaryRows = opsOf<BinaryOp>('binary')
  .filter((op) => opInfo(op).differentiable)
  .map((op): Row => {
    const [a, b] = binaryRanges[op] ?? [anywhere, anywhere]
    return [op, 'of two tensors', [values([4], a), values([4], b)], (x, y) => g.binary(op, x!, y!)]
  })

const otherRows: Row[] = [
  ['pow', 'of negative bases', [given([3], -1.5, -0.5, -2)], (x) => g.binary('pow', x!, g.constant(3, 'float64', [3]))],
  ['mul', 'of a tensor with itself', [values([3])], (x) => g.binary('mul', x!, x!)],
  [
    'where',
    'by a mask',
    [hostOf('bool', [4], [1, 0, 0, 1]), values([4]), values([4])],
    (c, a, b) => g.where(c!, a!, g.binary('mul', a!, b!)),
  ],
  // Linear, so that the steps of differences may be as coarse as float32 wants them.
  ['cast', 'there and back', [given([3], 0.5, -1.25, 2)], (x) => g.cast(g.cast(x!, 'float32'), 'float64')],
]

// ---- views and reductions -----------------------------------------------------------------------------------------------

/** Views are linear: what they give is squared, so that there are second gradients. */
const squared =
  (view: (x: Node) => Node) =>
  (x?: Node): Node => {
    const y = view(x!)
    return g.binary('mul', y, y)
  }

const viewRows: Row[] = [
  ['reshape', 'of a transpose', [values([2, 3])], squared((x) => g.reshape(g.permute(x, [1, 0]), [6]))],
  ['permute', 'of three axes', [values([2, 1, 3])], squared((x) => g.permute(x, [2, 0, 1]))],
  ['expand', 'of one axis', [values([2, 1])], squared((x) => g.expand(x, [2, 3]))],
  ['pad', 'on both sides', [values([2, 2])], squared((x) => g.pad(x, [1, 0], [0, 2]))],
  ['slice', 'of a part', [values([4, 3])], squared((x) => g.slice(x, [1, 0], [3, 2]))],
  ['slice', 'with steps', [values([7, 2])], squared((x) => g.slice(x, [1, 0], [7, 2], [3, 1]))],
  [
    'slice',
    'with steps, of more rows than a vector has lanes',
    [values([40, 2])],
    squared((x) => g.slice(x, [1, 0], [37, 2], [9, 1])),
  ],
  ['slice', 'of the last one, by a step beyond the end', [values([5])], squared((x) => g.slice(x, [4], [5], [3]))],
  ['slice', 'of nothing', [values([3])], squared((x) => g.slice(x, [2], [2], [2]))],
  ['flip', 'of two axes', [values([2, 3])], squared((x) => g.flip(x, [0, 1]))],
  ['window', 'that overlap', [values([5])], squared((x) => g.window(x, 0, 3, 1))],
  ['window', 'with stride and dilation, a rest left over', [values([2, 8])], squared((x) => g.window(x, 1, 2, 2, 3))],
  ['reduceSum', 'over the last axis', [values([2, 3])], squared((x) => g.reduce('reduceSum', x, [1]))],
  ['reduceSum', 'over nothing', [values([2, 0])], squared((x) => g.reduce('reduceSum', x, [1]))],
  ['reduceMax', 'over the first axis', [values([3, 2])], squared((x) => g.reduce('reduceMax', x, [0]))],
  ['reduceMin', 'over all axes', [values([2, 3])], squared((x) => g.reduce('reduceMin', x, [0, 1]))],
  ['reduceProd', 'over the middle axis', [values([2, 3, 2])], (x) => g.reduce('reduceProd', x!, [1])],
  ['reduceProd', 'over two axes', [values([2, 2, 2])], (x) => g.reduce('reduceProd', x!, [0, 2])],
  ['reduceProd', 'with a zero', [given([2, 3], 2, 0, -1.5, 1, 3, 0.5)], (x) => g.reduce('reduceProd', x!, [1])],
  ['reduceProd', 'with two zeros', [given([4], 2, 0, -1.5, 0)], (x) => g.reduce('reduceProd', x!, [0])],
]

const cumulateRows = (['sum', 'prod', 'max', 'min'] satisfies CumulateKind[]).flatMap((kind): Row[] => [
  ['cumulate', `${kind} along rows`, [values([2, 4])], squared((x) => g.cumulate(kind, x, 1))],
  ['cumulate', `${kind} along columns`, [values([3, 2])], squared((x) => g.cumulate(kind, x, 0))],
  ['cumulate', `${kind} of zeros`, [given([4], 2, 0, -1.5, 0.5)], squared((x) => g.cumulate(kind, x, 0))],
])

// ---- contractions -------------------------------------------------------------------------------------------------------

type Axes = readonly ContractAxis[]
const contraction = (name: string, spec: readonly [Axes, Axes, Axes], lhs: Shape, rhs: Shape, out: Shape): Row => {
  const [l, r, o] = spec
  return ['contract', name, [values(lhs), values(rhs)], (a, b) => g.contract(a!, b!, { lhs: l, rhs: r, out: o }, out)]
}

const contractRows: Row[] = [
  contraction(
    'matmul',
    [
      [0, 1],
      [1, 2],
      [0, 2],
    ],
    [2, 3],
    [3, 2],
    [2, 2],
  ),
  contraction(
    'in batches, transposed',
    [
      [5, 1, 0],
      [5, 2, 1],
      [0, 5, 2],
    ],
    [2, 3, 2],
    [2, 2, 3],
    [2, 2, 2],
  ),
  contraction('dot', [[0], [0], []], [4], [4], []),
  contraction('outer', [[0], [1], [1, 0]], [2], [3], [3, 2]),
  contraction('of one side', [[0, 1], [2], [0, 2]], [2, 2], [2], [2, 2]),
  contraction(
    'over nothing',
    [
      [0, 1],
      [1, 2],
      [0, 2],
    ],
    [2, 0],
    [0, 2],
    [2, 2],
  ),
  contraction(
    'convolution',
    [
      [0, 1, taps(3, 5, 2, 1)],
      [2, 1, 5],
      [0, 2, 3],
    ],
    [1, 2, 6],
    [2, 2, 3],
    [1, 2, 3],
  ),
  contraction('dilated convolution', [[taps(3, 5, 1, 2, 2)], [5], [3]], [5], [3], [5]),
  contraction(
    'depthwise convolution',
    [
      [1, taps(3, 5, 1, 1)],
      [1, 5],
      [1, 3],
    ],
    [2, 4],
    [2, 3],
    [2, 4],
  ),
  contraction(
    'transposed convolution',
    [
      [2, 3],
      [2, 1, 5],
      [1, taps(3, 5, 2, 1)],
    ],
    [2, 3],
    [2, 2, 3],
    [2, 5],
  ),
  [
    'contract',
    'of a matrix with itself',
    [values([2, 2])],
    (x) => g.contract(x!, x!, { lhs: [0, 1], rhs: [1, 2], out: [0, 2] }, [2, 2]),
  ],
]

// ---- indexing and loops -------------------------------------------------------------------------------------------------

const indexRows: Row[] = [
  [
    'gather',
    'of repeated rows',
    [values([3, 2]), index([4], 1, -1, 1, 0)],
    (x, i) => squared((v) => g.gather(v, i!, 0))(x),
  ],
  [
    'gather',
    'of columns by a matrix',
    [values([2, 3]), index([2, 2], 0, 2, 2, 2)],
    (x, i) => squared((v) => g.gather(v, i!, 1))(x),
  ],
  [
    'scatter',
    'that adds to repeated rows',
    [values([3, 2]), index([3], 1, 1, -1), values([3, 2])],
    (x, i, u) => squared((v) => g.scatter(v, i!, u!, 0, 'add'))(x),
  ],
  [
    'scatter',
    'that replaces',
    [values([3, 2]), index([2], 2, 0), values([2, 2])],
    (x, i, u) => squared((v) => g.scatter(v, i!, u!, 0, 'set'))(x),
  ],
]

/** h = tanh(W h + v * x), read as last carry and as stack. */
function recurrence(reverse: boolean, result: 0 | 1): Row {
  const [n, length] = [2, 3]
  const build = (start: Node, steps: Node, weight: Node, scale: Node): Node => {
    const [h, x, w, v] = [start, { shape: [n] }, weight, scale].map((a, i) => g.param(i, 'float64', a.shape))
    const mixed = g.contract(w!, h!, { lhs: [0, 1], rhs: [1], out: [0] }, [n])
    const next = g.unary('tanh', g.binary('add', mixed, g.binary('mul', v!, x!)))
    const body = { params: [h!, x!, w!, v!], outputs: [next, g.binary('mul', next, h!)] }
    return g.scan(body, [start], [steps], [weight, scale], length, reverse)[result]!
  }
  return [
    result === 0 ? 'scan' : 'output',
    `${result === 0 ? 'last carry' : 'stack'} of a loop${reverse ? ' backwards' : ''}`,
    [values([n]), values([length, n]), values([n, n]), values([n])],
    (start, steps, weight, scale) => build(start!, steps!, weight!, scale!),
  ]
}

const cube = (x: Node): Node => g.binary('mul', x, g.binary('mul', x, x))

/** Values whose gradient is given, or computed again. */
const handedOnRows: Row[] = [
  ['barrier', 'of one tensor', [values([4])], (x) => g.barrier(cube(x!), cube(x!))],
  [
    'custom',
    'with a gradient written by hand',
    [values([4])],
    (x) => {
      const threeSquares = (n: Node): Node => g.binary('mul', g.constant(3, n.dtype, n.shape), g.binary('mul', n, n))
      const results = [g.detach(x!), g.detach(cube(x!))]
      return g.custom(results, [x!], (node, given) => [
        null,
        null,
        g.binary('mul', given.get(1)!, threeSquares(node.sources[2]!)),
      ])[1]!
    },
  ],
  [
    'custom',
    'that is computed again',
    [values([4]), values([4])],
    (x, y) => {
      const mark = recordingMark()
      const product = cube(g.binary('mul', x!, g.unary('tanh', y!)))
      const inner = recomputed([g.unary('sin', product)], recordingMark())
      return recomputed([g.binary('mul', inner[0]!, x!)], mark)[0]!
    },
  ],
]

/** Attention, and its gradients by queries, keys and values. */
const attentionRows: Row[] = [false, true].flatMap((isCausal) => {
  const form = { scale: 0.6, isCausal, mask: null }
  const inputs = [values([1, 3, 2, 2]), values([1, 3, 1, 2]), values([1, 3, 1, 3])]
  const drop = (): AttentionForm['dropout'] => ({ p: 0.3, key: g.scalar(3, 'int64'), offset: g.scalar(8, 'int64') })
  const name = isCausal ? 'that is causal and drops weights' : 'with shared key heads'
  const build = (x: readonly Node[]): Node =>
    attentionNode(x[0]!, x[1]!, x[2]!, { ...form, dropout: isCausal ? drop() : null })
  return [
    ['attention', name, inputs, (...x) => build(x)],
    ...[0, 1, 2].map((of): Row => [
      'attentionGradient',
      `${name}, by source ${of}`,
      [...inputs, values([1, 3, 2, 3])],
      (...x) => differentiate([build(x)], [x[3]!], x.slice(0, 3), { stop: true })[of]!,
    ]),
  ] satisfies Row[]
})

const loopRows: Row[] = [recurrence(false, 0), recurrence(false, 1), recurrence(true, 0), recurrence(true, 1)]

export const gradientCases: readonly GradientCase[] = [
  unaryRows,
  binaryRows,
  otherRows,
  viewRows,
  cumulateRows,
  contractRows,
  indexRows,
  loopRows,
  handedOnRows,
  attentionRows,
]
  .flat()
  .map(([op, name, inputs, build]) => ({ op, name: `${op} ${name}`, inputs, build: (x) => build(...x) }))
