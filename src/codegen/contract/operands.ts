/** Which operands of a convolution, or of one of its gradients, have a letter: what tells images, channels and filters apart. */
import { hasTerm, type AffineCase } from './affine.ts'

/** Whether a letter stands in the operand with windows, in the other one, and in the result: three digits. */
export type Standing = `${0 | 1}${0 | 1}${0 | 1}`

export interface ConvolutionOperands {
  /** The operand with windows; of a product without any the left one. */
  readonly windowed: 'lhs' | 'rhs'
  readonly other: 'lhs' | 'rhs'
  standing(letter: number): Standing
  /** All that stand so, in the order of the letters. */
  letters(standing: Standing): readonly number[]
}

/** Images (`101`) are in the operand with windows and in the result, channels (`110`) in both operands, filters (`011`) in all but the one with windows. */
export function operandsOf(c: AffineCase): ConvolutionOperands {
  const windowed = c.rhs.some((d) => d.terms.length > 1) ? 'rhs' : 'lhs'
  const other = windowed === 'lhs' ? 'rhs' : 'lhs'
  const digit = (side: 'lhs' | 'rhs' | 'out', letter: number): 0 | 1 => (hasTerm(c[side], letter) ? 1 : 0)
  const standing = (l: number): Standing => `${digit(windowed, l)}${digit(other, l)}${digit('out', l)}`
  return { windowed, other, standing, letters: (wanted) => [...c.sizes.keys()].filter((l) => standing(l) === wanted) }
}

/** Where positions of windows stand besides these, and taps: in a gradient of weights the sum goes over positions, and taps are results. */
export function windowStandings(isWeightGradient: boolean): { readonly positions: Standing; readonly taps: Standing } {
  return isWeightGradient ? { positions: '110', taps: '101' } : { positions: '101', taps: '110' }
}
