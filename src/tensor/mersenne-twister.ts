/**
 * The 64-bit Mersenne Twister (MT19937-64; Nishimura 2000, parameters as in C++ `std::mt19937_64`), the engine of Paddle's
 * CPU generator. Words live as pairs of unsigned 32-bit halves and are made 312 at a time, so drawing one is two array reads.
 */

const size = 312
const middle = 156
const upperMaskLow = 0x80000000
const lowerMaskLow = 0x7fffffff
const matrixHigh = 0xb5026f5a
const matrixLow = 0xa96619e9

const two20 = 2 ** 20
const two32 = 2 ** 32
const largestFloat32BelowOne = 1 - 2 ** -24
const largestFloat64BelowOne = 1 - 2 ** -53

export class MersenneTwister64 {
  /** Tempered words of the current block; `take` says which comes next. */
  readonly high = new Uint32Array(size)
  readonly low = new Uint32Array(size)
  private readonly stateHigh = new Uint32Array(size)
  private readonly stateLow = new Uint32Array(size)
  private position = size

  /** Starts the sequence that `std::seed_seq{seed}` gives; only the low 32 bits of `seed` count, as in C++. */
  constructor(seed: number) {
    this.seed(seed)
  }

  seed(seed: number): void {
    const words = seedSequence(seed >>> 0, 2 * size)
    let nonZero = (words[0]! & upperMaskLow) | words[1]!
    for (let i = 0; i < size; i++) {
      this.stateLow[i] = words[2 * i]!
      this.stateHigh[i] = words[2 * i + 1]!
      if (i > 0) nonZero |= words[2 * i]! | words[2 * i + 1]!
    }
    // An all-zero state would stay zero for ever; C++ prescribes 2^63 in that case.
    if (nonZero === 0) {
      this.stateHigh[0] = 0x80000000
      this.stateLow[0] = 0
    }
    this.position = size
  }

  /** Index in `high` and `low` of the next word; moves on to the one after. */
  take(): number {
    if (this.position === size) {
      this.twist()
      this.temper()
      this.position = 0
    }
    return this.position++
  }

  /** Uniform float32 in [0, 1), as libstdc++'s `generate_canonical<float, 24>`: float32(word) / 2^64. */
  float32(): number {
    const i = this.take()
    const high = this.high[i]!
    const low = this.low[i]!
    // 52 upper bits plus a sticky half round to float32 as the 64-bit word does; short words are exact in a double.
    const value =
      high >= 32
        ? Math.fround(high * two20 + (low >>> 12) + ((low & 0xfff) === 0 ? 0 : 0.5)) * 2 ** -52
        : Math.fround(high * two32 + low) * 2 ** -64
    return value < 1 ? value : largestFloat32BelowOne
  }

  /** Uniform float64 in [0, 1), as libstdc++'s `generate_canonical<double, 53>`: float64(word) / 2^64. */
  float64(): number {
    const i = this.take()
    const value = (this.high[i]! * two32 + this.low[i]!) * 2 ** -64
    return value < 1 ? value : largestFloat64BelowOne
  }

  /** Low and high halves of the 312 state words, in turn, and how many of the block are used up. */
  getState(): { words: Int32Array; position: number } {
    const words = new Int32Array(2 * size)
    for (let i = 0; i < size; i++) {
      words[2 * i] = this.stateLow[i]!
      words[2 * i + 1] = this.stateHigh[i]!
    }
    return { words, position: this.position }
  }

  /** Continues from what `getState` gave: `words` of 624 entries, `position` from 0 to 312. */
  setState(words: ArrayLike<number>, position: number): void {
    for (let i = 0; i < size; i++) {
      this.stateLow[i] = words[2 * i]!
      this.stateHigh[i] = words[2 * i + 1]!
    }
    this.temper()
    this.position = position
  }

  private twist(): void {
    const { stateHigh, stateLow } = this
    for (let i = 0; i < size; i++) {
      const next = i + 1 < size ? i + 1 : 0
      const far = i < size - middle ? i + middle : i - middle
      const high = stateHigh[i]!
      const low = (stateLow[i]! & upperMaskLow) | (stateLow[next]! & lowerMaskLow)
      const odd = -(low & 1)
      stateHigh[i] = stateHigh[far]! ^ (high >>> 1) ^ (odd & matrixHigh)
      stateLow[i] = stateLow[far]! ^ ((low >>> 1) | (high << 31)) ^ (odd & matrixLow)
    }
  }

  private temper(): void {
    for (let i = 0; i < size; i++) {
      let high = this.stateHigh[i]!
      let low = this.stateLow[i]!
      // x ^= (x >> 29) & 0x5555555555555555
      low ^= ((low >>> 29) | (high << 3)) & 0x55555555
      high ^= (high >>> 29) & 0x55555555
      // x ^= (x << 17) & 0x71d67fffeda60000
      high ^= ((high << 17) | (low >>> 15)) & 0x71d67fff
      low ^= (low << 17) & 0xeda60000
      // x ^= (x << 37) & 0xfff7eee000000000
      high ^= (low << 5) & 0xfff7eee0
      // x ^= x >> 43
      low ^= high >>> 11
      this.high[i] = high
      this.low[i] = low
    }
  }
}

/** The first `length` (>= 623) words of `std::seed_seq{seed}.generate` ([rand.util.seedseq] of the C++ standard). */
function seedSequence(seed: number, length: number): Uint32Array {
  const out = new Uint32Array(length).fill(0x8b8b8b8b)
  const p = (length - 11) >> 1
  const q = p + 11
  const mix = (x: number): number => x ^ (x >>> 27)
  for (let k = 0; k < length; k++) {
    const i = (k + p) % length
    const j = (k + q) % length
    const r1 = Math.imul(1664525, mix(out[k]! ^ out[i]! ^ out[(k + length - 1) % length]!))
    const r2 = r1 + (k === 0 ? 1 : k === 1 ? 1 + seed : k)
    out[i] = out[i]! + r1
    out[j] = out[j]! + r2
    out[k] = r2
  }
  for (let k = 0; k < length; k++) {
    const i = (k + p) % length
    const j = (k + q) % length
    const r3 = Math.imul(1566083941, mix((out[k]! + out[i]! + out[(k + length - 1) % length]!) | 0))
    const r4 = r3 - k
    out[i] = out[i]! ^ r3
    out[j] = out[j]! ^ r4
    out[k] = r4
  }
  return out
}
