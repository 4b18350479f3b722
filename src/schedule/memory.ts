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
  const placed: number[] = []
  let arenaBytes = 0
  for (const i of order) {
    const mine = lifetimes[i]!
    const size = round(mine.bytes)
    const taken = placed
      .filter((j) => lifetimes[j]!.first <= mine.last && mine.first <= lifetimes[j]!.last)
      .map((j): [number, number] => [offsets[j]!, offsets[j]! + round(lifetimes[j]!.bytes)])
      .sort((a, b) => a[0] - b[0])
    let at = 0
    for (const [from, to] of taken) {
      if (from - at >= size) break
      at = Math.max(at, to)
    }
    offsets[i] = at
    placed.push(i)
    arenaBytes = Math.max(arenaBytes, at + size)
  }
  return { offsets, arenaBytes }
}
