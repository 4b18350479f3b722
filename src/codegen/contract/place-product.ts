/**
 * Products of few rows, whose second operand is read where it lies: each element of it is used by a tile or two, so that packing would take
 * longer than multiplying. Tiles that would reach over the last row or column begin earlier and compute a few results twice.
 */
import type { Capabilities } from '../capabilities.ts'
import { add, div, eq, load, max, min, mul, ne, rem, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes, type Axis } from './axes.ts'
import { LINE, registerTile, TASKS_PER_THREAD, tileName, type RegisterTile } from './blocking.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import { emitMicroKernel, type RowReader } from './gemm.ts'
import { eachSum, TileStore } from './store.ts'
import { lanesFor } from './unpacked.ts'

/** Rows up to which no matrix is packed: with 20 and more, batches of small matrices gain nothing beyond noise, or lose. */
const FEW_ROWS = 16
/**
 * Tiles of rows up to which a matrix that stays in the first-level cache is not packed either, unless more than a quarter of what tiles compute are
 * columns a second time. On one AVX-512 core, batches of 32 x 32 x 32 took 0.79 of their time, 64 x 64 x 64 0.86, 24 x 64 x 256 0.85, 40 x 33 x 30
 * 1.19; with vectors of 32 bytes 0.9, 1.0, 0.95 and 1.12.
 */
const NEAR_ROW_TILES = 8
const MOST_REPEATED = 1.25
/** Rows up to which a program may have few of them with another batch, so that the kernel for these is compiled ahead. */
const MOST_ROWS = 256
/** Columns that a vector needs at least. */
const LEAST_COLUMNS = 4
/** Copies of the innermost loop's body. */
const COPIES = 4
/**
 * Lines of the matrix between two visits of a tile: those of 4 KiB fall into few sets of a cache, where the next strip and the next rows should find
 * them.
 */
const BLOCK = 64
/** Lines of the matrix that lie between asking for one and reading it. */
const AHEAD = 8
/** Sums from which on the columns must be enough for all threads; other products cut them. */
const LONG_SUM = 2048
const LEAST_PANELS = 8
/** Operations that a thread takes at a time at least. */
const GRAIN_FLOPS = 200_000

export interface Place {
  readonly tile: RegisterTile
  /** Strides in both operands. */
  readonly contracted: Axis
  /** Whether rows are so few that the other form, which packs, takes longer. */
  readonly pays: boolean
}

/** How a form would be computed in place; null where it cannot, or has too many rows for its program to have few with another batch. */
export function placeOf(form: Form, capabilities: Capabilities): Place | null {
  if (form.isConvolution || form.a.isConstant || form.b.isConstant) return null
  if (form.a.dtype !== 'float32' || form.b.dtype !== 'float32') return null
  const columns = mergeAxes(axesIn(form.columns, ['b']), 1)
  const contracted = mergeAxes(axesIn(form.contracted, ['a', 'b']), 2)
  if (columns.length > 1 || columns[0]!.strides[0] !== 1 || contracted.length > 1) return null
  const [rows, count] = [formSize(form.rows), columns[0]!.size]
  if (count < LEAST_COLUMNS || rows > MOST_ROWS) return null
  const tile = tileOf(count, capabilities)
  const panels = formSize(form.batch) * Math.ceil(count / tile.columns)
  const isCut = contracted[0]!.size >= LONG_SUM && panels < LEAST_PANELS
  const isFew =
    rows <= FEW_ROWS || (rows <= NEAR_ROW_TILES * tile.rows && isNear(count, contracted[0]!.size, tile, capabilities))
  return { tile, contracted: contracted[0]!, pays: isFew && !isCut }
}

/** Whether a matrix stays in the first-level cache while all rows pass, and its columns fill vectors. */
function isNear(columns: number, depth: number, tile: RegisterTile, { cacheBytes: [l1] }: Capabilities): boolean {
  const computed = Math.ceil(columns / tile.columns) * tile.columns
  return 4 * columns * depth <= l1 / 2 && computed <= MOST_REPEATED * columns
}

/** Vectors, not more than a row has, that compute the fewest columns twice; of these the most. One tile for any number of rows. */
function tileOf(columns: number, capabilities: Capabilities): RegisterTile {
  const wide = registerTile(capabilities)
  const lanes = lanesFor(columns, capabilities)
  const covered = (v: number): number => Math.ceil(columns / (v * lanes)) * v
  const fitting = [3, 2, 1].filter((v) => v <= wide.vectors && v * lanes <= columns)
  const vectors = fitting.reduce((a, b) => (covered(b) < covered(a) ? b : a))
  return { lanes, vectors, columns: vectors * lanes, rows: vectors === 1 ? 8 : wide.rows }
}

export function lowerPlaceProduct(
  form: Form,
  { tile, contracted }: Place,
  capabilities: Capabilities,
  list: StepList,
): void {
  const [batch, rows, columns, depth] = [form.batch, form.rows, form.columns, form.contracted].map(formSize) as Four
  const columnPanels = Math.ceil(columns / tile.columns)
  const wanted = Math.ceil((TASKS_PER_THREAD * capabilities.threads) / batch)
  const perTask = capabilities.threads === 1 ? columnPanels : Math.ceil(columnPanels / Math.min(columnPanels, wanted))
  const tasks = Math.ceil(columnPanels / perTask)

  const k = new Assembler(`product in place ${tileName(tile)}`, form.title)
  const a = k.memory(form.a.memory, form.a.dtype, 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const store = new TileStore(k, form, tile)
  const rowAxes = new FlatAxes(k, mergeAxes(axesIn(form.rows, ['a']), 1), 1)
  const views = 3 + (form.epilogue?.operands.length ?? 0)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['a', 'b', 'out', 'operands']), views), views)
  const [aStep, bStep] = contracted.strides.map((s) => k.stride(s)) as [Expr, Expr]
  const [aOffset, bOffset] = [k.size(form.a.offset), k.size(form.b.offset)]
  const [rowCount, columnCount, depthSize] = [rows, columns, depth].map((n) => k.size(n)) as [Expr, Expr, Expr]
  const [panelCount, ownPanels, taskCount] = [columnPanels, perTask, tasks].map((n) => k.size(n)) as [Expr, Expr, Expr]
  const blocks = Math.max(1, Math.ceil(depth / BLOCK))
  const [blockCount, blockSize] = [blocks, Math.min(BLOCK, depth)].map((n) => k.size(n)) as [Expr, Expr]
  // Sums wait between blocks; with one block all tiles use the same place.
  const tileSize = tile.rows * tile.columns
  const rowTiles = Math.ceil(rows / tile.rows)
  const slots = k.reserve('float32', blocks > 1 ? perTask * rowTiles * tileSize : tileSize)
  const slotSize = k.size(blocks > 1 ? tileSize : 0)
  const rowTileCount = k.size(rowTiles)

  k.parallel('t', (t) => {
    const first = k.let('first', mul(rem(t, taskCount), ownPanels))
    const end = k.let('end', min(add(first, ownPanels), panelCount))
    const [aBatch, bBatch, ...out] = batchAxes.locate(k, k.let('item', div(t, taskCount))).offsets as [
      Expr,
      Expr,
      ...Expr[],
    ]
    const aBase = k.let('aBase', add(aOffset, aBatch))
    const bBase = k.let('bBase', add(bOffset, bBatch))
    const base = store.begin(out)
    k.loop('block', 0, blockCount, 1, (block) => {
      const from = k.let('from', mul(block, blockSize))
      const to = k.let('to', min(add(from, blockSize), depthSize))
      const isLast = eq(add(block, 1), blockCount)
      k.loop('j', first, end, 1, (j) => {
        const column = k.let('column', min(mul(j, tile.columns), sub(columnCount, tile.columns)))
        const runs = store.columns(column, columnCount)
        const bAt = k.let('bAt', add(bBase, column))
        k.loop('i', 0, rowTileCount, 1, (i) => {
          const row = k.let('row', max(0, min(mul(i, tile.rows), sub(rowCount, tile.rows))))
          const slot = k.let('slot', add(slots.at, mul(add(mul(sub(j, first), rowTileCount), i), slotSize)))
          const starts = Array.from({ length: tile.rows }, (_, r) => {
            const own = k.let('r', min(add(row, r), sub(rowCount, 1)))
            return k.let('s', add(aBase, rowAxes.locate(k, own).offsets[0]!))
          })
          const reader: RowReader = (body) =>
            k.unrolled('step', from, to, COPIES, (step) => {
              const o = k.let('o', mul(step, aStep))
              const ahead = k.let('ahead', add(bAt, mul(add(step, AHEAD), bStep)))
              for (let c = 0; c < tile.columns; c += LINE) k.prefetch(b, add(ahead, c))
              body(step, (r) => load(a, add(starts[r]!, o)))
            })
          const sums = emitMicroKernel(k, tile, reader, b, bAt, bStep)
          eachSum(sums, tile, (sum, at) => {
            k.if(ne(block, 0), () => k.assign(sum, add(sum, load(slots.buffer, add(slot, at), tile.lanes))))
          })
          const keep = (): void => eachSum(sums, tile, (sum, at) => k.store(slots.buffer, add(slot, at), sum))
          const place = { slots: slots.buffer, slot, row, column, rows: rowCount, columns: columnCount }
          k.if(isLast, () => store.emit(base, runs, sums, keep, place), keep)
        })
      })
    })
  })
  const flops = 2 * batch * rows * columns * depth
  const bytes = 4 * batch * (rows * depth + depth * columns + rows * columns)
  const extent = batch * tasks
  list.steps.push(k.step(extent, (GRAIN_FLOPS * extent) / Math.max(1, flops), flops, bytes))
}

type Four = [number, number, number, number]
