/**
 * Rows of a plane copied to scratch, with zeros where windows leave it, so that vectors are read there without tests; and vectors that cover
 * a run of memory to its last element.
 */
import { add, constant, gather, ge, index, load, lt, min, mul, sub, and, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import { insideOf } from './relayout.ts'

/** Narrowest vectors. */
const FEWEST_LANES = 4

/**
 * Visits vectors that cover the elements [0, count): the last of a width ends with them, overlapping the one before it. Fewer elements than lanes
 * are two vectors of the next width that they fill, or single elements.
 */
export function eachVector(
  k: Assembler,
  count: Expr,
  lanes: number,
  visit: (start: Expr, width: number) => void,
  isShorter = false,
): void {
  if (lanes < FEWEST_LANES) {
    k.loop('v', 0, count, 1, (v) => visit(v, 1))
    return
  }
  const last = k.let('last', sub(count, lanes))
  const whole = (): void => {
    if (isShorter) {
      visit(index(0), lanes)
      visit(last, lanes)
    } else k.loop('v', 0, count, lanes, (v) => visit(k.let('start', min(v, last)), lanes))
  }
  k.if(ge(last, 0), whole, () => eachVector(k, count, lanes / 2, visit, true))
}

/** Elements [low, low + length) of an axis, of which those in [0, size) are in memory; `phases` runs of every phases-th element each. */
export interface BandRow {
  readonly size: Expr
  readonly low: Expr
  readonly run: Expr
  readonly phases: number
}

/** Elements behind a band that copying it may write. */
export const BAND_SLACK = 16

/**
 * Writes rows `first` ... `first + count - 1` of a plane that begins at `from` in `source` to scratch, row by row; rows outside [0, height) are zeros.
 * Each row is `phases` runs of `run` elements. Up to a vector behind the last row is overwritten.
 */
export function copyBand(
  k: Assembler,
  source: { readonly buffer: BufferParameter; readonly from: Expr; readonly down: Expr; readonly height: Expr },
  target: { readonly buffer: BufferParameter; readonly at: Expr },
  rows: { readonly first: Expr; readonly count: Expr },
  row: BandRow,
  lanes: number,
): void {
  const { phases, run } = row
  const zero = constant(0, 'f32', lanes)
  const parts = Array.from({ length: phases }, (_, phase) => {
    const { begin, end } = insideOf(k, row, run, phases, phase)
    // The element at which the part inside begins.
    const start = k.let('inside', add(row.low, add(mul(begin, phases), phase)))
    return { begin, end, start, count: k.let('count', sub(end, begin)), place: k.let('place', mul(run, phase)) }
  })
  const zeros = (at: Expr, from: Expr, to: Expr): void =>
    k.loop('i', from, to, lanes, (i) => k.store(target.buffer, add(at, i), zero))
  k.loop('row', 0, rows.count, 1, (r) => {
    const c = k.let('c', add(rows.first, r))
    const to = k.let('to', add(target.at, mul(r, mul(run, phases))))
    k.if(
      and(ge(c, 0), lt(c, source.height)),
      () => {
        const from = k.let('from', add(source.from, mul(c, source.down)))
        parts.forEach(({ begin, end, start, count, place }) => {
          const at = k.let('at', add(to, place))
          zeros(at, index(0), begin)
          const [inside, own] = [k.let('inside', add(from, start)), k.let('own', add(at, begin))]
          eachVector(k, count, lanes, (v, width) => {
            const value =
              phases === 1 || width === 1
                ? load(source.buffer, add(inside, mul(v, phases)), width)
                : gather(source.buffer, add(inside, mul(v, phases)), phases, width)
            k.store(target.buffer, add(own, v), value)
          })
          zeros(at, end, run)
        })
      },
      () => zeros(to, index(0), mul(run, phases)),
    )
  })
}
