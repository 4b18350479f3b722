/**
 * Which weights of an attention stay: drawn by the forward kernel, one word of bits for 32 keys of a query, and kept for the gradient
 * (graph/attention.ts has the layout).
 */
import {
  add,
  and,
  constant,
  convert,
  div,
  eq,
  ge,
  i32,
  index,
  load,
  mul,
  ne,
  or,
  ramp,
  rem,
  select,
  shl,
  shr,
  sub,
  ushr,
  type BufferParameter,
} from '../builder.ts'
import { DECISION_KEYS } from '../../graph/attention.ts'
import type { Shape } from '../../common/shape.ts'
import type { Assembler } from '../contract/assembler.ts'
import type { Expr } from '../kernel.ts'
import { emitWords } from '../random.ts'
import type { Frame, QueryTile } from './frame.ts'
import { operandNumbers, scalarNumbers } from './problem.ts'

/** Elements that a block of the generator decides. */
const DRAWN_TOGETHER = 4

/** The words in memory. */
export class DecisionsInMemory {
  private readonly frame: Frame
  private readonly buffer: BufferParameter
  private readonly words: Expr
  private readonly width: Expr

  constructor(frame: Frame, access: 'read' | 'write', shape: Shape) {
    const { k } = frame
    this.frame = frame
    const memory =
      access === 'read'
        ? ({ kind: 'operand', number: operandNumbers.decisions } as const)
        : ({ kind: 'result', number: 2 } as const)
    this.buffer = k.memory(memory, 'int32', access)
    this.words = k.size(shape[2]!)
    this.width = k.size(shape[3]!)
  }

  /** Word of the first query of vector v, for the keys from `first` on, which a word begins with. */
  private at(tile: QueryTile, first: Expr, v: number): Expr {
    const { frame, words, width } = this
    const line = add(mul(add(mul(tile.batch, frame.size.heads), tile.head), words), div(first, DECISION_KEYS))
    return frame.k.let('word', add(mul(line, width), add(tile.from, v * frame.tiles.lanes)))
  }

  read(tile: QueryTile, first: Expr): Expr[] {
    const { frame } = this
    return frame.vectors((v) => frame.k.let('decided', load(this.buffer, this.at(tile, first, v), frame.tiles.lanes)))
  }

  write(tile: QueryTile, first: Expr, words: readonly Expr[]): void {
    words.forEach((word, v) => this.frame.k.store(this.buffer, this.at(tile, first, v), word))
  }
}

/** The words as they are drawn. */
export class Draws {
  private readonly frame: Frame
  private readonly threshold: Expr
  private readonly stream: Expr
  private readonly offset: Expr

  constructor(frame: Frame, place: 'numbers' | 'memory') {
    const { k } = frame
    this.frame = frame
    k.note(place)
    this.threshold = k.number(scalarNumbers.threshold, 'i32')
    const of = (name: 'stream' | 'offset'): Expr =>
      place === 'numbers'
        ? k.number(scalarNumbers[name], 'i64')
        : load(k.memory({ kind: 'operand', number: operandNumbers[name] }, 'int64', 'read'), 0)
    this.stream = of('stream')
    this.offset = of('offset')
  }

  /**
   * The decisions for the keys from `first` on. Draws are numbered along rows of all scores, four to a block of the generator: a lane goes along
   * its own row, and shifts where the row does not begin with a block.
   */
  words(tile: QueryTile, first: Expr): Expr[] {
    const { k, tiles, size } = this.frame
    const { lanes } = tiles
    const { keys } = size
    const row = add(mul(add(mul(tile.batch, size.heads), tile.head), size.queries), tile.from)
    const at = k.let('draw', add(mul(convert(row, 'i64'), convert(keys, 'i64')), convert(first, 'i64')))
    const key = k.let('stream', this.stream)
    const start = k.let('offset', this.offset)
    const block = k.let('block', convert(shr(at, 2), 'i32'))
    const shift = k.let('inBlock', and(convert(at, 'i32'), DRAWN_TOGETHER - 1))
    const own = this.frame.vectors((v) => {
      const away = k.let('away', add(mul(ramp(index(v * lanes), lanes), convert(keys, 'i32')), shift))
      return {
        block: k.let('first', add(ushr(away, 2), block)),
        misplaced: k.let('misplaced', and(away, DRAWN_TOGETHER - 1)),
        word: k.declare('word', i32(0, lanes)),
      }
    })
    const four = (v: number, n: Expr): Expr => this.decide(k, emitWords(k, key, start, add(own[v]!.block, n), 'int32'))
    k.loop('n', 0, DECISION_KEYS / DRAWN_TOGETHER, 1, (n) => {
      const number = k.let('number', convert(n, 'i32'))
      own.forEach(({ word }, v) => k.assign(word, or(word, shl(four(v, number), mul(number, DRAWN_TOGETHER)))))
    })
    k.if(ne(rem(keys, DRAWN_TOGETHER), 0), () =>
      own.forEach(({ word, misplaced }, v) => {
        const next = four(v, i32(DECISION_KEYS / DRAWN_TOGETHER))
        const behind = shl(next, and(sub(DECISION_KEYS, misplaced), DECISION_KEYS - 1))
        k.assign(word, select(eq(misplaced, 0), word, or(ushr(word, misplaced), behind)))
      }),
    )
    return own.map(({ word }) => word)
  }

  /** Bits of the four elements of blocks. */
  private decide(k: Assembler, words: readonly Expr[]): Expr {
    const bits = words.map((w, i) => {
      const { lanes } = w.type
      return select(ge(ushr(w, 8), this.threshold), constant(1 << i, 'i32', lanes), constant(0, 'i32', lanes))
    })
    return k.let(
      'four',
      bits.reduce((all, b) => or(all, b)),
    )
  }
}
