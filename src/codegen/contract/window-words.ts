/**
 * The operand with windows of a convolution as words for tiles of bfloat16: planes of one pair of channels each, in which rows lie as far apart as what
 * their windows reach. Positions are counted with that pitch, those between the rows of the result among them, so that the words of any 16 positions
 * at any tap are neighbours, a tap is an offset, and no element is packed twice. With a stride, elements that windows reach at the same tap are
 * a plane of their own (a phase along each axis).
 */
import { add, constant, convert, div, load, min, mul, rem, sub, type BufferParameter } from '../builder.ts'
import type { Expr, FactorParts } from '../kernel.ts'
import type { Assembler } from './assembler.ts'
import type { TaskWords } from './bf16-gemm.ts'
import { pairWords, partsOf } from './bf16-pack.ts'
import { roundUp } from './blocking.ts'
import { BLOCK, BLOCK_PAIRS, storeWord } from './word-offsets.ts'

/** Columns that an instruction reads side by side. */
const PANEL = 32
/** Elements behind the last one that packing may read: the rest of a vector. */
export const READ_BEHIND = BLOCK_PAIRS

/** A window's axis, in coordinates of the operand: from one position, and from one tap (backwards in gradients), to the next. */
export interface WindowAxis {
  readonly positions: number
  readonly taps: number
  readonly step: number
  readonly tap: number
}

/** No window: one position and one tap. */
export const NO_WINDOW: WindowAxis = { positions: 1, taps: 1, step: 1, tap: 0 }

export interface WindowAxes {
  readonly y: WindowAxis
  readonly x: WindowAxis
}

/** Blocks of channels, and panels of columns, that a task has at a time. */
export interface WindowTask {
  readonly parts: FactorParts
  readonly blocks: number
  readonly panels: number
}

/**
 * Elements of the operand from one channel, and from one row, to the next, in a copy in which no window leaves its axis: coordinate 0 of both axes is
 * what the first tap of the first position reaches. Its rows are in phases: each `step`-th element is the neighbour of the one before.
 */
export interface WindowStrides {
  readonly channel: number
  readonly row: number
}

/** Coordinates between the first tap and the last. */
function span(axis: WindowAxis): number {
  return Math.abs(axis.tap) * (axis.taps - 1)
}

/** Positions between the first tap and the last of a phase. */
function shifts(axis: WindowAxis): number {
  return Math.floor(span(axis) / axis.step)
}

/** Phases that windows reach. */
function phases(axis: WindowAxis): number {
  return axis.tap % axis.step === 0 ? 1 : Math.min(axis.step, span(axis) + 1)
}

/** Positions of one phase that windows reach: what the operand has to have, times the step, along an axis. */
export function reached(axis: WindowAxis): number {
  return axis.positions + shifts(axis)
}

/** Columns from the first position to the last, with those between rows. */
export function columnsOf({ y, x }: WindowAxes): number {
  return (y.positions - 1) * reached(x) + x.positions
}

/** Columns of the rows that windows reach below those of their positions: what neighbouring tasks both split. */
export function sharedColumns({ y, x }: WindowAxes): number {
  return shifts(y) * reached(x)
}

/** Rows of positions that so many columns touch. */
function rowsOf(columns: number, { y, x }: WindowAxes): number {
  return Math.min(y.positions, Math.ceil((columns - 1) / reached(x)) + 1)
}

/** Words behind the last row that a panel may reach. */
function wordsBehind(x: WindowAxis): number {
  return PANEL + roundUp(shifts(x), BLOCK_PAIRS)
}

/** Words of one plane: an odd number of lines, so that planes do not meet in the sets of a cache. */
function planeWords(axes: WindowAxes, panels: number): number {
  const { y, x } = axes
  const words = (rowsOf(panels * PANEL, axes) + shifts(y)) * reached(x) + wordsBehind(x)
  return BLOCK_PAIRS * (2 * Math.ceil((words / BLOCK_PAIRS - 1) / 2) + 1)
}

/** Bytes of the words of a task. */
export function windowBytes(axes: WindowAxes, { parts, blocks, panels }: WindowTask): number {
  return 4 * blocks * phases(axes.y) * phases(axes.x) * parts * BLOCK_PAIRS * planeWords(axes, panels)
}

/** What a task packs of a block of channels, in panels of columns: elements that windows reach, of all phases. */
export function windowPanels(axes: WindowAxes, panels: number): number {
  return (phases(axes.y) * phases(axes.x) * planeWords(axes, panels)) / PANEL
}

/** The words of a task, which it packs from `source`; contracted elements are blocks of channels, taps (of y, then of x), and the channels of a block. */
export function windowWords(
  k: Assembler,
  axes: WindowAxes,
  strides: WindowStrides,
  task: WindowTask,
  source: BufferParameter,
): TaskWords {
  const { y, x } = axes
  const { parts } = task
  const plane = planeWords(axes, task.panels)
  const pitchWords = reached(x)
  // Rows that follow each other in the operand as they do in a plane are one.
  const isRun = y.step * strides.row === pitchWords
  k.note(`window words ${parts} ${isRun ? 'a run' : 'rows'}`)
  const words = k.reserve('float32', windowBytes(axes, task) / 4)
  const table = k.reserve('float32', y.taps * x.taps)
  const pitch = k.size(pitchWords)
  const columns = k.size(columnsOf(axes))
  const of = (axis: WindowAxis) => ({
    taps: k.size(axis.taps),
    tap: k.size(axis.tap),
    /** Coordinate of tap 0. */
    first: k.size(axis.tap < 0 ? span(axis) : 0),
    step: k.size(axis.step),
  })
  const [down, across] = [of(y), of(x)]
  const shiftsDown = k.size(shifts(y))
  const phasesAcross = k.size(phases(x))
  const variants = k.size(phases(y) * phases(x))
  const [channel, row] = [k.size(strides.channel), k.size(strides.row)]
  const behindSize = k.size(wordsBehind(x))
  const planeSize = k.size(plane)
  const partSize = k.size(BLOCK_PAIRS * plane)
  const variantSize = k.size(parts * BLOCK_PAIRS * plane)
  const blockSize = k.size(phases(y) * phases(x) * parts * BLOCK_PAIRS * plane)
  const taps = k.size(y.taps * x.taps)
  let shift: Expr = columns

  const at = (panel: Expr): Expr => add(add(words.at, shift), mul(panel, PANEL))
  const pack: TaskWords['pack'] = (place, count) => {
    const firstRow = k.let('firstRow', div(place.row, pitch))
    const end = k.let('end', min(add(place.row, mul(count, PANEL)), columns))
    const rows = k.let('rows', add(add(sub(div(sub(end, 1), pitch), firstRow), 1), shiftsDown))
    shift = k.let('shift', sub(place.row, mul(firstRow, pitch)))
    const rowStep = k.let('rowStep', mul(down.step, row))
    const start = k.let('start', add(place.base, mul(firstRow, rowStep)))
    const blockElements = mul(taps, BLOCK)
    const firstBlock = k.let('firstBlock', div(place.from, blockElements))
    const blocks = k.let('blocks', sub(div(place.to, blockElements), firstBlock))
    k.loop('ky', 0, down.taps, 1, (ky) => {
      const cy = k.let('cy', add(down.first, mul(ky, down.tap)))
      k.loop('kx', 0, across.taps, 1, (kx) => {
        const cx = k.let('cx', add(across.first, mul(kx, across.tap)))
        const variant = add(mul(rem(cy, down.step), phasesAcross), rem(cx, across.step))
        const inPlane = add(mul(div(cy, down.step), pitch), div(cx, across.step))
        const offset = k.let('offset', add(mul(variant, variantSize), inPlane))
        storeWord(k, table.buffer, add(table.at, add(mul(ky, across.taps), kx)), convert(offset, 'i32'), 1)
      })
    })
    k.loop('block', 0, blocks, 1, (block) => {
      k.loop('variant', 0, variants, 1, (variant) => {
        const [py, px] = [div(variant, phasesAcross), rem(variant, phasesAcross)]
        const from = k.let('from', add(start, add(mul(py, row), mul(px, pitch))))
        const to = k.let('to', add(words.at, add(mul(block, blockSize), mul(variant, variantSize))))
        k.loop('pair', 0, BLOCK_PAIRS, 1, (pair) => {
          const first = mul(add(mul(add(firstBlock, block), BLOCK), mul(pair, 2)), channel)
          const source0 = k.let('source', add(from, first))
          const target = k.let('target', add(to, mul(pair, planeSize)))
          const length = k.let('length', mul(rows, pitch))
          // What a vector has behind the end of a row is written again by the next one, and by zeros behind the last.
          const line = (here: Expr, there: Expr, size: Expr): void =>
            k.loop('x', 0, size, BLOCK_PAIRS, (x) => {
              const at = k.let('at', add(here, x))
              const read = (at: Expr): Expr[] => partsOf(k, load(source, at, BLOCK_PAIRS), parts)
              pairWords(k, read(at), read(add(at, channel))).forEach((word, part) =>
                storeWord(k, words.buffer, add(add(there, x), mul(part, partSize)), word, 1),
              )
            })
          if (isRun) line(source0, target, length)
          else {
            k.loop('row', 0, rows, 1, (row) => {
              const here = k.let('here', add(source0, mul(row, rowStep)))
              line(here, k.let('there', add(target, mul(row, pitch))), pitch)
            })
          }
          const behind = k.let('behind', add(target, length))
          k.loop('lane', 0, behindSize, BLOCK_PAIRS, (lane) => {
            for (let part = 0; part < parts; part++) {
              const zero = constant(0, 'i32', BLOCK_PAIRS)
              storeWord(k, words.buffer, add(behind, add(mul(part, partSize), lane)), zero, 1)
            }
          })
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
