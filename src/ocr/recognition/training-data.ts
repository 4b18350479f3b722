/** What a configured run trains and measures on: line sources with their shares, the number of steps, and lines to evaluate. */
import { configError } from '../../hapi/config/check.ts'
import type { ConfigSource } from '../../hapi/config/source.ts'
import type { Say } from '../../hapi/training-task.ts'
import type { EvalSet, RecognizerConfig } from './config.ts'
import { listFiles } from './label-files.ts'
import type { LineSource } from './line-groups.ts'
import { drawLines, loadLines, type TextLine } from './lines.ts'
import type { TextRecognizer } from './recognizer.ts'

/** Evaluation lines are drawn from a seed of their own unless the file says otherwise. */
const evaluationSeed = 900_000

/** Lines that were left out: each is told once, and after a few only their number. */
export class LeftOut {
  readonly #seen = new Set<string>()
  readonly #say: Say

  constructor(say: Say) {
    this.#say = say
  }

  /** How many there were. */
  get count(): number {
    return this.#seen.size
  }

  add(messages: readonly string[]): void {
    for (const message of messages) {
      if (this.#seen.has(message)) continue
      this.#seen.add(message)
      if (this.#seen.size <= 5 || this.#seen.size % 100 === 0) this.#say(`left out (${this.#seen.size}): ${message}`)
    }
  }
}

export async function lineSources(
  config: RecognizerConfig,
  source: ConfigSource,
  recognizer: TextRecognizer,
  leftOut: LeftOut,
): Promise<LineSource[]> {
  const { Global: global, Train: train } = config
  const quotas = divide(
    train.batchSize * train.bucket,
    train.datasets.map((d) => d.share),
  )
  const sources: LineSource[] = []
  for (const [i, set] of train.datasets.entries()) {
    const at = ['Train', 'datasets', i]
    const perGroup = quotas[i]!
    if (perGroup === 0)
      throw configError(
        source,
        [...at, 'share'],
        `${set.share} is less than one line of ${train.batchSize * train.bucket}`,
      )
    if (set.name === 'Synthetic') {
      sources.push({ kind: 'synthetic', seed: set.seed ?? global.seed, family: set.family, perGroup })
    } else {
      const list = await listFiles(set, recognizer.dictionary, global.onBadSample, source, at)
      leftOut.add(list.leftOut)
      sources.push({ kind: 'files', files: list.files, perGroup })
    }
  }
  return sources
}

/** `total` in whole parts that are as the shares, by the largest remainders. */
export function divide(total: number, shares: readonly number[]): number[] {
  const sum = shares.reduce((a, b) => a + b, 0)
  const exact = shares.map((s) => (total * s) / sum)
  const parts = exact.map(Math.floor)
  const order = exact.map((_, i) => i).sort((a, b) => exact[b]! - parts[b]! - (exact[a]! - parts[a]!) || a - b)
  const left = total - parts.reduce((a, b) => a + b, 0)
  for (const i of order.slice(0, left)) parts[i]!++
  return parts
}

/** Steps as the file says, or as the epochs need: an epoch ends when the slowest set of pictures has been gone through. */
export function stepsOf(
  { Global: global, Train: train }: RecognizerConfig,
  source: ConfigSource,
  sources: readonly LineSource[],
): number {
  const { steps, epochs } = global
  if (steps !== undefined && epochs !== undefined)
    throw configError(source, ['Global', 'epochs'], 'give steps or epochs, not both')
  if (steps !== undefined) return steps
  if (epochs === undefined) throw configError(source, ['Global', 'steps'], 'give steps, or epochs')
  const stepsPerEpoch = sources.flatMap((s) =>
    s.kind === 'files' ? [(s.files.length * train.bucket) / s.perGroup] : [],
  )
  if (stepsPerEpoch.length === 0)
    throw configError(source, ['Global', 'epochs'], 'synthetic lines never end: give steps instead')
  return Math.ceil(epochs * Math.max(...stepsPerEpoch))
}

export interface EvaluationSet {
  readonly label: string
  readonly lines: readonly TextLine[]
}

export async function evaluationLines(
  config: RecognizerConfig,
  source: ConfigSource,
  recognizer: TextRecognizer,
  leftOut: LeftOut,
): Promise<EvaluationSet[]> {
  const sets: EvaluationSet[] = []
  for (const [i, set] of (config.Eval?.datasets ?? []).entries()) {
    const at = ['Eval', 'datasets', i]
    const label = set.label ?? (set.name === 'Synthetic' ? set.family : 'files')
    if (sets.some((s) => s.label === label))
      throw configError(source, [...at, 'label'], `there are two sets '${label}'; give each a label of its own`)
    sets.push({ label, lines: await linesOf(set, config, source, at, recognizer, leftOut) })
  }
  return sets
}

async function linesOf(
  set: EvalSet,
  { Global: { seed, onBadSample } }: RecognizerConfig,
  source: ConfigSource,
  at: readonly (string | number)[],
  recognizer: TextRecognizer,
  leftOut: LeftOut,
): Promise<readonly TextLine[]> {
  const { family, count } = { family: 'tune' as const, ...set }
  if (set.name === 'Synthetic') return drawLines({ seed: set.seed ?? evaluationSeed + seed, family, count: set.count })
  const list = await listFiles(set, recognizer.dictionary, onBadSample, source, at)
  const { imageHeight: height, maxWidth } = recognizer.spec
  const read = await loadLines(list.files.slice(0, count), { height, maxWidth, onBadSample })
  leftOut.add([...list.leftOut, ...read.leftOut])
  if (read.lines.length === 0) throw configError(source, [...at, 'labelFiles'], 'none of its pictures can be read')
  return read.lines
}
