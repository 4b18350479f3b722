/** The memory plan: intermediates share one arena by their lifetimes, counted in steps of the plan. */

export interface Lifetime {
  readonly bytes: number
  /** First and last step that touches the memory. */
  first: number
  last: number
}

const alignment = 64
const round = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** What has a place, by ascending offset, in columns: all of it is looked through for each that follows. */
class Placed {
  readonly #begins: Float64Array
  readonly #ends: Float64Array
  readonly #firsts: Int32Array
  readonly #lasts: Int32Array
  #count = 0

  constructor(most: number) {
    this.#begins = new Float64Array(most)
    this.#ends = new Float64Array(most)
    this.#firsts = new Int32Array(most)
    this.#lasts = new Int32Array(most)
  }

  /** The lowest place for `size` bytes that is free from step `first` to step `last`. */
  lowest(size: number, first: number, last: number): number {
    const [begins, ends, firsts, lasts, count] = [this.#begins, this.#ends, this.#firsts, this.#lasts, this.#count]
    let at = 0
    for (let j = 0; j < count; j++) {
      if (firsts[j]! > last || first > lasts[j]!) continue
      if (begins[j]! - at >= size) break
      if (ends[j]! > at) at = ends[j]!
    }
    return at
  }

  add(at: number, size: number, first: number, last: number): void {
    const count = this.#count++
    let behind = count
    while (behind > 0 && this.#begins[behind - 1]! > at) behind--
    this.#begins.copyWithin(behind + 1, behind, count)
    this.#ends.copyWithin(behind + 1, behind, count)
    this.#firsts.copyWithin(behind + 1, behind, count)
    this.#lasts.copyWithin(behind + 1, behind, count)
    this.#begins[behind] = at
    this.#ends[behind] = at + size
    this.#firsts[behind] = first
    this.#lasts[behind] = last
  }
}

/** Byte offsets that keep overlapping lifetimes apart, and the size of the arena: largest first, each at the lowest place that is free. */
export function planMemory(lifetimes: readonly Lifetime[]): { offsets: number[]; arenaBytes: number } {
  const offsets = new Array<number>(lifetimes.length).fill(0)
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b]!.bytes - lifetimes[a]!.bytes || a - b)
  const placed = new Placed(lifetimes.length)
  let arenaBytes = 0
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]!
    const size = round(bytes)
    const at = placed.lowest(size, first, last)
    placed.add(at, size, first, last)
    offsets[i] = at
    arenaBytes = Math.max(arenaBytes, at + size)
  }
  return { offsets, arenaBytes }
}
