/** Which letters of a contraction are those of a convolution with 3x3 windows and stride 1, of its input gradient, or of its weights' gradient. */
import { hasTerm, type AffineCase, type AffineDim } from './affine.ts'
import { operandsOf, windowStandings } from './operands.ts'
import { TAPS } from './winograd-transforms.ts'

/** A window of three taps: coordinate = position + tap + shift, or the taps turned around. */
export interface Window {
  readonly position: number
  readonly tap: number
  /** Coordinate of the first tap, in the order of the operand's elements, at position 0. */
  readonly low: number
  readonly isTurned: boolean
  /** Positions. */
  readonly size: number
}

/** The letters of a convolution by what they do. */
export interface Roles {
  /** The operand with windows. */
  readonly windowed: 'lhs' | 'rhs'
  readonly other: 'lhs' | 'rhs'
  readonly windows: readonly [y: Window, x: Window]
  /** In the windowed operand: images (each with its own tiles) and channels. */
  readonly images: readonly number[]
  readonly channels: readonly number[]
  /** In the other operand only. */
  readonly filters: readonly number[]
  /** Whether the sum goes over positions and the taps are results. */
  readonly isWeightGradient: boolean
}

function windowOf(dim: AffineDim, c: AffineCase, taps: ReadonlySet<number>): Window | null {
  const tap = dim.terms.find((t) => taps.has(t.letter))
  const position = dim.terms.find((t) => !taps.has(t.letter))
  if (dim.terms.length !== 2 || !tap || !position || position.factor !== 1 || Math.abs(tap.factor) !== 1) return null
  if (c.sizes.get(tap.letter) !== TAPS) return null
  const isTurned = tap.factor < 0
  const low = dim.shift - (isTurned ? TAPS - 1 : 0)
  return { position: position.letter, tap: tap.letter, low, isTurned, size: c.sizes.get(position.letter)! }
}

/** Null where it is none of these. */
export function rolesOf(c: AffineCase, taps: ReadonlySet<number>): Roles | null {
  const { windowed, other, standing, letters } = operandsOf(c)
  const isPlain = (d: AffineDim): boolean => d.terms.length === 1 && d.terms[0]!.factor === 1 && d.shift === 0
  const windowDims = c[windowed].filter((d) => !isPlain(d))
  if (windowDims.length !== 2 || ![...c[other], ...c.out].every(isPlain)) return null
  const [y, x] = windowDims.map((d) => windowOf(d, c, taps))
  if (!y || !x) return null
  const windowLetters = new Set([y, x].flatMap((w) => [w.position, w.tap]))
  const isWeightGradient = hasTerm(c.out, y.tap)
  const { positions, taps: ofTaps } = windowStandings(isWeightGradient)
  if (![y, x].every((w) => standing(w.position) === positions && standing(w.tap) === ofTaps)) return null
  const [images, channels, filters] = ([positions, ofTaps, '011'] as const).map((where) =>
    letters(where).filter((l) => !windowLetters.has(l)),
  ) as [number[], number[], number[]]
  if (images.length + channels.length + filters.length + windowLetters.size !== c.sizes.size) return null
  return { windowed, other, windows: [y, x], images, channels, filters, isWeightGradient }
}
