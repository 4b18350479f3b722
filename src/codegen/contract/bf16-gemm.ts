/**
 * The packed product of bfloat16 operands on devices that multiply pairs of them and add in float32: as gemm.ts, with both operands packed
 * to words of two elements. Rows are packed once, by a launch of their own; tasks are blocks of columns, so that each packs its columns
 * once, and blocks of rows as well only where there are few columns.
 */
import type { Capabilities } from '../capabilities.ts'
import { add, bitcast, constant, div, dot, eq, load, min, mul, ne, rem, splat, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { BLOCK_PAIRS, emitPackWords, Offsets, panelWords, type WordLayout, type WordMemory } from './bf16-pack.ts'
import { registerTile, rowLanes, tileName, type RegisterTile } from './blocking.ts'
import { axesIn, formSize, type Form, type FormAxis, type StepList } from './form.ts'
import type { GemmOptions } from './gemm.ts'
import { packPanels, panelSource, type PackedPanels, type PanelTemplate } from './packed.ts'
import { eachSum, TileStore, type Sums } from './store.ts'

/** Copies of the innermost loop's body, so that its counting does not show. */
const COPIES = 4
/** Tasks that every thread should get. */
const TASKS_PER_THREAD = 4

/** Whether the device has instructions for this product, and offsets along the sum fit their table. */
export function hasPairProducts(form: Form, capabilities: Capabilities): boolean {
  const reach = (view: 'a' | 'b'): number =>
    form.contracted.reduce((n: number, x: FormAxis) => n + Math.abs(x[view]) * Math.max(0, x.size - 1), 0)
  return (
    capabilities.bfloat16 !== undefined &&
    form.a.dtype === 'bfloat16' &&
    form.b.dtype === 'bfloat16' &&
    Math.max(reach('a'), reach('b')) < 2 ** 31
  )
}

interface Kind {
  readonly name: 'pairs' | 'tiles'
  readonly tile: RegisterTile
  readonly rows: WordLayout
  readonly columns: WordLayout
}

function kindOf(capabilities: Capabilities): Kind {
  if (capabilities.bfloat16 === 'tiles') {
    const side = { rows: 32, lanes: BLOCK_PAIRS, wholeBlocks: true }
    return {
      name: 'tiles',
      tile: { lanes: 16, rows: 32, vectors: 2, columns: 32 },
      rows: { ...side, order: 'tiles' },
      columns: { ...side, order: 'pairs' },
    }
  }
  const tile = registerTile(capabilities)
  const side = { order: 'pairs', wholeBlocks: false } as const
  return {
    name: 'pairs',
    tile,
    rows: { ...side, rows: tile.rows, lanes: rowLanes(tile) },
    columns: { ...side, rows: tile.columns, lanes: tile.lanes },
  }
}

/** Sizes of blocks; all are arguments at run time. */
interface PairBlocking {
  /** Contracted elements of a block, blocks of a split, and of the whole sum. */
  readonly depth: number
  readonly blocks: number
  readonly allBlocks: number
  /** Panels of a task, and of rows that stay in the second-level cache meanwhile. */
  readonly rowPanels: number
  readonly columnPanels: number
  readonly cachedRowPanels: number
  readonly rowTasks: number
  readonly columnTasks: number
}

function chooseBlocking(form: Form, kind: Kind, splits: number, capabilities: Capabilities): PairBlocking {
  const [l1, l2] = capabilities.cacheBytes
  const { tile } = kind
  const block = 2 * BLOCK_PAIRS
  const sum = Math.max(1, formSize(form.contracted))
  // A panel of columns in two thirds of the first-level cache; rows and sums pass through.
  const deepest = Math.max(block, Math.floor((0.66 * l1) / (2 * tile.columns * block)) * block)
  const share = Math.ceil(sum / splits)
  const blocks = Math.ceil(share / deepest)
  const depth = Math.ceil(share / blocks / block) * block
  const panel = (rows: number): number => 2 * rows * depth

  const allRows = Math.ceil(formSize(form.rows) / tile.rows)
  const allColumns = Math.ceil(formSize(form.columns) / tile.columns)
  const cachedRowPanels = Math.max(1, Math.floor(l2 / 4 / panel(tile.rows)))
  let columns = Math.max(1, Math.min(allColumns, Math.floor(l2 / 4 / panel(tile.columns))))
  let rows = allRows
  // Sums wait in the cache between blocks.
  if (blocks > 1) rows = Math.max(1, Math.min(rows, Math.floor(l2 / 2 / (4 * tile.rows * tile.columns * columns))))
  const wanted = capabilities.threads === 1 ? 1 : TASKS_PER_THREAD * capabilities.threads
  const others = formSize(form.batch) * splits
  const tasks = (): number => others * Math.ceil(allRows / rows) * Math.ceil(allColumns / columns)
  while (tasks() < wanted && columns > 1) columns = Math.ceil(columns / 2)
  while (tasks() < wanted && rows > 4) rows = Math.ceil(rows / 2)
  const even = (all: number, most: number): number => Math.max(1, Math.ceil(all / Math.ceil(all / most)))
  const rowPanels = even(allRows, rows)
  const columnPanels = even(allColumns, columns)
  return {
    depth,
    blocks,
    allBlocks: Math.ceil(sum / depth),
    rowPanels,
    columnPanels,
    cachedRowPanels,
    rowTasks: Math.ceil(allRows / rowPanels),
    columnTasks: Math.ceil(allColumns / columnPanels),
  }
}

/** As `lowerGemm`; `options.rows` does not matter. */
export function lowerPairGemm(
  form: Form,
  capabilities: Capabilities,
  options: Pick<GemmOptions, 'splits' | 'splitStride'>,
  list: StepList,
): void {
  const kind = kindOf(capabilities)
  const blocking = chooseBlocking(form, kind, options.splits, capabilities)
  const packed = packPanels(form, 'a', wordPanels(kind, blocking.depth), list)
  const k = new Assembler(`bfloat16 product ${kind.name} ${tileName(kind.tile)}`, form.title)
  emitProduct(k, form, kind, blocking, options, packed)
  const [batch, rows, columns, depth] = [form.batch, form.rows, form.columns, form.contracted].map(formSize) as [
    number,
    number,
    number,
    number,
  ]
  const extent = batch * options.splits * blocking.rowTasks * blocking.columnTasks
  const bytes = 2 * batch * (rows * depth + depth * columns + rows * columns)
  list.steps.push(k.step(extent, 1, 2 * batch * rows * columns * depth, bytes))
}

/** Panels of rows in words of two elements. */
function wordPanels(kind: Kind, depth: number): PanelTemplate {
  return {
    name: `words ${kind.name} ${tileName(kind.tile)}`,
    dtype: 'int32',
    width: kind.rows.rows,
    stride: panelWords(kind.rows, depth),
    depth,
    emitter(k, source) {
      const table = k.reserve('int32', depth)
      return ({ base, row, from, to, target, at }) => {
        const offsets = new Offsets(k, source, table, from, to)
        emitPackWords(k, source, kind.rows, { base, row, from, to, target: { buffer: target, at } }, offsets)
      }
    },
  }
}

function emitProduct(
  k: Assembler,
  form: Form,
  kind: Kind,
  blocking: PairBlocking,
  options: Pick<GemmOptions, 'splits' | 'splitStride'>,
  packed: PackedPanels,
): void {
  const { tile } = kind
  const a = k.memory(packed.memory, 'int32', 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const store = new TileStore(k, form, tile)
  const source = { ...panelSource(k, form, 'b'), buffer: b }
  const views = 2 + (form.epilogue?.operands.length ?? 0)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['b', 'out', 'operands']), views), views)

  const rows = k.size(formSize(form.rows))
  const columns = k.size(formSize(form.columns))
  const depth = k.size(formSize(form.contracted))
  const blockDepth = k.size(blocking.depth)
  const blocks = k.size(blocking.blocks)
  const allBlocks = k.size(packed.blocks)
  const rowPanels = k.size(blocking.rowPanels)
  const columnPanels = k.size(blocking.columnPanels)
  const cachedRowPanels = k.size(blocking.cachedRowPanels)
  const rowTasks = k.size(blocking.rowTasks)
  const columnTasks = k.size(blocking.columnTasks)
  const splits = k.size(options.splits)
  const splitStride = k.size(options.splitStride)
  const bOffset = k.size(form.b.offset)
  const allRowPanels = k.size(packed.panels)
  const rowWords = k.size(packed.stride)
  const columnWords = panelWords(kind.columns, blocking.depth)
  const columnWordsOf = k.size(columnWords)
  // Sums wait in scratch between blocks of the contracted axis; with one block every tile uses the same place.
  const tileSize = tile.rows * tile.columns
  const slotStride = k.size(blocking.blocks > 1 ? tileSize : 0)
  const slots = k.reserve(
    'float32',
    blocking.blocks > 1 ? blocking.rowPanels * blocking.columnPanels * tileSize : tileSize,
  )
  const words = k.reserve('float32', blocking.columnPanels * columnWords)
  const table = k.reserve('float32', blocking.depth)

  k.parallel('t', (t) => {
    const firstRowPanel = k.let('firstRowPanel', mul(rem(t, rowTasks), rowPanels))
    const t1 = k.let('t1', div(t, rowTasks))
    const firstColumnPanel = k.let('firstColumnPanel', mul(rem(t1, columnTasks), columnPanels))
    const t2 = k.let('t2', div(t1, columnTasks))
    const split = k.let('split', rem(t2, splits))
    const item = k.let('item', div(t2, splits))
    const [bBatch, ...storeBatch] = batchAxes.locate(k, item).offsets as [Expr, ...Expr[]]
    const base = k.let('bBase', add(bOffset, bBatch))
    const storeBase = store.begin([add(storeBatch[0]!, mul(split, splitStride)), ...storeBatch.slice(1)])
    const row0 = k.let('row0', mul(firstRowPanel, tile.rows))
    const column0 = k.let('column0', mul(firstColumnPanel, tile.columns))
    const panelsFrom = (first: Expr, size: Expr, width: number, most: Expr): Expr =>
      min(most, div(add(sub(size, first), width - 1), width))
    const ownRows = k.let('ownRows', panelsFrom(row0, rows, tile.rows, rowPanels))
    const ownColumns = k.let('ownColumns', panelsFrom(column0, columns, tile.columns, columnPanels))

    k.loop('block', 0, blocks, 1, (block) => {
      const number = k.let('number', add(mul(split, blocks), block))
      const from = k.let('from', min(mul(number, blockDepth), depth))
      const to = k.let('to', min(add(from, blockDepth), depth))
      const offsets = new Offsets(k, source, table, from, to)
      k.loop('panel', 0, ownColumns, 1, (panel) => {
        const row = k.let('column', add(column0, mul(panel, tile.columns)))
        const target = { buffer: words.buffer, at: k.let('to', add(words.at, mul(panel, columnWordsOf))) }
        emitPackWords(k, source, kind.columns, { base, row, from, to, target }, offsets)
      })
      const rowsAt = k.let('rowsAt', mul(add(mul(item, allBlocks), min(number, sub(allBlocks, 1))), allRowPanels))

      k.loop('cached', 0, div(add(ownRows, sub(cachedRowPanels, 1)), cachedRowPanels), 1, (cached) => {
        const panelFrom = k.let('panelFrom', mul(cached, cachedRowPanels))
        const panelTo = k.let('panelTo', min(add(panelFrom, cachedRowPanels), ownRows))
        k.loop('j', 0, ownColumns, 1, (j) => {
          const bWords = { buffer: words.buffer, at: k.let('bAt', add(words.at, mul(j, columnWordsOf))) }
          const column = k.let('column', add(column0, mul(j, tile.columns)))
          const runs = kind.name === 'pairs' ? store.columns(column, columns) : null
          k.loop('i', panelFrom, panelTo, 1, (i) => {
            const slot = k.let('slot', add(slots.at, mul(add(mul(j, ownRows), i), slotStride)))
            const panel = add(rowsAt, add(firstRowPanel, i))
            const aWords = { buffer: a, at: k.let('aAt', mul(panel, rowWords)) }
            const row = k.let('row', add(row0, mul(i, tile.rows)))
            const place = { slots: slots.buffer, slot, row, column, rows, columns }
            const isLast = eq(add(block, 1), blocks)
            if (kind.name === 'tiles') {
              const steps = k.let('steps', div(add(sub(to, from), 2 * BLOCK_PAIRS - 1), 2 * BLOCK_PAIRS))
              k.tiles({ buffer: slots.buffer, at: slot }, aWords, bWords, steps, ne(block, 0))
              k.if(isLast, () => store.emitFromScratch(storeBase, place, true))
              return
            }
            const pairs = k.let('pairs', div(add(sub(to, from), 1), 2))
            const sums = emitPairProducts(k, tile, aWords, bWords, pairs)
            eachSum(sums, tile, (sum, at) => {
              k.if(ne(block, 0), () => k.assign(sum, add(sum, load(slots.buffer, add(slot, at), tile.lanes))))
            })
            const keep = (): void => eachSum(sums, tile, (sum, at) => k.store(slots.buffer, add(slot, at), sum))
            k.if(isLast, () => store.emit(storeBase, runs, sums, keep, place), keep)
          })
        })
      })
    })
  })
}

/** All sums of a tile in registers, two products a lane and step. */
function emitPairProducts(k: Assembler, tile: RegisterTile, a: WordMemory, b: WordMemory, pairs: Expr): Sums {
  const none = constant(0, 'f32', tile.lanes)
  const sums = Array.from({ length: tile.rows }, () =>
    Array.from({ length: tile.vectors }, () => k.declare('sum', none)),
  )
  k.unrolled('pair', 0, pairs, COPIES, (pair) => {
    const pa = k.let('pa', add(a.at, mul(pair, tile.rows)))
    const pb = k.let('pb', add(b.at, mul(pair, tile.columns)))
    const columns = Array.from({ length: tile.vectors }, (_, v) =>
      k.let('b', bitcast(load(b.buffer, add(pb, v * tile.lanes), tile.lanes), 'i32')),
    )
    sums.forEach((row, r) => {
      const value = k.let('a', splat(load(a.buffer, add(pa, r)), tile.lanes))
      row.forEach((sum, v) => k.assign(sum, dot(value, columns[v]!, sum)))
    })
  })
  return sums
}
