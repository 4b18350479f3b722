/** A compiled model before it is printed: plans with all that they need, and where each of their leaves is found at run time. */
import type { DType } from '../../common/dtype.ts'
import type { Shape } from '../../common/shape.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import type { Plan } from '../../schedule/plan.ts'
import type { Target } from './target.ts'

export interface Port {
  readonly name: string
  readonly dtype: DType
}

/**
 * Where a leaf or an output of a program is: an input or output of the model by number; else at a byte of the weights that every run needs, of
 * those that are needed at loading only, or of the constants, which are computed at loading. `none`: no launch reads it.
 */
export type Place = { readonly kind: 'none' } | { readonly kind: PlaceKind; readonly at: number }
export type PlaceKind = 'input' | 'output' | 'resident' | 'transient' | 'constant'

export interface AheadProgram {
  readonly plan: Plan
  readonly kernels: readonly Kernel[]
  readonly leaves: readonly Place[]
  readonly outputs: readonly Place[]
  /** Numbers of the run, which are the same in every run. */
  readonly scalars: readonly number[]
}

/** The model for one choice of its inputs' shapes. */
export interface AheadShape {
  readonly inputs: readonly Shape[]
  readonly outputs: readonly Shape[]
  readonly main: AheadProgram
  /** Computes the constants that no earlier shape has computed; null where there are none. */
  readonly prologue: AheadProgram | null
}

export interface AheadModel {
  /** Of the library, and in front of all names in C. */
  readonly name: string
  readonly target: Target
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly shapes: readonly AheadShape[]
  /** Memory for what is computed from weights at loading. */
  readonly constantBytes: number
  readonly weights: WeightsInfo
  /** What travels with the model. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The file of weights: what every run needs, then what only loading does. Both are multiples of 64 bytes. */
export interface WeightsInfo {
  readonly residentBytes: number
  readonly transientBytes: number
  readonly crc32: number
}

/** Shapes of inputs as text: `x [1, 3, 48, 320], y [1]`. */
export function describeInputs(ports: readonly { readonly name: string }[], shapes: readonly Shape[]): string {
  return ports.map(({ name }, i) => `${name} [${shapes[i]!.join(', ')}]`).join(', ')
}
