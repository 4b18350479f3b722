/** Kernels of nests and draws by their structure, with the places where their arguments are found in others of the structure. */
import { RecentMap } from '../common/recent-map.ts'
import type { Kernel } from './kernel.ts'
import type { NestArgument, Origin } from './nest-parameters.ts'
import type { NestStructure, Place } from './nest-structure.ts'
import { retitled } from './structure.ts'

/** A kernel with its arguments, and where the numbers among these come from. */
export interface WrittenNest {
  readonly kernel: Kernel
  readonly arguments: readonly NestArgument[]
  readonly origins: readonly (Origin | null)[]
}

interface KeptKernel {
  readonly kernel: Kernel
  readonly places: readonly Place[]
}

let kept = new RecentMap<number, KeptKernel>(4096)

/** Runs `body` without the kernels that are kept: what it writes must be the same. For tests. */
export function withFreshKernels<T>(body: () => T): T {
  const before = kept
  kept = new RecentMap(4096)
  try {
    return body()
  } finally {
    kept = before
  }
}

/** The kernel of a structure, which is written where it is not known, and its arguments here. */
export function kernelOf(
  structure: NestStructure,
  title: string,
  write: () => WrittenNest,
): { readonly kernel: Kernel; readonly arguments: readonly NestArgument[] } {
  const { kernel, places } = kept.getOrMake(structure.key, () => {
    const made = write()
    return { kernel: made.kernel, places: made.arguments.map((a, i) => structure.placeOf(a, made.origins[i]!)) }
  })
  return {
    kernel: kernel.title === title ? kernel : retitled(kernel, title),
    arguments: places.map((p) => structure.argumentAt(p)),
  }
}
