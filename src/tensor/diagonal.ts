/** Diagonals and triangles of matrices, as in paddle.tensor.creation and manipulation. */
import { allocateHost, setElement, type DType } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { checkShape, coordinateType, formatShape, normalizeAxis, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  iota,
  pad,
  permute,
  reduce,
  reshape,
  sliceAxis,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { checkDtype } from './creation.ts'
import { checkTensor, constantLike, scalarNode } from './promotion.ts'
import { fromHost, Tensor } from './tensor.ts'

/** Where column - row is diagonal (`eq`), below (`le`) or above it (`ge`), itself included, in the last two axes. */
function triangle(shape: Shape, diagonal: number, op: 'eq' | 'le' | 'ge'): Node {
  const rank = shape.length
  const dtype = coordinateType(shape, diagonal)
  const difference = binary('sub', iota(shape, rank - 1, dtype), iota(shape, rank - 2, dtype))
  return binary(op, difference, constant(diagonal, dtype, shape))
}

function keepTriangle(x: Tensor, diagonal: number, op: 'le' | 'ge', name: string): Tensor {
  checkTensor(x, name)
  checkOffset(diagonal, name)
  if (x.ndim < 2) throw new ShapeError(`${name}: needs a matrix or a batch of them, got ${formatShape(x.shape)}`)
  return new Tensor(where(triangle(x.shape, diagonal, op), x.node, constantLike(x.node, 0)))
}

/** The lower triangle of each matrix (last two axes), zeros above `diagonal`, `paddle.tril`. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return keepTriangle(x, diagonal, 'le', 'tril')
}

/** The upper triangle of each matrix, zeros below `diagonal`, `paddle.triu`. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return keepTriangle(x, diagonal, 'ge', 'triu')
}

/** Number of elements on and below diagonal `offset` of a matrix. */
function countLower(rows: number, columns: number, offset: number): number {
  const row = (r: number, least: number): number => Math.min(Math.max(r, least), rows)
  // Rows from `first` on have elements, as many as r + offset + 1, and from `full` on all columns.
  const first = row(-offset, 0)
  const full = row(columns - offset - 1, first)
  return ((full - first) * (first + full + 2 * offset + 1)) / 2 + (rows - full) * columns
}

/** Rows and columns of `count` elements of a matrix: those from the first column to before the last that `bounds` gives for each row. */
function triangleIndices(
  rows: number,
  columns: number,
  count: number,
  dtype: DType,
  bounds: (row: number) => readonly [first: number, end: number],
): Tensor {
  const data = allocateHost<DType>(dtype, 2 * count)
  for (let r = 0, i = 0; i < count && r < rows; r++) {
    const [first, end] = bounds(r)
    for (let c = Math.max(first, 0); c < Math.min(end, columns); c++, i++) {
      setElement(dtype, data, i, r)
      setElement(dtype, data, count + i, c)
    }
  }
  return fromHost({ dtype, shape: [2, count], data })
}

function checkOffset(offset: number, op: string): void {
  if (!Number.isSafeInteger(offset)) throw new ArgumentError(`${op}: a diagonal is named by an integer, got ${offset}`)
}

/** Rows and columns of the lower triangle of a [row, col] matrix, [2, n], `paddle.tril_indices`. */
export function trilIndices(row: number, col: number = row, offset = 0, dtype: DType = 'int64'): Tensor {
  checkTriangle('trilIndices', row, col, offset, dtype)
  return triangleIndices(row, col, countLower(row, col, offset), dtype, (r) => [0, r + offset + 1])
}

/** Rows and columns of the upper triangle of a [row, col] matrix, [2, n], `paddle.triu_indices`. */
export function triuIndices(row: number, col: number = row, offset = 0, dtype: DType = 'int64'): Tensor {
  checkTriangle('triuIndices', row, col, offset, dtype)
  return triangleIndices(row, col, row * col - countLower(row, col, offset - 1), dtype, (r) => [r + offset, col])
}

function checkTriangle(op: string, rows: number, columns: number, offset: number, dtype: DType): void {
  checkShape([rows, columns], op)
  checkOffset(offset, op)
  checkDtype(dtype, op)
}

/** A vector on diagonal `offset` of a square matrix padded with `paddingValue`, or that diagonal of a matrix, `paddle.diag`. */
export function diag(x: Tensor, offset = 0, paddingValue = 0): Tensor {
  checkTensor(x, 'diag')
  if (x.ndim === 2) return diagonal(x, offset)
  if (x.ndim !== 1) throw new ShapeError(`diag: needs a vector or a matrix, got ${formatShape(x.shape)}`)
  const made = diagEmbed(x, offset)
  if (paddingValue === 0) return made
  const on = onDiagonal(made.shape, offset)
  return new Tensor(where(on, made.node, broadcastTo(scalarNode(paddingValue, x.dtype), made.shape)))
}

const onDiagonal = (shape: Shape, offset: number): Node => triangle(shape, offset, 'eq')

/** The tensor's elements on diagonal `offset` of a square matrix, `paddle.diagflat`. */
export function diagflat(x: Tensor, offset = 0): Tensor {
  checkTensor(x, 'diagflat')
  return diagEmbed(new Tensor(reshape(x.node, [x.size])), offset)
}

/** Matrices (in the axes `axis1` and `axis2` of the result) with the last axis of x on diagonal `offset`, `paddle.diag_embed`. */
export function diagEmbed(x: Tensor, offset = 0, axis1 = -2, axis2 = -1): Tensor {
  checkTensor(x, 'diagEmbed')
  checkOffset(offset, 'diagEmbed')
  if (x.ndim === 0) throw new ShapeError('diagEmbed: needs at least one axis')
  const n = x.shape[x.ndim - 1]! + Math.abs(offset)
  const lead = x.shape.slice(0, -1)
  const shape = [...lead, n, n]
  const before = lead.map(() => 0)
  // Element i of the vector stands in row i + max(-offset, 0): padded into place, repeated over columns, masked.
  const rows = pad(x.node, [...before, Math.max(-offset, 0)], [...before, Math.max(offset, 0)])
  const spread = broadcastTo(reshape(rows, [...lead, n, 1]), shape)
  const matrix = where(onDiagonal(shape, offset), spread, constantLike(spread, 0))
  const rank = shape.length
  const a = normalizeAxis(axis1, rank, 'diagEmbed')
  const b = normalizeAxis(axis2, rank, 'diagEmbed')
  if (a === b) throw new ArgumentError(`diagEmbed: axis1 and axis2 are both ${a}`)
  let next = 0
  const order = shape.map((_, i) => (i === a ? rank - 2 : i === b ? rank - 1 : next++))
  return new Tensor(permute(matrix, order))
}

/** Diagonal `offset` of the matrices in `axis1` and `axis2`, as the last axis, `paddle.diagonal`. */
export function diagonal(x: Tensor, offset = 0, axis1 = 0, axis2 = 1): Tensor {
  checkTensor(x, 'diagonal')
  checkOffset(offset, 'diagonal')
  const rank = x.ndim
  if (rank < 2) throw new ShapeError(`diagonal: needs at least two axes, got ${formatShape(x.shape)}`)
  const a = normalizeAxis(axis1, rank, 'diagonal')
  const b = normalizeAxis(axis2, rank, 'diagonal')
  if (a === b) throw new ArgumentError(`diagonal: axis1 and axis2 are both ${a}`)
  const others = x.shape.map((_, i) => i).filter((i) => i !== a && i !== b)
  let matrix = permute(x.node, [...others, a, b])
  matrix = sliceAxis(matrix, rank - 2, Math.min(Math.max(-offset, 0), x.shape[a]!), x.shape[a]!)
  matrix = sliceAxis(matrix, rank - 1, Math.min(Math.max(offset, 0), x.shape[b]!), x.shape[b]!)
  const n = Math.min(matrix.shape[rank - 2]!, matrix.shape[rank - 1]!)
  matrix = sliceAxis(sliceAxis(matrix, rank - 2, 0, n), rank - 1, 0, n)
  // The other elements become 0 (false), so the sum over columns is the diagonal.
  const zero = constantLike(matrix, 0)
  const kept = where(onDiagonal(matrix.shape, 0), matrix, zero)
  if (x.dtype === 'bool') return new Tensor(castNode(reduce('reduceSum', castNode(kept, 'int32'), [rank - 1]), 'bool'))
  return new Tensor(reduce('reduceSum', kept, [rank - 1]))
}

/** A copy of x with diagonal `offset` of the matrices in two axes replaced by y, `paddle.diagonal_scatter`. */
export function diagonalScatter(x: Tensor, y: Tensor, offset = 0, axis1 = 0, axis2 = 1): Tensor {
  checkTensor(x, 'diagonalScatter')
  checkTensor(y, 'diagonalScatter')
  const expected = diagonal(x, offset, axis1, axis2).shape
  if (formatShape(expected) !== formatShape(y.shape))
    throw new ShapeError(
      `diagonalScatter: the diagonal is ${formatShape(expected)}, the values are ${formatShape(y.shape)}`,
    )
  const rank = x.ndim
  const a = normalizeAxis(axis1, rank, 'diagonalScatter')
  const b = normalizeAxis(axis2, rank, 'diagonalScatter')
  const [rows, columns] = [x.shape[a]!, x.shape[b]!]
  // The embedded diagonal is square; it is cut or padded to the matrix.
  const square = diagEmbed(new Tensor(castNode(y.node, x.dtype)), offset).node
  const fit = (n: Node, axis: number, size: number): Node => {
    const cut = sliceAxis(n, axis, 0, Math.min(size, n.shape[axis]!))
    const none = n.shape.map(() => 0)
    return pad(
      cut,
      none,
      none.map((_, i) => (i === axis ? size - cut.shape[axis]! : 0)),
    )
  }
  const matrix = fit(fit(square, rank - 2, rows), rank - 1, columns)
  let next = 0
  const order = x.shape.map((_, i) => (i === a ? rank - 2 : i === b ? rank - 1 : next++))
  const on = onDiagonal(matrix.shape, offset)
  return new Tensor(where(permute(on, order), permute(matrix, order), x.node))
}
