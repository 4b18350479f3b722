/**
 * Writing tiles of a product to its result: from the registers where the tile is full and its vectors are runs of memory there, from
 * scratch elsewhere; through the epilogue, with its operands loaded from the same coordinates.
 */
import { add, and, gather, le, load, min, mul, splat, sub, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import type { RegisterTile } from './blocking.ts'
import { axesIn, type Form } from './form.ts'

/** The accumulators of a tile by row and vector. */
export type Sums = readonly (readonly Expr[])[]

/** Visits the accumulators with their offsets in a tile kept in scratch. */
export function eachSum(sums: Sums, tile: RegisterTile, visit: (sum: Expr, at: number) => void): void {
  sums.forEach((row, r) => row.forEach((sum, v) => visit(sum, r * tile.columns + v * tile.lanes)))
}

/** Where the vectors of a tile lie in the result and in the epilogue's operands. */
export interface ColumnRuns {
  readonly offsets: readonly (readonly Expr[])[]
  /** Every vector is one run of memory of the result. */
  readonly whole: Expr
}

/** A tile: its place in scratch, its first element, and the size of the whole product. */
export interface TilePlace {
  readonly slots: BufferParameter
  readonly slot: Expr
  readonly row: Expr
  readonly column: Expr
  readonly rows: Expr
  readonly columns: Expr
}

export class TileStore {
  private readonly k: Assembler
  private readonly form: Form
  private readonly tile: RegisterTile
  private readonly out: BufferParameter
  private readonly operands: readonly BufferParameter[]
  private readonly offsets: readonly Expr[]
  private readonly rowAxes: FlatAxes
  private readonly columnAxes: FlatAxes
  private readonly scalars: readonly Expr[]
  /** Whether vectors can be stored at all. */
  private readonly unit: boolean

  constructor(k: Assembler, form: Form, tile: RegisterTile) {
    this.k = k
    this.form = form
    this.tile = tile
    const operands = form.epilogue?.operands ?? []
    this.out = k.memory(form.out.memory, form.out.dtype, 'write')
    this.operands = operands.map((o, number) => k.memory({ kind: 'operand', number }, o.dtype, 'read'))
    this.offsets = [form.out.offset, ...operands.map((o) => o.offset)].map((o) => k.size(o))
    const views = 1 + operands.length
    this.rowAxes = new FlatAxes(k, mergeAxes(axesIn(form.rows, ['out', 'operands']), views), views)
    this.columnAxes = new FlatAxes(k, mergeAxes(axesIn(form.columns, ['out', 'operands']), views), views)
    this.scalars = k.scalars(form.epilogue)
    this.unit = isStride(this.columnAxes.innerStride(0), 1)
  }

  /** Offsets of a task in the result and in the operands. */
  begin(batchOffsets: readonly Expr[]): Expr[] {
    return batchOffsets.map((o, v) => this.k.let('base', add(o, this.offsets[v]!)))
  }

  columns(column: Expr, columns: Expr): ColumnRuns | null {
    const { k, tile } = this
    if (!this.unit) return null
    const vectors = Array.from({ length: tile.vectors }, (_, v) => {
      const { offsets, inner } = this.columnAxes.locate(k, k.let('c', add(column, v * tile.lanes)))
      return { offsets, whole: le(add(inner, tile.lanes), this.columnAxes.innerSize) }
    })
    const inside = le(add(column, tile.columns), columns)
    return { offsets: vectors.map((v) => v.offsets), whole: vectors.reduce((all, v) => and(all, v.whole), inside) }
  }

  /** `keep` stores the accumulators to scratch. */
  emit(base: readonly Expr[], runs: ColumnRuns | null, sums: Sums, keep: () => void, t: TilePlace): void {
    const { k, tile } = this
    const fromScratch = (): void => {
      keep()
      this.emitFromScratch(base, t)
    }
    if (!runs) {
      fromScratch()
      return
    }
    k.if(
      and(runs.whole, le(add(t.row, tile.rows), t.rows)),
      () => {
        sums.forEach((row, r) => {
          const rowOffsets = this.rowAxes.locate(k, k.let('row', add(t.row, r))).offsets
          const start = base.map((o, v) => k.let('at', add(o, rowOffsets[v]!)))
          row.forEach((sum, v) => {
            const at = start.map((o, view) => add(o, runs.offsets[v]![view]!))
            this.storeElement(sum, at, tile.lanes)
          })
        })
      },
      fromScratch,
    )
  }

  /** Stores a tile that lies in scratch, `tile.columns` elements a row. */
  emitFromScratch(base: readonly Expr[], t: TilePlace): void {
    const { k, tile } = this
    const count = k.let('count', min(tile.rows, sub(t.rows, t.row)))
    const width = k.let('width', min(tile.columns, sub(t.columns, t.column)))
    const eachRow = (visit: (row: Expr, at: readonly Expr[]) => void): void => {
      k.loop('r', 0, count, 1, (r) => {
        const rowOffsets = this.rowAxes.locate(k, k.let('row', add(t.row, r))).offsets
        visit(
          k.let('from', add(t.slot, mul(r, tile.columns))),
          base.map((o, v) => k.let('at', add(o, rowOffsets[v]!))),
        )
      })
    }
    k.loop('v', 0, width, tile.lanes, (v) => {
      const end = k.let('end', min(add(v, tile.lanes), width))
      const { offsets, inner } = this.columnAxes.locate(k, k.let('c', add(t.column, v)))
      // Within one run neighbours are a stride apart; elsewhere each column is located by itself.
      const run = le(add(inner, sub(end, v)), this.columnAxes.innerSize)
      k.if(
        run,
        () =>
          eachRow((from, at) => {
            k.loop('column', 0, sub(end, v), 1, (column) => {
              const where = at.map((o, view) =>
                add(add(o, offsets[view]!), mul(column, this.columnAxes.innerStride(view))),
              )
              this.storeElement(load(t.slots, add(add(from, v), column)), where, 1)
            })
          }),
        () =>
          k.loop('column', v, end, 1, (column) => {
            const located = this.columnAxes.locate(k, k.let('c', add(t.column, column))).offsets
            eachRow((from, at) => {
              this.storeElement(
                load(t.slots, add(from, column)),
                at.map((o, view) => add(o, located[view]!)),
                1,
              )
            })
          }),
      )
    })
  }

  private storeElement(sum: Expr, at: readonly Expr[], lanes: number): void {
    const { k, form } = this
    if (!form.epilogue) {
      k.store(this.out, at[0]!, sum)
      return
    }
    const operands = this.operands.map((o, n) => {
      const stride = this.columnAxes.innerStride(n + 1)
      const where = at[n + 1]!
      if (lanes === 1 || isStride(stride, 1)) return k.let('operand', load(o, where, lanes))
      if (isStride(stride, 0)) return k.let('operand', splat(load(o, where), lanes))
      return k.let('operand', gather(o, where, stride, lanes))
    })
    k.store(this.out, at[0]!, form.epilogue.build(k, k.let('sum', sum), operands, this.scalars))
  }
}
