/** Results [B, S, heads, features], dense: rows that lie in panels, times a factor. */
import { add, load, mul, splat, type BufferParameter } from '../builder.ts'
import type { DType } from '../../common/dtype.ts'
import type { Assembler } from '../contract/assembler.ts'
import type { Expr } from '../kernel.ts'
import { prefetchRow, type Panels } from './panels.ts'
import type { FeatureTiles } from './tiles.ts'

/** The parameters of a result. */
export class TileResult {
  readonly buffer: BufferParameter
  readonly batch: Expr
  readonly position: Expr

  constructor(k: Assembler, number: number, dtype: DType, positions: number, heads: number, features: number) {
    this.buffer = k.memory({ kind: 'result', number }, dtype, 'write')
    this.batch = k.size(positions * heads * features)
    this.position = k.size(heads * features)
  }
}

/** Stores rows 0 to `place.count` of panels to the positions from `place.from` on. */
export function storeRows(
  k: Assembler,
  result: TileResult,
  tiles: FeatureTiles,
  panels: Panels,
  place: { readonly batch: Expr; readonly head: Expr; readonly from: Expr; readonly count: Expr },
  factor: (row: Expr) => Expr,
): void {
  const { columns, lanes } = tiles.byQuery
  const { features } = tiles
  const base = add(mul(place.batch, result.batch), add(mul(place.head, features), mul(place.from, result.position)))
  const start = k.let('start', base)
  k.loop('row', 0, place.count, 1, (row) => {
    const from = k.let('from', add(panels.at, mul(row, columns)))
    const to = k.let('to', add(start, mul(row, result.position)))
    const f = k.let('f', factor(row))
    prefetchRow(k, result.buffer, add(to, features), features)
    const put = (feature: number, width: number): void => {
      const panel = Math.floor(feature / columns)
      const at = add(add(from, mul(panels.stride, panel)), feature - panel * columns)
      k.store(result.buffer, add(to, feature), mul(load(panels.buffer, at, width), splat(f, width)))
    }
    for (let feature = 0; feature < features; feature += lanes) {
      const left = features - feature
      if (left >= lanes) put(feature, lanes)
      else if ((feature % columns) + left >= lanes) put(features - lanes, lanes)
      else for (let i = 0; i < left; i++) put(feature + i, 1)
    }
  })
}
