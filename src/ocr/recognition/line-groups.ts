/**
 * Lines for a run that is counted in steps: groups of batches without end, mixed from several sources in fixed shares. Group `i` depends on
 * nothing but the settings and `i`, so that workers make groups in any order, and a resumed run goes on where it was.
 */
import { SmallRandom } from '../../common/random.ts'
import { FormatError } from '../../common/errors.ts'
import type { StateValue } from '../../io/state-json.ts'
import { DataLoader, Dataset } from '../../io/index.ts'
import type { PlacedBatch } from '../../hapi/training-run.ts'
import type { Family } from '../synthetic/receipts.ts'
import { timeSteps } from './crnn.ts'
import { Dictionary } from './dictionary.ts'
import {
  batchByWidth,
  drawLine,
  isFileError,
  readLine,
  type LabelledFile,
  type LineBatch,
  type TextLine,
} from './lines.ts'

/** Where lines come from, and how many of each group. */
export type LineSource =
  | { readonly kind: 'synthetic'; readonly seed: number; readonly family: Family; readonly perGroup: number }
  | { readonly kind: 'files'; readonly files: readonly LabelledFile[]; readonly perGroup: number }

export interface LineGroupsOptions {
  readonly seed: number
  readonly sources: readonly LineSource[]
  readonly batchSize: number
  readonly characters: readonly string[]
  readonly height: number
  readonly maxWidth: number
  /** Batches in random order rather than the widest first. */
  readonly shuffle: boolean
  /** What a line does that cannot be read, or whose text cannot be learnt from it. */
  readonly onBadSample: 'skip' | 'fail'
}

/** Batches of a group, and the lines that were left out, with the reason. */
export interface LineGroup {
  readonly batches: readonly LineBatch[]
  readonly leftOut: readonly string[]
}

export class LineGroups extends Dataset<LineGroup> {
  readonly #options: LineGroupsOptions
  readonly #dictionary: Dictionary
  /** The order of each file source in the pass that was last asked for. */
  readonly #orders = new Map<LineSource, { pass: number; order: readonly LabelledFile[] }>()

  constructor(options: LineGroupsOptions) {
    super()
    this.#options = options
    this.#dictionary = new Dictionary(options.characters)
  }

  /** There is no last group. */
  get length(): number {
    return Number.MAX_SAFE_INTEGER
  }

  override workerSource(): { module: string; export: string; args: unknown[] } {
    return { module: import.meta.url, export: 'LineGroups', args: [this.#options] }
  }

  async getItem(index: number): Promise<LineGroup> {
    const { sources, batchSize, shuffle, seed, onBadSample } = this.#options
    const lines: TextLine[] = []
    const leftOut: string[] = []
    for (const source of sources) {
      for (let i = 0; i < source.perGroup; i++) {
        try {
          lines.push(await this.#line(source, index * source.perGroup + i))
        } catch (error) {
          if (onBadSample === 'fail' || !isFileError(error)) throw error
          leftOut.push(error.message)
        }
      }
    }
    const batches = batchByWidth(lines, batchSize, this.#dictionary)
    return { batches: shuffle ? new SmallRandom(seed, index).shuffled(batches) : batches, leftOut }
  }

  /** Line `n` of a source, counted over all groups. Throws FormatError, StorageError. */
  async #line(source: LineSource, n: number): Promise<TextLine> {
    const { height, maxWidth } = this.#options
    if (source.kind === 'synthetic') {
      const line = await drawLine(source.seed, source.family, n)
      return this.#learnable(line, `the synthetic line ${n}`)
    }
    const pass = Math.floor(n / source.files.length)
    const { file, text } = this.#orderOf(source, pass)[n % source.files.length]!
    return this.#learnable({ ...(await readLine(file, height, maxWidth)), text }, `'${file}'`)
  }

  #orderOf(source: LineSource & { kind: 'files' }, pass: number): readonly LabelledFile[] {
    const known = this.#orders.get(source)
    if (known?.pass === pass) return known.order
    const random = new SmallRandom(this.#options.seed * 31 + this.#options.sources.indexOf(source), pass)
    const order = random.shuffled(source.files)
    this.#orders.set(source, { pass, order })
    return order
  }

  /** Refuses a line that CTC cannot align: every character needs a column of its own, and equal neighbours a blank between them. */
  #learnable(line: TextLine, name: string): TextLine {
    const problem = textProblem(line.text, this.#dictionary)
    if (problem !== null) throw new FormatError(`${name}: ${problem}`)
    const characters = [...line.text]
    const needed = characters.length + characters.filter((c, i) => c === characters[i - 1]).length
    const columns = timeSteps(line.width)
    if (needed > columns)
      throw new FormatError(
        `${name}: its text of ${characters.length} characters does not fit into ${line.width} x ${line.height} pixels (${columns} columns)`,
      )
    return line
  }
}

/** Why a text cannot be learnt, or null. */
export function textProblem(text: string, dictionary: Dictionary): string | null {
  if (text === '') return 'its text is empty'
  const unknown = new Set([...text].filter((c) => !dictionary.has(c)))
  return unknown.size === 0 ? null : `the dictionary lacks ${[...unknown].join(' ')} (in ${JSON.stringify(text)})`
}

/** Batches of the groups, from a place on. `onLeftOut` is told of lines that were left out. Throws FormatError where nothing is left. */
export async function* placedBatches(
  groups: LineGroups,
  place: StateValue,
  options: {
    readonly workers: number
    readonly patience: number
    readonly onLeftOut: (messages: readonly string[]) => void
  },
): AsyncGenerator<PlacedBatch<LineBatch>> {
  const { group: first = 0, batch: skip = 0 } = (place ?? {}) as { group?: number; batch?: number }
  const from = {
    length: Number.MAX_SAFE_INTEGER,
    *[Symbol.iterator]() {
      for (let group = first; ; group++) yield [group]
    },
  }
  const loader = new DataLoader<LineGroup, LineGroup>(groups, {
    batchSampler: from,
    collateFn: ([group]) => group,
    numWorkers: options.workers,
    toTensor: (array) => array,
  })
  let group = first
  let empty = 0
  for await (const { batches, leftOut } of loader) {
    if (leftOut.length > 0) options.onLeftOut(leftOut)
    empty = batches.length === 0 ? empty + 1 : 0
    if (empty > options.patience)
      throw new FormatError(`none of the lines can be trained on; the last: ${leftOut.at(-1) ?? ''}`)
    for (const [i, batch] of batches.entries()) {
      if (group === first && i < skip) continue
      const isLast = i === batches.length - 1
      yield { batch, next: isLast ? { group: group + 1, batch: 0 } : { group, batch: i + 1 } }
    }
    group++
  }
}
