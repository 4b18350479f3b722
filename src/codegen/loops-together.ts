/**
 * Loops that need nothing of each other, as the two directions of a recurrence, moved together, so that each can have threads of its own: a
 * step of a recurrence is too little work to be shared out.
 */
import type { KernelGroup, LoopGroup } from './groups.ts'

/** The groups in an order that is as good, with such loops in one group. */
export function loopsTogether(groups: readonly KernelGroup[]): readonly KernelGroup[] {
  if (groups.filter((g) => g.kind === 'loops').length < 2) return groups
  const out = [...groups]
  for (let at = 0; at < out.length; at++) {
    const first = out[at]!
    if (first.kind !== 'loops') continue
    const together = [first]
    // What stands between goes before the loops unless it needs their results.
    const before: KernelGroup[] = []
    const behind: KernelGroup[] = []
    const made = new Set(first.sinks)
    let end = at + 1
    for (let i = end; i < out.length; i++) {
      const group = out[i]!
      const isBehind = group.reads.some((r) => made.has(r))
      if (group.kind === 'loops') {
        if (isBehind) break
        together.push(group)
        for (const s of group.sinks) made.add(s)
        end = i + 1
      } else if (isBehind) {
        behind.push(group)
        for (const s of group.sinks) made.add(s)
      } else before.push(group)
    }
    if (together.length === 1) continue
    const moved = new Set(out.slice(at, end))
    const earlier = before.filter((g) => moved.has(g))
    out.splice(at, end - at, ...earlier, joinLoops(together), ...behind.filter((g) => moved.has(g)))
    at += earlier.length
  }
  return out
}

/** Loops that need nothing of each other as one group. */
export function joinLoops(groups: readonly LoopGroup[]): LoopGroup {
  if (groups.length === 1) return groups[0]!
  return {
    kind: 'loops',
    loops: groups.flatMap((g) => g.loops),
    sinks: groups.flatMap((g) => g.sinks),
    reads: [...new Set(groups.flatMap((g) => g.reads))],
  }
}
