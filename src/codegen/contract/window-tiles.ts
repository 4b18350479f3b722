/**
 * Convolutions, and the gradients of their inputs, by tiles of bfloat16 (elements of float32 in three parts, as in bf16-gemm.ts). Each task splits
 * what it needs of the images once and reads it at every tap (window-words.ts); weights are packed before, in the order of these reads.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { Capabilities } from '../capabilities.ts'
import { hasTerm, letterStride, originOf, type AffineCase, type AffineDim, type Term } from './affine.ts'
import { Assembler } from './assembler.ts'
import type { PairBlocking } from './bf16-blocking.ts'
import { emitPairProduct, pairStep, wordPanels } from './bf16-gemm.ts'
import { partsOfFactors, tileKind, type Kind } from './bf16-kind.ts'
import { roundUp } from './blocking.ts'
import { sourceOf, type Contraction } from './contraction.ts'
import { besideOut, epilogueOf, resultView, StepList, type Form, type FormAxis } from './form.ts'
import { operandsOf, windowStandings } from './operands.ts'
import { packPanels } from './packed.ts'
import type { ContractProblem } from './problem.ts'
import { afterRelayout, byStride, reaches, relayout, type Reach, type Source } from './relayout.ts'
import type { ConvolutionForm } from './siblings.ts'
import {
  columnsOf,
  sharedColumns,
  NO_WINDOW,
  READ_BEHIND,
  reached,
  windowBytes,
  windowPanels,
  windowWords,
  type WindowAxes,
  type WindowAxis,
  type WindowStrides,
} from './window-words.ts'
import { cutTasks, WORDS_COST } from './tile-tasks.ts'
import { BLOCK } from './word-offsets.ts'

/** A window's axis in the operand, and its letters. */
interface LetterWindow {
  readonly axis: number
  readonly position: Term
  readonly tap: Term
}

/** The letters of a convolution by what they do. */
interface Letters {
  /** The operand with windows, and the one with weights. */
  readonly windowed: 'lhs' | 'rhs'
  readonly weights: 'lhs' | 'rhs'
  /** One or two, inner last. */
  readonly windows: readonly LetterWindow[]
  readonly channel: number
  readonly images: readonly number[]
  readonly filters: readonly number[]
}

/** Steps of tiles between fetching sums and keeping them, at most, if a block of channels has no more. */
const STEPS = 40
/** Shares of the second-level cache for words of a task, for sums that wait, and for rows that are used again. */
const SHARES = { words: 0.3, sums: 0.25, rows: 0.25, most: 0.75 }
/** Columns of a task, over those of the rows that the next one splits again, before it takes fewer channels at a time instead. */
const LEAST_SHARED = 2

/** Null where it is none, where the device has no tiles, or where one panel of columns does not fit the cache. */
export function tileConvolution(contraction: Contraction): ConvolutionForm | null {
  const { problem, cases, taps, positions, title } = contraction
  const { capabilities, dtype } = problem
  const [c] = cases
  if (!c || cases.length > 1) return null
  const parts = partsOfFactors(dtype, capabilities)
  if (parts === 0) return null
  const letters = lettersOf(c, taps, positions)
  if (!letters) return null
  const size = convolutionSize(c, letters)
  const kind = tileKind(parts)
  const blocking = isDeep(size) ? chooseBlocking(size, kind, capabilities) : null
  if (!blocking) return null
  return {
    depth: [size.channels, size.filters],
    pays: (size.y.positions * size.x.positions) / roundUp(columnsOf(size), 32) >= LEAST.columns,
    lower: () => {
      const list = new StepList()
      const { form, strides } = layOut(problem, c, letters, size, title, list)
      const rows = packPanels({ ...form, batch: [] }, 'a', wordPanels('a', kind, blocking.depth), list)
      const k = new Assembler(`convolution by ${kind.name}`, form.title)
      const blocks = blocking.depth / (size.taps * BLOCK)
      const task = { parts: kind.parts, blocks, panels: blocking.columnPanels }
      const packed = { rows: { ...rows, isShared: true }, columns: null }
      emitPairProduct(k, form, kind, blocking, { splits: 1, splitStride: 0 }, packed, (b) =>
        windowWords(k, size, strides, task, b),
      )
      list.steps.push(pairStep(k, { ...form, columns: form.runs!.columns }, blocking, 1))
      return list
    },
  }
}

function lettersOf(c: AffineCase, taps: ReadonlySet<number>, positions: ReadonlySet<number>): Letters | null {
  const { windowed, other: weights, standing, letters } = operandsOf(c)
  const [images, filters, channels] = (['101', '011', '110'] as const).map((where) =>
    letters(where).filter((l) => !taps.has(l) && !positions.has(l)),
  ) as [number[], number[], number[]]
  const count = images.length + filters.length + channels.length + taps.size + positions.size
  if (count !== c.sizes.size || channels.length !== 1 || filters.length === 0) return null
  const wanted = windowStandings(false)
  if (![...positions].every((l) => standing(l) === wanted.positions)) return null
  if (![...taps].every((l) => standing(l) === wanted.taps)) return null
  if ([...c.sizes.values()].some((n) => n === 0)) return null
  const windows: LetterWindow[] = []
  for (const [axis, { terms }] of c[windowed].entries()) {
    if (terms.length === 1) continue
    const position = terms.find((t) => positions.has(t.letter))
    const tap = terms.find((t) => taps.has(t.letter))
    if (terms.length > 2 || !position || !tap || position.factor < 1) return null
    windows.push({ axis, position, tap })
  }
  if (windows.length < 1 || windows.length > 2) return null
  return { windowed, weights, windows, channel: channels[0]!, images, filters }
}

/** What decides on blocks, and on whether they pay. */
interface ConvolutionSize extends WindowAxes {
  readonly images: number
  readonly filters: number
  readonly channels: number
  readonly taps: number
}

function convolutionSize(c: AffineCase, letters: Letters): ConvolutionSize {
  const size = (list: readonly number[]): number => list.reduce((n, l) => n * c.sizes.get(l)!, 1)
  const [x, y = NO_WINDOW] = letters.windows.toReversed().map(({ position, tap }): WindowAxis => ({
    positions: c.sizes.get(position.letter)!,
    taps: c.sizes.get(tap.letter)!,
    step: position.factor,
    tap: tap.factor,
  })) as [WindowAxis, WindowAxis?]
  return {
    images: size(letters.images),
    filters: size(letters.filters),
    channels: c.sizes.get(letters.channel)!,
    taps: y.taps * x.taps,
    y,
    x,
  }
}

/** Least products in a result, least share of the rows and contracted elements of tiles that are used, and of those the columns'. */
const LEAST = { products: 192, depth: 0.6, columns: 0.6 }

const used = (n: number): number => n / roundUp(n, 32)

/** Whether there is a window, and weights fill tiles: constants of a program. Without a window the plain product packs what it reads as well. */
function isDeep({ filters, channels, taps }: ConvolutionSize): boolean {
  return taps > 1 && channels * taps >= LEAST.products && used(filters) * used(channels) >= LEAST.depth
}

function chooseBlocking(size: ConvolutionSize, kind: Kind, capabilities: Capabilities): PairBlocking | null {
  const [, l2] = capabilities.cacheBytes
  const { tile } = kind
  const { taps } = size
  const channelBlocks = Math.ceil(size.channels / BLOCK)
  const allRows = Math.ceil(size.filters / tile.rows)
  const allColumns = Math.ceil(columnsOf(size) / tile.columns)
  const { parts } = kind
  const split = (most: number): number => Math.ceil(channelBlocks / Math.ceil(channelBlocks / most))
  const words = (panels: number, blocks: number): number => windowBytes(size, { parts, blocks, panels })
  if (words(1, 1) > SHARES.most * l2) return null
  let rows = allRows
  let columns = allColumns
  let blocks = split(Math.min(channelBlocks, Math.max(1, Math.floor(STEPS / taps))))
  const fewest = Math.ceil((LEAST_SHARED * sharedColumns(size)) / tile.columns)
  while (words(columns, blocks) > SHARES.words * l2 && Math.max(columns, blocks) > 1) {
    if (blocks > 1 && columns <= fewest) blocks = split(blocks - 1)
    else columns = Math.ceil(columns / 2)
  }
  const allBlocks = Math.ceil(channelBlocks / blocks)
  const depth = blocks * taps * BLOCK
  const sums = (): number => (allBlocks > 1 ? 4 * tile.rows * tile.columns * columns * rows : 0)
  while (rows > 1 && sums() > SHARES.sums * l2) rows = Math.ceil(rows / 2)
  // Of a block of channels: each step multiplies panels at one tap, and all taps read what was packed once.
  const { rows: rowPanels, columns: columnPanels } = cutTasks(
    { rows: allRows, columns: allColumns },
    { rows, columns },
    size.images,
    capabilities.threads,
    (task) => {
      const packed = WORDS_COST.pack[parts] * windowPanels(size, task.columns)
      return taps * task.rows * (task.columns + WORDS_COST.split[parts]) + packed
    },
  )
  return {
    depth,
    blocks: allBlocks,
    allBlocks,
    rowPanels,
    columnPanels,
    cachedRowPanels: Math.max(1, Math.floor((SHARES.rows * l2) / (2 * parts * tile.rows * depth))),
    isPerPanel: false,
    rowTasks: Math.ceil(allRows / rowPanels),
    columnTasks: Math.ceil(allColumns / columnPanels),
  }
}

/** The convolution on copies in which windows stay inside, with whole blocks of channels; rows of images in phases. */
function layOut(
  problem: ContractProblem,
  c: AffineCase,
  letters: Letters,
  size: ConvolutionSize,
  title: string,
  list: StepList,
): { form: Form; strides: WindowStrides } {
  const { windowed, weights, channel, windows } = letters
  const { y, x } = size
  const blocks = Math.ceil(size.channels / BLOCK)
  /** With zeros up to a whole block of channels. */
  const reach = (side: 'lhs' | 'rhs'): Reach[] =>
    reaches([c], side).map((r, i) => (hasTerm([c[side][i]!], channel) ? { low: 0, high: blocks * BLOCK - 1 } : r))

  const inner = windows.at(-1)!
  const imageReach = reach(windowed).map((r, i) => {
    const along = windows.find((w) => w.axis === i)
    const axis = along === inner ? x : y
    return along ? { low: r.low, high: r.low + reached(axis) * axis.step - 1 } : r
  })
  const imageDims = c[windowed]
  const order = byStride(imageDims, inner.axis)
  const images = relayout(sourceOf(problem, windowed), imageDims, imageReach, order, title, list, x.step)
  list.extend(images.source.memory, READ_BEHIND * sizeOf(problem.dtype))
  const copied = afterRelayout(imageDims, imageReach, images.strides)
  // Windows begin with the copy.
  const beside = copied.filter((_, i) => !windows.some((w) => w.axis === i))

  const filterDims = c[weights]
  const filterReach = reach(weights)
  const last = filterDims.findIndex((d) => hasTerm([d], channel))
  const filters = relayout(sourceOf(problem, weights), filterDims, filterReach, byStride(filterDims, last), title, list)
  const weightDims = afterRelayout(filterDims, filterReach, filters.strides)

  const axis = (l: number): FormAxis => ({
    size: c.sizes.get(l)!,
    a: letterStride(weightDims, l),
    b: letterStride(beside, l),
    out: letterStride(c.out, l),
    operands: (problem.epilogue?.operands ?? []).map((o) => letterStride(besideOut(c.out, o.strides), l)),
  })
  const within = axis(channel)
  const view = (source: Source, dims: readonly AffineDim[]): Source => ({
    ...source,
    offset: source.offset + originOf(dims),
  })
  const form: Form = {
    title,
    isConvolution: true,
    a: view(filters.source, weightDims),
    b: view(images.source, beside),
    out: resultView(problem, originOf(c.out)),
    epilogue: epilogueOf(problem, c.out),
    batch: letters.images.map(axis),
    rows: letters.filters.map(axis),
    columns: [{ size: columnsOf(size), a: 0, b: 0, out: 0, operands: [] }],
    runs: { size: x.positions, pitch: reached(x), columns: windows.map((w) => axis(w.position.letter)) },
    contracted: [
      { ...within, size: blocks, a: BLOCK * within.a, b: BLOCK * within.b },
      ...windows.map((w) => axis(w.tap.letter)),
      { ...within, size: BLOCK },
    ],
  }
  const row = windows.length > 1 ? copied[windows[0]!.axis]!.stride : 0
  return { form, strides: { channel: within.b, row } }
}
