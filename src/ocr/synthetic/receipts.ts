/**
 * One line of text from a family of formats: general lines to pre-train on, receipt lines to tune on, and receipt lines in other
 * formats to measure on. Everything is drawn from the stream of random numbers that is passed in.
 */
import type { SmallRandom } from '../../common/random.ts'
import { generalTemplates } from './general.ts'
import { heldOutTemplates, tunedTemplates } from './templates.ts'
import type { LineKind, Template } from './templates.ts'
import { emWidth } from './text.ts'

/** Which lines: general ones to pre-train on, receipts to tune on, receipts in formats and fonts kept for measuring. */
export type Family = 'pretrain' | 'tune' | 'heldout'

export const families: readonly Family[] = ['pretrain', 'tune', 'heldout']

export interface Line {
  text: string
  kind: LineKind
  /** Whether each character stands in a cell of its own. */
  cells: boolean
}

/** The widest line, in ems: what still reads well when the line is ten times as wide as it is high. */
export const MAX_EMS = 13

const templates: Record<Family, readonly Template[]> = {
  pretrain: generalTemplates,
  tune: tunedTemplates,
  heldout: heldOutTemplates,
}
const weights: Record<Family, number[]> = {
  pretrain: generalTemplates.map(({ weight }) => weight),
  tune: tunedTemplates.map(({ weight }) => weight),
  heldout: heldOutTemplates.map(({ weight }) => weight),
}

/**
 * Draws a line of the family, at most `maxEms` wide: a longer one is drawn anew from the same template, so that long kinds stay
 * as frequent as they should be, and at last cut off.
 */
export function generateLine(random: SmallRandom, family: Family = 'tune', maxEms: number = MAX_EMS): Line {
  const { kind, make, cells = false } = templates[family][random.weighted(weights[family])] as Template
  // A cell is as wide as it is high, whatever stands in it.
  const width = (text: string) => (cells ? text.length : emWidth(text))
  let text = make(random)
  for (let attempt = 0; width(text) > maxEms && attempt < 20; attempt++) text = make(random)
  while (width(text) > maxEms) text = text.slice(0, -1)
  return { text: text.trim(), kind, cells }
}
