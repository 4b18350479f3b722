/**
 * NumPy's legacy generator (`numpy.random.RandomState`): the Mersenne Twister MT19937 with NumPy's ways of making integers, reals,
 * shuffles and choices of its 32-bit words. Paddle's samplers draw from it, so equal seeds must give equal orders, bit for bit.
 * Source: Matsumoto & Nishimura 1998 for the generator; the rest follows what NumPy 1.26 draws (recorded values in the tests).
 */
import { ArgumentError, FormatError } from './errors.ts'

const N = 624
const M = 397
const TWO_POW_53 = 9007199254740992

/** The whole state as plain JSON: 624 words in hexadecimal, the place of the next word, and the spare normal of the polar method. */
export interface RandomStateSnapshot {
  readonly algorithm: 'MT19937'
  readonly key: string
  readonly position: number
  readonly spareNormal: number | null
}

export interface ChoiceOptions {
  /** Whether an element can be drawn twice. Default true, as in NumPy. */
  readonly replace?: boolean
  /** A probability for each element; they must sum to 1. Default: all equal. */
  readonly p?: ArrayLike<number>
}

type Writable<T> = { [index: number]: T; readonly length: number }

/**
 * `numpy.random.RandomState(seed)`. A seed is an integer in [0, 2^32) or a list of such; without one the system's entropy is used.
 *
 *     const random = new RandomState(0)
 *     random.permutation(10) // [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
 */
export class RandomState {
  private readonly key = new Uint32Array(N)
  private position = N
  private spareNormal: number | null = null

  constructor(seed?: number | readonly number[]) {
    this.seed(seed)
  }

  /** Starts again from `seed`. */
  seed(seed?: number | readonly number[]): void {
    if (seed === undefined) this.seedByArray(globalThis.crypto.getRandomValues(new Uint32Array(8)))
    else if (typeof seed === 'number') this.seedByInteger(checkSeed(seed))
    else {
      if (seed.length === 0)
        throw new ArgumentError('RandomState: the seed is an empty list; give at least one integer')
      this.seedByArray(seed.map(checkSeed))
    }
    this.spareNormal = null
  }

  private seedByInteger(seed: number): void {
    this.key[0] = seed
    for (let i = 1; i < N; i++) {
      const previous = this.key[i - 1]!
      this.key[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i
    }
    this.position = N
  }

  private seedByArray(words: ArrayLike<number>): void {
    this.seedByInteger(19650218)
    const key = this.key
    let i = 1
    let j = 0
    const advance = () => {
      i++
      if (i >= N) {
        key[0] = key[N - 1]!
        i = 1
      }
    }
    for (let k = Math.max(N, words.length); k > 0; k--) {
      const previous = key[i - 1]!
      key[i] = (key[i]! ^ Math.imul(previous ^ (previous >>> 30), 1664525)) + words[j]! + j
      advance()
      j = (j + 1) % words.length
    }
    for (let k = N - 1; k > 0; k--) {
      const previous = key[i - 1]!
      key[i] = (key[i]! ^ Math.imul(previous ^ (previous >>> 30), 1566083941)) - i
      advance()
    }
    key[0] = 0x80000000
  }

  private refill(): void {
    const key = this.key
    for (let i = 0; i < N; i++) {
      const y = (key[i]! & 0x80000000) | (key[(i + 1) % N]! & 0x7fffffff)
      key[i] = key[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.position = 0
  }

  /** The next 32 random bits as an unsigned integer. */
  uint32(): number {
    if (this.position === N) this.refill()
    let y = this.key[this.position++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    y ^= y >>> 18
    return y >>> 0
  }

  private double(): number {
    const a = this.uint32() >>> 5
    const b = this.uint32() >>> 6
    return (a * 67108864 + b) / TWO_POW_53
  }

  /** An integer in [0, max], by masking and rejection. */
  private interval(max: number): number {
    if (max === 0) return 0
    if (max === 0xffffffff) return this.uint32()
    const mask = (2 ** (32 - Math.clz32(max)) - 1) >>> 0
    for (;;) {
      const value = (this.uint32() & mask) >>> 0
      if (value <= max) return value
    }
  }

  /** `random_sample`: float64 in [0, 1), one number or `size` of them. */
  randomSample(): number
  randomSample(size: number): Float64Array
  randomSample(size?: number): number | Float64Array {
    if (size === undefined) return this.double()
    const out = new Float64Array(checkSize(size, 'randomSample'))
    for (let i = 0; i < size; i++) out[i] = this.double()
    return out
  }

  /** `uniform`: float64 in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * this.double()
  }

  /** `normal`: mean `loc`, standard deviation `scale`, by the polar method (Marsaglia & Bray 1964). */
  normal(loc = 0, scale = 1): number {
    return loc + scale * this.standardNormal()
  }

  private standardNormal(): number {
    if (this.spareNormal !== null) {
      const spare = this.spareNormal
      this.spareNormal = null
      return spare
    }
    for (;;) {
      const x = 2 * this.double() - 1
      const y = 2 * this.double() - 1
      const r2 = x * x + y * y
      if (r2 >= 1 || r2 === 0) continue
      const factor = Math.sqrt((-2 * Math.log(r2)) / r2)
      this.spareNormal = factor * x
      return factor * y
    }
  }

  /** `randint`: an integer in [low, high); the range may hold at most 2^32 values. */
  randint(low: number, high: number): number {
    const range = high - 1 - low
    if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || range < 0 || range > 0xffffffff) {
      throw new ArgumentError(
        `randint: [${low}, ${high}) is not a range of 1 to 2^32 integers; give integers low < high, high - low <= 2^32`,
      )
    }
    return low + this.interval(range)
  }

  /** Shuffles in place (Fisher-Yates from the end), as `shuffle` does for lists and for one-dimensional arrays. */
  shuffle<T>(items: Writable<T>): void {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.interval(i)
      const kept = items[i]!
      items[i] = items[j]!
      items[j] = kept
    }
  }

  /** `permutation(n)`: the integers 0 to n - 1 in random order. */
  permutation(n: number): Int32Array {
    const out = Int32Array.from({ length: checkSize(n, 'permutation') }, (_, i) => i)
    this.shuffle(out)
    return out
  }

  /** `choice(n, size, replace, p)`: `size` integers below `n`. Throws ArgumentError when that many cannot be drawn. */
  choice(n: number, size: number, options: ChoiceOptions = {}): Int32Array {
    const { replace = true, p } = options
    checkSize(size, 'choice')
    if (checkSize(n, 'choice') === 0 && size > 0) throw new ArgumentError('choice: nothing to choose from (n is 0)')
    if (!replace && size > n) {
      throw new ArgumentError(`choice: ${size} of ${n} elements without replacement; ask for at most ${n}`)
    }
    if (p !== undefined) {
      checkProbabilities(p, n, size, replace)
      return replace ? this.weightedWithReplacement(p, size) : this.weightedWithoutReplacement(p, size)
    }
    if (!replace) return this.permutation(n).slice(0, size)
    return Int32Array.from({ length: size }, () => this.interval(n - 1))
  }

  private weightedWithReplacement(p: ArrayLike<number>, size: number): Int32Array {
    const cdf = cumulative(p)
    return Int32Array.from({ length: size }, () => searchRight(cdf, this.double()))
  }

  /** NumPy's way: draw what is missing, keep the first of each value, set their weights to zero, draw again. */
  private weightedWithoutReplacement(p: ArrayLike<number>, size: number): Int32Array {
    const weights = Float64Array.from(p)
    const found: number[] = []
    while (found.length < size) {
      for (const taken of found) weights[taken] = 0
      const cdf = cumulative(weights)
      const draws = this.randomSample(size - found.length)
      const seen = new Set(Array.from(draws, (u) => searchRight(cdf, u)))
      found.push(...seen)
    }
    return Int32Array.from(found)
  }

  getState(): RandomStateSnapshot {
    const key = Array.from(this.key, (word) => word.toString(16).padStart(8, '0')).join('')
    return { algorithm: 'MT19937', key, position: this.position, spareNormal: this.spareNormal }
  }

  /** Restores what `getState` gave. Throws FormatError when it is something else. */
  setState(state: RandomStateSnapshot): void {
    const { algorithm, key, position, spareNormal } = (state ?? {}) as Partial<RandomStateSnapshot>
    const whole = algorithm === 'MT19937' && typeof key === 'string' && /^[0-9a-f]{4992}$/.test(key)
    const inside = Number.isInteger(position) && position! >= 0 && position! <= N
    if (!whole || !inside || (spareNormal !== null && typeof spareNormal !== 'number')) {
      throw new FormatError(
        'RandomState.setState: this is not a state from getState (MT19937, 624 words, position 0 to 624)',
      )
    }
    for (let i = 0; i < N; i++) this.key[i] = Number.parseInt(key.slice(i * 8, i * 8 + 8), 16)
    this.position = position!
    this.spareNormal = spareNormal
  }

  /** An independent generator in the same state. */
  clone(): RandomState {
    const copy = new RandomState(0)
    copy.setState(this.getState())
    return copy
  }
}

/** The generator behind `np.random.*`: what Paddle's samplers draw from when they are given no generator of their own. */
export const globalRandomState = new RandomState()

function checkSeed(seed: number): number {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw new ArgumentError(`RandomState: seed ${seed} is not an integer in [0, 2^32 - 1]`)
  }
  return seed
}

function checkSize(size: number, call: string): number {
  if (!Number.isInteger(size) || size < 0 || size > 0x7fffffff) {
    throw new ArgumentError(`${call}: ${size} is not a size; give an integer in [0, 2^31 - 1]`)
  }
  return size
}

function checkProbabilities(p: ArrayLike<number>, n: number, size: number, replace: boolean): void {
  if (p.length !== n) throw new ArgumentError(`choice: ${p.length} probabilities for ${n} elements; give one each`)
  let sum = 0
  let positive = 0
  for (let i = 0; i < n; i++) {
    const v = p[i]!
    if (!(v >= 0)) throw new ArgumentError(`choice: probability ${v} at index ${i} is negative or not a number`)
    sum += v
    if (v > 0) positive++
  }
  if (Math.abs(sum - 1) > Math.sqrt(Number.EPSILON)) {
    throw new ArgumentError(`choice: the probabilities sum to ${sum}; divide them by their sum`)
  }
  if (!replace && positive < size) {
    throw new ArgumentError(
      `choice: ${size} elements without replacement, but only ${positive} have a positive probability`,
    )
  }
}

function cumulative(p: ArrayLike<number>): Float64Array {
  const cdf = new Float64Array(p.length)
  let sum = 0
  for (let i = 0; i < p.length; i++) cdf[i] = sum += p[i]!
  for (let i = 0; i < p.length; i++) cdf[i] = cdf[i]! / sum
  return cdf
}

/** The first place whose value is greater than `u`. */
function searchRight(cdf: Float64Array, u: number): number {
  let low = 0
  let high = cdf.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (cdf[middle]! <= u) low = middle + 1
    else high = middle
  }
  return low
}
