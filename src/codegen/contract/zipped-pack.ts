/**
 * Packing of a padded copy for products of several shifts: panels of positions for every shift, whole vectors of elements even where a row of
 * positions ends inside one. The row's last elements are stored with what follows them in memory, the next row's first ones over that; what a
 * vector leaves behind its panel's line is overwritten by the next line.
 */
import { add, and, ge, load, min, mul, sub, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import { loopRuns, type FlatAxes } from './axes.ts'
import type { RegisterTile } from './blocking.ts'

/** Bytes that are read behind the operand at most, which therefore is memory of the product's own: a vector. */
export const PACK_SLACK = 64
/** Lines that lie between asking for one and copying it: they are a plane apart, which no cache would guess. */
const AHEAD = 6
/** Lanes where rows are shorter than a vector. */
const FEW_LANES = 4

export interface ShiftedSource {
  readonly buffer: BufferParameter
  /** Positions (view 0 is the operand), and how many. */
  readonly free: FlatAxes
  readonly size: Expr
  readonly contracted: FlatAxes
  /** Shifts along y and x, and the elements from one to the next. */
  readonly shifts: readonly [Expr, Expr]
  readonly strides: readonly [Expr, Expr]
}

export interface ShiftedPlace {
  /** Offset of the operand's batch. */
  readonly base: Expr
  /** First position, and number of panels. */
  readonly first: Expr
  readonly panels: Expr
  /** Range on the contracted axis. */
  readonly from: Expr
  readonly to: Expr
  readonly target: BufferParameter
  readonly at: Expr
  /** Elements from one shift to the next: a line more than its panels have. */
  readonly shiftSize: Expr
}

/** Writes [shift y][shift x][panel][contracted][column]. */
export function emitPackShifted(k: Assembler, source: ShiftedSource, tile: RegisterTile, place: ShiftedPlace): void {
  const depth = k.let('depth', sub(place.to, place.from))
  const last = k.let('last', sub(source.size, 1))
  k.loop('panel', 0, place.panels, 1, (panel) => {
    const c0 = k.let('c', add(place.first, mul(panel, tile.columns)))
    const to = k.let('to', add(place.at, mul(mul(panel, tile.columns), depth)))
    /** Where the element of a column begins, and how many follow it in its row. */
    const locate = (c: Expr): { start: Expr; left: Expr } => {
      const { offsets, inner } = source.free.locate(k, k.let('c', min(c, last)))
      return { start: k.let('s', add(place.base, offsets[0]!)), left: k.let('left', sub(source.free.innerSize, inner)) }
    }
    const copy = (pieces: readonly { readonly start: Expr; readonly at: Expr }[], lanes: number): void =>
      k.loop('sy', 0, source.shifts[0], 1, (sy) => {
        k.loop('sx', 0, source.shifts[1], 1, (sx) => {
          const shift = k.let('shift', add(mul(sy, source.strides[0]), mul(sx, source.strides[1])))
          const own = k.let('own', mul(add(mul(sy, source.shifts[1]), sx), place.shiftSize))
          loopRuns(k, source.contracted, place.from, place.to, (i, offset) => {
            const from = k.let('from', add(shift, offset))
            const line = k.let('line', add(own, mul(i, tile.columns)))
            if (lanes === tile.lanes) {
              const ahead = k.let('ahead', add(from, mul(source.contracted.innerStride(0), AHEAD)))
              for (const p of pieces) k.prefetch(source.buffer, add(p.start, ahead))
            }
            for (const p of pieces)
              k.store(place.target, add(p.at, line), load(source.buffer, add(p.start, from), lanes))
          })
        })
      })
    /** Every vector as the end of one row and the beginning of the next. */
    const ragged = (lanes: number): void =>
      copy(
        Array.from({ length: tile.columns / lanes }, (_, v) => {
          const c = add(c0, v * lanes)
          const at = k.let('at', add(to, v * lanes))
          const { start, left } = locate(c)
          const own = k.let('own', min(left, lanes))
          return [
            { start, at },
            { start: locate(add(c, own)).start, at: k.let('at', add(at, own)) },
          ]
        }).flat(),
        lanes,
      )
    const single = (): void =>
      k.loop('column', 0, tile.columns, 1, (column) =>
        copy([{ start: locate(add(c0, column)).start, at: k.let('at', add(to, column)) }], 1),
      )
    const short = (): void => k.if(ge(source.free.innerSize, FEW_LANES), () => ragged(FEW_LANES), single)
    if (tile.lanes <= FEW_LANES) {
      short()
      return
    }
    const vectors = Array.from({ length: tile.vectors }, (_, v) => ({ ...locate(add(c0, v * tile.lanes)), v }))
    const isWhole = vectors.map(({ left }) => ge(left, tile.lanes)).reduce((all, v) => and(all, v))
    k.if(
      isWhole,
      () =>
        copy(
          vectors.map(({ start, v }) => ({ start, at: add(to, v * tile.lanes) })),
          tile.lanes,
        ),
      () => k.if(ge(source.free.innerSize, tile.lanes), () => ragged(tile.lanes), short),
    )
  })
}
