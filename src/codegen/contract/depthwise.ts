/**
 * Depthwise convolutions, each channel of which has its own small window: a register tile of several rows of the result and two vectors side by
 * side. A row of the image is loaded once for all rows of the tile that it reaches, instead of once for each of their taps, since loads at any
 * element cross cache lines and take longer than the multiply-adds. Bands of rows are copied to scratch with zeros around them, and as runs of
 * every s-th element where the window moves by s, so that no tap needs a test and all loads are vectors. Sums of a window's columns are a loop,
 * its rows are laid out.
 */
import { add, div, fma, ge, index, load, max, min, mul, rem, splat, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { hasTerm, letterStride, originOf, type AffineDim, type Term } from './affine.ts'
import { Assembler } from './assembler.ts'
import { FlatAxes, mergeAxes, type Axis } from './axes.ts'
import { registerTile } from './blocking.ts'
import { planeOf, type DirectProblem, type Plane } from './direct-scheme.ts'
import type { StepList } from './form.ts'
import { copyRuns } from './relayout.ts'
import { ResultStore } from './store.ts'
import { zeros } from './unpacked.ts'

/** Rows of a window that are laid out. */
const MOST_TAPS = 7
/** Steps of a window that are laid out. */
const MOST_STEP = 3
/** Taps of a window that are laid out all, instead of by columns. */
const LAID_OUT = 9
const GRAIN_FLOPS = 100_000

/** A window on an axis of the image: coordinate = position * step + tap * dilation + shift. */
interface Window {
  readonly dim: AffineDim
  readonly position: Term
  /** Null where there is none on this axis. */
  readonly tap: Term | null
}

interface Depthwise {
  readonly plane: Plane
  readonly columns: Window
  readonly rows: Window
  /** Letters of the result that are no positions. */
  readonly outer: readonly number[]
}

/** Writes the step of one case, or returns false where it is no such convolution, or rows are shorter than a vector. */
export function lowerDepthwise(d: DirectProblem, list: StepList): boolean {
  const depthwise = depthwiseOf(d)
  if (!depthwise) return false
  emit(d, depthwise, list)
  return true
}

function depthwiseOf(d: DirectProblem): Depthwise | null {
  const { out, sizes } = d.case
  const plane = planeOf(d)
  if (!plane?.middle) return null
  const columns = windowOf(plane.inner, d)
  const rows = windowOf(plane.middle, d)
  if (!columns?.tap || !rows) return null
  const own = new Set([columns, rows].flatMap((w) => w.dim.terms.map((t) => t.letter)))
  const others = [...sizes.keys()].filter((l) => !own.has(l) && !d.absent.has(l))
  const isPlain = (w: Window): boolean =>
    hasTerm(out, w.position.letter) && !hasTerm(d.other.dims, w.position.letter) && w.position.factor > 0
  if (!isPlain(columns) || !isPlain(rows) || !others.every((l) => hasTerm(out, l))) return null
  if ([columns, rows].some((w) => w.tap && (hasTerm(out, w.tap.letter) || !hasTerm(d.other.dims, w.tap.letter))))
    return null
  if (plane.inner.stride !== 1 || letterStride(out, columns.position.letter) !== 1) return null
  const step = columns.position.factor
  if (step > MOST_STEP || (step > 1 && columns.tap.factor !== 1) || plane.phases !== step) return null
  if (rows.position.factor > MOST_STEP || Math.abs(rows.tap?.factor ?? 1) > MOST_STEP) return null
  const taps = [columns, rows].map((w) => (w.tap ? sizes.get(w.tap.letter)! : 1))
  if (taps.some((n) => n < 1 || n > MOST_TAPS)) return null
  if (sizes.get(columns.position.letter)! < registerTile(d.problem.capabilities).lanes) return null
  return { plane, columns, rows, outer: others }
}

function windowOf(dim: AffineDim, d: DirectProblem): Window | null {
  const positions = dim.terms.filter((t) => !d.taps.has(t.letter))
  const taps = dim.terms.filter((t) => d.taps.has(t.letter))
  if (positions.length !== 1 || taps.length > 1) return null
  return { dim, position: positions[0]!, tap: taps[0] ?? null }
}

interface Tiles {
  readonly rows: number
  /** Vectors side by side: three as long as two do not make up the rest of a row, then two. */
  readonly vectors: readonly number[]
}

/** Tiles for the rows of a band, those of most rows first: their sums, the taps of a column and a vector of the image are in registers. */
function tilesOf(lanes: number): readonly [Tiles, ...Tiles[]] {
  const tiles = (rows: number, ...vectors: number[]): Tiles => ({ rows, vectors })
  if (lanes >= 16) return [tiles(4, 3, 2), tiles(2, 3, 2), tiles(1, 2)]
  return lanes >= 8 ? [tiles(4, 2), tiles(2, 2), tiles(1, 2)] : [tiles(2, 2), tiles(1, 2)]
}

function emit(d: DirectProblem, { plane, columns, rows, outer }: Depthwise, list: StepList): void {
  const { problem, case: c, windowed, other } = d
  const { capabilities, epilogue } = problem
  const { lanes } = registerTile(capabilities)
  const size = (w: Window): number => c.sizes.get(w.position.letter)!
  const taps = (w: Window): number => (w.tap ? c.sizes.get(w.tap.letter)! : 1)
  const [height, width, tapRows, tapColumns] = [size(rows), size(columns), taps(rows), taps(columns)]
  const [step, dilation] = [rows.position.factor, rows.tap?.factor ?? 1]
  const tiles = tilesOf(lanes)
  const isLaidOut = tapRows * tapColumns <= LAID_OUT

  const template = `depthwise ${lanes} ${tapRows} ${isLaidOut ? tapColumns : 'many'} ${step} ${dilation} ${plane.phases}`
  const k = new Assembler(template, `depthwise ${d.title}`)
  const source = k.memory(windowed.view.memory, windowed.view.dtype, 'read')
  const weights = k.memory(other.view.memory, other.view.dtype, 'read')
  const operandDims = (epilogue?.operands ?? []).map((o) => c.out.map((dim, i) => ({ ...dim, stride: o.strides[i]! })))
  const result = new ResultStore(
    k,
    {
      memory: { kind: 'out' },
      dtype: problem.outDType ?? problem.dtype,
      offset: problem.out.offset + originOf(c.out),
    },
    epilogue && {
      ...epilogue,
      operands: epilogue.operands.map((o, n) => ({ ...o, offset: o.offset + originOf(operandDims[n]!) })),
    },
  )
  const results = [c.out, ...operandDims]
  const views = 2 + results.length
  const axes = outer.map((l): Axis => ({
    size: c.sizes.get(l)!,
    strides: [windowed.dims, other.dims, ...results].map((dims) => letterStride(dims, l)),
  }))
  const items = axes.reduce((n, a) => n * a.size, 1)
  const tasks = new FlatAxes(k, mergeAxes(axes, views), views)
  const resultStrides = (w: Window): Expr[] => results.map((dims) => k.stride(letterStride(dims, w.position.letter)))
  const [rowStrides, columnStrides] = [resultStrides(rows), resultStrides(columns)]
  const tapStride = (w: Window): Expr => k.stride(w.tap ? letterStride(other.dims, w.tap.letter) : 0)
  const [rowTap, columnTap] = [tapStride(rows), tapStride(columns)]
  const outside = windowed.dims.filter((dim) => dim !== plane.inner && dim !== plane.middle)
  const sourceOffset = k.size(windowed.view.offset + originOf(outside))
  const weightOffset = k.size(other.view.offset + originOf(other.dims))

  const rowSize = plane.run * plane.phases
  const reach = (tapRows - 1) * Math.abs(dilation) + 1
  const bandRows = bandOf(d, { height, items, rowSize, step, reach, least: tiles[0].rows })
  const bands = Math.ceil(height / bandRows)
  const scratchRows = (Math.min(bandRows, height) - 1) * step + reach
  const scratch = k.reserve('float32', scratchRows * rowSize)
  const [allRows, ownRows, bandCount] = [height, bandRows, bands].map((n) => k.size(n)) as [Expr, Expr, Expr]
  const [allColumns, columnCount] = [k.size(width), k.size(tapColumns)]
  const vectorCount = k.size(Math.ceil(width / lanes))
  const inner = {
    size: k.size(plane.inner.size),
    stride: index(1),
    low: k.size(plane.low.inner),
    length: k.size(rowSize),
  }
  const run = plane.phases === 1 ? inner.length : k.size(plane.run)
  const middle = {
    size: k.size(plane.middle!.size),
    stride: k.stride(plane.middle!.stride),
    low: k.size(plane.low.middle),
  }
  // Of the first tap in the first row and column of a band.
  const firstRow = dilation < 0 ? -(tapRows - 1) * dilation : 0
  const first = k.size(firstRow * rowSize + (plane.phases === 1 ? plane.inner.shift - plane.low.inner : 0))
  const columnDilation = k.stride(columns.tap!.factor)

  /** Tiles of so many rows from `row` on, along the whole width. */
  const tile = ({ rows: count, vectors }: Tiles, row: Expr, { planeAt, to, weightAt, threes }: BandPlace): void => {
    const rowAt = k.let('rowAt', add(planeAt, mul(mul(row, step), inner.length)))
    /** The taps by the row of the image that they read, counted from the tile's first. */
    const readers = new Map<number, { readonly row: number; readonly tap: number }[]>()
    for (let r = 0; r < count; r++) {
      for (let tap = 0; tap < tapRows; tap++) {
        const at = r * step + tap * dilation
        readers.set(at, [...(readers.get(at) ?? []), { row: r, tap }])
      }
    }
    const images = [...readers].sort(([a], [b]) => a - b)
    const starts = images.map(([at]) => k.let('rowAt', add(rowAt, mul(inner.length, at))))
    const targets = Array.from({ length: count }, (_, r) =>
      to.map((o, view) => k.let('to', add(o, mul(add(row, r), rowStrides[view]!)))),
    )
    const last = k.let('last', sub(allColumns, lanes))
    const columnsFrom = (from: Expr, to: Expr, vectors: number): void =>
      k.loop('x', from, to, vectors * lanes, (x) => {
        const places = Array.from({ length: vectors }, (_, v) => k.let('x', min(add(x, v * lanes), last)))
        const sums = Array.from({ length: count }, () => places.map(() => k.declare('sum', zeros(lanes))))
        const column = (at: Expr, tapAt: Expr): void => {
          const factors = Array.from({ length: tapRows }, (_, tap) =>
            k.let('w', splat(load(weights, add(tapAt, mul(rowTap, tap))), lanes)),
          )
          images.forEach(([, taps], n) => {
            const line = k.let('line', add(starts[n]!, at))
            places.forEach((place, v) => {
              const image = k.let('image', load(scratch.buffer, add(line, place), lanes))
              for (const t of taps) k.assign(sums[t.row]![v]!, fma(factors[t.tap]!, image, sums[t.row]![v]!))
            })
          })
        }
        if (isLaidOut) {
          for (let j = 0; j < tapColumns; j++) {
            const at =
              plane.phases === 1
                ? mul(columnDilation, j)
                : add(mul(run, j % plane.phases), Math.floor(j / plane.phases))
            column(k.let('o', at), k.let('tapAt', add(weightAt, mul(columnTap, j))))
          }
        } else if (plane.phases === 1) {
          k.loop('j', 0, columnCount, 1, (j) =>
            column(k.let('o', mul(j, columnDilation)), k.let('tapAt', add(weightAt, mul(j, columnTap)))),
          )
        } else {
          k.loop('phase', 0, min(plane.phases, columnCount), 1, (phase) => {
            const start = k.let('start', mul(phase, run))
            const count = k.let('count', div(add(sub(columnCount, phase), plane.phases - 1), plane.phases))
            k.loop('j', 0, count, 1, (j) => {
              const tap = add(mul(j, plane.phases), phase)
              column(k.let('o', add(start, j)), k.let('tapAt', add(weightAt, mul(tap, columnTap))))
            })
          })
        }
        sums.forEach((row, r) =>
          row.forEach((sum, v) => {
            const at = targets[r]!.map((o, view) => k.let('at', add(o, mul(places[v]!, columnStrides[view]!))))
            result.store(sum, at, columnStrides, lanes)
          }),
        )
      })
    if (vectors.length === 1) return columnsFrom(index(0), allColumns, vectors[0]!)
    columnsFrom(index(0), threes, 3)
    columnsFrom(threes, allColumns, 2)
  }

  k.parallel('t', (t) => {
    const band = k.let('band', mul(rem(t, bandCount), ownRows))
    const located = tasks.locate(k, k.let('item', div(t, bandCount))).offsets
    const imageAt = k.let('imageAt', add(located[0]!, sourceOffset))
    const weightAt = k.let('weightAt', add(located[1]!, weightOffset))
    const to = results.map((_, view) =>
      k.let('base', add(add(located[view + 2]!, result.offsets[view]!), mul(band, rowStrides[view]!))),
    )
    const here = k.let('here', min(ownRows, sub(allRows, band)))
    const low = k.let('low', add(middle.low, mul(band, step)))
    const length = k.let('length', add(mul(sub(here, 1), step), reach))
    copyRuns(
      k,
      { from: source, to: scratch.buffer, zero: zeros(1) },
      { ...middle, low, length },
      inner,
      { outerAt: imageAt, target: scratch.at },
      { phases: plane.phases, run, lanes },
    )
    const planeAt = k.let('planeAt', add(scratch.at, first))
    // Columns in passes of three vectors: behind them are none, two or four, or there is only one.
    const threes = k.let('threes', mul(max(sub(vectorCount, mul(rem(mul(vectorCount, 2), 3), 2)), 0), lanes))
    const place = { planeAt, to, weightAt, threes }
    const [most, ...fewer] = tiles
    const whole = k.let('whole', sub(here, rem(here, most.rows)))
    k.loop('row', 0, whole, most.rows, (row) => tile(most, row, place))
    const row = k.declare('row', whole)
    for (const t of fewer) {
      k.if(ge(sub(here, row), t.rows), () => {
        tile(t, row, place)
        k.assign(row, add(row, t.rows))
      })
    }
  })
  const elements = items * height * width
  const flops = 2 * tapRows * tapColumns * elements
  const extent = items * bands
  const bytes = 4 * (elements + items * (plane.middle!.size * plane.inner.size + tapRows * tapColumns))
  list.steps.push(k.step(extent, GRAIN_FLOPS / (flops / extent + 1), flops, bytes))
}

interface BandPlace {
  /** Of the band's first tap in scratch. */
  readonly planeAt: Expr
  /** Of the band's first element in the result, then in the operands of the epilogue. */
  readonly to: readonly Expr[]
  readonly weightAt: Expr
  readonly threes: Expr
}

interface BandSizes {
  readonly height: number
  readonly items: number
  /** Elements of a row in scratch. */
  readonly rowSize: number
  readonly step: number
  /** Rows of the image that one row of the result reads. */
  readonly reach: number
  readonly least: number
}

/** Rows of the result in a task: what it reads fits half of the first-level cache, and threads end together. */
function bandOf(d: DirectProblem, { height, items, rowSize, step, reach, least }: BandSizes): number {
  const { cacheBytes, threads } = d.problem.capabilities
  const fitting = Math.floor((cacheBytes[0] / 2 / (4 * rowSize) - reach) / step) + 1
  const wanted = threads === 1 ? 1 : Math.ceil((4 * threads) / items)
  const even = Math.ceil(height / wanted)
  const rows = Math.max(least, Math.floor(Math.min(fitting, even) / least) * least)
  // Bands of about one height.
  const bands = Math.ceil(height / rows)
  return Math.ceil(Math.ceil(height / bands) / least) * least
}
