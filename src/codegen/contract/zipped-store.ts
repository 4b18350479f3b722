/** Stores what all classes along x have computed for a tile: classes that are neighbours in the result are interleaved in registers. */
import { add, div, index, load, lt, max, min, mul, sub, zip, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import { FlatAxes, type Axis } from './axes.ts'
import { eachVector } from './band.ts'
import type { RegisterTile } from './blocking.ts'
import type { ResultStore } from './store.ts'

/** Numbers of classes that are interleaved; others are stored element by element. */
export type Interleaved = 1 | 2 | 4 | null

export function interleavedOf(classes: number): Interleaved {
  return classes === 1 || classes === 2 || classes === 4 ? classes : null
}

/** Columns as the store meets them: views are the result, the operands, and last the number of the row (q of y). */
export interface ZippedColumns {
  readonly axes: readonly Axis[]
  /** By view, from one class to the next, and from one element of the result to its neighbour. */
  readonly classStrides: readonly number[]
  readonly laneStrides: readonly number[]
  /** Elements of the result, and classes. */
  readonly height: number
  readonly heightClasses: number
  readonly width: number
  readonly widthClasses: number
}

export interface ZippedTile {
  /** Sums of class 0 of x; the others follow, a tile apart. */
  readonly sums: BufferParameter
  readonly at: Expr
  readonly row: Expr
  readonly rows: Expr
  readonly column: Expr
  readonly columns: Expr
  /** Class of y. */
  readonly classY: Expr
}

export class ZippedStore {
  private readonly k: Assembler
  private readonly tile: RegisterTile
  private readonly result: ResultStore
  private readonly interleaved: Interleaved
  private readonly columnAxes: FlatAxes
  private readonly classStrides: readonly Expr[]
  private readonly laneStrides: readonly Expr[]
  private readonly height: Expr
  private readonly heightClasses: Expr
  /** Columns with elements of all classes, and classes that one more has. */
  private readonly full: Expr
  private readonly partial: Expr
  readonly classes: Expr

  constructor(k: Assembler, result: ResultStore, tile: RegisterTile, c: ZippedColumns) {
    this.k = k
    this.tile = tile
    this.result = result
    this.interleaved = interleavedOf(c.widthClasses)
    k.note(`interleaved ${this.interleaved}`)
    this.columnAxes = new FlatAxes(k, c.axes, result.views + 1)
    this.classStrides = c.classStrides.map((s) => k.stride(s))
    this.laneStrides = c.laneStrides.map((s) => k.stride(s))
    this.height = k.size(c.height)
    this.heightClasses = k.size(c.heightClasses)
    this.full = k.size(Math.floor(c.width / c.widthClasses))
    this.partial = k.size(c.width % c.widthClasses)
    this.classes = this.interleaved ? index(this.interleaved) : k.size(c.widthClasses)
  }

  /** `rowAxes` has the views of the result and the operands. */
  emit(base: readonly Expr[], rowAxes: FlatAxes, t: ZippedTile): void {
    const { k, tile, classes } = this
    const ownRows = k.let('ownRows', min(tile.rows, sub(t.rows, t.row)))
    const end = k.let('end', min(tile.columns, sub(t.columns, t.column)))
    const column = k.declare('column', index(0))
    const { innerSize } = this.columnAxes
    // A run of a row at a time; no tile has more runs than columns.
    k.loop('run', 0, this.runs(t.column, end), 1, () => {
      const { offsets, inner } = this.columnAxes.locate(k, k.let('c', add(t.column, column)))
      const count = k.let('count', min(sub(innerSize, inner), sub(end, column)))
      const y = k.let('y', add(mul(offsets.at(-1)!, this.heightClasses), t.classY))
      k.if(lt(y, this.height), () => {
        const start = base.map((b, v) => k.let('at', add(add(b, offsets[v]!), mul(t.classY, this.classStrides[v]!))))
        const full = k.let('full', max(0, min(count, sub(this.full, inner))))
        const from = k.let('from', add(t.at, column))
        const eachRow = (visit: (from: Expr, at: readonly Expr[]) => void): void =>
          k.loop('r', 0, ownRows, 1, (r) => {
            const rowOffsets = rowAxes.locate(k, k.let('row', add(t.row, r))).offsets
            visit(
              k.let('from', add(from, mul(r, tile.columns))),
              start.map((o, v) => k.let('at', add(o, rowOffsets[v]!))),
            )
          })
        const interleaved = this.interleaved
        if (interleaved)
          eachVector(k, full, tile.lanes, (q, lanes) =>
            eachRow((own, at) => this.vectors(k.let('own', add(own, q)), at, q, lanes, interleaved, t)),
          )
        else
          eachRow((own, at) =>
            k.loop('q', 0, full, 1, (q) => k.loop('x', 0, classes, 1, (x) => this.single(add(own, q), at, q, x, t))),
          )
        k.if(lt(full, count), () =>
          eachRow((own, at) => k.loop('x', 0, this.partial, 1, (x) => this.single(add(own, full), at, full, x, t))),
        )
      })
      k.assign(column, add(column, count))
    })
  }

  /** Rows of the result that `end` columns from `column` on touch. */
  private runs(column: Expr, end: Expr): Expr {
    const { k } = this
    const size = this.columnAxes.innerSize
    return k.let('runs', sub(div(add(add(column, end), sub(size, 1)), size), div(column, size)))
  }

  /** `lanes` sums of every class, from `from` on, as neighbours in the result. */
  private vectors(from: Expr, at: readonly Expr[], q: Expr, lanes: number, classes: 1 | 2 | 4, t: ZippedTile): void {
    const { k, tile } = this
    const size = tile.rows * tile.columns
    const sums = Array.from({ length: classes }, (_, x) => k.let('x', load(t.sums, add(from, x * size), lanes)))
    interleave(k, sums, lanes).forEach((sum, n) => this.put(sum, at, add(mul(q, classes), n * lanes), lanes))
  }

  private single(from: Expr, at: readonly Expr[], q: Expr, x: Expr, t: ZippedTile): void {
    const { tile } = this
    this.put(load(t.sums, add(from, mul(x, tile.rows * tile.columns))), at, add(mul(q, this.classes), x), 1)
  }

  private put(sum: Expr, at: readonly Expr[], place: Expr, lanes: number): void {
    const { k, laneStrides } = this
    const x = k.let('x', place)
    this.result.store(
      sum,
      at.map((o, v) => add(o, mul(x, laneStrides[v]!))),
      laneStrides,
      lanes,
    )
  }
}

/** Vectors of which the elements take turns. */
function interleave(k: Assembler, vectors: readonly Expr[], lanes: number): readonly Expr[] {
  if (lanes === 1 || vectors.length === 1) return vectors
  const half = vectors.length / 2
  const mixed = vectors.slice(0, half).map((a, n) => {
    const b = vectors[n + half]!
    return (['low', 'high'] as const).map((side) => k.let('z', zip(a, b, 1, side, 'all')))
  })
  return [0, 1].flatMap((side) =>
    interleave(
      k,
      mixed.map((m) => m[side]!),
      lanes,
    ),
  )
}
