/**
 * Packing of an operand for instructions that multiply pairs of bfloat16: words of 32 bits, each with two elements that are neighbours on the
 * contracted axis, the first in the low half. A panel has `rows` free elements; what is missing on either axis is zero.
 *
 * A float32 is the exact sum of three bfloat16: its first eight significant bits, the next eight, and the last. Each part has words of its own.
 */
import {
  add,
  and,
  bitcast,
  constant,
  div,
  eq,
  gather,
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
} from '../builder.ts'
import type { Expr, FactorParts } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import type { PanelSource } from './pack.ts'
import { BLOCK, BLOCK_PAIRS, storeWord, type Offsets, type WordMemory } from './word-offsets.ts'

/** How the words of a panel lie. */
export interface WordLayout {
  /** Free elements of a panel. */
  readonly rows: number
  /** Free elements that one vector packs; divides `rows`. */
  readonly lanes: number
  /** `pairs`: [pair][row]. `tiles`: [block of 16 pairs][row][pair]. With three parts [block][part] stands before both. */
  readonly order: 'pairs' | 'tiles'
  /** Whether the contracted axis is filled with zeros up to a whole block. */
  readonly wholeBlocks: boolean
  /**
   * Words of a pair: 1 of bfloat16, 2 or 3 of float32 in parts, which only whole blocks have. Within a block all words of a part lie before those of the next.
   */
  readonly parts: FactorParts
  /** Elements of float32 stay whole, with two words a pair: the first ones of all pairs of a block lie before the second ones. */
  readonly isWhole: boolean
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

/** How what is packed once lies in memory: float32 stays whole until it is multiplied, since it comes from far memory each time, and parts are half as long again. */
export function storedLayout(layout: WordLayout): WordLayout {
  return layout.parts === 3 ? { ...layout, parts: 2, isWhole: true } : layout
}

/** Words of a panel of so many contracted elements. */
export function panelWords(layout: WordLayout, depth: number): number {
  return layout.parts * layout.rows * BLOCK_PAIRS * Math.ceil(depth / BLOCK)
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

/** What cuts numbers off nearest to rounding, on the mean, if they are multiplied by it before. */
const ROUNDING = 1 + 5 / 2048

/**
 * The parts of values, each in the high half of a word whose low half is zero. Three are cut off one behind the other. Of two the first is rounded,
 * so that errors of products have either sign; a number with all bits of its significand becomes zero by that, and the second part is then not a number.
 */
export function partsOf(k: Assembler, value: Expr, parts: FactorParts): Expr[] {
  if (parts === 1) return [bitcast(value, 'i32')]
  const high = (x: Expr): Expr => k.let('high', and(bitcast(x, 'i32'), constant(-65536, 'i32', x.type.lanes)))
  if (parts === 2) {
    const x = k.let('x', value)
    const rounded = add(bitcast(x, 'i32'), constant(0x8000, 'i32', x.type.lanes))
    const first = k.let('high', and(rounded, constant(-65536, 'i32', x.type.lanes)))
    const rest = sub(x, bitcast(first, 'f32'))
    return [first, high(mul(rest, constant(ROUNDING, 'f32', x.type.lanes)))]
  }
  const x = k.let('x', value)
  const first = high(x)
  const rest = k.let('rest', sub(x, bitcast(first, 'f32')))
  const second = high(rest)
  return [first, second, high(sub(rest, bitcast(second, 'f32')))]
}

/** Words of two neighbours, by part; the second may be missing. */
export function pairWords(k: Assembler, a: readonly Expr[], b?: readonly Expr[]): Expr[] {
  return a.map((part, n) => k.let('words', b ? or(ushr(part, 16), b[n]!) : ushr(part, 16)))
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
  /** Words between blocks of the contracted axis, and between the parts of an element. */
  private readonly blockStride: number
  private readonly partStride: number

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
    this.partStride = BLOCK_PAIRS * layout.rows
    this.blockStride = layout.parts * this.partStride
  }

  panel(): void {
    const { source, layout } = this
    const isUnit = isStride(source.free.innerStride(0), 1)
    const isTurned = layout.lanes === BLOCK_PAIRS
    if (isUnit) {
      if (isTurned && layout.order === 'tiles') this.turned()
      else this.alongFree()
    } else if (isTurned && layout.order === 'pairs' && isStride(source.contracted.innerStride(0), 1)) this.turnedRows()
    else this.rows(index(0), layout.rows)
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
      const parts = (i: Expr): Expr[] => this.parts(load(source.buffer, add(start, offsets.at(i)), lanes))
      const words = (i: Expr): Expr[] => this.words(parts(i), parts(add(i, 1)))
      const blocks = div(this.whole, BLOCK_PAIRS)
      const whole = k.let('turned', mul(blocks, BLOCK_PAIRS))
      const turn = (): void => {
        k.loop('block', 0, blocks, 1, (block) => {
          const from = k.let('i', mul(block, BLOCK))
          const to = k.let('to', add(target, mul(block, this.blockStride)))
          this.storeTurned(
            Array.from({ length: BLOCK_PAIRS }, (_, pair) => words(add(from, 2 * pair))),
            to,
            this.rowStride,
          )
        })
        const one = (at: Expr, w: Expr[]): void => this.store(add(at, mul(first, this.rowStride)), w, this.rowStride)
        this.pairsBetween(whole, this.whole, (at, i) => one(at, words(i)))
        this.lastHalf((at, i) => one(at, this.words(parts(i))))
      }
      k.if(fits, turn, () => this.rows(first, lanes))
    })
  }

  /** Sixteen free elements whose neighbours on the contracted axis lie side by side in memory: blocks of pairs are turned in registers. */
  private turnedRows(): void {
    const { k, source, place, offsets } = this
    const { rows } = this.layout
    const blocks = k.let('blocks', div(this.depth, BLOCK))
    const last = k.let('last', sub(source.size, 1))
    k.loop('first', 0, rows, BLOCK_PAIRS, (first) => {
      const starts = Array.from({ length: BLOCK_PAIRS }, (_, n) => {
        // What is behind the last is not zero, but its sums are not stored.
        const row = k.let('r', min(add(add(place.row, first), n), last))
        return k.let('s', add(place.base, source.free.locate(k, row).offsets[0]!))
      })
      const target = k.let('to', add(place.target.at, first))
      k.loop('block', 0, blocks, 1, (block) => {
        const from = k.let('i', mul(block, BLOCK))
        const run = offsets.isRun(from)
        const to = k.let('to', add(target, mul(block, this.blockStride)))
        const turn = (): void => {
          const o = k.let('o', offsets.at(from))
          this.storeTurned(
            starts.map((start) => this.run(add(start, o))),
            to,
            this.pairStride,
          )
        }
        const single = (): void => {
          const end = k.let('end', mul(add(block, 1), BLOCK_PAIRS))
          this.pairsBetween(mul(block, BLOCK_PAIRS), end, (at, i) => this.pairOf(starts, add(at, first), i, true))
        }
        if (run) k.if(run, turn, single)
        else turn()
      })
      this.pairsBetween(mul(blocks, BLOCK_PAIRS), this.whole, (at, i) => this.pairOf(starts, add(at, first), i, true))
      this.lastHalf((at, i) => this.pairOf(starts, add(at, first), i, false))
    })
  }

  /** One pair, or its first half, of free elements that begin at `starts`. */
  private pairOf(starts: readonly Expr[], at: Expr, i: Expr, isWhole: boolean): void {
    const { k, source, offsets } = this
    const o = k.let('o', offsets.at(i))
    const p = isWhole ? k.let('p', offsets.at(add(i, 1))) : null
    starts.forEach((start, n) => {
      const parts = (offset: Expr): Expr[] => this.parts(load(source.buffer, add(start, offset)))
      this.store(add(at, n), this.words(parts(o), p ? parts(p) : undefined), 1)
    })
  }

  /** Stores sixteen vectors of words turned: word j of vector i is word i of vector j, `stride` words from the one before. */
  private storeTurned(vectors: readonly (readonly Expr[])[], at: Expr, stride: number): void {
    const { k, place } = this
    for (let part = 0; part < this.layout.parts; part++) {
      const turned = transposeSixteen(
        k,
        vectors.map((words) => words[part]!),
      )
      turned.forEach((w, i) => storeWord(k, place.target.buffer, add(at, part * this.partStride + i * stride), w, 1))
    }
  }

  private parts(value: Expr): Expr[] {
    return this.layout.isWhole ? [bitcast(value, 'i32')] : partsOf(this.k, value, this.layout.parts)
  }

  private words(a: readonly Expr[], b?: readonly Expr[]): Expr[] {
    const [first] = a as [Expr]
    if (this.layout.isWhole) return [first, b?.[0] ?? constant(0, 'i32', first.type.lanes)]
    return pairWords(this.k, a, b)
  }

  /** Words of a block that lies side by side in memory. */
  private run(at: Expr): Expr[] {
    const { buffer } = this.source
    if (this.layout.parts === 1) return [this.k.let('words', pairs(buffer, at, BLOCK_PAIRS))]
    const every = (from: Expr): Expr[] => this.parts(gather(buffer, from, 2, BLOCK_PAIRS))
    return this.words(every(at), every(add(at, 1)))
  }

  /** Interleaves vectors of two neighbours on the contracted axis. */
  private vectors(vectors: readonly { readonly start: Expr; readonly first: number }[]): void {
    const { k, source, offsets } = this
    const { lanes } = this.layout
    const parts = (start: Expr, offset: Expr): Expr[] => this.parts(load(source.buffer, add(start, offset), lanes))
    const store = (at: Expr, first: number, words: Expr[]): void =>
      this.store(add(at, first * this.rowStride), words, this.rowStride)
    this.eachPair((at, i) => {
      const [o, p] = [k.let('o', offsets.at(i)), k.let('p', offsets.at(add(i, 1)))]
      for (const v of vectors) store(at, v.first, this.words(parts(v.start, o), parts(v.start, p)))
    })
    this.lastHalf((at, i) => {
      const o = k.let('o', offsets.at(i))
      for (const v of vectors) store(at, v.first, this.words(parts(v.start, o)))
    })
  }

  /** Words of all parts; `stride` words lie between lanes. */
  private store(at: Expr, words: readonly Expr[], stride: number): void {
    words.forEach((w, part) => storeWord(this.k, this.place.target.buffer, add(at, part * this.partStride), w, stride))
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
    const { order, parts, rows } = this.layout
    if (order === 'pairs' && parts === 1) return add(at, mul(pair, rows))
    const inBlock = mul(rem(pair, BLOCK_PAIRS), this.pairStride)
    return add(at, add(mul(div(pair, BLOCK_PAIRS), this.blockStride), inBlock))
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
          this.pairsBetween(index(0), end, (at) => this.store(add(at, shift), this.zeros(1), 1))
        },
      )
    })
  }

  /** One free element: whole blocks where memory has them side by side, else pair by pair. */
  private row(start: Expr, shift: Expr): void {
    const { k, source, offsets } = this
    const parts = (i: Expr): Expr[] => this.parts(load(source.buffer, add(start, offsets.at(i))))
    const single = (at: Expr, i: Expr): void => this.store(add(at, shift), this.words(parts(i), parts(add(i, 1))), 1)
    if (isStride(source.contracted.innerStride(0), 1)) {
      k.loop('block', 0, this.depth, BLOCK, (block) => {
        const pair = k.let('first', div(block, 2))
        const run = offsets.isRun(block)
        const fits = le(add(block, BLOCK), this.depth)
        const vector = (): void => {
          const words = this.run(add(start, offsets.at(block)))
          this.store(add(this.wordAt(pair), shift), words, this.pairStride)
        }
        const rest = (): void => this.pairsBetween(pair, min(add(pair, BLOCK_PAIRS), this.whole), single)
        // The last place of the table is read only where it exists.
        k.if(fits, () => (run ? k.if(run, vector, rest) : vector()), rest)
      })
    } else {
      this.eachPair(single)
    }
    this.lastHalf((at, i) => this.store(add(at, shift), this.words(parts(i)), 1))
  }

  /** Zeros from the last pair to the end of its block. */
  private fill(): void {
    const { k } = this
    const { rows, lanes } = this.layout
    const end = mul(div(add(this.depth, BLOCK - 1), BLOCK), BLOCK_PAIRS)
    const from = k.let('used', div(add(this.depth, 1), 2))
    this.pairsBetween(from, end, (at) => {
      for (let row = 0; row < rows; row += lanes)
        this.store(add(at, row * this.rowStride), this.zeros(lanes), this.rowStride)
    })
  }

  private zeros(lanes: number): Expr[] {
    return Array.from({ length: this.layout.parts }, () => constant(0, 'i32', lanes))
  }
}
