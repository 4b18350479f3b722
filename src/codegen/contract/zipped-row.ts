/**
 * Transposed convolutions to one channel, and input gradients of strided convolutions from one: without rows to share what is packed, columns are
 * read where they lie. A vector of positions meets the taps of all classes that reach it while it is in a register; the sums of a row pass
 * through scratch, from which classes are stored interleaved.
 */
import type { Capabilities } from '../capabilities.ts'
import { add, div, fma, ge, index, load, min, mul, rem, splat, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { registerTile } from './blocking.ts'
import { axesIn, formSize, type StepList } from './form.ts'
import { ResultStore } from './store.ts'
import { zeros } from './unpacked.ts'
import { classesOf, ONE_CLASS, type ClassTap, type ZippedProblem } from './zipped-scheme.ts'
import { interleavedOf, ZippedStore } from './zipped-store.ts'

/** Taps of all classes, which are laid out one by one. */
const MOST_TAPS = 64
/** Vectors side by side, and tiles of them whose sums wait in scratch. */
const [MOST_VECTORS, TILES] = [4, 4]
/** Tiles that lie between asking for a line and reading it: planes are far apart, and no cache follows as many as are summed. */
const AHEAD = 2
const GRAIN_FLOPS = 100_000

/** A class along y and one along x, and the taps of each that meet one shift. */
interface Meeting {
  readonly y: number
  readonly x: number
  readonly taps: readonly [y: number, x: number]
}

/** Whether a problem whose columns are runs of memory can be lowered like that. */
export function fitsZippedRow({ scheme }: Pick<ZippedProblem, 'scheme'>): boolean {
  return interleavedOf(scheme.x.classes) !== null && (scheme.y?.taps ?? 1) * scheme.x.taps <= MOST_TAPS
}

export function lowerZippedRow(p: ZippedProblem, capabilities: Capabilities, list: StepList): void {
  const { form, scheme } = p
  const axes = [scheme.y ?? ONE_CLASS, scheme.x] as const
  const [ofY, ofX] = axes.map(classesOf) as [ClassTap[][], ClassTap[][]]
  const tile = registerTile(capabilities)
  const { lanes } = tile
  const held = tile.rows * tile.vectors
  const together = Math.min(ofY.length, Math.max(1, Math.floor(held / ofX.length)))
  const vectors = Math.max(1, Math.min(MOST_VECTORS, Math.floor(held / (ofX.length * together))))
  const wide = vectors * lanes
  const block = { lanes, rows: 1, vectors, columns: TILES * wide }

  const classes = [ofY, ofX].map((of) => of.map((taps) => taps.map((t) => `${t.tap}:${t.shift}`).join()).join('/'))
  const k = new Assembler(`zipped row ${vectors}x${lanes} ${together} ${classes.join(' ')}`, form.title)
  const a = k.memory(form.a.memory, form.a.dtype, 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const result = new ResultStore(k, form.out, form.epilogue)
  const { views } = result
  const store = new ZippedStore(k, result, block, p.columns)
  const oneRow = new FlatAxes(k, mergeAxes([], views), views)
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, ['a', 'b', 'out', 'operands']), views + 2), views + 2)
  const outer = form.columns.slice(0, -1)
  const outerAxes = new FlatAxes(k, mergeAxes(axesIn(outer, ['b']), 1), 1)
  const summed = mergeAxes(axesIn(form.contracted, ['a', 'b']), 2).map(({ size, strides }) => ({
    size: k.size(size),
    strides: strides.map((s) => k.stride(s)),
  }))
  k.note(`summed ${summed.length}`)
  const [batch, rows, width] = [formSize(form.batch), formSize(outer), form.columns.at(-1)!.size]
  const [rowCount, widthSize, aOffset, bOffset] = [rows, width, form.a.offset, form.b.offset].map((n) =>
    k.size(n),
  ) as Four
  const shiftStrides = p.shiftStrides.map((s) => k.size(s))
  // Taps lead the contracted axes: y before x, where there is a y.
  const tapStrides = p.weights.contracted.slice(0, scheme.y ? 2 : 1).map((axis) => k.stride(axis.a))
  if (!scheme.y) tapStrides.unshift(index(0))
  // Vectors that reach back from the end of a row may begin in front of their block.
  const classSize = ofX.length * block.columns
  const slots = k.reserve('float32', lanes + ofY.length * classSize)

  k.parallel('t', (t) => {
    const row = k.let('row', rem(t, rowCount))
    const [aBatch, bBatch, ...batchAt] = batchAxes.locate(k, k.let('item', div(t, rowCount))).offsets as Several
    const base = batchAt.map((o, v) => k.let('base', add(o, result.offsets[v]!)))
    const weights = k.let('weights', add(aOffset, aBatch))
    const positions = k.let('positions', add(add(bOffset, bBatch), outerAxes.locate(k, row).offsets[0]!))
    const first = k.let('first', mul(row, widthSize))
    const end = k.let('end', add(first, widthSize))
    const tapAt = Array.from({ length: axes[0].taps }, (_, y) =>
      Array.from({ length: axes[1].taps }, (__, x) =>
        k.let('tap', add(weights, add(mul(tapStrides[0]!, y), mul(tapStrides[1]!, x)))),
      ),
    )
    const shiftAt = Array.from({ length: axes[0].shifts }, (_, y) =>
      Array.from({ length: axes[1].shifts }, (__, x) =>
        k.let('shift', add(positions, add(mul(shiftStrides[0]!, y), mul(shiftStrides[1]!, x)))),
      ),
    )
    const sumsAt = k.let('sums', add(slots.at, lanes))
    /** The sums of the vectors that begin at `places` of the row, to scratch from `to` on. */
    const compute = (places: readonly Expr[], to: readonly Expr[], width: number): void => {
      for (let from = 0; from < ofY.length; from += together) {
        const own = ofY.slice(from, from + together)
        const sums = own.map(() => ofX.map(() => places.map(() => k.declare('sum', zeros(width)))))
        const walk = (axis: number, at: readonly [Expr, Expr]): void => {
          const here = summed[axis]
          if (here) {
            k.loop('k', 0, here.size, 1, (i) => {
              const next = at.map((o, v) => k.let('o', add(o, mul(i, here.strides[v]!))))
              walk(axis + 1, next as [Expr, Expr])
            })
            return
          }
          for (const [shift, meetings] of meetingsOf(own, ofX)) {
            const start = shiftAt[shift[0]]![shift[1]]!
            const from = places.map((place) => k.let('from', add(add(start, place), at[1])))
            if (width === lanes) for (const f of from) k.prefetch(b, add(f, AHEAD * wide))
            const values = from.map((f) => k.let('b', load(b, f, width)))
            for (const { y, x, taps } of meetings) {
              const weight = k.let('a', splat(load(a, add(tapAt[taps[0]]![taps[1]]!, at[0])), width))
              sums[y]![x]!.forEach((sum, v) => k.assign(sum, fma(weight, values[v]!, sum)))
            }
          }
        }
        walk(0, [index(0), index(0)])
        sums.forEach((classes, y) =>
          classes.forEach((ofClass, x) =>
            ofClass.forEach((sum, v) => {
              const slot = (from + y) * classSize + x * block.columns
              k.store(slots.buffer, add(to[v]!, slot), sum)
            }),
          ),
        )
      }
    }
    k.loop('x', 0, widthSize, block.columns, (x) => {
      const own = k.let('own', min(block.columns, sub(widthSize, x)))
      const tileAt = (j: Expr, count: number, width: number): void => {
        const places = Array.from({ length: count }, (_, v) =>
          k.let('place', min(add(x, add(j, v * width)), sub(widthSize, width))),
        )
        compute(
          places,
          places.map((place) => k.let('to', add(sumsAt, sub(place, x)))),
          width,
        )
      }
      k.if(
        ge(widthSize, lanes),
        () => k.loop('j', 0, own, wide, (j) => tileAt(j, vectors, lanes)),
        () => k.loop('j', 0, own, 1, (j) => tileAt(j, 1, 1)),
      )
      k.loop('classY', 0, ofY.length, 1, (classY) =>
        store.emit(base, oneRow, {
          sums: slots.buffer,
          at: k.let('at', add(sumsAt, mul(classY, classSize))),
          row: index(0),
          rows: index(1),
          column: k.let('column', add(first, x)),
          columns: end,
          classY,
        }),
      )
    })
  })
  const depth = formSize(form.contracted)
  const flops = 2 * batch * rows * width * depth * axes[0].taps * axes[1].taps
  const bytes = 4 * batch * rows * width * (depth + ofY.length * ofX.length)
  const extent = batch * rows
  list.steps.push(k.step(extent, GRAIN_FLOPS / (flops / extent + 1), flops, bytes))
}

type Four = [Expr, Expr, Expr, Expr]
type Several = [Expr, Expr, ...Expr[]]

/** By shift: the classes that it reaches. */
function meetingsOf(ofY: ClassTap[][], ofX: ClassTap[][]): [readonly [number, number], Meeting[]][] {
  const found = new Map<string, [readonly [number, number], Meeting[]]>()
  ofY.forEach((tapsY, y) =>
    tapsY.forEach((ty) =>
      ofX.forEach((tapsX, x) =>
        tapsX.forEach((tx) => {
          const key = `${ty.shift} ${tx.shift}`
          const known = found.get(key) ?? [[ty.shift, tx.shift], []]
          known[1].push({ y, x, taps: [ty.tap, tx.tap] })
          found.set(key, known)
        }),
      ),
    ),
  )
  return [...found.values()]
}
