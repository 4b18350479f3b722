/**
 * Float32 panels that are split into three bfloat16 right before tiles multiply them. What is packed once (weights) comes from far memory each time, and is
 * two thirds as long whole as in parts.
 */
import { add, bitcast, load, mul, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import { pairWords, panelWords, partsOf, type WordLayout } from './bf16-pack.ts'
import { BLOCK_PAIRS, storeWord } from './word-offsets.ts'

/** Vectors in each turn of the loop. */
const COPIES = 2

/** How what is packed once lies in memory: elements of float32 stay whole. */
export function storedLayout(layout: WordLayout): WordLayout {
  return layout.parts === 3 ? { ...layout, parts: 2 } : layout
}

/** Room in scratch for words of panels that are split. */
export class SplitPanels {
  private readonly k: Assembler
  private readonly layout: WordLayout
  private readonly source: BufferParameter
  private readonly words: { readonly buffer: BufferParameter; readonly at: Expr }
  private readonly size: Expr

  /** Words of `panels` panels of at most `depth` contracted elements, from panels in `source`. */
  constructor(k: Assembler, layout: WordLayout, source: BufferParameter, panels: number, depth: number) {
    this.k = k
    this.layout = layout
    this.source = source
    this.words = k.reserve('float32', panels * panelWords(layout, depth))
    this.size = k.size(panelWords(layout, depth))
  }

  get buffer(): BufferParameter {
    return this.words.buffer
  }

  /** Where the words of a panel begin. */
  at(panel: Expr): Expr {
    return add(this.words.at, mul(panel, this.size))
  }

  /** Splits `blocks` blocks of the panel that begins at `from`; its words are those of `panel` then. */
  split(from: Expr, panel: Expr, blocks: Expr): void {
    const { k, layout } = this
    const plane = BLOCK_PAIRS * layout.rows
    const to = k.let('to', this.at(panel))
    k.loop('block', 0, blocks, 1, (block) => {
      const source = k.let('source', add(from, mul(block, 2 * plane)))
      const target = k.let('target', add(to, mul(block, layout.parts * plane)))
      k.unrolled('vector', 0, layout.rows, COPIES, (vector) => {
        const at = k.let('at', mul(vector, BLOCK_PAIRS))
        const parts = (element: number): Expr[] =>
          partsOf(
            k,
            bitcast(load(this.source, add(add(source, element * plane), at), BLOCK_PAIRS), 'f32'),
            layout.parts,
          )
        pairWords(k, parts(0), parts(1)).forEach((word, part) =>
          storeWord(k, this.words.buffer, add(add(target, part * plane), at), word, 1),
        )
      })
    })
  }
}
