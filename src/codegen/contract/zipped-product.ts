/**
 * Input gradients of strided convolutions, and transposed convolutions: every class of elements of the result is a product of its taps' weights
 * with the shifts of the other operand that its taps reach. A task packs those shifts once for all classes, and stores classes that are neighbours
 * in the result interleaved.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { Capabilities } from '../capabilities.ts'
import { add, div, eq, load, max, min, mul, ne, rem, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { chooseBlocking, registerTile, tileName, type RegisterTile } from './blocking.ts'
import { axesIn, formSize, type StepList } from './form.ts'
import { emitMicroKernel, type RowReader } from './gemm.ts'
import { emitPackPanels } from './pack.ts'
import { packPanels, panelSource, tilePanels } from './packed.ts'
import { eachSum, ResultStore } from './store.ts'
import { ONE_CLASS, type ClassAxis, type ZippedProblem } from './zipped-scheme.ts'
import { emitPackShifted } from './zipped-pack.ts'
import { ZippedStore } from './zipped-store.ts'

/** Contracted elements, of all shifts, between two visits of a tile. */
const DEPTH = 512
/** Copies of the innermost loop's body. */
const COPIES = 4

export function lowerZippedProduct(p: ZippedProblem, capabilities: Capabilities, list: StepList): void {
  const { form, scheme } = p
  const [batch, rows, columns, depth] = [form.batch, form.rows, form.columns, form.contracted].map(formSize) as Four
  const wide = registerTile(capabilities)
  const tile: RegisterTile = rows > 4 ? wide : { ...wide, rows: 4 }
  const axes = [scheme.y ?? ONE_CLASS, scheme.x] as const
  const [shifts, taps, classes] = [
    axes[0].shifts * axes[1].shifts,
    axes[0].taps * axes[1].taps,
    axes[0].classes * axes[1].classes,
  ]
  const blocks = Math.max(1, Math.ceil((depth * shifts) / DEPTH))
  const blockDepth = Math.ceil(Math.ceil(depth / blocks) / 4) * 4
  const blocking = chooseBlocking(
    { batch, rows, columns, depth: blockDepth * shifts, mode: 'once' },
    tile,
    capabilities,
  )
  const packed = packPanels(p.weights, 'a', tilePanels(tile, 'a', Math.max(4, depth * taps)), list)

  const k = new Assembler(`zipped product ${p.isCopied ? 'copy' : 'operand'} ${tileName(tile)}`, form.title)
  const a = k.memory(packed.memory, 'float32', 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const result = new ResultStore(k, form.out, form.epilogue)
  const { views } = result
  const store = new ZippedStore(k, result, tile, p.columns)
  const rowAxes = new FlatAxes(k, mergeAxes(axesIn(form.rows, ['out', 'operands']), views), views)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['b', 'out', 'operands']), views + 1), views + 1)
  const source = { ...panelSource(k, form, 'b'), buffer: b }
  const [rowCount, columnCount, depthSize, blockSize] = [rows, columns, depth, blockDepth].map((n) =>
    k.size(n),
  ) as Four2
  const [blockCount, rowPanels, columnPanels, rowTasks] = [
    blocks,
    blocking.rowPanels,
    blocking.columnPanels,
    blocking.rowTasks,
  ].map((n) => k.size(n)) as Four2
  const [columnTasks, allRowPanels, panelWords, bOffset] = [
    blocking.columnTasks,
    packed.panels,
    packed.stride,
    form.b.offset,
  ].map((n) => k.size(n)) as Four2
  const numbers = axes.map((axis) => new ClassNumbers(k, axis))
  const [ofY, ofX] = numbers as [ClassNumbers, ClassNumbers]
  const strides = p.shiftStrides.map((s) => k.size(s)) as [Expr, Expr]
  // A line more for each shift, over which packing may write.
  const panelSpace = blocking.columnPanels * blockDepth + 1
  const columnsAt = k.reserve('float32', shifts * panelSpace * tile.columns)
  // Sums wait between blocks of the contracted axis; with one block all tiles use the same place.
  const tileSize = tile.rows * tile.columns
  const kept = blocks > 1 ? blocking.rowPanels * blocking.columnPanels * axes[0].classes : 1
  const slots = k.reserve('float32', kept * axes[1].classes * tileSize)
  const slotStride = k.size(blocks > 1 ? axes[1].classes * tileSize : 0)

  k.parallel('t', (t) => {
    const firstRowPanel = k.let('firstRowPanel', mul(rem(t, rowTasks), rowPanels))
    const t1 = k.let('t1', div(t, rowTasks))
    const column0 = k.let('column0', mul(mul(rem(t1, columnTasks), columnPanels), tile.columns))
    const item = k.let('item', div(t1, columnTasks))
    const [bBatch, ...batchAt] = batchAxes.locate(k, item).offsets as [Expr, ...Expr[]]
    const bBase = k.let('bBase', add(bOffset, bBatch))
    const base = batchAt.map((o, v) => k.let('base', add(o, result.offsets[v]!)))
    const ownRows = k.let('ownRows', min(rowPanels, sub(allRowPanels, firstRowPanel)))
    const left = div(add(sub(columnCount, column0), tile.columns - 1), tile.columns)
    const ownColumns = k.let('ownColumns', min(columnPanels, left))
    k.loop('block', 0, blockCount, 1, (block) => {
      const from = k.let('from', min(mul(block, blockSize), depthSize))
      const to = k.let('to', min(add(from, blockSize), depthSize))
      const kc = k.let('kc', sub(to, from))
      const lines = k.let('lines', add(mul(ownColumns, kc), 1))
      const target = { target: columnsAt.buffer, at: columnsAt.at }
      const panels = { first: column0, panels: ownColumns, shiftSize: k.let('shiftSize', mul(lines, tile.columns)) }
      if (p.isCopied)
        emitPackShifted(k, { ...source, shifts: [ofY.shifts, ofX.shifts], strides }, tile, {
          base: bBase,
          from,
          to,
          ...target,
          ...panels,
        })
      else
        emitPackPanels(
          k,
          source,
          { rows: tile.columns, lanes: tile.lanes },
          { base: bBase, row: column0, from, to, ...target },
          ownColumns,
        )
      k.loop('j', 0, ownColumns, 1, (j) => {
        const column = k.let('column', add(column0, mul(j, tile.columns)))
        const bAt = k.let('bAt', add(columnsAt.at, mul(mul(j, tile.columns), kc)))
        k.loop('i', 0, ownRows, 1, (i) => {
          const panel = k.let('panel', add(firstRowPanel, i))
          const aAt = k.let('aAt', add(mul(add(mul(item, allRowPanels), panel), panelWords), mul(from, tile.rows)))
          k.loop('classY', 0, ofY.classes, 1, (classY) => {
            const y = ofY.of(classY)
            const tiles = mul(add(mul(add(mul(j, ownRows), i), ofY.classes), classY), slotStride)
            const slot = k.let('slot', add(slots.at, tiles))
            k.loop('classX', 0, store.classes, 1, (classX) => {
              const x = ofX.of(classX)
              const own = k.let('own', add(slot, mul(classX, tileSize)))
              const reader: RowReader = (body) =>
                k.loop('ty', 0, y.taps, 1, (ty) => {
                  k.loop('tx', 0, x.taps, 1, (tx) => {
                    const tap = add(mul(y.tap(ty), ofX.allTaps), x.tap(tx))
                    const weights = k.let('weights', add(aAt, mul(mul(tap, depthSize), tile.rows)))
                    const shift = k.let('shift', mul(add(mul(y.shift(ty), ofX.shifts), x.shift(tx)), lines))
                    k.unrolled('step', 0, kc, COPIES, (step) => {
                      const pa = k.let('pa', add(weights, mul(step, tile.rows)))
                      body(add(shift, step), (r) => load(a, add(pa, r)))
                    })
                  })
                })
              const sums = emitMicroKernel(k, tile, reader, columnsAt.buffer, bAt)
              eachSum(sums, tile, (sum, at) => {
                const place = add(own, at)
                k.if(ne(block, 0), () => k.assign(sum, add(sum, load(slots.buffer, place, tile.lanes))))
                k.store(slots.buffer, place, sum)
              })
            })
            k.if(eq(add(block, 1), blockCount), () =>
              store.emit(base, rowAxes, {
                sums: slots.buffer,
                at: slot,
                row: k.let('row', mul(panel, tile.rows)),
                rows: rowCount,
                column,
                columns: columnCount,
                classY,
              }),
            )
          })
        })
      })
    })
  })
  const products = rows * columns * depth * taps
  const flops = 2 * batch * products
  const bytes =
    batch * (rows * depth * taps + depth * columns) * sizeOf(form.b.dtype) +
    batch * rows * columns * classes * sizeOf(form.out.dtype)
  list.steps.push(k.step(batch * blocking.rowTasks * blocking.columnTasks, 1, flops, bytes))
}

type Four = [number, number, number, number]
type Four2 = [Expr, Expr, Expr, Expr]

/** Of the class r of an axis: its taps, and the shifts that they read. */
class ClassNumbers {
  readonly classes: Expr
  readonly shifts: Expr
  readonly allTaps: Expr
  private readonly k: Assembler
  private readonly padding: Expr
  private readonly low: Expr
  private readonly step: Expr

  constructor(k: Assembler, axis: ClassAxis) {
    this.k = k
    this.classes = k.size(axis.classes)
    this.shifts = k.size(axis.shifts)
    this.allTaps = k.size(axis.taps)
    this.padding = k.size(axis.padding)
    this.low = k.size(axis.low)
    this.step = k.size(axis.step)
  }

  of(r: Expr): { taps: Expr; tap: (n: Expr) => Expr; shift: (n: Expr) => Expr } {
    const { k, classes } = this
    const reached = k.let('reached', add(r, this.padding))
    const first = k.let('tap', rem(reached, classes))
    const taps = k.let('taps', max(0, div(add(sub(this.allTaps, first), sub(classes, 1)), classes)))
    const shift = k.let('first', div(sub(div(reached, classes), this.low), this.step))
    return { taps, tap: (n) => add(first, mul(n, classes)), shift: (n) => sub(shift, n) }
  }
}
