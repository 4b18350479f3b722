/**
 * The packed product: out[batch, row, column] = epilogue(sum over k of a[batch, row, k] * b[batch, k, column]) for operands of any
 * strides, in float32. One launch whose tasks are blocks of the result; a task packs what it needs (or finds it packed by a launch
 * before), runs the micro-kernel tile by tile, and stores through the epilogue after the last block of the contracted axis.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { Capabilities } from '../capabilities.ts'
import {
  add,
  and,
  constant,
  div,
  eq,
  fma,
  index,
  le,
  load,
  lt,
  min,
  mul,
  ne,
  rem,
  select,
  splat,
  sub,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, loopRuns, mergeAxes } from './axes.ts'
import {
  chooseBlocking,
  isNarrow,
  LINE,
  narrowTile,
  registerTile,
  rowLanes,
  tileName,
  type Blocking,
  type RegisterTile,
} from './blocking.ts'
import { asksAhead, ColumnsAhead } from './columns-ahead.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import { emitPackPanels, type PanelSource } from './pack.ts'
import { packPanels, panelSource, tilePanels, type PackedPanels } from './packed.ts'
import { eachSum, TileStore, type Sums } from './store.ts'

export interface GemmOptions {
  /**
   * How the micro-kernel gets at rows: packed `once` by a launch of their own, for operands that many tasks would pack again (weights);
   * packed by each `task`; or `direct`, read where they lie, for operands of which each element is used a few times only.
   */
  readonly rows: 'once' | 'task' | 'direct'
  /** Columns are packed by each task, or `once`: weights that never change, and what many tasks of different rows would pack again. */
  readonly columns: 'once' | 'task'
  /** The contracted axis is cut in so many parts; the result has a slab for each, `splitStride` elements apart. */
  readonly splits: number
  readonly splitStride: number
}

export function lowerGemm(form: Form, capabilities: Capabilities, options: GemmOptions, list: StepList): void {
  const rows = formSize(form.rows)
  const columns = formSize(form.columns)
  // Networks whose weights are constant have more kernels for small images; others have one for all sizes.
  const isFixed = form.a.isConstant === true
  const isNarrowed = (options.rows === 'direct' || isFixed) && isNarrow(columns, capabilities)
  const tile = isNarrowed ? narrowTile(capabilities, columns) : registerTile(capabilities)
  const batch = formSize(form.batch)
  const depth = formSize(form.contracted)
  const splitDepth = Math.ceil(depth / options.splits / 4) * 4
  const size = {
    batch: batch * options.splits,
    rows,
    columns,
    depth: options.splits === 1 ? depth : splitDepth,
    mode: options.rows,
    asksAhead: asksAhead(form, options),
  }
  const blocking = chooseBlocking(size, tile, capabilities)
  const isShared = isFixed && blocking.rowTasks > 1 && columnRun(form) < SHORT_RUNS * tile.lanes
  const packsColumns = options.splits === 1 && (options.columns === 'once' || isShared)
  const pack = (view: 'a' | 'b'): PackedPanels => packPanels(form, view, tilePanels(tile, view, blocking.depth), list)
  const packed = { rows: options.rows === 'once' ? pack('a') : null, columns: packsColumns ? pack('b') : null }

  const what = `product ${options.rows}${packsColumns ? ' packed' : ''}${size.asksAhead ? ' asking' : ''} ${tileName(tile)}`
  const k = new Assembler(what, form.title)
  const shape = { batch, rows, columns, depth, splitDepth: size.depth, asksAhead: size.asksAhead }
  emitProduct(k, form, tile, blocking, options, shape, packed)
  const flops = 2 * batch * rows * columns * depth
  const bytes =
    batch * (rows * depth + depth * columns) * sizeOf(form.a.dtype) + batch * rows * columns * sizeOf(form.out.dtype)
  list.steps.push(k.step(size.batch * blocking.rowTasks * blocking.columnTasks, 1, flops, bytes))
}

interface ProductShape {
  readonly batch: number
  readonly rows: number
  readonly columns: number
  readonly depth: number
  readonly splitDepth: number
  /** Where tasks pack the columns. */
  readonly asksAhead: boolean
}

/**
 * Columns that are neighbours in memory, in runs of fewer vectors than these, are packed element by element. Where several tasks need the same
 * ones (the windows of small images), they are then packed once: on two threads with vectors of 64 bytes, 512 channels of 7x7 went from 78
 * to 174 GFLOP/s; 240 channels of 12x80 with windows of 1x1, packed in whole vectors, lose a sixth.
 */
const SHORT_RUNS = 2

function columnRun(form: Form): number {
  const inner = mergeAxes(axesIn(form.columns, ['b']), 1).at(-1)
  return inner?.strides[0] === 1 ? inner.size : 1
}

function emitProduct(
  k: Assembler,
  form: Form,
  tile: RegisterTile,
  blocking: Blocking,
  options: GemmOptions,
  shape: ProductShape,
  packed: { readonly rows: PackedPanels | null; readonly columns: PackedPanels | null },
): void {
  const memory = (view: 'a' | 'b', panels: PackedPanels | null): BufferParameter =>
    panels ? k.memory(panels.memory, 'float32', 'read') : k.memory(form[view].memory, form[view].dtype, 'read')
  const a = memory('a', packed.rows)
  const b = memory('b', packed.columns)
  const store = new TileStore(k, form, tile)
  const columnSource = packed.columns ? null : { ...panelSource(k, form, 'b'), buffer: b }
  const rowSource = packed.rows ? null : { ...panelSource(k, form, 'a'), buffer: a }
  const isDirect = options.rows === 'direct'
  const batchViews = 3 + (form.epilogue?.operands.length ?? 0)
  const batchAxes = new FlatAxes(
    k,
    mergeAxes(axesIn(form.batch, ['a', 'b', 'out', 'operands']), batchViews),
    batchViews,
  )

  const rows = k.size(shape.rows)
  const columns = k.size(shape.columns)
  const depth = k.size(shape.depth)
  const splitDepth = k.size(shape.splitDepth)
  const blockDepth = k.size(blocking.depth)
  const blocks = k.size(blocking.depthBlocks)
  const rowPanels = k.size(blocking.rowPanels)
  const columnPanels = k.size(blocking.columnPanels)
  const cachedRowPanels = k.size(blocking.cachedRowPanels)
  const rowTasks = k.size(blocking.rowTasks)
  const columnTasks = k.size(blocking.columnTasks)
  const splits = k.size(options.splits)
  const splitStride = k.size(options.splitStride)
  const aOffset = k.size(packed.rows ? 0 : form.a.offset)
  const bOffset = k.size(packed.columns ? 0 : form.b.offset)
  const steps = (p: PackedPanels | null) => p && { panels: k.size(p.panels), words: k.size(p.stride) }
  const [rowSteps, columnSteps] = [steps(packed.rows), steps(packed.columns)]
  // Sums wait in scratch between blocks of the contracted axis; with one block every tile uses the same place.
  const tileSize = tile.rows * tile.columns
  // With several tasks for the same columns, those that are packed next are there.
  const askedRows = Math.ceil(blocking.depth / (blocking.rowPanels * tile.rows))
  const ask =
    shape.asksAhead && columnSource
      ? new ColumnsAhead(k, columnSource, tile, k.size(blocking.rowTasks === 1 ? askedRows : 0))
      : null
  const slotStride = k.size(blocking.depthBlocks > 1 ? tileSize : 0)
  const slots = k.reserve(
    'float32',
    blocking.depthBlocks > 1 ? blocking.rowPanels * blocking.columnPanels * tileSize : tileSize,
  )
  const packedColumns = packed.columns
    ? null
    : k.reserve('float32', blocking.columnPanels * tile.columns * blocking.depth)
  const packedRows =
    options.rows === 'task' ? k.reserve('float32', blocking.rowPanels * tile.rows * blocking.depth) : null

  k.parallel('t', (t) => {
    const firstRowPanel = k.let('firstRowPanel', mul(rem(t, rowTasks), rowPanels))
    const t1 = k.let('t1', div(t, rowTasks))
    const firstColumnPanel = k.let('firstColumnPanel', mul(rem(t1, columnTasks), columnPanels))
    const t2 = k.let('t2', div(t1, columnTasks))
    const split = k.let('split', rem(t2, splits))
    const item = k.let('item', div(t2, splits))
    const [aBatch, bBatch, ...storeBatch] = batchAxes.locate(k, item).offsets as [Expr, Expr, ...Expr[]]
    const aBase = k.let('aBase', add(aOffset, aBatch))
    const bBase = k.let('bBase', add(bOffset, bBatch))
    const storeBase = store.begin([add(storeBatch[0]!, mul(split, splitStride)), ...storeBatch.slice(1)])
    const row0 = k.let('row0', mul(firstRowPanel, tile.rows))
    const column0 = k.let('column0', mul(firstColumnPanel, tile.columns))
    const ownRows = k.let('ownRows', min(rowPanels, div(add(sub(rows, row0), tile.rows - 1), tile.rows)))
    const ownColumns = k.let(
      'ownColumns',
      min(columnPanels, div(add(sub(columns, column0), tile.columns - 1), tile.columns)),
    )
    const splitFrom = k.let('splitFrom', mul(split, splitDepth))
    const splitTo = k.let('splitTo', min(add(splitFrom, splitDepth), depth))

    k.loop('block', 0, blocks, 1, (block) => {
      const from = k.let('from', min(add(splitFrom, mul(block, blockDepth)), splitTo))
      const to = k.let('to', min(add(from, blockDepth), splitTo))
      const kc = k.let('kc', sub(to, from))
      if (columnSource && packedColumns) {
        const place = { base: bBase, row: column0, from, to, target: packedColumns.buffer, at: packedColumns.at }
        const panel = { rows: tile.columns, lanes: tile.lanes, ahead: isDirect }
        emitPackPanels(k, columnSource, panel, place, ownColumns)
      }
      if (rowSource && packedRows) {
        const rowsPlace = { base: aBase, row: row0, from, to, target: packedRows.buffer, at: packedRows.at }
        emitPackPanels(k, rowSource, { rows: tile.rows, lanes: rowLanes(tile) }, rowsPlace, ownRows)
      }
      /** Where panel `number` of an operand that was packed before begins. */
      const panelAt = (of: typeof rowSteps, number: Expr): Expr =>
        of ? mul(add(mul(add(mul(item, blocks), block), of.panels), number), of.words) : index(0)
      const readRows = (panel: Expr, between: Between): RowReader => {
        if (rowSource && isDirect) {
          const row = k.let('row', add(row0, mul(panel, tile.rows)))
          return directRows(k, tile, rowSource, { base: aBase, row, from, to }, between)
        }
        const buffer = packedRows ? packedRows.buffer : a
        const at = packedRows
          ? add(packedRows.at, mul(mul(panel, tile.rows), kc))
          : panelAt(rowSteps, add(firstRowPanel, panel))
        return packedPanel(k, tile.rows, buffer, k.let('aAt', at), kc, { between })
      }

      // What is packed next: the block that follows, or the first one of the columns that follow.
      const isInside = lt(add(block, 1), blocks)
      const nextFrom = ask && k.let('nextFrom', select(isInside, to, splitFrom))
      const nextTo = nextFrom && k.let('nextTo', min(add(nextFrom, blockDepth), splitTo))
      const nextShift = ask && k.let('nextShift', select(isInside, 0, mul(columnPanels, tile.columns)))

      k.loop('cached', 0, div(add(ownRows, sub(cachedRowPanels, 1)), cachedRowPanels), 1, (cached) => {
        const panelFrom = k.let('panelFrom', mul(cached, cachedRowPanels))
        const panelTo = k.let('panelTo', min(add(panelFrom, cachedRowPanels), ownRows))
        k.loop('j', 0, ownColumns, 1, (j) => {
          const columnsAt = packedColumns
            ? add(packedColumns.at, mul(mul(j, tile.columns), kc))
            : panelAt(columnSteps, add(firstColumnPanel, j))
          const bAt = k.let('bAt', columnsAt)
          const column = k.let('column', add(column0, mul(j, tile.columns)))
          const runs = store.columns(column, columns)
          const askedFrom = ask && ask.panel(bBase, add(column, nextShift!))
          k.loop('i', panelFrom, panelTo, 1, (i) => {
            const slot = k.let('slot', add(slots.at, mul(add(mul(j, ownRows), i), slotStride)))
            const row = k.let('row', add(row0, mul(i, tile.rows)))
            const isLast = eq(add(block, 1), blocks)
            const place = { slots: slots.buffer, slot, row, column, rows, columns }
            const isWhole = store.isWhole(runs, place)
            const between = {
              parts: tile.rows,
              visit: (part: Expr) => {
                k.if(isLast, () => store.prefetch(storeBase, runs, add(row, part)))
                ask?.visit(askedFrom!, nextFrom!, nextTo!, add(mul(i, tile.rows), part))
              },
            }
            const products = (t: RegisterTile, store: (sums: Sums, keep: () => void) => void): void => {
              const sums = emitMicroKernel(k, t, readRows(i, between), packedColumns?.buffer ?? b, bAt)
              k.if(ne(block, 0), () =>
                eachSum(sums, t, (sum, at) => k.assign(sum, add(sum, load(slots.buffer, add(slot, at), t.lanes)))),
              )
              store(sums, () => eachSum(sums, t, (sum, at) => k.store(slots.buffer, add(slot, at), sum)))
            }
            const all = (): void =>
              products(tile, (sums, keep) =>
                k.if(and(isLast, isWhole), () => store.direct(storeBase, runs, sums, keep, place), keep),
              )
            // The last columns may need fewer vectors: 312 columns are 20 vectors of 16, not 21.
            if (tile.vectors === 1) all()
            else
              k.if(
                le(sub(columns, column), (tile.vectors - 1) * tile.lanes),
                () => products({ ...tile, vectors: tile.vectors - 1 }, (_, keep) => keep()),
                all,
              )
            k.if(isLast, () => store.fromSlot(storeBase, runs, isWhole, place))
          })
        })
      })
    })
  })
}

/** Walks the contracted axis; `value(r)` loads the element of row r. */
export type RowReader = (body: (step: Expr, value: (row: number) => Expr) => void) => void

/** Copies of the innermost loop's body, so that its counting does not show. */
const COPIES = 4

/**
 * What is done in equal parts during a walk: asking for memory that is needed behind it. All at once that waits for itself, since a core
 * keeps track of a dozen lines on their way; of a product of 312 elements with GELU and dropout in its store a quarter of the time was that.
 */
export interface Between {
  readonly parts: number
  readonly visit: (part: Expr) => void
}

/** Rows of a panel, `width` elements from one step to the next; `ahead`: steps by which rows are asked for that lie in memory. */
export function packedPanel(
  k: Assembler,
  width: number,
  buffer: BufferParameter,
  at: Expr,
  depth: Expr,
  { between, ahead }: { readonly between?: Between; readonly ahead?: number } = {},
): RowReader {
  return (body) => {
    const walk = (from: Expr | number, to: Expr): void =>
      k.unrolled('step', from, to, COPIES, (step) => {
        const here = k.let('pa', add(at, mul(step, width)))
        if (ahead !== undefined) {
          for (let x = 0; x < width; x += LINE) k.prefetch(buffer, add(here, ahead * width + x))
        }
        body(step, (r) => load(buffer, add(here, r)))
      })
    if (!between) {
      walk(0, depth)
      return
    }
    const share = between.parts * COPIES
    const steps = k.let('steps', mul(div(add(depth, share - 1), share), COPIES))
    k.loop('part', 0, between.parts, 1, (part) => {
      between.visit(part)
      const from = k.let('stepFrom', mul(part, steps))
      walk(from, min(add(from, steps), depth))
    })
  }
}

/** Rows where they lie; those behind the last repeat it, and their sums are not stored. */
function directRows(
  k: Assembler,
  tile: RegisterTile,
  source: PanelSource,
  place: { base: Expr; row: Expr; from: Expr; to: Expr },
  between: Between,
): RowReader {
  k.loop('part', 0, between.parts, 1, between.visit)
  const last = k.let('last', sub(source.size, 1))
  const starts = Array.from({ length: tile.rows }, (_, r) => {
    const position = source.free.locate(k, k.let('r', min(add(place.row, r), last)))
    return k.let('s', add(place.base, position.offsets[0]!))
  })
  return (body) => {
    const visit = (step: Expr, offset: Expr): void => {
      const o = k.let('o', offset)
      body(step, (r) => load(source.buffer, add(starts[r]!, o)))
    }
    loopRuns(k, source.contracted, place.from, place.to, visit, COPIES)
  }
}

/**
 * sum over k of a[k][row] * b[k][column]: all accumulators live in registers. Columns begin at `at`, and go `line` elements on from one k to the
 * next; default: those of a panel.
 */
export function emitMicroKernel(
  k: Assembler,
  tile: RegisterTile,
  rows: RowReader,
  columns: BufferParameter,
  at: Expr,
  line: Expr | number = tile.columns,
): Sums {
  const zero = constant(0, 'f32', tile.lanes)
  const sums = Array.from({ length: tile.rows }, () =>
    Array.from({ length: tile.vectors }, () => k.declare('sum', zero)),
  )
  rows((step, rowValue) => {
    const pb = k.let('pb', add(at, mul(step, line)))
    const b = Array.from({ length: tile.vectors }, (_, v) =>
      k.let('b', load(columns, add(pb, v * tile.lanes), tile.lanes)),
    )
    sums.forEach((row, r) => {
      const value = k.let('a', splat(rowValue(r), tile.lanes))
      row.forEach((sum, v) => k.assign(sum, fma(value, b[v]!, sum)))
    })
  })
  return sums
}
