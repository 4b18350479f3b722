/**
 * The matrices of Winograd's minimal filtering F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray, arXiv:1509.09308,
 * section 4.3): Y = A^T [(G g G^T) * (B^T d B)] A for tiles of 4x4 results, 3x3 weights g and patches d of 6x6, and the products with them as
 * few operations on vectors.
 */
import { add, constant, fma, mul, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'

export type Matrix = readonly (readonly number[])[]

/** Results, taps and points along one axis. */
export const TILE = 4
export const TAPS = 3
export const POINTS = TILE + TAPS - 1

/** B^T: 6 x 6, for patches of the input. */
export const INPUT: Matrix = [
  [4, 0, -5, 0, 1, 0],
  [0, -4, -4, 1, 1, 0],
  [0, 4, -4, -1, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 2, -1, -2, 1, 0],
  [0, 4, 0, -5, 0, 1],
]

/** G: 6 x 3, for weights. */
export const WEIGHT: Matrix = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
]

/** A^T: 4 x 6, for results. */
export const RESULT: Matrix = [
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 2, -2, 0],
  [0, 1, 1, 4, 4, 0],
  [0, 1, -1, 8, -8, 1],
]

export function transpose(m: Matrix): Matrix {
  return m[0]!.map((_, j) => m.map((row) => row[j]!))
}

/** matrix * x. Points come in pairs p, -p: their rows (or columns) share even and odd parts. */
export function apply(k: Assembler, matrix: Matrix, x: readonly Expr[]): Expr[] {
  return matrix.length === POINTS ? applyTall(k, matrix, x) : applyWide(k, matrix, x)
}

/** Points as rows: rows 1 and 2, 3 and 4 differ by the signs of the odd columns. */
function applyTall(k: Assembler, matrix: Matrix, x: readonly Expr[]): Expr[] {
  const parity = (row: readonly number[], odd: 0 | 1): number[] => row.map((a, j) => (j % 2 === odd ? a : 0))
  const pair = (row: readonly number[]): Expr[] => {
    const even = combine(k, parity(row, 0), x)
    const odd = combine(k, parity(row, 1), x)
    return [k.let('y', add(even, odd)), k.let('y', sub(even, odd))]
  }
  return [combine(k, matrix[0]!, x), ...pair(matrix[1]!), ...pair(matrix[3]!), combine(k, matrix[5]!, x)]
}

/** Points as columns: columns 1 and 2, 3 and 4 are equal, or differ by their sign. */
function applyWide(k: Assembler, matrix: Matrix, x: readonly Expr[]): Expr[] {
  const pairs = [1, 3].map((p) => ({
    p,
    sum: k.let('s', add(x[p]!, x[p + 1]!)),
    difference: k.let('s', sub(x[p]!, x[p + 1]!)),
  }))
  return matrix.map((row) => {
    const terms = pairs.map(({ p, sum, difference }) => (row[p] === row[p + 1] ? sum : difference))
    return combine(k, [row[0]!, row[1]!, row[3]!, row[5]!], [x[0]!, ...terms, x[5]!])
  })
}

function combine(k: Assembler, row: readonly number[], x: readonly Expr[]): Expr {
  let sum: Expr | null = null
  // Terms without a factor first: they start the sum for nothing.
  const order = row.map((_, i) => i).sort((i, j) => Number(row[j] === 1) - Number(row[i] === 1))
  for (const i of order) {
    const a = row[i]!
    if (a === 0) continue
    if (!sum) sum = a === 1 ? x[i]! : mul(x[i]!, constant(a, 'f32', x[i]!.type.lanes))
    else if (a === 1) sum = add(sum, x[i]!)
    else if (a === -1) sum = sub(sum, x[i]!)
    else sum = fma(x[i]!, constant(a, 'f32', x[i]!.type.lanes), sum)
  }
  return k.let('y', sum!)
}
