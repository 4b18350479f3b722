/** The memory plan: intermediates share one arena by their lifetimes, counted in steps of the plan. */

export interface Lifetime {
  readonly bytes: number
  /** First and last step that touches the memory. */
  first: number
  last: number
}

const alignment = 64
const round = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** Byte offsets that keep overlapping lifetimes apart, and the size of the arena: largest first, each at the lowest place that is free. */
export function planMemory(lifetimes: readonly Lifetime[]): { offsets: number[]; arenaBytes: number } {
  const offsets = new Array<number>(lifetimes.length).fill(0)
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || a - b)
  /** What has a place, by ascending offset. */
  const placed: number[] = []
  let arenaBytes = 0
  for (const i of order) {
    const mine = lifetimes[i]!
    const size = round(mine.bytes)
    let at = 0
    for (const j of placed) {
      const other = lifetimes[j]!
      if (other.first > mine.last || mine.first > other.last) continue
      if (offsets[j]! - at >= size) break
      at = Math.max(at, offsets[j]! + round(other.bytes))
    }
    offsets[i] = at
    const behind = placed.findIndex((j) => offsets[j]! > at)
    placed.splice(behind < 0 ? placed.length : behind, 0, i)
    arenaBytes = Math.max(arenaBytes, at + size)
  }
  return { offsets, arenaBytes }
}
