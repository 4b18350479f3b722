/**
 * Convolutions whose windows are read where they lie. Vectors run along the positions of one window, at an offset for each tap; where the window
 * moves by more than an element, the operand is copied so that the elements of one phase are neighbours. A row ends in a vector that reaches
 * back from its end, so that rows of any width are whole vectors. Nothing is packed: for short sums packing costs as much as multiplying, and
 * taps of a window find in the nearest cache what their neighbours read.
 */
import type { Capabilities } from '../capabilities.ts'
import { add, constant, div, index, mul, rem } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { hasTerm, letterStride, reachOf, type AffineCase, type AffineDim } from './affine.ts'
import type { Assembler } from './assembler.ts'
import { registerTile } from './blocking.ts'
import { operandsOf, windowStandings } from './operands.ts'

/** Taps of the window of vectors that are laid out one by one. */
const MOST_TAPS = 8
/**
 * Products in a result up to which reading in place gains: for windows, for windows in rows shorter than a vector, and without windows, where each
 * element is read once a tile and rows are far apart. Measured by `bench/contract.ts` on one AVX-512 core: 864 products go from 132 to 186
 * GFLOP/s, 576 with stride 2 from 105 to 119, but 256 without a window from 150 to 64.
 */
const MOST_PRODUCTS = { windows: 1024, shortRows: 64, single: 32 }
/**
 * The share of that with shorter vectors, whose tiles are smaller, so that each element is read more often: with 32 bytes 576 products with stride 2 go from 76
 * to 92 GFLOP/s when they are packed, 32 without a window from 77 to 96.
 */
const SHORT_VECTORS = 0.5
/** Results of a filter's gradient: 144 gain nothing more over the packed product. */
const MOST_WEIGHTS = 144
/**
 * The same without windows that share what they read, where every second element is read: products turn those in registers. On one AVX-512 core
 * 64 channels of 32x32 to 128 went from 65 to 96 GFLOP/s, 128 of 16x16 to 256 from 49 to 139.
 */
const MOST_SPARSE_WEIGHTS = 32
/** Taps from which on neighbours share what they read. */
const LEAST_TAPS = 4
/** Neighbours that a vector needs at least. */
const LEAST_RUN = 4

/** The window along whose positions vectors run. */
export interface VectorWindow {
  readonly side: 'lhs' | 'rhs'
  /** Number of its axis in the operand. */
  readonly axis: number
  readonly position: number
  readonly tap: number
  readonly taps: number
  /** Elements from one position to the next, and from one tap to the next. */
  readonly step: number
  readonly dilation: number
}

/** The window for vectors, or null where it is none of these convolutions, or would not gain. `positions` and `taps` are letters. */
export function vectorWindow(
  c: AffineCase,
  taps: ReadonlySet<number>,
  positions: ReadonlySet<number>,
  capabilities: Capabilities,
): VectorWindow | null {
  const { windowed: side, other, standing, letters } = operandsOf(c)
  const isGradient = ![...positions].some((p) => hasTerm(c.out, p))
  const wanted = windowStandings(isGradient)
  if (![...positions].every((l) => standing(l) === wanted.positions)) return null
  if (![...taps].every((l) => standing(l) === wanted.taps)) return null
  const withPositions = c[isGradient ? other : 'out']
  // Padding so wide that no tap of any window meets an element: a sum of nothing.
  if ([...taps].some((l) => c.sizes.get(l) === 0)) return null
  const size = (some: Iterable<number>): number => [...some].reduce((n, l) => n * c.sizes.get(l)!, 1)
  const short = size(letters(wanted.taps))
  const { lanes, rows } = registerTile(capabilities)
  // One tile of filters reads each element once in any case.
  const inPlace = lanes < 16 && size(letters('011')) > rows ? SHORT_VECTORS : 1
  for (const [axis, dim] of c[side].entries()) {
    const position = dim.terms.find((t) => positions.has(t.letter))
    const tap = dim.terms.find((t) => taps.has(t.letter))
    if (!position || !tap || dim.terms.length > 2 || letterStride(withPositions, position.letter) !== 1) continue
    const [count, run] = [c.sizes.get(tap.letter)!, c.sizes.get(position.letter)!]
    const [step, dilation] = [position.factor, tap.factor]
    const most = inPlace * (run < lanes ? MOST_PRODUCTS.shortRows : MOST_PRODUCTS.windows)
    const isShared = size(taps) >= LEAST_TAPS
    const mostWeights = isShared || step !== 2 ? MOST_WEIGHTS : MOST_SPARSE_WEIGHTS
    if (short > (isGradient ? mostWeights : isShared ? most : inPlace * MOST_PRODUCTS.single)) return null
    if (count > MOST_TAPS || run < LEAST_RUN) return null
    if (step < 1 || (step > 1 && dilation < 0)) return null
    return { side, axis, position: position.letter, tap: tap.letter, taps: count, step, dilation }
  }
  return null
}

/** Whether the operand's rows can be read where they lie: neighbours are neighbours, and no window leaves it for any size. */
export function isReadable(dims: readonly AffineDim[], x: VectorWindow, c: AffineCase): boolean {
  const leaves = (d: AffineDim): boolean => {
    const { low, high } = reachOf(d, c.sizes)
    const isTurned = d.terms.some((t) => t.factor < 0 && c.sizes.get(t.letter)! > 1)
    return d.shift < 0 || isTurned || low < 0 || high >= d.size
  }
  return x.step === 1 && dims[x.axis]!.stride === 1 && !dims.some(leaves)
}

/** Where the taps of the window lie from its first one. */
export interface Taps {
  readonly count: number
  readonly step: number
  readonly dilation: number
  /** Elements of a phase in a row of the copy. */
  readonly run: number
}

export function tapsName(t: Taps): string {
  return `taps ${t.count} ${t.step} ${t.dilation}`
}

/** Offsets of taps: of a constant one, or of one that the kernel counts. */
export class TapOffsets {
  private readonly taps: Taps
  private readonly run: Expr

  constructor(k: Assembler, taps: Taps) {
    this.taps = taps
    this.run = taps.step === 1 ? index(0) : k.size(taps.run)
  }

  at(tap: Expr | number): Expr {
    const { step, dilation } = this.taps
    const elements = mul(typeof tap === 'number' ? index(tap) : tap, dilation)
    if (step === 1) return elements
    return add(mul(this.run, rem(elements, step)), div(elements, step))
  }
}

/** Lanes of the widest vector that a row of so many elements fills. */
export function lanesFor(run: number, capabilities: Capabilities): number {
  const { lanes } = registerTile(capabilities)
  return [16, 8].find((l) => l <= Math.min(lanes, run)) ?? 4
}

export const zeros = (lanes: number): Expr => constant(0, 'f32', lanes)
