/**
 * The matrices of Winograd's minimal filtering (Lavin and Gray, arXiv:1509.09308, sections 4.1 and 4.3): Y = A^T [(G g G^T) * (B^T d B)] A for
 * tiles of n x n results, 3x3 weights g and patches d of n + 2, and the products with them as few operations on vectors.
 */
import { add, constant, fma, mul, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'

export type Matrix = readonly (readonly number[])[]

/** Taps along one axis. */
export const TAPS = 3

/** Tiles of one size: results along one axis (as many as points, less TAPS - 1), and the transforms of all three operands. */
export interface Filtering {
  readonly tile: number
  /** B^T, for patches of the input. */
  readonly input: Matrix
  /** G, for weights. */
  readonly weight: Matrix
  /** A^T, for results. */
  readonly result: Matrix
}

/** F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity: a quarter of the multiplications. */
export const TILES_OF_FOUR: Filtering = {
  tile: 4,
  input: [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ],
  weight: [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ],
  result: [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
  ],
}

/** F(2x2, 3x3) with the points 0, 1, -1 and infinity: four ninths of the multiplications, and more tiles in small images. */
export const TILES_OF_TWO: Filtering = {
  tile: 2,
  input: [
    [1, 0, -1, 0],
    [0, 1, 1, 0],
    [0, -1, 1, 0],
    [0, -1, 0, 1],
  ],
  weight: [
    [1, 0, 0],
    [1 / 2, 1 / 2, 1 / 2],
    [1 / 2, -1 / 2, 1 / 2],
    [0, 0, 1],
  ],
  result: [
    [1, 1, 1, 0],
    [0, 1, -1, 1],
  ],
}

/** Points of a tile. */
export function pointsOf({ input }: Filtering): number {
  return input.length ** 2
}

export function transpose(m: Matrix): Matrix {
  return m[0]!.map((_, j) => m.map((row) => row[j]!))
}

/** matrix * x. Points come in pairs p, -p: their rows (or columns) share even and odd parts. */
export function apply(k: Assembler, matrix: Matrix, x: readonly Expr[]): Expr[] {
  return matrix.length >= matrix[0]!.length ? applyTall(k, matrix, x) : applyWide(k, matrix, x)
}

/** The first of each pair of points of so many. */
const pairs = (points: number): number[] => Array.from({ length: (points - 2) / 2 }, (_, n) => 2 * n + 1)

/** Points as rows: rows 1 and 2, 3 and 4 differ by the signs of the odd columns. */
function applyTall(k: Assembler, matrix: Matrix, x: readonly Expr[]): Expr[] {
  const parity = (row: readonly number[], odd: 0 | 1): number[] => row.map((a, j) => (j % 2 === odd ? a : 0))
  const pair = (row: readonly number[]): Expr[] => {
    const even = combine(k, parity(row, 0), x)
    const odd = combine(k, parity(row, 1), x)
    return [k.let('y', add(even, odd)), k.let('y', sub(even, odd))]
  }
  const inner = pairs(matrix.length).flatMap((p) => pair(matrix[p]!))
  return [combine(k, matrix[0]!, x), ...inner, combine(k, matrix.at(-1)!, x)]
}

/** Points as columns: columns 1 and 2, 3 and 4 are equal, or differ by their sign. */
function applyWide(k: Assembler, matrix: Matrix, x: readonly Expr[]): Expr[] {
  const inner = pairs(x.length).map((p) => ({
    p,
    sum: k.let('s', add(x[p]!, x[p + 1]!)),
    difference: k.let('s', sub(x[p]!, x[p + 1]!)),
  }))
  return matrix.map((row) => {
    const terms = inner.map(({ p, sum, difference }) => (row[p] === row[p + 1] ? sum : difference))
    return combine(k, [row[0]!, ...inner.map(({ p }) => row[p]!), row.at(-1)!], [x[0]!, ...terms, x.at(-1)!])
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
