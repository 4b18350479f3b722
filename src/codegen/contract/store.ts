/**
 * Writing tiles of a product to its result: from the registers where the tile is full and its vectors are runs of memory there, from
 * scratch elsewhere; through the epilogue, with its operands loaded from the same coordinates.
 */
import {
  add,
  and,
  div,
  eq,
  gather,
  index,
  le,
  load,
  lt,
  max,
  min,
  mul,
  rem,
  select,
  splat,
  sub,
  type BufferParameter,
} from '../builder.ts'
import { sizeOf } from '../../common/dtype.ts'
import type { Expr } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import type { RegisterTile } from './blocking.ts'
import { axesIn, type ColumnPitch, type Form, type FormView } from './form.ts'
import type { Epilogue } from './problem.ts'

/** The accumulators of a tile by row and vector. */
export type Sums = readonly (readonly Expr[])[]

/** Visits the accumulators with their offsets in a tile kept in scratch. */
export function eachSum(sums: Sums, tile: RegisterTile, visit: (sum: Expr, at: number) => void): void {
  sums.forEach((row, r) => row.forEach((sum, v) => visit(sum, r * tile.columns + v * tile.lanes)))
}

/** The result and the operands of the epilogue, as parameters of a kernel. */
export class ResultStore {
  private readonly k: Assembler
  private readonly epilogue: Epilogue | undefined
  /** The result, and what the epilogue gives beside it. */
  private readonly out: readonly BufferParameter[]
  private readonly operands: readonly BufferParameter[]
  private readonly scalars: readonly Expr[]
  /** Of the first element, in the result and in each operand. */
  readonly offsets: readonly Expr[]

  constructor(k: Assembler, out: FormView, epilogue: Epilogue | undefined) {
    const operands = epilogue?.operands ?? []
    this.k = k
    this.epilogue = epilogue
    const beside = epilogue?.results ?? []
    this.out = [
      k.memory(out.memory, out.dtype, 'write'),
      ...beside.map((dtype, number) => k.memory({ kind: 'result', number }, dtype, 'write')),
    ]
    this.operands = operands.map((o, number) => k.memory({ kind: 'operand', number }, o.dtype, 'read'))
    this.offsets = [out.offset, ...operands.map((o) => o.offset)].map((o) => k.size(o))
    this.scalars = k.scalars(epilogue)
  }

  get hasEpilogue(): boolean {
    return this.epilogue !== undefined
  }

  /** Views that a store addresses: the result, then the operands. */
  get views(): number {
    return this.offsets.length
  }

  /** The results and those operands of which the lanes of a tile are neighbours, with the view that addresses each. */
  streams(strides: readonly Expr[]): { readonly buffer: BufferParameter; readonly view: number }[] {
    const beside = this.operands
      .map((buffer, n) => ({ buffer, view: n + 1 }))
      .filter((o) => isStride(strides[o.view]!, 1))
    return [...this.out.map((buffer) => ({ buffer, view: 0 })), ...beside]
  }

  /** Stores the epilogue of one sum, or of `lanes` neighbours: `at` and `strides` (of the lanes) are by view. */
  store(sum: Expr, at: readonly Expr[], strides: readonly Expr[], lanes: number): void {
    const { k, epilogue } = this
    if (!epilogue) {
      k.store(this.out[0]!, at[0]!, sum)
      return
    }
    const operands = this.operands.map((o, n) => {
      const stride = strides[n + 1]!
      const where = at[n + 1]!
      if (lanes === 1 || isStride(stride, 1)) return k.let('operand', load(o, where, lanes))
      if (isStride(stride, 0)) return k.let('operand', splat(load(o, where), lanes))
      return k.let('operand', gather(o, where, stride, lanes))
    })
    const values = epilogue.build(k, k.let('sum', sum), operands, this.scalars)
    values.forEach((v, n) => k.store(this.out[n]!, at[0]!, v))
  }
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
  private readonly tile: RegisterTile
  private readonly result: ResultStore
  private readonly rowAxes: FlatAxes
  private readonly columnAxes: FlatAxes
  private readonly columnStrides: readonly Expr[]
  /** Whether vectors can be stored at all. */
  private readonly unit: boolean
  private readonly runs: StoredRuns | null

  constructor(k: Assembler, form: Form, tile: RegisterTile) {
    this.k = k
    this.tile = tile
    this.result = new ResultStore(k, form.out, form.epilogue)
    const { views } = this.result
    this.rowAxes = new FlatAxes(k, mergeAxes(axesIn(form.rows, ['out', 'operands']), views), views)
    const columns = form.runs?.columns ?? form.columns
    this.columnAxes = new FlatAxes(k, mergeAxes(axesIn(columns, ['out', 'operands']), views), views)
    this.columnStrides = Array.from({ length: views }, (_, v) => this.columnAxes.innerStride(v))
    this.unit = isStride(this.columnStrides[0]!, 1)
    this.runs = form.runs ? new StoredRuns(k, form.runs, tile) : null
  }

  /** Offsets of a task in the result and in the operands. */
  begin(batchOffsets: readonly Expr[]): Expr[] {
    return batchOffsets.map((o, v) => this.k.let('base', add(o, this.result.offsets[v]!)))
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

  /** Asks for the lines of one row of a tile of the result, and of the operands beside it: they are far apart, and no cache would guess them. */
  prefetch(base: readonly Expr[], runs: ColumnRuns | null, row: Expr): void {
    const { k, tile } = this
    if (!runs) return
    const rowOffsets = this.rowAxes.locate(k, k.let('row', row)).offsets
    this.result.streams(this.columnStrides).forEach(({ buffer, view }) => {
      const at = k.let('at', add(add(base[view]!, rowOffsets[view]!), runs.offsets[0]![view]!))
      const perLine = 64 / sizeOf(buffer.dtype)
      for (let c = 0; c < tile.columns; c += perLine) k.prefetch(buffer, add(at, c))
      k.prefetch(buffer, add(at, tile.columns - 1))
    })
  }

  /** As `prefetch`, one vector of the row that begins at a column. */
  private prefetchRow(base: readonly Expr[], row: Expr, column: readonly Expr[]): void {
    const { k } = this
    const rowOffsets = this.rowAxes.locate(k, k.let('next', row)).offsets
    for (const { buffer, view } of this.result.streams(this.columnStrides))
      k.prefetch(buffer, add(add(base[view]!, rowOffsets[view]!), column[view]!))
  }

  /** Whether a tile is full, and its vectors are runs of memory. */
  isWhole(runs: ColumnRuns | null, t: TilePlace): Expr {
    if (!runs) return lt(t.rows, 0)
    return this.k.let('isWhole', and(runs.whole, le(add(t.row, this.tile.rows), t.rows)))
  }

  /**
   * Stores the sums of a whole tile. With an epilogue they are kept in scratch instead, for `fromSlot`: it is written once for all rows, which
   * pass through the nearest cache; laid out for each it would fill that of instructions.
   */
  direct(base: readonly Expr[], runs: ColumnRuns | null, sums: Sums, keep: () => void, t: TilePlace): void {
    if (!runs || this.result.hasEpilogue) keep()
    else sums.forEach((row, r) => this.storeRow(base, runs, t, r, (v) => row[v]!))
  }

  /** Stores what `direct` has left in scratch: tiles that are not whole, and all that pass through an epilogue. */
  fromSlot(base: readonly Expr[], runs: ColumnRuns | null, isWhole: Expr, t: TilePlace): void {
    const { k, tile } = this
    const parts = (): void => this.emitFromScratch(base, t)
    const rows = (): void =>
      k.loop('r', 0, tile.rows, 1, (r) => {
        const from = k.let('from', add(t.slot, mul(r, tile.columns)))
        this.storeRow(base, runs!, t, r, (v) => load(t.slots, add(from, v * tile.lanes), tile.lanes))
      })
    if (!runs) parts()
    else k.if(isWhole, this.result.hasEpilogue ? rows : () => {}, parts)
  }

  /** Stores a tile whose sums `keep` would put into scratch. */
  emit(base: readonly Expr[], runs: ColumnRuns | null, sums: Sums, keep: () => void, t: TilePlace): void {
    const isWhole = this.isWhole(runs, t)
    this.k.if(isWhole, () => this.direct(base, runs, sums, keep, t), keep)
    this.fromSlot(base, runs, isWhole, t)
  }

  private storeRow(
    base: readonly Expr[],
    runs: ColumnRuns,
    t: TilePlace,
    r: Expr | number,
    sum: (v: number) => Expr,
  ): void {
    const { k, tile } = this
    const rowOffsets = this.rowAxes.locate(k, k.let('row', add(t.row, r))).offsets
    const start = base.map((o, v) => k.let('at', add(o, rowOffsets[v]!)))
    for (let v = 0; v < tile.vectors; v++) {
      const at = start.map((o, view) => add(o, runs.offsets[v]![view]!))
      this.result.store(sum(v), at, this.columnStrides, tile.lanes)
    }
  }

  /**
   * Stores a tile that lies in scratch, `tile.columns` elements a row. `ahead`: whether the tile below it is the next one, whose lines are asked
   * for row by row meanwhile.
   */
  emitFromScratch(base: readonly Expr[], place: TilePlace, ahead = false): void {
    const { k, tile } = this
    const t = this.runs?.gather(place) ?? place
    const count = k.let('count', min(tile.rows, sub(t.rows, t.row)))
    const width = k.let('width', min(tile.columns, sub(t.columns, t.column)))
    const eachRow = (column: readonly Expr[], visit: (row: Expr, at: readonly Expr[]) => void): void => {
      k.loop('r', 0, count, 1, (r) => {
        const rowOffsets = this.rowAxes.locate(k, k.let('row', add(t.row, r))).offsets
        if (ahead && this.result.hasEpilogue) this.prefetchRow(base, add(add(t.row, r), tile.rows), column)
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
      // A vector that would pass the end begins earlier: its first lanes are stored twice.
      const back = k.let('back', sub(tile.lanes, sub(end, v)))
      const fits = le(back, min(v, inner))
      k.if(
        run,
        () =>
          eachRow(offsets, (from, at) => {
            const start = at.map((o, view) => k.let('at', add(o, offsets[view]!)))
            const source = k.let('source', add(from, v))
            const single = (): void =>
              k.loop('column', 0, sub(end, v), 1, (column) => {
                const where = start.map((o, view) => add(o, mul(column, this.columnStrides[view]!)))
                this.result.store(load(t.slots, add(source, column)), where, this.columnStrides, 1)
              })
            if (!this.unit) {
              single()
              return
            }
            const vector = (): void => {
              const where = start.map((o, view) => sub(o, mul(back, this.columnStrides[view]!)))
              this.result.store(load(t.slots, sub(source, back), tile.lanes), where, this.columnStrides, tile.lanes)
            }
            k.if(fits, vector, single)
          }),
        () =>
          k.loop('column', v, end, 1, (column) => {
            const located = this.columnAxes.locate(k, k.let('c', add(t.column, column))).offsets
            eachRow(located, (from, at) => {
              const where = at.map((o, view) => add(o, located[view]!))
              this.result.store(load(t.slots, add(from, column)), where, this.columnStrides, 1)
            })
          }),
      )
    })
  }
}

/** Brings the columns of a tile that are stored together. */
class StoredRuns {
  private readonly k: Assembler
  private readonly tile: RegisterTile
  private readonly size: Expr
  private readonly pitch: Expr
  private readonly gathered: Expr

  constructor(k: Assembler, { size, pitch }: ColumnPitch, tile: RegisterTile) {
    this.k = k
    this.tile = tile
    this.size = k.size(size)
    this.pitch = k.size(pitch)
    k.note('runs')
    // A vector may pass the end of the last row.
    this.gathered = k.reserve('float32', tile.rows * tile.columns + tile.lanes).at
  }

  /** The tile with the columns that are stored alone, side by side in scratch and counted as in the result. */
  gather(t: TilePlace): TilePlace {
    const { k, tile, size, pitch, gathered } = this
    const end = k.let('end', min(add(t.column, tile.columns), t.columns))
    const firstRun = k.let('firstRun', div(t.column, pitch))
    const lastRun = k.let('lastRun', div(sub(end, 1), pitch))
    const before = (column: Expr): Expr => add(mul(div(column, pitch), size), min(rem(column, pitch), size))
    const column = k.let('column', before(t.column))
    const columns = k.let('columns', before(end))
    const isWhole = k.let('isWhole', eq(sub(columns, column), tile.columns))
    const rows = select(isWhole, index(0), min(tile.rows, sub(t.rows, t.row)))
    k.loop('r', 0, rows, 1, (r) => {
      const shift = k.let('shift', mul(r, tile.columns))
      k.loop('run', firstRun, add(lastRun, 1), 1, (run) => {
        const start = k.let('start', mul(run, pitch))
        const from = k.let('from', max(start, t.column))
        const to = k.let('to', min(add(start, size), end))
        const source = k.let('source', add(t.slot, add(shift, sub(from, t.column))))
        const inRun = sub(add(mul(run, size), sub(from, start)), column)
        const target = k.let('target', add(gathered, add(shift, inRun)))
        // What a vector has behind the end of a run is written again by the next one.
        k.loop('v', 0, sub(to, from), tile.lanes, (v) =>
          k.store(t.slots, add(target, v), load(t.slots, add(source, v), tile.lanes)),
        )
      })
    })
    return { ...t, slot: k.let('slot', select(isWhole, t.slot, gathered)), column, columns }
  }
}
