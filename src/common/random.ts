/**
 * A small seeded generator for data, not for tensors: the same seed and stream give the same numbers on every machine and in
 * every worker, and one stream an item makes an item independent of who produces it and of what was produced before.
 * The generator is xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled
 * by SplitMix32 so that neighbouring seeds give unrelated streams.
 */
import { ArgumentError } from './errors.ts'

/** One stream of pseudo-random numbers, named by `seed` and `stream`. */
export class SmallRandom {
  #a: number
  #b: number
  #c: number
  #d: number
  #spareNormal: number | undefined

  /**
   * @param seed any integer; its low 32 bits count
   * @param stream which of the seed's independent streams, by default 0; its low 32 bits count
   */
  constructor(seed: number, stream = 0) {
    // The stream is mixed before it meets the seed: (seed 1, stream 0) and (seed 0, stream 1) must not be the same stream.
    let state = (seed ^ mix(stream + 0x9e3779b9)) | 0
    const next = () => mix((state = (state + 0x9e3779b9) | 0))
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next() | 1 // an all-zero state would stay zero for ever
  }

  /** The next 32 random bits, as an integer from 0 to 2^32 - 1. */
  bits(): number {
    const times5 = Math.imul(this.#b, 5)
    const result = Math.imul((times5 << 7) | (times5 >>> 25), 9)
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result >>> 0
  }

  /** A real number, `low` included, `high` excluded; by default from [0, 1). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.bits() / 4294967296)
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    if (!(high >= low)) throw new ArgumentError(`integer(${low}, ${high}): the upper bound is below the lower one.`)
    return low + Math.floor(this.uniform() * (high - low + 1))
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability
  }

  /** One of the items, each as likely as the others; the characters of a string are its UTF-16 units. */
  choice<T>(items: ArrayLike<T>): T {
    if (items.length === 0)
      throw new ArgumentError('choice(items): there is nothing to choose from; pass at least one item.')
    return items[this.integer(0, items.length - 1)] as T
  }

  /** The index of one of the weights, each as likely as its share of their sum. */
  weighted(weights: ArrayLike<number>): number {
    let sum = 0
    for (let i = 0; i < weights.length; i++) sum += weights[i] as number
    let left = this.uniform() * sum
    for (let i = 0; i < weights.length - 1; i++) {
      left -= weights[i] as number
      if (left < 0) return i
    }
    return weights.length - 1
  }

  /** A normally distributed number (polar method of Marsaglia). */
  normal(mean = 0, deviation = 1): number {
    if (this.#spareNormal !== undefined) {
      const spare = this.#spareNormal
      this.#spareNormal = undefined
      return mean + deviation * spare
    }
    for (;;) {
      const u = this.uniform(-1, 1)
      const v = this.uniform(-1, 1)
      const square = u * u + v * v
      if (square >= 1 || square === 0) continue
      const factor = Math.sqrt((-2 * Math.log(square)) / square)
      this.#spareNormal = v * factor
      return mean + deviation * u * factor
    }
  }

  /** A copy of the items in random order (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const out = [...items]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.integer(0, i)
      ;[out[i], out[j]] = [out[j]!, out[i]!]
    }
    return out
  }

  /** A string of decimal digits; the first is never 0. */
  digits(count: number): string {
    let text = count > 0 ? String(this.integer(1, 9)) : ''
    while (text.length < count) text += this.integer(0, 9)
    return text
  }
}

/** SplitMix32's finaliser: spreads every bit of a 32-bit integer over all the others. */
function mix(value: number): number {
  let z = value | 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) | 0
}
