/**
 * The random generator behind `seed`, the creation functions and the initialisers. It draws what Paddle's CPU generator
 * draws: `std::mt19937_64` seeded through `std::seed_seq`, and libstdc++'s distributions on top, bit for bit where only
 * integers and roundings are involved and within 2 ulp where a logarithm is (the C library's `logf` is not JavaScript's).
 * Every method fills or returns typed arrays, in row-major order, one distribution object a call, as Paddle's kernels do.
 *
 * Random ops inside a graph do not draw from here: they are counter-based (Philox), and only take their key and a range of
 * counters from the generator, by `incrementOffset`.
 */
import { erf, erfinv, erfinvFloat32 } from '../common/erf.ts'
import { ArgumentError } from '../common/errors.ts'
import { mulHigh32 } from '../common/uint32.ts'
import { MersenneTwister64 } from './mersenne-twister.ts'
import { samplePoisson } from './poisson.ts'

/** What a checkpoint keeps of a generator. `words` are the engine's 312 words as (low, high) pairs of int32. */
export interface GeneratorState {
  readonly seed: number
  readonly offset: number
  readonly position: number
  readonly words: Int32Array
}

export type FloatArray = Float32Array | Float64Array

const two32 = 2 ** 32
const stateWords = 624
/** Largest n for which n * n, the range of one draw of the shuffle, is exact in a double. */
const largestPermutation = 94906265
const smallestNormalFloat32 = 2 ** -126

export class Generator {
  private readonly engine: MersenneTwister64
  private currentSeed: number
  private offset = 0

  /** Paddle's `Generator().manual_seed(seed)`; without a seed, one is taken from the system's entropy. */
  constructor(seed: number = entropySeed()) {
    this.currentSeed = checkSeed(seed)
    this.engine = new MersenneTwister64(seed)
  }

  /**
   * Starts the sequence of `paddle.seed(seed)`: a non-negative integer up to 2^53 - 1, of which the CPU engine uses the low
   * 32 bits, as Paddle's does, and the counter-based ops all.
   */
  manualSeed(seed: number): this {
    this.currentSeed = checkSeed(seed)
    this.engine.seed(seed)
    this.offset = 0
    return this
  }

  /** The seed from which the present sequence started. */
  initialSeed(): number {
    return this.currentSeed
  }

  getState(): GeneratorState {
    return { seed: this.currentSeed, offset: this.offset, ...this.engine.getState() }
  }

  /** Continues exactly where `getState` was taken. Throws ArgumentError on a state that no generator gave. */
  setState(state: GeneratorState): void {
    const { seed, offset, position, words } = state
    const counts = Number.isSafeInteger(offset) && offset >= 0 && Number.isInteger(position) && position >= 0
    if (!counts || position > stateWords / 2 || words.length !== stateWords) {
      throw new ArgumentError(
        `Generator.setState: expected ${stateWords} words, a position up to ${stateWords / 2} and an offset >= 0, ` +
          `got ${words.length} words, position ${position}, offset ${offset}: pass what getState() returned`,
      )
    }
    this.currentSeed = checkSeed(seed)
    this.offset = offset
    this.engine.setState(words, position)
  }

  /**
   * Reserves `blocks` Philox blocks (four 32-bit words each) for one counter-based op: its key and its first counter.
   * The CPU sequence is not touched.
   */
  incrementOffset(blocks: number): { key: number; offset: number } {
    const offset = this.offset
    this.offset += blocks
    return { key: this.currentSeed, offset }
  }

  /**
   * Fills `out` with U[low, high). As in Paddle the bounds are rounded to float32 even for float64, and a float32 draw next to
   * `high` may round to it.
   */
  uniform<A extends FloatArray>(out: A, low = 0, high = 1): A {
    const { next, round } = this.precision(out)
    const start = Math.fround(low)
    const range = round(Math.fround(high) - start)
    for (let i = 0; i < out.length; i++) out[i] = round(next() * range) + start
    return out
  }

  /**
   * Fills `out` with N(mean, std^2): Marsaglia's polar method, whose second value is used before a new pair is drawn. The
   * pair does not outlive the call. Within 2 ulp of Paddle for float32; for float64 no record exists.
   */
  normal<A extends FloatArray>(out: A, mean = 0, std = 1): A {
    const { next, round } = this.precision(out)
    const center = round(mean)
    const width = round(std)
    for (let i = 0; i < out.length; i += 2) {
      let x: number
      let y: number
      let square: number
      do {
        x = round(2 * next() - 1)
        y = round(2 * next() - 1)
        square = round(round(x * x) + round(y * y))
      } while (square > 1 || square === 0)
      const factor = round(Math.sqrt(round((-2 * round(Math.log(square))) / square)))
      out[i] = round(round(y * factor) * width) + center
      if (i + 1 < out.length) out[i + 1] = round(round(x * factor) * width) + center
    }
    return out
  }

  /**
   * Fills `out` with N(mean, std^2) truncated to [a, b], by inversion of the distribution function, in the precision and
   * order of Paddle's kernel (one draw an element).
   */
  truncatedNormal<A extends FloatArray>(out: A, mean = 0, std = 1, a = -2, b = 2): A {
    const { next, round } = this.precision(out)
    const center = round(mean)
    const width = round(std)
    const [lowest, highest] = [round(a), round(b)]
    const cdf = (x: number): number => round((1 + erf(round(round(x - center) / width) / Math.SQRT2)) / 2)
    const from = cdf(lowest)
    const range = round(cdf(highest) - from)
    const inverse = out instanceof Float32Array ? erfinvFloat32 : erfinv
    for (let i = 0; i < out.length; i++) {
      const p = round(from + round(range * round(next() + smallestNormalFloat32)))
      const value = Math.SQRT2 * inverse(round(2 * p - 1)) * width + center
      out[i] = Math.min(Math.max(value, lowest), highest)
    }
    return out
  }

  /**
   * Fills `out` with the exponential distribution of rate `lambda` > 0 (mean 1 / lambda) by inversion. Written after Paddle's
   * CPU kernel; no recorded draws exist to compare with.
   */
  exponential<A extends FloatArray>(out: A, lambda = 1): A {
    if (!(lambda > 0)) throw new ArgumentError(`exponential: lambda must be positive, got ${lambda}`)
    const { next, round } = this.precision(out)
    const factor = round(-1 / round(lambda))
    for (let i = 0; i < out.length; i++) out[i] = factor * round(Math.log(round(1 - next())))
    return out
  }

  /**
   * Fills `out` with Poisson samples of mean `mean` (one number, or one an element). Means below 12 follow libstdc++'s
   * algorithm, larger ones have the right distribution but not Paddle's sequence; no recorded draws exist.
   */
  poisson<A extends FloatArray>(out: A, mean: number | ArrayLike<number>): A {
    const meanAt = elementsOf(mean, out.length, 'poisson')
    const next = (): number => this.engine.float64()
    for (let i = 0; i < out.length; i++) {
      const m = meanAt(i)
      if (!(m >= 0 && m < Infinity)) throw new ArgumentError(`poisson: means must be finite and not negative, got ${m}`)
      out[i] = samplePoisson(m, next)
    }
    return out
  }

  /** Fills `out` with 1 where a uniform draw is below `p` (one probability, or one an element), 0 elsewhere. */
  bernoulli<A extends FloatArray>(out: A, p: number | ArrayLike<number>): A {
    const { next, round } = this.precision(out)
    const probabilityAt = elementsOf(p, out.length, 'bernoulli')
    for (let i = 0; i < out.length; i++) {
      const probability = checkProbability(probabilityAt(i), 'bernoulli')
      out[i] = next() < round(probability) ? 1 : 0
    }
    return out
  }

  /** Fills `out` with the mask of Paddle's CPU dropout: 0 with probability `p`, else 1. `p` = 1 draws nothing. */
  dropoutMask(out: Uint8Array, p: number): Uint8Array {
    const dropped = Math.fround(checkProbability(p, 'dropoutMask'))
    if (dropped === 1) return out.fill(0)
    for (let i = 0; i < out.length; i++) out[i] = this.engine.float32() < dropped ? 0 : 1
    return out
  }

  /** Fills `out` with integers in [low, high), each equally likely. `high - low` may be up to 2^53. */
  randint<A extends Int32Array | BigInt64Array>(out: A, low: number, high: number): A {
    const range = high - low
    if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high - 1) || range <= 0 || range > 2 ** 53) {
      throw new ArgumentError(
        `randint: expected integers low < high at most 2^53 apart, got low ${low} and high ${high}`,
      )
    }
    if (out instanceof Int32Array) for (let i = 0; i < out.length; i++) out[i] = low + this.below(range)
    else for (let i = 0; i < out.length; i++) out[i] = BigInt(low + this.below(range))
    return out
  }

  /** A random permutation of 0 ... n - 1, shuffled as libstdc++'s `std::shuffle`: one draw for every two swaps. */
  randperm(n: number): Int32Array {
    if (!Number.isInteger(n) || n < 0 || n > largestPermutation) {
      throw new ArgumentError(`randperm: expected an integer from 0 to ${largestPermutation}, got ${n}`)
    }
    const out = Int32Array.from({ length: n }, (_, i) => i)
    const swap = (i: number, j: number): void => {
      const value = out[i]!
      out[i] = out[j]!
      out[j] = value
    }
    let i = 1
    if (n > 0 && n % 2 === 0) {
      swap(1, this.below(2))
      i = 2
    }
    for (; i < n; i += 2) {
      const pair = this.below((i + 1) * (i + 2))
      const first = Math.floor(pair / (i + 2))
      swap(i, first)
      swap(i + 1, pair - first * (i + 2))
    }
    return out
  }

  /**
   * Draws `numSamples` category indices from each row of `weights` (rows of `categories` non-negative numbers, not necessarily
   * normalised) by inversion of the cumulative sums. Without replacement a drawn category leaves the row. Written after
   * Paddle's CPU kernel, in its precision; no recorded draws exist to compare with.
   *
   * @returns the indices, row after row
   * @throws ArgumentError on a negative weight, a row that sums to 0, or fewer non-zero categories than distinct samples
   */
  multinomial(weights: FloatArray, categories: number, numSamples = 1, replacement = false): Int32Array {
    if (categories <= 0 || weights.length % categories !== 0) {
      throw new ArgumentError(`multinomial: ${weights.length} weights do not make rows of ${categories} categories`)
    }
    const { next, round } = this.precision(weights)
    const rows = weights.length / categories
    const out = new Int32Array(rows * numSamples)
    for (let row = 0; row < rows; row++) {
      const left = weights.slice(row * categories, (row + 1) * categories)
      const cumulative = cumulate(left, numSamples, replacement)
      for (let s = 0; s < numSamples; s++) {
        cumulative[categories - 1] = 1
        let chosen = firstNotBelow(cumulative, next())
        // Rounding of the sums must not let a category through that has no weight or was drawn before.
        while (left[chosen] === 0) chosen = (chosen + categories - 1) % categories
        out[row * numSamples + s] = chosen
        if (replacement || s + 1 === numSamples) continue
        left[chosen] = 0
        removeCategory(cumulative, chosen, round)
      }
    }
    return out
  }

  /** Uniform integer in [0, range), 1 <= range <= 2^53: the upper half of word * range, with rejection (Lemire 2019). */
  private below(range: number): number {
    const rangeHigh = Math.floor(range / two32)
    const rangeLow = range >>> 0
    for (;;) {
      const i = this.engine.take()
      const high = this.engine.high[i]!
      const low = this.engine.low[i]!
      // Schoolbook product of two 32-bit limbs each; the lowest limb and word1 are the fraction, the rest the result.
      const word0 = Math.imul(low, rangeLow) >>> 0
      const sum1 = mulHigh32(low, rangeLow) + (Math.imul(low, rangeHigh) >>> 0) + (Math.imul(high, rangeLow) >>> 0)
      const word1 = sum1 >>> 0
      const carry = Math.floor(sum1 / two32)
      const sum2 = mulHigh32(low, rangeHigh) + mulHigh32(high, rangeLow) + (Math.imul(high, rangeHigh) >>> 0) + carry
      const result = mulHigh32(high, rangeHigh) * two32 + sum2
      if (word1 > rangeHigh || (word1 === rangeHigh && word0 >= rangeLow)) return result
      // Rare: the fraction decides whether this word is one of the 2^64 mod range surplus ones.
      const fraction = (BigInt(word1) << 32n) | BigInt(word0)
      if (fraction >= (1n << 64n) % BigInt(range)) return result
    }
  }

  /** Canonical uniforms and rounding of the precision in which C++ would compute for this array. */
  private precision(out: FloatArray): { next: () => number; round: (x: number) => number } {
    const { engine } = this
    return out instanceof Float32Array
      ? { next: () => engine.float32(), round: Math.fround }
      : { next: () => engine.float64(), round: (x) => x }
  }
}

let shared: Generator | undefined

/** The generator that creation functions and initialisers use unless they are given another. */
export function defaultGenerator(): Generator {
  return (shared ??= new Generator())
}

function entropySeed(): number {
  const [a, b] = crypto.getRandomValues(new Uint32Array(2))
  return (a! & 0x1fffff) * two32 + b!
}

function checkSeed(seed: number): number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ArgumentError(`seed must be an integer from 0 to 2^53 - 1, got ${seed}`)
  }
  return seed
}

function checkProbability(p: number, name: string): number {
  if (!(p >= 0 && p <= 1)) throw new ArgumentError(`${name}: probabilities must lie in [0, 1], got ${p}`)
  return p
}

function elementsOf(values: number | ArrayLike<number>, length: number, name: string): (i: number) => number {
  if (typeof values === 'number') return () => values
  if (values.length !== length) {
    throw new ArgumentError(`${name}: got ${values.length} parameters for ${length} elements; give one, or one each`)
  }
  return (i) => values[i]!
}

/** Running sums of a row, divided by their total, in the row's own precision. */
function cumulate(row: FloatArray, numSamples: number, replacement: boolean): FloatArray {
  const sums = row.slice()
  let nonZero = 0
  for (let j = 0; j < row.length; j++) {
    if (!(row[j]! >= 0)) throw new ArgumentError(`multinomial: weights must not be negative, got ${row[j]}`)
    if (row[j]! > 0) nonZero++
    if (j > 0) sums[j] = sums[j - 1]! + row[j]!
  }
  const total = sums[row.length - 1]!
  if (!(total > 0))
    throw new ArgumentError('multinomial: the weights of a row sum to 0, so nothing can be drawn from it')
  if (!replacement && nonZero < numSamples) {
    throw new ArgumentError(
      `multinomial: ${numSamples} samples without replacement need as many non-zero weights, got ${nonZero}: ` +
        'draw fewer or pass replacement',
    )
  }
  for (let j = 0; j < row.length; j++) sums[j] = sums[j]! / total
  return sums
}

/** Index of the first entry of a rising array that is not below `value` (the last entry is 1). */
function firstNotBelow(rising: FloatArray, value: number): number {
  let left = 0
  let right = rising.length
  while (left < right) {
    const middle = (left + right) >> 1
    if (rising[middle]! < value) left = middle + 1
    else right = middle
  }
  return left
}

function removeCategory(cumulative: FloatArray, chosen: number, round: (x: number) => number): void {
  const probability = round(cumulative[chosen]! - (chosen > 0 ? cumulative[chosen - 1]! : 0))
  const rest = round(1 - probability)
  for (let j = 0; j < cumulative.length; j++) {
    cumulative[j] = round(cumulative[j]! - (j >= chosen ? probability : 0)) / rest
  }
}
