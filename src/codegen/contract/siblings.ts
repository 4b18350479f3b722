/**
 * Kernels for the other side of a threshold: where sizes decide which form of a contraction pays, the form that was not chosen gives the kernels
 * that other sizes will want. They depend on the structure only, as the chosen ones do, so they are found once for these.
 */
import { RecentMap } from '../../common/recent-map.ts'
import type { Kernel } from '../kernel.ts'
import { structureOf } from '../structure.ts'
import type { LoweredContract } from './problem.ts'

const known = new RecentMap<string, readonly Kernel[]>(512)

/** A form in which a contraction can be computed. */
export interface Lowering {
  /** Whether its sizes gain by it. */
  readonly pays: boolean
  lower(): LoweredContract
}

/** One for convolutions whose images are large enough. */
export interface ConvolutionForm extends Lowering {
  /** Channels and filters. */
  readonly depth: readonly [number, number]
}

/** Kernels of `others`, which lower the problem of `chosen` in other forms. `constants`: sizes that no other run changes, as channels. */
export function siblingsOnce(
  chosen: LoweredContract,
  constants: readonly number[],
  others: readonly Lowering[],
): readonly Kernel[] {
  const kernels = (lowered: LoweredContract): Kernel[] => [...new Set(lowered.steps.map((s) => s.kernel))]
  const key = [...constants, ...kernels(chosen).map(structureOf)].join(' ')
  return known.getOrMake(key, () => [...new Set(others.flatMap((other) => kernels(other.lower())))])
}
