/**
 * Depthwise convolutions and the gradients of their inputs. A band of rows of one channel is copied to scratch with the zeros around it; a tile of
 * four rows of results then meets each vector of the band once for every tap to the right, whose weights stay in registers. Results of a
 * tile pass through scratch, where rows of any width end in whole vectors, and where the results of a gradient with stride 2 along x, which come
 * as even and odd ones, lie side by side.
 */
import type { Capabilities } from '../capabilities.ts'
import {
  add,
  constant,
  div,
  fma,
  gt,
  index,
  load,
  min,
  mul,
  rem,
  splat,
  sub,
  zip,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { axesSize, FlatAxes, mergeAxes } from './axes.ts'
import { BAND_SLACK, copyBand, eachVector } from './band.ts'
import { registerTile, roundUp } from './blocking.ts'
import type { Along, Depthwise, DepthwiseProblem } from './depthwise-scheme.ts'
import { originOf } from './affine.ts'
import { resultView, type StepList } from './form.ts'
import { ResultStore } from './store.ts'

/** Rows of a tile, and tiles of the rows that are left where there are few. */
const TILE = { rows: 4, vectors: 1 }
const REST = { rows: 2, vectors: 2 }
const ONE_ROW = { rows: 1, vectors: 4 }
const GRAIN_FLOPS = 100_000
/** Vectors of a tile of all rows of a low plane. */
const vectorsOfRows = (rows: number): number => (rows === 1 ? 4 : rows === 2 ? 2 : 1)
/**
 * Planes of so few rows that every seventh tap or more lies above or below them, where weights never change (networks that train meet all sizes):
 * their kernels know which taps those are. On one AVX-512 core 480 channels of 2x160 with windows of 5x5 went from 0.103 to 0.053 ms, 336 of 4x160 with 3x3 from 0.070 to 0.058.
 */
const LOW_PLANE = 0.85

interface Tile {
  readonly rows: number
  readonly vectors: number
}

/** The part of the result whose rows are `outStep` apart: one case, or the even and the odd results along x. */
interface Rows {
  readonly y: Along | null
  /** By place along x. */
  readonly cases: readonly { readonly number: number; readonly x: Along; readonly y: Along | null }[]
}

export function lowerDepthwise(d: DepthwiseProblem, s: Depthwise, capabilities: Capabilities, list: StepList): void {
  const { problem } = d
  const { lanes } = registerTile(capabilities)
  const parts = rowsOf(s)
  const step = s.x.step
  const countX = Math.max(...s.cases.map((c) => c.x.count))
  const countY = Math.max(...s.cases.map((c) => c.y?.count ?? 1))
  const interleaved = parts[0]!.cases.length
  const width = parts[0]!.cases.reduce((n, c) => n + c.x.count, 0)
  const run = Math.ceil(((countX - 1) * step + s.x.span) / step)
  const rowElements = run * step
  const [stepY, spanY] = [s.y?.step ?? 1, s.y?.span ?? 1]
  const tasks = mergeAxes(s.tasks, 3 + (problem.epilogue?.operands.length ?? 0))
  const low = lowPlane(d, s)
  const tile = low ? { rows: countY, vectors: vectorsOfRows(countY) } : s.y ? TILE : ONE_ROW
  const rows = low
    ? countY
    : bandRows(countY, tile.rows, { elements: rowElements, stepY, spanY }, axesSize(tasks), capabilities)
  const bands = Math.ceil(countY / rows)

  const name = s.cases
    .map(({ x, y }) => [x, y].map((a) => (a ? `${a.taps} ${a.step} ${a.dilation} ${a.outStep}` : '-')).join(' '))
    .join(' | ')
  const k = new Assembler(
    `depthwise${low ? ` ${countY} from ${low.height} at ${low.first}` : ''} ${lanes} ${name} of ${parts.map((p) => p.cases.map((c) => c.number).join(' ')).join(' | ')}`,
    d.title,
  )
  const source = k.memory(d.windowed.view.memory, d.windowed.view.dtype, 'read')
  const other = k.memory(d.other.view.memory, d.other.view.dtype, 'read')
  const store = new ResultStore(k, resultView(problem, 0), problem.epilogue)
  const taskAxes = new FlatAxes(k, tasks, 2 + store.views)
  const down = s.down.map((v) => k.stride(v))
  const right = s.right.map((v) => k.stride(v))
  const outerDims = d.windowed.dims[0]!.filter((dim) => dim.terms.length === 1)
  const sourceAt = k.size(d.windowed.view.offset + originOf(outerDims))
  // Vectors may begin in the last row's last element.
  const vectors = s.y && !low ? Math.max(tile.vectors, REST.vectors) : tile.vectors
  const bandHeight = low ? low.height : (rows - 1) * stepY + spanY
  const band = k.reserve('float32', bandHeight * rowElements + vectors * lanes + BAND_SLACK)
  const resultRun = roundUp(countX, vectors * lanes) * interleaved
  const results = k.reserve('float32', tile.rows * resultRun)
  const [bandCount, bandSize, height, widthSize] = [bands, rows, countY, width].map((n) => k.size(n)) as Four
  const [runSize, spanSize, resultSize, countSize] = [run, spanY, resultRun, countX].map((n) => k.size(n)) as Four
  const rowSize = k.let('rowSize', mul(runSize, step))
  const ySource = { height: k.size(s.y?.size ?? 1), down: k.stride(s.y?.stride ?? 0), low: k.size(s.y?.low ?? 0) }
  const xSource = { size: k.size(s.x.size), low: k.size(s.x.low), run: runSize, phases: step }
  const cases = parts.map((p) =>
    p.cases.map(({ number, x, y }) => ({
      x,
      y,
      /** Of the first tap of the first result in the band, and of the weights. */
      at: [k.size((y?.shift ?? 0) - (s.y?.low ?? 0)), k.size(x.shift - s.x.low)] as const,
      weights: k.size(d.other.view.offset + originOf(d.other.dims[number]!)),
      strides: [k.stride(y?.tapStrides[0] ?? 0), k.stride(x.tapStrides[0]!)] as const,
    })),
  )
  const places = parts.map((p) => ({ count: k.size(p.y?.count ?? 1), shift: k.size(p.y?.outShift ?? 0) }))

  k.parallel('t', (t) => {
    const first = k.let('first', mul(rem(t, bandCount), bandSize))
    const located = taskAxes.locate(k, k.let('task', div(t, bandCount))).offsets
    const bases = located.map((o, v) => (v < 2 ? o : k.let('base', add(o, store.offsets[v - 2]!))))
    const count = k.let('count', min(bandSize, sub(height, first)))
    const from = k.let('from', add(bases[0]!, sourceAt))
    copyBand(
      k,
      { buffer: source, from, down: ySource.down, height: ySource.height },
      { buffer: band.buffer, at: band.at },
      low
        ? { first: index(0), count: ySource.height }
        : {
            first: k.let('first', add(mul(first, stepY), ySource.low)),
            count: k.let('rows', add(mul(sub(count, 1), stepY), spanSize)),
          },
      xSource,
      lanes,
    )
    parts.forEach((p, n) => {
      const [own, place] = [cases[n]!, places[n]!]
      const weights = own.map((c) => weightsOf(k, other, k.let('weights', add(bases[1]!, c.weights)), c, lanes))
      // Rows of a low plane are counted from its first one.
      const rowsBefore = (c: (typeof own)[number]): Expr => (low ? index(0) : mul(c.at[0], rowSize))
      const starts = own.map((c) => k.let('start', add(band.at, add(rowsBefore(c), c.at[1]))))
      const emitTile = (q: Expr, shape: Tile): void => {
        const rowAt = k.let('row', mul(q, mul(rowSize, stepY)))
        const outStep = p.y?.outStep ?? 1
        const resultAt = (row: Expr): Expr[] => {
          const y = k.let('y', add(mul(add(first, row), outStep), place.shift))
          return bases.slice(2).map((o, v) => k.let('at', add(o, mul(y, down[v]!))))
        }
        // Lines of the tile below, or of the next plane.
        const ahead = Array.from({ length: shape.rows }, (_, r) => resultAt(add(q, shape.rows + r)))
        k.loop('x', 0, countSize, shape.vectors * lanes, (x) => {
          for (const { buffer, view } of store.streams(right)) {
            for (const row of ahead) {
              const at = k.let('ahead', add(row[view]!, mul(x, interleaved)))
              for (let v = 0; v < shape.vectors * interleaved; v++) k.prefetch(buffer, add(at, v * lanes))
            }
          }
          const sums = own.map((c, i) => {
            const at = k.let('at', add(add(starts[i]!, rowAt), x))
            return sumsOf(
              k,
              band.buffer,
              at,
              { x: c.x, y: c.y, stepY, step, rowSize, runSize, low },
              weights[i]!,
              shape,
              lanes,
            )
          })
          for (let r = 0; r < shape.rows; r++) {
            const to = k.let('to', add(results.at, add(mul(resultSize, r), mul(x, interleaved))))
            for (let v = 0; v < shape.vectors; v++) {
              const [even, odd] = sums.map((of) => of[r]![v]!)
              const place = add(to, v * lanes * interleaved)
              if (!odd) k.store(results.buffer, place, even!)
              else
                (['low', 'high'] as const).forEach((half, h) =>
                  k.store(results.buffer, add(place, h * lanes), zip(even!, odd, 1, half, 'all')),
                )
            }
          }
        })
        k.loop('r', 0, min(shape.rows, sub(ownCount, q)), 1, (r) => {
          const at = resultAt(add(q, r))
          const row = k.let('row', add(results.at, mul(r, resultSize)))
          eachVector(k, widthSize, lanes, (x, own) =>
            store.store(
              load(results.buffer, add(row, x), own),
              at.map((o, v) => add(o, mul(x, right[v]!))),
              right,
              own,
            ),
          )
        })
      }
      const ownCount = k.let('own', min(bandSize, sub(place.count, first)))
      if (!s.y || low) {
        emitTile(index(0), tile)
        return
      }
      const whole = k.let('whole', mul(div(add(ownCount, tile.rows - REST.rows - 1), tile.rows), tile.rows))
      k.loop('q', 0, whole, tile.rows, (q) => emitTile(q, tile))
      k.if(gt(ownCount, whole), () => emitTile(whole, REST))
    })
  })
  const elements = axesSize(tasks) * countY * countX
  const flops = s.cases.reduce((n, c) => n + 2 * elements * c.x.taps * (c.y?.taps ?? 1), 0)
  const extent = axesSize(tasks) * bands
  const bytes = 4 * axesSize(tasks) * ((s.y?.size ?? 1) * s.x.size + countY * countX * s.cases.length)
  if (extent > 0) list.steps.push(k.step(extent, GRAIN_FLOPS / (flops / extent + 1), flops, bytes))
}

type Four = [Expr, Expr, Expr, Expr]

/** All rows of a plane, and the row at which the first result's window begins. */
interface LowPlane {
  readonly height: number
  readonly first: number
}

/** Where a tile holds all rows of the result, whose windows leave the plane for a good part of their taps. */
function lowPlane({ problem }: DepthwiseProblem, s: Depthwise): LowPlane | null {
  const [one] = s.cases as readonly [Depthwise['cases'][number]]
  const isFixed = problem.constant?.lhs === true || problem.constant?.rhs === true
  if (!isFixed || !s.y || !one.y || s.cases.length > 1 || one.y.count > TILE.rows) return null
  const low = { height: s.y.size, first: one.y.shift }
  const all = meetings(one.y.count, one.y.taps, s.y.step, one.y.dilation)
  const met = [...inside(all, low).values()].reduce((n, pairs) => n + pairs.length, 0)
  return met <= LOW_PLANE * one.y.count * one.y.taps ? low : null
}

/** The meetings in rows of a plane, by row of the plane. */
function inside(all: Meetings, { height, first }: LowPlane): Meetings {
  return new Map(
    [...all].map(([row, pairs]) => [row + first, pairs] as const).filter(([row]) => row >= 0 && row < height),
  )
}

/** Cases by rows of the result, from the first, and along x. */
function rowsOf(s: Depthwise): Rows[] {
  const shifts = [...new Set(s.cases.map((c) => c.y?.outShift ?? 0))].sort((a, b) => a - b)
  return shifts.map((shift) => {
    const own = s.cases.flatMap((c, number) => ((c.y?.outShift ?? 0) === shift ? [{ number, ...c }] : []))
    return { y: own[0]!.y, cases: own.toSorted((a, b) => a.x.outShift - b.x.outShift) }
  })
}

/** Rows of results in a band, whose windows fit half of the first-level cache; fewer where bands are all that is parallel. */
function bandRows(
  count: number,
  multiple: number,
  row: { readonly elements: number; readonly stepY: number; readonly spanY: number },
  tasks: number,
  capabilities: Capabilities,
): number {
  const fitting = Math.floor((capabilities.cacheBytes[0] / 8 / row.elements - row.spanY) / row.stepY) + 1
  const wanted = capabilities.threads === 1 ? 1 : Math.ceil((4 * capabilities.threads) / Math.max(1, tasks))
  const bands = Math.max(
    1,
    Math.ceil(count / Math.max(multiple, fitting)),
    Math.min(wanted, Math.floor(count / (4 * multiple))),
  )
  return roundUp(Math.ceil(count / bands), multiple)
}

/** Places of the weights by tap along y and x. */
function weightsOf(
  k: Assembler,
  buffer: BufferParameter,
  base: Expr,
  c: { readonly x: Along; readonly y: Along | null; readonly strides: readonly [Expr, Expr] },
  lanes: number,
): (y: number, x: number) => Expr {
  const rows = Array.from({ length: c.y?.taps ?? 1 }, (_, y) => k.let('w', add(base, mul(c.strides[0], y))))
  return (y, x) => splat(load(buffer, add(rows[y]!, mul(c.strides[1], x))), lanes)
}

interface Window {
  readonly x: Along
  readonly y: Along | null
  readonly stepY: number
  readonly step: number
  readonly rowSize: Expr
  readonly runSize: Expr
  readonly low: LowPlane | null
}

/** The sums of a tile: every row of the band is read once for each tap along x, and meets all taps along y that have a result there. */
function sumsOf(
  k: Assembler,
  band: BufferParameter,
  at: Expr,
  w: Window,
  weight: (y: number, x: number) => Expr,
  tile: Tile,
  lanes: number,
): Expr[][] {
  const [tapsY, dilationY] = [w.y?.taps ?? 1, w.y?.dilation ?? 0]
  const sums = Array.from({ length: tile.rows }, () =>
    Array.from({ length: tile.vectors }, () => k.declare('sum', constant(0, 'f32', lanes))),
  )
  const all = meetings(tile.rows, tapsY, w.stepY, dilationY)
  const meeting = w.low ? inside(all, w.low) : all
  const rows = new Map([...meeting.keys()].map((row) => [row, k.let('row', add(at, mul(w.rowSize, row)))]))
  for (let x = 0; x < w.x.taps; x++) {
    const elements = x * w.x.dilation
    const right = w.step === 1 ? index(elements) : add(mul(w.runSize, elements % w.step), Math.floor(elements / w.step))
    const weights = Array.from({ length: tapsY }, (_, y) => k.let('w', weight(y, x)))
    for (const [row, pairs] of meeting) {
      for (let v = 0; v < tile.vectors; v++) {
        const value = k.let('v', load(band, add(add(rows.get(row)!, right), v * lanes), lanes))
        for (const [r, y] of pairs) k.assign(sums[r]![v]!, fma(value, weights[y]!, sums[r]![v]!))
      }
    }
  }
  return sums
}

/** By row: the results and the taps that meet there. */
export type Meetings = ReadonlyMap<number, readonly (readonly [row: number, tap: number])[]>

/** Rows are counted from that of the first result's first tap. */
export function meetings(rows: number, taps: number, step: number, dilation: number): Meetings {
  const found = new Map<number, [number, number][]>()
  for (let r = 0; r < rows; r++) {
    for (let y = 0; y < taps; y++) {
      const row = r * step + y * dilation
      found.set(row, [...(found.get(row) ?? []), [r, y]])
    }
  }
  return new Map([...found].sort(([a], [b]) => a - b))
}
