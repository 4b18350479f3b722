/**
 * Packing of an operand into panels, the layout that the micro-kernel reads: `rows` neighbours on the free axis side by side, one group
 * after another along the contracted axis; where the free axis has ended stand zeros or other elements of the operand, whose sums nobody takes. Where the operand has unit stride along the free axis
 * whole vectors are copied; elsewhere element by element.
 */
import {
  add,
  and,
  constant,
  div,
  gather,
  le,
  load,
  lt,
  max,
  min,
  mul,
  sub,
  transposeFours,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import { loopRuns, type FlatAxes } from './axes.ts'

export interface PanelSource {
  readonly buffer: BufferParameter
  /** The operand's free axes and contracted axes; view 0 is the operand. */
  readonly free: FlatAxes
  readonly contracted: FlatAxes
  /** Number of free elements. */
  readonly size: Expr
  /**
   * Of a matrix with unit stride along the free axis: the offset behind its last element. A vector that reaches over the end of a row but not over
   * this is loaded whole, with what follows in memory behind the row. Null for other operands.
   */
  readonly end: Expr | null
}

export interface PanelShape {
  /** Elements of the free axis in a panel: a multiple of `lanes`. */
  readonly rows: number
  readonly lanes: number
  /** Whether lines of later steps are asked for: rows of a matrix that are far apart. Default not. */
  readonly ahead?: boolean
}

/** Steps that lie between asking for a line and copying it. */
const AHEAD = 4

/** Rows and steps that are turned in registers. */
const FOUR = 4

/** Panels that are read side by side, so that the operand's rows are read in longer pieces. */
const GROUP = 4

export interface PanelPlace {
  /** Offset of the operand's batch. */
  readonly base: Expr
  /** First element on the free axis. */
  readonly row: Expr
  /** Range on the contracted axis. */
  readonly from: Expr
  readonly to: Expr
  readonly target: BufferParameter
  readonly at: Expr
}

/** Emits the packing of `count` panels, one after another from `place.at`. */
export function emitPackPanels(
  k: Assembler,
  source: PanelSource,
  shape: PanelShape,
  place: PanelPlace,
  count: Expr,
): void {
  const { rows, lanes } = shape
  const depth = k.let('depth', sub(place.to, place.from))
  const panelAt = (panel: Expr): PanelPlace => ({
    ...place,
    row: k.let('row', add(place.row, mul(panel, rows))),
    at: k.let('at', add(place.at, mul(mul(panel, rows), depth))),
  })
  const one = (panel: Expr): void => emitPackPanel(k, source, shape, panelAt(panel))
  if (!hasVectors(source)) {
    k.loop('panel', 0, count, 1, one)
    return
  }
  const emitter = new PanelEmitter(k, source, shape, place)
  k.loop('group', 0, count, GROUP, (group) => {
    const end = k.let('end', min(add(group, GROUP), count))
    const here = panelAt(group)
    const vectors = Array.from({ length: (GROUP * rows) / lanes }, (_, n) =>
      emitter.vector(add(here.row, n * lanes), lanes),
    )
    const isFull = le(add(group, GROUP), count)
    k.if(
      vectors.reduce((all, v) => and(all, v.whole), isFull),
      () => {
        const perPanel = rows / lanes
        const columnOf = (n: number): Expr => add(mul(depth, Math.floor(n / perPanel) * rows), (n % perPanel) * lanes)
        emitter.copy(
          vectors.map((v, n) => ({ start: v.start, at: k.let('to', add(here.at, columnOf(n))) })),
          lanes,
        )
      },
      () => k.loop('panel', group, end, 1, one),
    )
  })
}

/** Emits the packing of one panel. */
export function emitPackPanel(k: Assembler, source: PanelSource, shape: PanelShape, place: PanelPlace): void {
  const { rows, lanes } = shape
  const { row, at } = place
  const emitter = new PanelEmitter(k, source, shape, place)
  if (!hasVectors(source)) {
    const group = [8, 7, 6, 5, 4, 3, 2, 1].find((g) => rows % g === 0)!
    k.loop('group', 0, rows, group, (column) => {
      const first = k.let('r', add(row, column))
      const isWhole = le(add(first, group), source.size)
      const whole = (): void => {
        const to = k.let('to', add(at, column))
        emitter.copy(
          Array.from({ length: group }, (_, n) => ({ start: emitter.start(add(first, n)), at: add(to, n) })),
          1,
        )
      }
      k.if(isWhole, whole, () => emitter.single(column, group))
    })
    return
  }
  const vectors = Array.from({ length: rows / lanes }, (_, n) => ({
    ...emitter.vector(add(row, n * lanes), lanes),
    at: add(at, n * lanes),
  }))
  k.if(
    vectors.reduce<Expr | null>((all, v) => (all ? and(all, v.whole) : v.whole), null)!,
    () => emitter.copy(vectors, lanes),
    // In a loop, so that the compiler reads it once.
    () =>
      k.loop('vector', 0, rows, lanes, (first) => {
        const at = k.let('at', add(place.at, first))
        const v = { ...emitter.vector(add(row, first), lanes), at }
        k.if(
          v.whole,
          () => emitter.copy([v], lanes),
          () => emitter.last(v, first),
        )
      }),
  )
}

/** Whether free elements are neighbours, or every second one of a row. */
function hasVectors(source: PanelSource): boolean {
  return isNear(source.free.innerStride(0))
}

const isNear = (stride: Expr): boolean => isStride(stride, 1) || isStride(stride, 2)

/** Neighbours, or every second element. */
function read(buffer: BufferParameter, at: Expr, stride: Expr, lanes: number): Expr {
  return lanes > 1 && isStride(stride, 2) ? gather(buffer, at, stride, lanes) : load(buffer, at, lanes)
}

/** Where a piece of an operand begins in memory and in the panel. */
interface Piece {
  readonly start: Expr
  readonly at: Expr
}

class PanelEmitter {
  private readonly k: Assembler
  private readonly source: PanelSource
  private readonly shape: PanelShape
  private readonly place: PanelPlace

  constructor(k: Assembler, source: PanelSource, shape: PanelShape, place: PanelPlace) {
    this.k = k
    this.source = source
    this.shape = shape
    this.place = place
  }

  /** Offset of a free element where the contracted axis begins. */
  start(row: Expr): Expr {
    const { k } = this
    return k.let('s', add(this.place.base, this.source.free.locate(k, k.let('r', row)).offsets[0]!))
  }

  /** A vector of free elements from `row`, and whether they exist and are neighbours in memory. */
  vector(row: Expr, lanes: number): { start: Expr; whole: Expr } {
    const { k, source } = this
    const r = k.let('r', row)
    const { inner, offsets } = source.free.locate(k, r)
    const whole = le(add(inner, lanes), source.free.innerSize)
    return {
      start: k.let('s', add(this.place.base, offsets[0]!)),
      whole: source.free.sizes.length > 1 ? and(whole, lt(r, source.size)) : whole,
    }
  }

  /** Walks the contracted axis once for several pieces of `width` elements. */
  copy(pieces: readonly Piece[], width: number): void {
    const { k, source } = this
    const { rows } = this.shape
    const { from, to, target } = this.place
    const isAhead = this.shape.ahead === true && width > 1
    const one = (i: Expr, offset: Expr): void => {
      const o = k.let('o', offset)
      const d = k.let('d', mul(i, rows))
      if (isAhead) {
        const ahead = k.let('ahead', add(o, mul(source.contracted.innerStride(0), AHEAD)))
        for (const p of pieces) k.prefetch(source.buffer, add(p.start, ahead))
      }
      const stride = source.free.innerStride(0)
      for (const p of pieces) k.store(target, add(p.at, d), read(source.buffer, add(p.start, o), stride, width))
    }
    const isTurned = width === 1 && pieces.length % FOUR === 0 && isNear(source.contracted.innerStride(0))
    const wide = isTurned ? { step: FOUR, body: (i: Expr, offset: Expr) => this.turn(pieces, i, offset) } : null
    loopRuns(k, source.contracted, from, to, one, 1, wide)
  }

  /** Four neighbours on the contracted axis of each piece, pieces that are neighbours in the panel by fours. */
  private turn(pieces: readonly Piece[], i: Expr, offset: Expr): void {
    const { k, source } = this
    const { rows } = this.shape
    const o = k.let('o', offset)
    const d = k.let('d', mul(i, rows))
    const stride = source.contracted.innerStride(0)
    for (let p = 0; p < pieces.length; p += FOUR) {
      const four = pieces.slice(p, p + FOUR).map((x) => k.let('x', read(source.buffer, add(x.start, o), stride, FOUR)))
      transposeFours(k, four).forEach((x, n) => k.store(this.place.target, add(add(pieces[p]!.at, d), n * rows), x))
    }
  }

  /** A vector, `first` in the panel, that reaches over the end of the free axis, or lies behind it. */
  last(piece: Piece, first: Expr): void {
    const { k, source, place } = this
    const { row, from, to, at } = place
    const { rows, lanes } = this.shape
    if (!source.end) {
      if (lanes > FOUR) this.fours(first, lanes)
      else this.single(first, lanes)
      return
    }
    const { end } = source
    const stride = source.contracted.innerStride(0)
    const inside = (): void => {
      // Steps of which a whole vector lies before the operand's end: all of a matrix but the last row, or few of them where rows are short.
      const room = k.let('room', sub(sub(end, lanes), piece.start))
      const safe = k.let('safe', min(max(from, div(max(add(room, stride), 0), max(stride, 1))), to))
      const before = new PanelEmitter(k, source, this.shape, { ...place, to: safe })
      const behind = { ...place, from: safe, at: k.let('at', add(at, mul(sub(safe, from), rows))) }
      before.copy([piece], lanes)
      k.if(lt(safe, to), () => new PanelEmitter(k, source, this.shape, behind).single(first, lanes))
    }
    k.if(lt(add(row, first), source.size), inside, () => {
      const zero = constant(0, load(place.target, 0).type.scalar, lanes)
      k.loop('k', 0, sub(to, from), 1, (i) => k.store(place.target, add(piece.at, mul(i, rows)), zero))
    })
  }

  /** Four elements at a time, where rows are shorter than a vector or begin inside one. */
  fours(first: Expr, count: number): void {
    const { k } = this
    const { row, at } = this.place
    k.loop('four', first, add(first, count), FOUR, (four) => {
      const v = this.vector(add(row, four), FOUR)
      k.if(
        v.whole,
        () => this.copy([{ start: v.start, at: k.let('to', add(at, four)) }], FOUR),
        () => this.single(four, FOUR),
      )
    })
  }

  /** Elements one at a time, with zeros behind the end of the free axis. */
  single(first: Expr, count: number): void {
    const { k, source } = this
    const { rows } = this.shape
    const { row, from, to, target, at } = this.place
    k.loop('column', first, add(first, count), 1, (column) => {
      const r = k.let('r', add(row, column))
      const here = k.let('to', add(at, column))
      const zero = constant(0, load(target, 0).type.scalar)
      k.if(
        lt(r, source.size),
        () => this.copy([{ start: this.start(r), at: here }], 1),
        () => k.loop('k', 0, sub(to, from), 1, (i) => k.store(target, add(here, mul(i, rows)), zero)),
      )
    })
  }
}
