/** The state of Paddle's generator in files. */
import { FormatError } from '../common/errors.ts'
import { defaultGenerator, type GeneratorState } from '../tensor/generator.ts'

/** A generator's state in JSON's terms. */
export interface SavedGenerator {
  readonly [key: string]: number | readonly number[]
  readonly seed: number
  readonly offset: number
  readonly position: number
  readonly words: readonly number[]
}

/** The state of Paddle's generator as JSON. */
export function savedGenerator(state: GeneratorState = defaultGenerator().getState()): SavedGenerator {
  return { ...state, words: Array.from(state.words) }
}

/** The other way round. Throws FormatError on what `savedGenerator` did not give. */
export function restoredGenerator(saved: unknown): GeneratorState {
  const { seed, offset, position, words } = (saved ?? {}) as Partial<SavedGenerator>
  if (![seed, offset, position].every(Number.isSafeInteger) || !Array.isArray(words))
    throw new FormatError('this is not the state of a generator {seed, offset, position, words}')
  return { seed: seed!, offset: offset!, position: position!, words: Int32Array.from(words as number[]) }
}
