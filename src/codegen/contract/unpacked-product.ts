/** The output of an unpacked convolution: sums for a tile of filters and vectors of positions, over all channels and taps at once. */
import type { Capabilities } from '../capabilities.ts'
import { add, div, fma, ge, index, load, lt, min, mul, rem, splat, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { axesSize, FlatAxes, mergeAxes } from './axes.ts'
import { registerTile, roundUp, tileName, type RegisterTile } from './blocking.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import { packPanels, tilePanels } from './packed.ts'
import { lanesFor, TapOffsets, tapsName, zeros, type Taps } from './unpacked.ts'
import { ResultStore } from './store.ts'

/** Vectors of a task: long enough that rows of the result are written in long runs, short enough that what they read stays in the nearest cache. */
const TASK_VECTORS = 96

/** The last of the columns is the letter of the vectors; the last of the contracted ones is the tap, if there are several. */
export function lowerUnpackedProduct(form: Form, taps: Taps, capabilities: Capabilities, list: StepList): void {
  const operands = form.epilogue?.operands.length ?? 0
  const views = 2 + operands
  const columns = mergeAxes(axesIn(form.columns, ['b', 'out', 'operands']), views)
  const run = columns.at(-1)!
  const outer = columns.slice(0, -1)
  const [rows, depth, batch] = [form.rows, form.contracted, form.batch].map(formSize) as [number, number, number]
  const tile = tileFor(rows, lanesFor(run.size, capabilities), capabilities)
  const { lanes } = tile
  const packed = packPanels(form, 'a', tilePanels(tile, 'a', Math.max(4, depth)), list)

  const k = new Assembler(`unpacked product ${tileName(tile)} ${tapsName(taps)}`, `unpacked ${form.title}`)
  const a = k.memory(packed.memory, 'float32', 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const store = new ResultStore(k, form.out, form.epilogue)
  const rowAxes = new FlatAxes(k, mergeAxes(axesIn(form.rows, ['out', 'operands']), views - 1), views - 1)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['b', 'out', 'operands']), views), views)
  const outerAxes = new FlatAxes(k, mergeAxes(outer, views), views)
  const strides = run.strides.map((s) => k.stride(s)).slice(1)
  const walked = taps.count > 1 ? form.contracted.slice(0, -1) : form.contracted
  const inner = mergeAxes(axesIn(walked, ['b']), 1).map((x) => ({
    size: k.size(x.size),
    stride: k.stride(x.strides[0]!),
  }))
  k.note(`inner ${inner.length}`)
  const offsets = new TapOffsets(k, taps)
  const panels = Math.ceil(rows / tile.rows)
  const vectorsInRow = Math.ceil(run.size / lanes)
  const vectors = axesSize(outer) * vectorsInRow
  const tasks = taskCount(vectors, batch, capabilities)
  const perTask = roundUp(Math.ceil(vectors / tasks), tile.vectors)
  const [runSize, perRow, allVectors, ownVectors] = [run.size, vectorsInRow, vectors, perTask].map((n) =>
    k.size(n),
  ) as Four
  const [rowCount, panelCount, taskSize, panelStride] = [rows, panels, Math.ceil(vectors / perTask), packed.stride].map(
    (n) => k.size(n),
  ) as Four
  const bOffset = k.size(form.b.offset)
  const scratch = k.reserve('float32', tile.rows * tile.columns)

  k.parallel('t', (t) => {
    const first = k.let('first', mul(rem(t, taskSize), ownVectors))
    const item = k.let('item', div(t, taskSize))
    const end = k.let('end', min(add(first, ownVectors), allVectors))
    const bases = batchAxes
      .locate(k, item)
      .offsets.map((o, v) => k.let('base', add(o, v === 0 ? bOffset : store.offsets[v - 1]!)))
    k.loop('panel', 0, panelCount, 1, (panel) => {
      const panelAt = k.let('panelAt', mul(add(mul(item, panelCount), panel), panelStride))
      const row0 = k.let('row0', mul(panel, tile.rows))
      const ownRows = k.let('ownRows', min(tile.rows, sub(rowCount, row0)))
      const vector = new VectorPlace(k, outerAxes, first, perRow)
      k.loop('j', first, end, tile.vectors, (j) => {
        const places = Array.from({ length: tile.vectors }, (_, v) => {
          const x = k.let('x', min(mul(vector.inRow, lanes), sub(runSize, lanes)))
          const at = vector.offsets.map((o, view) =>
            k.let('at', add(add(bases[view]!, o), view === 0 ? x : mul(x, strides[view - 1]!))),
          )
          // Behind the last vector it is repeated.
          k.if(lt(add(j, v + 1), end), () => vector.next())
          return at
        })
        // Results of large images leave the caches before they are read: their lines, rows apart, are asked for before the sums.
        k.loop('r', 0, ownRows, 1, (r) => {
          const rowOffsets = rowAxes.locate(k, k.let('r', add(row0, r))).offsets
          for (const { buffer, view } of store.streams(strides))
            for (const place of places) k.prefetch(buffer, add(place[view + 1]!, rowOffsets[view]!))
        })
        const sums = Array.from({ length: tile.rows }, () =>
          Array.from({ length: tile.vectors }, () => k.declare('sum', zeros(lanes))),
        )
        const weights = k.declare('weights', panelAt)
        const walk = (axis: number, at: Expr): void => {
          const here = inner[axis]
          if (here) {
            k.loop('k', 0, here.size, 1, (i) => walk(axis + 1, k.let('o', add(at, mul(i, here.stride)))))
            return
          }
          const starts = places.map((p) => k.let('b', add(p[0]!, at)))
          for (const s of starts) k.prefetch(b, add(s, tile.columns))
          for (let tap = 0; tap < taps.count; tap++) {
            const values = starts.map((s) => k.let('b', load(b, add(s, offsets.at(tap)), lanes)))
            sums.forEach((row, r) => {
              const weight = k.let('a', splat(load(a, add(weights, tap * tile.rows + r)), lanes))
              row.forEach((sum, v) => k.assign(sum, fma(weight, values[v]!, sum)))
            })
          }
          k.assign(weights, add(weights, taps.count * tile.rows))
        }
        walk(0, index(0))
        const storeRow = (r: Expr | number, sum: (v: number) => Expr): void => {
          const rowOffsets = rowAxes.locate(k, k.let('r', add(row0, r))).offsets
          places.forEach((place, v) => {
            const at = place.slice(1).map((o, view) => k.let('to', add(o, rowOffsets[view]!)))
            store.store(sum(v), at, strides, lanes)
          })
        }
        const keep = (): void =>
          sums.forEach((row, r) =>
            row.forEach((sum, v) => k.store(scratch.buffer, add(scratch.at, r * tile.columns + v * lanes), sum)),
          )
        const fromScratch = (): void => {
          keep()
          k.loop('r', 0, ownRows, 1, (r) => {
            const from = k.let('from', add(scratch.at, mul(r, tile.columns)))
            storeRow(r, (v) => load(scratch.buffer, add(from, v * lanes), lanes))
          })
        }
        if (store.hasEpilogue) fromScratch()
        else k.if(ge(ownRows, tile.rows), () => sums.forEach((row, r) => storeRow(r, (v) => row[v]!)), fromScratch)
      })
    })
  })
  const columnCount = axesSize(columns)
  const flops = 2 * batch * rows * columnCount * depth
  const bytes = 4 * batch * (rows * depth + rows * columnCount + (depth / taps.count) * columnCount)
  list.steps.push(k.step(batch * Math.ceil(vectors / perTask), 1, flops, bytes))
}

/** Where the vectors of rows lie, one after another: divisions locate a row, not each of its vectors. */
class VectorPlace {
  private readonly k: Assembler
  private readonly axes: FlatAxes
  private readonly perRow: Expr
  private readonly row: Expr
  /** Number of the vector in its row. */
  readonly inRow: Expr
  /** Of the row, in each view. */
  readonly offsets: readonly Expr[]

  constructor(k: Assembler, axes: FlatAxes, first: Expr, perRow: Expr) {
    this.k = k
    this.axes = axes
    this.perRow = perRow
    this.row = k.declare('row', div(first, perRow))
    this.inRow = k.declare('inRow', rem(first, perRow))
    this.offsets = axes.locate(k, this.row).offsets.map((o) => k.declare('rowAt', o))
  }

  next(): void {
    const { k, axes, row, inRow, offsets } = this
    k.assign(inRow, add(inRow, 1))
    k.if(ge(inRow, this.perRow), () => {
      k.assign(inRow, 0)
      k.assign(row, add(row, 1))
      axes.locate(k, row).offsets.forEach((o, view) => k.assign(offsets[view]!, o))
    })
  }
}

type Four = [Expr, Expr, Expr, Expr]

function tileFor(rows: number, lanes: number, capabilities: Capabilities): RegisterTile {
  const { rows: most, vectors } = registerTile(capabilities)
  return { lanes, rows: rows > 4 ? most : 4, vectors, columns: vectors * lanes }
}

/** Tasks of one item: enough that threads end together. */
function taskCount(vectors: number, batch: number, capabilities: Capabilities): number {
  const wanted = capabilities.threads === 1 ? 1 : Math.ceil((4 * capabilities.threads) / batch)
  return Math.max(1, Math.min(vectors, Math.max(wanted, Math.ceil(vectors / TASK_VECTORS))))
}
