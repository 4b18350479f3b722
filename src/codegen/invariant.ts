/** What every iteration of a loop computes alike (packed weights of a recurrence, above all) taken out, to be computed once before it. */
import type { Kernel } from './kernel.ts'
import type { Location, PendingLaunch } from './pending.ts'
import { memoryOf, type Access } from './prologue.ts'

const keyOf = (place: Location): string => `${place.space}${place.slot}`

/** Memory whose first use in an iteration is a read, and that the iteration writes later. */
function carried(accesses: readonly (readonly Access[])[]): Set<string> {
  const written = new Set<string>()
  const readFirst = new Set<string>()
  for (const own of accesses) {
    for (const { place, writes } of own) if (!writes && !written.has(keyOf(place))) readFirst.add(keyOf(place))
    for (const { place, writes } of own) if (writes) written.add(keyOf(place))
  }
  return new Set([...readFirst].filter((key) => written.has(key)))
}

/**
 * Splits the launches of a loop: those that read nothing that changes from iteration to iteration, and write temporaries that nothing else
 * writes, go before it.
 */
export function splitInvariant(
  launches: readonly PendingLaunch[],
  kernels: readonly Kernel[],
): { readonly before: readonly PendingLaunch[]; readonly inside: readonly PendingLaunch[] } {
  const accesses = launches.map((l) => memoryOf(l, kernels[l.kernel]!.parameters))
  // Memory that some iteration changes: what is read before it is written comes from the iteration before; then a fixed point over the
  // launches that stay.
  const varying = carried(accesses)
  const stays = accesses.map((own) => own.some(({ place, writes }) => writes && place.space !== 'temporary'))
  for (;;) {
    const before = varying.size
    accesses.forEach((own, i) => {
      stays[i] ||= own.some(({ place }) => place.step !== 0 || varying.has(keyOf(place)))
      if (stays[i]) for (const { place, writes } of own) if (writes) varying.add(keyOf(place))
    })
    if (varying.size === before) break
  }
  return {
    before: launches.filter((_, i) => !stays[i]),
    inside: launches.filter((_, i) => stays[i]),
  }
}
