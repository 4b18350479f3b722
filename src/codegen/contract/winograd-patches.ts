/**
 * The first step of a convolution in Winograd's form: patches of an operand become points, lanes side by side, in the panels that the
 * micro-kernel reads: [panel][point][depth][free element in the panel].
 */
import { add, and, div, index, le, load, min, mul, rem, sub, transposeFours, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, isStride, type Memory } from './assembler.ts'
import { axesSize, FlatAxes, loopRuns, mergeAxes, type Axis } from './axes.ts'
import type { FormView, StepList } from './form.ts'
import { apply, TAPS, type Matrix } from './winograd-transforms.ts'

/**
 * Elements between the panels of two points beyond the panel itself: a cache line, because strides are multiples of large powers of two
 * otherwise, and all points would share a few sets of the cache.
 */
export const GAP = 16

/**
 * Elements of the depth whose patches are gathered before they are transformed, and which are asked for meanwhile: rows of tiles as many as leave
 * half of a first-level cache of 32 KB to what is asked for (96 channels of 160x160: 0.73 of the time of 8, none of which were asked for), runs of
 * taps, each a few lines, twice as many.
 */
const GATHERED = { tiles: 4, taps: 8 }

/**
 * Elements of the depth by which panels in memory are asked for ahead of their points: no prefetcher follows as many streams as there are points.
 * 37 MB of panels eight elements wide were written in 4.2 ms without, in 2.3 with 32, by one core.
 */
const AHEAD = 32

/** Neighbours along x that are moved at once and turned into lanes; see `transposeFours`. */
export const FOUR = 4

/** Where the four neighbours of a lane lie among the 4 * lanes elements that are turned. */
export function placeInFours(lane: Expr, lanes: number): Expr {
  const inFour = rem(lane, FOUR)
  return add(mul(inFour, lanes), sub(lane, inFour))
}

/**
 * Tiles beside each other in an image, as many as one vector holds the neighbours of, are moved at once: four such runs are a vector of tiles.
 * Lane 4 b + r is therefore tile b of run r, in patches as in results.
 */
export function tilesInRun(lanes: number): number {
  return lanes / FOUR
}

/** Where the four neighbours of tile number `tile` of a vector lie among the 4 * lanes elements that are turned: in the order of the tiles. */
export function placeInRuns(tile: Expr, lanes: number): Expr {
  const inRun = rem(tile, tilesInRun(lanes))
  return add(mul(div(tile, tilesInRun(lanes)), lanes), mul(inRun, FOUR))
}

/** Panels in memory. */
export interface Panels {
  readonly memory: Memory
  readonly count: number
  /** Points of a tile. */
  readonly points: number
  readonly depth: number
  /** Free elements in a panel. */
  readonly width: number
  /** Elements from one point to the next. */
  readonly stride: number
}

/** Elements from one point of a panel to the next. */
export function pointStride(depth: number, width: number): number {
  return depth * width + GAP
}

/** Strides of one step down and one step to the right. */
export interface PatchStrides {
  readonly y: number
  readonly x: number
}

export interface PatchSource {
  readonly view: FormView
  readonly patch: PatchStrides
  /** Free and summed letters, with the stride of each in the operand. */
  readonly free: readonly Axis[]
  readonly depth: readonly Axis[]
  /** Whether free elements are tiles whose rows are runs of memory, and lanes are to be ordered by runs of tiles. */
  readonly isInRuns: boolean
}

/** Whether a patch of three rows is one run of memory (weights), which can be moved by fours, forward or backward. */
function runOfTaps({ patch }: PatchSource, side: number): 1 | -1 | 0 {
  if (side !== TAPS || patch.y !== TAPS * patch.x) return 0
  return patch.x === 1 ? 1 : patch.x === -1 ? -1 : 0
}

/** Pieces of four that hold nine taps. */
const TAP_PIECES = [0, 4, 5]

export interface PanelShape {
  readonly width: number
  readonly lanes: number
}

/** Where the points of a vector of free elements go. */
export interface PatchTarget {
  readonly buffer: BufferParameter
  /** Of the first point of the first depth. */
  readonly at: Expr
  readonly pointStride: Expr
  /** Elements from here to points that are written soon, where those are in memory: they are asked for. */
  readonly ahead?: number
}

/**
 * Transforms square patches, matrix.columns a side, of `lanes` free elements and a range of the depth: matrix * patch * matrix^T. Free elements
 * behind the last one repeat it; what comes of them is not stored in the end.
 */
export class PatchReader {
  readonly depthSize: Expr
  /** Elements of the depth that are gathered at a time. */
  readonly gathers: number
  private readonly k: Assembler
  private readonly matrix: Matrix
  private readonly shape: PanelShape
  private readonly from: BufferParameter
  private readonly free: FlatAxes
  private readonly depth: FlatAxes
  private readonly offset: Expr
  private readonly freeSize: Expr
  private readonly down: Expr
  private readonly right: Expr
  /** Whether lanes are ordered by runs of tiles. */
  private readonly isInRuns: boolean
  /** Direction of patches that are one run of memory. */
  private readonly run: 1 | -1 | 0
  /** Rows of a patch (or all of a run) as pieces of four that begin here, where they are runs of memory; null: element by element. */
  private readonly pieces: readonly number[] | null
  private readonly gathered: { buffer: BufferParameter; at: Expr }
  private readonly halfway: { buffer: BufferParameter; at: Expr }

  constructor(k: Assembler, source: PatchSource, matrix: Matrix, shape: PanelShape) {
    this.k = k
    this.matrix = matrix
    this.shape = shape
    this.from = k.memory(source.view.memory, source.view.dtype, 'read')
    this.free = new FlatAxes(k, mergeAxes(source.free, 1), 1)
    this.depth = new FlatAxes(k, mergeAxes(source.depth, 1), 1)
    const sizes = [source.view.offset, axesSize(source.free), axesSize(source.depth)]
    ;[this.offset, this.freeSize, this.depthSize] = sizes.map((n) => k.size(n)) as [Expr, Expr, Expr]
    this.down = k.stride(source.patch.y)
    this.right = k.stride(source.patch.x)
    const { lanes } = shape
    this.run = runOfTaps(source, this.side)
    const rowPieces = this.side > FOUR ? [0, this.side - FOUR] : [0]
    if (this.run !== 0) this.pieces = TAP_PIECES
    else this.pieces = this.side >= FOUR && isStride(this.right, 1) ? rowPieces : null
    this.isInRuns = source.isInRuns
    k.note(`patches ${matrix.join(' ')} by ${shape.width} ${lanes} ${this.isInRuns} ${this.run}`)
    this.gathers = this.run === 0 ? GATHERED.tiles : GATHERED.taps
    this.gathered = k.reserve('float32', this.gathers * this.patchSize)
    this.halfway = k.reserve('float32', matrix.length * this.side * lanes)
  }

  private get side(): number {
    return this.matrix[0]!.length
  }

  private get rowSize(): number {
    return (this.pieces ? this.pieces.length * FOUR : this.side) * this.shape.lanes
  }

  private get patchSize(): number {
    return this.rows * this.rowSize
  }

  /** Rows that are gathered: a run of taps is one. */
  private get rows(): number {
    return this.run === 0 ? this.side : 1
  }

  /** The whole range [from, to) of the depth; `to` is where depth `from` goes. */
  all(start: Expr, from: Expr | number, end: Expr, target: PatchTarget): void {
    const { k } = this
    k.loop('first', from, end, this.gathers, (first) => {
      const at = k.let('to', add(target.at, mul(sub(first, from), this.shape.width)))
      this.some(start, first, k.let('last', min(add(first, this.gathers), end)), { ...target, at })
    })
  }

  /** At most as many depths as are gathered at a time. */
  some(start: Expr, first: Expr, end: Expr, target: PatchTarget): void {
    this.gather(start, first, end)
    this.transform(this.k.let('count', sub(end, first)), target)
  }

  private gather(start: Expr, first: Expr, end: Expr): void {
    const { k } = this
    const { lanes } = this.shape
    const last = k.let('last', sub(this.freeSize, 1))
    const single = (number: Expr, place: Expr): void => {
      const element = k.let('element', min(add(start, number), last))
      this.copy(this.free.locate(k, element).offsets[0]!, place, FOUR, first, end)
    }
    if (!this.isInRuns) {
      k.loop('lane', 0, lanes, 1, (lane) => single(lane, this.pieces ? placeInFours(lane, lanes) : lane))
      return
    }
    const inRun = tilesInRun(lanes)
    k.loop('run', 0, FOUR, 1, (run) => {
      const number = k.let('number', mul(run, inRun))
      if (inRun === 1) {
        single(number, mul(run, lanes))
        return
      }
      const tile = k.let('tile', add(start, number))
      const { offsets, inner } = this.free.locate(k, tile)
      const isRun = and(le(add(inner, inRun), this.free.innerSize), le(add(tile, inRun), this.freeSize))
      k.if(
        isRun,
        () => this.copy(offsets[0]!, mul(run, lanes), lanes, first, end),
        () => k.loop('tile', number, add(number, inRun), 1, (t) => single(t, k.let('place', placeInRuns(t, lanes)))),
      )
    })
  }

  /** Copies patches from one place for each depth, rows in pieces as wide as `width` (or element by element). */
  private copy(located: Expr, place: Expr, width: number, first: Expr, end: Expr): void {
    const { k, pieces, side, rowSize } = this
    const { lanes } = this.shape
    const back = this.run < 0 ? side * side - 1 : 0
    const base = k.let('base', sub(add(this.offset, located), back))
    const here = k.let('place', add(this.gathered.at, place))
    const ahead = k.let('ahead', mul(this.depth.innerStride(0), this.gathers))
    loopRuns(k, this.depth, first, end, (i, at) => {
      const corner = k.let('corner', add(base, at))
      const target = k.let('target', add(here, mul(i, this.patchSize)))
      for (let y = 0; y < this.rows; y++) {
        const row = k.let('row', add(corner, mul(this.down, y)))
        const to = add(target, y * rowSize)
        for (const x of this.run === 0 ? [0, width + 1] : [0]) k.prefetch(this.from, add(add(row, ahead), x))
        if (pieces) {
          pieces.forEach((x, p) =>
            k.store(this.gathered.buffer, add(to, p * FOUR * lanes), load(this.from, add(row, x), width)),
          )
        } else {
          for (let x = 0; x < side; x++) {
            k.store(this.gathered.buffer, add(to, x * lanes), load(this.from, add(row, mul(this.right, x))))
          }
        }
      }
    })
  }

  private transform(count: Expr, target: PatchTarget): void {
    const { k, pieces, side, rowSize } = this
    const { lanes, width } = this.shape
    k.loop('d', 0, count, 1, (d) => {
      const patch = k.let('patch', add(this.gathered.at, mul(d, this.patchSize)))
      const out = k.let('out', add(target.at, mul(d, width)))
      const vectors = (y: Expr, from: number, count: number): Expr[] => {
        const row = k.let('row', add(patch, mul(y, rowSize)))
        return Array.from({ length: count }, (_, n) =>
          k.let('x', load(this.gathered.buffer, add(row, (from + n) * lanes), lanes)),
        )
      }
      const row = (y: Expr): Expr[] => {
        if (!pieces) return vectors(y, 0, side)
        const turned = pieces.map((_, p) => transposeFours(k, vectors(y, p * FOUR, FOUR)))
        return [...turned[0]!, ...(turned[1] ?? []).slice(2 * FOUR - side)]
      }
      const lines = (): Expr[][] => {
        const taps = this.taps(TAP_PIECES.map((_, p) => vectors(index(0), p * FOUR, FOUR)))
        return Array.from({ length: side }, (_, y) => taps.slice(side * y, side * (y + 1)))
      }
      const { halfway, matrix } = this
      emitTransform(k, matrix, side, halfway, lanes, this.run === 0 ? row : lines(), (x, values) => {
        const first = k.let('point', add(out, mul(target.pointStride, x)))
        values.forEach((value, y) => {
          const here = add(first, mul(target.pointStride, y * matrix.length))
          if (target.ahead !== undefined) k.prefetch(target.buffer, add(here, target.ahead))
          k.store(target.buffer, here, value)
        })
      })
    })
  }

  /** The taps of a run in the order of the patch, from pieces that are to be turned. */
  private taps(pieces: readonly (readonly Expr[])[]): Expr[] {
    const [first, second, third] = pieces.map((p) => transposeFours(this.k, p)) as [Expr[], Expr[], Expr[]]
    const taps = [...first, ...second, third[FOUR - 1]!]
    return this.run > 0 ? taps : taps.toReversed()
  }
}

/** All panels of an operand, in memory. */
export function emitPanels(
  source: PatchSource,
  matrix: Matrix,
  shape: PanelShape,
  title: string,
  list: StepList,
): Panels {
  const { width, lanes } = shape
  const side = matrix[0]!.length
  const points = matrix.length ** 2
  const [free, depth] = [axesSize(source.free), axesSize(source.depth)]
  const count = Math.ceil(free / width)
  const stride = pointStride(depth, width)
  const memory = list.temporary(4 * count * points * stride)

  const k = new Assembler('winograd panels', title)
  const to = k.memory(memory, 'float32', 'write')
  const patches = new PatchReader(k, source, matrix, shape)
  const blocks = Math.ceil(depth / patches.gathers)
  const blockCount = k.size(blocks)
  const pointStep = k.size(stride)
  const vectors = width / lanes
  k.parallel('t', (t) => {
    const vector = k.let('vector', rem(t, vectors))
    const rest = k.let('rest', div(t, vectors))
    const first = k.let('first', mul(rem(rest, blockCount), patches.gathers))
    const panel = k.let('panel', div(rest, blockCount))
    const end = k.let('end', min(add(first, patches.gathers), patches.depthSize))
    const start = k.let('start', add(mul(panel, width), mul(vector, lanes)))
    const panelAt = add(mul(mul(panel, points), pointStep), mul(vector, lanes))
    const at = k.let('panelAt', add(panelAt, mul(first, width)))
    patches.some(start, first, end, { buffer: to, at, pointStride: pointStep, ahead: AHEAD * width })
  })
  const elements = count * width * depth
  list.steps.push(k.step(count * vectors * blocks, 4, 0, 4 * elements * (points + side * side)))
  return { memory, count, points, depth, width, stride }
}

/**
 * matrix * input * matrix^T, line by line: of rows of the input come columns of the output, of columns rows. Lines are at hand or are got one
 * by one, in a loop: laid out, the transforms are most of a kernel's text and of the time to compile it.
 */
export function emitTransform(
  k: Assembler,
  matrix: Matrix,
  side: number,
  halfway: { buffer: BufferParameter; at: Expr },
  lanes: number,
  input: readonly (readonly Expr[])[] | ((line: Expr) => readonly Expr[]),
  output: (line: Expr, values: readonly Expr[]) => void,
): void {
  const place = (m: Expr, n: Expr): Expr => add(halfway.at, mul(add(mul(m, side), n), lanes))
  const first = (line: readonly Expr[], n: Expr): void =>
    apply(k, matrix, line).forEach((value, m) => k.store(halfway.buffer, place(index(m), n), value))
  if (typeof input === 'function') k.loop('line', 0, side, 1, (n) => first(input(n), n))
  else input.forEach((line, n) => first(line, index(n)))
  k.loop('line', 0, matrix.length, 1, (m) => {
    const start = k.let('start', place(m, index(0)))
    const line = Array.from({ length: side }, (_, n) => k.let('x', load(halfway.buffer, add(start, n * lanes), lanes)))
    output(m, apply(k, matrix, line))
  })
}
