/**
 * Convolutions, and the gradients of their inputs, by tiles of bfloat16 (elements of float32 in three parts, as in bf16-gemm.ts). Each task splits
 * what it needs of the images once and reads it at every tap (window-words.ts); weights are packed before, in the order of these reads.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { Capabilities } from '../capabilities.ts'
import { hasTerm, letterStride, originOf, type AffineCase, type AffineDim, type Term } from './affine.ts'
import { Assembler } from './assembler.ts'
import { emitPairProduct, pairStep, tileKind, wordPanels, type Kind, type PairBlocking } from './bf16-gemm.ts'
import { evenShare, roundUp } from './blocking.ts'
import { sourceOf, type Contraction } from './contraction.ts'
import { besideOut, epilogueOf, resultView, StepList, type Form, type FormAxis } from './form.ts'
import { packPanels } from './packed.ts'
import type { ContractProblem } from './problem.ts'
import { afterRelayout, byStride, reaches, relayout, type Source } from './relayout.ts'
import type { ConvolutionForm } from './siblings.ts'
import { READ_BEHIND, windowBytes, windowWords, type WindowAxis, type WindowShape } from './window-words.ts'
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

/** Steps of tiles between fetching sums and keeping them: 16 took 1.1 times as long. */
const STEPS = 32
/** Shares of the second-level cache for words of a task, for sums that wait, and for rows that are used again. */
const SHARES = { words: 0.4, sums: 0.25, rows: 0.25, most: 0.75 }
/** Tasks of columns that every thread should get. */
const TASKS_PER_THREAD = 4

/** Null where it is none, where the device has no tiles, or where one panel of columns does not fit the cache. */
export function tileConvolution(contraction: Contraction): ConvolutionForm | null {
  const { problem, cases, taps, positions, title } = contraction
  const { capabilities, dtype } = problem
  const [c] = cases
  if (!c || cases.length > 1 || capabilities.bfloat16 !== 'tiles') return null
  if (dtype === 'float32' ? capabilities.splitProducts === false : dtype !== 'bfloat16') return null
  const letters = lettersOf(c, taps, positions)
  if (!letters) return null
  const kind = tileKind(dtype)
  const size = convolutionSize(c, letters)
  const blocking = isDeep(size) ? chooseBlocking(size, kind, capabilities) : null
  if (!blocking) return null
  return {
    depth: [size.channels, size.filters],
    pays: used(size.y.positions * size.x.positions) >= LEAST.columns,
    lower: () => {
      const list = new StepList()
      const { form, window } = layOut(problem, c, letters, title, list)
      const rows = packPanels({ ...form, batch: [] }, 'a', wordPanels('a', kind, blocking.depth), list)
      const k = new Assembler(`convolution by ${kind.name}`, form.title)
      const shape = {
        ...window,
        parts: kind.parts,
        blocks: blocking.depth / (size.taps * BLOCK),
        panels: blocking.columnPanels,
      }
      const packed = { rows: { ...rows, isShared: true }, columns: null }
      emitPairProduct(k, form, kind, blocking, { splits: 1, splitStride: 0 }, packed, (b) => windowWords(k, shape, b))
      list.steps.push(pairStep(k, form, blocking, 1))
      return list
    },
  }
}

function lettersOf(c: AffineCase, taps: ReadonlySet<number>, positions: ReadonlySet<number>): Letters | null {
  const windowed = c.rhs.some((d) => d.terms.length > 1) ? 'rhs' : 'lhs'
  const weights = windowed === 'lhs' ? 'rhs' : 'lhs'
  const isIn = (l: number): string => [c[windowed], c[weights], c.out].map((dims) => Number(hasTerm(dims, l))).join('')
  const of = (where: string): number[] =>
    [...c.sizes.keys()].filter((l) => !taps.has(l) && !positions.has(l) && isIn(l) === where)
  const [images, filters, channels] = [of('101'), of('011'), of('110')]
  const count = images.length + filters.length + channels.length + taps.size + positions.size
  if (count !== c.sizes.size || channels.length !== 1 || filters.length === 0) return null
  if (![...positions].every((l) => isIn(l) === '101') || ![...taps].every((l) => isIn(l) === '110')) return null
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
interface ConvolutionSize {
  readonly images: number
  readonly filters: number
  readonly channels: number
  readonly taps: number
  /** With strides in coordinates. */
  readonly y: WindowAxis
  readonly x: WindowAxis
}

/** No window: one position and one tap. */
const NO_WINDOW: WindowAxis = { positions: 1, taps: 1, position: 1, tap: 0 }

/** The windows along y, of which there may be none, and along x. */
function axesOf<W>(windows: readonly W[], axis: (window: W) => WindowAxis): { y: WindowAxis; x: WindowAxis } {
  const [x, y] = windows.toReversed().map(axis)
  return { y: y ?? NO_WINDOW, x: x ?? NO_WINDOW }
}

function convolutionSize(c: AffineCase, letters: Letters): ConvolutionSize {
  const size = (list: readonly number[]): number => list.reduce((n, l) => n * c.sizes.get(l)!, 1)
  const { y, x } = axesOf(letters.windows, ({ position, tap }) => ({
    positions: c.sizes.get(position.letter)!,
    taps: c.sizes.get(tap.letter)!,
    position: position.factor,
    tap: tap.factor,
  }))
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
  const { taps, y, x } = size
  const channelBlocks = Math.ceil(size.channels / BLOCK)
  const allRows = Math.ceil(size.filters / tile.rows)
  const allColumns = Math.ceil((y.positions * x.positions) / tile.columns)
  const { parts } = kind
  const split = (most: number): number => Math.ceil(channelBlocks / Math.ceil(channelBlocks / most))
  const words = (panels: number, blocks: number): number => windowBytes({ y, x, parts, blocks, panels })
  if (words(1, 1) > SHARES.most * l2) return null
  // Fewer channels at a time cost less than columns of another task, which splits the rows between them again.
  let blocks = split(Math.min(channelBlocks, Math.ceil(STEPS / taps)))
  while (blocks > 1 && words(allColumns, blocks) > SHARES.words * l2) blocks = split(blocks - 1)
  const allBlocks = Math.ceil(channelBlocks / blocks)
  const depth = blocks * taps * BLOCK
  let rows = allRows
  let columns = allColumns
  const sums = (): number => (allBlocks > 1 ? 4 * tile.rows * tile.columns * columns * rows : 0)
  while (columns > 1 && words(columns, blocks) > SHARES.words * l2) columns = Math.ceil(columns / 2)
  while (rows > 1 && sums() > SHARES.sums * l2) rows = Math.ceil(rows / 2)
  const tasks = (): number => size.images * Math.ceil(allRows / rows) * Math.ceil(allColumns / columns)
  const enough = (share: number): boolean => capabilities.threads === 1 || tasks() >= share * capabilities.threads
  // Halves of columns split the rows of images between them again; rows of another task split all of the same columns.
  while (!enough(TASKS_PER_THREAD) && columns > 2) columns = Math.ceil(columns / 2)
  while (!enough(1) && rows > 1) rows = Math.ceil(rows / 2)
  const rowPanels = evenShare(allRows, rows)
  const columnPanels = evenShare(allColumns, columns)
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

/** The convolution on copies in which windows stay inside, with whole blocks of channels. */
function layOut(
  problem: ContractProblem,
  c: AffineCase,
  letters: Letters,
  title: string,
  list: StepList,
): { form: Form; window: Pick<WindowShape, 'y' | 'x' | 'channel'> } {
  const { windowed, weights, channel } = letters
  const blocks = Math.ceil(c.sizes.get(channel)! / BLOCK)
  /** With zeros up to a whole block of channels, and the axis `last` innermost. */
  const copy = (side: 'lhs' | 'rhs', last: number): { source: Source; dims: AffineDim[] } => {
    const dims = c[side]
    const reach = reaches([c], side).map((r, i) =>
      hasTerm([dims[i]!], channel) ? { low: 0, high: blocks * BLOCK - 1 } : r,
    )
    const copied = relayout(sourceOf(problem, side), dims, reach, byStride(dims, last), title, list)
    return { source: copied.source, dims: afterRelayout(dims, reach, copied.strides) }
  }
  const inner = letters.windows.at(-1)!
  const images = copy(windowed, inner.axis)
  list.extend(images.source.memory, READ_BEHIND * inner.position.factor * sizeOf(problem.dtype))
  const filters = copy(
    weights,
    c[weights].findIndex((d) => hasTerm([d], channel)),
  )
  const axis = (l: number): FormAxis => ({
    size: c.sizes.get(l)!,
    a: letterStride(filters.dims, l),
    b: letterStride(images.dims, l),
    out: letterStride(c.out, l),
    operands: (problem.epilogue?.operands ?? []).map((o) => letterStride(besideOut(c.out, o.strides), l)),
  })
  const along = letters.windows.map((w) => ({ tap: axis(w.tap.letter), position: axis(w.position.letter) }))
  const axes = axesOf(along, ({ position, tap }) => ({
    positions: position.size,
    taps: tap.size,
    position: position.b,
    tap: tap.b,
  }))
  const within = axis(channel)
  const view = (side: { source: Source; dims: AffineDim[] }): Source => ({
    ...side.source,
    offset: side.source.offset + originOf(side.dims),
  })
  const form: Form = {
    title,
    isConvolution: true,
    a: view(filters),
    b: view(images),
    out: resultView(problem, originOf(c.out)),
    epilogue: epilogueOf(problem, c.out),
    batch: letters.images.map(axis),
    rows: letters.filters.map(axis),
    columns: along.map((w) => w.position),
    contracted: [
      { ...within, size: blocks, a: BLOCK * within.a, b: BLOCK * within.b },
      // Taps above one another read the same planes.
      ...along.toReversed().map((w) => w.tap),
      { ...within, size: BLOCK },
    ],
  }
  return { form, window: { ...axes, channel: within.b } }
}
