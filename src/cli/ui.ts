/** What the commands share on a terminal: colours, sizes and durations in words, and tables whose columns also fit Chinese. */
import pc from 'picocolors'
import { processVariables } from '../common/env.ts'

export { formatBytes, formatDuration } from '../common/format.ts'
export { displayWidth, formatTable, padDisplay, type Alignment } from '../common/table.ts'

/** The part of an output stream that matters here. */
export interface TerminalStream {
  readonly isTTY?: boolean
}

/** Colour only for people: on a terminal, unless NO_COLOR (no-color.org) or a dumb terminal says otherwise; FORCE_COLOR wins. */
export function useColor(stream: TerminalStream, variables = processVariables()): boolean {
  const force = variables['FORCE_COLOR']
  if (force !== undefined && force !== '') return force !== '0'
  return stream.isTTY === true && !variables['NO_COLOR'] && variables['TERM'] !== 'dumb'
}

export type Colors = ReturnType<typeof pc.createColors>

export function colorsFor(stream: TerminalStream): Colors {
  return pc.createColors(useColor(stream))
}
