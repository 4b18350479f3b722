/** What the commands share on a terminal: colours, sizes and durations in words, and tables whose columns also fit Chinese. */
import { stripVTControlCharacters } from 'node:util'
import pc from 'picocolors'
import { processVariables } from '../common/env.ts'

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

// East Asian wide and full-width characters (Unicode UAX #11) take two columns; these ranges hold all that this program prints.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const ZERO = /[\p{Mn}\p{Me}\p{Cf}]/u

/** Columns that a text takes on a terminal, colours not counted. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of stripVTControlCharacters(text)) {
    width += ZERO.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  }
  return width
}

export function padDisplay(text: string, width: number, side: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return side === 'left' ? text + space : space + text
}

/** Columns of a table, `right` for numbers. */
export type Alignment = readonly ('left' | 'right')[]

/** Rows as aligned columns, two spaces apart, one line each. */
export function formatTable(rows: readonly (readonly string[])[], alignment: Alignment = []): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, displayWidth(cell))
  }
  return rows
    .map((row) => row.map((cell, column) => padDisplay(cell, widths[column] ?? 0, alignment[column])).join('  '))
    .map((line) => line.trimEnd())
    .join('\n')
}

/** `1.5 MiB`; powers of 1024. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${units[power]}`
}

/** `4.2 s`, `1:05`, `2:03:09`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-'
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const [first = 0, ...others] = parts[0] === 0 ? parts.slice(1) : parts
  return [first, ...others.map((part) => String(part).padStart(2, '0'))].join(':')
}
