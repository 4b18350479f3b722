/**
 * The project's architecture as data: which folder of src/ may import which. Folders stand in the order in which data passes
 * through them, and a file imports only from its own folder and from those before it.
 */

/** Each row may import the rows before it; the folders of one row do not know each other. */
export const LAYER_ROWS: readonly (readonly string[])[] = [
  ['common'],
  ['graph'],
  ['schedule'],
  ['codegen'],
  ['render'],
  ['runtime'],
  ['tensor'],
  ['nn'],
  ['optimizer', 'amp', 'jit', 'metric', 'profiler'],
  ['io'],
  ['distributed'],
  ['hapi'],
  ['vision'],
  ['ocr'],
  ['text'],
  ['inference'],
  ['serving'],
  ['cli'],
]

/** Imports inside a row that are allowed all the same. */
export const SAME_ROW_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  // GradScaler steps an optimizer and reads its parameters.
  amp: ['optimizer'],
}

/** The row of a folder of src/; undefined for a folder that is in no row. */
export function layerRow(folder: string): number | undefined {
  const row = LAYER_ROWS.findIndex((folders) => folders.includes(folder))
  return row < 0 ? undefined : row
}

/** May a file in one folder of src/ import a file in the other? */
export function mayImport(from: string, to: string): boolean {
  if (from === to) return true
  const fromRow = layerRow(from)
  const toRow = layerRow(to)
  if (fromRow === undefined || toRow === undefined) return false
  return toRow < fromRow || (toRow === fromRow && (SAME_ROW_IMPORTS[from] ?? []).includes(to))
}
