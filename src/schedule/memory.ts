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
  const count = lifetimes.length
  const offsets = new Array<number>(count).fill(0)
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || a - b)
  // What has a place, by ascending offset, in columns: all of it is looked through for each that follows.
  const begins = new Float64Array(count)
  const ends = new Float64Array(count)
  const firsts = new Int32Array(count)
  const lasts = new Int32Array(count)
  let placed = 0
  let arenaBytes = 0
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]!
    const size = round(bytes)
    let at = 0
    for (let j = 0; j < placed; j++) {
      if (firsts[j]! > last || first > lasts[j]!) continue
      if (begins[j]! - at >= size) break
      at = Math.max(at, ends[j]!)
    }
    let behind = placed
    while (behind > 0 && begins[behind - 1]! > at) behind--
    for (const column of [begins, ends, firsts, lasts]) column.copyWithin(behind + 1, behind, placed)
    begins[behind] = at
    ends[behind] = at + size
    firsts[behind] = first
    lasts[behind] = last
    placed++
    offsets[i] = at
    arenaBytes = Math.max(arenaBytes, at + size)
  }
  return { offsets, arenaBytes }
}
