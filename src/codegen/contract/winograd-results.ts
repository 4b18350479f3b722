/** The last step of a convolution in Winograd's form: tiles of sums are transformed back, and stored through the epilogue. */
import {
  add,
  and,
  div,
  ge,
  le,
  load,
  max,
  min,
  mul,
  rem,
  sub,
  transposeFours,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, type Memory } from './assembler.ts'
import { axesSize, FlatAxes, mergeAxes, type Axis } from './axes.ts'
import type { RegisterTile } from './blocking.ts'
import type { FormView, StepList } from './form.ts'
import type { Epilogue } from './problem.ts'
import { ResultStore } from './store.ts'
import { emitTransform, FOUR, placeInFours, placeInRuns, tilesInRun } from './winograd-patches.ts'
import { TAPS, type Matrix } from './winograd-transforms.ts'

/**
 * Of the nine elements of a tile of weights those that are stored in fours; these do not overlap, as those that are read do: an epilogue may read
 * where it writes.
 */
const WHOLE_TAPS = 8

/** Tiles of sums in memory, [column panel][row panel][point][row][column]: numbers of panels, and elements from one point to the next. */
export interface Sums {
  readonly memory: Memory
  /** Points of a tile. */
  readonly points: number
  readonly rows: number
  readonly columns: number
  readonly stride: number
}

/** A letter of the result, with its strides there and in the epilogue's operands. */
export interface ResultAxis extends Axis {
  /** How far one element of the letter goes down and to the right in the result's windows; 0 for other letters. */
  readonly y: number
  readonly x: number
}

export interface TileResult {
  readonly out: FormView
  readonly epilogue: Epilogue | undefined
  /** Letters of rows and columns. */
  readonly rows: readonly ResultAxis[]
  readonly columns: readonly ResultAxis[]
  /** Strides inside a tile, by view. */
  readonly down: readonly number[]
  readonly right: readonly number[]
  /** Elements of the result along its windows. */
  readonly height: number
  readonly width: number
  /** Whether columns are tiles ordered by runs of them, as patches are. Their rows are runs of the result. */
  readonly isInRuns: boolean
}

/** Where sums are read: `at` is the first point of the first row, of the first lane. */
export interface SumsPlace {
  readonly buffer: BufferParameter
  readonly at: Expr
  readonly pointStride: Expr
}

/** What is stored whole of a tile: its rows of four; all but the last element of nine, which are a run of memory (weights), in fours; or nothing. */
type Pieces = 'rows' | 'run' | 'none'

function piecesOf({ down, right }: TileResult, side: number): Pieces {
  if (side === TAPS && right.every((x, v) => x === 1 && down[v] === TAPS)) return 'run'
  return side === FOUR && right[0] === 1 ? 'rows' : 'none'
}

/** Transforms rows of one vector of columns back, matrix * sums * matrix^T, and stores what lies inside the result. */
export class ResultWriter {
  private readonly k: Assembler
  private readonly matrix: Matrix
  private readonly tile: RegisterTile
  private readonly store: ResultStore
  private readonly rowAxes: FlatAxes
  private readonly columnAxes: FlatAxes
  private readonly down: readonly Expr[]
  private readonly right: readonly Expr[]
  private readonly rowCount: Expr
  private readonly columnCount: Expr
  private readonly height: Expr
  private readonly width: Expr
  private readonly pieces: Pieces
  private readonly isInRuns: boolean
  private readonly scattered: { buffer: BufferParameter; at: Expr }
  private readonly halfway: { buffer: BufferParameter; at: Expr }

  constructor(k: Assembler, result: TileResult, matrix: Matrix, tile: RegisterTile) {
    this.k = k
    this.matrix = matrix
    this.tile = tile
    const side = matrix.length
    const { lanes } = tile
    this.store = new ResultStore(k, result.out, result.epilogue)
    const { views } = this.store
    const axesOf = (axes: readonly ResultAxis[], inner: number): FlatAxes => {
      const located = axes.map(({ size, strides, y, x }) => ({
        size,
        strides: inner > views ? [...strides, y, x] : strides,
      }))
      return new FlatAxes(k, mergeAxes(located, inner), inner)
    }
    this.rowAxes = axesOf(result.rows, views)
    this.columnAxes = axesOf(result.columns, views + 2)
    this.down = result.down.map((s) => k.stride(s))
    this.right = result.right.map((s) => k.stride(s))
    const sizes = [axesSize(result.rows), axesSize(result.columns), result.height, result.width]
    ;[this.rowCount, this.columnCount, this.height, this.width] = sizes.map((n) => k.size(n)) as [
      Expr,
      Expr,
      Expr,
      Expr,
    ]
    this.pieces = piecesOf(result, side)
    this.isInRuns = result.isInRuns
    k.note(`results ${matrix.join(' ')} ${tile.rows}x${tile.vectors}x${lanes} ${this.isInRuns} ${this.pieces}`)
    this.scattered = k.reserve('float32', tile.rows * side * side * lanes)
    this.halfway = k.reserve('float32', matrix[0]!.length ** 2 * lanes)
  }

  /** The tile of rows from `row0`, the vector of columns from `column0`. */
  emit(row0: Expr, column0: Expr, sums: SumsPlace): void {
    const { k } = this
    const rows = k.let('rows', min(this.tile.rows, sub(this.rowCount, row0)))
    this.transform(rows, sums)
    const { lanes } = this.tile
    const count = k.let('count', min(lanes, max(sub(this.columnCount, column0), 0)))
    if (this.isInRuns) this.storeRuns(row0, rows, column0, count)
    else {
      k.loop('lane', 0, count, 1, (lane) => {
        const place = this.pieces === 'none' ? lane : k.let('place', placeInFours(lane, lanes))
        if (this.pieces === 'run') this.storeTaps(row0, rows, add(column0, lane), place, lane)
        else this.storeTile(row0, rows, add(column0, lane), place)
      })
    }
  }

  /**
   * Asks for the lines that a part of the rows of a run of tiles is stored to, and those that are read beside them. Rows of tiles lie far
   * apart: a core waits for each line, and for a dozen at a time.
   */
  prefetch(row0: Expr, column0: Expr, run: Expr, rows: { readonly from: Expr; readonly count: number }): void {
    const { k, store } = this
    const column = k.let('column', add(column0, mul(run, tilesInRun(this.tile.lanes))))
    const { offsets } = this.columnAxes.locate(k, column)
    for (let n = 0; n < rows.count; n++) {
      const row = k.let('row', min(add(add(row0, rows.from), n), sub(this.rowCount, 1)))
      const rowOffsets = this.rowAxes.locate(k, row).offsets
      store.streams(this.right).forEach(({ buffer, view }) => {
        const at = k.let('at', add(add(store.offsets[view]!, offsets[view]!), rowOffsets[view]!))
        for (let y = 0; y < this.side; y++) k.prefetch(buffer, add(at, mul(this.down[view]!, y)))
      })
    }
  }

  private get side(): number {
    return this.matrix.length
  }

  private get rowSize(): number {
    return this.side * this.side * this.tile.lanes
  }

  private transform(rows: Expr, sums: SumsPlace): void {
    const { k, side, matrix, scattered } = this
    const { lanes, columns } = this.tile
    const points = matrix[0]!.length
    k.loop('r', 0, rows, 1, (r) => {
      const at = k.let('at', add(sums.at, mul(r, columns)))
      const to = k.let('to', add(scattered.at, mul(r, this.rowSize)))
      const column = (x: Expr): Expr[] => {
        const first = k.let('point', add(at, mul(sums.pointStride, x)))
        return Array.from({ length: points }, (_, y) =>
          k.let('x', load(sums.buffer, add(first, mul(sums.pointStride, y * points)), lanes)),
        )
      }
      emitTransform(k, matrix, points, this.halfway, lanes, column, (y, row) => {
        const start = k.let('start', add(to, mul(y, side * lanes)))
        const values = this.pieces === 'rows' ? transposeFours(k, row) : row
        values.forEach((value, x) => k.store(scattered.buffer, add(start, x * lanes), value))
      })
      if (this.pieces === 'run') this.turnTaps(to)
    })
  }

  /** Turns the first eight of nine vectors of elements into fours, so that neighbours lie side by side. */
  private turnTaps(start: Expr): void {
    const { k, scattered } = this
    const { lanes } = this.tile
    for (let first = 0; first < WHOLE_TAPS; first += FOUR) {
      const places = Array.from({ length: FOUR }, (_, n) => add(start, (first + n) * lanes))
      const vectors = places.map((at) => k.let('x', load(scattered.buffer, at, lanes)))
      transposeFours(k, vectors).forEach((value, n) => k.store(scattered.buffer, places[n]!, value))
    }
  }

  /** Runs of tiles beside each other that lie inside the result are stored a vector at a time. */
  private storeRuns(row0: Expr, rows: Expr, column0: Expr, count: Expr): void {
    const { k, columnAxes, store } = this
    const { views } = store
    const { lanes } = this.tile
    const inRun = tilesInRun(lanes)
    k.loop('run', 0, div(add(count, inRun - 1), inRun), 1, (run) => {
      const first = k.let('first', mul(run, inRun))
      const tiles = (): void =>
        k.loop('tile', first, min(add(first, inRun), count), 1, (tile) =>
          this.storeTile(row0, rows, add(column0, tile), k.let('place', placeInRuns(tile, lanes))),
        )
      if (inRun === 1) {
        tiles()
        return
      }
      const { offsets, inner } = columnAxes.locate(k, k.let('column', add(column0, first)))
      const isInside = le(add(offsets[views + 1]!, lanes), this.width)
      const isBeside = and(le(add(inner, inRun), columnAxes.innerSize), le(add(first, inRun), count))
      const whole = (): void =>
        this.eachRow(row0, rows, offsets, mul(run, lanes), (source, at) =>
          store.store(load(this.scattered.buffer, source, lanes), at, this.right, lanes),
        )
      k.if(and(isInside, isBeside), whole, tiles)
    })
  }

  /** One tile of nine elements in a run: fours at `place` among those of their vectors, and the last one at `lane`. */
  private storeTaps(row0: Expr, rows: Expr, column: Expr, place: Expr, lane: Expr): void {
    const { k, store, scattered } = this
    const { lanes } = this.tile
    const { offsets } = this.columnAxes.locate(k, k.let('column', column))
    this.eachTile(row0, rows, offsets, (source, at) => {
      const element = (n: number, from: Expr, width: number): void => {
        const here = at.map((o) => add(o, n))
        store.store(load(scattered.buffer, add(source, from), width), here, this.right, width)
      }
      for (let n = 0; n < WHOLE_TAPS; n += FOUR) element(n, add(place, n * lanes), FOUR)
      element(WHOLE_TAPS, add(lane, WHOLE_TAPS * lanes), 1)
    })
  }

  /** One tile, whose neighbours (or single elements) lie at `place` among those of its vector. */
  private storeTile(row0: Expr, rows: Expr, column: Expr, place: Expr): void {
    const { k, side, store } = this
    const { lanes } = this.tile
    const { offsets } = this.columnAxes.locate(k, k.let('column', column))
    const xSize = k.let('xSize', sub(this.width, offsets[store.views + 1]!))
    this.eachRow(row0, rows, offsets, place, (source, rowAt) => {
      const elements = (): void =>
        k.loop('x', 0, min(xSize, side), 1, (x) => {
          const at = rowAt.map((o, v) => add(o, mul(this.right[v]!, x)))
          store.store(
            load(this.scattered.buffer, add(source, this.pieces === 'rows' ? x : mul(x, lanes))),
            at,
            this.right,
            1,
          )
        })
      if (this.pieces !== 'rows') elements()
      else {
        const whole = (): void => store.store(load(this.scattered.buffer, source, FOUR), rowAt, this.right, FOUR)
        k.if(ge(xSize, side), whole, elements)
      }
    })
  }

  /** Visits rows of tiles inside the result: where they lie in scratch, and in each view. */
  private eachRow(
    row0: Expr,
    rows: Expr,
    located: readonly Expr[],
    place: Expr,
    visit: (source: Expr, at: readonly Expr[]) => void,
  ): void {
    const { k, side, store } = this
    const { lanes } = this.tile
    const ySize = k.let('ySize', min(sub(this.height, located[store.views]!), side))
    this.eachTile(row0, rows, located, (tile, here) => {
      const source = k.let('source', add(tile, place))
      k.loop('y', 0, ySize, 1, (y) => {
        const at = here.map((o, v) => k.let('rowAt', add(o, mul(this.down[v]!, y))))
        visit(k.let('rowFrom', add(source, mul(y, side * lanes))), at)
      })
    })
  }

  /** Visits a column's tiles: where their vectors lie in scratch, and their first element in each view. */
  private eachTile(
    row0: Expr,
    rows: Expr,
    located: readonly Expr[],
    visit: (source: Expr, at: readonly Expr[]) => void,
  ): void {
    const { k, store } = this
    const base = store.offsets.map((o, v) => k.let('base', add(o, located[v]!)))
    k.loop('r', 0, rows, 1, (r) => {
      const rowOffsets = this.rowAxes.locate(k, k.let('row', add(row0, r))).offsets
      const here = base.map((o, v) => k.let('here', add(o, rowOffsets[v]!)))
      visit(k.let('source', add(this.scattered.at, mul(r, this.rowSize))), here)
    })
  }
}

/** All tiles of sums that lie in memory. */
export function emitResults(
  sums: Sums,
  matrix: Matrix,
  tile: RegisterTile,
  result: TileResult,
  title: string,
  list: StepList,
): void {
  const side = matrix.length
  const tileSize = tile.rows * tile.columns
  const k = new Assembler('winograd results', title)
  const from = k.memory(sums.memory, 'float32', 'read')
  const writer = new ResultWriter(k, result, matrix, tile)
  const rowPanels = k.size(sums.rows)
  const pointStride = k.size(sums.stride)
  k.parallel('t', (t) => {
    const vector = k.let('vector', rem(t, tile.vectors))
    const rest = k.let('rest', div(t, tile.vectors))
    const rowPanel = k.let('rowPanel', rem(rest, rowPanels))
    const columnPanel = k.let('columnPanel', div(rest, rowPanels))
    const blockAt = mul(mul(add(mul(columnPanel, rowPanels), rowPanel), sums.points), pointStride)
    const at = k.let('sumsAt', add(blockAt, mul(vector, tile.lanes)))
    const row0 = k.let('row0', mul(rowPanel, tile.rows))
    const column0 = k.let('column0', add(mul(columnPanel, tile.columns), mul(vector, tile.lanes)))
    writer.emit(row0, column0, { buffer: from, at, pointStride })
  })
  const elements = sums.columns * sums.rows * tileSize
  const bytes = 4 * elements * (sums.points + side * side)
  list.steps.push(k.step(sums.columns * sums.rows * tile.vectors, 2, 0, bytes))
}
