/**
 * Offsets of an operand's elements along the contracted axis, and places for what is made of them: a table in scratch where that axis has several
 * parts (taps and channels), so that pairs may lie on both sides of a border.
 */
import { add, and, bitcast, convert, eq, ge, load, mul, sub, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import { loopRuns } from './axes.ts'
import type { PanelSource } from './pack.ts'

/** Pairs that an instruction of tiles takes at once: blocks of the contracted axis are whole numbers of so many. */
export const BLOCK_PAIRS = 16
export const BLOCK = 2 * BLOCK_PAIRS

/** A place for words: integers, or the bits of floats in scratch that holds floats too. */
export interface WordMemory {
  readonly buffer: BufferParameter
  readonly at: Expr
}

/** Stores a word to integers or floats. */
export function storeWord(k: Assembler, to: BufferParameter, at: Expr, word: Expr, stride: number): void {
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
