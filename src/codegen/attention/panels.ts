/** Rows of features brought to where tiles read them: as panels of rows, or turned, with lanes along rows. In float32, zeros behind the end. */
import { sizeOf } from '../../common/dtype.ts'
import { add, div, f32, index, load, mul, reduceLanes, type BufferParameter } from '../builder.ts'
import type { Assembler } from '../contract/assembler.ts'
import type { RowReader } from '../contract/gemm.ts'
import type { Expr } from '../kernel.ts'
import type { FeatureTiles } from './tiles.ts'

/** Rows [start + i * stride, + features) of a buffer. */
export interface Rows {
  readonly buffer: BufferParameter
  readonly start: Expr
  readonly stride: Expr
  readonly count: Expr
  /** From a row to that of the next head, which the next task reads. */
  readonly head: Expr
}

/** Bytes that come into a cache together. */
const LINE = 64

/**
 * Asks for what the next head has beside a row. Rows of one head are short pieces, far apart, which no hardware sees coming: without this a
 * third of the time of a gradient went into waiting for them (128 positions of 12 heads of 26 features).
 */
export function prefetchRow(k: Assembler, buffer: BufferParameter, at: Expr, features: number): void {
  const step = LINE / sizeOf(buffer.dtype)
  for (let feature = 0; feature < features; feature += step) k.prefetch(buffer, add(at, feature))
  k.prefetch(buffer, add(at, features - 1))
}

/** Panels in scratch: element (row, feature) of panel p at `at + p * stride + row * columns + feature - p * columns`. */
export interface Panels {
  readonly buffer: BufferParameter
  readonly at: Expr
  /** From one panel to the next; not used where there is one. */
  readonly stride: Expr
}

const COPIES = 4
/** Rows that are turned together. */
const TOGETHER = 4

/** Packs rows, and zeros up to `padded` rows. `isFirst`: nobody has read the rows yet. */
export function packPanels(
  k: Assembler,
  rows: Rows,
  tiles: FeatureTiles,
  target: Panels,
  padded: Expr,
  isFirst = true,
): void {
  const { columns, lanes } = tiles.byQuery
  const { features } = tiles
  const zero = f32(0, lanes)
  const pieces = Array.from({ length: (tiles.panels * columns) / lanes }, (_, n) => {
    const feature = n * lanes
    const panel = Math.floor(feature / columns)
    return { feature, inPanel: feature - panel * columns, base: mul(target.stride, panel) }
  })
  const put = (to: Expr, piece: (typeof pieces)[number], value: Expr, shift: number): void =>
    k.store(target.buffer, add(add(to, piece.base), piece.inPanel + shift), value)
  k.loop('row', 0, rows.count, 1, (row) => {
    const from = k.let('from', add(rows.start, mul(row, rows.stride)))
    const to = k.let('to', add(target.at, mul(row, columns)))
    if (isFirst) prefetchRow(k, rows.buffer, add(from, rows.head), features)
    for (const piece of pieces) {
      const left = features - piece.feature
      if (left >= lanes) {
        put(to, piece, load(rows.buffer, add(from, piece.feature), lanes), 0)
        continue
      }
      put(to, piece, zero, 0)
      // The last elements by a vector that ends with them, where it stays inside the panel.
      if (left > 0 && piece.inPanel >= lanes - left)
        put(to, piece, load(rows.buffer, add(from, features - lanes), lanes), left - lanes)
      else for (let i = 0; i < left; i++) put(to, piece, load(rows.buffer, add(from, piece.feature + i)), i)
    }
  })
  k.loop('row', rows.count, padded, 1, (row) => {
    const to = k.let('to', add(target.at, mul(row, columns)))
    for (const piece of pieces) put(to, piece, zero, 0)
  })
}

/** Packs `width` rows turned: element (row, feature) at `at + feature * width + row`. */
export function packTurned(
  k: Assembler,
  rows: Rows,
  features: number,
  width: number,
  buffer: BufferParameter,
  at: Expr,
): void {
  const turn = (row: Expr, from: readonly Expr[]): void => {
    const to = k.let('to', add(at, row))
    for (const start of from) prefetchRow(k, rows.buffer, add(start, rows.head), features)
    k.unrolled('feature', 0, features, COPIES, (feature) => {
      const here = k.let('here', add(to, mul(feature, width)))
      from.forEach((start, i) => k.store(buffer, add(here, i), load(rows.buffer, add(start, feature))))
    })
  }
  const startOf = (row: Expr): Expr => k.let('from', add(rows.start, mul(row, rows.stride)))
  // Rows side by side, so that neighbours are stored one after another.
  const whole = k.let('whole', mul(div(rows.count, TOGETHER), TOGETHER))
  k.loop('row', 0, whole, TOGETHER, (row) =>
    turn(
      row,
      Array.from({ length: TOGETHER }, (_, i) => startOf(add(row, i))),
    ),
  )
  k.loop('row', whole, rows.count, 1, (row) => turn(row, [startOf(row)]))
  k.loop('row', rows.count, width, 1, (row) =>
    k.loop('feature', 0, features, 1, (feature) => k.store(buffer, add(add(at, row), mul(feature, width)), f32(0))),
  )
}

/** Rows of a tile of scores: keys from the one at which `at` points in the first panel; walks the features. */
export function featureRows(k: Assembler, tiles: FeatureTiles, panels: Panels, at: Expr): RowReader {
  const { columns } = tiles.byQuery
  return (body) => {
    for (let panel = 0; panel < tiles.panels; panel++) {
      const start = k.let('start', add(at, mul(panels.stride, panel)))
      const count = Math.min(columns, tiles.features - panel * columns)
      k.unrolled('feature', 0, count, COPIES, (feature) => {
        const here = k.let('pa', add(start, feature))
        body(add(feature, panel * columns), (r) => load(panels.buffer, add(here, r * columns)))
      })
    }
  }
}

/** Rows of a tile that are keys, of scores laid out by key with `width` queries each; walks the queries. */
export function keyRows(k: Assembler, width: number, buffer: BufferParameter, at: Expr): RowReader {
  return (body) => {
    k.unrolled('query', 0, width, COPIES, (query) => {
      const here = k.let('pa', add(at, query))
      body(query, (r) => load(buffer, add(here, r * width)))
    })
  }
}

/** sum over features of row `row` of panels and a row in memory. */
export function rowProduct(k: Assembler, tiles: FeatureTiles, panels: Panels, row: Expr, rows: Rows): Expr {
  const { columns, lanes } = tiles.byQuery
  const { features } = tiles
  const to = k.let('to', add(panels.at, mul(row, columns)))
  const from = k.let('from', add(rows.start, mul(row, rows.stride)))
  prefetchRow(k, rows.buffer, add(from, rows.head), features)
  const placeOf = (feature: number): Expr => {
    const panel = Math.floor(feature / columns)
    return add(add(to, mul(panels.stride, panel)), feature - panel * columns)
  }
  const terms: Expr[] = []
  const whole = Math.floor(features / lanes)
  for (let v = 0; v < whole; v++)
    terms.push(mul(load(panels.buffer, placeOf(v * lanes), lanes), load(rows.buffer, add(from, v * lanes), lanes)))
  const vector =
    terms.length > 0
      ? reduceLanes(
          'add',
          terms.reduce((sum, t) => k.let('sum', add(sum, t))),
        )
      : null
  const sum = k.declare('product', vector ?? f32(0))
  k.loop('feature', index(whole * lanes), features, 1, (feature) => {
    const panel = Math.floor((whole * lanes) / columns)
    const at = add(add(to, mul(panels.stride, panel)), add(feature, -panel * columns))
    k.assign(sum, add(sum, mul(load(panels.buffer, at), load(rows.buffer, add(from, feature)))))
  })
  return sum
}
