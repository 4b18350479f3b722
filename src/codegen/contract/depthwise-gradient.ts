/**
 * The gradient of a depthwise convolution's weights: sums over positions, along which vectors run. Bands of both operands lie in scratch; a tile of
 * four rows of positions stays in registers and meets each vector of the other operand's band once for every tap to the right. Sums of all taps
 * are vectors in scratch from band to band and from image to image; their lanes are added at the end.
 */
import type { Capabilities } from '../capabilities.ts'
import {
  add,
  constant,
  convert,
  div,
  fma,
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
import { originOf } from './affine.ts'
import { Assembler } from './assembler.ts'
import { axesSize, FlatAxes, mergeAxes } from './axes.ts'
import { BAND_SLACK, copyBand } from './band.ts'
import { registerTile } from './blocking.ts'
import { meetings } from './depthwise.ts'
import type { Depthwise, DepthwiseProblem } from './depthwise-scheme.ts'
import { resultView, type StepList } from './form.ts'
import { ResultStore } from './store.ts'

/** Rows of positions that are in registers at once, and those that are left. */
const TILE_ROWS = [4, 1] as const
const GRAIN_FLOPS = 100_000

export function lowerDepthwiseGradient(
  d: DepthwiseProblem,
  s: Depthwise,
  capabilities: Capabilities,
  list: StepList,
): void {
  const { problem } = d
  const { lanes } = registerTile(capabilities)
  const [{ x, y }] = s.cases as readonly [Depthwise['cases'][number]]
  const step = s.x.step
  const [stepY, spanY] = [s.y?.step ?? 1, s.y?.span ?? 1]
  const [tapsY, countY] = [y?.taps ?? 1, y?.count ?? 1]
  const run = Math.ceil(((x.count - 1) * step + s.x.span) / step)
  const tasks = mergeAxes(s.tasks, 3 + (problem.epilogue?.operands.length ?? 0))
  const around = mergeAxes(s.around, 2)
  const rows = bandRows(countY, run * step, x.count, stepY, spanY, capabilities)
  const bands = Math.ceil(countY / rows)
  const groups = tapGroups(x.taps, tapsY, capabilities)

  const k = new Assembler(
    `depthwise gradient ${lanes} ${x.taps} ${x.dilation} ${step} ${tapsY} ${y?.dilation} ${stepY} by ${groups.map((g) => g.length).join(' ')}`,
    d.title,
  )
  const source = k.memory(d.windowed.view.memory, d.windowed.view.dtype, 'read')
  const other = k.memory(d.other.view.memory, d.other.view.dtype, 'read')
  const store = new ResultStore(k, resultView(problem, 0), problem.epilogue)
  const taskAxes = new FlatAxes(k, tasks, 2 + store.views)
  const aroundAxes = new FlatAxes(k, around, 2)
  const right = x.tapStrides.map((v) => k.stride(v))
  const down = (y?.tapStrides ?? x.tapStrides.map(() => 0)).map((v) => k.stride(v))
  const sourceAt = k.size(
    d.windowed.view.offset + originOf(d.windowed.dims[0]!.filter((dim) => dim.terms.length === 1)),
  )
  const otherAt = k.size(d.other.view.offset + originOf(d.other.dims[0]!))
  const band = k.reserve('float32', ((rows - 1) * stepY + spanY) * run * step + lanes + BAND_SLACK)
  const beside = k.reserve('float32', rows * x.count + lanes + BAND_SLACK)
  const sums = k.reserve('float32', x.taps * tapsY * lanes)
  const [bandCount, bandSize, height, width] = [bands, rows, countY, x.count].map((n) => k.size(n)) as Four
  const [runSize, spanSize, aroundSize] = [run, spanY, axesSize(around)].map((n) => k.size(n)) as Three
  const ySource = { height: k.size(s.y?.size ?? 1), down: k.stride(s.y?.stride ?? 0), low: k.size(s.y?.low ?? 0) }
  const xSource = { size: k.size(s.x.size), low: k.size(s.x.low), run: runSize, phases: step }
  const otherDown = k.stride(s.down[0]!)
  // From the lowest element that a window reaches to that of its first tap.
  const [startY, startX] = [(y?.shift ?? 0) - (s.y?.low ?? 0), x.shift - s.x.low].map((n) => k.size(n)) as Two

  k.parallel('t', (t) => {
    const bases = taskAxes.locate(k, t).offsets
    for (let n = 0; n < x.taps * tapsY; n++) k.store(sums.buffer, add(sums.at, n * lanes), constant(0, 'f32', lanes))
    const rowSize = k.let('rowSize', mul(runSize, step))
    const wholeX = k.let('wholeX', sub(width, rem(width, lanes)))
    const isInside = k.let('isInside', lt(ramp(wholeX, lanes), splat(convert(width, 'i32'), lanes)))
    k.loop('i', 0, mul(aroundSize, bandCount), 1, (i) => {
      const located = aroundAxes.locate(k, k.let('item', div(i, bandCount))).offsets
      const first = k.let('first', mul(rem(i, bandCount), bandSize))
      const count = k.let('count', min(bandSize, sub(height, first)))
      copyBand(
        k,
        {
          buffer: source,
          from: k.let('from', add(add(bases[0]!, located[0]!), sourceAt)),
          down: ySource.down,
          height: ySource.height,
        },
        { buffer: band.buffer, at: band.at },
        {
          first: k.let('first', add(mul(first, stepY), ySource.low)),
          count: k.let('rows', add(mul(sub(count, 1), stepY), spanSize)),
        },
        xSource,
        lanes,
      )
      copyBand(
        k,
        {
          buffer: other,
          from: k.let('from', add(add(bases[1]!, located[1]!), otherAt)),
          down: otherDown,
          height,
        },
        { buffer: beside.buffer, at: beside.at },
        { first, count },
        { size: width, low: index(0), run: width, phases: 1 },
        lanes,
      )
      const start = k.let('start', add(band.at, add(mul(startY, rowSize), startX)))
      for (const taps of groups) {
        const own = taps.map((tx) =>
          Array.from({ length: tapsY }, (_, ty) => {
            const at = add(sums.at, (ty * x.taps + tx) * lanes)
            return { at, sum: k.declare('sum', load(sums.buffer, at, lanes)) }
          }),
        )
        const products = (q: Expr, v: Expr, rowCount: number, given: (value: Expr) => Expr): void => {
          const meeting = meetings(rowCount, tapsY, stepY, y?.dilation ?? 0)
          const at = k.let('at', add(add(start, mul(q, mul(rowSize, stepY))), v))
          const beginning = k.let('beside', add(add(beside.at, mul(q, width)), v))
          const values = Array.from({ length: rowCount }, (_, r) =>
            k.let('g', given(load(beside.buffer, add(beginning, mul(width, r)), lanes))),
          )
          for (const [row, pairs] of meeting) {
            const rowAt = k.let('row', add(at, mul(rowSize, row)))
            taps.forEach((tx, n) => {
              const elements = tx * x.dilation
              const phase = mul(runSize, elements % step)
              const place = add(rowAt, step === 1 ? index(elements) : add(phase, Math.floor(elements / step)))
              const value = k.let('v', given(load(band.buffer, place, lanes)))
              for (const [r, ty] of pairs) {
                const { sum } = own[n]![ty]!
                k.assign(sum, fma(value, values[r]!, sum))
              }
            })
          }
        }
        const alongRows = (from: Expr, to: Expr, rowCount: number): void =>
          k.loop('q', from, to, rowCount, (q) => {
            k.loop('x', 0, wholeX, lanes, (v) => products(q, v, rowCount, (value) => value))
            // Neither operand may count behind a row's end: it may be infinite.
            k.if(ne(wholeX, width), () =>
              products(q, wholeX, rowCount, (value) => select(isInside, value, constant(0, 'f32', lanes))),
            )
          })
        const [most] = TILE_ROWS
        const whole = s.y ? k.let('whole', sub(count, rem(count, most))) : index(0)
        if (s.y) alongRows(index(0), whole, most)
        alongRows(whole, count, TILE_ROWS[1])
        for (const { at, sum } of own.flat()) k.store(sums.buffer, at, sum)
      }
    })
    k.loop('ty', 0, tapsY, 1, (ty) =>
      k.loop('tx', 0, x.taps, 1, (tx) => {
        const at = bases
          .slice(2)
          .map((o, v) => add(add(o, store.offsets[v]!), add(mul(ty, down[v]!), mul(tx, right[v]!))))
        const sum = load(sums.buffer, add(sums.at, mul(add(mul(ty, x.taps), tx), lanes)), lanes)
        store.store(k.let('sum', reduceLanes('add', sum)), at, right, 1)
      }),
    )
  })
  const extent = axesSize(tasks)
  const positions = axesSize(around) * x.count * countY
  const flops = 2 * extent * positions * x.taps * tapsY
  const bytes = 4 * extent * axesSize(around) * ((s.y?.size ?? 1) * s.x.size + x.count * countY)
  if (extent > 0) list.steps.push(k.step(extent, GRAIN_FLOPS / (flops / extent + 1), flops, bytes))
}

type Four = [Expr, Expr, Expr, Expr]
type Three = [Expr, Expr, Expr]
type Two = [Expr, Expr]

/** Taps along x whose sums, for all taps along y, stay in registers together with the rows that they meet. */
function tapGroups(tapsX: number, tapsY: number, capabilities: Capabilities): number[][] {
  const registers = registerTile(capabilities).lanes >= 16 ? 32 : 16
  const fitting = Math.max(1, Math.floor((registers - TILE_ROWS[0] - 2) / Math.max(1, tapsY)))
  const count = Math.ceil(tapsX / fitting)
  const most = Math.ceil(tapsX / count)
  return Array.from({ length: count }, (_, g) =>
    Array.from({ length: Math.min(most, tapsX - g * most) }, (_, n) => g * most + n),
  )
}

/** Rows of positions in a band, which with what their windows reach fit half of the first-level cache. */
function bandRows(
  count: number,
  rowElements: number,
  width: number,
  stepY: number,
  spanY: number,
  capabilities: Capabilities,
): number {
  const fitting = Math.floor((capabilities.cacheBytes[0] / 8 - spanY * rowElements) / (stepY * rowElements + width))
  const [multiple] = TILE_ROWS
  const bands = Math.max(1, Math.ceil(count / Math.max(multiple, fitting)))
  return Math.ceil(Math.ceil(count / bands) / multiple) * multiple
}
