/**
 * The gradient of an unpacked convolution's weights: sums over positions, along which vectors run, for a tile of filters and taps. Lanes are
 * added at the end of a part of the sum; parts depend on the problem only, so that results do not depend on the threads.
 */
import type { Capabilities } from '../capabilities.ts'
import {
  add,
  convert,
  div,
  fma,
  ge,
  index,
  load,
  lt,
  min,
  mul,
  ne,
  ramp,
  reduceLanes,
  rem,
  select,
  splat,
  sub,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { registerTile } from './blocking.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import { lanesFor, TapOffsets, tapsName, zeros, type Taps } from './unpacked.ts'
import { addParts } from './split.ts'

/** Parts that the sum is cut into, along its outermost letter. */
const PARTS = 16

/** The last of the contracted letters is that of the vectors; the last of the columns is the tap, if there are several. */
export function lowerUnpackedGradient(form: Form, taps: Taps, capabilities: Capabilities, list: StepList): void {
  const [batch, rows, columns] = [form.batch, form.rows, form.columns].map(formSize) as [number, number, number]
  const run = form.contracted.at(-1)!
  const outer = form.contracted.slice(0, -1)
  const lanes = lanesFor(run.size, capabilities)
  const tile = tileFor(capabilities)
  const length = outer[0]?.size ?? 1
  const perPart = Math.max(1, Math.ceil(length / PARTS))
  const splits = Math.max(1, Math.ceil(length / perPart))
  const slab = batch * rows * columns
  const parts = list.temporary(4 * slab * splits)
  const rowTiles = Math.ceil(rows / tile.rows)

  const k = new Assembler(
    `unpacked gradient ${tile.rows}x${tile.columns}x${lanes} ${tapsName(taps)} ${outer.length}`,
    `unpacked ${form.title}`,
  )
  const a = k.memory(form.a.memory, form.a.dtype, 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const out = k.memory(parts, 'float32', 'write')
  const rowAxes = new FlatAxes(k, mergeAxes(axesIn(form.rows, ['a']), 1), 1)
  const channels = taps.count > 1 ? form.columns.slice(0, -1) : form.columns
  const columnAxes = new FlatAxes(k, mergeAxes(axesIn(channels, ['b']), 1), 1)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['a', 'b']), 2), 2)
  const walked = outer.map((x) => ({ size: k.size(x.size), strides: [k.stride(x.a), k.stride(x.b)] as const }))
  const offsets = new TapOffsets(k, taps)
  const [runSize, rowCount, columnCount, tileCount] = [run.size, rows, columns, rowTiles].map((n) => k.size(n)) as Four
  const [splitCount, partSize, aOffset, bOffset] = [splits, perPart, form.a.offset, form.b.offset].map((n) =>
    k.size(n),
  ) as Four
  const batchCount = k.size(batch)

  k.parallel('t', (t) => {
    const row0 = k.let('row0', mul(rem(t, tileCount), tile.rows))
    const t1 = k.let('t1', div(t, tileCount))
    const part = k.let('part', rem(t1, splitCount))
    const item = k.let('item', div(t1, splitCount))
    const [aItem, bItem] = batchAxes.locate(k, item).offsets as [Expr, Expr]
    const aBase = k.let('aBase', add(aOffset, aItem))
    const bBase = k.let('bBase', add(bOffset, bItem))
    const starts = Array.from({ length: tile.rows }, (_, r) => {
      const row = k.let('row', min(add(row0, r), sub(rowCount, 1)))
      return k.let('a', add(aBase, rowAxes.locate(k, row).offsets[0]!))
    })
    const whole = k.let('whole', sub(runSize, rem(runSize, lanes)))
    const last = k.let('last', sub(runSize, lanes))
    const isNew = k.let('isNew', ge(ramp(last, lanes), splat(convert(whole, 'i32'), lanes)))
    k.loop('q', 0, columnCount, tile.columns, (q) => {
      const windows = Array.from({ length: tile.columns }, (_, n) => {
        const column = k.let('column', min(add(q, n), sub(columnCount, 1)))
        const channel = k.let('channel', div(column, taps.count))
        const tap = k.let('tap', rem(column, taps.count))
        return k.let('b', add(add(bBase, columnAxes.locate(k, channel).offsets[0]!), offsets.at(tap)))
      })
      const sums = starts.map(() => windows.map(() => k.declare('sum', zeros(lanes))))
      const step = (aAt: Expr, bAt: Expr, given: (x: Expr) => Expr): void => {
        const values = windows.map((w) => k.let('w', given(load(b, add(w, bAt), lanes))))
        starts.forEach((s, r) => {
          const value = k.let('g', given(load(a, add(s, aAt), lanes)))
          values.forEach((w, n) => k.assign(sums[r]![n]!, fma(value, w, sums[r]![n]!)))
        })
      }
      const walk = (axis: number, aAt: Expr, bAt: Expr): void => {
        const here = walked[axis]
        if (here) {
          const from = axis === 0 ? mul(part, partSize) : index(0)
          const to = axis === 0 ? min(mul(add(part, 1), partSize), here.size) : here.size
          k.loop('i', from, to, 1, (i) => {
            const [aHere, bHere] = [aAt, bAt].map((o, v) => k.let('o', add(o, mul(i, here.strides[v]!)))) as [
              Expr,
              Expr,
            ]
            walk(axis + 1, aHere, bHere)
          })
          return
        }
        k.loop('x', 0, whole, lanes, (x) => step(k.let('x', add(aAt, x)), k.let('x', add(bAt, x)), (v) => v))
        // What is left of a row is the end of a vector whose other lanes were added already. Neither operand may count there: it may be infinite.
        k.if(ne(whole, runSize), () => {
          step(k.let('x', add(aAt, last)), k.let('x', add(bAt, last)), (v) => select(isNew, v, zeros(lanes)))
        })
      }
      walk(0, index(0), index(0))
      const slabAt = k.let('slabAt', mul(mul(add(mul(part, batchCount), item), rowCount), columnCount))
      sums.forEach((list, r) => {
        k.if(lt(add(row0, r), rowCount), () => {
          const at = k.let('at', add(slabAt, add(mul(add(row0, r), columnCount), q)))
          list.forEach((sum, n) => {
            k.if(lt(add(q, n), columnCount), () => k.store(out, add(at, n), reduceLanes('add', sum)))
          })
        })
      })
    })
  })
  const depth = formSize(form.contracted)
  const bytes = 4 * batch * depth * (rows + columns / taps.count)
  list.steps.push(k.step(batch * splits * rowTiles, 1, 2 * slab * depth, bytes))
  addParts(form, capabilities, parts, { batch, rows, columns, slab, splits }, list)
}

type Four = [Expr, Expr, Expr, Expr]

/**
 * As many accumulators as a product has, nearly square: a step loads the sum of the sides, and multiplies their product. The vectors of the shorter side, the
 * columns, are held meanwhile, beside one of the other: with 12 accumulators of 16 registers no other tile fits.
 */
function tileFor(capabilities: Capabilities): { readonly rows: number; readonly columns: number } {
  const { rows, vectors } = registerTile(capabilities)
  const accumulators = rows * vectors
  const side = Math.floor(Math.sqrt(accumulators))
  return { rows: Math.floor(accumulators / side), columns: side }
}
