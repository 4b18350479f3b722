/**
 * Products with a long sum and a small result (gradients of weights): the sum is cut into parts that threads compute side by side, and a
 * second launch adds the parts. The number of parts depends on the problem only, so that results do not depend on the threads.
 */
import type { Capabilities } from '../capabilities.ts'
import { add, constant, div, le, load, min, mul, rem, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, type Memory } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { registerTile, tileName } from './blocking.ts'
import { axesIn, formSize, type Form, type FormAxis, type StepList } from './form.ts'
import { lowerProduct } from './product.ts'
import { TileStore } from './store.ts'

/** Tasks that a product should have without cutting: blocks of 64 x 96 are about what a task needs to be worth it. */
const ENOUGH_TASKS = 16

/**
 * Whether the result is so small that its sum may be cut: rows and columns of weights, which are constants of a program. Sums over channels
 * (`isBounded`) are not so long that cutting them, and packing both operands for it, is worth while where blocks of 32 x 48 keep threads busy.
 */
export function isSmallResult(form: Form, isBounded: boolean): boolean {
  return (isBounded ? blocksOf(form, 32, 48) : coarseTasks(form)) < ENOUGH_TASKS
}

const coarseTasks = (form: Form): number => blocksOf(form, 64, 96)

function blocksOf(form: Form, rows: number, columns: number): number {
  return formSize(form.batch) * Math.ceil(formSize(form.rows) / rows) * Math.ceil(formSize(form.columns) / columns)
}

export function lowerSplitGemm(form: Form, capabilities: Capabilities, list: StepList): void {
  const longest = Math.floor(formSize(form.contracted) / 512)
  const splits = Math.max(1, Math.min(Math.ceil(ENOUGH_TASKS / coarseTasks(form)), longest))
  const [batch, rows, columns] = [form.batch, form.rows, form.columns].map(formSize) as [number, number, number]
  const slab = batch * rows * columns
  const parts = list.temporary(4 * slab * splits)
  let stride = 1
  const dense = (axes: readonly FormAxis[]): FormAxis[] =>
    axes
      .toReversed()
      .map((axis) => {
        const out = stride
        stride *= axis.size
        return { size: axis.size, a: axis.a, b: axis.b, out, operands: [] }
      })
      .toReversed()
  const partial: Form = {
    ...form,
    out: { memory: parts, dtype: 'float32', offset: 0 },
    epilogue: undefined,
    columns: dense(form.columns),
    rows: dense(form.rows),
    batch: dense(form.batch),
  }
  lowerProduct(partial, capabilities, { rows: 'task', columns: 'task', splits, splitStride: slab }, list)
  addParts(form, capabilities, parts, { batch, rows, columns, slab, splits }, list)
}

/** One task adds one tile of all parts in scratch and stores it as the product would have. */
export function addParts(
  form: Form,
  capabilities: Capabilities,
  parts: Memory,
  size: { batch: number; rows: number; columns: number; slab: number; splits: number },
  list: StepList,
): void {
  const tile = registerTile(capabilities)
  const k = new Assembler(`add parts ${tileName(tile)}`, `add parts of ${form.title}`)
  const source = k.memory(parts, 'float32', 'read')
  const store = new TileStore(k, form, tile)
  const views = 1 + (form.epilogue?.operands.length ?? 0)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['out', 'operands']), views), views)
  const rows = k.size(size.rows)
  const columns = k.size(size.columns)
  const rowPanels = k.size(Math.ceil(size.rows / tile.rows))
  const columnPanels = k.size(Math.ceil(size.columns / tile.columns))
  const slab = k.size(size.slab)
  const splits = k.size(size.splits)
  const scratch = k.reserve('float32', tile.rows * tile.columns)
  k.parallel('t', (t) => {
    const column = k.let('column', mul(rem(t, columnPanels), tile.columns))
    const rest = k.let('rest', div(t, columnPanels))
    const row = k.let('row', mul(rem(rest, rowPanels), tile.rows))
    const item = k.let('item', div(rest, rowPanels))
    const base = store.begin(batchAxes.locate(k, item).offsets)
    const count = k.let('count', min(tile.rows, sub(rows, row)))
    const width = k.let('width', min(tile.columns, sub(columns, column)))
    const sumAt = (r: Expr, c: Expr, lanes: number): void => {
      const at = k.let('at', add(mul(add(mul(item, rows), add(row, r)), columns), add(column, c)))
      const sum = k.declare('sum', constant(0, 'f32', lanes))
      k.loop('split', 0, splits, 1, (split) => k.assign(sum, add(sum, load(source, add(at, mul(split, slab)), lanes))))
      k.store(scratch.buffer, add(scratch.at, add(mul(r, tile.columns), c)), sum)
    }
    k.loop('r', 0, count, 1, (r) => {
      k.loop('v', 0, width, tile.lanes, (v) => {
        k.if(
          le(add(v, tile.lanes), width),
          () => sumAt(r, v, tile.lanes),
          () => k.loop('c', v, width, 1, (c) => sumAt(r, c, 1)),
        )
      })
    })
    store.emitFromScratch(base, { slots: scratch.buffer, slot: scratch.at, row, column, rows, columns })
  })
  const tiles = size.batch * Math.ceil(size.rows / tile.rows) * Math.ceil(size.columns / tile.columns)
  list.steps.push(k.step(tiles, 16, size.slab * size.splits, 4 * size.slab * (size.splits + 1)))
}
