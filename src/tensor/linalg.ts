/** Products of vectors, matrices and tensors, and what is built on them, as in paddle.tensor.linalg. All are one `contract` each. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { broadcastShapes, formatShape, normalizeAxis, type Shape } from '../common/shape.ts'
import { binary, cast as castNode, contract, pad, reshape, sliceAxis } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { underPolicy } from './autocast.ts'
import { concatNodes } from './manipulation.ts'
import { add, multiply } from './math.ts'
import { broadcastNodes, checkTensor, checkTensors, promoteTypes } from './promotion.ts'
import { Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

/** Two operands under mixed precision, of one dtype. */
export function contractible(op: string, x: Tensor, y: Tensor): [Node, Node] {
  checkTensor(x, op)
  checkTensor(y, op)
  const [a, b] = underPolicy(op, [x.node, y.node])
  const dtype = promoteTypes(a!.dtype, b!.dtype, op)
  return [castNode(a!, dtype), castNode(b!, dtype)]
}

export interface MatmulOptions {
  /** Takes x with its last two axes exchanged. Default false. */
  readonly transposeX?: boolean
  readonly transposeY?: boolean
}

/**
 * Matrix product, `paddle.matmul`: [.., n, k] x [.., k, m] -> [.., n, m]; batch axes broadcast. A vector x counts as a row, a vector y as a
 * column, and their axis is dropped again. Throws ShapeError that shows both shapes where the inner sizes differ.
 * @example matmul(x, w); matmul(q, k, { transposeY: true })
 */
export function matmul(x: Tensor, y: Tensor, options: MatmulOptions = {}): Tensor {
  const [a, b] = contractible('matmul', x, y)
  const { transposeX = false, transposeY = false } = options
  return asOperator('matmul', new Tensor(matmulNodes(a, b, transposeX, transposeY)), () => ({
    inputs: { x, y },
    attributes: { transpose_x: transposeX, transpose_y: transposeY },
  }))
}

/** The last two axes of an operand by role: [free, inner]; -1 for the axis that a vector lacks. */
function roles(shape: Shape, innerLast: boolean): { free: number; inner: number } {
  const rank = shape.length
  if (rank === 1) return { free: -1, inner: 0 }
  return innerLast ? { free: rank - 2, inner: rank - 1 } : { free: rank - 1, inner: rank - 2 }
}

function matmulNodes(x: Node, y: Node, transposeX: boolean, transposeY: boolean): Node {
  const fail = (why: string): ShapeError =>
    new ShapeError(
      `matmul: ${formatShape(x.shape)}${transposeX ? ' (transposed)' : ''} x ${formatShape(y.shape)}${transposeY ? ' (transposed)' : ''}: ${why}`,
    )
  if (x.shape.length === 0 || y.shape.length === 0)
    throw fail('operands need at least one axis; use multiply for numbers')
  const rx = roles(x.shape, !transposeX)
  const ry = roles(y.shape, transposeY)
  if (x.shape[rx.inner] !== y.shape[ry.inner])
    throw fail(`the inner sizes ${x.shape[rx.inner]} and ${y.shape[ry.inner]} differ`)
  const batchX = x.shape.slice(0, -2)
  const batchY = y.shape.slice(0, -2)
  const batch = broadcastShapes(batchX, batchY, 'matmul')
  const [INNER, ROW, COLUMN] = [batch.length, batch.length + 1, batch.length + 2]
  /** Batch axes that an operand repeats are left out of it. */
  const operand = (
    node: Node,
    own: Shape,
    free: number,
    inner: number,
    freeLetter: number,
  ): { node: Node; axes: number[] } => {
    const missing = batch.length - own.length
    const axes: number[] = []
    const shape: number[] = []
    own.forEach((d, i) => {
      if (d !== batch[i + missing]) return
      axes.push(i + missing)
      shape.push(d)
    })
    const rank = node.shape.length
    for (let i = Math.max(rank - 2, 0); i < rank; i++) {
      axes.push(i === free ? freeLetter : i === inner ? INNER : -1)
      shape.push(node.shape[i]!)
    }
    return { node: reshape(node, shape), axes }
  }
  const lhs = operand(x, batchX, rx.free, rx.inner, ROW)
  const rhs = operand(y, batchY, ry.free, ry.inner, COLUMN)
  const used = batch.map((_, i) => i).filter((i) => lhs.axes.includes(i) || rhs.axes.includes(i))
  const out = [...used, ...(rx.free >= 0 ? [ROW] : []), ...(ry.free >= 0 ? [COLUMN] : [])]
  const shape = [...batch, ...(rx.free >= 0 ? [x.shape[rx.free]!] : []), ...(ry.free >= 0 ? [y.shape[ry.free]!] : [])]
  return contract(lhs.node, rhs.node, { lhs: lhs.axes, rhs: rhs.axes, out }, shape)
}

/** As `matmul`, `paddle.mm`. */
export function mm(input: Tensor, mat2: Tensor): Tensor {
  return matmul(input, mat2)
}

/** Product of each pair of matrices of two batches, [b, n, k] x [b, k, m], `paddle.bmm`. */
export function bmm(x: Tensor, y: Tensor): Tensor {
  const [a, b] = contractible('bmm', x, y)
  if (x.ndim !== 3 || y.ndim !== 3 || x.shape[0] !== y.shape[0])
    throw new ShapeError(
      `bmm: needs two batches of as many matrices, got ${formatShape(x.shape)} and ${formatShape(y.shape)}`,
    )
  return new Tensor(matmulNodes(a, b, false, false))
}

/** Matrix times vector, `paddle.mv`. */
export function mv(x: Tensor, vec: Tensor): Tensor {
  checkTensor(x, 'mv')
  checkTensor(vec, 'mv')
  if (x.ndim !== 2 || vec.ndim !== 1)
    throw new ShapeError(`mv: needs a matrix and a vector, got ${formatShape(x.shape)} and ${formatShape(vec.shape)}`)
  return matmul(x, vec)
}

/** Inner product of two vectors, or of each pair of rows of two matrices, `paddle.dot`. */
export function dot(x: Tensor, y: Tensor): Tensor {
  const [a, b] = contractible('dot', x, y)
  if ((x.ndim !== 1 && x.ndim !== 2) || formatShape(x.shape) !== formatShape(y.shape))
    throw new ShapeError(
      `dot: needs two vectors or two matrices of one shape, got ${formatShape(x.shape)} and ${formatShape(y.shape)}`,
    )
  const lead = x.ndim - 1
  const axes = x.shape.map((_, i) => i)
  return new Tensor(contract(a, b, { lhs: axes, rhs: axes, out: axes.slice(0, lead) }, x.shape.slice(0, lead)))
}

/** Sum over the last axis of both: [.., k] x [.., k] -> [.., ..], `paddle.inner`. */
export function inner(x: Tensor, y: Tensor): Tensor {
  const [a, b] = contractible('inner', x, y)
  const k = Math.max(x.ndim, 0)
  if (x.ndim === 0 || y.ndim === 0)
    throw new ShapeError('inner: operands need at least one axis; use multiply for numbers')
  if (x.shape[x.ndim - 1] !== y.shape[y.ndim - 1])
    throw new ShapeError(`inner: the last sizes of ${formatShape(x.shape)} and ${formatShape(y.shape)} differ`)
  const lhs = x.shape.map((_, i) => i)
  const rhs = y.shape.map((_, i) => (i === y.ndim - 1 ? k - 1 : k + i))
  const out = [...lhs.slice(0, -1), ...rhs.slice(0, -1)]
  return new Tensor(contract(a, b, { lhs, rhs, out }, [...x.shape.slice(0, -1), ...y.shape.slice(0, -1)]))
}

/** Every element of x times every element of y, [x.size, y.size], `paddle.outer`. */
export function outer(x: Tensor, y: Tensor): Tensor {
  const [a, b] = contractible('outer', x, y)
  const [n, m] = [x.size, y.size]
  return new Tensor(contract(reshape(a, [n]), reshape(b, [m]), { lhs: [0], rhs: [1], out: [0, 1] }, [n, m]))
}

/**
 * Sum over `axes`: a number (the last of x with the first of y), or the axes of each, `paddle.tensordot`.
 * Throws ShapeError where the sizes differ.
 */
export function tensordot(
  x: Tensor,
  y: Tensor,
  axes: number | readonly [readonly number[], readonly number[]] = 2,
): Tensor {
  const [a, b] = contractible('tensordot', x, y)
  const listed = (list: readonly number[], rank: number): number[] =>
    list.map((i) => normalizeAxis(i, rank, 'tensordot'))
  const count = typeof axes === 'number' ? axes : 0
  if (typeof axes === 'number' && !(Number.isInteger(axes) && axes >= 0 && axes <= Math.min(x.ndim, y.ndim)))
    throw new ArgumentError(
      `tensordot: there are no ${axes} axes in common of ${formatShape(x.shape)} and ${formatShape(y.shape)}`,
    )
  const ofX =
    typeof axes === 'number' ? Array.from({ length: count }, (_, i) => x.ndim - count + i) : listed(axes[0], x.ndim)
  const ofY = typeof axes === 'number' ? Array.from({ length: count }, (_, i) => i) : listed(axes[1], y.ndim)
  if (ofX.length !== ofY.length) throw new ArgumentError('tensordot: as many axes of x as of y must be named')
  ofX.forEach((i, k) => {
    if (x.shape[i] !== y.shape[ofY[k]!])
      throw new ShapeError(
        `tensordot: axis ${i} of ${formatShape(x.shape)} and axis ${ofY[k]} of ${formatShape(y.shape)} differ in size`,
      )
  })
  const lhs = x.shape.map((_, i) => i)
  const rhs = y.shape.map((_, i) => {
    const k = ofY.indexOf(i)
    return k >= 0 ? ofX[k]! : x.ndim + i
  })
  const freeX = lhs.filter((i) => !ofX.includes(i))
  const freeY = y.shape.map((_, i) => i).filter((i) => !ofY.includes(i))
  const out = [...freeX, ...freeY.map((i) => rhs[i]!)]
  const shape = [...freeX.map((i) => x.shape[i]!), ...freeY.map((i) => y.shape[i]!)]
  return new Tensor(contract(a, b, { lhs, rhs, out }, shape))
}

/** beta * input + alpha * (x @ y), `paddle.addmm`. */
export function addmm(
  input: Tensor,
  x: Tensor,
  y: Tensor,
  options: { readonly beta?: number; readonly alpha?: number } = {},
): Tensor {
  const { beta = 1, alpha = 1 } = options
  checkTensors([x, y], 'addmm')
  if (x.ndim !== 2 || y.ndim !== 2)
    throw new ShapeError(`addmm: needs two matrices, got ${formatShape(x.shape)} and ${formatShape(y.shape)}`)
  return add(multiply(input, beta), multiply(matmul(x, y), alpha))
}

/** beta * input + alpha * bmm(x, y), `paddle.baddbmm`. */
export function baddbmm(
  input: Tensor,
  x: Tensor,
  y: Tensor,
  options: { readonly beta?: number; readonly alpha?: number } = {},
): Tensor {
  const { beta = 1, alpha = 1 } = options
  return add(multiply(input, beta), multiply(bmm(x, y), alpha))
}

/** Sum of products along an axis, with broadcasting, `paddle.linalg.vecdot`. */
export function vecdot(x: Tensor, y: Tensor, axis = -1): Tensor {
  const [a, b] = broadcastNodes('vecdot', contractible('vecdot', x, y)) as [Node, Node]
  const at = normalizeAxis(axis, a.shape.length, 'vecdot')
  const letters = a.shape.map((_, i) => i)
  const out = letters.filter((i) => i !== at)
  return new Tensor(
    contract(
      a,
      b,
      { lhs: letters, rhs: letters, out },
      out.map((i) => a.shape[i]!),
    ),
  )
}

/** The product of several matrices in the order that takes the fewest multiplications; the first and last may be vectors, `paddle.linalg.multi_dot`. */
export function multiDot(x: readonly Tensor[]): Tensor {
  checkTensors(x, 'multiDot')
  if (x.length < 2) throw new ArgumentError(`multiDot: needs at least two matrices, got ${x.length}`)
  const first = x[0]!
  const last = x[x.length - 1]!
  const matrices = x.map((m, i) => {
    if (m.ndim === 2) return m
    if (m.ndim === 1 && i === 0) return new Tensor(reshape(m.node, [1, m.size]))
    if (m.ndim === 1 && i === x.length - 1) return new Tensor(reshape(m.node, [m.size, 1]))
    throw new ShapeError(`multiDot: operand ${i} must be a matrix, got ${formatShape(m.shape)}`)
  })
  // The classic dynamic programme over the sizes (Cormen et al., Introduction to Algorithms, section 14.2).
  const sizes = [matrices[0]!.shape[0]!, ...matrices.map((m) => m.shape[1]!)]
  const n = matrices.length
  const cost = Array.from({ length: n }, () => new Array<number>(n).fill(0))
  const cut = Array.from({ length: n }, () => new Array<number>(n).fill(0))
  for (let length = 2; length <= n; length++) {
    for (let i = 0; i + length <= n; i++) {
      const j = i + length - 1
      cost[i]![j] = Infinity
      for (let k = i; k < j; k++) {
        const c = cost[i]![k]! + cost[k + 1]![j]! + sizes[i]! * sizes[k + 1]! * sizes[j + 1]!
        if (c < cost[i]![j]!) {
          cost[i]![j] = c
          cut[i]![j] = k
        }
      }
    }
  }
  const product = (i: number, j: number): Tensor =>
    i === j ? matrices[i]! : matmul(product(i, cut[i]![j]!), product(cut[i]![j]! + 1, j))
  const shape = [...(first.ndim === 2 ? [sizes[0]!] : []), ...(last.ndim === 2 ? [sizes[n]!] : [])]
  return new Tensor(reshape(product(0, n - 1).node, shape))
}

/** Kronecker product, `paddle.kron`. */
export function kron(x: Tensor, y: Tensor): Tensor {
  const [a, b] = contractible('kron', x, y)
  const rank = Math.max(x.ndim, y.ndim)
  const padded = (s: Shape): number[] => [...new Array<number>(rank - s.length).fill(1), ...s]
  const [left, right] = [padded(a.shape), padded(b.shape)]
  const lhs = left.map((_, i) => 2 * i)
  const rhs = right.map((_, i) => 2 * i + 1)
  const out = left.flatMap((_, i) => [2 * i, 2 * i + 1])
  const apart = left.flatMap((d, i) => [d, right[i]!])
  const product = contract(reshape(a, left), reshape(b, right), { lhs, rhs, out }, apart)
  return new Tensor(
    reshape(
      product,
      left.map((d, i) => d * right[i]!),
    ),
  )
}

/** Cross product along an axis of size 3 (default: the first such), `paddle.cross`. */
export function cross(x: Tensor, y: Tensor, axis?: number): Tensor {
  const [a, b] = broadcastNodes('cross', contractible('cross', x, y)) as [Node, Node]
  const at = axis === undefined ? a.shape.indexOf(3) : normalizeAxis(axis, a.shape.length, 'cross')
  if (a.shape[at] !== 3)
    throw new ShapeError(
      `cross: needs an axis of 3 elements, got ${formatShape(a.shape)}${axis === undefined ? '' : `, axis ${axis}`}`,
    )
  const turned = (n: Node, by: number): Node => concatNodes([sliceAxis(n, at, by, 3), sliceAxis(n, at, 0, by)], at)
  const times = (p: Node, q: Node): Node => binary('mul', p, q)
  return new Tensor(binary('sub', times(turned(a, 1), turned(b, 2)), times(turned(a, 2), turned(b, 1))))
}

/** Matrices along the diagonal of a larger one, `paddle.block_diag`. */
export function blockDiag(inputs: readonly Tensor[]): Tensor {
  checkTensors(inputs, 'blockDiag')
  const blocks = inputs.map((m) => {
    if (m.ndim > 2) throw new ShapeError(`blockDiag: needs matrices, got ${formatShape(m.shape)}`)
    return m.ndim === 2 ? m.node : reshape(m.node, [1, m.size])
  })
  const width = blocks.reduce((s, m) => s + m.shape[1]!, 0)
  let at = 0
  const rows = blocks.map((m) => {
    const row = pad(m, [0, at], [0, width - at - m.shape[1]!])
    at += m.shape[1]!
    return row
  })
  const dtype = blocks.reduce((d, m) => promoteTypes(d, m.dtype, 'blockDiag'), blocks[0]!.dtype)
  return new Tensor(
    concatNodes(
      rows.map((r) => castNode(r, dtype)),
      0,
    ),
  )
}
