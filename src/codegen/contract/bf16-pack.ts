/**
 * Packing of a bfloat16 operand for instructions that multiply pairs: words of 32 bits, each with two elements that are neighbours on the
 * contracted axis, the first in the low half. A panel has `rows` free elements; what is missing on either axis is zero.
 *
 * Offsets along the contracted axis come from a table in scratch where that axis has several parts (taps and channels), so that pairs may
 * lie on both sides of a border.
 */
import {
  add,
  and,
  bitcast,
  constant,
  convert,
  div,
  eq,
  ge,
  index,
  le,
  load,
  lt,
  min,
  mul,
  or,
  pairs,
  rem,
  sub,
  transposeSixteen,
  ushr,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import { loopRuns } from './axes.ts'
import type { PanelSource } from './pack.ts'

/** Pairs that an instruction of tiles takes at once: blocks of the contracted axis are whole numbers of so many. */
export const BLOCK_PAIRS = 16
const BLOCK = 2 * BLOCK_PAIRS

/** How the words of a panel lie. */
export interface WordLayout {
  /** Free elements of a panel. */
  readonly rows: number
  /** Free elements that one vector packs; divides `rows`. */
  readonly lanes: number
  /** `pairs`: [pair][row]. `tiles`: [block of 16 pairs][row][pair]. */
  readonly order: 'pairs' | 'tiles'
  /** Whether the contracted axis is filled with zeros up to a whole block. */
  readonly wholeBlocks: boolean
}

/** A place for words: integers, or the bits of floats in scratch that holds floats too. */
export interface WordMemory {
  readonly buffer: BufferParameter
  readonly at: Expr
}

export interface PanelPlace {
  /** Offset of the operand's batch. */
  readonly base: Expr
  /** First element on the free axis. */
  readonly row: Expr
  /** Range on the contracted axis; `from` is even. */
  readonly from: Expr
  readonly to: Expr
  readonly target: WordMemory
}

/** Words of a panel of so many contracted elements. */
export function panelWords(layout: WordLayout, depth: number): number {
  return layout.rows * BLOCK_PAIRS * Math.ceil(depth / BLOCK)
}

function storeWord(k: Assembler, to: BufferParameter, at: Expr, word: Expr, stride: number): void {
  k.store(to, at, to.dtype === 'float32' ? bitcast(word, 'f32') : word, stride)
}

/** The offsets of a range of the contracted axis, written to scratch once for all panels that use them. */
export class Offsets {
  private readonly k: Assembler
  private readonly source: PanelSource
  private readonly table: WordMemory | null
  private readonly from: Expr

  /** `table` holds as many words as the range has elements; it is not used where the axis has one part. */
  constructor(k: Assembler, source: PanelSource, table: WordMemory, from: Expr, to: Expr) {
    this.k = k
    this.source = source
    this.from = from
    this.table = source.contracted.sizes.length > 1 ? table : null
    if (this.table) {
      loopRuns(k, source.contracted, from, to, (i, offset) =>
        storeWord(k, table.buffer, add(table.at, i), convert(offset, 'i32'), 1),
      )
    }
  }

  /** Of element `i`, counted from the begin of the range. */
  at(i: Expr): Expr {
    const { k, table } = this
    if (!table) return mul(add(this.from, i), this.source.contracted.innerStride(0))
    const word = load(table.buffer, add(table.at, i))
    return k.let('o', convert(table.buffer.dtype === 'float32' ? bitcast(word, 'i32') : word, 'index'))
  }

  /** Whether a block of elements from `i` on lies side by side in memory; only for axes of unit stride. */
  isRun(i: Expr): Expr | null {
    if (!this.table) return null
    const distance = sub(this.at(add(i, BLOCK - 1)), this.at(i))
    return and(ge(this.source.contracted.innerSize, BLOCK), eq(distance, BLOCK - 1))
  }
}

/** Emits the packing of one panel. */
export function emitPackWords(
  k: Assembler,
  source: PanelSource,
  layout: WordLayout,
  place: PanelPlace,
  offsets: Offsets,
): void {
  new WordEmitter(k, source, layout, place, offsets).panel()
}

class WordEmitter {
  private readonly k: Assembler
  private readonly source: PanelSource
  private readonly layout: WordLayout
  private readonly place: PanelPlace
  private readonly offsets: Offsets
  /** Contracted elements, and pairs of which both exist. */
  private readonly depth: Expr
  private readonly whole: Expr
  /** Words between neighbours on the free axis, and between pairs within a block. */
  private readonly rowStride: number
  private readonly pairStride: number

  constructor(k: Assembler, source: PanelSource, layout: WordLayout, place: PanelPlace, offsets: Offsets) {
    this.k = k
    this.source = source
    this.layout = layout
    this.place = place
    this.offsets = offsets
    this.depth = k.let('depth', sub(place.to, place.from))
    this.whole = k.let('whole', div(this.depth, 2))
    this.rowStride = layout.order === 'tiles' ? BLOCK_PAIRS : 1
    this.pairStride = layout.order === 'tiles' ? 1 : layout.rows
  }

  panel(): void {
    const { source } = this
    const isTurned = this.layout.order === 'tiles' && this.layout.lanes === BLOCK_PAIRS
    if (!isStride(source.free.innerStride(0), 1)) this.rows(index(0), this.layout.rows)
    else if (isTurned) this.turned()
    else this.alongFree()
    if (this.layout.wholeBlocks) this.fill()
  }

  /** Vectors of free elements; one by one where they have ended or are no neighbours. */
  private alongFree(): void {
    const { k, source, place } = this
    const { rows, lanes } = this.layout
    const vectors = Array.from({ length: rows / lanes }, (_, n) => {
      const row = k.let('r', add(place.row, n * lanes))
      const { inner, offsets } = source.free.locate(k, row)
      const fits = le(add(inner, lanes), source.free.innerSize)
      return {
        start: k.let('s', add(place.base, offsets[0]!)),
        first: n * lanes,
        fits: source.free.sizes.length > 1 ? and(fits, lt(row, source.size)) : fits,
      }
    })
    k.if(
      vectors.map((v) => v.fits).reduce((a, b) => and(a, b)),
      () => this.vectors(vectors),
      () => {
        for (const v of vectors) {
          k.if(
            v.fits,
            () => this.vectors([v]),
            () => this.rows(index(v.first), lanes),
          )
        }
      },
    )
  }

  /** Vectors of free elements, of which sixteen pairs at a time are turned in registers: a row's pairs are neighbours. */
  private turned(): void {
    const { k, source, place, offsets } = this
    const { rows, lanes } = this.layout
    k.loop('first', 0, rows, lanes, (first) => {
      const row = k.let('r', add(place.row, first))
      const { inner, offsets: at } = source.free.locate(k, row)
      const start = k.let('s', add(place.base, at[0]!))
      const target = k.let('to', add(place.target.at, mul(first, this.rowStride)))
      const fits = and(le(add(inner, lanes), source.free.innerSize), lt(row, source.size))
      const bits = (offset: Expr): Expr => bitcast(load(source.buffer, add(start, offset), lanes), 'i32')
      const words = (i: Expr): Expr => k.let('words', or(ushr(bits(offsets.at(i)), 16), bits(offsets.at(add(i, 1)))))
      const blocks = div(this.whole, BLOCK_PAIRS)
      const whole = k.let('turned', mul(blocks, BLOCK_PAIRS))
      const turn = (): void => {
        k.loop('block', 0, blocks, 1, (block) => {
          const from = k.let('i', mul(block, BLOCK))
          const columns = transposeSixteen(
            k,
            Array.from({ length: BLOCK_PAIRS }, (_, pair) => words(add(from, 2 * pair))),
          )
          const to = k.let('to', add(target, mul(block, BLOCK_PAIRS * rows)))
          columns.forEach((c, i) => storeWord(k, place.target.buffer, add(to, i * this.rowStride), c, 1))
        })
        const one = (at: Expr, w: Expr): void =>
          storeWord(k, place.target.buffer, add(at, mul(first, this.rowStride)), w, this.rowStride)
        this.pairsBetween(whole, this.whole, (at, i) => one(at, words(i)))
        this.lastHalf((at, i) => one(at, ushr(bits(offsets.at(i)), 16)))
      }
      k.if(fits, turn, () => this.rows(first, lanes))
    })
  }

  /** Interleaves vectors of two neighbours on the contracted axis. */
  private vectors(vectors: readonly { readonly start: Expr; readonly first: number }[]): void {
    const { k, source, offsets } = this
    const { lanes } = this.layout
    const bits = (start: Expr, offset: Expr): Expr => bitcast(load(source.buffer, add(start, offset), lanes), 'i32')
    this.eachPair((at, i) => {
      const [o, p] = [k.let('o', offsets.at(i)), k.let('p', offsets.at(add(i, 1)))]
      for (const v of vectors) this.store(at, v.first, or(ushr(bits(v.start, o), 16), bits(v.start, p)))
    })
    this.lastHalf((at, i) => {
      const o = k.let('o', offsets.at(i))
      for (const v of vectors) this.store(at, v.first, ushr(bits(v.start, o), 16))
    })
  }

  private store(at: Expr, row: number, words: Expr): void {
    storeWord(this.k, this.place.target.buffer, add(at, row * this.rowStride), words, this.rowStride)
  }

  /** Visits pairs with the place of row 0 and the first element's number. */
  private eachPair(visit: (at: Expr, i: Expr) => void): void {
    this.pairsBetween(index(0), this.whole, visit)
  }

  private pairsBetween(from: Expr, to: Expr, visit: (at: Expr, i: Expr) => void): void {
    const { k } = this
    k.loop('pair', from, to, 1, (pair) => visit(k.let('at', this.wordAt(pair)), k.let('i', mul(pair, 2))))
  }

  /** The place of row 0 of a pair. */
  private wordAt(pair: Expr): Expr {
    const { at } = this.place.target
    const { order, rows } = this.layout
    if (order === 'pairs') return add(at, mul(pair, rows))
    return add(at, add(mul(div(pair, BLOCK_PAIRS), BLOCK_PAIRS * rows), rem(pair, BLOCK_PAIRS)))
  }

  /** The element behind the last whole pair, where the number of elements is odd. */
  private lastHalf(visit: (at: Expr, i: Expr) => void): void {
    const { k } = this
    k.if(eq(rem(this.depth, 2), 1), () => visit(k.let('at', this.wordAt(this.whole)), sub(this.depth, 1)))
  }

  /** `count` free elements one by one. */
  private rows(first: Expr, count: number): void {
    const { k, source, place } = this
    k.loop('row', first, add(first, count), 1, (row) => {
      const r = k.let('r', add(place.row, row))
      const shift = k.let('shift', mul(row, this.rowStride))
      k.if(
        lt(r, source.size),
        () => this.row(k.let('s', add(place.base, source.free.locate(k, r).offsets[0]!)), shift),
        () => {
          const end = div(add(this.depth, 1), 2)
          this.pairsBetween(index(0), end, (at) => storeWord(k, place.target.buffer, add(at, shift), zero(1), 1))
        },
      )
    })
  }

  /** One free element: whole blocks where memory has them side by side, else pair by pair. */
  private row(start: Expr, shift: Expr): void {
    const { k, source, offsets } = this
    const target = this.place.target.buffer
    const element = (i: Expr): Expr => bitcast(load(source.buffer, add(start, offsets.at(i))), 'i32')
    const single = (at: Expr, i: Expr): void => {
      storeWord(k, target, add(at, shift), or(ushr(element(i), 16), element(add(i, 1))), 1)
    }
    if (isStride(source.contracted.innerStride(0), 1)) {
      k.loop('block', 0, this.depth, BLOCK, (block) => {
        const pair = k.let('first', div(block, 2))
        const run = offsets.isRun(block)
        const fits = le(add(block, BLOCK), this.depth)
        const vector = (): void => {
          const words = pairs(source.buffer, add(start, offsets.at(block)), BLOCK_PAIRS)
          storeWord(k, target, add(this.wordAt(pair), shift), words, this.pairStride)
        }
        const rest = (): void => this.pairsBetween(pair, min(add(pair, BLOCK_PAIRS), this.whole), single)
        // The last place of the table is read only where it exists.
        k.if(fits, () => (run ? k.if(run, vector, rest) : vector()), rest)
      })
    } else {
      this.eachPair(single)
    }
    this.lastHalf((at, i) => storeWord(k, target, add(at, shift), ushr(element(i), 16), 1))
  }

  /** Zeros from the last pair to the end of its block. */
  private fill(): void {
    const { k } = this
    const { rows, order, lanes } = this.layout
    const { buffer, at } = this.place.target
    const end = mul(div(add(this.depth, BLOCK - 1), BLOCK), BLOCK_PAIRS)
    const from = k.let('used', div(add(this.depth, 1), 2))
    k.loop('pair', from, end, 1, (pair) => {
      const here = k.let('at', order === 'pairs' ? add(at, mul(pair, rows)) : this.wordAt(pair))
      for (let row = 0; row < rows; row += lanes)
        storeWord(k, buffer, add(here, row * this.rowStride), zero(lanes), this.rowStride)
    })
  }
}

const zero = (lanes: number): Expr => constant(0, 'i32', lanes)
