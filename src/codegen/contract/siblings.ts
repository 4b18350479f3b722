/**
 * Kernels for the other side of a threshold: where sizes decide which form of a contraction pays, the form that was not chosen gives the kernels
 * that other sizes will want. They depend on the structure only, as the chosen ones do, so they are found once for these.
 */
import { RecentMap } from '../../common/recent-map.ts'
import type { Kernel } from '../kernel.ts'
import { structureOf } from '../structure.ts'
import type { LoweredContract } from './problem.ts'

const known = new RecentMap<string, readonly Kernel[]>(512)

/** Kernels of `other`, which lowers the problem of `chosen` in another form. `constants`: sizes that no other run changes, as channels. */
export function siblingsOnce(
  chosen: LoweredContract,
  constants: readonly number[],
  other: () => LoweredContract,
): readonly Kernel[] {
  const kernels = (lowered: LoweredContract): Kernel[] => [...new Set(lowered.steps.map((s) => s.kernel))]
  const key = [...constants, ...kernels(chosen).map(structureOf)].join(' ')
  return known.getOrMake(key, () => kernels(other()))
}
