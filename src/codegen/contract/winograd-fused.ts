/**
 * All three steps of a convolution in Winograd's form in one task, which takes a panel of tiles from points to results while its points and
 * sums lie in its core's second-level cache. (Gelashvili, Shavit, Zlateski: L3 Fusion, arXiv:1912.02165, with blocks for the second level.)
 */
import { add, div, index, lt, min, mul, rem } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { axesSize } from './axes.ts'
import type { RegisterTile } from './blocking.ts'
import type { StepList } from './form.ts'
import { emitMicroKernel, packedPanel } from './gemm.ts'
import { eachSum } from './store.ts'
import { GAP, PatchReader, pointStride, tilesInRun, type Panels, type PatchSource } from './winograd-patches.ts'
import { ResultWriter, type TileResult } from './winograd-results.ts'
import type { Filtering } from './winograd-transforms.ts'

/**
 * The convolution of the tiles of `source` by filters whose points lie in memory. A task goes through all filters, or a part of them, a tile of
 * registers at a time: their sums at all points are transformed back while they are near.
 */
export function emitFused(
  filters: Panels,
  source: PatchSource,
  result: TileResult,
  tile: RegisterTile,
  filtering: Filtering,
  threads: number,
  title: string,
  list: StepList,
): void {
  const { depth, points } = filters
  const { columns: width, lanes } = tile
  /** Elements from the sums of one point to those of the next. */
  const sumStride = tile.rows * width + GAP
  const perPanel = filters.width / tile.rows
  const rowTiles = filters.count * perPanel
  const count = Math.ceil(axesSize(source.free) / width)
  const parts = filterParts(count, rowTiles, tile.rows, threads)
  const k = new Assembler(`winograd fused ${filters.width} ${width}`, title)
  const rows = k.memory(filters.memory, 'float32', 'read')
  const reader = new PatchReader(k, source, filtering.input, { width, lanes })
  const writer = new ResultWriter(k, result, filtering.result, tile)
  const own = k.reserve('float32', points * pointStride(depth, width))
  const sums = k.reserve('float32', points * sumStride)
  const [rowCount, partCount, ownRows] = [rowTiles, parts, Math.ceil(rowTiles / parts)].map((n) => k.size(n)) as Triple
  const depthSize = k.size(depth)
  const [rowStep, columnStep] = [filters.stride, pointStride(depth, width)].map((n) => k.size(n)) as [Expr, Expr]
  k.parallel('t', (t) => {
    const firstTile = k.let('firstTile', mul(div(t, partCount), width))
    const begin = k.let('begin', mul(rem(t, partCount), ownRows))
    k.loop('vector', 0, width, lanes, (vector) => {
      const target = { buffer: own.buffer, at: k.let('target', add(own.at, vector)), pointStride: columnStep }
      reader.all(add(firstTile, vector), index(0), depthSize, target)
    })
    k.loop('i', begin, min(add(begin, ownRows), rowCount), 1, (i) => {
      const row0 = k.let('row0', mul(i, tile.rows))
      k.loop('point', 0, points, 1, (point) => {
        prefetchResults(k, writer, tile, { point, points }, row0, firstTile)
        const rowsAt = mul(add(mul(div(i, perPanel), points), point), rowStep)
        const aAt = k.let('aAt', add(rowsAt, mul(rem(i, perPanel), tile.rows)))
        const bAt = k.let('bAt', add(own.at, mul(point, columnStep)))
        const slot = k.let('slot', add(sums.at, mul(point, sumStride)))
        const products = emitMicroKernel(k, tile, packedPanel(k, filters.width, rows, aAt, depthSize), own.buffer, bAt)
        eachSum(products, tile, (sum, at) => k.store(sums.buffer, add(slot, at), sum))
      })
      k.loop('vector', 0, width, lanes, (vector) => {
        const at = k.let('sumsAt', add(sums.at, vector))
        writer.emit(row0, add(firstTile, vector), { buffer: sums.buffer, at, pointStride: index(sumStride) })
      })
    })
  })
  const products = points * rowTiles * tile.rows * width * count * depth
  const bytes = 4 * points * depth * (rowTiles * tile.rows + count * width)
  list.steps.push(k.step(count * parts, 1, 2 * products, bytes))
}

type Triple = [Expr, Expr, Expr]

/** What transforming a patch takes, in products of one of its points with a row. */
const TRANSFORM = 14

/** Parts of the filters, each of which transforms its tiles again: so many that threads end together soonest. */
function filterParts(panels: number, rowTiles: number, tileRows: number, threads: number): number {
  const time = (parts: number): number => {
    const own = Math.ceil(rowTiles / parts)
    return Math.ceil((panels * Math.ceil(rowTiles / own)) / threads) * (TRANSFORM + own * tileRows)
  }
  const few = Array.from({ length: Math.min(rowTiles, 2 * threads) }, (_, n) => n + 1)
  const best = few.reduce((b, n) => (time(n) < time(b) ? n : b))
  return Math.ceil(rowTiles / Math.ceil(rowTiles / best))
}

/** Spreads what asks for the memory of a tile's results over the points. */
function prefetchResults(
  k: Assembler,
  writer: ResultWriter,
  tile: RegisterTile,
  { point, points }: { readonly point: Expr; readonly points: number },
  row0: Expr,
  column0: Expr,
): void {
  const runs = tile.columns / tilesInRun(tile.lanes)
  const parts = Math.max(1, Math.floor(points / runs))
  const count = Math.ceil(tile.rows / parts)
  const run = k.let('run', div(point, parts))
  const from = mul(rem(point, parts), count)
  k.if(lt(run, runs), () => writer.prefetch(row0, column0, run, { from, count }))
}
