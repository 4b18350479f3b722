/** Columns of a packed product that are asked for before they are packed. */
import { add, min, mul } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import { mergeAxes } from './axes.ts'
import { LINE, type RegisterTile } from './blocking.ts'
import { axesIn, type Form } from './form.ts'
import type { GemmOptions } from './gemm.ts'
import type { PanelSource } from './pack.ts'

/**
 * Whether lines of the columns that are packed next are asked for while those of before are multiplied: a core does not see by itself that they are
 * wanted where each row of a matrix gives a few of them. Windows have more than one axis to sum over, and take longer to find than it gives.
 * On one AVX-512 core, six images that caches do not hold, 240 channels of 12x80 went from 102 to 109 GFLOP/s, 64 of 24x160 from 82 to 99.
 */
export function asksAhead(form: Form, options: GemmOptions): boolean {
  if (options.rows !== 'once' || options.columns !== 'task' || options.splits !== 1) return false
  const [contracted, columns] = [form.contracted, form.columns].map((axes) => mergeAxes(axesIn(axes, ['b']), 1))
  return contracted!.length === 1 && columns!.at(-1)!.strides[0] === 1
}

/** Asks for a panel of columns a few rows at a time, as often as there are rows of the tiles that are multiplied meanwhile. */
export class ColumnsAhead {
  private readonly k: Assembler
  private readonly source: PanelSource
  private readonly tile: RegisterTile
  private readonly rows: Expr

  /** `rows` of the panel in each part. */
  constructor(k: Assembler, source: PanelSource, tile: RegisterTile, rows: Expr) {
    this.k = k
    this.source = source
    this.tile = tile
    this.rows = rows
  }

  /** Where a panel begins in memory; behind the last one that is anywhere. */
  panel(base: Expr, column: Expr): Expr {
    const { k, source } = this
    return k.let('asked', add(base, source.free.locate(k, k.let('c', column)).offsets[0]!))
  }

  visit(start: Expr, from: Expr, to: Expr, part: Expr): void {
    const { k, source, rows } = this
    const first = k.let('first', add(from, mul(part, rows)))
    k.loop('ask', first, min(add(first, rows), to), 1, (row) => {
      const line = k.let('line', add(start, mul(row, source.contracted.innerStride(0))))
      for (let x = 0; x < this.tile.columns; x += LINE) k.prefetch(source.buffer, add(line, x))
    })
  }
}
