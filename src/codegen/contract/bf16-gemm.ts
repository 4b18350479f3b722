/**
 * The packed product on devices that multiply pairs of bfloat16 and add in float32: as gemm.ts, with both operands packed to words of two
 * elements. Operands are bfloat16, or, on devices with tiles, float32 in three parts (after Henry, Tang and Heinecke, "Leveraging the bfloat16
 * artificial intelligence datatype for higher-precision computations", 2019), whose six largest products take less time than one in float32.
 * What all tasks share (weights) is packed once, by a launch of its own; each task packs what it has of the other operand.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { Capabilities } from '../capabilities.ts'
import {
  add,
  bitcast,
  constant,
  div,
  dot,
  eq,
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
  type Products,
} from '../builder.ts'
import { LINES_ASKED, pairsOfParts, type Expr, type TileStream, type TileWindow } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { choosePairBlocking, type Own, type PairBlocking } from './bf16-blocking.ts'
import { kindOf, type Kind } from './bf16-kind.ts'
import { emitPackWords, panelWords, storedLayout, type PanelPlace, type WordLayout } from './bf16-pack.ts'
import { tileName, type RegisterTile } from './blocking.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import type { GemmOptions } from './gemm.ts'
import type { ContractStep } from './problem.ts'
import { packPanels, panelSource, type PackedPanels, type PanelTemplate } from './packed.ts'
import { eachSum, TileStore, type Sums } from './store.ts'
import { BLOCK, Offsets, type WordMemory } from './word-offsets.ts'

/** Copies of the innermost loop's body, so that its counting does not show. */
const COPIES = 4
const LINE_WORDS = 16

/** Words that the products of a step ask for, four for each pair of parts, and calls that it takes to ask for all of a panel. */
function asked({ parts, columns }: Kind): { readonly words: number; readonly calls: number } {
  const words = 4 * pairsOfParts(parts) * LINES_ASKED[parts] * LINE_WORDS
  return { words, calls: Math.ceil(panelWords(storedLayout(columns), BLOCK) / words) }
}

/** As `lowerGemm`; rows that are not packed once are packed by each task, and columns are then packed once. */
export function lowerPairGemm(form: Form, capabilities: Capabilities, options: GemmOptions, list: StepList): void {
  const kind = kindOf(form, capabilities)
  // Tiles split one of two packed operands.
  const packsColumns = options.columns !== 'once' || kind.parts === 3
  const own: Own = options.rows !== 'once' ? 'rows' : packsColumns ? 'columns' : null
  const blocking = choosePairBlocking(form, kind, own, options.splits, capabilities)
  const pack = (view: 'a' | 'b'): PackedPanels => packPanels(form, view, wordPanels(view, kind, blocking.depth), list)
  const packed = { rows: own === 'rows' ? null : pack('a'), columns: own === 'columns' ? null : pack('b') }
  const k = new Assembler(`product ${kind.name} own ${own} ${tileName(kind.tile)}`, form.title)
  emitPairProduct(k, form, kind, blocking, options, packed)
  list.steps.push(pairStep(k, form, blocking, options.splits))
}

/** The launch of a product. */
export function pairStep(k: Assembler, form: Form, blocking: PairBlocking, splits: number): ContractStep {
  const sizes = [form.batch, form.rows, form.columns, form.contracted].map(formSize)
  const [batch, rows, columns, depth] = sizes as [number, number, number, number]
  const extent = batch * splits * blocking.rowTasks * blocking.columnTasks
  const bytes =
    batch * (sizeOf(form.a.dtype) * (rows * depth + depth * columns) + sizeOf(form.out.dtype) * rows * columns)
  return k.step(extent, 1, 2 * batch * rows * columns * depth, bytes)
}

/** Panels in words of two elements; float32 stays whole until it is multiplied. */
export function wordPanels(view: 'a' | 'b', kind: Kind, depth: number): PanelTemplate {
  const layout = storedLayout(view === 'a' ? kind.rows : kind.columns)
  return {
    name: `words ${view} ${kind.name} ${tileName(kind.tile)}`,
    dtype: 'int32',
    width: layout.rows,
    stride: panelWords(layout, depth),
    depth,
    emitter(k, source) {
      const table = k.reserve('int32', depth)
      return ({ base, row, from, to, target, at }) => {
        const offsets = new Offsets(k, source, table, from, to)
        emitPackWords(k, source, layout, { base, row, from, to, target: { buffer: target, at } }, offsets)
      }
    },
  }
}

/** What is not packed before, each task packs: columns by `packColumns` where it is given. */
export function emitPairProduct(
  k: Assembler,
  form: Form,
  kind: Kind,
  blocking: PairBlocking,
  options: Pick<GemmOptions, 'splits' | 'splitStride'>,
  packed: { readonly rows: PackedPanels | null; readonly columns: PackedPanels | null },
  packColumns?: (b: BufferParameter) => TaskWords,
): void {
  const { tile } = kind
  const memory = (view: 'a' | 'b', panels: PackedPanels | null): BufferParameter =>
    panels ? k.memory(panels.memory, 'int32', 'read') : k.memory(form[view].memory, form[view].dtype, 'read')
  const a = memory('a', packed.rows)
  const b = memory('b', packed.columns)
  const store = new TileStore(k, form, tile)
  const views = 3 + (form.epilogue?.operands.length ?? 0)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['a', 'b', 'out', 'operands']), views), views)

  const rows = k.size(formSize(form.rows))
  const columns = k.size(formSize(form.columns))
  const depth = k.size(formSize(form.contracted))
  const blockDepth = k.size(blocking.depth)
  const blocks = k.size(blocking.blocks)
  const allBlocks = k.size(blocking.allBlocks)
  const rowPanels = k.size(blocking.rowPanels)
  const columnPanels = k.size(blocking.columnPanels)
  const cachedRowPanels = k.size(blocking.cachedRowPanels)
  const rowTasks = k.size(blocking.rowTasks)
  const columnTasks = k.size(blocking.columnTasks)
  const splits = k.size(options.splits)
  const splitStride = k.size(options.splitStride)
  const aOffset = k.size(packed.rows ? 0 : form.a.offset)
  const bOffset = k.size(packed.columns ? 0 : form.b.offset)
  const allRowPanels = k.size(packed.rows?.panels ?? 0)
  const allColumnPanels = k.size(packed.columns?.panels ?? 0)
  const rowWords = k.size(panelWords(storedLayout(kind.rows), blocking.depth))
  const columnWords = k.size(panelWords(storedLayout(kind.columns), blocking.depth))
  // Sums wait in scratch between blocks of the contracted axis; with one block every tile uses the same place.
  const tileSize = tile.rows * tile.columns
  const slotStride = k.size(blocking.blocks > 1 ? tileSize : 0)
  const slots = k.reserve(
    'float32',
    blocking.blocks > 1 ? blocking.rowPanels * blocking.columnPanels * tileSize : tileSize,
  )
  const ownRowWords = packed.rows ? null : taskWords(k, form, 'a', a, kind.rows, blocking)
  const ownColumnWords = packed.columns
    ? null
    : (packColumns?.(b) ?? taskWords(k, form, 'b', b, kind.columns, blocking))
  const isSplit = kind.parts === 3
  // What is packed is split where it is multiplied first.
  const rowRoom = ownRowWords ?? (isSplit ? panelRoom(k, kind.rows, blocking.cachedRowPanels, blocking.depth) : null)
  const columnRoom = ownColumnWords ?? (isSplit ? panelRoom(k, kind.columns, 1, blocking.depth) : null)
  const wordsIn = (room: PanelRoom | null, panel: Expr, stored: BufferParameter, from: () => Expr): WordMemory => ({
    buffer: room?.buffer ?? stored,
    at: k.let('at', room?.at(panel) ?? from()),
  })
  // Weights of convolutions are the same for all images.
  const sharesRows = packed.rows?.isShared === true
  k.note(sharesRows ? 'shared' : 'own')

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
    const panelsFrom = (first: Expr, size: Expr, width: number, most: Expr): Expr =>
      min(most, div(add(sub(size, first), width - 1), width))
    const ownRows = k.let('ownRows', panelsFrom(row0, rows, tile.rows, rowPanels))
    const ownColumns = k.let('ownColumns', panelsFrom(column0, columns, tile.columns, columnPanels))

    k.loop('block', 0, blocks, 1, (block) => {
      const number = k.let('number', add(mul(split, blocks), block))
      const from = k.let('from', min(mul(number, blockDepth), depth))
      const to = k.let('to', min(add(from, blockDepth), depth))
      ownRowWords?.pack({ base: aBase, row: row0, from, to }, ownRows)
      ownColumnWords?.pack({ base: bBase, row: column0, from, to }, ownColumns)
      const blockOf = k.let('blockOf', add(mul(item, allBlocks), min(number, sub(allBlocks, 1))))
      const rowsOf = sharesRows ? min(number, sub(allBlocks, 1)) : blockOf
      const rowsAt = k.let('rowsAt', add(mul(rowsOf, allRowPanels), firstRowPanel))
      const columnsAt = k.let('columnsAt', add(mul(blockOf, allColumnPanels), firstColumnPanel))
      const steps = k.let('steps', div(add(sub(to, from), BLOCK - 1), BLOCK))
      k.loop('cached', 0, div(add(ownRows, sub(cachedRowPanels, 1)), cachedRowPanels), 1, (cached) => {
        const panelFrom = k.let('panelFrom', mul(cached, cachedRowPanels))
        const panelTo = k.let('panelTo', min(add(panelFrom, cachedRowPanels), ownRows))
        k.loop('j', 0, ownColumns, 1, (j) => {
          ownColumnWords?.complete?.(j)
          const columnFrom = (): Expr => mul(add(columnsAt, j), columnWords)
          const bWords = wordsIn(columnRoom, j, b, columnFrom)
          const column = k.let('column', add(column0, mul(j, tile.columns)))
          const runs = !kind.isTiles ? store.columns(column, columns) : null
          k.loop('i', panelFrom, panelTo, 1, (i) => {
            const slot = k.let('slot', add(slots.at, mul(add(mul(j, ownRows), i), slotStride)))
            const rowFrom = (): Expr => mul(add(rowsAt, i), rowWords)
            // Rows that a task packs all stay in the cache.
            const aWords = wordsIn(rowRoom, ownRowWords ? i : sub(i, panelFrom), a, rowFrom)
            const row = k.let('row', add(row0, mul(i, tile.rows)))
            const place = { slots: slots.buffer, slot, row, column, rows, columns }
            const isLast = eq(add(block, 1), blocks)
            if (kind.isTiles) {
              const { parts } = kind
              const { words, calls } = asked(kind)
              const share = mul(steps, words)
              const split = (operand: 'a' | 'b', at: Expr, when: Expr): TileStream['split'] =>
                isSplit ? { operand, at, when } : null
              const stream = (): Products['stream'] => {
                if (packed.columns) {
                  // Of the next panel of columns, the part that belongs to this one of the rows.
                  const next = mul(add(columnsAt, min(add(j, 1), sub(ownColumns, 1))), columnWords)
                  const ahead = k.let('ahead', add(next, mul(rem(sub(i, panelFrom), calls), share)))
                  return { buffer: b, ahead, split: split('b', columnFrom(), eq(i, panelFrom)) }
                }
                if (!packed.rows) return null
                // Of the next panels of rows that stay in the cache, in this block or the next.
                const panels = k.let('panels', sub(panelTo, panelFrom))
                const call = rem(add(mul(j, panels), sub(i, panelFrom)), mul(panels, calls))
                const later = select(isLast, i, add(allRowPanels, i))
                const next = mul(add(rowsAt, select(lt(panelTo, ownRows), panelTo, later)), rowWords)
                const ahead = k.let('ahead', add(next, mul(call, share)))
                return { buffer: a, ahead, split: split('a', rowFrom(), eq(j, 0)) }
              }
              k.tiles({
                parts,
                target: { buffer: slots.buffer, at: slot },
                a: aWords,
                b: bWords,
                steps,
                accumulate: ne(block, 0),
                window: ownColumnWords?.window ?? null,
                stream: stream(),
              })
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

/** Words of panels in scratch. */
interface PanelRoom {
  readonly buffer: BufferParameter
  /** Where a panel begins. */
  at(panel: Expr): Expr
}

/** Room for panels; where there is one, it is that of all. */
function panelRoom(k: Assembler, layout: WordLayout, panels: number, depth: number): PanelRoom {
  const size = panelWords(layout, depth)
  const words = k.reserve('float32', panels * size)
  const stride = k.size(panels === 1 ? 0 : size)
  return { buffer: words.buffer, at: (panel) => add(words.at, mul(panel, stride)) }
}

/** Words that a task packs for itself. */
export interface TaskWords extends PanelRoom {
  /** Packs `count` panels from a place on. */
  pack(place: Omit<PanelPlace, 'target'>, count: Expr): void
  /** Completes a panel, right before it is multiplied. */
  complete?(panel: Expr): void
  /** How steps find their words, where these are not packed by panels. */
  readonly window?: TileWindow
}

function taskWords(
  k: Assembler,
  form: Form,
  view: 'a' | 'b',
  buffer: BufferParameter,
  layout: WordLayout,
  blocking: PairBlocking,
): TaskWords {
  const source = { ...panelSource(k, form, view), buffer }
  const { isPerPanel } = blocking
  k.note(isPerPanel ? 'by panel' : 'at once')
  const panels = isPerPanel ? 1 : view === 'a' ? blocking.rowPanels : blocking.columnPanels
  const room = panelRoom(k, layout, panels, blocking.depth)
  const table = k.reserve('float32', blocking.depth)
  const one = (place: Omit<PanelPlace, 'target'>, offsets: Offsets, panel: Expr): void => {
    const row = k.let('first', add(place.row, mul(panel, layout.rows)))
    emitPackWords(
      k,
      source,
      layout,
      { ...place, row, target: { buffer: room.buffer, at: k.let('to', room.at(panel)) } },
      offsets,
    )
  }
  if (!isPerPanel) {
    const pack: TaskWords['pack'] = (place, count) => {
      const offsets = new Offsets(k, source, table, place.from, place.to)
      k.loop('panel', 0, count, 1, (panel) => one(place, offsets, panel))
    }
    return { ...room, pack }
  }
  let begun: { place: Omit<PanelPlace, 'target'>; offsets: Offsets } | null = null
  return {
    ...room,
    pack: (place) => (begun = { place, offsets: new Offsets(k, source, table, place.from, place.to) }),
    complete: (panel) => begun && one(begun.place, begun.offsets, panel),
  }
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
      const value = k.let('a', splat(bitcast(load(a.buffer, add(pa, r)), 'i32'), tile.lanes))
      row.forEach((sum, v) => k.assign(sum, dot(value, columns[v]!, sum)))
    })
  })
  return sums
}
