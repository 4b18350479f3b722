/** Text in columns, as a terminal shows it. */
// East Asian wide and full-width characters (Unicode UAX #11) take two columns; these ranges hold all that this program prints.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
/** Colours and other sequences of a terminal (ECMA-48 CSI), which take no columns. */
// oxlint-disable-next-line no-control-regex -- the escape character is what they begin with
const CONTROL = /\u001b\[[0-?]*[ -/]*[@-~]/g
const ZERO = /[\p{Mn}\p{Me}\p{Cf}]/u

/** Columns that a text takes on a terminal, colours not counted. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text.replace(CONTROL, '')) {
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
