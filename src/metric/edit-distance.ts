/** EditDistance: character and sequence error rates of recognisers (paddle.nn.functional.edit_distance and PaddleOCR's RecMetric). */
import { editDistance } from '../common/edit-distance.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { Metric } from './metric.ts'

/** Texts, or sequences of class ids. */
export type Sequences = readonly string[] | readonly (readonly number[])[]

/** Sequences on the device: ids [N, L], padded, with the number of ids that count in each row [N] (default all). */
export interface SequenceBatch {
  readonly ids: Tensor
  readonly lengths?: Tensor
}

export interface EditDistanceOptions {
  /** Default `'edit_distance'`. */
  readonly name?: string
}

export interface EditDistanceResult {
  /** Edits over characters of the references: the character error rate of all text together. */
  readonly characterErrorRate: number
  /** Share of sequences that are not exactly right. */
  readonly sequenceErrorRate: number
  /** Mean of each sequence's edits over the longer length: PaddleOCR's `norm_edit_dis` is 1 minus this. */
  readonly normalizedDistance: number
  /** All edits. */
  readonly edits: number
  /** Number of sequences. */
  readonly count: number
}

/**
 * Levenshtein distances between recognised and true sequences. `accumulate` gives [character error rate, sequence error rate];
 * `result` gives everything.
 * @example metric.update(['壹佰圆'], ['壹百元整']); await metric.result()
 */
export class EditDistance extends Metric {
  readonly #name: string
  #waiting: [SequenceBatch, SequenceBatch][] = []
  #edits = 0
  #characters = 0
  #wrong = 0
  #normalized = 0
  #count = 0

  constructor(options: EditDistanceOptions = {}) {
    super()
    this.#name = options.name ?? 'edit_distance'
  }

  /** Recognised and true sequences of a batch. Tensors are read when a result is asked for. */
  override update(predictions: Sequences | SequenceBatch, references: Sequences | SequenceBatch): void {
    if (isBatch(predictions) !== isBatch(references))
      throw new ArgumentError('EditDistance.update: give both as arrays, or both as { ids, lengths } tensors')
    if (!isBatch(predictions) || !isBatch(references)) {
      this.#compare(predictions as Sequences, references as Sequences)
      return
    }
    for (const batch of [predictions, references]) keepBatch(batch)
    this.#waiting.push([predictions, references])
  }

  #compare(predictions: Sequences, references: Sequences): void {
    if (predictions.length !== references.length)
      throw new ShapeError(
        `EditDistance.update: ${predictions.length} predictions for ${references.length} references; one for each`,
      )
    references.forEach((reference, i) => {
      const edits = editDistance<number>(predictions[i]!, reference)
      const [length, other] = [lengthOf(reference), lengthOf(predictions[i]!)]
      this.#edits += edits
      this.#characters += length
      this.#wrong += edits === 0 ? 0 : 1
      this.#normalized += edits / Math.max(length, other, 1)
      this.#count++
    })
  }

  reset(): void {
    this.#waiting = []
    this.#edits = this.#characters = this.#wrong = this.#normalized = this.#count = 0
  }

  async result(): Promise<EditDistanceResult> {
    const batches = this.#waiting
    this.#waiting = []
    for (const [p, r] of batches) this.#compare(await readBatch(p), await readBatch(r))
    const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
    return {
      characterErrorRate: share(this.#edits, this.#characters),
      sequenceErrorRate: share(this.#wrong, this.#count),
      normalizedDistance: share(this.#normalized, this.#count),
      edits: this.#edits,
      count: this.#count,
    }
  }

  /** [character error rate, sequence error rate]. */
  async accumulate(): Promise<number[]> {
    const { characterErrorRate, sequenceErrorRate } = await this.result()
    return [characterErrorRate, sequenceErrorRate]
  }

  name(): string[] {
    return [`${this.#name}_cer`, `${this.#name}_ser`]
  }
}

function isBatch(value: Sequences | SequenceBatch): value is SequenceBatch {
  return !Array.isArray(value)
}

const lengthOf = (s: string | readonly number[]): number => (typeof s === 'string' ? Array.from(s).length : s.length)

function keepBatch({ ids, lengths }: SequenceBatch): void {
  if (!(ids instanceof Tensor) || ids.ndim !== 2 || (lengths && lengths.size !== ids.shape[0]))
    throw new ShapeError(
      `EditDistance.update: ids must be [N, L] and lengths [N], got ${ids instanceof Tensor ? formatShape(ids.shape) : typeof ids} and ${lengths ? formatShape(lengths.shape) : 'none'}`,
    )
  ids.keep()
  lengths?.keep()
}

async function readBatch({ ids, lengths }: SequenceBatch): Promise<number[][]> {
  const rows = (await ids.array()) as number[][]
  const counts = lengths ? Array.from(await lengths.data(), Number) : rows.map((row) => row.length)
  return rows.map((row, i) => row.slice(0, counts[i]))
}
