/**
 * Samplers, as in `paddle.io`: the order in which the samples of a dataset are visited. Every sampler here can save where it is in a pass, and
 * go on from there in another process with exactly the indices that were left.
 */
import { ArgumentError, FormatError } from '../common/errors.ts'
import { RandomState } from '../common/numpy-random.ts'
import { defaultPermutationGenerator, defaultRandomState } from './generator.ts'
import type { PermutationGenerator } from './generator.ts'

/** Something with a length: a dataset, an array. */
export interface Sized {
  readonly length: number
}

/** A position in a pass: what the pass was drawn from, and how many items of it were given. Survives JSON. */
export interface SamplerState {
  readonly position: number
  readonly source: unknown
}

/** `paddle.io.Sampler`: iterate it for one pass of indices. Your own subclass needs an iterator and a length. */
export abstract class Sampler<T = number> implements Iterable<T> {
  abstract get length(): number
  abstract [Symbol.iterator](): Iterator<T>
}

/** What can save and restore its position. */
export interface Resumable {
  stateDict(): SamplerState
  setStateDict(state: SamplerState): void
}

export function isResumable(value: unknown): value is Resumable {
  return typeof value === 'object' && value !== null && 'stateDict' in value && 'setStateDict' in value
}

/**
 * A sampler whose passes follow from a small source (a generator's state, an epoch). The state is the source as it was when the pass began,
 * and the position: restoring draws the pass again and skips what had been given.
 */
export abstract class ResumableSampler<T = number> extends Sampler<T> implements Resumable {
  private passSource: { value: unknown } | undefined
  private position = 0
  private skip = 0

  /** Draws the items of one pass. */
  protected abstract begin(): Iterable<T>
  /** What the next `begin` depends on, as JSON. */
  protected abstract saveSource(): unknown
  /** Restores what `saveSource` gave. Throws FormatError when it is something else. */
  protected abstract restoreSource(source: unknown): void

  *[Symbol.iterator](): Generator<T, void, undefined> {
    const skip = this.skip
    this.skip = 0
    this.position = 0
    this.passSource = { value: this.saveSource() }
    for (const item of this.begin()) {
      this.position++
      if (this.position > skip) yield item
    }
    this.position = 0
    this.passSource = undefined
  }

  /** The position in the pass that is under way (or was left), or before the next one. */
  stateDict(): SamplerState {
    if (this.passSource === undefined) return this.startState()
    return { position: this.position, source: this.passSource.value }
  }

  /** The state of a pass that would begin now, whatever was left of an earlier one. */
  startState(): SamplerState {
    return { position: this.skip, source: this.saveSource() }
  }

  /** The next pass continues where `state` was taken. */
  setStateDict(state: SamplerState): void {
    const position = (state as SamplerState | null)?.position
    if (!Number.isSafeInteger(position) || position! < 0) {
      throw new FormatError(
        `${this.constructor.name}.setStateDict: this is not a state from stateDict {position, source}`,
      )
    }
    this.restoreSource(state.source)
    this.passSource = undefined
    this.position = 0
    this.skip = position!
  }
}

/** What to save when a pass over `sampler` begins; null for samplers that save nothing. */
export function startStateOf(sampler: unknown): SamplerState | null {
  if (sampler instanceof ResumableSampler) return sampler.startState()
  return isResumable(sampler) ? sampler.stateDict() : null
}

/** `paddle.io.SequenceSampler`: 0, 1, 2, ... */
export class SequenceSampler extends ResumableSampler {
  private readonly data: Sized

  constructor(data: Sized) {
    super()
    this.data = data
  }

  get length(): number {
    return this.data.length
  }

  protected *begin(): Generator<number> {
    for (let i = 0; i < this.data.length; i++) yield i
  }

  protected saveSource(): null {
    return null
  }

  protected restoreSource(): void {}
}

/** A seed, or a generator to share. Without either, the global one: then a resumed run is exact only if nothing else draws from that. */
export interface GeneratorOption<G = RandomState> {
  readonly generator?: number | G
}

function generatorOf(option: number | RandomState | undefined): RandomState {
  return typeof option === 'number' ? new RandomState(option) : (option ?? defaultRandomState())
}

function checkCount(name: string, count: number): number {
  if (!Number.isSafeInteger(count) || count <= 0) {
    throw new ArgumentError(`${name}: numSamples is ${count}; a positive integer is needed`)
  }
  return count
}

/** A sampler whose passes follow from a generator's state. */
abstract class GeneratorSampler<G extends PermutationGenerator> extends ResumableSampler {
  protected readonly generator: G

  constructor(generator: G) {
    super()
    this.generator = generator
  }

  protected saveSource(): unknown {
    return this.generator.getState()
  }

  protected restoreSource(source: unknown): void {
    this.generator.setState(source as never)
  }
}

export interface RandomSamplerOptions extends GeneratorOption {
  /** Draw with replacement. Default false. */
  readonly replacement?: boolean
  /** How many indices a pass has. Default: the length of the data. */
  readonly numSamples?: number
}

/** `paddle.io.RandomSampler`: a random order, drawn as `numpy.random.choice` draws it: `np.random.seed(s)` in Paddle gives the same as seed s here. */
export class RandomSampler extends GeneratorSampler<RandomState> {
  private readonly data: Sized
  private readonly replacement: boolean
  private readonly numSamples: number | undefined

  constructor(data: Sized, options: RandomSamplerOptions = {}) {
    super(generatorOf(options.generator))
    this.data = data
    this.replacement = options.replacement ?? false
    this.numSamples = options.numSamples
    checkCount('RandomSampler', this.length)
    if (!this.replacement && this.length > data.length) {
      throw new ArgumentError(
        `RandomSampler: ${this.length} samples of ${data.length} without replacement; lower numSamples or set replacement`,
      )
    }
  }

  get length(): number {
    return this.numSamples ?? this.data.length
  }

  protected begin(): Iterable<number> {
    return this.generator.choice(this.data.length, this.length, { replace: this.replacement })
  }
}

export interface WeightedRandomSamplerOptions extends GeneratorOption {
  /** Draw with replacement. Default true. */
  readonly replacement?: boolean
}

/** `paddle.io.WeightedRandomSampler`: index i with a probability proportional to `weights[i]`. */
export class WeightedRandomSampler extends GeneratorSampler<RandomState> {
  readonly length: number
  private readonly p: Float64Array
  private readonly replacement: boolean

  constructor(weights: ArrayLike<number>, numSamples: number, options: WeightedRandomSamplerOptions = {}) {
    super(generatorOf(options.generator))
    this.length = checkCount('WeightedRandomSampler', numSamples)
    this.replacement = options.replacement ?? true
    this.p = Float64Array.from(weights)
    const wrong = this.p.findIndex((w) => !(w >= 0 && w < Infinity))
    if (wrong >= 0) {
      throw new ArgumentError(
        `WeightedRandomSampler: weight ${this.p[wrong]} at index ${wrong}; weights are finite and not negative`,
      )
    }
    const positive = this.p.filter((w) => w > 0).length
    if (positive === 0 || (!this.replacement && positive < numSamples)) {
      throw new ArgumentError(`WeightedRandomSampler: ${numSamples} samples, but ${positive} positive weights`)
    }
    const sum = pairwiseSum(this.p)
    this.p.forEach((w, i, p) => (p[i] = w / sum))
  }

  protected begin(): Iterable<number> {
    return this.generator.choice(this.p.length, this.length, { replace: this.replacement, p: this.p })
  }
}

/** NumPy's sum: blocks of up to 128 in eight running sums, halves above that; so the probabilities are NumPy's to the last bit. */
function pairwiseSum(values: Float64Array): number {
  const n = values.length
  if (n < 8) return values.reduce((a, b) => a + b, 0)
  if (n > 128) {
    const half = (n >> 1) - ((n >> 1) % 8)
    return pairwiseSum(values.subarray(0, half)) + pairwiseSum(values.subarray(half))
  }
  const r = values.slice(0, 8)
  let i = 8
  for (; i < n - (n % 8); i += 8) for (let k = 0; k < 8; k++) r[k]! += values[i + k]!
  let sum = r[0]! + r[1]! + (r[2]! + r[3]!) + (r[4]! + r[5]! + (r[6]! + r[7]!))
  for (; i < n; i++) sum += values[i]!
  return sum
}

/** `paddle.io.SubsetRandomSampler`: given indices in random order (`randperm`). */
export class SubsetRandomSampler extends GeneratorSampler<PermutationGenerator> {
  private readonly indices: ArrayLike<number>

  constructor(indices: ArrayLike<number>, options: GeneratorOption<PermutationGenerator> = {}) {
    const { generator } = options
    super(typeof generator === 'number' ? new RandomState(generator) : (generator ?? defaultPermutationGenerator()))
    if (indices.length === 0) throw new ArgumentError('SubsetRandomSampler: there is no index; give at least one')
    this.indices = indices
  }

  get length(): number {
    return this.indices.length
  }

  protected *begin(): Generator<number> {
    const order = this.generator.permutation(this.length)
    for (let i = 0; i < order.length; i++) yield this.indices[order[i]!]!
  }
}
