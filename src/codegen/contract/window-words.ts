/**
 * The operand with windows of a convolution as words for tiles of bfloat16: planes of one pair of channels each, in which positions lie as in the
 * result, so that the words of any 16 positions at any tap are neighbours and none is packed once for every tap. Rows above one another are shared
 * by taps above one another; taps beside one another, and with a stride those above one another too, have planes of their own.
 */
import {
  add,
  constant,
  convert,
  div,
  gather,
  index,
  load,
  min,
  mul,
  rem,
  sub,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import type { TaskWords } from './bf16-gemm.ts'
import { pairWords, partsOf } from './bf16-pack.ts'
import { BLOCK, BLOCK_PAIRS, storeWord } from './word-offsets.ts'

/** Columns that an instruction reads side by side. */
const PANEL = 32
/** Elements behind the last one that packing may read: the rest of a vector. */
export const READ_BEHIND = BLOCK_PAIRS

/** A window's axis in the operand: elements from one position, and from one tap, to the next. */
export interface WindowAxis {
  readonly positions: number
  readonly taps: number
  readonly position: number
  readonly tap: number
}

export interface WindowShape {
  readonly y: WindowAxis
  readonly x: WindowAxis
  /** Elements from one channel to the next. */
  readonly channel: number
  readonly parts: 1 | 3
  /** Blocks of channels, and panels of columns, that a task has at a time. */
  readonly blocks: number
  readonly panels: number
}

/** Whether taps above one another read rows that are each other's neighbours. */
function sharesRows(y: WindowAxis): boolean {
  return y.tap % y.position === 0
}

/** Rows of positions that so many columns touch. */
function rowsOf(columns: number, x: WindowAxis, y: WindowAxis): number {
  return Math.min(y.positions, Math.ceil((columns - 1) / x.positions) + 1)
}

/** Rows, in positions, between the first tap and the last. */
function span(y: WindowAxis): number {
  return sharesRows(y) ? Math.abs(y.tap / y.position) * (y.taps - 1) : 0
}

/** Words of one plane: an odd number of lines, so that planes do not meet in the sets of a cache. */
function planeWords({ y, x, panels }: Pick<WindowShape, 'y' | 'x' | 'panels'>): number {
  const words = (rowsOf(panels * PANEL, x, y) + span(y)) * x.positions + PANEL + BLOCK_PAIRS
  return BLOCK_PAIRS * (2 * Math.ceil((words / BLOCK_PAIRS - 1) / 2) + 1)
}

/** Planes of one pair. */
function planeCount({ y, x }: Pick<WindowShape, 'y' | 'x'>): number {
  return x.taps * (sharesRows(y) ? 1 : y.taps)
}

/** Bytes of the words of a task. */
export function windowBytes(w: Omit<WindowShape, 'channel'>): number {
  return 4 * w.blocks * planeCount(w) * w.parts * BLOCK_PAIRS * planeWords(w)
}

/** The words of a task, which it packs from `source`; contracted elements are blocks of channels, taps, and the channels of a block. */
export function windowWords(k: Assembler, w: WindowShape, source: BufferParameter): TaskWords {
  const { y, x, parts } = w
  const plane = planeWords(w)
  const shared = sharesRows(y)
  k.note(`window words ${parts} ${shared ? 'shared' : 'own'} rows`)
  const words = k.reserve('float32', windowBytes(w) / 4)
  const table = k.reserve('float32', y.taps * x.taps)
  const [width, height] = [k.size(x.positions), k.size(y.positions)]
  const [tapsY, tapsX] = [k.size(y.taps), k.size(x.taps)]
  const [rowStep, tapStepY, tapStepX] = [k.size(y.position), k.size(y.tap), k.size(x.tap)]
  const columnStep = k.stride(x.position)
  const channel = k.size(w.channel)
  const planeSize = k.size(plane)
  const partSize = k.size(BLOCK_PAIRS * plane)
  const variantSize = k.size(parts * BLOCK_PAIRS * plane)
  const blockSize = k.size(planeCount(w) * parts * BLOCK_PAIRS * plane)
  /** Of taps that share rows: rows from one tap to the next, and those that all taps need besides the positions'. */
  const [rowsPerTap, spanRows] = [k.size(shared ? y.tap / y.position : 0), k.size(span(y))]
  const taps = k.size(y.taps * x.taps)
  /** Rows before that of the first tap. */
  const before = shared ? min(0, mul(rowsPerTap, sub(tapsY, 1))) : index(0)
  let shift: Expr = index(0)

  const at = (panel: Expr): Expr => add(add(words.at, shift), mul(panel, PANEL))
  const pack: TaskWords['pack'] = (place, count) => {
    const columns = mul(height, width)
    const firstRow = k.let('firstRow', div(place.row, width))
    const end = k.let('end', min(add(place.row, mul(count, PANEL)), columns))
    const rows = k.let('rows', add(add(sub(div(sub(end, 1), width), firstRow), 1), spanRows))
    shift = k.let('shift', sub(place.row, mul(firstRow, width)))
    const low = k.let('low', before)
    const start = k.let('start', add(place.base, mul(add(firstRow, low), rowStep)))
    const blockElements = mul(taps, BLOCK)
    const firstBlock = k.let('firstBlock', div(place.from, blockElements))
    const blocks = k.let('blocks', sub(div(place.to, blockElements), firstBlock))
    k.loop('ky', 0, tapsY, 1, (ky) => {
      k.loop('kx', 0, tapsX, 1, (kx) => {
        const variant = shared ? kx : add(mul(ky, tapsX), kx)
        const row = shared ? mul(sub(mul(ky, rowsPerTap), low), width) : index(0)
        const offset = k.let('offset', add(mul(variant, variantSize), row))
        storeWord(k, table.buffer, add(table.at, add(mul(kx, tapsY), ky)), convert(offset, 'i32'), 1)
      })
    })
    const variants = shared ? tapsX : mul(tapsY, tapsX)
    k.loop('block', 0, blocks, 1, (block) => {
      k.loop('variant', 0, variants, 1, (variant) => {
        const kx = shared ? variant : k.let('kx', rem(variant, tapsX))
        const down = shared ? index(0) : mul(div(variant, tapsX), tapStepY)
        const from = k.let('from', add(add(start, down), mul(kx, tapStepX)))
        const to = k.let('to', add(words.at, add(mul(block, blockSize), mul(variant, variantSize))))
        k.loop('pair', 0, BLOCK_PAIRS, 1, (pair) => {
          const first = mul(add(mul(add(firstBlock, block), BLOCK), mul(pair, 2)), channel)
          const source0 = k.let('source', add(from, first))
          const target = k.let('target', add(to, mul(pair, planeSize)))
          k.loop('row', 0, rows, 1, (row) => {
            const here = k.let('here', add(source0, mul(row, rowStep)))
            const there = k.let('there', add(target, mul(row, width)))
            // What a vector has behind the end of a row is written again by the next one, and by zeros behind the last.
            k.loop('x', 0, width, BLOCK_PAIRS, (x) => {
              const at = k.let('at', add(here, mul(x, columnStep)))
              const read = (at: Expr): Expr[] => partsOf(k, lanesAt(source, at, columnStep), parts)
              pairWords(k, read(at), read(add(at, channel))).forEach((word, part) =>
                storeWord(k, words.buffer, add(add(there, x), mul(part, partSize)), word, 1),
              )
            })
          })
          const behind = k.let('behind', add(target, mul(rows, width)))
          for (let part = 0; part < parts; part++) {
            for (let lane = 0; lane < PANEL; lane += BLOCK_PAIRS) {
              const zero = constant(0, 'i32', BLOCK_PAIRS)
              storeWord(k, words.buffer, add(behind, add(mul(part, partSize), lane)), zero, 1)
            }
          }
        })
      })
    })
  }
  const window = {
    table: table.buffer.parameter,
    tableAt: table.at,
    taps,
    block: blockSize,
    part: partSize,
    pair: planeSize,
  }
  return { buffer: words.buffer, at, pack, window }
}

function lanesAt(source: BufferParameter, at: Expr, step: Expr): Expr {
  return isStride(step, 1) ? load(source, at, BLOCK_PAIRS) : gather(source, at, step, BLOCK_PAIRS)
}
