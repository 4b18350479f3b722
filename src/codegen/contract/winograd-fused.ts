/**
 * All three steps of a convolution in Winograd's form in one task, which takes a block of rows (filters) and of columns (tiles) from points to
 * results while its sums, and the points that it makes itself, lie in its core's second-level cache. Points that many tasks use are made
 * before, in memory. (Gelashvili, Shavit, Zlateski: L3 Fusion, arXiv:1912.02165, with blocks for the second level.)
 */
import { add, div, index, load, lt, min, mul, ne, rem, sub, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { axesSize } from './axes.ts'
import type { RegisterTile } from './blocking.ts'
import type { StepList } from './form.ts'
import { emitMicroKernel, packedPanel } from './gemm.ts'
import { eachSum } from './store.ts'
import {
  ALL_POINTS,
  PatchReader,
  pointStride,
  tilesInRun,
  type Panels,
  type PanelShape,
  type PatchSource,
} from './winograd-patches.ts'
import { ResultWriter, type TileResult } from './winograd-results.ts'
import type { Matrix } from './winograd-transforms.ts'

/** An operand whose points each task makes for itself. */
export interface OwnPoints {
  readonly source: PatchSource
  readonly matrix: Matrix
  readonly shape: PanelShape
}

export type Points = { readonly panels: Panels } | { readonly own: OwnPoints }

/** Panels in a task, and how it goes through them. */
export interface FusedBlocks {
  /** Panels of rows in a task, and of those whose sums wait for their results at a time. */
  readonly rows: number
  readonly rowsAtOnce: number
  readonly columns: number
  /** Depth between two visits of a sum; all of it where tasks make the points of columns. */
  readonly depth: number
}

/** Points of one operand as a task finds them. */
interface Supply {
  readonly count: number
  readonly depth: number
  readonly width: number
  /** Makes the points of panels [from, from + number) and of a range of the depth. */
  make(from: Expr, number: Expr, depthFrom: Expr, depthTo: Expr): void
  /** Where the points of a panel of the block begin, at a depth counted from the range's start. */
  at(panel: Expr, inBlock: Expr, point: Expr, depthFrom: Expr): Expr
  readonly buffer: BufferParameter
}

function supplyOf(k: Assembler, points: Points, block: { panels: number; depth: number }): Supply {
  if ('panels' in points) {
    const { memory, count, depth, width, stride } = points.panels
    const buffer = k.memory(memory, 'float32', 'read')
    const step = k.size(stride)
    return {
      count,
      depth,
      width,
      buffer,
      make: () => {},
      at: (panel, _, point, from) => add(mul(add(mul(panel, ALL_POINTS), point), step), mul(from, width)),
    }
  }
  const { source, matrix, shape } = points.own
  const { width, lanes } = shape
  const reader = new PatchReader(k, source, matrix, shape)
  const stride = pointStride(block.depth, width)
  const { buffer, at } = k.reserve('float32', block.panels * ALL_POINTS * stride)
  const step = k.size(stride)
  const place = (inBlock: Expr, point: Expr): Expr => add(at, mul(add(mul(inBlock, ALL_POINTS), point), step))
  const make = (from: Expr, number: Expr, depthFrom: Expr, depthTo: Expr): void =>
    k.loop('panel', 0, number, 1, (panel) => {
      const first = k.let('element', mul(add(from, panel), width))
      k.loop('vector', 0, width, lanes, (vector) => {
        const target = k.let('target', add(place(panel, index(0)), vector))
        reader.all(add(first, vector), depthFrom, depthTo, { buffer, at: target, pointStride: step })
      })
    })
  return {
    count: Math.ceil(axesSize(source.free) / width),
    depth: axesSize(source.depth),
    width,
    buffer,
    make,
    at: (_, inBlock, point) => place(inBlock, point),
  }
}

/** result = matrix * (sum over the depth of rows * columns, point by point) * matrix^T for every row and column. */
export function emitFused(
  rows: Points,
  columns: Points,
  blocks: FusedBlocks,
  to: { readonly result: TileResult; readonly matrix: Matrix; readonly tile: RegisterTile },
  title: string,
  list: StepList,
): void {
  const { result, matrix, tile } = to
  const own = [rows, columns].map((p) => ('own' in p ? 'own' : 'panels')).join(' ')
  const k = new Assembler(`winograd fused ${own}`, title)
  const a = supplyOf(k, rows, { panels: blocks.rowsAtOnce, depth: blocks.depth })
  const b = supplyOf(k, columns, { panels: blocks.columns, depth: blocks.depth })
  const writer = new ResultWriter(k, result, matrix, tile)
  k.note(`${a.width} ${b.width}`)
  const perPanel = a.width / tile.rows
  const tileSize = tile.rows * tile.columns
  const tilesAtOnce = blocks.rowsAtOnce * perPanel
  const sums = k.reserve('float32', blocks.columns * tilesAtOnce * ALL_POINTS * tileSize)
  const rowTasks = Math.ceil(a.count / blocks.rows)
  const columnTasks = Math.ceil(b.count / blocks.columns)
  const [rowCount, rowTaskCount, rowsPerTask] = [a.count, rowTasks, blocks.rows].map((n) => k.size(n)) as Triple
  const [rowsAtOnce, columnCount, columnsPerTask] = [blocks.rowsAtOnce, b.count, blocks.columns].map((n) =>
    k.size(n),
  ) as Triple
  const [depth, blockDepth, heldTiles] = [b.depth, blocks.depth, tilesAtOnce].map((n) => k.size(n)) as Triple
  const depthBlocks = k.size(Math.ceil(b.depth / blocks.depth))
  const slotOf = (j: Expr, i: Expr): Expr => add(sums.at, mul(add(mul(j, heldTiles), i), ALL_POINTS * tileSize))

  k.parallel('t', (t) => {
    const firstRow = k.let('firstRow', mul(rem(t, rowTaskCount), rowsPerTask))
    const lastRow = k.let('lastRow', min(add(firstRow, rowsPerTask), rowCount))
    const firstColumn = k.let('firstColumn', mul(div(t, rowTaskCount), columnsPerTask))
    const ownColumns = k.let('ownColumns', min(columnsPerTask, sub(columnCount, firstColumn)))
    if ('own' in columns) b.make(firstColumn, ownColumns, index(0), depth)
    const rowBlocks = div(add(sub(lastRow, firstRow), sub(rowsAtOnce, 1)), rowsAtOnce)
    k.loop('rowBlock', 0, rowBlocks, 1, (rowBlock) => {
      const row = k.let('row', add(firstRow, mul(rowBlock, rowsAtOnce)))
      const ownRows = k.let('ownRows', min(rowsAtOnce, sub(lastRow, row)))
      const ownTiles = k.let('ownTiles', mul(ownRows, perPanel))
      k.loop('block', 0, depthBlocks, 1, (block) => {
        const from = k.let('from', mul(block, blockDepth))
        const end = k.let('end', min(add(from, blockDepth), depth))
        const kc = k.let('kc', sub(end, from))
        a.make(row, ownRows, from, end)
        k.loop('point', 0, ALL_POINTS, 1, (point) => {
          if ('own' in columns)
            prefetchResults(k, writer, tile, point, mul(row, a.width), mul(firstColumn, tile.columns))
          k.loop('j', 0, ownColumns, 1, (j) => {
            const bAt = k.let('bAt', b.at(add(firstColumn, j), j, point, from))
            k.loop('i', 0, ownTiles, 1, (i) => {
              const panel = div(i, perPanel)
              const aPanel = a.at(add(row, panel), panel, point, from)
              const aAt = k.let('aAt', add(aPanel, mul(rem(i, perPanel), tile.rows)))
              const slot = k.let('slot', add(slotOf(j, i), mul(point, tileSize)))
              const products = emitMicroKernel(k, tile, packedPanel(k, a.width, a.buffer, aAt, kc), b.buffer, bAt)
              k.if(ne(block, 0), () =>
                eachSum(products, tile, (sum, at) =>
                  k.assign(sum, add(sum, load(sums.buffer, add(slot, at), tile.lanes))),
                ),
              )
              eachSum(products, tile, (sum, at) => k.store(sums.buffer, add(slot, at), sum))
            })
          })
        })
      })
      k.loop('j', 0, ownColumns, 1, (j) => {
        k.loop('i', 0, ownTiles, 1, (i) => {
          const row0 = k.let('row0', add(mul(row, a.width), mul(i, tile.rows)))
          k.loop('vector', 0, tile.columns, tile.lanes, (vector) => {
            const column0 = k.let('column0', add(mul(add(firstColumn, j), tile.columns), vector))
            const at = k.let('sumsAt', add(slotOf(j, i), vector))
            writer.emit(row0, column0, { buffer: sums.buffer, at, pointStride: index(tileSize) })
          })
        })
      })
    })
  })
  const products = 2 * ALL_POINTS * a.count * a.width * b.count * b.width * b.depth
  const bytes = 4 * ALL_POINTS * b.depth * (a.count * a.width + b.count * b.width)
  list.steps.push(k.step(rowTasks * columnTasks, 1, products, bytes))
}

/** Spreads what asks for the memory of a tile's results over the points. */
function prefetchResults(
  k: Assembler,
  writer: ResultWriter,
  tile: RegisterTile,
  point: Expr,
  row0: Expr,
  column0: Expr,
): void {
  const runs = tile.columns / tilesInRun(tile.lanes)
  const parts = Math.max(1, Math.floor(ALL_POINTS / runs))
  const count = Math.ceil(tile.rows / parts)
  const run = k.let('run', div(point, parts))
  const from = mul(rem(point, parts), count)
  k.if(lt(run, runs), () => writer.prefetch(row0, column0, run, { from, count }))
}

type Triple = [Expr, Expr, Expr]
