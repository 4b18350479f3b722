/**
 * All three steps of a convolution in Winograd's form in one task, which takes a panel of tiles from points to results while its points and
 * sums lie in its core's second-level cache. (Gelashvili, Shavit, Zlateski: L3 Fusion, arXiv:1912.02165, with blocks for the second level.)
 */
import { add, div, index, lt, mul, rem } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { axesSize } from './axes.ts'
import type { RegisterTile } from './blocking.ts'
import type { StepList } from './form.ts'
import { emitMicroKernel, packedPanel } from './gemm.ts'
import { eachSum } from './store.ts'
import {
  ALL_POINTS,
  GAP,
  PatchReader,
  pointStride,
  tilesInRun,
  type Panels,
  type PatchSource,
} from './winograd-patches.ts'
import { ResultWriter, type TileResult } from './winograd-results.ts'
import { INPUT, RESULT } from './winograd-transforms.ts'

/**
 * The convolution of the tiles of `source` by filters whose points lie in memory. A task goes through all filters, a tile of registers at a
 * time: their sums at all points are transformed back while they are near.
 */
export function emitFused(
  filters: Panels,
  source: PatchSource,
  result: TileResult,
  tile: RegisterTile,
  title: string,
  list: StepList,
): void {
  const { depth } = filters
  const { columns: width, lanes } = tile
  /** Elements from the sums of one point to those of the next. */
  const sumStride = tile.rows * width + GAP
  const perPanel = filters.width / tile.rows
  const rowTiles = filters.count * perPanel
  const count = Math.ceil(axesSize(source.free) / width)
  const k = new Assembler(`winograd fused ${filters.width} ${width}`, title)
  const rows = k.memory(filters.memory, 'float32', 'read')
  const reader = new PatchReader(k, source, INPUT, { width, lanes })
  const writer = new ResultWriter(k, result, RESULT, tile)
  const points = k.reserve('float32', ALL_POINTS * pointStride(depth, width))
  const sums = k.reserve('float32', ALL_POINTS * sumStride)
  const rowCount = k.size(rowTiles)
  const depthSize = k.size(depth)
  const [rowStep, columnStep] = [filters.stride, pointStride(depth, width)].map((n) => k.size(n)) as [Expr, Expr]
  k.parallel('t', (t) => {
    const firstTile = k.let('firstTile', mul(t, width))
    k.loop('vector', 0, width, lanes, (vector) => {
      const target = { buffer: points.buffer, at: k.let('target', add(points.at, vector)), pointStride: columnStep }
      reader.all(add(firstTile, vector), index(0), depthSize, target)
    })
    k.loop('i', 0, rowCount, 1, (i) => {
      const row0 = k.let('row0', mul(i, tile.rows))
      k.loop('point', 0, ALL_POINTS, 1, (point) => {
        prefetchResults(k, writer, tile, point, row0, firstTile)
        const rowsAt = mul(add(mul(div(i, perPanel), ALL_POINTS), point), rowStep)
        const aAt = k.let('aAt', add(rowsAt, mul(rem(i, perPanel), tile.rows)))
        const bAt = k.let('bAt', add(points.at, mul(point, columnStep)))
        const slot = k.let('slot', add(sums.at, mul(point, sumStride)))
        const products = emitMicroKernel(
          k,
          tile,
          packedPanel(k, filters.width, rows, aAt, depthSize),
          points.buffer,
          bAt,
        )
        eachSum(products, tile, (sum, at) => k.store(sums.buffer, add(slot, at), sum))
      })
      k.loop('vector', 0, width, lanes, (vector) => {
        const at = k.let('sumsAt', add(sums.at, vector))
        writer.emit(row0, add(firstTile, vector), { buffer: sums.buffer, at, pointStride: index(sumStride) })
      })
    })
  })
  const products = ALL_POINTS * rowTiles * tile.rows * width * count * depth
  const bytes = 4 * ALL_POINTS * depth * (rowTiles * tile.rows + count * width)
  list.steps.push(k.step(count, 1, 2 * products, bytes))
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
